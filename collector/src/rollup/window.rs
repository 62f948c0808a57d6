//! What is known of one series in one window since the last seal.

use daymark_model::UnixNanos;
use daymark_sketch::{ExplicitHistogram, Exponential, HDR_ERROR, Histogram, Sketch, spread_exponential};
use daymark_wire::decode::{ExponentialView, HistogramView, PointValue, PointView, SummaryView};

use crate::columns::WindowExemplar;

/// How the points of a series add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adding {
    /// Current values: last, min, max, sum and count are kept.
    Gauge,
    /// Each point is new: values and buckets are summed.
    Delta,
    /// Each point replaces the one before: the newest is kept as it came; readers turn it into increases.
    Cumulative,
}

/// How an exponential histogram is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ExponentialUnit {
    /// The sender says that it is an HDR histogram of 2 digits in whole units.
    pub(crate) hdr: bool,
    /// Otherwise values are multiplied by this, so that whole numbers are fine enough.
    pub(crate) factor: f64,
}

/// A mergeable fragment of one series and window.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) start: UnixNanos,
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) last: Option<f64>,
    pub(crate) last_time: UnixNanos,
    pub(crate) err_bound: f64,
    pub(crate) hist: Option<Histogram>,
    pub(crate) exemplar: Option<WindowExemplar>,
}

/// The bucket bounds of a point differ from those of the window so far.
#[derive(Debug)]
pub(crate) struct OtherBounds;

impl Window {
    /// Adds one point.
    ///
    /// # Errors
    /// [`OtherBounds`]: nothing was added, the point needs a fragment of its own.
    pub(crate) fn add(
        &mut self,
        adding: Adding,
        point: &PointView<'_, '_>,
        unit: ExponentialUnit,
    ) -> Result<(), OtherBounds> {
        match point.value {
            PointValue::Number(number) => self.number(adding, point, number.as_f64()),
            PointValue::Histogram(view) => self.explicit(adding, point, &view)?,
            PointValue::Exponential(view) => self.exponential(adding, point, &view, unit),
            PointValue::Summary(view) => self.summary(point, &view),
        }
        self.example(point, unit);
        Ok(())
    }

    fn number(&mut self, adding: Adding, point: &PointView<'_, '_>, value: f64) {
        self.count += 1;
        self.extremes(Some(value), Some(value));
        if adding != Adding::Cumulative {
            self.sum += value;
        }
        self.begin(adding, point);
        if point.time >= self.last_time {
            (self.last, self.last_time) = (Some(value), point.time);
        }
    }

    /// Start of what the fragment counts: the first of deltas, that of the newest point of cumulative series.
    fn begin(&mut self, adding: Adding, point: &PointView<'_, '_>) {
        let newest = adding == Adding::Cumulative && point.time >= self.last_time;
        if self.start.0 == 0 || newest || (adding == Adding::Delta && point.start_time < self.start) {
            self.start = point.start_time;
        }
    }

