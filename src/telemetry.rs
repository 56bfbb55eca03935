//! Logs: text for people, JSON by setting, on the standard error stream.

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogFormat, LogSettings, SettingsError};

/// Begins to log. Once a process.
pub fn init(settings: &LogSettings) -> Result<(), SettingsError> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| SettingsError::OutOfRange {
        name: "log.filter",
        reason: format!("is not a filter such as info,lapin=debug: {error}"),
    })?;
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let log = match settings.format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    let log = log.with_filter(filter_fn(shows_no_frames));
    if tracing_subscriber::registry().with(filter).with(log).try_init().is_err() {
        tracing::debug!("somebody logs already");
    }
    Ok(())
}

/// Below `info` the AMQP client logs every frame, passwords and bodies included: never, whatever is set.
fn shows_no_frames(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || !metadata.target().starts_with("lapin")
}
