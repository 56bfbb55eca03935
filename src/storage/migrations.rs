//! Brings the schema up to date, or says why the program cannot work with it.

use std::collections::BTreeSet;

use sqlx::migrate::{MigrateError, Migrator};

use super::{Database, StorageError};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Applies what is missing. Several replicas may do this at once: they wait for one another (an advisory
/// lock). A database that is newer than the program is refused.
pub async fn apply(database: &Database) -> Result<(), StorageError> {
    database.using(async |connection| MIGRATIONS.run(connection).await.map_err(explain)).await
}

/// Checks that the schema is the one that this program works with.
pub async fn check(database: &Database) -> Result<(), StorageError> {
    let applied = match applied_versions(database).await {
        Err(StorageError::Refused(sqlx::Error::Database(error)))
            if error.code().as_deref() == Some("42P01") =>
        {
            BTreeSet::new()
        }
        versions => versions?,
    };
    let known: BTreeSet<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    if let Some(newer) = applied.difference(&known).max() {
        return Err(too_new(*newer));
    }
    match known.difference(&applied).next() {
        Some(missing) => Err(StorageError::Schema(format!(
            "the database lacks migration {missing}: run `inventory migrate` first"
        ))),
        None => Ok(()),
    }
}

/// The version that the schema has once it is up to date.
#[must_use]
pub fn latest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

async fn applied_versions(database: &Database) -> Result<BTreeSet<i64>, StorageError> {
    let versions: Vec<i64> = database
        .using(async |connection| {
            let versions = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success");
            Ok(versions.fetch_all(connection).await?)
        })
        .await?;
    Ok(versions.into_iter().collect())
}

fn explain(error: MigrateError) -> StorageError {
    match error {
        MigrateError::VersionMissing(version) => too_new(version),
        MigrateError::VersionMismatch(version) => StorageError::Schema(format!(
            "migration {version} of the database is not the one of this program: it was changed after it had been \
             applied; run the release that the database was made with"
        )),
        MigrateError::Execute(error) => error.into(),
        MigrateError::ExecuteMigration(error, version) => match error.into() {
            StorageError::Refused(error) => StorageError::Migration { version, error },
            other => other,
        },
        other => StorageError::Schema(format!("the database cannot be migrated: {other}")),
    }
}

fn too_new(version: i64) -> StorageError {
    StorageError::Schema(format!(
        "the database is newer than this program: it has migration {version}, which this program does not know; \
         run the newer release"
    ))
}