    fn extremes(&mut self, min: Option<f64>, max: Option<f64>) {
        let pick = |ours: Option<f64>, theirs: Option<f64>, of: fn(f64, f64) -> f64| match (ours, theirs) {
            (Some(ours), Some(theirs)) => Some(of(ours, theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        self.min = pick(self.min, min, f64::min);
        self.max = pick(self.max, max, f64::max);
    }

    fn explicit(
        &mut self,
        adding: Adding,
        point: &PointView<'_, '_>,
        view: &HistogramView<'_>,
    ) -> Result<(), OtherBounds> {
        if adding == Adding::Cumulative {
            if point.time >= self.last_time {
                self.replace(point, view.count, view.sum, (view.min, view.max));
                self.hist = Some(Histogram::Explicit(explicit_of(view)));
            }
            return Ok(());
        }
        match &mut self.hist {
            None => self.hist = Some(Histogram::Explicit(explicit_of(view))),
            Some(Histogram::Explicit(ours)) => add_buckets(ours, view)?,
            Some(Histogram::Hdr(_)) => return Err(OtherBounds),
        }
        self.count += view.count;
        self.sum += view.sum.unwrap_or(0.0);
        self.extremes(view.min, view.max);
        self.begin(adding, point);
        self.last_time = self.last_time.max(point.time);
        Ok(())
    }

    fn replace(
        &mut self,
        point: &PointView<'_, '_>,
        count: u64,
        sum: Option<f64>,
        extremes: (Option<f64>, Option<f64>),
    ) {
        self.start = point.start_time;
        self.last_time = point.time;
        self.count = count;
        self.sum = sum.unwrap_or(0.0);
        (self.min, self.max) = extremes;
    }

    fn exponential(
        &mut self,
        adding: Adding,
        point: &PointView<'_, '_>,
        view: &ExponentialView<'_>,
        unit: ExponentialUnit,
    ) {
        let (sketch, err_bound) = sketch_of(view, unit);
        // Row and sketch are in one unit, also when the sketch needed a finer one.
        let scale = |value: Option<f64>| value.map(|value| value * if unit.hdr { 1.0 } else { unit.factor });
        // A row without `hist` is rebuilt from min and max, so they are those of the sketch.
        let (min, max) = (sketch.min().map(|value| value as f64), sketch.max().map(|value| value as f64));
        if adding == Adding::Cumulative {
            if point.time >= self.last_time {
                self.replace(point, view.count, scale(view.sum), (min, max));
                self.err_bound = err_bound;
                self.hist = Some(Histogram::Hdr(sketch));
            }
            return;
        }
        self.count += view.count;
        self.sum += scale(view.sum).unwrap_or(sketch.sum() as f64);
        self.extremes(min, max);
        self.err_bound = self.err_bound.max(err_bound);
        self.begin(adding, point);
        self.last_time = self.last_time.max(point.time);
        match &mut self.hist {
            Some(Histogram::Hdr(ours)) => ours.merge(&sketch),
            _ => self.hist = Some(Histogram::Hdr(sketch)),
        }
    }

    /// A summary has count and sum since its start; its quantiles cannot be merged and are not kept.
    fn summary(&mut self, point: &PointView<'_, '_>, view: &SummaryView<'_>) {
        if point.time >= self.last_time {
            self.replace(point, view.count, Some(view.sum), (None, None));
            self.last = Some(view.count as f64);
        }
    }

    /// Keeps the exemplar with the largest value: the slowest request explains most.
    fn example(&mut self, point: &PointView<'_, '_>, unit: ExponentialUnit) {
        for exemplar in point.exemplars.iter() {
            let (Some(trace_id), Some(value)) = (exemplar.trace_id, exemplar.value) else { continue };
            let scaled = matches!(point.value, PointValue::Exponential(_)) && !unit.hdr;
            let value = value.as_f64() * if scaled { unit.factor } else { 1.0 };
            if self.exemplar.is_none_or(|kept| value > kept.value) {
                self.exemplar = Some(WindowExemplar { trace_id, span_id: exemplar.span_id, value });
            }
        }
    }

    /// Bytes of the histogram, about.
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.hist {
            Some(Histogram::Hdr(sketch)) => sketch.memory_bytes(),
            Some(Histogram::Explicit(explicit)) => 16 * explicit.counts.len(),
            None => 0,
        }
    }
}

fn explicit_of(view: &HistogramView<'_>) -> ExplicitHistogram {
    let mut counts: Vec<u64> = view.counts.iter().collect();
    if counts.is_empty() {
        counts.push(view.count);
    }
    ExplicitHistogram {
        bounds: view.bounds.iter().collect(),
        counts,
        sum: view.sum.unwrap_or(0.0),
        min: view.min,
        max: view.max,
    }
}

fn add_buckets(ours: &mut ExplicitHistogram, view: &HistogramView<'_>) -> Result<(), OtherBounds> {
    if !ours.bounds.iter().copied().eq(view.bounds.iter()) {
        return Err(OtherBounds);
    }
    // The bounds match, so this cannot fail; min and max of the histogram follow the rules of the sketch crate.
    ours.merge(&explicit_of(view)).map_err(|_| OtherBounds)
}

/// The sketch of an exponential histogram and the largest relative error of its quantiles.
fn sketch_of(view: &ExponentialView<'_>, unit: ExponentialUnit) -> (Sketch, f64) {
    let exponential = Exponential {
        scale: view.scale,
        zero_count: view.zero_count,
        offset: view.positive.offset,
        counts: view.positive.counts.iter().collect(),
    };
    if unit.hdr {
        let whole = |value: f64| value.max(0.0) as u64;
        let (min, max) = (view.min.map(whole), view.max.map(whole));
        let sum = whole(view.sum.unwrap_or(0.0));
        if let Ok(sketch) = Sketch::from_exponential(&exponential, view.count, sum, min, max) {
            return (sketch, HDR_ERROR);
        }
    }
    let factor = if unit.hdr { 1.0 } else { unit.factor };
    spread_exponential(&exponential, view.sum, view.min, view.max, factor)
}
