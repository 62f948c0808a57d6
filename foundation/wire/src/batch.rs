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

use crate::{DecodeError, decode, proto};

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
        let mut batch = BatchView::default();
        decode::messages(bytes, |number, part| {
            let slot = match number {
                1 => &mut batch.traces,
                2 => &mut batch.logs,
                3 => &mut batch.metrics,
                _ => return true,
            };
            slot.replace(part).is_none()
        })?;
        Ok(batch)
    }
}

/// Writes a batch; parts that are `None` are left out.
pub fn encode_batch(traces: Option<&[u8]>, logs: Option<&[u8]>, metrics: Option<&[u8]>) -> Bytes {
    let parts = [(1, traces), (2, logs), (3, metrics)];
    let capacity = parts.iter().filter_map(|(_, part)| part.map(|bytes| bytes.len() + 11)).sum();
    let mut out = Vec::with_capacity(capacity);
    for (number, part) in parts {
        if let Some(part) = part {
            proto::put_bytes(&mut out, number, part);
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Problem;

    #[test]
    fn a_batch_comes_back_in_parts() {
        for (traces, logs, metrics) in [(None, None, None), (Some(&b"t"[..]), None, Some(&b""[..]))] {
            let bytes = encode_batch(traces, logs, metrics);
            assert_eq!(BatchView::parse(&bytes).unwrap(), BatchView { traces, logs, metrics });
        }
        let unknown = [&encode_batch(Some(b"t"), Some(b"l"), None)[..], &[0x78, 1]].concat();
        let expected = BatchView { traces: Some(b"t"), logs: Some(b"l"), metrics: None };
        assert_eq!(BatchView::parse(&unknown).unwrap(), expected);
    }

    #[test]
    fn broken_batches_are_refused() {
        let twice = encode_batch(Some(b"t"), None, None).repeat(2);
        let error = BatchView::parse(&twice).unwrap_err();
        assert_eq!((error.problem, error.position), (Problem::Repeated, 3));
        assert_eq!(BatchView::parse(&[0x0a, 5, 1]).unwrap_err().problem, Problem::Truncated);
        assert!(matches!(BatchView::parse(&[0x08, 5]).unwrap_err().problem, Problem::WireType { .. }));
    }
}
