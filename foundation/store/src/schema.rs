//! The tables and their Arrow schemas: the one place where columns are named.
//!
//! Invariants:
//! - `time` columns are microseconds UTC (Delta has no finer type), the exact time is in `*_unix_nano`;
//! - no column name differs from another by case alone, no unsigned 64 bit type, no `timestamp` without zone;
//! - maps use the Parquet standard names `key_value`, `key`, `value`, so other readers see a plain map;
//! - `log_offset` is the log frame a row came from: hot rows and published rows are told apart by it.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};

use crate::Resolution;

/// Width of the windows of `edges`, nanoseconds.
const EDGE_WINDOW_NS: u64 = 60_000_000_000;

/// A table. Each tenant has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableName {
    /// One row a span.
    Spans,
    /// One row a log record or work-unit event.
    Logs,
    /// One row a version of a stitched trace; the newest version counts.
    Traces,
    /// Mergeable fragments of metric series in 10 s windows.
    #[serde(rename = "metrics_10s")]
    Metrics10s,
    /// The same in 1 min windows.
    #[serde(rename = "metrics_1m")]
    Metrics1m,
    /// The same in windows of an hour.
    #[serde(rename = "metrics_1h")]
    Metrics1h,
    /// The same in windows of a day, from midnight UTC.
    #[serde(rename = "metrics_1d")]
    Metrics1d,
    /// What names the series of the metric tables: one row a series and day.
    Series,
    /// Mergeable fragments of calls between services in 1 min windows.
    Edges,
}

impl TableName {
    /// All tables, in a fixed order.
    pub const ALL: [TableName; 9] = [
        TableName::Spans,
        TableName::Logs,
        TableName::Traces,
        TableName::Metrics10s,
        TableName::Metrics1m,
        TableName::Metrics1h,
        TableName::Metrics1d,
        TableName::Series,
        TableName::Edges,
    ];

    /// The tables of metric windows, the finest first. They are fed together: each window is folded from the finest.
    pub const METRICS: [TableName; 4] =
        [TableName::Metrics10s, TableName::Metrics1m, TableName::Metrics1h, TableName::Metrics1d];

    /// Name in paths and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            TableName::Spans => "spans",
            TableName::Logs => "logs",
            TableName::Traces => "traces",
            TableName::Metrics10s => "metrics_10s",
            TableName::Metrics1m => "metrics_1m",
            TableName::Metrics1h => "metrics_1h",
            TableName::Metrics1d => "metrics_1d",
            TableName::Series => "series",
            TableName::Edges => "edges",
        }
    }

    /// The table of that name.
    pub fn parse(text: &str) -> Option<TableName> {
        TableName::ALL.into_iter().find(|table| table.as_str() == text)
    }

    /// Columns in order.
    pub fn schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<[SchemaRef; 6]> = LazyLock::new(|| {
            [spans(), logs(), traces(), metrics(), series(), edges()].map(|fields| Arc::new(Schema::new(fields)))
        });
        let at = match self {
            TableName::Spans => 0,
            TableName::Logs => 1,
            TableName::Traces => 2,
            TableName::Metrics10s | TableName::Metrics1m | TableName::Metrics1h | TableName::Metrics1d => 3,
            TableName::Series => 4,
            TableName::Edges => 5,
        };
        Arc::clone(&SCHEMAS[at])
    }

    /// The `timestamp` column (µs) that rows are pruned by.
    pub fn time_column(self) -> &'static str {
        match self {
            TableName::Spans | TableName::Traces => "start_time",
            _ => "time",
        }
    }

    /// The `bigint` column with the same time in nanoseconds.
    pub fn nanos_column(self) -> &'static str {
        match self {
            TableName::Spans | TableName::Traces => "start_time_unix_nano",
            _ => "time_unix_nano",
        }
    }

    /// Whether a repeated row is recognised by readers as a version of one they have (newest wins). Only then may two
    /// commits consume the same log offset: a trace is emitted when idle, without a new frame.
    pub fn rows_are_versioned(self) -> bool {
        self == TableName::Traces
    }

    /// Whether rows are sorted by metric, series and time, and compaction joins those of one series and window.
    pub fn is_sorted_by_series(self) -> bool {
        self == TableName::Series || TableName::METRICS.contains(&self)
    }

    /// Whether segments have an index: of words, or of labels.
    pub fn is_indexed(self) -> bool {
        matches!(self, TableName::Logs | TableName::Series)
    }

    /// Width of the windows of a table of fragments, nanoseconds.
    pub fn window_ns(self) -> Option<u64> {
        if self == TableName::Edges {
            return Some(EDGE_WINDOW_NS);
        }
        Resolution::ALL.into_iter().find(|resolution| resolution.table() == self).map(Resolution::window_ns)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Type of the `timestamp` columns.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Type of `attributes` and `resource_attributes`.
pub fn attributes_type() -> DataType {
    let entry = Fields::from(vec![key_field(), value_field()]);
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false)
}

