//! Visitors that turn spans and events into observations.

use daymark_model::UnixNanos;
use daymark_wire::decode::{LogView, LogVisitor, ResourceView, SpanView, TraceVisitor};
use daymark_wire::events;

use super::series::{Exemplar, Observation, STATUS_ERROR, SeriesMap};

/// What is kept of the current resource; the buffer is reused.
#[derive(Default)]
struct Current {
    service: String,
    bytes: u64,
    /// Bytes of resource attributes so far, repeated for every item.
    expanded_bytes: u64,
}

impl Current {
    fn set(&mut self, resource: &ResourceView<'_, '_>) {
        self.service.clear();
        self.service.push_str(resource.service_name);
        self.bytes = resource.raw.len() as u64;
    }

    fn item(&mut self) {
        self.expanded_bytes += self.bytes;
    }
}

/// Records the duration of every span.
pub(crate) struct SpanDurations<'m> {
    series: &'m mut SeriesMap,
    current: Current,
}

impl<'m> SpanDurations<'m> {
    pub(crate) fn new(series: &'m mut SeriesMap) -> SpanDurations<'m> {
        SpanDurations { series, current: Current::default() }
    }

    /// Bytes of resource attributes, repeated for every item seen.
    pub(crate) fn expanded_bytes(&self) -> u64 {
        self.current.expanded_bytes
    }
}

impl TraceVisitor for SpanDurations<'_> {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.current.set(resource);
    }

    fn span(&mut self, span: &SpanView<'_, '_>) {
        self.current.item();
        self.series.record(&Observation {
            service: &self.current.service,
            name: span.name,
            kind: span.kind,
            status: span.status_code,
            value_ns: span.duration_ns(),
            exemplar: Exemplar { end: span.end, trace_id: Some(span.trace_id), span_id: Some(span.span_id) },
        });
    }
}

/// Records the duration of every event that has one.
pub(crate) struct EventDurations<'m> {
    series: &'m mut SeriesMap,
    current: Current,
    /// Time of events that have none.
    arrived: UnixNanos,
}

impl<'m> EventDurations<'m> {
    pub(crate) fn new(series: &'m mut SeriesMap, arrived: UnixNanos) -> EventDurations<'m> {
        EventDurations { series, current: Current::default(), arrived }
    }

    /// Bytes of resource attributes, repeated for every item seen.
    pub(crate) fn expanded_bytes(&self) -> u64 {
        self.current.expanded_bytes
    }
}

impl LogVisitor for EventDurations<'_> {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.current.set(resource);
    }

    fn log(&mut self, log: &LogView<'_, '_>) {
        self.current.item();
        let Some(value_ns) = events::duration_ns(log) else { return };
        let status = match events::status(log) {
            "ok" => 1,
            "error" => STATUS_ERROR,
            _ => 0,
        };
        let end = log.event_time().unwrap_or(self.arrived);
        self.series.record(&Observation {
            service: &self.current.service,
            name: log.event_name,
            kind: 0,
            status,
            value_ns,
            exemplar: Exemplar { end, trace_id: log.trace_id, span_id: log.span_id },
        });
    }
}
