//! The Inventory Service: source of truth for stock.
//!
//! Commands come in over RabbitMQ, are decided on locked rows in PostgreSQL, and answered with events. Data
//! flows one way, in two chains; a crash between any two steps makes a duplicate at worst:
//!
//! ```text
//! delivery → decode → batch → load and lock → decide (pure) → persist → commit → acknowledge
//! outbox → publish → confirm → done
//! ```
//!
//! Imports run downward in this list: [`cli`] → [`service`], [`provision`] → [`http`], [`messaging`], [`outbox_relay`],
//! [`retention`] → [`batch`], [`query`] → [`storage`] → [`contract`] → [`domain`]; [`config`], [`metrics`],
//! [`shutdown`] and [`telemetry`] serve all, and so do the fail points, which only tests have.

pub mod batch;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contract;
pub mod domain;
mod fail_point;
pub mod http;
pub mod messaging;
pub mod metrics;
pub mod outbox_relay;
pub mod provision;
pub mod query;
pub mod retention;
pub mod service;
pub mod shutdown;
pub mod storage;
pub mod telemetry;
