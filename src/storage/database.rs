//! Connections with deadlines.

use std::future::Future;
use std::time::Duration;

use sqlx::{ConnectOptions, PgConnection};
use tracing::log::LevelFilter;

use super::connections::{Connections, Lease};
use super::{StorageError, Transaction, transport};
use crate::config::{DatabaseSettings, SettingsError};

/// Longest wait for the answer to a ping.
const PING_MAX: Duration = Duration::from_secs(2);

/// PostgreSQL would keep the session of a machine that is gone for two hours, with all that it has locked; and has only so
/// many.
const OF_A_MACHINE_THAT_IS_GONE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "60s"),
];

/// The Inventory Database. Cheap to clone; connects when it is first used.
#[derive(Debug, Clone)]
pub struct Database {
    connections: Connections,
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
                // So the plan of a statement is always the same, and is made once: for a batch of a few commands making it
                // takes longer than the rest.
                ("plan_cache_mode", "force_generic_plan".to_owned()),
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
        let options = transport::options(settings)?
            .application_name(crate::contract::APP_ID)
            .options(OF_A_MACHINE_THAT_IS_GONE)
            .options(session.iter().map(|(name, value)| (*name, value.as_str())))
            .log_statements(LevelFilter::Off)
            .log_slow_statements(LevelFilter::Warn, Duration::from_secs(5));
        let connections = Connections::new(options, settings.max_connections, settings.connect_timeout())
            .map_err(|error| SettingsError::OutOfRange {
                name: "database.max_connections",
                reason: error.to_string(),
            })?;
        Ok(Self { connections, transaction_timeout })
    }

    /// Makes one connection, to learn why where it cannot be made.
    pub async fn try_connect(&self) -> Result<(), StorageError> {
        self.connections.lease().await.map(Lease::keep)
    }

    /// Uses a connection; one that has failed is closed.
    pub async fn using<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut lease = self.connections.lease().await?;
        let connection = lease.connection()?;
        match self.in_time(work(connection)).await {
            Ok(done) => {
                lease.keep();
                Ok(done)
            }
            Err(error) => Err(self.doubted(error)),
        }
    }

    /// A connection until it is dropped: then it is closed, and what its session had is gone.
    pub(super) async fn lease(&self) -> Result<Lease, StorageError> {
        self.connections.lease().await
    }

    /// Gives up what takes longer than a transaction may: a server that has gone without a word never answers.
    pub async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let deadline = self.transaction_timeout;
        match tokio::time::timeout(deadline, work).await {
            Ok(done) => done,
            Err(_) => Err(self.doubted(StorageError::Deadline(deadline))),
        }
    }

    /// Longest time for which whoever has begun a transaction may do something else: soon after it PostgreSQL ends the session
    /// (`idle_in_transaction_session_timeout`).
    #[must_use]
    pub fn idle_max(&self) -> Duration {
        self.transaction_timeout * 7 / 8
    }

    /// Begins a transaction (READ COMMITTED, so that each statement sees what was committed before it).
    pub async fn begin(&self) -> Result<Transaction, StorageError> {
        // What fails before any command is said is no command's fault.
        let lease = self.connections.lease().await.map_err(|error| match error {
            StorageError::Refused(error) => StorageError::Away(error),
            other => other,
        })?;
        self.in_time(Transaction::begin(lease)).await.map_err(|error| self.doubted(error))
    }

    /// Whether the database answers, and can be written to: a standby answers, too.
    pub async fn ping(&self) -> Result<(), StorageError> {
        let ping = self.using(async |connection| {
            let sql = "SELECT current_setting('transaction_read_only')::boolean";
            let is_read_only: bool = sqlx::query_scalar(sql).fetch_one(connection).await?;
            if is_read_only { Err(StorageError::ReadOnly) } else { Ok(()) }
        });
        match tokio::time::timeout(PING_MAX, ping).await {
            Ok(answer) => answer,
            Err(_) => Err(StorageError::Deadline(PING_MAX)),
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.connections.close().await;
    }

    /// Where one connection is gone the idle ones most likely are as well: each would fail once.
    fn doubted(&self, error: StorageError) -> StorageError {
        if error.is_away() {
            self.connections.drop_idle();
        }
        error
    }
}
