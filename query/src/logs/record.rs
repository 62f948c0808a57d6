//! A log record as the API shows it.

use arrow::array::{Array, RecordBatch};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::QueryError;
use crate::attributes::attributes_json;
use crate::rows::{hex, ids, ints, longs, maps, strings, text};
use crate::time::format_time;

/// The columns [`LogRecord::all_of`] needs.
pub(crate) const COLUMNS: &[&str] = &[
    "time_unix_nano",
    "service_name",
    "severity",
    "severity_number",
    "body",
    "event_name",
    "trace_id",
    "span_id",
    "correlation_id",
    "scope_name",
    "attributes",
    "attribute_types",
    "resource_attributes",
    "resource_attribute_types",
    "log_offset",
];

/// One log record or work-unit event.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct LogRecord {
    time: String,
    #[serde(rename = "time_unix_nano", serialize_with = "as_text")]
    pub(crate) time_ns: i64,
    pub(crate) service_name: String,
    pub(crate) severity: String,
    severity_number: i32,
    body: String,
    event_name: Option<String>,
    trace_id: Option<String>,
    span_id: Option<String>,
    correlation_id: Option<String>,
    scope_name: Option<String>,
    pub(crate) attributes: Map<String, Value>,
    resource_attributes: Map<String, Value>,
    #[serde(skip)]
    pub(crate) log_offset: i64,
}

fn as_text<S: serde::Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl LogRecord {
    #[cfg(test)]
    pub(super) fn sample(service: &str, severity: &str, attributes: Map<String, Value>) -> LogRecord {
        let (service_name, severity) = (service.to_owned(), severity.to_owned());
        LogRecord { service_name, severity, attributes, ..LogRecord::default() }
    }

    /// All records of a batch that has [`COLUMNS`].
    pub(crate) fn all_of(batch: &RecordBatch) -> Result<Vec<LogRecord>, QueryError> {
        let (time, log_offset) = (longs(batch, "time_unix_nano")?, longs(batch, "log_offset")?);
        let (service, severity) = (strings(batch, "service_name")?, strings(batch, "severity")?);
        let (severity_number, body) = (ints(batch, "severity_number")?, strings(batch, "body")?);
        let (event, correlation) = (strings(batch, "event_name")?, strings(batch, "correlation_id")?);
        let (trace_id, span_id) = (ids(batch, "trace_id")?, ids(batch, "span_id")?);
        let scope = strings(batch, "scope_name")?;
        let (own, own_types) = (maps(batch, "attributes")?, strings(batch, "attribute_types")?);
        let resource = maps(batch, "resource_attributes")?;
        let resource_types = strings(batch, "resource_attribute_types")?;
        let record = |row| LogRecord {
            time: format_time(time.value(row)),
            time_ns: time.value(row),
            service_name: service.value(row).to_owned(),
            severity: severity.value(row).to_owned(),
            severity_number: if severity_number.is_null(row) { 0 } else { severity_number.value(row) },
            body: body.value(row).to_owned(),
            event_name: text(event, row).map(str::to_owned),
            trace_id: hex(trace_id, row),
            span_id: hex(span_id, row),
            correlation_id: text(correlation, row).map(str::to_owned),
            scope_name: text(scope, row).map(str::to_owned),
            attributes: attributes_json(own, own_types, row),
            resource_attributes: attributes_json(resource, resource_types, row),
            log_offset: log_offset.value(row),
        };
        Ok((0..batch.num_rows()).map(record).collect())
    }
}
