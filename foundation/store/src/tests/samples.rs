//! Rows for tests.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Int64Type};
use daymark_guard::ManualClock;
use daymark_model::{LogOffset, TenantId, TraceId, UnixNanos};

use crate::{
    Commit, SegmentOptions, Store, StoreOptions, Table, TableName, attributes_builder, strings_builder, write_segment,
};

pub(super) const START: UnixNanos = UnixNanos::from_seconds(1_800_000_000);

pub(super) struct Scene {
    pub(super) dir: tempfile::TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Arc<Store>,
}

impl Scene {
    pub(super) fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START));
        let store = open(&dir, &clock);
        Scene { dir, clock, store }
    }

    /// A store of its own on the same directory: another process.
    pub(super) fn other(&self) -> Arc<Store> {
        open(&self.dir, &self.clock)
    }

    pub(super) fn table(&self, name: TableName) -> Table {
        self.store.table(&TenantId::default(), name)
    }
}

fn open(dir: &tempfile::TempDir, clock: &Arc<ManualClock>) -> Arc<Store> {
    let options = StoreOptions { clock: Arc::<ManualClock>::clone(clock), ..StoreOptions::default() };
    Arc::new(Store::open_local_with(dir.path(), options).unwrap())
}

/// Rows of `table` with these columns; all others null, empty or zero.
pub(super) fn rows(table: TableName, given: &[(&str, ArrayRef)]) -> RecordBatch {
    let count = given[0].1.len();
    let schema = table.schema();
    let column = |field: &Arc<arrow::datatypes::Field>| {
        let named = given.iter().find(|(name, _)| name == field.name());
        named.map_or_else(|| blank(field, count), |(_, array)| Arc::clone(array))
    };
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(column).collect()).unwrap()
}

fn blank(field: &arrow::datatypes::Field, rows: usize) -> ArrayRef {
    match field.data_type() {
        other if field.is_nullable() => new_null_array(other, rows),
        DataType::Utf8 => Arc::new(StringArray::from(vec![""; rows])),
        DataType::Int64 => Arc::new(Int64Array::from(vec![0; rows])),
        DataType::Int32 => Arc::new(arrow::array::Int32Array::from(vec![0; rows])),
        DataType::Float64 => Arc::new(arrow::array::Float64Array::from(vec![0.0; rows])),
        DataType::Timestamp(..) => micros(&vec![0; rows]),
        DataType::FixedSizeBinary(width) => ids(&vec![vec![1; *width as usize]; rows]),
        DataType::Map(..) => {
            let mut map = attributes_builder(rows);
            for row in 0..rows {
                map.keys().append_value("row");
                map.values().append_value(row.to_string());
                map.append(true).unwrap();
            }
            Arc::new(map.finish())
        }
        DataType::List(_) => {
            let mut list = strings_builder();
            (0..rows).for_each(|_| list.append(true));
            Arc::new(list.finish())
        }
        other => panic!("no blank {other}"),
    }
}

pub(super) fn longs(values: &[u64]) -> ArrayRef {
    Arc::new(values.iter().map(|&value| value as i64).collect::<Int64Array>())
}

pub(super) fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

pub(super) fn micros(nanos: &[u64]) -> ArrayRef {
    let micros = TimestampMicrosecondArray::from_iter_values(nanos.iter().map(|&nanos| UnixNanos(nanos).micros()));
    Arc::new(micros.with_timezone("UTC"))
}

pub(super) fn ids(values: &[Vec<u8>]) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::try_from_iter(values.iter()).unwrap())
}

pub(super) fn trace(number: u64) -> TraceId {
    TraceId(xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes()).to_le_bytes())
}

/// Log rows: body and nanoseconds after [`START`]. Offsets count from `offset`.
pub(super) fn logs(offset: u64, bodies: &[(&str, u64)]) -> RecordBatch {
    let nanos: Vec<u64> = bodies.iter().map(|(_, after)| START.0 + after).collect();
    let offsets: Vec<u64> = (0..bodies.len() as u64).map(|row| offset + row).collect();
    rows(
        TableName::Logs,
        &[
            ("body", texts(&bodies.iter().map(|(body, _)| *body).collect::<Vec<_>>())),
            ("time", micros(&nanos)),
            ("time_unix_nano", longs(&nanos)),
            ("log_offset", longs(&offsets)),
        ],
    )
}

