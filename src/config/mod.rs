//! Settings: built-in defaults, then a TOML file, then the environment (contract section 6).

mod sources;

pub use sources::DEFAULTS;

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use config::{File, FileFormat, Source};
use serde::Deserialize;

use crate::contract::Limits;

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// PostgreSQL.
    pub database: DatabaseSettings,
    /// RabbitMQ.
    pub amqp: AmqpSettings,
    /// How commands are gathered.
    pub batch: BatchSettings,
    /// How events leave.
    pub outbox: OutboxSettings,
    /// When holds lapse.
    pub expiry: ExpirySettings,
    /// How long what is kept.
    pub retention: RetentionSettings,
    /// How much a sender may ask for at once.
    pub limits: Limits,
    /// Health and metrics.
    pub http: HttpSettings,
    /// Logs.
    pub log: LogSettings,
    /// The end.
    pub shutdown: ShutdownSettings,
}

/// PostgreSQL.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// Where it is, as <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS> has it.
    pub url: Secret,
    /// Whether a server on another machine may be spoken to without verified TLS.
    pub allow_plain_text: bool,
    /// Whether `serve` brings the schema up to date.
    pub migrate: bool,
    /// Most connections that a process opens.
    pub max_connections: u32,
    /// Longest wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest statement, in milliseconds; PostgreSQL ends it.
    pub statement_timeout_ms: u64,
    /// Longest wait for a row lock, in milliseconds; PostgreSQL ends it.
    pub lock_timeout_ms: u64,
    /// Longest transaction as seen from here, in milliseconds; its connection is closed then.
    pub transaction_timeout_ms: u64,
}

/// RabbitMQ.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmqpSettings {
    /// Where it is, as <https://www.rabbitmq.com/docs/uri-spec> has it; with several hosts, the nodes of a cluster.
    pub url: Secret,
    /// The same for what is published, as another user; empty: as `url` says.
    pub publish_url: Secret,
    /// Whether a server on another machine may be spoken to without TLS.
    pub allow_plain_text: bool,
    /// A file with the certificates of authorities that are trusted as well as the system's (PEM); empty: none.
    pub ca_file: String,
    /// A file with the certificate of this client (PEM); empty: none.
    pub cert_file: String,
    /// A file with the private key of that certificate (PEM).
    pub key_file: String,
    /// Whether `serve` declares the topology; otherwise it is only looked for.
    pub declare: bool,
    /// Exchange and queue of commands.
    pub commands: String,
    /// Exchange and queue of queries.
    pub queries: String,
    /// Exchange of events.
    pub events: String,
    /// Exchange and queue of events that nobody subscribed to.
    pub unrouted: String,
    /// Exchange and queue of what could not be understood.
    pub dead_letter: String,
    /// Patterns of queue names that answers may go to; `*` stands for any characters. Never the queues above.
    pub reply_to_allow: Vec<String>,
    /// Unacknowledged commands that a process has at most.
    pub commands_prefetch: u16,
    /// Unacknowledged queries that a process has at most.
    pub queries_prefetch: u16,
    /// Deliveries after which RabbitMQ takes a command for poison.
    pub delivery_limit: u32,
    /// Milliseconds after which nobody waits for the answer to a query any more.
    pub query_ttl_ms: u32,
    /// Most events that wait unrouted; the oldest go first.
    pub unrouted_max_length: u32,
    /// Seconds between heartbeats.
    pub heartbeat_seconds: u16,
    /// Longest wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest wait for RabbitMQ to declare, confirm or close, in milliseconds.
    pub timeout_ms: u64,
}

/// How commands are gathered.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSettings {
    /// Most commands of a transaction.
    pub commands: usize,
    /// Most cart lines of a transaction; a larger cart has one of its own.
    pub lines: usize,
    /// Shortest time from a batch to the next while many queries are asked, in milliseconds; 0: commands make no room for them.
    pub beside_queries_ms: u64,
}

/// How events leave.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxSettings {
    /// Seconds after which another replica may publish what one has not.
    pub lease_seconds: u32,
    /// Milliseconds between looks for orphaned events.
    pub sweep_interval_ms: u64,
}

