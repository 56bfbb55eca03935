//! How a command fails: a sentence on the standard error stream, and an exit code that means something.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::SettingsError;
use crate::provision::ProvisionError;
use crate::service::ServiceError;
use crate::storage::StorageError;
use crate::storage::stock_change::ChangeError;

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Exit code 1: the answer is no.
    #[error("{0}")]
    No(String),
    /// Exit code 2: wrong usage or settings.
    #[error("{0}")]
    Usage(String),
    /// Exit code 3: a server or the system failed.
    #[error("{0}")]
    System(String),
}

impl Failure {
    /// The system failed.
    pub(super) fn system(error: impl std::fmt::Display) -> Self {
        Self::System(error.to_string())
    }

    /// Tells the user.
    pub(super) fn report(&self) -> ExitCode {
        // The exit code tells even where this cannot.
        let _ = writeln!(io::stderr(), "inventory: {self}");
        match self {
            Self::No(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::System(_) => ExitCode::from(3),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Away(_) | StorageError::ReadOnly | StorageError::Deadline(_) => {
                Self::System(format!("{error}. Is PostgreSQL running, and DATABASE_URL right?"))
            }
            StorageError::Schema(_) | StorageError::Unusable => Self::Usage(error.to_string()),
            _ => Self::System(error.to_string()),
        }
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Storage(error) => error.into(),
            ChangeError::Unanswered { .. } => Self::System(error.to_string()),
            refused => Self::No(refused.to_string()),
        }
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Settings(error) => error.into(),
            ServiceError::Storage(error) => error.into(),
            ServiceError::Http { .. } => Self::Usage(error.to_string()),
            ServiceError::GraceOver | ServiceError::Fault => Self::System(error.to_string()),
        }
    }
}

impl From<ProvisionError> for Failure {
    fn from(error: ProvisionError) -> Self {
        match error {
            ProvisionError::Settings(error) => error.into(),
            ProvisionError::Storage(error) => error.into(),
            ProvisionError::Password(_) | ProvisionError::Name(_) => Self::Usage(error.to_string()),
            ProvisionError::Rabbitmqctl { .. } => Self::System(error.to_string()),
        }
    }
}