/// Spans of trace `number`, one a value, which is the span id and the nanoseconds after [`START`].
pub(super) fn spans(offset: u64, of: &[(u64, u64)]) -> RecordBatch {
    let nanos: Vec<u64> = of.iter().map(|(_, span)| START.0 + span).collect();
    rows(
        TableName::Spans,
        &[
            ("trace_id", ids(&of.iter().map(|(number, _)| trace(*number).0.to_vec()).collect::<Vec<_>>())),
            ("span_id", ids(&of.iter().map(|(_, span)| span.to_be_bytes().to_vec()).collect::<Vec<_>>())),
            ("start_time", micros(&nanos)),
            ("start_time_unix_nano", longs(&nanos)),
            ("log_offset", longs(&vec![offset; of.len()])),
        ],
    )
}

/// Traces: number, version, span count.
pub(super) fn traces(of: &[(u64, u64, u64)]) -> RecordBatch {
    let nanos = vec![START.0; of.len()];
    rows(
        TableName::Traces,
        &[
            ("trace_id", ids(&of.iter().map(|(number, ..)| trace(*number).0.to_vec()).collect::<Vec<_>>())),
            ("version", longs(&of.iter().map(|(_, version, _)| *version).collect::<Vec<_>>())),
            ("span_count", longs(&of.iter().map(|(.., spans)| *spans).collect::<Vec<_>>())),
            ("start_time", micros(&nanos)),
            ("start_time_unix_nano", longs(&nanos)),
        ],
    )
}

/// Counter fragments: windows of 10 s after [`START`], and the count in each.
pub(super) fn counters(offset: u64, of: &[(u64, u64)]) -> RecordBatch {
    let nanos: Vec<u64> = of.iter().map(|(window, _)| START.0 + window * 10_000_000_000).collect();
    rows(
        TableName::Metrics10s,
        &[
            ("metric", texts(&vec!["requests"; of.len()])),
            ("kind", texts(&vec!["counter"; of.len()])),
            ("temporality", texts(&vec!["delta"; of.len()])),
            ("service_name", texts(&vec!["shop"; of.len()])),
            ("time", micros(&nanos)),
            ("time_unix_nano", longs(&nanos)),
            ("count", longs(&of.iter().map(|(_, count)| *count).collect::<Vec<_>>())),
            ("log_offset", longs(&vec![offset; of.len()])),
        ],
    )
}

/// Catalogue rows of `requests` of `shop`, by series id, on the day of [`START`].
pub(super) fn catalogue(offset: u64, series: &[u64]) -> RecordBatch {
    let day = vec![START.window(86_400_000_000_000).0; series.len()];
    rows(
        TableName::Series,
        &[
            ("metric", texts(&vec!["requests"; series.len()])),
            ("kind", texts(&vec!["counter"; series.len()])),
            ("temporality", texts(&vec!["delta"; series.len()])),
            ("service_name", texts(&vec!["shop"; series.len()])),
            ("series_id", longs(series)),
            ("time", micros(&day)),
            ("time_unix_nano", longs(&day)),
            ("log_offset", longs(&vec![offset; series.len()])),
        ],
    )
}

/// Writes and publishes one segment.
/// Rows of a page of the indexes that [`publish`] writes.
pub(super) const INDEX_PAGE_ROWS: u32 = 50;

pub(super) async fn publish(table: &Table, batch: RecordBatch, consumed: u64) -> u64 {
    let options = SegmentOptions {
        row_group_rows: 500,
        page_rows: 64,
        index_page_rows: INDEX_PAGE_ROWS,
        ..SegmentOptions::default()
    };
    let file = write_segment(table, vec![batch], options).await.unwrap();
    table.commit(Commit::publish(vec![file], LogOffset(consumed))).await.unwrap()
}

pub(super) fn long_column(batch: &RecordBatch, column: &str) -> Vec<u64> {
    let column = batch.column_by_name(column).unwrap().as_primitive::<Int64Type>();
    column.values().iter().map(|&value| value as u64).collect()
}

pub(super) fn bodies(batches: &[RecordBatch]) -> Vec<String> {
    let of = |batch: &RecordBatch| {
        let column = batch.column_by_name("body").unwrap().as_string::<i32>();
        (0..column.len()).map(|row| column.value(row).to_owned()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of).collect()
}
