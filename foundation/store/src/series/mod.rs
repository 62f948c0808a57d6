//! Metric series: fragments of windows merged into points.
//!
//! Where it sits: the only place that knows how rows of the metric tables add up; query and alerts read through it.
//!
//! Invariants:
//! - every fragment counts exactly once, in its own window, in whatever order fragments come;
//! - count, sum and buckets are exact sums; no quantile is ever averaged.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use daymark_model::{Receipt, SpanId, TenantId, TimeRange, TraceId, UnixNanos};
use daymark_sketch::Histogram;

use crate::{Filter, ReadSpec, Reader, StoreError, TableName};

mod catalogue;
mod choose;
mod columns;
mod fragment;
mod increase;
mod lookup;
mod matcher;
mod merge;
mod rows;

pub(crate) use catalogue::has_text;
pub use catalogue::{LabelValues, SeriesFilter, list_labels, list_series};
pub use columns::{FragmentColumns, SeriesHead};
pub use fragment::{Adding, Fragment, continues};
use lookup::{Found, Search};
pub(crate) use matcher::LabelTest;
pub use matcher::{MatchOp, Matcher};
pub use merge::merge;
pub use rows::{FragmentRows, fragments_of};

/// How far before the range the last running total of a cumulative series is looked for, at least.
const LOOK_BACK_NS: u64 = 300_000_000_000;

/// Width of the windows to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// 10 s.
    TenSeconds,
    /// 1 min.
    OneMinute,
    /// 1 h.
    OneHour,
    /// 1 day, from midnight UTC.
    OneDay,
}

impl Resolution {
    /// All widths, the finest first; each is a multiple of the one before.
    pub const ALL: [Resolution; 4] =
        [Resolution::TenSeconds, Resolution::OneMinute, Resolution::OneHour, Resolution::OneDay];

    /// The table with windows of this width.
    pub fn table(self) -> TableName {
        match self {
            Resolution::TenSeconds => TableName::Metrics10s,
            Resolution::OneMinute => TableName::Metrics1m,
            Resolution::OneHour => TableName::Metrics1h,
            Resolution::OneDay => TableName::Metrics1d,
        }
    }

    /// Width, nanoseconds.
    pub const fn window_ns(self) -> u64 {
        match self {
            Resolution::TenSeconds => 10_000_000_000,
            Resolution::OneMinute => 60_000_000_000,
            Resolution::OneHour => 3_600_000_000_000,
            Resolution::OneDay => 86_400_000_000_000,
        }
    }

    /// How far before a range the last running total of a cumulative series is looked for: at least one window.
    fn look_back_ns(self) -> u64 {
        self.window_ns().max(LOOK_BACK_NS)
    }
}

/// Which series to read.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesQuery {
    /// Metric name.
    pub metric: String,
    /// Only this service.
    pub service: Option<String>,
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// Windows that begin inside.
    pub range: TimeRange,
    /// Width of the windows.
    pub resolution: Resolution,
}

/// One series with its points in order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Stable hash of metric, service, attributes and resource.
    pub id: i64,
    /// Its metric.
    pub metric: Arc<str>,
    /// `service.name`.
    pub service: String,
    /// Attributes of the data points, text form.
    pub attributes: BTreeMap<String, String>,
    /// Attributes of the resource, text form.
    pub resource_attributes: BTreeMap<String, String>,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Unit of the values.
    pub unit: String,
    /// `delta`, `cumulative` or `none`, as it was sent. Points are increases in any case.
    pub temporality: String,
    /// One point a window that has data.
    pub points: Vec<Point>,
}

/// One window of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Start of the window.
    pub time: UnixNanos,
    /// Histograms: values counted. Gauges and counters: data points.
    pub count: u64,
    /// Counters: the increase. Histograms and gauges: sum of the values.
    pub sum: f64,
    /// Smallest value.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Newest value; of cumulative counters the raw running total.
    pub last: Option<f64>,
    /// The distribution, for histograms.
    pub hist: Option<Histogram>,
    /// Relative error that merging foreign histograms may have added to quantiles.
    pub err_bound: f64,
    /// An example.
    pub exemplar: Option<Exemplar>,
}

