//! Delta statistics of a segment, from the footer that the Parquet writer has just made: no second pass over the rows.
//!
//! Invariant: smallest and largest values are given for all text, number and timestamp columns that have a value, or
//! for none. An independent reader took a column without them for empty and dropped the file's rows.

use chrono::{DateTime, SecondsFormat};
use daymark_model::{LogOffset, UnixNanos};
use parquet::data_type::ByteArray;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

use arrow::datatypes::{DataType, Schema};

use crate::TableName;

/// What the table's log says about a segment's content.
pub(super) struct SegmentStats {
    pub(super) time: (UnixNanos, UnixNanos),
    pub(super) offsets: (LogOffset, LogOffset),
    pub(super) json: String,
}

/// Sums up the row groups of `footer`.
pub(super) fn segment_stats(table: TableName, schema: &Schema, footer: &ParquetMetaData) -> SegmentStats {
    let mut min = Map::new();
    let mut max = Map::new();
    let mut nulls = Map::new();
    let mut bounds_whole = true;
    for field in schema.fields() {
        let Some(kind) = bound_kind(field.data_type()) else { continue };
        let column = ColumnBounds::of(footer, field.name(), kind);
        nulls.insert(field.name().clone(), json!(column.nulls));
        match (column.min, column.max) {
            (Some(low), Some(high)) => {
                min.insert(field.name().clone(), low.json());
                max.insert(field.name().clone(), high.json());
            }
            // A column of nulls has no bounds and needs none.
            _ => bounds_whole &= column.nulls as i64 == footer.file_metadata().num_rows(),
        }
    }
    let mut stats = Map::new();
    stats.insert("numRecords".to_owned(), json!(footer.file_metadata().num_rows()));
    if bounds_whole {
        stats.insert("minValues".to_owned(), Value::Object(min));
        stats.insert("maxValues".to_owned(), Value::Object(max));
    }
    stats.insert("nullCount".to_owned(), Value::Object(nulls));
    let (first, last) = integer_bounds(footer, schema, table.nanos_column()).unwrap_or((0, u64::MAX));
    let (first_offset, last_offset) = integer_bounds(footer, schema, "log_offset").unwrap_or((0, 0));
    SegmentStats {
        time: (UnixNanos(first), UnixNanos(last)),
        offsets: (LogOffset(first_offset), LogOffset(last_offset)),
        json: Value::Object(stats).to_string(),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum BoundKind {
    Text,
    Truth,
    Integer,
    Double,
    Micros,
}

fn bound_kind(data_type: &DataType) -> Option<BoundKind> {
    match data_type {
        DataType::Utf8 => Some(BoundKind::Text),
        DataType::Boolean => Some(BoundKind::Truth),
        DataType::Int32 | DataType::Int64 => Some(BoundKind::Integer),
        DataType::Float64 => Some(BoundKind::Double),
        DataType::Timestamp(..) => Some(BoundKind::Micros),
        _ => None,
    }
}

#[derive(Clone, PartialEq, PartialOrd)]
enum Bound {
    Text(String),
    Truth(bool),
    Integer(i64),
    Double(f64),
    Micros(i64),
}

impl Bound {
    fn json(self) -> Value {
        match self {
            Bound::Text(text) => json!(text),
            Bound::Truth(value) => json!(value),
            Bound::Integer(value) => json!(value),
            Bound::Double(value) => json!(value),
            Bound::Micros(micros) => {
                let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
                json!(time.to_rfc3339_opts(SecondsFormat::Micros, true))
            }
        }
    }
}

struct ColumnBounds {
    min: Option<Bound>,
    max: Option<Bound>,
    nulls: u64,
}

impl ColumnBounds {
    fn of(footer: &ParquetMetaData, column: &str, kind: BoundKind) -> ColumnBounds {
        let mut bounds = ColumnBounds { min: None, max: None, nulls: 0 };
        for group in footer.row_groups() {
            let chunk = group.columns().iter().find(|chunk| chunk.column_path().parts() == [column]);
            let Some(stats) = chunk.and_then(|chunk| chunk.statistics()) else {
                return ColumnBounds { min: None, max: None, nulls: 0 };
            };
            bounds.nulls += stats.null_count_opt().unwrap_or(0);
            let (low, high) = chunk_bounds(stats, kind);
            if stats.null_count_opt() != Some(group.num_rows() as u64) && (low.is_none() || high.is_none()) {
                // One row group without bounds leaves the file without.
                return ColumnBounds { min: None, max: None, nulls: 0 };
            }
            bounds.min = [bounds.min, low].into_iter().flatten().reduce(|a, b| if b < a { b } else { a });
            bounds.max = [bounds.max, high].into_iter().flatten().reduce(|a, b| if b > a { b } else { a });
        }
        bounds
    }
}

fn chunk_bounds(stats: &Statistics, kind: BoundKind) -> (Option<Bound>, Option<Bound>) {
    let text = |text: &ByteArray| text.as_utf8().ok().map(|text| Bound::Text(text.to_owned()));
    let integer = |&value: &i64| match kind {
        BoundKind::Micros => DateTime::from_timestamp_micros(value).map(|_| Bound::Micros(value)),
        _ => Some(Bound::Integer(value)),
    };
    // JSON has no infinities.
    let double = |&value: &f64| value.is_finite().then_some(Bound::Double(value));
    match stats {
        Statistics::ByteArray(stats) => (stats.min_opt().and_then(text), stats.max_opt().and_then(text)),
        Statistics::Boolean(stats) => {
            let truth = |value: Option<&bool>| value.copied().map(Bound::Truth);
            (truth(stats.min_opt()), truth(stats.max_opt()))
        }
        Statistics::Int64(stats) => (stats.min_opt().and_then(integer), stats.max_opt().and_then(integer)),
        Statistics::Int32(stats) => {
            let small = |value: Option<&i32>| value.map(|&value| Bound::Integer(i64::from(value)));
            (small(stats.min_opt()), small(stats.max_opt()))
        }
        Statistics::Double(stats) => (stats.min_opt().and_then(double), stats.max_opt().and_then(double)),
        _ => (None, None),
    }
}

fn integer_bounds(footer: &ParquetMetaData, schema: &Schema, column: &str) -> Option<(u64, u64)> {
    schema.column_with_name(column)?;
    let bounds = ColumnBounds::of(footer, column, BoundKind::Integer);
    match (bounds.min, bounds.max) {
        (Some(Bound::Integer(low)), Some(Bound::Integer(high))) => Some((low.max(0) as u64, high.max(0) as u64)),
        _ => None,
    }
}
