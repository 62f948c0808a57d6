//! What the spans of a trace tell together: corrected times, self time, critical path.
//!
//! The same code as the stitcher's, over the spans that were read, so that the figures of a view and of the trace's row
//! agree unless the row is older or truncated.

use std::collections::HashMap;

use daymark_trace::{Analysis, CLOCK_KEYS, Kind, Span, clock_of};
use serde_json::Value;

use super::span::SpanRow;

/// Fills in the figures of each span.
pub(crate) fn add(rows: &mut [SpanRow]) {
    let mut services: HashMap<String, u16> = HashMap::new();
    let mut spans = Vec::with_capacity(rows.len());
    for row in &*rows {
        let next = u16::try_from(services.len()).unwrap_or(u16::MAX);
        let service = *services.entry(row.service_name.clone()).or_insert(next);
        spans.push(span_of(row, service));
    }
    let mut analysis = Analysis::default();
    analysis.of(&spans);
    for (row, span) in rows.iter_mut().zip(&spans) {
        let Some(at) = analysis.find(span.id) else { continue };
        row.corrected_start_ns = analysis.interval(at).0 as i64;
        row.clock_offset_ns = analysis.offset_ns(at);
        row.self_time_ns = analysis.self_ns(at);
        row.critical_path_ns = analysis.critical_ns(at);
    }
}

fn span_of(row: &SpanRow, service: u16) -> Span {
    let id = |hex: &str| u64::from_str_radix(hex, 16).unwrap_or(0);
    let attribute = |key| row.resource_attributes.get(key).and_then(Value::as_str).filter(|value| !value.is_empty());
    let clock = CLOCK_KEYS.into_iter().find_map(attribute).unwrap_or(&row.service_name);
    Span {
        id: id(&row.span_id),
        parent: row.parent_span_id.as_deref().map_or(0, id),
        start: row.start_ns.max(0) as u64,
        duration: row.duration_ns.max(0) as u64,
        clock: clock_of(clock),
        service,
        kind: Kind::parse(&row.kind),
        marks: if row.is_error() { Span::ERROR } else { 0 },
        ..Span::default()
    }
}
