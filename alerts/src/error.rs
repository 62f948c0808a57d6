//! What can go wrong in definitions and in the durable state of alerts.

use std::fmt;
use std::path::PathBuf;

use daymark_model::{Classify, ErrorClass};

/// One mistake in a definition file. Prints as `file:line:column: reason`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DefinitionError {
    /// The file, as it was reached from the directory given.
    pub file: PathBuf,
    /// Line of the mistake, from 1.
    pub line: u64,
    /// Column of the mistake, from 1, where it is known.
    pub column: Option<u64>,
    /// What is wrong, and what is expected instead.
    pub message: String,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.file.display(), self.line)?;
        if let Some(column) = self.column {
            write!(f, "{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl Classify for DefinitionError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Reject
    }
}

/// A failure of the alerts role itself.
#[derive(Debug, thiserror::Error)]
pub enum AlertsError {
    /// The journal under the data directory could not be read, written or synced.
    #[error("alerts journal {path}: {source}")]
    Journal {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The journal was written by another version.
    #[error("alerts journal {path} has format {found:?}, this version reads {expected:?}")]
    JournalFormat {
        /// The file.
        path: PathBuf,
        /// What its first line says.
        found: String,
        /// What this version writes.
        expected: &'static str,
    },
    /// The HTTP client for notifications could not be built.
    #[error("notification client: {0}")]
    Client(String),
    /// The system gave no thread for a write.
    #[error("journal writer: {0}")]
    Task(String),
}

impl Classify for AlertsError {
    fn class(&self) -> ErrorClass {
        match self {
            AlertsError::Journal { .. } => ErrorClass::Retry,
            AlertsError::JournalFormat { .. } => ErrorClass::Corrupt,
            AlertsError::Client(_) | AlertsError::Task(_) => ErrorClass::Bug,
        }
    }
}
