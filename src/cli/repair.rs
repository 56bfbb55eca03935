//! `inventory repair`.
use super::Failure;
use crate::config::Settings;
pub(super) async fn run(_s: &Settings, _r: Option<&str>, _j: bool) -> Result<(), Failure> { Ok(()) }
