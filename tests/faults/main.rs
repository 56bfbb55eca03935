//! Crashes, stops and lost connections: the real binary on real servers while everything breaks.
//!
//! `kit` has what breaks things; `support` is that of the other black-box tests. The binary has fail points (feature
//! `failpoints`), which `FAILPOINTS` in the environment of a service sets: see `src/fail_point.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "these are tests")]

mod kit;
#[path = "../it/support/mod.rs"]
mod support;

mod checker;
mod data;
mod fail_points;
mod lost_reply;
mod messages;
mod postgresql;
mod process;
mod proxy;
mod rabbitmq;
mod storm;
