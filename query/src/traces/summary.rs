//! The row of a trace in lists and above its spans.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, FixedSizeBinaryArray, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use daymark_model::TraceId;
use serde::Serialize;

use super::span::SpanRow;
use crate::QueryError;
use crate::rows::{ids, lists, longs, strings, text, texts};
use crate::time::format_time;

/// What is known about a trace as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct TraceSummary {
    pub(crate) trace_id: TraceId,
    root_service: Option<String>,
    root_name: Option<String>,
    start_time: String,
    #[serde(serialize_with = "as_text")]
    pub(crate) start_time_unix_nano: i64,
    pub(crate) duration_ns: i64,
    span_count: i64,
    error_count: i64,
    services: Vec<String>,
    pub(crate) correlation_ids: Vec<String>,
    state: String,
    version: i64,
    /// Start and duration as the senders' clocks had them.
    #[serde(serialize_with = "as_text")]
    pub(crate) raw_start_time_unix_nano: i64,
    pub(crate) raw_duration_ns: i64,
    /// The largest correction of a clock; none without correction.
    clock_offset_ns: Option<i64>,
    /// Spans that state, corrections and the figures below are of.
    analysed_spans: Option<i64>,
    by_service: Vec<ServiceFigures>,
}

/// What one service contributes to a trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct ServiceFigures {
    service: String,
    self_time_ns: i64,
    critical_path_ns: i64,
    clock_offset_ns: i64,
}

fn as_text<S: serde::Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// The columns of a batch of `traces` that searches look at.
pub(crate) struct TraceColumns<'a> {
    trace_id: &'a FixedSizeBinaryArray,
    root_service: &'a StringArray,
    root_name: &'a StringArray,
    start: &'a Int64Array,
    duration: &'a Int64Array,
    spans: &'a Int64Array,
    errors: &'a Int64Array,
    services: &'a ListArray,
    correlation_ids: &'a ListArray,
    state: &'a StringArray,
    version: &'a Int64Array,
    /// Columns that segments of older versions lack.
    later: [Option<&'a Int64Array>; 4],
    figures: [Option<&'a ListArray>; 3],
}

impl<'a> TraceColumns<'a> {
    pub(crate) fn of(batch: &'a RecordBatch) -> Result<TraceColumns<'a>, QueryError> {
        Ok(TraceColumns {
            trace_id: ids(batch, "trace_id")?,
            root_service: strings(batch, "root_service")?,
            root_name: strings(batch, "root_name")?,
            start: longs(batch, "start_time_unix_nano")?,
            duration: longs(batch, "duration_ns")?,
            spans: longs(batch, "span_count")?,
            errors: longs(batch, "error_count")?,
            services: lists(batch, "services")?,
            correlation_ids: lists(batch, "correlation_ids")?,
            state: strings(batch, "state")?,
            version: longs(batch, "version")?,
            later: ["raw_start_time_unix_nano", "raw_duration_ns", "clock_offset_ns", "analysed_spans"]
                .map(|name| longs(batch, name).ok()),
            figures: ["service_self_ns", "service_critical_ns", "service_clock_offset_ns"]
                .map(|name| lists(batch, name).ok()),
        })
    }

    pub(crate) fn trace_id(&self, row: usize) -> TraceId {
        TraceId::from_slice(self.trace_id.value(row)).unwrap_or_default()
    }

    pub(crate) fn start_ns(&self, row: usize) -> i64 {
        self.start.value(row)
    }

    pub(crate) fn duration_ns(&self, row: usize) -> i64 {
        self.duration.value(row)
    }

    pub(crate) fn has_errors(&self, row: usize) -> bool {
        self.errors.value(row) > 0
    }

    pub(crate) fn version(&self, row: usize) -> i64 {
        self.version.value(row)
    }

    pub(crate) fn has_service(&self, row: usize, service: &str) -> bool {
        texts(self.services, row).iter().any(|name| name == service)
    }

    fn by_service(&self, services: &[String], row: usize) -> Vec<ServiceFigures> {
        let list = |at: usize| -> Option<Int64Array> {
            let list = self.figures[at].filter(|list| list.is_valid(row))?;
            list.value(row).as_primitive_opt::<Int64Type>().cloned()
        };
        let (Some(own), Some(critical)) = (list(0), list(1)) else { return Vec::new() };
        let offsets = list(2);
        let value = |list: &Int64Array, at: usize| if at < list.len() { list.value(at) } else { 0 };
        let figures = |(at, service): (usize, &String)| ServiceFigures {
            service: service.clone(),
            self_time_ns: value(&own, at),
            critical_path_ns: value(&critical, at),
            clock_offset_ns: offsets.as_ref().map_or(0, |offsets| value(offsets, at)),
        };
        services.iter().enumerate().map(figures).collect()
    }

    pub(crate) fn summary(&self, row: usize) -> TraceSummary {
        let services = texts(self.services, row);
        let later = |at: usize| self.later[at].filter(|column| column.is_valid(row)).map(|column| column.value(row));
        TraceSummary {
            trace_id: self.trace_id(row),
            root_service: text(self.root_service, row).map(str::to_owned),
            root_name: text(self.root_name, row).map(str::to_owned),
            start_time: format_time(self.start.value(row)),
            start_time_unix_nano: self.start.value(row),
            duration_ns: self.duration.value(row),
            span_count: self.spans.value(row),
            error_count: self.errors.value(row),
            by_service: self.by_service(&services, row),
            services,
            correlation_ids: texts(self.correlation_ids, row),
            state: self.state.value(row).to_owned(),
            version: self.version.value(row),
            raw_start_time_unix_nano: later(0).unwrap_or(self.start.value(row)),
            raw_duration_ns: later(1).unwrap_or(self.duration.value(row)),
            clock_offset_ns: later(2),
            analysed_spans: later(3),
        }
    }
}

impl TraceSummary {
    /// A trace whose row is not written yet, from its spans. `None` without spans.
    pub(crate) fn of_spans(trace_id: TraceId, spans: &[SpanRow]) -> Option<TraceSummary> {
        let start = spans.iter().map(|span| span.start_ns).min()?;
        let end = spans.iter().map(|span| span.start_ns.saturating_add(span.duration_ns)).max()?;
        let root = spans.iter().find(|span| span.parent_span_id.is_none());
        let services: BTreeSet<String> = spans.iter().map(|span| span.service_name.clone()).collect();
        let correlation_ids: BTreeSet<String> = spans.iter().filter_map(|span| span.correlation_id.clone()).collect();
        Some(TraceSummary {
            trace_id,
            root_service: root.map(|span| span.service_name.clone()),
            root_name: root.map(|span| span.name.clone()),
            start_time: format_time(start),
            start_time_unix_nano: start,
            duration_ns: end.saturating_sub(start),
            span_count: spans.len() as i64,
            error_count: spans.iter().filter(|span| span.is_error()).count() as i64,
            services: services.into_iter().collect(),
            correlation_ids: correlation_ids.into_iter().collect(),
            state: "open".to_owned(),
            version: 0,
            raw_start_time_unix_nano: start,
            raw_duration_ns: end.saturating_sub(start),
            clock_offset_ns: None,
            analysed_spans: None,
            by_service: Vec::new(),
        })
    }
}
