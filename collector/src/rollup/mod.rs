//! Roll up: data points become fragments of series in 10 s windows; coarser windows are folded from those.
//!
//! Where it sits: the applier feeds it every data point; hot reads take the fragments as they stand; a seal takes and
//! empties all resolutions at once. Each fragment counts the points of one stretch of the log, so readers sum fragments.
//!
//! Invariants:
//! - a point is in exactly one fragment, and through it in exactly one window per resolution;
//! - all open fragments are wanted by the same tables: when a replay comes to frames that other tables lack, the
//!   fragments before are frozen first;
//! - a delta that covers one aligned 10 s window is in that window, whatever its time stamp rounds to;
//! - at most `max_series` series are in memory, and `max_series_per_metric` of a metric; further points go to one
//!   series a metric with `otel.metric.overflow=true`;
//! - nothing is allocated per point, except for a distribution.

mod derived;
mod distribution;
mod fold;
mod frozen;
mod open;
mod series;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use daymark_guard::fault::{self, Fault};
use daymark_model::{LogOffset, UnixNanos};
use daymark_store::Resolution;
use daymark_store::series::Adding;
use daymark_wire::decode::{PointValue, PointView, Value};

use self::fold::LEVELS;
pub(crate) use self::fold::{Levels, level};
pub(crate) use self::frozen::Frozen;
use self::frozen::{Chain, Folded, Parts};
use self::open::{Apart, Extras, Incoming, NONE, Open};
pub(crate) use self::series::{Metric, hash_attributes};
use crate::columns::{Encoded, MetricSeries, SeriesColumns};
use crate::keyed::IdMap;

/// Fragments of a series that a point looks through for its window, newest first. Beyond, it gets one of its own:
/// readers and compaction join it.
const MAX_LOOK_BACK: usize = 64;
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

/// How many series there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeriesLimits {
    pub(crate) all: usize,
    pub(crate) per_metric: usize,
}

/// Where the rows of series go that come with a frame.
pub(crate) struct Catalogue<'a> {
    pub(crate) columns: &'a mut SeriesColumns,
    pub(crate) offset: LogOffset,
}

/// The series of one tenant and their open windows.
pub(crate) struct Rollups {
    limits: SeriesLimits,
    /// Series by id: their position in `slots`.
    known: IdMap<u64, u32>,
    /// How many of them each metric has, by its hash.
    by_metric: IdMap<u64, usize>,
    slots: Vec<Slot>,
    /// Ids of series that agents derived, by the hash of what names them.
    derived: IdMap<u64, u64>,
    /// The resources of those series, by the hash of their attributes.
    derived_from: IdMap<u64, Arc<Encoded>>,
    open: Vec<Open>,
    /// How many series have an open fragment.
    chains: usize,
    extras: Extras,
    /// Resolutions whose tables lack what is open.
    wanted: Levels,
    live: [Option<Live>; LEVELS],
    /// Points ever added.
    points: u64,
    seals: u64,
}

struct Slot {
    series: Arc<MetricSeries>,
    metric_hash: u64,
    adding: Adding,
    /// Its newest fragment, or [`NONE`].
    newest: u32,
    /// The latest window of its fragments.
    latest: u64,
    used_in: u64,
    /// Days, counted from 1970, for which the catalogue has a row of it; the newest two.
    days: [u32; 2],
}

/// Fragments built for hot reads.
struct Live {
    /// Points applied when they were built.
    points: u64,
    through: LogOffset,
    built: Instant,
    took: Duration,
    batch: Option<RecordBatch>,
}

impl Rollups {
    pub(crate) fn new(limits: SeriesLimits) -> Rollups {
        Rollups {
            limits,
            known: IdMap::default(),
            by_metric: IdMap::default(),
            slots: Vec::new(),
            derived: IdMap::default(),
            derived_from: IdMap::default(),
            open: Vec::new(),
            chains: 0,
            extras: Extras::default(),
            wanted: [true; LEVELS],
            live: Default::default(),
            points: 0,
            seals: 0,
        }
    }

    /// Open fragments, which are the rows that a seal writes at 10 s.
    pub(crate) fn rows(&self) -> usize {
        self.open.len()
    }

