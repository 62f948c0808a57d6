//! `Batch`: what an agent sends for one client request, all signals in one message (`docs/formats/batch.md`).
//!
//! ```proto
//! message Batch {
//!   bytes traces  = 1;  // ExportTraceServiceRequest
//!   bytes logs    = 2;  // ExportLogsServiceRequest
//!   bytes metrics = 3;  // ExportMetricsServiceRequest
//!   bytes latest  = 4;  // fixed64: items of later times were rejected by the agent
//!   bytes derived = 5;  // see `derived`: what the agent derived from traces or logs
//! }
//! ```
//!
//! Invariants:
//! - the agent has judged the items: a collector leaves out the same ones, whatever its own clock says;
//! - each part occurs at most once; of parts that are not known, those up to 15 make the batch malformed, later ones are
//!   skipped;
//! - one batch is one frame of the ingest log: a derived metric and the spans it counts are durable together.

use bytes::Bytes;
use daymark_model::{DERIVED_WINDOW_NS, UnixNanos};

use crate::{DecodeError, TimeBounds, decode, proto};

/// The parts of a batch, borrowed from its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchView<'a> {
    /// An `ExportTraceServiceRequest`.
    pub traces: Option<&'a [u8]>,
    /// An `ExportLogsServiceRequest`.
    pub logs: Option<&'a [u8]>,
    /// An `ExportMetricsServiceRequest`.
    pub metrics: Option<&'a [u8]>,
    /// The latest time that the agent let an item have.
    pub latest: Option<UnixNanos>,
    /// Series derived from its spans or events: [`crate::walk_derived`] reads them.
    pub derived: Option<&'a [u8]>,
}

impl<'a> BatchView<'a> {
    /// Splits a batch into its parts without decoding them.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not a `Batch` or a part occurs twice.
    pub fn parse(bytes: &'a [u8]) -> Result<BatchView<'a>, DecodeError> {
        let mut batch = BatchView::default();
        let mut latest: Option<&[u8]> = None;
        decode::messages(bytes, |number, part| {
            let slot = match number {
                1 => &mut batch.traces,
                2 => &mut batch.logs,
                3 => &mut batch.metrics,
                4 => &mut latest,
                5 => &mut batch.derived,
                _ => return true,
            };
            slot.replace(part).is_none()
        })?;
        batch.latest = latest.and_then(|bytes| bytes.try_into().ok()).map(|bytes| UnixNanos(u64::from_le_bytes(bytes)));
        Ok(batch)
    }

    /// Times that items of a batch received at `received` may have: those that its agent let pass, or, without an agent's
    /// word, those that a request can hold on arrival.
    pub fn bounds(&self, received: UnixNanos, max_future_ms: u64) -> TimeBounds {
        self.latest.map_or_else(|| TimeBounds::on_arrival(received, max_future_ms), TimeBounds::until)
    }

    /// Times that points of its metrics may have: derived ones end after the items they count.
    pub fn point_bounds(&self, received: UnixNanos, max_future_ms: u64) -> TimeBounds {
        let bounds = self.bounds(received, max_future_ms);
        let derived = self.derived.is_some() || self.traces.is_some() || self.logs.is_some();
        if derived { TimeBounds::until(bounds.latest.plus(DERIVED_WINDOW_NS)) } else { bounds }
    }
}

/// Writes a batch; parts that are `None` are left out.
pub fn encode_batch(batch: &BatchView<'_>) -> Bytes {
    let latest = batch.latest.map(|latest| latest.0.to_le_bytes());
    let latest = latest.as_ref().map(|bytes| &bytes[..]);
    let parts = [(1, batch.traces), (2, batch.logs), (3, batch.metrics), (4, latest), (5, batch.derived)];
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
        let whole = BatchView {
            traces: Some(b"t"),
            logs: None,
            metrics: Some(b""),
            latest: Some(UnixNanos(7)),
            derived: Some(b"d"),
        };
        for batch in [BatchView::default(), whole] {
            assert_eq!(BatchView::parse(&encode_batch(&batch)).unwrap(), batch);
        }
        let batch = BatchView { traces: Some(b"t"), logs: Some(b"l"), ..BatchView::default() };
        let later = [&encode_batch(&batch)[..], &[0x80, 1, 1]].concat();
        assert_eq!(BatchView::parse(&later).unwrap(), batch);
        let required = [&encode_batch(&batch)[..], &[0x78, 1]].concat();
        assert_eq!(BatchView::parse(&required).unwrap_err().problem, Problem::UnknownPart { number: 15 });
    }

    #[test]
    fn the_agent_has_the_word_on_times() {
        let received = UnixNanos::from_seconds(2_000_000_000);
        let judged = BatchView { traces: Some(b""), latest: Some(UnixNanos::from_seconds(1)), ..BatchView::default() };
        assert_eq!(judged.bounds(received, 1_000).latest, UnixNanos::from_seconds(1));
        assert_eq!(judged.point_bounds(received, 1_000).latest, UnixNanos::from_seconds(11));
        let own = BatchView { metrics: Some(b""), ..BatchView::default() };
        assert_eq!(own.bounds(received, 1_000).latest, UnixNanos::from_seconds(2_000_000_001));
        assert_eq!(own.point_bounds(received, 1_000), own.bounds(received, 1_000));
    }

    #[test]
    fn broken_batches_are_refused() {
        let twice = encode_batch(&BatchView { traces: Some(b"t"), ..BatchView::default() }).repeat(2);
        let error = BatchView::parse(&twice).unwrap_err();
        assert_eq!((error.problem, error.position), (Problem::Repeated, 3));
        assert_eq!(BatchView::parse(&[0x0a, 5, 1]).unwrap_err().problem, Problem::Truncated);
        assert!(matches!(BatchView::parse(&[0x08, 5]).unwrap_err().problem, Problem::WireType { .. }));
    }
}
