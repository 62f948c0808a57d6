//! `Batch`: what an agent sends for one client request, all signals in one message (`docs/formats/batch.md`).
//!
//! ```proto
//! message Batch {
//!   bytes traces  = 1;  // ExportTraceServiceRequest
//!   bytes logs    = 2;  // ExportLogsServiceRequest
//!   bytes metrics = 3;  // ExportMetricsServiceRequest
//! }
//! ```
//!
//! Invariants:
//! - each part occurs at most once; fields that are not known are skipped;
//! - one batch is one frame of the ingest log: a derived metric and the spans it counts are durable together.

use bytes::Bytes;

use crate::DecodeError;

/// The parts of a batch, borrowed from its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchView<'a> {
    /// An `ExportTraceServiceRequest`.
    pub traces: Option<&'a [u8]>,
    /// An `ExportLogsServiceRequest`.
    pub logs: Option<&'a [u8]>,
    /// An `ExportMetricsServiceRequest`.
    pub metrics: Option<&'a [u8]>,
}

impl<'a> BatchView<'a> {
    /// Splits a batch into its parts without decoding them.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not a `Batch` or a part occurs twice.
    pub fn parse(bytes: &'a [u8]) -> Result<BatchView<'a>, DecodeError> {
        let _ = bytes;
        todo!()
    }
}

/// Writes a batch; parts that are `None` are left out.
pub fn encode_batch(traces: Option<&[u8]>, logs: Option<&[u8]>, metrics: Option<&[u8]>) -> Bytes {
    let _ = (traces, logs, metrics);
    todo!()
}
