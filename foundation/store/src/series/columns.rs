//! Fragments as rows of a metric table, and back to bytes: the one place that writes these tables.
//!
//! Invariants:
//! - a row says nothing twice: of a single value only `last` (gauges) or `sum` (deltas) is stored, of a running total
//!   only `sum`. [`super::rows`] fills in the rest;
//! - rows come in the order given: by metric, series and time.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, FixedSizeBinaryBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::error::ArrowError;
use daymark_model::LogOffset;
use daymark_sketch::Histogram;

use super::fragment::{Adding, Fragment};
use crate::{TableName, timestamp_type};

/// What every row of a series repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesHead<'a> {
    /// Stable hash of metric, kind, temporality, unit, attributes and resource.
    pub id: i64,
    /// Name.
    pub metric: &'a str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'a str,
    /// `delta`, `cumulative` or `none`.
    pub temporality: &'a str,
    /// Of the values.
    pub unit: &'a str,
    /// `service.name`.
    pub service: &'a str,
}

/// Builds rows of the metric tables.
pub struct FragmentColumns {
    texts: [StringBuilder; 6],
    time: TimestampMicrosecondBuilder,
    longs: [Int64Builder; 6],
    doubles: [Float64Builder; 6],
    exemplar_trace_id: FixedSizeBinaryBuilder,
    exemplar_span_id: FixedSizeBinaryBuilder,
    hist: BinaryBuilder,
}

const TEXTS: [&str; 6] = ["metric", "kind", "temporality", "unit", "service_name", "hist_kind"];
const LONGS: [&str; 6] =
    ["series_id", "time_unix_nano", "start_time_unix_nano", "count", "last_time_unix_nano", "log_offset"];
const DOUBLES: [&str; 6] = ["sum", "min", "max", "last", "err_bound", "exemplar_value"];

impl Default for FragmentColumns {
    fn default() -> FragmentColumns {
        FragmentColumns {
            texts: Default::default(),
            time: TimestampMicrosecondBuilder::new().with_data_type(timestamp_type()),
            longs: Default::default(),
            doubles: Default::default(),
            exemplar_trace_id: FixedSizeBinaryBuilder::new(16),
            exemplar_span_id: FixedSizeBinaryBuilder::new(8),
            hist: BinaryBuilder::new(),
        }
    }
}

/// The value columns of a row: sum, min, max, last.
type Values = [Option<f64>; 4];

impl FragmentColumns {
    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.longs[0].values_slice().len()
    }

    /// Adds a row.
    ///
    /// # Errors
    /// None that data can cause: ids have their fixed width.
    pub fn push(&mut self, head: SeriesHead<'_>, row: &Fragment<'_>, offset: LogOffset) -> Result<(), ArrowError> {
        let hist = row.hist.as_deref();
        let hist_kind = hist.map_or("", Histogram::kind);
        let texts = [head.metric, head.kind, head.temporality, head.unit, head.service, hist_kind];
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.append_value(text));
        self.time.append_value(row.window.micros());
        let [id, window, offset] = [head.id, row.window.0 as i64, offset.0 as i64];
        let longs = [id, window, row.start as i64, row.count.min(i64::MAX as u64) as i64, row.last_time as i64, offset];
        self.longs.iter_mut().zip(longs).for_each(|(column, value)| column.append_value(value));
        let [sum, min, max, last] = terse(head, row);
        let doubles = [sum, min, max, last, Some(row.err_bound), row.exemplar.map(|exemplar| exemplar.value)];
        self.doubles.iter_mut().zip(doubles).for_each(|(column, value)| column.append_option(value));
        match row.exemplar {
            Some(exemplar) => self.exemplar_trace_id.append_value(exemplar.trace_id.0)?,
            None => self.exemplar_trace_id.append_null(),
        }
        match row.exemplar.and_then(|exemplar| exemplar.span_id) {
            Some(span_id) => self.exemplar_span_id.append_value(span_id.0)?,
            None => self.exemplar_span_id.append_null(),
        }
        self.hist.append_option(hist.and_then(Histogram::encode_row));
        Ok(())
    }

    /// The rows; the builder is empty afterwards.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("time", Arc::new(self.time.finish())),
            ("exemplar_trace_id", Arc::new(self.exemplar_trace_id.finish())),
            ("exemplar_span_id", Arc::new(self.exemplar_span_id.finish())),
            ("hist", Arc::new(self.hist.finish())),
        ];
        for (name, column) in TEXTS.into_iter().zip(&mut self.texts) {
            columns.push((name, Arc::new(column.finish())));
        }
        for (name, column) in LONGS.into_iter().zip(&mut self.longs) {
            columns.push((name, Arc::new(column.finish())));
        }
        for (name, column) in DOUBLES.into_iter().zip(&mut self.doubles) {
            columns.push((name, Arc::new(column.finish())));
        }
        let schema = TableName::Metrics10s.schema();
        // Columns that grew have room for as many values again.
        columns.iter_mut().for_each(|(_, column)| Array::shrink_to_fit(column));
        let arrays = schema.fields().iter().map(|field| {
            let found = columns.iter().find(|(name, _)| name == field.name());
            let missing = || ArrowError::SchemaError(format!("no column {:?} was built", field.name()));
            found.map(|(_, array)| Arc::clone(array)).ok_or_else(missing)
        });
        RecordBatch::try_new(Arc::clone(&schema), arrays.collect::<Result<_, _>>()?)
    }
}

