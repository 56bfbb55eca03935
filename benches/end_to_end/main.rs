//! How fast the service is, end to end, and how that compares.
//!
//! A figure alone says little: it depends on the machine. So the same load is put, in turns, on a worker that does
//! nothing (the ceiling: what RabbitMQ and the load leave room for) and on one as one would write it first (the
//! baseline). Ratios within a round are what is to be relied on. docs/benchmark.md explains each.
//!
//! Imports run downward: `main` → `report`, `figures` → `scenario` → `worker` → `load`, `stage`.

mod arguments;
mod failure;
mod figures;
mod load;
mod machine;
mod progress;
mod report;
mod sample;
mod scenario;
mod spread;
mod stage;
mod worker;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, Scenario};
use failure::Failure;
use machine::Machine;
use report::Report;
use stage::{Stage, target_folder};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        #[expect(clippy::print_stderr, reason = "it is the last word of the program")]
        Err(failure) => {
            eprintln!("end_to_end: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    if std::env::args().nth(1).is_some_and(|argument| argument == "worker") {
        return worker::run(worker::Worker::parse_from(std::env::args().skip(1)));
    }
    let arguments = Arguments::parse();
    if arguments.list {
        list();
        return Ok(());
    }
    // One thread is enough, beside those of the RabbitMQ client: the load takes about a third of a core.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&arguments))
}

/// Whatever happens, the servers are gone afterwards: `stage` outlives what is given up.
async fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stage = Stage::set_up(arguments.binary.clone())?;
    let report = tokio::select! {
        report = report_on(&stage, arguments) => report?,
        _ = interrupt.recv() => return Err(Failure::Interrupted),
        _ = terminate.recv() => return Err(Failure::Interrupted),
    };
    drop(stage);
    let folder = report::folder(&target_folder())?;
    report.write(&folder)?;
    print(&report, &folder.display());
    Ok(())
}

async fn report_on(stage: &Stage, arguments: &Arguments) -> Result<Report, Failure> {
    let machine = Machine::look(stage).await?;
    let findings = scenario::measure(stage, arguments).await?;
    Ok(Report { machine, is_quick: arguments.quick, figures: figures::of(&findings), findings })
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn print(report: &Report, folder: &dyn std::fmt::Display) {
    println!(
        "{}\n{folder}/report.md has plots and explanations, {folder}/results.json every turn.",
        report.to_text()
    );
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn list() {
    for value in Scenario::value_variants().iter().filter_map(ValueEnum::to_possible_value) {
        println!("{:10} {}", value.get_name(), value.get_help().map(ToString::to_string).unwrap_or_default());
    }
}
