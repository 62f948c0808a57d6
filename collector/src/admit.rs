//! Admit: decides whether a request is well-formed and what it holds, before anything of it is kept.
//!
//! Where it sits: first stage of the pipeline; what passes here is appended to the log as it came.
//!
//! Invariants:
//! - what passes decodes again when it is applied: same walkers, same bytes;
//! - items that will not be stored are counted here, with a reason, and the applier leaves out the same ones;
//! - repeating resource attributes on every row cannot blow a small request up beyond `max_expanded_bytes`.

use daymark_log::FrameKind;
use daymark_model::{DERIVED_WINDOW_NS, Refusal, Signal, UnixNanos};
use daymark_sketch::Sketch;
use daymark_wire::decode::{
    LogView, LogVisitor, MetricView, MetricVisitor, PointView, ResourceView, SpanView, TraceVisitor,
};
use daymark_wire::{
    BatchView, Checked, DecodeError, DecodeLimits, DerivedView, Payload, Problem, Reasons, Walked, derived_fault,
    walk_derived, walk_logs_within, walk_metrics_within, walk_traces_within,
};

use crate::CollectorOptions;
use crate::rollup::unsupported;

/// What a well-formed request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) kind: FrameKind,
    /// Items per signal, in the order of [`Signal::ALL`].
    pub(crate) items: [u64; 3],
    /// Those of them that will not be stored.
    pub(crate) rejected: [u64; 3],
    /// Why they will not.
    pub(crate) reasons: Reasons,
}

/// Checks a request that was received at `received`, the instant that its frame will carry.
///
/// # Errors
/// [`Refusal`] of class `Reject` when it does not decode or passes a limit.
pub(crate) fn check(payload: &Payload, options: &CollectorOptions, received: UnixNanos) -> Result<Admitted, Refusal> {
    let bytes: &[u8] = payload.bytes();
    let (kind, parts) = match payload {
        Payload::Signal(Signal::Traces, _) => {
            (FrameKind::Traces, BatchView { traces: Some(bytes), ..BatchView::default() })
        }
        Payload::Signal(Signal::Logs, _) => (FrameKind::Logs, BatchView { logs: Some(bytes), ..BatchView::default() }),
        Payload::Signal(Signal::Metrics, _) => {
            (FrameKind::Metrics, BatchView { metrics: Some(bytes), ..BatchView::default() })
        }
        Payload::Batch(_) => (FrameKind::Batch, BatchView::parse(bytes)?),
    };
    let (limits, point_limits) = limits_of(&parts, options, received);
    let mut census = Census::default();
    let mut admitted = Admitted { kind, items: [0; 3], rejected: [0; 3], reasons: Reasons::default() };
    let mut walk = |signal: Signal, walked: Result<Walked, DecodeError>| -> Result<(), Refusal> {
        let walked = walked?;
        admitted.items[signal as usize] = walked.items;
        admitted.rejected[signal as usize] = walked.rejected;
        admitted.reasons.merge(&walked.reasons);
        Ok(())
    };
    if let Some(traces) = parts.traces {
        walk(Signal::Traces, walk_traces_within(traces, &mut census, limits))?;
    }
    if let Some(logs) = parts.logs {
        walk(Signal::Logs, walk_logs_within(logs, &mut census, limits))?;
    }
    if let Some(metrics) = parts.metrics {
        walk(Signal::Metrics, walk_metrics_within(metrics, &mut census, point_limits))?;
    }
    if let Some(derived) = parts.derived {
        admitted.items[Signal::Metrics as usize] += walk_sketches(derived, point_limits, |_, _| {})?;
    }
    admitted.rejected[Signal::Metrics as usize] += census.unsupported.total();
    admitted.reasons.merge(&census.unsupported);
    within_limits(admitted, census.expanded_bytes, options)
}

