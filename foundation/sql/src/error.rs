//! What can go wrong with a SQL statement.

use datafusion::error::DataFusionError;
use daymark_model::{Classify, ErrorClass, Refusal};
use daymark_store::StoreError;

/// A statement that got no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SqlError {
    /// The statement is not valid, names something that does not exist, or is no single read.
    #[error("{0}")]
    Statement(String),
    /// A limit was reached.
    #[error("{what}: limit {limit} of option sql.{option}; {advice}")]
    Limit {
        /// What grew too large.
        what: String,
        /// Name of the option in [`SqlOptions`](crate::SqlOptions).
        option: &'static str,
        /// Its value.
        limit: u64,
        /// What the caller can do.
        advice: &'static str,
    },
    /// The statement ran too long.
    #[error(
        "statement took longer than {timeout_ms} ms (option sql.timeout_ms, flag --query-timeout-ms of `daymark query` \
         and `daymark up`); narrow it by time, service_name or trace_id, or raise the limit"
    )]
    Timeout {
        /// The limit, milliseconds.
        timeout_ms: u64,
    },
    /// Nobody waits for the answer any more.
    #[error("the statement was stopped: nobody waits for its answer")]
    Stopped,
    /// The store could not be read.
    #[error("{message}")]
    Store {
        /// The class of the store's error.
        class: ErrorClass,
        /// What it said.
        message: String,
    },
    /// Rows that were read cannot be worked on.
    #[error("sql engine: {0}")]
    Engine(String),
}

impl Classify for SqlError {
    fn class(&self) -> ErrorClass {
        match self {
            SqlError::Statement(_) | SqlError::Limit { .. } => ErrorClass::Reject,
            SqlError::Timeout { .. } | SqlError::Stopped => ErrorClass::Retry,
            SqlError::Store { class, .. } => *class,
            SqlError::Engine(_) => ErrorClass::Bug,
        }
    }
}

impl From<SqlError> for Refusal {
    fn from(error: SqlError) -> Refusal {
        let reason = match &error {
            SqlError::Statement(_) => "statement",
            SqlError::Limit { .. } => "limit",
            SqlError::Timeout { .. } => "timeout",
            SqlError::Stopped => "stopped",
            SqlError::Store { .. } => "store",
            SqlError::Engine(_) => "sql_engine",
        };
        Refusal { class: error.class(), reason, message: error.to_string(), retry_after_ms: None }
    }
}

impl SqlError {
    /// Sorts DataFusion's errors by whose fault they are. `memory_bytes` is the pool's size.
    pub(crate) fn from_datafusion(error: DataFusionError, memory_bytes: usize) -> SqlError {
        if let Some(ours) = cause::<SqlError>(&error) {
            return ours.clone();
        }
        if let Some(store) = cause::<StoreError>(&error) {
            return SqlError::Store { class: store.class(), message: store.to_string() };
        }
        let text = first_line(&error.strip_backtrace());
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => SqlError::Limit {
                what: "the statement needs too much memory".to_owned(),
                option: "memory_bytes",
                limit: memory_bytes as u64,
                advice: "narrow it by time, or group by fewer columns",
            },
            DataFusionError::SQL(..)
            | DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Configuration(_)
            | DataFusionError::Execution(_)
            | DataFusionError::ArrowError(..)
            | DataFusionError::Diagnostic(..)
            | DataFusionError::Collection(_) => SqlError::Statement(text),
            _ => SqlError::Engine(text),
        }
    }
}

/// The error of type `E` among the causes of `error`.
fn cause<E: std::error::Error + 'static>(error: &DataFusionError) -> Option<&E> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

impl From<SqlError> for DataFusionError {
    fn from(error: SqlError) -> DataFusionError {
        DataFusionError::External(Box::new(error))
    }
}

/// DataFusion appends hints and stack notes on further lines.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_end().to_owned()
}
