//! `inventory serve` and `inventory migrate`.

use std::time::Duration;

use super::Failure;
use super::output::{self, told};
use crate::config::Settings;
use crate::shutdown::Shutdown;
use crate::storage::{Database, migrations};
use crate::{retention, service, telemetry};

/// Runs the service.
pub(super) async fn run(settings: Settings) -> Result<(), Failure> {
    telemetry::init(&settings.log)?;
    retention::check(&settings.retention)?;
    let shutdown = Shutdown::default();
    let grace = Duration::from_secs(settings.shutdown.grace_seconds);
    let signals = tokio::spawn(shutdown.clone().listen(grace));
    let result = service::run(settings, shutdown).await;
    signals.abort();
    Ok(result?)
}

/// Brings the database up to date.
pub(super) async fn migrate(settings: &Settings, json: bool) -> Result<(), Failure> {
    let database = Database::for_operator(&settings.database)?;
    database.try_connect().await?;
    migrations::apply(&database).await?;
    let version = migrations::latest();
    told(if json {
        output::json(&serde_json::json!({ "migration": version }))
    } else {
        output::text(&format!("the database is up to date: migration {version}"))
    })
}
