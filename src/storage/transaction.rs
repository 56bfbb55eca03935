//! A transaction, and how it ends.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StorageError;
use super::connections::Lease;

/// A transaction. Dropped before its end, it closes its connection: a statement may still be running there,
/// and PostgreSQL rolls back what a closed connection leaves.
#[derive(Debug)]
pub struct Transaction {
    lease: Lease,
}

impl Transaction {
    pub(super) async fn begin(mut lease: Lease) -> Result<Self, StorageError> {
        sqlx::raw_sql("BEGIN").execute(lease.connection()?).await?;
        Ok(Self { lease })
    }

    /// The connection, for the statements of this transaction.
    pub fn connection(&mut self) -> Result<&mut PgConnection, StorageError> {
        self.lease.connection()
    }

    /// The time by the clock of the database, which decides about everything: replicas' clocks may differ.
    /// Asked for under a lock, it never runs behind what was done under that lock before.
    pub async fn now(&mut self) -> Result<DateTime<Utc>, StorageError> {
        Ok(sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(self.connection()?).await?)
    }

    /// Makes it so. An error leaves open whether it is.
    pub async fn commit(self) -> Result<(), StorageError> {
        self.end("COMMIT").await
    }

    /// Makes it undone.
    pub async fn rollback(self) -> Result<(), StorageError> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &'static str) -> Result<(), StorageError> {
        sqlx::raw_sql(how).execute(self.connection()?).await?;
        self.lease.keep();
        Ok(())
    }
}
