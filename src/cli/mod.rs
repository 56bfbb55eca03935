//! The command line (contract section 6): what people type, and what they read.

mod args;
mod failure;
mod healthcheck;
mod serve;
mod stacks;
mod stock;
mod stock_import;
mod verify;

use clap::Parser;

pub use args::Arguments;
pub use failure::Failure;

use args::{Command, StockCommand};

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
    let settings = crate::config::Settings::load(config.as_deref())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::system)?;
    runtime.block_on(async {
        match command {
            Command::Serve => serve::run(settings).await,
            Command::Migrate => serve::migrate(&settings, json).await,
            Command::Stock(StockCommand::Set { product, quantity }) => {
                stock::set(&settings, product, quantity, json).await
            }
            Command::Stock(StockCommand::Adjust { product, delta }) => {
                stock::adjust(&settings, product, delta, json).await
            }
            Command::Stock(StockCommand::Show { product }) => stock::show(&settings, product, json).await,
            Command::Stock(StockCommand::Import { file }) => stock_import::run(&settings, &file, json).await,
            Command::Verify => verify::run(&settings, json).await,
            Command::Healthcheck => healthcheck::run(&settings).await,
        }
    })
}
