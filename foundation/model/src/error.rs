//! What a failure means to the one who called: the class decides the OTLP answer.

use serde::{Deserialize, Serialize};

/// How a caller should react. Maps to OTLP/HTTP and gRPC answers in `daymark-wire`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// A passing fault: the same request may succeed later (503 / UNAVAILABLE).
    Retry,
    /// The request itself is wrong: never send it again (400 / INVALID_ARGUMENT).
    Reject,
    /// Too much at once: send it again after the stated delay (429 / RESOURCE_EXHAUSTED).
    Overload,
    /// Stored or received bytes are damaged (500 / DATA_LOSS).
    Corrupt,
    /// Our own mistake (500 / INTERNAL).
    Bug,
}

/// Every error of a Daymark crate has a class.
pub trait Classify {
    /// The class that decides how the caller reacts.
    fn class(&self) -> ErrorClass;
}

/// A request that was not accepted. Nothing of it was stored.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Decides the status code.
    pub class: ErrorClass,
    /// Short stable word for the ledger (`queue_full`, `malformed`, `unknown_key`).
    pub reason: &'static str,
    /// What was wrong, what was expected, what to do.
    pub message: String,
    /// When to try again, in milliseconds; set for `Retry` and `Overload`.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// The request is wrong and must not be repeated.
    pub fn reject(reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { class: ErrorClass::Reject, reason, message: message.into(), retry_after_ms: None }
    }

    /// More than may come now; the sender should repeat the request after `retry_after_ms`.
    pub fn overload(reason: &'static str, message: impl Into<String>, retry_after_ms: u64) -> Refusal {
        Refusal { class: ErrorClass::Overload, reason, message: message.into(), retry_after_ms: Some(retry_after_ms) }
    }

    /// A passing fault; the sender should repeat the request after `retry_after_ms`.
    pub fn unavailable(reason: &'static str, message: impl Into<String>, retry_after_ms: u64) -> Refusal {
        Refusal { class: ErrorClass::Retry, reason, message: message.into(), retry_after_ms: Some(retry_after_ms) }
    }
}

impl Classify for Refusal {
    fn class(&self) -> ErrorClass {
        self.class
    }
}
