//! Why an agent cannot start.

use std::path::PathBuf;

use daymark_model::{Classify, ErrorClass, Refusal};
use daymark_telemetry::TelemetryError;
use daymark_wire::KeyFileError;

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its identity cannot be read or written.
    #[error("agent identity in {path}: {source}")]
    Identity {
        /// File or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another agent runs on the same data directory: two runs would share an identity.
    #[error("another agent is using {path}")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The key file cannot be used.
    #[error("key file: {0}")]
    KeyFile(#[from] KeyFileError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The collector's address cannot be used.
    #[error("collector: {0}")]
    Collector(#[source] Refusal),
    /// Its own telemetry cannot start.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The key of its own telemetry cannot be read.
    #[error("key of own telemetry {path}: {source}")]
    OwnKey {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The process cannot be told to stop.
    #[error("signal handler: {0}")]
    Signal(#[source] std::io::Error),
}

impl Classify for AgentError {
    fn class(&self) -> ErrorClass {
        match self {
            AgentError::Locked { .. } | AgentError::Listen { .. } => ErrorClass::Retry,
            AgentError::Identity { .. } | AgentError::Signal(_) | AgentError::OwnKey { .. } => ErrorClass::Bug,
            AgentError::KeyFile(_) | AgentError::Collector(_) | AgentError::Telemetry(_) => ErrorClass::Reject,
        }
    }
}