fn adding(head: SeriesHead<'_>) -> Adding {
    Adding::of(head.kind, head.temporality)
}

/// The values without what follows from the others.
fn terse(head: SeriesHead<'_>, row: &Fragment<'_>) -> Values {
    if head.kind == "histogram" {
        return [Some(row.sum), row.min, row.max, row.last];
    }
    let value = match adding(head) {
        Adding::Cumulative => return [row.last, None, None, None],
        Adding::Gauge => row.last,
        Adding::Delta => Some(row.sum),
    };
    let same = |other: Option<f64>| other.map(f64::to_bits) == value.map(f64::to_bits);
    let single = row.count == 1 && [Some(row.sum), row.min, row.max, row.last].into_iter().all(same);
    match (single, adding(head)) {
        (true, Adding::Gauge) => [None, None, None, value],
        (true, _) => [value, None, None, None],
        (false, _) => [Some(row.sum), row.min, row.max, row.last],
    }
}

/// What [`terse`] left out, filled in; also of rows that say it all, as an older version wrote them.
pub(super) fn whole(adding: Adding, count: u64, values: Values) -> (f64, [Option<f64>; 3]) {
    let [sum, min, max, last] = values;
    match adding {
        Adding::Cumulative => (0.0, [min, max, last.or(sum)]),
        _ if count == 1 && (sum.is_none() || (min.is_none() && max.is_none() && last.is_none())) => {
            let value = last.or(sum);
            (value.unwrap_or(0.0), [value; 3])
        }
        _ => (sum.unwrap_or(0.0), [min, max, last]),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use daymark_model::UnixNanos;
    use daymark_sketch::Sketch;
    use proptest::prelude::*;

    use super::super::rows::fragments_of;
    use super::*;

    fn check(kind: &str, temporality: &str, fragment: Fragment<'static>) {
        let head = SeriesHead { id: 7, metric: "m", kind, temporality, unit: "1", service: "s" };
        let mut columns = FragmentColumns::default();
        columns.push(head, &fragment, LogOffset(3)).unwrap();
        let read = fragments_of(&columns.finish().unwrap()).unwrap();
        assert_eq!(read[&7], [fragment]);
    }

    fn fragment(values: &[f64]) -> Fragment<'static> {
        Fragment {
            window: UnixNanos(10),
            start: 0,
            last_time: 12,
            count: values.len() as u64,
            sum: values.iter().sum(),
            min: values.iter().copied().reduce(f64::min),
            max: values.iter().copied().reduce(f64::max),
            last: values.last().copied(),
            hist: None,
            err_bound: 0.0,
            exemplar: None,
        }
    }

    proptest! {
        #[test]
        fn a_row_gives_back_its_fragment(values in prop::collection::vec(-1e9..1e9_f64, 1..4)) {
            check("gauge", "none", fragment(&values));
            check("counter", "delta", fragment(&values));
            let total = Fragment { sum: 0.0, min: None, max: None, ..fragment(&values) };
            check("counter", "cumulative", total);
            let mut sketch = Sketch::new();
            values.iter().for_each(|value| sketch.record(value.abs() as u64));
            let (min, max) = (sketch.min().map(|v| v as f64), sketch.max().map(|v| v as f64));
            let hist = Some(Cow::Owned(Histogram::Hdr(sketch)));
            check("histogram", "delta", Fragment { hist, min, max, last: None, ..fragment(&values) });
        }
    }
}