/// When holds lapse.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpirySettings {
    /// Seconds after which a hold lapses whose reserve does not say; 0: it does not.
    pub default_hold_seconds: u32,
    /// Milliseconds between looks for lapsed holds.
    pub sweep_interval_ms: u64,
}

impl ExpirySettings {
    /// Seconds after which a hold lapses whose reserve does not say; `None`: it does not.
    #[must_use]
    pub fn default_hold(&self) -> Option<u32> {
        (self.default_hold_seconds > 0).then_some(self.default_hold_seconds)
    }
}

/// How long what is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionSettings {
    /// Days in which a repeated command is recognized.
    pub outcomes_days: u32,
    /// Days that a reservation is kept after it has ended.
    pub reservations_days: u32,
    /// Where what leaves is appended to CSV files; empty: it leaves into nothing.
    pub export_directory: String,
}

/// Health and metrics.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    pub address: SocketAddr,
}

/// Logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// For people or for programs.
    pub format: LogFormat,
    /// What is logged, as `tracing_subscriber::EnvFilter` has it.
    pub filter: String,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: a JSON object a line.
    Json,
}

/// The end.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShutdownSettings {
    /// Seconds that work in hand has to come to its end.
    pub grace_seconds: u64,
}

/// A URL with a password: goes to whom it is for, and never into a log.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The value. Not for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The settings are not usable.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file that is not there, or is no TOML.
    #[error("settings: {0}")]
    Unreadable(#[from] config::ConfigError),
    /// Not known, or of the wrong type.
    #[error("settings: {name}: {reason}")]
    Invalid {
        /// The setting.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Out of range.
    #[error("settings: {name} {reason}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// What it must be.
        reason: String,
    },
}

impl Settings {
    /// Reads the defaults, then the file, then the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        Self::merge(file.map(|path| File::from(path).format(FileFormat::Toml)), std::env::vars_os())
    }

    /// The same, of a text instead of a file and of these variables alone.
    pub fn parse(
        toml: &str,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        Self::merge(Some(File::from_str(toml, FileFormat::Toml)), variables)
    }

    fn merge(
        file: Option<impl Source + Send + Sync + 'static>,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let merged = sources::merged(file, variables)?;
        let settings: Self = serde_path_to_error::deserialize(merged).map_err(|error| {
            let (name, reason) = (error.path().to_string(), sources::reason_of(error.inner()));
            SettingsError::Invalid { name, reason }
        })?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        self.database.check()?;
        self.amqp.check()?;
        let batch = self.batch;
        require("batch.commands", (1..=65_535).contains(&batch.commands), "must be between 1 and 65535")?;
        require("batch.lines", (1..=1_000_000).contains(&batch.lines), "must be between 1 and 1000000")?;
        require("shutdown.grace_seconds", self.shutdown.grace_seconds >= 1, "must be at least 1")?;
        let fits = batch.beside_queries_ms <= 1000;
        require("batch.beside_queries_ms", fits, "must be between 0 (off) and 1000")?;
        require("outbox.lease_seconds", self.outbox.lease_seconds >= 1, "must be at least 1")?;
        require("outbox.sweep_interval_ms", self.outbox.sweep_interval_ms >= 1, "must be at least 1")?;
        let expiry = self.expiry;
        let fits = expiry.default_hold_seconds <= 2_147_483_647;
        require("expiry.default_hold_seconds", fits, "must be between 0 (off) and 2147483647")?;
        let fits = (1..=60_000).contains(&expiry.sweep_interval_ms);
        require("expiry.sweep_interval_ms", fits, "must be between 1 and 60000")?;
        require("retention.outcomes_days", self.retention.outcomes_days >= 1, "must be at least 1")?;
        require(
            "retention.reservations_days",
            self.retention.reservations_days >= self.retention.outcomes_days,
            "must not be less than retention.outcomes_days: an outcome is checked against its reservation",
        )?;
        require("limits.body_bytes", self.limits.body_bytes >= 1, "must be at least 1")?;
        require("limits.lines", self.limits.lines >= 1, "must be at least 1")?;
        require("limits.products", self.limits.products >= 1, "must be at least 1")?;
        let quantity = 1..=2_147_483_647;
        require(
            "limits.quantity",
            quantity.contains(&self.limits.quantity),
            "must be between 1 and 2147483647",
        )
    }
}