fn key_field() -> Field {
    Field::new("key", DataType::Utf8, false)
}

fn value_field() -> Field {
    Field::new("value", DataType::Utf8, false)
}

/// A builder whose maps have exactly [`attributes_type`].
pub fn attributes_builder(rows: usize) -> MapBuilder<StringBuilder, StringBuilder> {
    let names = MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    MapBuilder::with_capacity(Some(names), StringBuilder::new(), StringBuilder::new(), rows)
        .with_keys_field(key_field())
        .with_values_field(value_field())
}

/// Keys, values, offsets and OTLP types of the rows' own attributes.
///
/// # Errors
/// When `batch` does not have them as the tables do.
pub(crate) fn attributes_of(
    batch: &RecordBatch,
) -> Result<(&StringArray, &StringArray, &[i32], &StringArray), ArrowError> {
    let map = batch.column_by_name("attributes").and_then(|map| map.as_map_opt());
    let texts =
        map.and_then(|map| Some((map.keys().as_string_opt()?, map.values().as_string_opt()?, map.value_offsets())));
    let types = batch.column_by_name("attribute_types").and_then(|types| types.as_string_opt());
    match (texts, types) {
        (Some((keys, values, offsets)), Some(types)) => Ok((keys, values, offsets, types)),
        _ => Err(ArrowError::SchemaError("no attributes, or not as the tables have them".to_owned())),
    }
}

/// Type of `services` and `correlation_ids` of a trace. [`strings_builder`] builds it.
pub fn strings_type() -> DataType {
    DataType::List(Arc::new(strings_item()))
}

/// Type of the lists of times beside `services` of a trace. [`longs_builder`] builds it.
pub fn longs_type() -> DataType {
    DataType::List(Arc::new(longs_item()))
}

fn longs_item() -> Field {
    Field::new("element", DataType::Int64, false)
}

/// A builder whose lists have exactly [`longs_type`].
pub fn longs_builder() -> arrow::array::ListBuilder<arrow::array::Int64Builder> {
    arrow::array::ListBuilder::new(arrow::array::Int64Builder::new()).with_field(longs_item())
}

fn strings_item() -> Field {
    Field::new("element", DataType::Utf8, false)
}

