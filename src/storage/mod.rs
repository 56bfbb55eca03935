//! The Inventory Database: system of record for stock and reservations.
//!
//! One module for each table's SQL. A statement is a round trip, so a batch is a handful of statements over
//! arrays. Row locks are waited for in one order only, reservation by id, then stock by product, so that two
//! workers, or two replicas, never deadlock over them.

mod advisory_lock;
pub mod batch;
mod column;
mod connections;
mod database;
mod error;
pub mod lapsing;
pub mod ledger;
pub mod migrations;
pub mod movement;
pub mod outbox;
pub mod outcome;
pub mod repair;
pub mod reservation;
pub mod reservation_view;
pub mod retention;
pub mod stock;
pub mod stock_change;
pub mod stock_event;
pub mod stock_import;
mod transaction;
mod transport;
pub mod verify;

pub use database::Database;
pub use error::StorageError;
pub use transaction::Transaction;