impl DatabaseSettings {
    fn check(&self) -> Result<(), SettingsError> {
        let url = self.url.expose();
        let scheme = url.starts_with("postgres://") || url.starts_with("postgresql://");
        require("database.url", scheme, "must begin with postgres:// (or set DATABASE_URL)")?;
        let connections = (4..=1000).contains(&self.max_connections);
        require("database.max_connections", connections, "must be between 4 and 1000")?;
        for (name, value) in [
            ("database.connect_timeout_ms", self.connect_timeout_ms),
            ("database.statement_timeout_ms", self.statement_timeout_ms),
            ("database.lock_timeout_ms", self.lock_timeout_ms),
            ("database.transaction_timeout_ms", self.transaction_timeout_ms),
        ] {
            require(name, (1..=3_600_000).contains(&value), "must be between 1 and 3600000")?;
        }
        Ok(())
    }

    /// Longest wait for a connection.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// Longest transaction as seen from here.
    #[must_use]
    pub fn transaction_timeout(&self) -> Duration {
        Duration::from_millis(self.transaction_timeout_ms)
    }
}

impl AmqpSettings {
    fn check(&self) -> Result<(), SettingsError> {
        let url = self.url.expose();
        let scheme = url.starts_with("amqp://") || url.starts_with("amqps://");
        require("amqp.url", scheme, "must begin with amqp:// or amqps:// (or set AMQP_URL)")?;
        let pair = self.cert_file.is_empty() == self.key_file.is_empty();
        require("amqp.cert_file", pair, "and amqp.key_file go together")?;
        let names = [
            ("amqp.commands", &self.commands),
            ("amqp.queries", &self.queries),
            ("amqp.events", &self.events),
            ("amqp.unrouted", &self.unrouted),
            ("amqp.dead_letter", &self.dead_letter),
        ];
        for (name, value) in names {
            require(name, (1..=255).contains(&value.len()), "must have 1 to 255 bytes")?;
            let namesakes = names.iter().filter(|(_, other)| *other == value).count();
            require(name, namesakes == 1, "must not have the name of another exchange or queue")?;
        }
        require("amqp.commands_prefetch", self.commands_prefetch >= 1, "must be at least 1")?;
        require("amqp.queries_prefetch", self.queries_prefetch >= 1, "must be at least 1")?;
        require("amqp.delivery_limit", self.delivery_limit >= 1, "must be at least 1")?;
        require("amqp.heartbeat_seconds", self.heartbeat_seconds >= 1, "must be at least 1")?;
        require("amqp.connect_timeout_ms", self.connect_timeout_ms >= 1, "must be at least 1")?;
        require("amqp.timeout_ms", self.timeout_ms >= 1, "must be at least 1")
    }

    /// Longest wait for a connection.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// Longest wait for RabbitMQ to do what it is told.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Where what is published goes.
    #[must_use]
    pub fn publishing_url(&self) -> &Secret {
        if self.publish_url.expose().is_empty() { &self.url } else { &self.publish_url }
    }

    /// The queues of the service itself.
    #[must_use]
    pub fn own_queues(&self) -> Vec<String> {
        [&self.commands, &self.queries, &self.unrouted, &self.dead_letter].map(Clone::clone).to_vec()
    }
}

/// Whether what is said to this host stays on this machine. Only what says so itself counts: a name that leads here now
/// may lead elsewhere later.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Demands something of a setting.
pub(crate) fn require(name: &'static str, holds: bool, reason: &str) -> Result<(), SettingsError> {
    if holds { Ok(()) } else { Err(SettingsError::OutOfRange { name, reason: reason.to_owned() }) }
}