/// As [`check`], for a batch that an agent in this process has walked within the same limits.
///
/// # Errors
/// As [`check`].
pub(crate) fn take(checked: &Checked, options: &CollectorOptions) -> Result<Admitted, Refusal> {
    let mut admitted =
        Admitted { kind: FrameKind::Batch, items: [0; 3], rejected: [0; 3], reasons: checked.walked.reasons };
    admitted.items[checked.signal as usize] = checked.walked.items;
    admitted.rejected[checked.signal as usize] = checked.walked.rejected;
    admitted.items[Signal::Metrics as usize] += checked.series;
    within_limits(admitted, checked.expanded_bytes, options)
}

fn within_limits(admitted: Admitted, expanded_bytes: u64, options: &CollectorOptions) -> Result<Admitted, Refusal> {
    limit("items", admitted.items.iter().sum(), options.max_items, "send smaller batches")?;
    limit(
        "bytes of resource attributes, repeated on every row",
        expanded_bytes,
        options.max_expanded_bytes,
        "send smaller batches or fewer resource attributes",
    )?;
    Ok(admitted)
}

/// Which items of a request received at `received` count, and which points of metrics; admission and the applier ask the
/// same question.
pub(crate) fn limits_of(
    parts: &BatchView<'_>,
    options: &CollectorOptions,
    received: UnixNanos,
) -> (DecodeLimits, DecodeLimits) {
    let limits = DecodeLimits::at(parts.bounds(received, options.max_future_ms));
    (limits, DecodeLimits::at(parts.point_bounds(received, options.max_future_ms)))
}

/// Shows every series that an agent derived, with its durations; returns how many there were.
///
/// # Errors
/// [`DecodeError`] when the bytes are not what an agent writes; series before are shown.
pub(crate) fn walk_sketches(
    derived: &[u8],
    limits: DecodeLimits,
    mut visit: impl FnMut(&DerivedView<'_>, &Sketch),
) -> Result<u64, DecodeError> {
    let mut wrong = None;
    let seen = walk_derived(derived, |view| match Sketch::decode_compact(view.distribution) {
        _ if wrong.is_some() => {}
        _ if view.window.plus(DERIVED_WINDOW_NS) > limits.times.latest => {
            wrong = Some((view.distribution, "a window is later than any item can be"));
        }
        Ok(sketch) if sketch.count() > 0 => visit(view, &sketch),
        _ => wrong = Some((view.distribution, "durations are not what an agent writes")),
    })?;
    let Some((at, problem)) = wrong else { return Ok(seen) };
    Err(derived_fault(at.as_ptr() as usize - derived.as_ptr() as usize, Problem::Derived(problem)))
}

fn limit(what: &str, got: u64, limit: u64, advice: &str) -> Result<(), Refusal> {
    if got > limit {
        let message = format!("the request holds {got} {what}; the limit is {limit}: {advice}");
        return Err(Refusal::reject("too_large", message));
    }
    Ok(())
}

/// Counts what the walkers do not.
#[derive(Default)]
struct Census {
    resource_bytes: u64,
    expanded_bytes: u64,
    unsupported: Reasons,
}

impl Census {
    fn begin(&mut self, resource: &ResourceView<'_, '_>) {
        self.resource_bytes = resource.raw.len() as u64;
    }

    fn item(&mut self) {
        self.expanded_bytes += self.resource_bytes;
    }
}

impl TraceVisitor for Census {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.begin(resource);
    }

    fn span(&mut self, _span: &SpanView<'_, '_>) {
        self.item();
    }
}

impl LogVisitor for Census {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.begin(resource);
    }

    fn log(&mut self, _log: &LogView<'_, '_>) {
        self.item();
    }
}

impl MetricVisitor for Census {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.begin(resource);
    }

    fn metric(&mut self, _metric: &MetricView<'_, '_>) {}

    fn point(&mut self, point: &PointView<'_, '_>) {
        self.item();
        if let Some(reason) = unsupported(point) {
            self.unsupported.add(reason, 1);
        }
    }
}
