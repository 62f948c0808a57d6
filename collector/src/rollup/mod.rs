//! Roll up: data points become fragments of series in 10 s and 1 min windows.
//!
//! Where it sits: the applier feeds it every data point; hot reads take the fragments as they stand; a seal takes and
//! empties one resolution. Each fragment counts the points of one stretch of the log, so readers sum fragments.
//!
//! Invariants:
//! - a point is in exactly one window per resolution, and in exactly one fragment of it;
//! - a delta that covers one aligned 10 s window is in that window, whatever its time stamp rounds to;
//! - at most `max_series` series are in memory; further points go to one series a metric with
//!   `otel.metric.overflow=true`.

mod series;
mod window;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use daymark_guard::fault::{self, Fault};
use daymark_model::{LogOffset, UnixNanos};
use daymark_store::TableName;
use daymark_wire::decode::{PointValue, PointView};

pub(crate) use self::series::{Metric, hash_attributes};
use self::window::{Adding, Window};
use crate::columns::{Encoded, MetricColumns, MetricRow, MetricSeries};
use crate::keyed::IdMap;

/// Width of the finest windows; agents align what they derive to it.
const FINEST_NS: u64 = 10_000_000_000;
/// Fragments of a series and window that could not be merged (bucket bounds that differ), at most, per seal.
const MAX_SPLIT: usize = 4_096;
/// What a fragment takes besides its histogram, with its share of the series' text. Bytes.
const SERIES_BYTES: usize = 600;
/// Hot reads may see fragments so old: well within the 2 s that rows have until they can be queried.
const MAX_LIVE_AGE: Duration = Duration::from_secs(1);
/// A series unused for so many seals is forgotten.
const KEEP_SEALS: u64 = 4;

/// The resource of a point.
pub(crate) struct PointResource<'a> {
    pub(crate) service: &'a str,
    pub(crate) text: &'a Arc<Encoded>,
    pub(crate) hash: u64,
}

/// The series of one tenant and their open windows.
pub(crate) struct Rollups {
    max_series: usize,
    series: IdMap<u64, Known>,
    resolutions: [Resolution; 2],
    seals: u64,
}

struct Known {
    series: Arc<MetricSeries>,
    used_in: u64,
}

struct Resolution {
    width_ns: u64,
    open: IdMap<(u64, u64), Fragment>,
    split: Vec<(UnixNanos, Fragment)>,
    bytes: usize,
    /// Points added since the last seal.
    added: u64,
    live: Option<Live>,
}

/// Fragments built for hot reads.
struct Live {
    added: u64,
    through: LogOffset,
    built: Instant,
    took: Duration,
    batch: Option<RecordBatch>,
}

struct Fragment {
    series: Arc<MetricSeries>,
    window: Window,
}

/// Rows of one resolution and the time they span.
pub(crate) struct Fragments {
    pub(crate) batch: RecordBatch,
    pub(crate) time: (UnixNanos, UnixNanos),
}

impl Rollups {
    pub(crate) fn new(max_series: usize) -> Rollups {
        let resolution = |table: TableName| Resolution {
            width_ns: table.window_ns().unwrap_or(FINEST_NS),
            open: IdMap::default(),
            split: Vec::new(),
            bytes: 0,
            added: 0,
            live: None,
        };
        Rollups {
            max_series,
            series: IdMap::default(),
            resolutions: [resolution(TableName::Metrics10s), resolution(TableName::Metrics1m)],
            seals: 0,
        }
    }

    /// Fragments that a seal of this resolution (0: 10 s, 1: 1 min) would write.
    pub(crate) fn rows(&self, resolution: usize) -> usize {
        self.resolutions[resolution].open.len() + self.resolutions[resolution].split.len()
    }

    /// Bytes held for one resolution, about.
    pub(crate) fn size_bytes(&self, resolution: usize) -> usize {
        self.resolutions[resolution].bytes + SERIES_BYTES * self.rows(resolution)
    }

    /// Adds one point to the resolutions that have not consumed it yet.
    pub(crate) fn add(
        &mut self,
        metric: &Metric,
        resource: &PointResource<'_>,
        point: &PointView<'_, '_>,
        wanted: [bool; 2],
    ) {
        let (series, overflows) = self.series(metric, resource, point);
        if overflows && metric.adding == Adding::Cumulative {
            // Running totals of different series cannot share one: the series only shows that there are too many.
            return;
        }
        let at = window_of(metric.adding, point);
        for (resolution, _) in self.resolutions.iter_mut().zip(wanted).filter(|(_, wanted)| *wanted) {
            resolution.add(&series, metric, point, at);
            if fault::active(Fault::MergeRollupTwice) {
                resolution.add(&series, metric, point, at);
            }
        }
    }

