//! Tells a database that is away from a race that was lost, and both from broken books.

use sqlx::error::DatabaseError;

/// What went wrong with the database, by what can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database cannot be used now: away, starting, shutting down, read-only, full. Try again later.
    #[error("the database cannot be used now: {0}")]
    Away(#[source] sqlx::Error),
    /// A standby, or a primary that is failing over. Try again later.
    #[error("the database cannot be used now: it is read-only")]
    ReadOnly,
    /// No answer within the deadline of this side; the connection was closed. Try again later.
    #[error("the database did not answer within {0:?}")]
    Deadline(std::time::Duration),
    /// PostgreSQL gave this transaction up so that another could go on. Try again at once.
    #[error("the transaction lost against another: {0}")]
    Lost(#[source] sqlx::Error),
    /// Another transaction has just written the same key. Look again, and try again at once.
    #[error("another transaction wrote the same {0} at the same time")]
    Raced(&'static str),
    /// A lock or a statement took too long. Other work may be possible.
    #[error("a lock or a statement took too long: {0}")]
    TooSlow(#[source] sqlx::Error),
    /// The books hold something that they must not.
    #[error("the books are broken: {0}")]
    Broken(String),
    /// The schema is not the one that this program works with.
    #[error("{0}")]
    Schema(String),
    /// A step to the schema failed, and was undone.
    #[error(
        "migration {version} failed, and nothing of it is done: {error}. Remove what is in its way, and start again"
    )]
    Migration {
        /// Which.
        version: i64,
        /// Why.
        error: sqlx::Error,
    },
    /// No connection can be tried. Why is not told: it may be the key itself, or a sign of the password.
    #[error(
        "the database cannot be connected to with the key or password that there is: the key is none, or has a passphrase; \
         or there is no certificate to it, or the other way round; or the password has a sign that no server takes"
    )]
    Unusable,
    /// Anything else: a fault of this program, or of its rights.
    #[error("the database refused a statement: {0}")]
    Refused(#[source] sqlx::Error),
}

impl StorageError {
    /// Whether the same may succeed later without the doing of whoever runs this program. Files of keys are read for every
    /// connection, so they may.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away(_) | Self::ReadOnly | Self::Deadline(_) | Self::Unusable)
    }

    /// Whether every command would come to the same: a table or a right is missing (SQLSTATE class 42). Somebody has to put
    /// that right, and no command must suffer for it.
    #[must_use]
    pub fn is_everybodys(&self) -> bool {
        let Self::Refused(error) = self else { return false };
        let code = error.as_database_error().and_then(DatabaseError::code);
        code.is_some_and(|code| code.starts_with("42"))
    }

    /// Whether the same is worth trying again at once.
    #[must_use]
    pub fn is_lost_race(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Raced(_))
    }
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => match kind_of(database.as_ref()) {
                Kind::Away => Self::Away(error),
                Kind::Lost => Self::Lost(error),
                Kind::TooSlow => Self::TooSlow(error),
                Kind::Raced => Self::Raced("key"),
                Kind::Refused => Self::Refused(error),
            },
            sqlx::Error::Configuration(_) => Self::Unusable,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Away(error),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Broken(error.to_string()),
            _ => Self::Refused(error),
        }
    }
}

enum Kind {
    Away,
    Lost,
    TooSlow,
    Raced,
    Refused,
}

/// By SQLSTATE, see <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn kind_of(error: &dyn DatabaseError) -> Kind {
    match error.code().as_deref().unwrap_or_default() {
        // Read-only transaction: a standby, or a primary that is failing over.
        // And sessions that PostgreSQL has ended: by hand, or because this process stood still for too long.
        "25006" | "25P03" | "25P04" | "57P01" | "57P02" | "57P03" | "57P05" => Kind::Away,
        "40001" | "40P01" => Kind::Lost,
        "55P03" | "57014" => Kind::TooSlow,
        "23505" => Kind::Raced,
        // Connection, resources, system, authorization: somebody is seeing to it, or must.
        code if ["08", "53", "58", "28", "3D"].iter().any(|class| code.starts_with(class)) => Kind::Away,
        _ => Kind::Refused,
    }
}
