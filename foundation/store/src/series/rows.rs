//! Rows of the metric tables as fragments.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arrow::array::{
    Array, AsArray, BinaryArray, FixedSizeBinaryArray, Float64Array, Int64Array, MapArray, RecordBatch, StringArray,
};
use arrow::datatypes::{Float64Type, Int64Type};
use daymark_model::{Receipt, SpanId, TraceId, UnixNanos};
use daymark_sketch::Histogram;

use super::fragment::Fragment;
use super::{Exemplar, Histograms, Series};
use crate::StoreError;

/// Columns that are read, besides the distributions.
const COLUMNS: [&str; 21] = [
    "metric",
    "kind",
    "temporality",
    "unit",
    "service_name",
    "attributes",
    "resource_attributes",
    "series_id",
    "time_unix_nano",
    "start_time_unix_nano",
    "count",
    "sum",
    "min",
    "max",
    "last",
    "last_time_unix_nano",
    "err_bound",
    "exemplar_trace_id",
    "exemplar_span_id",
    "exemplar_value",
    "hist_kind",
];

pub(super) fn columns(histograms: Histograms) -> Vec<String> {
    let hist = (histograms == Histograms::Read).then_some("hist");
    COLUMNS.into_iter().chain(hist).map(str::to_owned).collect()
}

struct Columns<'b> {
    kind: &'b StringArray,
    temporality: &'b StringArray,
    unit: &'b StringArray,
    service: &'b StringArray,
    attributes: &'b MapArray,
    resource_attributes: &'b MapArray,
    series_id: &'b Int64Array,
    time: &'b Int64Array,
    start: &'b Int64Array,
    count: &'b Int64Array,
    sum: &'b Float64Array,
    min: &'b Float64Array,
    max: &'b Float64Array,
    last: &'b Float64Array,
    last_time: &'b Int64Array,
    err_bound: &'b Float64Array,
    exemplar_trace_id: &'b FixedSizeBinaryArray,
    exemplar_span_id: &'b FixedSizeBinaryArray,
    exemplar_value: &'b Float64Array,
    hist_kind: &'b StringArray,
    hist: Option<&'b BinaryArray>,
}

