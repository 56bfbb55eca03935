//! Connections and transactions with deadlines.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, Postgres};
use tokio::sync::Mutex;
use tracing::log::LevelFilter;

use super::{StorageError, transport};
use crate::config::{DatabaseSettings, SettingsError};

/// The Inventory Database. Cheap to clone; connects when it is first used.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    options: PgConnectOptions,
    connect_timeout: Duration,
    transaction_timeout: Duration,
}

impl Database {
    /// For the service: every statement has a deadline.
    pub fn for_service(settings: &DatabaseSettings) -> Result<Self, SettingsError> {
        let ms = |value: u64| value.to_string();
        Self::open(
            settings,
            &[
                ("statement_timeout", ms(settings.statement_timeout_ms)),
                ("lock_timeout", ms(settings.lock_timeout_ms)),
                ("idle_in_transaction_session_timeout", ms(settings.transaction_timeout_ms)),
                // Every statement of the service goes by a key, however full or empty the planner takes a table to be.
                ("enable_seqscan", "off".to_owned()),
                ("max_parallel_workers_per_gather", "0".to_owned()),
                ("jit", "off".to_owned()),
            ],
            settings.transaction_timeout(),
        )
    }

    /// For people at the command line, whose work may be long.
    pub fn for_operator(settings: &DatabaseSettings) -> Result<Self, SettingsError> {
        Self::open(settings, &[], Duration::from_hours(24))
    }

    /// For an administrator who makes what shall belong to this role.
    pub fn for_owner(settings: &DatabaseSettings, role: &str) -> Result<Self, SettingsError> {
        Self::open(settings, &[("role", role.to_owned())], Duration::from_hours(24))
    }

    fn open(
        settings: &DatabaseSettings,
        session: &[(&str, String)],
        transaction_timeout: Duration,
    ) -> Result<Self, SettingsError> {
        let options = PgConnectOptions::from_str(settings.url.expose())
            .map_err(|_| SettingsError::OutOfRange {
                name: "database.url",
                reason: "is not a PostgreSQL URL such as postgres://user:password@host:5432/database"
                    .to_owned(),
            })
            .and_then(|options| transport::checked(options, settings.allow_plain_text))?
            .application_name(crate::contract::APP_ID)
            .options(session.iter().map(|(name, value)| (*name, value.as_str())))
            .log_statements(LevelFilter::Off)
            .log_slow_statements(LevelFilter::Warn, Duration::from_secs(5));
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.connect_timeout())
            // A broken connection shows in the first statement; asking beforehand would cost each a round trip.
            .test_before_acquire(false)
            .connect_lazy_with(options.clone());
        let connect_timeout = settings.connect_timeout();
        Ok(Self { pool, options, connect_timeout, transaction_timeout })
    }

    /// Makes one connection, to learn why where it cannot be made: the pool would only say that time is up.
    pub async fn try_connect(&self) -> Result<(), StorageError> {
        let connecting =
            tokio::time::timeout(self.connect_timeout, PgConnection::connect_with(&self.options));
        let connection = connecting.await.map_err(|_| StorageError::Deadline(self.connect_timeout))??;
        Ok(connection.close().await?)
    }

    /// For single statements and for `sqlx` itself.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection to be kept.
    #[must_use]
    pub fn keep_connection(&self) -> KeptConnection {
        KeptConnection { pool: self.pool.clone(), idle: Arc::default() }
    }

    /// Longest transaction as seen from here.
    #[must_use]
    pub fn transaction_timeout(&self) -> Duration {
        self.transaction_timeout
    }

    /// Begins a transaction (READ COMMITTED, so that each statement sees what was committed before it).
    pub async fn begin(&self) -> Result<Transaction, StorageError> {
        let mut connection = self.pool.acquire().await?;
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
        Ok(Transaction { connection: Some(connection) })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StorageError> {
        let ping = sqlx::query("SELECT 1").execute(&self.pool);
        match tokio::time::timeout(Duration::from_secs(2), ping).await {
            Ok(answer) => Ok(answer.map(|_| ())?),
            Err(_) => Err(StorageError::Deadline(Duration::from_secs(2))),
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A connection that is kept from one use to the next. Each return to the pool asks the server whether the connection
/// is well: for whoever reads a little and often, that is as much work as the reading.
#[derive(Debug, Clone)]
pub struct KeptConnection {
    pool: PgPool,
    idle: Arc<Mutex<Option<PoolConnection<Postgres>>>>,
}

impl KeptConnection {
    /// Uses the connection, one use at a time; one that has failed is closed.
    pub async fn using<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut idle = self.idle.lock().await;
        let mut connection = match idle.take() {
            Some(connection) => connection,
            None => self.pool.acquire().await?,
        };
        let done = work(&mut connection).await;
        if done.is_ok() {
            *idle = Some(connection);
        } else {
            drop(connection.detach());
        }
        done
    }
}

/// A transaction. Dropped before its end, it closes its connection: a statement may still be running there,
/// and PostgreSQL rolls back what a closed connection leaves.
#[derive(Debug)]
pub struct Transaction {
    connection: Option<PoolConnection<Postgres>>,
}

impl Transaction {
    /// The connection, for the statements of this transaction.
    pub fn connection(&mut self) -> Result<&mut PgConnection, StorageError> {
        self.connection.as_deref_mut().ok_or(StorageError::Away(sqlx::Error::PoolClosed))
    }

    /// The time by the clock of the database, which decides about everything: replicas' clocks may differ.
    /// Asked for under a lock, it never runs behind what was done under that lock before.
    pub async fn now(&mut self) -> Result<DateTime<Utc>, StorageError> {
        Ok(sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(self.connection()?).await?)
    }

    /// Makes it so. An error leaves open whether it is.
    pub async fn commit(mut self) -> Result<(), StorageError> {
        sqlx::raw_sql("COMMIT").execute(self.connection()?).await?;
        self.connection.take();
        Ok(())
    }

    /// Makes it undone.
    pub async fn rollback(mut self) -> Result<(), StorageError> {
        sqlx::raw_sql("ROLLBACK").execute(self.connection()?).await?;
        self.connection.take();
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}
