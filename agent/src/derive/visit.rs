//! Visitors that turn spans and events into observations.

use daymark_model::UnixNanos;
use daymark_wire::decode::{LogView, LogVisitor, ResourceView, SpanView, TraceVisitor};
use daymark_wire::events;

use super::series::{Exemplar, Observation, STATUS_ERROR, SeriesMap};

/// Texts of the current resource, copied so that they outlive the call; the buffer is reused.
struct Service(String);

impl Service {
    fn set(&mut self, resource: &ResourceView<'_, '_>) {
        self.0.clear();
        self.0.push_str(resource.service_name);
    }
}

/// Records the duration of every span.
pub(crate) struct SpanDurations<'m> {
    series: &'m mut SeriesMap,
    service: Service,
}

impl<'m> SpanDurations<'m> {
    pub(crate) fn new(series: &'m mut SeriesMap) -> SpanDurations<'m> {
        SpanDurations { series, service: Service(String::new()) }
    }
}

impl TraceVisitor for SpanDurations<'_> {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.service.set(resource);
    }

    fn span(&mut self, span: &SpanView<'_, '_>) {
        self.series.record(&Observation {
            service: &self.service.0,
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
    service: Service,
    /// Time of events that have none.
    arrived: UnixNanos,
}

impl<'m> EventDurations<'m> {
    pub(crate) fn new(series: &'m mut SeriesMap, arrived: UnixNanos) -> EventDurations<'m> {
        EventDurations { series, service: Service(String::new()), arrived }
    }
}

impl LogVisitor for EventDurations<'_> {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.service.set(resource);
    }

    fn log(&mut self, log: &LogView<'_, '_>) {
        let Some(value_ns) = events::duration_ns(log) else { return };
        let status = match events::status(log) {
            "ok" => 1,
            "error" => STATUS_ERROR,
            _ => 0,
        };
        let end = log.event_time().unwrap_or(self.arrived);
        self.series.record(&Observation {
            service: &self.service.0,
            name: log.event_name,
            kind: 0,
            status,
            value_ns,
            exemplar: Exemplar { end, trace_id: log.trace_id, span_id: log.span_id },
        });
    }
}
