//! Brings the schema up to date, or says why the program cannot work with it.

use std::collections::BTreeMap;

use sqlx::migrate::{MigrateError, Migrator};

use super::{Database, StorageError};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Applies what is missing. Several replicas may do this at once: they wait for one another (an advisory
/// lock). A database that is newer than the program is refused.
pub async fn apply(database: &Database) -> Result<(), StorageError> {
    database.using(async |connection| MIGRATIONS.run(connection).await.map_err(explain)).await
}

/// The first migration that the database lacks. A database that is newer than the program, or another one, is refused.
pub async fn missing(database: &Database) -> Result<Option<i64>, StorageError> {
    let mut applied = match applied(database).await {
        Err(StorageError::Refused(sqlx::Error::Database(error)))
            if error.code().as_deref() == Some("42P01") =>
        {
            BTreeMap::new()
        }
        applied => applied?,
    };
    let mut missing = None;
    for migration in MIGRATIONS.iter() {
        match applied.remove(&migration.version) {
            Some(checksum) if checksum != *migration.checksum => return Err(mismatch(migration.version)),
            Some(_) => {}
            None => missing = missing.or(Some(migration.version)),
        }
    }
    match applied.last_key_value() {
        Some((newer, _)) => Err(too_new(*newer)),
        None => Ok(missing),
    }
}

/// Checks that the schema is the one that this program works with.
pub async fn check(database: &Database) -> Result<(), StorageError> {
    missing(database).await.and_then(complete)
}

/// Refuses a database that lacks this migration.
pub fn complete(missing: Option<i64>) -> Result<(), StorageError> {
    match missing {
        Some(version) => Err(StorageError::Schema(format!(
            "the database lacks migration {version}: run `inventory migrate` first"
        ))),
        None => Ok(()),
    }
}

/// The version that the schema has once it is up to date.
#[must_use]
pub fn latest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

async fn applied(database: &Database) -> Result<BTreeMap<i64, Vec<u8>>, StorageError> {
    let applied: Vec<(i64, Vec<u8>)> = database
        .using(async |connection| {
            let applied = sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success");
            Ok(applied.fetch_all(connection).await?)
        })
        .await?;
    Ok(applied.into_iter().collect())
}

fn explain(error: MigrateError) -> StorageError {
    match error {
        MigrateError::VersionMissing(version) => too_new(version),
        MigrateError::VersionMismatch(version) => mismatch(version),
        MigrateError::Execute(error) => error.into(),
        MigrateError::ExecuteMigration(error, version) => match error.into() {
            StorageError::Refused(error) => StorageError::Migration { version, error },
            other => other,
        },
        other => StorageError::Schema(format!("the database cannot be migrated: {other}")),
    }
}

fn mismatch(version: i64) -> StorageError {
    StorageError::Schema(format!(
        "migration {version} of the database is not the one of this program: it was changed after it had been \
         applied; run the release that the database was made with"
    ))
}

fn too_new(version: i64) -> StorageError {
    StorageError::Schema(format!(
        "the database is newer than this program: it has migration {version}, which this program does not know; \
         run the newer release"
    ))
}
