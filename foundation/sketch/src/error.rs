//! What can be wrong with a sketch that came from outside.

use daymark_model::{Classify, ErrorClass};

/// Bytes that are not a sketch.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SketchError {
    /// The bytes end inside a field.
    #[error("sketch bytes end early, at byte {at}")]
    Truncated {
        /// Position where more was expected.
        at: usize,
    },
    /// Bytes remain after the last field.
    #[error("{extra} bytes after the end of the sketch")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// The leading kind byte is unknown: written by a newer version, or damage.
    #[error("unknown histogram kind {kind}")]
    UnknownKind {
        /// The byte.
        kind: u8,
    },
    /// A field contradicts another or the format.
    #[error("sketch {field}: {why}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Classify for SketchError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Corrupt
    }
}

/// An exponential histogram that did not come from an HDR histogram of 2 digits: take the lossy path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an HDR histogram of 2 digits: {why}")]
pub struct NotHdr {
    /// What gave it away.
    pub why: &'static str,
}

impl Classify for NotHdr {
    fn class(&self) -> ErrorClass {
        ErrorClass::Reject
    }
}

/// Explicit-bucket histograms whose bounds differ cannot be merged exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bucket bounds differ")]
pub struct BoundsDiffer;

impl Classify for BoundsDiffer {
    fn class(&self) -> ErrorClass {
        ErrorClass::Reject
    }
}

/// Histograms of different kinds, or with different bounds, cannot be merged exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("histograms of different kinds or bounds")]
pub struct KindsDiffer;

impl Classify for KindsDiffer {
    fn class(&self) -> ErrorClass {
        ErrorClass::Reject
    }
}
