//! What can be wrong with received bytes. Every case is the sender's to fix: class `Reject`.

use daymark_model::{Classify, ErrorClass, Refusal};

/// Protobuf bytes that are not the message they claim to be, or pass a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} at byte {position}: {problem}")]
pub struct DecodeError {
    /// Where in the message: `resource_spans[0].scope_spans[2].spans[17].name`.
    pub path: String,
    /// Byte in the payload where the offending field begins, from 0.
    pub position: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The bytes end inside a field.
    #[error("the bytes end inside a field")]
    Truncated,
    /// A variable-length integer of more than 64 bits.
    #[error("a varint is longer than 64 bits")]
    Varint,
    /// A field key that protobuf does not allow.
    #[error("not a protobuf field key")]
    Key,
    /// Groups were never part of OTLP.
    #[error("protobuf groups are not part of OTLP")]
    Group,
    /// The field has another wire type than OTLP gives it.
    #[error("expected {expected}, got wire type {got}")]
    WireType {
        /// What OTLP has here.
        expected: &'static str,
        /// The wire type number that came.
        got: u8,
    },
    /// A string is not UTF-8.
    #[error("a string is not valid UTF-8")]
    Utf8,
    /// A field that may occur once occurs again. Protobuf would merge the two; no OTLP sender relies on that.
    #[error("the field occurs more than once")]
    Repeated,
    /// Arrays and key-value lists inside each other beyond the cap.
    #[error("values are nested more than {limit} levels deep")]
    Depth {
        /// The cap.
        limit: u32,
    },
    /// A list (attributes, events, links, exemplars, quantiles) is longer than the cap.
    #[error("more than {limit} entries in one list")]
    ListTooLong {
        /// The cap.
        limit: usize,
    },
    /// A part of a batch that only a later version writes, and without which the rest means something else.
    #[error("part {number} of the batch is not known here: upgrade the collector before the agents")]
    UnknownPart {
        /// Its field number.
        number: u32,
    },
    /// Series that an agent derived are not what an agent writes.
    #[error("{0}")]
    Derived(&'static str),
    /// More items in one request than the cap.
    #[error("more than {limit} items in one request: send smaller batches")]
    TooManyItems {
        /// The cap.
        limit: u64,
    },
}

impl Classify for DecodeError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Reject
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Refusal {
        Refusal::reject("malformed", format!("cannot decode the request: {error}"))
    }
}
