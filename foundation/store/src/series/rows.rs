//! Rows of the metric tables as fragments.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use arrow::array::{
    Array, AsArray, BinaryArray, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{Float64Type, Int64Type};
use daymark_model::{Receipt, SpanId, TraceId, UnixNanos};
use daymark_sketch::Histogram;

use super::columns::{SeriesHead, whole};
use super::fragment::{Adding, Fragment};
use super::lookup::Found;
use super::{Exemplar, Histograms};
use crate::StoreError;

/// Columns that are read, besides the distributions.
const COLUMNS: [&str; 19] = [
    "metric",
    "kind",
    "temporality",
    "unit",
    "service_name",
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

/// A batch of a metric table, its columns found once.
pub struct FragmentRows {
    metric: StringArray,
    kind: StringArray,
    temporality: StringArray,
    unit: StringArray,
    service: StringArray,
    series_id: Int64Array,
    time: Int64Array,
    start: Int64Array,
    count: Int64Array,
    sum: Float64Array,
    min: Float64Array,
    max: Float64Array,
    last: Float64Array,
    last_time: Int64Array,
    err_bound: Float64Array,
    exemplar_trace_id: FixedSizeBinaryArray,
    exemplar_span_id: FixedSizeBinaryArray,
    exemplar_value: Float64Array,
    hist_kind: StringArray,
    hist: Option<BinaryArray>,
}

impl FragmentRows {
    /// With the distributions, if the batch has that column.
    ///
    /// # Errors
    /// When another column is missing or has another type.
    pub fn of(batch: &RecordBatch) -> Result<FragmentRows, StoreError> {
        FragmentRows::find(batch).ok_or_else(|| StoreError::WrongSchema {
            table: "metrics",
            reason: "a column is missing or has another type".to_owned(),
        })
    }

    fn find(batch: &RecordBatch) -> Option<FragmentRows> {
        let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>().cloned();
        let long = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>().cloned();
        let double = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Float64Type>().cloned();
        let id = |name: &str| batch.column_by_name(name)?.as_fixed_size_binary_opt().cloned();
        Some(FragmentRows {
            metric: text("metric")?,
            kind: text("kind")?,
            temporality: text("temporality")?,
            unit: text("unit")?,
            service: text("service_name")?,
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
            hist: match batch.column_by_name("hist") {
                Some(hist) => Some(hist.as_binary_opt::<i32>()?.clone()),
                None => None,
            },
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.series_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the row repeats of its series.
    pub fn head(&self, row: usize) -> SeriesHead<'_> {
        SeriesHead {
            id: self.series_id.value(row),
            metric: self.metric.value(row),
            kind: self.kind.value(row),
            temporality: self.temporality.value(row),
            unit: self.unit.value(row),
            service: self.service.value(row),
        }
    }

    /// How the row adds up with others of its series.
    pub fn adding(&self, row: usize) -> Adding {
        Adding::of(self.kind.value(row), self.temporality.value(row))
    }

    /// The row as a fragment.
    ///
    /// # Errors
    /// [`StoreError::Histogram`] when the distribution is damaged.
    pub fn fragment(&self, row: usize) -> Result<Fragment<'static>, StoreError> {
        let (fragment, damage) = self.fragment_without_damage(row);
        damage.map_or(Ok(fragment), Err)
    }

    /// The row, without its distribution if that is damaged, and the damage.
    fn fragment_without_damage(&self, row: usize) -> (Fragment<'static>, Option<StoreError>) {
        let unsigned = |column: &Int64Array| column.value(row).max(0) as u64;
        let optional = |column: &Float64Array| column.is_valid(row).then(|| column.value(row));
        let count = unsigned(&self.count);
        let values = [&self.sum, &self.min, &self.max, &self.last].map(optional);
        let (sum, [min, max, last]) = match self.kind.value(row) {
            "histogram" => (values[0].unwrap_or(0.0), [values[1], values[2], values[3]]),
            _ => whole(self.adding(row), count, values),
        };
        let (hist, damage) = match self.histogram(row, count, min, max) {
            Ok(hist) => (hist, None),
            Err(error) => (None, Some(error)),
        };
        let fragment = Fragment {
            window: UnixNanos(unsigned(&self.time)),
            start: unsigned(&self.start),
            last_time: unsigned(&self.last_time),
            count,
            sum,
            min,
            max,
            last,
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
        let hist = self.hist.as_ref().filter(|_| !self.hist_kind.value(row).is_empty());
        let Some(hist) = hist else { return Ok(None) };
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

/// Adds the rows of `batch` to their series. A distribution that cannot be decoded is left out and noted; so are rows
/// of a series that is not in the catalogue.
pub(super) fn collect(
    batch: &RecordBatch,
    series: &Found,
    fragments: &mut BTreeMap<i64, Vec<Fragment<'static>>>,
    unknown: &mut HashSet<i64>,
    receipt: &mut Receipt,
) -> Result<(), StoreError> {
    let rows = FragmentRows::of(batch)?;
    for row in 0..rows.len() {
        let id = rows.series_id.value(row);
        if !series.matching.contains_key(&id) {
            unknown.insert(id);
            continue;
        }
        let (fragment, damage) = rows.fragment_without_damage(row);
        if let Some(damage) = damage {
            receipt.miss(format!("series {id}: {damage}"));
        }
        fragments.entry(id).or_default().push(fragment);
    }
    Ok(())
}

/// The rows of a metric table as fragments, by series.
///
/// # Errors
/// When a column is missing, or a distribution cannot be decoded.
pub fn fragments_of(batch: &RecordBatch) -> Result<BTreeMap<i64, Vec<Fragment<'static>>>, StoreError> {
    let rows = FragmentRows::of(batch)?;
    let mut found: BTreeMap<i64, Vec<Fragment<'static>>> = BTreeMap::new();
    for row in 0..rows.len() {
        found.entry(rows.series_id.value(row)).or_default().push(rows.fragment(row)?);
    }
    Ok(found)
}