impl<'b> Columns<'b> {
    fn of(batch: &'b RecordBatch, histograms: Histograms) -> Option<Columns<'b>> {
        let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
        let long = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
        let double = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Float64Type>();
        let id = |name: &str| batch.column_by_name(name)?.as_fixed_size_binary_opt();
        Some(Columns {
            kind: text("kind")?,
            temporality: text("temporality")?,
            unit: text("unit")?,
            service: text("service_name")?,
            attributes: batch.column_by_name("attributes")?.as_map_opt()?,
            resource_attributes: batch.column_by_name("resource_attributes")?.as_map_opt()?,
            series_id: long("series_id")?,
            time: long("time_unix_nano")?,
            start: long("start_time_unix_nano")?,
            count: long("count")?,
            sum: double("sum")?,
            min: double("min")?,
            max: double("max")?,
            last: double("last")?,
            last_time: long("last_time_unix_nano")?,
            err_bound: double("err_bound")?,
            exemplar_trace_id: id("exemplar_trace_id")?,
            exemplar_span_id: id("exemplar_span_id")?,
            exemplar_value: double("exemplar_value")?,
            hist_kind: text("hist_kind")?,
            hist: match histograms {
                Histograms::Read => Some(batch.column_by_name("hist")?.as_binary_opt::<i32>()?),
                Histograms::Skip => None,
            },
        })
    }

    fn series(&self, row: usize) -> Series {
        Series {
            id: self.series_id.value(row),
            service: self.service.value(row).to_owned(),
            attributes: attributes(self.attributes, row),
            resource_attributes: attributes(self.resource_attributes, row),
            kind: self.kind.value(row).to_owned(),
            unit: self.unit.value(row).to_owned(),
            temporality: self.temporality.value(row).to_owned(),
            points: Vec::new(),
        }
    }

    fn fragment(&self, row: usize) -> (Fragment<'static>, Option<StoreError>) {
        let unsigned = |column: &Int64Array| column.value(row).max(0) as u64;
        let optional = |column: &Float64Array| column.is_valid(row).then(|| column.value(row));
        let (count, min, max) = (unsigned(self.count), optional(self.min), optional(self.max));
        let (hist, damage) = match self.histogram(row, count, min, max) {
            Ok(hist) => (hist, None),
            Err(error) => (None, Some(error)),
        };
        let fragment = Fragment {
            window: UnixNanos(unsigned(self.time)),
            start: unsigned(self.start),
            last_time: unsigned(self.last_time),
            count,
            sum: self.sum.value(row),
            min,
            max,
            last: optional(self.last),
            hist: hist.map(Cow::Owned),
            err_bound: self.err_bound.value(row),
            exemplar: self.exemplar(row),
        };
        (fragment, damage)
    }

    /// A row without bytes whose kind says `hdr` has at most two values, which its minimum and maximum are.
    fn histogram(
        &self,
        row: usize,
        count: u64,
        min: Option<f64>,
        max: Option<f64>,
    ) -> Result<Option<Histogram>, StoreError> {
        let Some(hist) = self.hist.filter(|_| !self.hist_kind.value(row).is_empty()) else { return Ok(None) };
        let bytes = hist.is_valid(row).then(|| hist.value(row));
        let whole = |value: Option<f64>| value.map_or(0, |value| value as u64);
        let decoded = Histogram::decode_row(bytes, count, whole(min), whole(max));
        decoded.map(Some).map_err(|error| StoreError::Histogram(error.to_string()))
    }

    fn exemplar(&self, row: usize) -> Option<Exemplar> {
        if !self.exemplar_trace_id.is_valid(row) || !self.exemplar_value.is_valid(row) {
            return None;
        }
        let span_id = self.exemplar_span_id.is_valid(row).then(|| self.exemplar_span_id.value(row));
        Some(Exemplar {
            trace_id: TraceId::from_slice(self.exemplar_trace_id.value(row))?,
            span_id: span_id.and_then(SpanId::from_slice),
            value: self.exemplar_value.value(row),
        })
    }
}

/// The rows of a metric table as fragments, by series.
///
/// # Errors
/// When a column is missing, or a distribution cannot be decoded.
pub fn fragments_of(batch: &RecordBatch) -> Result<BTreeMap<i64, Vec<Fragment<'static>>>, StoreError> {
    let columns = Columns::of(batch, Histograms::Read).ok_or_else(wrong_schema)?;
    let mut found: BTreeMap<i64, Vec<Fragment<'static>>> = BTreeMap::new();
    for row in 0..batch.num_rows() {
        let (fragment, damage) = columns.fragment(row);
        damage.map_or(Ok(()), Err)?;
        found.entry(columns.series_id.value(row)).or_default().push(fragment);
    }
    Ok(found)
}

fn wrong_schema() -> StoreError {
    StoreError::WrongSchema { table: "metrics", reason: "a column is missing or has another type".to_owned() }
}

/// Adds the rows of `batch` to their series. A distribution that cannot be decoded is left out and noted.
pub(super) fn collect(
    batch: &RecordBatch,
    histograms: Histograms,
    found: &mut BTreeMap<i64, (Series, Vec<Fragment<'static>>)>,
    receipt: &mut Receipt,
) -> Result<(), StoreError> {
    let columns = Columns::of(batch, histograms).ok_or_else(wrong_schema)?;
    for row in 0..batch.num_rows() {
        let (_, fragments) =
            found.entry(columns.series_id.value(row)).or_insert_with(|| (columns.series(row), Vec::new()));
        let (fragment, damage) = columns.fragment(row);
        if let Some(damage) = damage {
            receipt.miss(format!("series {}: {damage}", columns.series_id.value(row)));
        }
        fragments.push(fragment);
    }
    Ok(())
}

fn attributes(column: &MapArray, row: usize) -> BTreeMap<String, String> {
    let entries = column.value(row);
    let texts = |at: usize| entries.column(at).as_string_opt::<i32>();
    let (Some(keys), Some(values)) = (texts(0), texts(1)) else { return BTreeMap::new() };
    (0..entries.len()).map(|at| (keys.value(at).to_owned(), values.value(at).to_owned())).collect()
}