    /// Bytes that a seal frees, about.
    pub(crate) fn size_bytes(&self) -> usize {
        frozen::size_bytes(&self.open, &self.extras, self.chains)
    }

    /// Which resolutions the open fragments are for.
    pub(crate) fn wanted(&self) -> Levels {
        self.wanted
    }

    /// From now on points are for these resolutions. Nothing may be open.
    pub(crate) fn want(&mut self, wanted: Levels) {
        debug_assert!(self.open.is_empty(), "fragments of other tables are frozen first");
        self.wanted = wanted;
    }

    /// Adds one point; the catalogue's row of its series and day goes into `catalogue`, if there is one to fill.
    pub(crate) fn add(
        &mut self,
        metric: &Metric,
        resource: &PointResource<'_>,
        point: &PointView<'_, '_>,
        catalogue: Option<Catalogue<'_>>,
    ) {
        let (slot, overflows) = self.slot(metric, resource, || point.attributes.iter());
        if overflows && metric.adding == Adding::Cumulative {
            // Running totals of different series cannot share one: the series only shows that there are too many.
            return;
        }
        let window = window_of(metric.adding, point).window(Resolution::TenSeconds.window_ns());
        self.note(slot, window, catalogue);
        if !self.wanted.contains(&true) {
            return;
        }
        let incoming = Incoming { point, adding: metric.adding, unit: metric.exponential };
        let mut add = |open: &mut Open, extras: &mut Extras| open.add(incoming, extras);
        self.put(slot, window, &mut add);
        if fault::active(Fault::MergeRollupTwice) {
            self.put(slot, window, &mut add);
        }
    }

    /// Makes sure that the catalogue has the series on the day of `window`.
    fn note(&mut self, slot: u32, window: UnixNanos, catalogue: Option<Catalogue<'_>>) {
        let Some(Catalogue { columns, offset }) = catalogue else { return };
        let slot = &mut self.slots[slot as usize];
        let day = window.window(Resolution::OneDay.window_ns());
        let number = (day.0 / Resolution::OneDay.window_ns()) as u32;
        if !slot.days.contains(&number) {
            slot.days = [number, slot.days[0]];
            columns.push(&slot.series, day, offset);
        }
    }

    /// Adds to the series' fragment of `window`, or to a fresh one, which takes anything.
    fn put(&mut self, slot: u32, window: UnixNanos, add: &mut impl FnMut(&mut Open, &mut Extras) -> Result<(), Apart>) {
        self.points += 1;
        let known = &mut self.slots[slot as usize];
        // As a rule a point opens the series' next window or belongs to its newest: the others are not looked at.
        let mut at = if known.newest != NONE && window.0 <= known.latest { known.newest } else { NONE };
        for _ in 0..MAX_LOOK_BACK {
            let Some(open) = self.open.get_mut(at as usize) else { break };
            if open.window == window.0 && add(open, &mut self.extras).is_ok() {
                return;
            }
            at = open.before;
        }
        let mut fresh = Open::new(known.newest, window);
        let taken = add(&mut fresh, &mut self.extras);
        debug_assert!(taken.is_ok());
        self.chains += usize::from(known.newest == NONE);
        known.latest = if known.newest == NONE { window.0 } else { known.latest.max(window.0) };
        known.newest = self.open.len() as u32;
        self.open.push(fresh);
    }

    /// The slot of a series that is in memory.
    fn known_slot(&mut self, id: u64) -> Option<u32> {
        let slot = *self.known.get(&id)?;
        self.slots[slot as usize].used_in = self.seals;
        Some(slot)
    }

