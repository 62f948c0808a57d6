//! A span as the API shows it.

use arrow::array::RecordBatch;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::QueryError;
use crate::attributes::attributes_json;
use crate::rows::{hex, ids, longs, maps, strings, text};

/// One span.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SpanRow {
    pub(crate) span_id: String,
    pub(crate) parent_span_id: Option<String>,
    pub(crate) service_name: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    #[serde(rename = "start_time_unix_nano", serialize_with = "as_text")]
    pub(crate) start_ns: i64,
    pub(crate) duration_ns: i64,
    /// The start with the clock's error taken out.
    #[serde(rename = "corrected_start_time_unix_nano", serialize_with = "as_text")]
    pub(crate) corrected_start_ns: i64,
    /// What was added to the times of the span for that.
    pub(crate) clock_offset_ns: i64,
    /// Duration less the time in which children ran.
    pub(crate) self_time_ns: u64,
    /// Its own part of the trace's critical path.
    pub(crate) critical_path_ns: u64,
    status: String,
    status_message: Option<String>,
    scope_name: Option<String>,
    pub(crate) correlation_id: Option<String>,
    attributes: Map<String, Value>,
    pub(crate) resource_attributes: Map<String, Value>,
    events: Value,
    links: Value,
}

fn as_text<S: serde::Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl SpanRow {
    pub(crate) fn is_error(&self) -> bool {
        self.status == "error"
    }

    /// All spans of a batch that has every column of `spans`.
    pub(crate) fn all_of(batch: &RecordBatch) -> Result<Vec<SpanRow>, QueryError> {
        let (span_id, parent) = (ids(batch, "span_id")?, ids(batch, "parent_span_id")?);
        let [service, name, kind, status] =
            ["service_name", "name", "kind", "status"].map(|column| strings(batch, column));
        let (service, name, kind, status) = (service?, name?, kind?, status?);
        let [message, scope, correlation, events, links] =
            ["status_message", "scope_name", "correlation_id", "events", "links"].map(|column| strings(batch, column));
        let (message, scope, correlation, events, links) = (message?, scope?, correlation?, events?, links?);
        let (start, duration) = (longs(batch, "start_time_unix_nano")?, longs(batch, "duration_ns")?);
        let (own, own_types) = (maps(batch, "attributes")?, strings(batch, "attribute_types")?);
        let resource = maps(batch, "resource_attributes")?;
        let resource_types = strings(batch, "resource_attribute_types")?;
        let span = |row| SpanRow {
            span_id: hex(span_id, row).unwrap_or_default(),
            parent_span_id: hex(parent, row),
            service_name: service.value(row).to_owned(),
            name: name.value(row).to_owned(),
            kind: kind.value(row).to_owned(),
            start_ns: start.value(row),
            duration_ns: duration.value(row),
            corrected_start_ns: start.value(row),
            clock_offset_ns: 0,
            self_time_ns: 0,
            critical_path_ns: 0,
            status: status.value(row).to_owned(),
            status_message: text(message, row).map(str::to_owned),
            scope_name: text(scope, row).map(str::to_owned),
            correlation_id: text(correlation, row).map(str::to_owned),
            attributes: attributes_json(own, own_types, row),
            resource_attributes: attributes_json(resource, resource_types, row),
            events: json_list(text(events, row)),
            links: json_list(text(links, row)),
        };
        Ok((0..batch.num_rows()).map(span).collect())
    }
}

/// The stored JSON list; what is absent or no JSON list is an empty one.
fn json_list(text: Option<&str>) -> Value {
    let stored = text.and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
    Value::Array(stored.unwrap_or_default())
}
