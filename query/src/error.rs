//! What can go wrong with a query, and the status and JSON body that tell the caller.

use axum::Json;
use axum::response::{IntoResponse, Response};
use daymark_model::{Classify, ErrorClass, Refusal};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// A query that got no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A parameter that is missing, malformed or unknown.
    #[error("{message}")]
    Parameter {
        /// Which parameter.
        field: String,
        /// What was wrong and what was expected.
        message: String,
    },
    /// Nothing has that name.
    #[error("{0}")]
    NotFound(String),
    /// The answer or the work for it exceeds a limit.
    #[error("{what}: limit {limit} of option query.{option}; {advice}")]
    Limit {
        /// What grew too large.
        what: String,
        /// Name of the option in [`QueryOptions`](crate::QueryOptions).
        option: &'static str,
        /// Its value.
        limit: u64,
        /// What the caller can do.
        advice: &'static str,
    },
    /// The query took longer than it may.
    #[error(
        "query took longer than {timeout_ms} ms (option query.timeout_ms, flag --query-timeout-ms of `daymark query` and \
         `daymark up`); narrow the time range or the filters, or raise the limit"
    )]
    Timeout {
        /// The limit, milliseconds.
        timeout_ms: u64,
    },
    /// Too many queries run already.
    #[error("{limit} queries are running (option query.max_concurrent_queries); try again in a second")]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// This binary was built without a feature.
    #[error("built without the feature \"{0}\"")]
    MissingFeature(&'static str),
    /// The key was refused, or the SQL engine refused the query.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] daymark_store::StoreError),
    /// A stored row does not have the shape of its table.
    #[error("{0}")]
    Damaged(String),
    /// A task of ours died.
    #[error("query task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl QueryError {
    /// A wrong parameter.
    pub(crate) fn parameter(field: impl Into<String>, message: impl Into<String>) -> QueryError {
        QueryError::Parameter { field: field.into(), message: message.into() }
    }

    fn status(&self) -> StatusCode {
        match self {
            QueryError::Parameter { .. } => StatusCode::BAD_REQUEST,
            QueryError::NotFound(_) => StatusCode::NOT_FOUND,
            QueryError::Limit { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            QueryError::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            QueryError::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            QueryError::MissingFeature(_) => StatusCode::NOT_IMPLEMENTED,
            QueryError::Refused(Refusal { reason: "unknown_key" | "expired_key", .. }) => StatusCode::UNAUTHORIZED,
            QueryError::Refused(Refusal { reason: "wrong_scope", .. }) => StatusCode::FORBIDDEN,
            _ => match self.class() {
                ErrorClass::Retry => StatusCode::SERVICE_UNAVAILABLE,
                ErrorClass::Reject => StatusCode::BAD_REQUEST,
                ErrorClass::Overload => StatusCode::TOO_MANY_REQUESTS,
                ErrorClass::Corrupt | ErrorClass::Bug => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    fn retry_after_ms(&self) -> Option<u64> {
        match self {
            QueryError::Busy { .. } => Some(1_000),
            QueryError::Refused(refusal) => refusal.retry_after_ms,
            _ => None,
        }
    }
}

impl Classify for QueryError {
    fn class(&self) -> ErrorClass {
        match self {
            QueryError::Parameter { .. }
            | QueryError::NotFound(_)
            | QueryError::Limit { .. }
            | QueryError::MissingFeature(_) => ErrorClass::Reject,
            QueryError::Timeout { .. } => ErrorClass::Retry,
            QueryError::Busy { .. } => ErrorClass::Overload,
            QueryError::Refused(refusal) => refusal.class,
            QueryError::Store(error) => error.class(),
            QueryError::Damaged(_) => ErrorClass::Corrupt,
            QueryError::Task(_) => ErrorClass::Bug,
        }
    }
}

impl IntoResponse for QueryError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            // WARN: the caller gets no answer, but no stored data is lost.
            tracing::warn!(error = %self, class = ?self.class(), "query failed");
        }
        let mut error = json!({ "class": self.class(), "message": self.to_string() });
        if let QueryError::Parameter { field, .. } = &self {
            error["field"] = json!(field);
        }
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        if let Some(wait_ms) = self.retry_after_ms() {
            let seconds = HeaderValue::from(wait_ms.div_ceil(1_000));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