    fn series(
        &mut self,
        metric: &Metric,
        resource: &PointResource<'_>,
        point: &PointView<'_, '_>,
    ) -> (Arc<MetricSeries>, bool) {
        let id = metric.series_id(&point.attributes, resource.hash);
        if let Some(known) = self.series.get_mut(&id) {
            known.used_in = self.seals;
            return (Arc::clone(&known.series), false);
        }
        if self.series.len() >= self.max_series {
            let id = metric.overflow_id();
            let known = self
                .series
                .entry(id)
                .or_insert_with(|| Known { series: Arc::new(metric.overflow_series(id)), used_in: 0 });
            known.used_in = self.seals;
            return (Arc::clone(&known.series), true);
        }
        let series = Arc::new(metric.series(id, resource.service, &point.attributes, resource.text));
        self.series.insert(id, Known { series: Arc::clone(&series), used_in: self.seals });
        (series, false)
    }

    /// The fragments of one resolution as they stand, newest offset counted `through`; `None` when there are none.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn fragments(&self, resolution: usize, through: LogOffset) -> Result<Option<Fragments>, ArrowError> {
        self.resolutions[resolution].fragments(through)
    }

    /// The fragments for a hot read, with the offset they reflect. Building them takes the lock from the applier, so
    /// they are built again only when points came, and then at most for a tenth of the time (and once a second).
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn live(
        &mut self,
        resolution: usize,
        through: LogOffset,
    ) -> Result<(LogOffset, Option<RecordBatch>), ArrowError> {
        let resolution = &mut self.resolutions[resolution];
        if let Some(live) = &resolution.live {
            if live.added == resolution.added {
                return Ok((through, live.batch.clone()));
            }
            if live.built.elapsed() < (live.took * 10).min(MAX_LIVE_AGE) {
                return Ok((live.through, live.batch.clone()));
            }
        }
        let built = Instant::now();
        let batch = resolution.fragments(through)?.map(|fragments| fragments.batch);
        let live = Live { added: resolution.added, through, built, took: built.elapsed(), batch: batch.clone() };
        resolution.live = Some(live);
        Ok((through, batch))
    }

    /// Empties one resolution: its fragments are sealed.
    pub(crate) fn clear(&mut self, resolution: usize) {
        self.resolutions[resolution].open = IdMap::default();
        self.resolutions[resolution].split = Vec::new();
        self.resolutions[resolution].bytes = 0;
        self.resolutions[resolution].added = 0;
        self.resolutions[resolution].live = None;
        self.seals += 1;
        let oldest = self.seals.saturating_sub(KEEP_SEALS);
        self.series.retain(|_, known| known.used_in >= oldest);
    }
}

impl Resolution {
    fn add(&mut self, series: &Arc<MetricSeries>, metric: &Metric, point: &PointView<'_, '_>, at: UnixNanos) {
        self.added += 1;
        let start = at.window(self.width_ns);
        let fresh = || Fragment { series: Arc::clone(series), window: Window::default() };
        let fragment = self.open.entry((series.id, start.0)).or_insert_with(fresh);
        let before = fragment.window.heap_bytes();
        if fragment.window.add(metric.adding, point, metric.exponential).is_ok() {
            self.bytes = (self.bytes + fragment.window.heap_bytes()).saturating_sub(before);
        } else {
            let mut own = fresh();
            if self.split.len() < MAX_SPLIT && own.window.add(metric.adding, point, metric.exponential).is_ok() {
                self.bytes += own.window.heap_bytes();
                self.split.push((start, own));
            } else {
                tracing::warn!(metric = %metric.name, "bucket bounds change with every point: a point was left out");
            }
        }
    }

    fn fragments(&self, through: LogOffset) -> Result<Option<Fragments>, ArrowError> {
        let open = self.open.iter().map(|((_, start), fragment)| (UnixNanos(*start), fragment));
        let split = self.split.iter().map(|(start, fragment)| (*start, fragment));
        let mut rows: Vec<(UnixNanos, &Fragment)> = open.chain(split).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        rows.sort_unstable_by(|(a_start, a), (b_start, b)| {
            (&a.series.metric, a.series.id, a_start).cmp(&(&b.series.metric, b.series.id, b_start))
        });
        let mut columns = MetricColumns::new();
        let mut time = (UnixNanos(u64::MAX), UnixNanos(0));
        for (start, Fragment { series, window }) in rows {
            time = (time.0.min(start), time.1.max(start));
            columns.push(&MetricRow {
                series,
                window: start,
                start: window.start,
                count: window.count,
                sum: window.sum,
                min: window.min,
                max: window.max,
                last: window.last,
                last_time: window.last_time,
                err_bound: window.err_bound,
                hist: window.hist.as_ref(),
                exemplar: window.exemplar,
                log_offset: through,
            })?;
        }
        Ok(Some(Fragments { batch: columns.finish()?, time }))
    }
}

/// The instant whose window a point belongs to. What a delta counts lies before its time stamp, so one that ends on an
/// edge belongs to the window before the edge.
fn window_of(adding: Adding, point: &PointView<'_, '_>) -> UnixNanos {
    let counts_backwards = adding == Adding::Delta && point.start_time.0 != 0 && point.start_time < point.time;
    if counts_backwards { point.time.minus(1) } else { point.time }
}

/// Why a point cannot be stored at all; admission and the applier ask the same question.
pub(crate) fn unsupported(point: &PointView<'_, '_>) -> Option<&'static str> {
    match point.value {
        PointValue::Exponential(view) if view.negative.counts.iter().any(|count| count > 0) => {
            Some("negative values in an exponential histogram")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
