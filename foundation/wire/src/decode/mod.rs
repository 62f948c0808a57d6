//! One pass over OTLP protobuf bytes, straight into views: no object tree, no allocation per item.
//!
//! Where it sits: the agent checks and derives with it before it sends; the collector fills its columns with it.
//! `prost` decodes the same bytes in the tests and must see the same.
//!
//! Invariants:
//! - bytes that prost refuses are refused; the few that only we refuse have a [`Problem`](crate::Problem) that says
//!   why (groups, repeated singular messages);
//! - what is wrong with one item alone costs that item and not its request: text that is not UTF-8, nesting beyond
//!   [`VALUE_DEPTH_MAX`], lists beyond [`DecodeLimits`]; in a resource or a scope it costs the request;
//! - a view is fully validated when a visitor sees it: iterating it cannot fail;
//! - a visitor sees a resource before its scopes and a scope before its items, whatever the order on the wire;
//! - after an error the visitor may have seen items already: whoever uses them drops what it built.

mod answers;
mod attributes;
mod envelope;
mod json_text;
mod logs;
mod metrics;
mod packed;
mod points;
mod reasons;
mod tally;
mod traces;
mod view;
mod wire;

pub(crate) use answers::{partial_success, status_message};
pub use attributes::{KeyValues, VALUE_DEPTH_MAX, Value};
use daymark_model::Signal;
pub use packed::{Doubles, Fixed64s, Varints};
pub use reasons::Reasons;
pub use tally::TimeBounds;
pub use view::{
    Buckets, EventView, Events, ExemplarView, Exemplars, ExponentialView, HistogramView, LinkView, Links, LogView,
    MetricKind, MetricView, Number, PointValue, PointView, ResourceView, ScopeView, SpanView, SummaryView, Temporality,
};
pub(crate) use wire::varint;
pub(crate) use wire::{Fields, Parse};

use crate::DecodeError;

/// Caps on the content of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Items (spans, log records, data points) in one request.
    pub max_items: u64,
    /// Entries of one list of one item (attributes, events, links, exemplars, quantiles).
    pub max_list: usize,
    /// Times that items may have.
    pub times: TimeBounds,
}

impl DecodeLimits {
    /// What the walkers themselves bear: above any configured limit.
    pub const CEILING: DecodeLimits = DecodeLimits { max_items: u64::MAX, max_list: 65_536, times: TimeBounds::ANY };

    /// [`DecodeLimits::CEILING`] for items with times within `times`.
    pub const fn at(times: TimeBounds) -> DecodeLimits {
        DecodeLimits { times, ..DecodeLimits::CEILING }
    }

    /// No list limit beyond what the walkers bear.
    fn capped(self) -> DecodeLimits {
        DecodeLimits { max_list: self.max_list.min(DecodeLimits::CEILING.max_list), ..self }
    }
}

impl Default for DecodeLimits {
    fn default() -> DecodeLimits {
        DecodeLimits { max_items: 500_000, max_list: 4_096, times: TimeBounds::ANY }
    }
}

/// What a walk has met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// All items: visited and rejected.
    pub items: u64,
    /// Items that the visitor did not see, because their ids, times or values are invalid.
    pub rejected: u64,
    /// Why they were rejected.
    pub reasons: Reasons,
}

/// Sees the content of an `ExportTraceServiceRequest` in order.
pub trait TraceVisitor {
    /// A resource begins; the spans until the next call belong to it.
    fn resource(&mut self, _resource: &ResourceView<'_, '_>) {}
    /// A scope of the current resource begins.
    fn scope(&mut self, _scope: &ScopeView<'_, '_>) {}
    /// A valid span of the current scope.
    fn span(&mut self, span: &SpanView<'_, '_>);
}

/// Sees the content of an `ExportLogsServiceRequest` in order.
pub trait LogVisitor {
    /// A resource begins; the records until the next call belong to it.
    fn resource(&mut self, _resource: &ResourceView<'_, '_>) {}
    /// A scope of the current resource begins.
    fn scope(&mut self, _scope: &ScopeView<'_, '_>) {}
    /// A valid log record of the current scope.
    fn log(&mut self, log: &LogView<'_, '_>);
}

/// Sees the content of an `ExportMetricsServiceRequest` in order.
pub trait MetricVisitor {
    /// A resource begins; the metrics until the next call belong to it.
    fn resource(&mut self, _resource: &ResourceView<'_, '_>) {}
    /// A scope of the current resource begins.
    fn scope(&mut self, _scope: &ScopeView<'_, '_>) {}
    /// A metric of the current scope begins; the points until the next call belong to it.
    fn metric(&mut self, metric: &MetricView<'_, '_>);
    /// A valid data point of the current metric.
    fn point(&mut self, point: &PointView<'_, '_>);
}

