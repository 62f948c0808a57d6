//! What can go wrong with tables, each with the class that tells the caller what to do.

use daymark_model::{Classify, ErrorClass, LogOffset};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object store failed: disk, permissions, network.
    #[error("object store: {0}")]
    Object(#[from] object_store::Error),
    /// The object store of the tables cannot be used at all.
    #[error("store {store}: {source}; check the address, --s3-endpoint, --s3-region and the AWS_* credentials")]
    Unusable {
        /// Its address.
        store: String,
        /// What it said.
        source: object_store::Error,
    },
    /// The object store lets several writers of one name win, so commits could overwrite each other.
    #[error(
        "store {store}: {winners} of {writers} writers of one new name were told that they won: the server does not honour \
         If-None-Match, so two commits could overwrite each other and lose rows; use a server that does"
    )]
    NoPutIfAbsent {
        /// Its address.
        store: String,
        /// How many won.
        winners: usize,
        /// How many tried.
        writers: usize,
    },
    /// The table was written by a collector with another log: offsets of the two cannot be compared.
    #[error(
        "table {table}: another collector writes it; give each collector its own tenants or its own --store, or, when \
         that collector is gone for good, start this one with --take-over"
    )]
    Foreign {
        /// The table's path.
        table: String,
    },
    /// The table holds more or less of the log than the writer knows of: an earlier commit, of another process perhaps,
    /// arrived late.
    #[error("table {table}: holds log offset {current}, not {expected}: rows between would be doubled or lost")]
    Overtaken {
        /// The table's path.
        table: String,
        /// Offset the writer believed the table to hold.
        expected: LogOffset,
        /// Offset the table holds.
        current: LogOffset,
    },
    /// A file operation outside the object store failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A Parquet file cannot be written or read.
    #[error("parquet {path}: {source}")]
    Parquet {
        /// The file, relative to the tables directory.
        path: String,
        /// What the reader or writer said.
        source: parquet::errors::ParquetError,
    },
    /// Columns do not fit together.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A commit file of the table's log is empty or not whole. The table is not readable past the version before it.
    #[error("torn commit {path}: {reason}; `daymark store repair` goes back to the version before it")]
    TornCommit {
        /// The commit file, relative to the tables directory.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A commit or a checkpoint that others still need is not there.
    #[error("table log {path}: {reason}")]
    BrokenLog {
        /// The log directory or file.
        path: String,
        /// What is missing.
        reason: String,
    },
    /// A version of a table was asked for that is not there (any more).
    #[error("table {table} has no version {version}: commits {oldest:?} to {newest:?} are kept")]
    NoVersion {
        /// The table's path.
        table: String,
        /// The version asked for.
        version: u64,
        /// Oldest version whose commit is kept.
        oldest: Option<u64>,
        /// Newest version.
        newest: Option<u64>,
    },
    /// A condition on rows does not fit a table.
    #[error("condition {condition}: {reason}")]
    WrongCondition {
        /// The condition.
        condition: String,
        /// What is expected.
        reason: String,
    },
    /// The collector could not say what it holds.
    #[error("{0}")]
    Collector(crate::HotError),
    /// Files cannot be deleted, or held, because others are at it.
    #[error(
        "{by} of these tables is running, and it and this cannot both have the files: try again when it has ended; files that \
         only older versions need are deleted by a running collector after its --keep-removed-s (600)"
    )]
    FilesHeld {
        /// Who has them.
        by: &'static str,
    },
    /// The memory budget has no room for what is to be read.
    #[error("{0}")]
    Memory(String),
    /// The data was written by another version of Daymark.
    #[error(
        "{path} has format {found}, this program reads format {supported}: open it with the version of Daymark that wrote it, or use another --data-dir"
    )]
    UnknownFormat {
        /// The `FORMAT` file.
        path: String,
        /// What it says.
        found: String,
        /// What this version reads.
        supported: u32,
    },
    /// A table asks for protocol features that Daymark does not have.
    #[error("table {table}: delta protocol reader {reader}, writer {writer} is newer than 1, 2")]
    UnknownProtocol {
        /// The table's path.
        table: String,
        /// `minReaderVersion`.
        reader: i64,
        /// `minWriterVersion`.
        writer: i64,
    },
    /// The offset of a commit was consumed before: the rows are already in the table (design G2).
    #[error("table {table}: commit consumes log offset {offered}, but {current} is consumed already")]
    AlreadyConsumed {
        /// The table's path.
        table: String,
        /// Offset of the commit that was refused.
        offered: LogOffset,
        /// Offset the table holds.
        current: LogOffset,
    },
    /// A commit removes a segment that is not (or no longer) in the table: another commit removed it first.
    #[error("table {table}: {path} is not live, so it cannot be removed")]
    NotLive {
        /// The table's path.
        table: String,
        /// The segment.
        path: String,
    },
    /// A commit adds a path that is in the table already.
    #[error("table {table}: {path} is in the table already")]
    AlreadyLive {
        /// The table's path.
        table: String,
        /// The segment.
        path: String,
    },
    /// A segment cannot be read to be merged with others.
    #[error("compaction of {path}: {source}")]
    Compaction {
        /// The segment.
        path: String,
        /// Why not.
        source: Box<StoreError>,
    },
    /// Other writers were always faster.
    #[error("table {table}: gave up after {attempts} lost races for the next version")]
    Contended {
        /// The table's path.
        table: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// An index file is damaged: readers scan the segment instead.
    #[error("index {path}: {reason}")]
    DamagedIndex {
        /// The index file.
        path: String,
        /// Section and fault.
        reason: String,
    },
    /// A small record beside the tables cannot be read.
    #[error("{path}: {reason}")]
    DamagedRecord {
        /// The file, relative to the tables directory.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The text index library failed.
    #[error("text index: {0}")]
    Tantivy(#[from] tantivy::TantivyError),
    /// Rows to write do not have the table's columns.
    #[error("rows for table {table} do not have its schema: {reason}")]
    WrongSchema {
        /// The table.
        table: &'static str,
        /// The first difference.
        reason: String,
    },
    /// A segment without rows was to be written.
    #[error("a segment needs at least one row")]
    EmptySegment,
    /// A stored histogram cannot be decoded.
    #[error("histogram: {0}")]
    Histogram(String),
    /// A worker thread was lost.
    #[error("background work failed: {0}")]
    Background(String),
}

impl StoreError {
    /// Whether the same read may succeed later: the store did not answer, or not with the bytes. Damage stays.
    pub fn may_pass(&self) -> bool {
        match self {
            StoreError::Parquet { source: parquet::errors::ParquetError::External(source), .. } => {
                source.downcast_ref::<object_store::Error>().is_some()
            }
            error => error.class() == ErrorClass::Retry,
        }
    }

    /// The store says that it has no such object.
    pub(crate) fn is_absent(&self) -> bool {
        let object = match self {
            StoreError::Object(error) => Some(error),
            StoreError::Parquet { source: parquet::errors::ParquetError::External(source), .. } => {
                source.downcast_ref()
            }
            _ => None,
        };
        matches!(object, Some(object_store::Error::NotFound { .. }))
    }

    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> StoreError {
        StoreError::Io { path: path.display().to_string(), source }
    }

    pub(crate) fn parquet(path: &str, source: parquet::errors::ParquetError) -> StoreError {
        StoreError::Parquet { path: path.to_owned(), source }
    }

    pub(crate) fn background(error: &tokio::task::JoinError) -> StoreError {
        StoreError::Background(error.to_string())
    }
}

impl Classify for StoreError {
    fn class(&self) -> ErrorClass {
        match self {
            StoreError::Compaction { source, .. } => source.class(),
            StoreError::Object(_)
            | StoreError::Collector(_)
            | StoreError::Memory(_)
            | StoreError::FilesHeld { .. }
            | StoreError::Io { .. }
            | StoreError::Contended { .. } => ErrorClass::Retry,
            StoreError::Parquet { .. }
            | StoreError::TornCommit { .. }
            | StoreError::BrokenLog { .. }
            | StoreError::DamagedIndex { .. }
            | StoreError::DamagedRecord { .. }
            | StoreError::Histogram(_) => ErrorClass::Corrupt,
            // The tables wait for an operator: what is acknowledged stays in the log.
            StoreError::Foreign { .. } => ErrorClass::Retry,
            StoreError::UnknownFormat { .. }
            | StoreError::NoVersion { .. }
            | StoreError::WrongCondition { .. }
            | StoreError::UnknownProtocol { .. }
            | StoreError::Unusable { .. }
            | StoreError::NoPutIfAbsent { .. }
            | StoreError::Overtaken { .. } => ErrorClass::Reject,
            StoreError::Arrow(_)
            | StoreError::AlreadyConsumed { .. }
            | StoreError::NotLive { .. }
            | StoreError::AlreadyLive { .. }
            | StoreError::Tantivy(_)
            | StoreError::WrongSchema { .. }
            | StoreError::EmptySegment
            | StoreError::Background(_) => ErrorClass::Bug,
        }
    }
}
