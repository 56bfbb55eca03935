//! Black-box tests: the real binary on real servers, seen as other teams' programs see it.
//!
//! `scripts/test` starts the servers and sets `DATABASE_URL` and `AMQP_URL`. Each test has a database and names on
//! the broker to itself, so any number may run at once. Nothing sleeps for luck: a test awaits what must happen.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "these are tests")]

mod support;

mod bad_input;
mod cli;
mod clients;
mod concurrency;
mod consume;
mod expiry;
mod get_reservation;
mod get_stock_levels;
mod histories;
mod hold;
mod hostile;
mod idempotency;
mod import;
mod ledger;
mod limits;
mod migrations;
mod orphans;
mod parts;
mod privacy;
mod properties;
mod query;
mod release;
mod repair;
mod repetition;
mod reply_to;
mod reservation;
mod reserve;
mod retention;
mod schemas;
mod security;
mod settings;
mod shutdown;
mod stock_events;
mod tamper;
mod topology;
mod upgrade;
mod verify;
