//! The command line (contract section 6): what people type, and what they read.

mod args;
mod failure;
mod healthcheck;
mod ledger;
mod output;
mod provision;
mod repair;
mod reservation;
mod serve;
mod stacks;
mod stock;
mod stock_import;
mod verify;

use std::time::Duration;

use clap::Parser;

pub use args::Arguments;
pub use failure::Failure;

use args::{Command, ReservationCommand, ReservationState, StockCommand};
use ledger::Form;

use crate::config::Settings;
use crate::fail_point;
use crate::storage::ledger::Range;
use crate::storage::reservation_view::Filter;

/// Threads that tasks run on, at least.
const THREADS_MIN: usize = 4;

/// Time for what is being written in the moment in which the process ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs the command that the arguments of this process name; gives its exit code.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { config, json, command } = arguments;
    if matches!(command, Command::Serve) {
        stacks::ensure_large()?;
    }
    fail_point::arm();
    let settings = Settings::load(config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads())
        .enable_all()
        .build()
        .map_err(Failure::system)?;
    let result = runtime.block_on(dispatch(command, settings, json));
    // Whatever a thread still waits for, a name server or a disk, nobody else waits for it much longer.
    runtime.shutdown_timeout(LAST_WORDS);
    result
}

/// On a small machine more threads than cores: a batch of commands keeps a thread busy for milliseconds, and a query
/// should wait for the system's scheduler at most.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(THREADS_MIN, |cores| cores.get().max(THREADS_MIN))
}

async fn dispatch(command: Command, settings: Settings, json: bool) -> Result<(), Failure> {
    match command {
        Command::Serve => serve::run(settings).await,
        Command::Migrate => serve::migrate(&settings, json).await,
        Command::Provision(arguments) => provision::run(arguments, &settings, json).await,
        Command::Stock(command) => stock_command(command, &settings, json).await,
        Command::Ledger { product, from, to, csv } => {
            let form = if csv {
                Form::Csv
            } else if json {
                Form::Json
            } else {
                Form::Table
            };
            ledger::run(&settings, product, Range { from, to }, form).await
        }
        Command::Reservation(ReservationCommand::Show { id }) => reservation::show(&settings, id, json).await,
        Command::Reservation(ReservationCommand::List { product, state, older_than, limit }) => {
            let filter = Filter {
                product,
                state: state.map(ReservationState::name),
                older_than_seconds: older_than.map(|age| age.as_secs()),
            };
            reservation::list(&settings, filter, limit, json).await
        }
        Command::Verify => verify::run(&settings, json).await,
        Command::Repair { apply, reason } => {
            repair::run(&settings, reason.as_deref().filter(|_| apply), json).await
        }
        Command::Healthcheck => healthcheck::run(&settings).await,
    }
}

async fn stock_command(command: StockCommand, settings: &Settings, json: bool) -> Result<(), Failure> {
    match command {
        StockCommand::Set { product, quantity } => stock::set(settings, product, quantity, json).await,
        StockCommand::Adjust { product, delta } => stock::adjust(settings, product, delta, json).await,
        StockCommand::Show { product } => stock::show(settings, product, json).await,
        StockCommand::Import { file } => stock_import::run(settings, &file, json).await,
    }
}