/// A trace that stands for a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// The trace.
    pub trace_id: TraceId,
    /// The span in it.
    pub span_id: Option<SpanId>,
    /// Its value, in the series' unit.
    pub value: f64,
}

/// Whether distributions are wanted: they are the dearest column to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Histograms {
    /// Fill [`Point::hist`].
    Read,
    /// Leave it empty.
    Skip,
}

/// Reads series: fragments of one window merged exactly once, hot ones included, cumulative ones turned into increases
/// (resets found by start time or by a drop). Sorted by id, points by time.
///
/// Where fragments of one window have bucket bounds that differ, `hist` is `None` and the receipt says so.
///
/// # Errors
/// Faults of the store. Damage makes the receipt partial.
pub async fn read_series(
    reader: &Reader,
    tenant: &TenantId,
    query: &SeriesQuery,
) -> Result<(Vec<Series>, Receipt), StoreError> {
    read_series_with(reader, tenant, query, Histograms::Read).await
}

/// [`read_series`], with or without distributions.
///
/// # Errors
/// As [`read_series`].
pub async fn read_series_with(
    reader: &Reader,
    tenant: &TenantId,
    query: &SeriesQuery,
    histograms: Histograms,
) -> Result<(Vec<Series>, Receipt), StoreError> {
    let table = query.resolution.table();
    // Increases of the first window need the running total before it.
    let range = TimeRange { start: query.range.start.minus(query.resolution.look_back_ns()), end: query.range.end };
    let columns = rows::columns(histograms);
    let mut view = reader.view_columns(tenant, table, range, Some(columns.clone())).await?;
    let filter = SeriesFilter {
        metric: Some(query.metric.clone()),
        service: query.service.clone(),
        matchers: query.matchers.clone(),
    };
    let mut receipt = Receipt::new();
    // After the view of the rows: what they refer to is there by then.
    let search = Search::new(&filter)?;
    let mut found = Found::default();
    lookup::find(reader, tenant, &view, &search, &mut found, &mut receipt).await?;
    let mut spec = ReadSpec { columns: Some(columns), filters: filter.row_filters(), ..ReadSpec::default() };
    spec.filters.extend(not_of(std::mem::take(&mut found.others)));
    let batches = view.read(&spec).await?;
    receipt.absorb(&view.receipt);
    let (mut fragments, mut unknown) = (BTreeMap::new(), HashSet::new());
    for batch in &batches {
        rows::collect(batch, &found, &mut fragments, &mut unknown, &mut receipt)?;
    }
    catalogue::miss_unknown(unknown.len(), &mut receipt);
    let mut all = Vec::with_capacity(fragments.len());
    for (id, fragments) in fragments {
        let Some(mut series) = found.matching.remove(&id) else { continue };
        let cumulative = series.temporality == "cumulative";
        let (points, unmergeable) = merge(fragments, cumulative, range.start);
        if unmergeable > 0 {
            let metric = &query.metric;
            receipt.miss(format!("{unmergeable} windows of {metric} mix bucket bounds: no quantiles there"));
        }
        series.points = points.into_iter().filter(|point| query.range.contains(point.time)).collect();
        if !series.points.is_empty() {
            all.push(series);
        }
    }
    Ok((all, receipt))
}

/// Leaves out rows of these series.
fn not_of(series: HashSet<i64>) -> Option<Filter> {
    if series.is_empty() {
        return None;
    }
    Some(Filter::new(&["series_id"], move |batch| {
        // Of hot rows the batch has all columns.
        let ids = batch.column_by_name("series_id").and_then(|ids| ids.as_primitive_opt::<Int64Type>());
        let ids = ids.ok_or_else(|| ArrowError::SchemaError("series_id is no integer".to_owned()))?;
        Ok(BooleanArray::from_unary(ids, |id| !series.contains(&id)))
    }))
}
