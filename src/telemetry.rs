//! Logs: text for people, JSON by setting, on the standard error stream.

use std::io::IsTerminal;

use tracing::Metadata;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogFormat, LogSettings, SettingsError};

/// Begins to log. Once a process.
pub fn init(settings: &LogSettings) -> Result<(), SettingsError> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| SettingsError::OutOfRange {
        name: "log.filter",
        reason: format!("is not a filter such as info,sqlx=debug: {error}"),
    })?;
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let log = match settings.format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    let log = log.with_filter(filter_fn(shows_no_message));
    if tracing_subscriber::registry().with(filter).with(log).try_init().is_err() {
        tracing::debug!("somebody logs already");
    }
    Ok(())
}

/// The AMQP client logs frames, passwords and bodies included, and every message that is returned: never, whatever is set.
/// What it has to say comes back as errors, too.
fn shows_no_message(metadata: &Metadata<'_>) -> bool {
    !metadata.target().starts_with("lapin")
}
