//! Databases: a fresh one for every turn, all made from the same template.

use std::fmt::Write as _;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use uuid::Uuid;

use crate::failure::Failure;

/// The PostgreSQL of a run.
#[derive(Debug, Clone)]
pub struct Databases {
    /// Of the database that everything is administered from.
    pub url: String,
}

impl Databases {
    /// The URL of one of its databases.
    #[must_use]
    pub fn url_of(&self, name: &str) -> String {
        let (server, _) = self.url.rsplit_once('/').unwrap_or((&self.url, ""));
        format!("{server}/{name}")
    }

    /// Makes a database as a copy of another, or anew. Copied file by file, which takes a checkpoint: whatever comes
    /// next begins with the same distance to its own.
    pub async fn create(&self, name: &str, template: &str) -> Result<(), Failure> {
        self.drop(name).await?;
        self.run(&format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")).await
    }

    /// Takes it away. PostgreSQL waits for connections that are being closed; told to end them itself, it would
    /// refuse where autovacuum has one.
    pub async fn drop(&self, name: &str) -> Result<(), Failure> {
        self.run(&format!("DROP DATABASE IF EXISTS {name}")).await
    }

    /// Takes a checkpoint, without being allowed to ask for one.
    pub async fn checkpoint(&self) -> Result<(), Failure> {
        self.create("checkpoint", "template0").await?;
        self.drop("checkpoint").await
    }

    /// Bytes of write-ahead log written so far.
    pub async fn wal_bytes(&self) -> Result<i64, Failure> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let bytes = sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(bytes)
    }

    /// Whether all promised events have been published.
    pub async fn is_outbox_empty(&self, name: &str) -> Result<bool, Failure> {
        let mut connection = PgConnection::connect(&self.url_of(name)).await?;
        let is_empty =
            sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM outbox)").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(is_empty)
    }

    async fn run(&self, sql: &str) -> Result<(), Failure> {
        let mut connection = PgConnection::connect(&self.url).await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await?;
        Ok(connection.close().await?)
    }
}

/// A stock file for `inventory stock import`: more of everything than anybody can buy.
#[must_use]
pub fn stock_file(products: &[Uuid]) -> String {
    let mut csv = "product_id,quantity\n".to_owned();
    for product in products {
        let _ = writeln!(csv, "{product},1000000000000");
    }
    csv
}
