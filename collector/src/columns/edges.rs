//! Rows of the `edges` table: mergeable fragments of the calls between two services in one minute.

use std::sync::Arc;

use arrow::array::{
    BinaryBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::error::ArrowError;
use daymark_model::{LogOffset, UnixNanos};
use daymark_sketch::{Histogram, Sketch};
use daymark_store::TableName;

use super::{assemble, time_builder};

/// One fragment.
pub(crate) struct EdgeRow<'a> {
    pub(crate) caller: &'a str,
    pub(crate) callee: &'a str,
    /// `service` or `peer`.
    pub(crate) callee_kind: &'static str,
    pub(crate) connection: &'static str,
    pub(crate) window: UnixNanos,
    /// The calls were counted before and are none: counts are written negative.
    pub(crate) takes_back: bool,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) durations: &'a Sketch,
    pub(crate) log_offset: LogOffset,
}

/// Builds rows of the `edges` table.
pub(crate) struct EdgeColumns {
    texts: [StringBuilder; 4],
    time: TimestampMicrosecondBuilder,
    longs: [Int64Builder; 4],
    duration_sum_ns: Float64Builder,
    hist: BinaryBuilder,
}

const TEXTS: [&str; 4] = ["caller", "callee", "callee_kind", "connection"];
const LONGS: [&str; 4] = ["time_unix_nano", "calls", "errors", "log_offset"];

impl EdgeColumns {
    pub(crate) fn new() -> EdgeColumns {
        EdgeColumns {
            texts: Default::default(),
            time: time_builder(),
            longs: Default::default(),
            duration_sum_ns: Float64Builder::new(),
            hist: BinaryBuilder::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: &EdgeRow<'_>) {
        let texts = [row.caller, row.callee, row.callee_kind, row.connection];
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.append_value(text));
        self.time.append_value(row.window.micros());
        let sign = if row.takes_back { -1 } else { 1 };
        let counts = [row.calls, row.errors].map(|count| sign * count as i64);
        let longs = [row.window.0 as i64, counts[0], counts[1], row.log_offset.0 as i64];
        self.longs.iter_mut().zip(longs).for_each(|(column, value)| column.append_value(value));
        self.duration_sum_ns.append_value(f64::from(sign as i32) * row.durations.sum() as f64);
        self.hist.append_value(Histogram::Hdr(row.durations.clone()).encode());
    }

    /// The rows.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn finish(mut self) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<(&str, arrow::array::ArrayRef)> = vec![
            ("time", Arc::new(self.time.finish())),
            ("duration_sum_ns", Arc::new(self.duration_sum_ns.finish())),
            ("hist", Arc::new(self.hist.finish())),
        ];
        for (name, column) in TEXTS.into_iter().zip(&mut self.texts) {
            columns.push((name, Arc::new(column.finish())));
        }
        for (name, column) in LONGS.into_iter().zip(&mut self.longs) {
            columns.push((name, Arc::new(column.finish())));
        }
        assemble(&TableName::Edges.schema(), columns)
    }
}
