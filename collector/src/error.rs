//! What can go wrong in the collector, each with its class.

use daymark_log::LogError;
use daymark_model::{Classify, ErrorClass};
use daymark_store::StoreError;
use daymark_wire::DecodeError;

/// A failure of the collector.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The ingest log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A frame of the log does not decode, although it was checked before it was appended.
    #[error("frame {offset} of the log: {source}")]
    Frame {
        /// Which frame.
        offset: u64,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// Columns do not fit their table.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// A file of the collector cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The dedup snapshot is damaged.
    #[error("{path}: damaged dedup snapshot: {reason}")]
    Snapshot {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The log counts from an offset that the tables have consumed: its directory was replaced or emptied by hand.
    #[error(
        "the ingest log is at offset {offset}, but the tables hold {consumed}: put the log directory back, or move the tables away with it"
    )]
    LogBehind {
        /// Offset of a new frame.
        offset: u64,
        /// Newest offset in a table.
        consumed: u64,
    },
    /// A worker does not get on with its work.
    #[error("{worker} made no progress for {for_ms} ms although it has work")]
    Stalled {
        /// Which worker.
        worker: &'static str,
        /// For how long.
        for_ms: u64,
    },
    /// A worker of the collector ended although it should not.
    #[error("{0} ended unexpectedly")]
    Worker(&'static str),
}

impl Classify for CollectorError {
    fn class(&self) -> ErrorClass {
        match self {
            CollectorError::Log(error) => error.class(),
            CollectorError::Store(error) => error.class(),
            CollectorError::Io { .. } => ErrorClass::Retry,
            CollectorError::Frame { .. } | CollectorError::Snapshot { .. } | CollectorError::LogBehind { .. } => {
                ErrorClass::Corrupt
            }
            CollectorError::Arrow(_) | CollectorError::Worker(_) | CollectorError::Stalled { .. } => ErrorClass::Bug,
        }
    }
}
