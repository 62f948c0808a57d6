//! Why the log refused or failed, and how the caller should react.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daymark_model::{Classify, ErrorClass, Refusal};

/// How long a client should wait after a refusal that passes by itself, milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// A refusal or a failure of the ingest log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The options contradict each other; the text names the field.
    #[error("ingest log options: {0}")]
    InvalidOptions(String),
    /// Another process writes to this directory.
    #[error("{dir}: another process has this ingest log open")]
    Locked {
        /// The directory of the log.
        dir: PathBuf,
    },
    /// A segment was written by a version of Daymark that this one does not know.
    #[error(
        "{file}: log format version {found} is unknown, this program reads version {supported}: open it with the version of Daymark that wrote it, or use another --data-dir"
    )]
    UnknownVersion {
        /// The segment file.
        file: PathBuf,
        /// The version it states.
        found: u32,
        /// The version that can be read.
        supported: u32,
    },
    /// The operating system refused an operation while the log was opened or read.
    #[error("{path}: {action}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// A payload above `max_frame_bytes`; nothing of it was kept.
    #[error("payload of {bytes} bytes is above the limit of {limit}")]
    TooLarge {
        /// Size of the payload.
        bytes: usize,
        /// `max_frame_bytes`.
        limit: usize,
    },
    /// Appends come faster than they become durable or are consumed; nothing of this one was kept.
    #[error("{waiting} bytes wait to become durable, the limit is {limit}")]
    QueueFull {
        /// Bytes that wait.
        waiting: usize,
        /// `queue_bytes`.
        limit: usize,
    },
    /// The disk has less than `min_free_bytes` left; nothing of this append was kept.
    #[error("disk full: fewer than {min_free_bytes} bytes would stay free")]
    DiskFull {
        /// `min_free_bytes`.
        min_free_bytes: u64,
    },
    /// A write or sync failed before: what was not acknowledged by then may or may not be durable, and nothing more
    /// is accepted. The process must exit and recover by replay.
    #[error("ingest log stopped after a failure: {reason}")]
    Poisoned {
        /// The failure.
        reason: Arc<str>,
    },
    /// The log is closed or closing.
    #[error("ingest log is closed")]
    Closed,
}

impl LogError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
        move |source| LogError::Io { action, path: path.to_owned(), source: Arc::new(source) }
    }

    /// Whether the operating system said that no space is left.
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            LogError::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            LogError::DiskFull { .. } => true,
            _ => false,
        }
    }

    /// A short stable word for the ledger.
    pub fn reason(&self) -> &'static str {
        match self {
            LogError::TooLarge { .. } => "too_large",
            LogError::QueueFull { .. } => "queue_full",
            LogError::DiskFull { .. } => "disk_full",
            LogError::Poisoned { .. } => "log_failed",
            LogError::Closed => "log_closed",
            LogError::InvalidOptions(_)
            | LogError::Locked { .. }
            | LogError::UnknownVersion { .. }
            | LogError::Io { .. } => "log_unavailable",
        }
    }
}

impl Classify for LogError {
    fn class(&self) -> ErrorClass {
        match self {
            LogError::TooLarge { .. } | LogError::InvalidOptions(_) | LogError::UnknownVersion { .. } => {
                ErrorClass::Reject
            }
            LogError::QueueFull { .. } => ErrorClass::Overload,
            LogError::Locked { .. }
            | LogError::Io { .. }
            | LogError::DiskFull { .. }
            | LogError::Poisoned { .. }
            | LogError::Closed => ErrorClass::Retry,
        }
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Refusal {
        let class = error.class();
        let retry_after_ms = (class != ErrorClass::Reject).then_some(RETRY_AFTER_MS);
        Refusal { class, reason: error.reason(), message: error.to_string(), retry_after_ms }
    }
}
