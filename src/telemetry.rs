//! Logs: text for people, JSON by setting, on the standard error stream.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogSettings, SettingsError};

/// Begins to log. Once a process.
pub fn init(settings: &LogSettings) -> Result<(), SettingsError> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| SettingsError::OutOfRange {
        name: "log.filter",
        reason: format!("is not a filter such as info,lapin=debug: {error}"),
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match settings.format {
        LogFormat::Text => log.finish().try_init(),
        LogFormat::Json => log.json().flatten_event(true).finish().try_init(),
    }
    .unwrap_or_else(|_| tracing::debug!("somebody logs already"));
    Ok(())
}