    /// The series' slot, and whether it is the one for what is beyond the cap.
    fn slot<'v, A: Iterator<Item = (&'v str, Value<'v>)>>(
        &mut self,
        metric: &Metric,
        resource: &PointResource<'_>,
        attributes: impl Fn() -> A,
    ) -> (u32, bool) {
        let id = metric.series_id(attributes(), resource.hash);
        if let Some(slot) = self.known_slot(id) {
            return (slot, false);
        }
        let of_metric = self.by_metric.get(&metric.hash).copied().unwrap_or(0);
        let overflows = self.known.len() >= self.limits.all || of_metric >= self.limits.per_metric;
        let (id, series) = if overflows {
            let id = metric.overflow_id();
            if let Some(slot) = self.known_slot(id) {
                return (slot, true);
            }
            let SeriesLimits { all, per_metric } = self.limits;
            tracing::warn!(
                metric = %metric.name, series = of_metric, max_series = all, max_series_per_metric = per_metric,
                "too many series: new ones share one with otel.metric.overflow; /api/v1/metrics/cardinality names the label"
            );
            (id, metric.overflow_series(id))
        } else {
            (id, metric.series(id, resource.service, attributes(), resource.text))
        };
        let slot = self.slots.len() as u32;
        *self.by_metric.entry(metric.hash).or_default() += 1;
        let metric_hash = metric.hash;
        self.slots.push(Slot {
            series: Arc::new(series),
            metric_hash,
            adding: metric.adding,
            newest: NONE,
            latest: 0,
            used_in: self.seals,
            days: [NONE; 2],
        });
        self.known.insert(id, slot);
        (slot, overflows)
    }

    /// The rows of the resolutions in `levels` as they stand, newest offset counted `through`. Sorted by metric, series
    /// and time.
    fn fold(&self, levels: Levels, through: LogOffset) -> Result<Folded, ArrowError> {
        let used = self.slots.iter().filter(|slot| slot.newest != NONE);
        let chains = used.map(|slot| Chain { series: &*slot.series, adding: slot.adding, newest: slot.newest });
        frozen::fold(frozen::sorted(chains.collect()), (&self.open, &self.extras), levels, through)
    }

    /// The fragments for a hot read of one resolution, with the offset they reflect. Building them takes the lock from
    /// the applier, so they are built again only when points came, and then at most for a tenth of the time (and once
    /// a second).
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn live(
        &mut self,
        level: usize,
        through: LogOffset,
    ) -> Result<(LogOffset, Option<RecordBatch>), ArrowError> {
        if self.open.is_empty() || !self.wanted[level] {
            return Ok((through, None));
        }
        if let Some(live) = &self.live[level] {
            if live.points == self.points {
                return Ok((through, live.batch.clone()));
            }
            if live.built.elapsed() < (live.took * 10).min(MAX_LIVE_AGE) {
                return Ok((live.through, live.batch.clone()));
            }
        }
        let built = Instant::now();
        let mut levels = [false; LEVELS];
        levels[level] = true;
        let batch = self.fold(levels, through)?[level].take();
        let live = Live { points: self.points, through, built, took: built.elapsed(), batch: batch.clone() };
        self.live[level] = Some(live);
        Ok((through, batch))
    }

    /// Takes the fragments of all wanted resolutions, which are empty afterwards; newest offset counted `through`.
    pub(crate) fn freeze(&mut self, through: LogOffset) -> Option<Frozen> {
        let used = self.slots.iter_mut().filter(|slot| slot.newest != NONE);
        let chain = |slot: &mut Slot| Chain {
            series: Arc::clone(&slot.series),
            adding: slot.adding,
            newest: std::mem::replace(&mut slot.newest, NONE),
        };
        let chains = used.map(chain).collect();
        // With room for as many: growing would copy them again and again.
        let room = Vec::with_capacity(self.open.len());
        let (open, extras) = (std::mem::replace(&mut self.open, room), std::mem::take(&mut self.extras));
        self.chains = 0;
        let frozen = Frozen::new(Parts { chains, open, extras }, self.wanted, through);
        self.live = Default::default();
        self.seals += 1;
        let oldest = self.seals.saturating_sub(KEEP_SEALS);
        if self.slots.iter().any(|slot| slot.used_in < oldest) {
            self.slots.retain(|slot| slot.used_in >= oldest);
            self.known = (0..).zip(&self.slots).map(|(at, slot)| (slot.series.id, at)).collect();
            self.by_metric.clear();
            self.slots.iter().for_each(|slot| *self.by_metric.entry(slot.metric_hash).or_default() += 1);
        }
        // Resources go with their last series.
        self.derived_from.retain(|_, resource| Arc::strong_count(resource) > 1);
        frozen
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
mod exact_tests;
#[cfg(test)]
mod tests;