/// A builder whose lists have exactly [`strings_type`].
pub fn strings_builder() -> arrow::array::ListBuilder<StringBuilder> {
    arrow::array::ListBuilder::new(StringBuilder::new()).with_field(strings_item())
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn long(name: &str) -> Field {
    Field::new(name, DataType::Int64, false)
}

fn double(name: &str) -> Field {
    Field::new(name, DataType::Float64, false)
}

fn id(name: &str, bytes: i32) -> Field {
    Field::new(name, DataType::FixedSizeBinary(bytes), false)
}

fn time(name: &str) -> Field {
    Field::new(name, timestamp_type(), false)
}

fn attributes(name: &str) -> Field {
    Field::new(name, attributes_type(), false)
}

fn optional(field: Field) -> Field {
    field.with_nullable(true)
}

fn spans() -> Vec<Field> {
    vec![
        id("trace_id", 16),
        id("span_id", 8),
        optional(id("parent_span_id", 8)),
        text("service_name"),
        text("name"),
        text("kind"),
        time("start_time"),
        long("start_time_unix_nano"),
        long("duration_ns"),
        text("status"),
        optional(text("status_message")),
        optional(text("trace_state")),
        optional(text("scope_name")),
        optional(text("correlation_id")),
        attributes("attributes"),
        text("attribute_types"),
        attributes("resource_attributes"),
        text("resource_attribute_types"),
        optional(text("events")),
        optional(text("links")),
        long("log_offset"),
    ]
}

fn logs() -> Vec<Field> {
    vec![
        time("time"),
        long("time_unix_nano"),
        long("observed_time_unix_nano"),
        text("service_name"),
        text("severity"),
        Field::new("severity_number", DataType::Int32, false),
        text("body"),
        text("body_type"),
        optional(text("event_name")),
        optional(id("trace_id", 16)),
        optional(id("span_id", 8)),
        optional(text("correlation_id")),
        optional(text("scope_name")),
        attributes("attributes"),
        text("attribute_types"),
        attributes("resource_attributes"),
        text("resource_attribute_types"),
        long("log_offset"),
    ]
}

fn traces() -> Vec<Field> {
    vec![
        id("trace_id", 16),
        optional(text("root_service")),
        optional(text("root_name")),
        time("start_time"),
        long("start_time_unix_nano"),
        long("duration_ns"),
        long("span_count"),
        long("error_count"),
        Field::new("services", strings_type(), false),
        Field::new("correlation_ids", strings_type(), false),
        text("state"),
        long("version"),
        long("log_offset"),
        optional(long("raw_start_time_unix_nano")),
        optional(long("raw_duration_ns")),
        optional(long("clock_offset_ns")),
        optional(long("analysed_spans")),
        optional(Field::new("service_self_ns", longs_type(), true)),
        optional(Field::new("service_critical_ns", longs_type(), true)),
        optional(Field::new("service_clock_offset_ns", longs_type(), true)),
    ]
}

fn edges() -> Vec<Field> {
    vec![
        text("caller"),
        text("callee"),
        text("callee_kind"),
        text("connection"),
        time("time"),
        long("time_unix_nano"),
        long("calls"),
        long("errors"),
        double("duration_sum_ns"),
        long("log_offset"),
        optional(Field::new("hist", DataType::Binary, true)),
    ]
}

fn metrics() -> Vec<Field> {
    vec![
        text("metric"),
        text("kind"),
        text("temporality"),
        text("unit"),
        text("service_name"),
        long("series_id"),
        time("time"),
        long("time_unix_nano"),
        long("start_time_unix_nano"),
        long("count"),
        optional(double("sum")),
        optional(double("min")),
        optional(double("max")),
        optional(double("last")),
        long("last_time_unix_nano"),
        double("err_bound"),
        optional(id("exemplar_trace_id", 16)),
        optional(id("exemplar_span_id", 8)),
        optional(double("exemplar_value")),
        text("hist_kind"),
        long("log_offset"),
        optional(Field::new("hist", DataType::Binary, true)),
    ]
}

fn series() -> Vec<Field> {
    vec![
        text("metric"),
        text("kind"),
        text("temporality"),
        text("unit"),
        text("service_name"),
        attributes("attributes"),
        text("attribute_types"),
        attributes("resource_attributes"),
        text("resource_attribute_types"),
        long("series_id"),
        time("time"),
        long("time_unix_nano"),
        long("log_offset"),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use arrow::array::Array;

    use super::*;

    #[test]
    fn column_names_are_unique_without_case() {
        for table in TableName::ALL {
            let schema = table.schema();
            let names: HashSet<String> = schema.fields().iter().map(|f| f.name().to_lowercase()).collect();
            assert_eq!(names.len(), schema.fields().len(), "{table}");
            assert!(schema.field_with_name(table.time_column()).is_ok());
            assert!(schema.field_with_name(table.nanos_column()).is_ok());
            assert_eq!(TableName::parse(table.as_str()), Some(table));
        }
    }

    #[test]
    fn builders_build_the_schema_types() {
        let mut map = attributes_builder(1);
        map.keys().append_value("k");
        map.values().append_value("v");
        map.append(true).unwrap();
        assert_eq!(map.finish().data_type(), &attributes_type());
        let mut list = strings_builder();
        list.append(true);
        assert_eq!(list.finish().data_type(), &strings_type());
        let mut longs = longs_builder();
        longs.append(true);
        assert_eq!(longs.finish().data_type(), &longs_type());
    }
}
