//! Checkout, as a client of the inventory service: plays the invoices of a real web shop, one cart each.
//!
//! ```sh
//! cargo run --example checkout -- --import   # the first time: puts stock on the shelves
//! cargo run --example checkout               # again, with new carts
//! cargo run --example checkout -- --ship     # and the goods leave the house
//! cargo run --example checkout -- --help     # all flags, and how real data is treated
//! ```
//!
//! To write a client of your own, copy `client.rs` with its folder `client/`; it needs nothing else from here,
//! and nothing of the service but its wire contract. The rest is this example's business:
//!
//! - `invoices`: reads the data and settles what each line means
//! - `carts`: what is held, and what a cancellation, which names no invoice, can give back of it
//! - `replay`, `effects`: plays the invoices in order, several at a time, and ships what is held in the end
//! - `books`: asks for every stock level before and after, and compares the change with what the outcomes say
//! - `tally`, `summary`, `progress`, `cli`, `ids`, `stock`: the small things

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

mod books;
mod carts;
mod cli;
mod client;
mod effects;
mod ids;
mod invoices;
mod progress;
mod replay;
mod stock;
mod summary;
mod tally;

use std::{
    error::Error,
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use crate::{
    books::Levels,
    cli::Cli,
    client::{InventoryClient, Settings},
    ids::Run,
    invoices::DataSet,
    progress::Progress,
    replay::Replay,
    summary::Summary,
};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging();
    match run(&cli).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn start_logging() {
    // lapin logs errors itself which are returned, and reported, as well.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn,lapin=off".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}

/// Returns whether all came out as the outcomes say.
async fn run(cli: &Cli) -> Result<bool, Box<dyn Error>> {
    let data = invoices::read(&cli.data())?;
    let run = Run::new();
    if cli.import {
        import_stock(cli, &data, run)?;
    }
    let client = InventoryClient::connect(settings(cli)?).await?;
    let sound = play(cli, &client, &data, run).await;
    client.close().await;
    sound
}

async fn play(cli: &Cli, client: &InventoryClient, data: &DataSet, run: Run) -> Result<bool, Box<dyn Error>> {
    let products: Vec<Uuid> = data.products.keys().copied().collect();
    let before = books::read_levels(client, &products).await?;
    check_stock(&before)?;

    let progress = Progress::new("invoices", data.invoices.len());
    let replay = Replay::new(client, run, cli.concurrency, progress);
    let (tally, totals) = replay.play(&data.invoices, cli.ending()).await?;

    let after = books::read_levels(client, &products).await?;
    let mismatches = books::compare(&before, &after, &totals);
    let summary = Summary { data, tally: &tally, totals: &totals, before: &before, mismatches: &mismatches };
    print!("{summary}");
    Ok(summary.is_sound())
}

fn settings(cli: &Cli) -> Result<Settings, String> {
    // Parsed here and not by clap, which would show a faulty URI, and the password with it.
    let uri =
        cli.amqp_url.parse().map_err(|error| format!("--amqp-url (AMQP_URL) is no AMQP URI: {error}"))?;
    Ok(Settings {
        uri,
        commands_exchange: cli.commands_exchange.clone(),
        queries_exchange: cli.queries_exchange.clone(),
        events_exchange: cli.events_exchange.clone(),
        app_id: "checkout-example",
        answer_within: Duration::from_secs(cli.timeout_seconds),
    })
}

fn import_stock(cli: &Cli, data: &DataSet, run: Run) -> Result<(), stock::ImportError> {
    let binary = cli.inventory_bin.clone().unwrap_or_else(stock::default_binary);
    let file = std::env::temp_dir().join(format!("checkout-stock-{}.csv", run.id()));
    stock::import(data.products.keys().copied(), cli.stock, &binary, &file)
}

fn check_stock(levels: &Levels) -> Result<(), &'static str> {
    if levels.values().all(Option::is_none) {
        return Err("the service knows none of the products; run with --import first");
    }
    Ok(())
}

/// Names the causes as well, as long as they say anything new.
fn report(error: &dyn Error) {
    let mut said = error.to_string();
    eprintln!("error: {said}");
    let mut source = error.source();
    while let Some(cause) = source {
        if !said.contains(&cause.to_string()) {
            said = cause.to_string();
            eprintln!("  because: {said}");
        }
        source = cause.source();
    }
}