/// Walks an `ExportTraceServiceRequest`.
///
/// # Errors
/// [`DecodeError`] when the bytes are not that message.
pub fn walk_traces(payload: &[u8], visitor: &mut impl TraceVisitor) -> Result<Walked, DecodeError> {
    walk_traces_within(payload, visitor, DecodeLimits::CEILING)
}

/// As [`walk_traces`], within `limits`.
///
/// # Errors
/// [`DecodeError`] when the bytes are not that message or pass a limit.
pub fn walk_traces_within(
    payload: &[u8],
    visitor: &mut impl TraceVisitor,
    limits: DecodeLimits,
) -> Result<Walked, DecodeError> {
    let mut items = traces::TraceItems::new(visitor, limits.capped());
    envelope::walk(payload, &mut items).map_err(|fault| fault.locate(payload))?;
    Ok(items.tally.walked)
}

/// Walks an `ExportLogsServiceRequest`.
///
/// # Errors
/// [`DecodeError`] when the bytes are not that message.
pub fn walk_logs(payload: &[u8], visitor: &mut impl LogVisitor) -> Result<Walked, DecodeError> {
    walk_logs_within(payload, visitor, DecodeLimits::CEILING)
}

/// As [`walk_logs`], within `limits`.
///
/// # Errors
/// [`DecodeError`] when the bytes are not that message or pass a limit.
pub fn walk_logs_within(
    payload: &[u8],
    visitor: &mut impl LogVisitor,
    limits: DecodeLimits,
) -> Result<Walked, DecodeError> {
    let mut items = logs::LogItems::new(visitor, limits.capped());
    envelope::walk(payload, &mut items).map_err(|fault| fault.locate(payload))?;
    Ok(items.tally.walked)
}

/// Walks an `ExportMetricsServiceRequest`. Items are data points.
///
/// # Errors
/// [`DecodeError`] when the bytes are not that message.
pub fn walk_metrics(payload: &[u8], visitor: &mut impl MetricVisitor) -> Result<Walked, DecodeError> {
    walk_metrics_within(payload, visitor, DecodeLimits::CEILING)
}

/// As [`walk_metrics`], within `limits`.
///
/// # Errors
/// [`DecodeError`] when the bytes are not that message or pass a limit.
pub fn walk_metrics_within(
    payload: &[u8],
    visitor: &mut impl MetricVisitor,
    limits: DecodeLimits,
) -> Result<Walked, DecodeError> {
    let mut items = metrics::MetricItems::new(visitor, limits.capped());
    envelope::walk(payload, &mut items).map_err(|fault| fault.locate(payload))?;
    Ok(items.tally.walked)
}

/// Validates an export request of `signal` and counts its items, within `limits`.
///
/// # Errors
/// [`DecodeError`] when the bytes are not that message or pass a limit.
pub fn check(signal: Signal, payload: &[u8], limits: &DecodeLimits) -> Result<Walked, DecodeError> {
    match signal {
        Signal::Traces => walk_traces_within(payload, &mut Unseen, *limits),
        Signal::Logs => walk_logs_within(payload, &mut Unseen, *limits),
        Signal::Metrics => walk_metrics_within(payload, &mut Unseen, *limits),
    }
}

/// Looks at nothing.
struct Unseen;

impl TraceVisitor for Unseen {
    fn span(&mut self, _span: &SpanView<'_, '_>) {}
}

impl LogVisitor for Unseen {
    fn log(&mut self, _log: &LogView<'_, '_>) {}
}

impl MetricVisitor for Unseen {
    fn metric(&mut self, _metric: &MetricView<'_, '_>) {}
    fn point(&mut self, _point: &PointView<'_, '_>) {}
}

/// Calls `part` with the number and content of every field of a message whose fields 1 to 3 are bytes; other fields
/// are skipped. `part` returns false when the field must not occur again.
/// Parts of a batch up to this number must be understood; later ones may be skipped.
const LAST_REQUIRED_PART: u32 = 15;

pub(crate) fn messages<'a>(payload: &'a [u8], mut part: impl FnMut(u32, &'a [u8]) -> bool) -> Result<(), DecodeError> {
    let mut read = || {
        let mut fields = Fields::of(payload);
        while let Some(field) = fields.next()? {
            let name = ["traces", "logs", "metrics", "latest", "derived"].get(field.number as usize - 1);
            let Some(name) = name else {
                if field.number <= LAST_REQUIRED_PART {
                    return Err(field.fault("batch", crate::Problem::UnknownPart { number: field.number }));
                }
                continue;
            };
            if !part(field.number, field.bytes(name)?) {
                return Err(field.fault(name, crate::Problem::Repeated));
            }
        }
        Ok(())
    };
    read().map_err(|fault: Box<wire::Fault>| fault.locate(payload))
}

#[cfg(test)]
mod tests;
