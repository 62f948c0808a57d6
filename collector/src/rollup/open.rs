//! What is known of one series in one 10 s window since the last seal: figures in a flat record, and apart from it what
//! only some have, a distribution or an example.

use std::borrow::Cow;

use daymark_model::UnixNanos;
use daymark_sketch::{HDR_ERROR, Histogram, Sketch};
use daymark_store::series::{Adding, Exemplar, Fragment, continues};
use daymark_wire::decode::{ExponentialView, HistogramView, PointValue, PointView, SummaryView};

use super::distribution::{ExponentialUnit, explicit_of, sketch_of};

/// No fragment, no extra.
pub(super) const NONE: u32 = u32::MAX;

/// A fragment that still takes points.
#[derive(Debug)]
pub(super) struct Open {
    /// The series' fragment before this one, or [`NONE`].
    pub(super) before: u32,
    /// Where its [`Extra`] is, or [`NONE`].
    extra: u32,
    pub(super) window: u64,
    start: u64,
    last_time: u64,
    count: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
    last: Option<f64>,
}

/// What only some fragments have.
#[derive(Debug, Default)]
pub(super) struct Extra {
    hist: Option<Histogram>,
    err_bound: f64,
    exemplar: Option<Exemplar>,
}

/// The extras of all open fragments.
#[derive(Debug, Default)]
pub(super) struct Extras {
    all: Vec<Extra>,
    /// Bytes of the distributions, about.
    bytes: usize,
}

/// The point does not fit this fragment: a total that was reset, or other bucket bounds. Nothing was added.
#[derive(Debug)]
pub(super) struct Apart;

/// A point, and how to read it.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'p, 's, 'a> {
    pub(super) point: &'p PointView<'s, 'a>,
    pub(super) adding: Adding,
    pub(super) unit: ExponentialUnit,
}

impl Extras {
    fn of(&mut self, at: &mut u32) -> &mut Extra {
        if *at == NONE {
            *at = self.all.len() as u32;
            self.all.push(Extra::default());
        }
        &mut self.all[*at as usize]
    }

    /// Bytes in use, about.
    pub(super) fn size_bytes(&self) -> usize {
        size_of_val(self.all.as_slice()) + self.bytes
    }

    fn hist(&self, at: u32) -> Option<&Histogram> {
        self.all.get(at as usize)?.hist.as_ref()
    }

    fn put_hist(&mut self, at: &mut u32, hist: Histogram) {
        let size = heap_bytes(&hist);
        let replaced = self.of(at).hist.replace(hist).as_ref().map_or(0, heap_bytes);
        self.bytes = (self.bytes + size).saturating_sub(replaced);
    }
}

/// Where a running total stands to the one held, by time and value.
enum Step {
    /// It is the newest.
    Newer,
    /// An earlier one: the newest says it all.
    Older,
    /// There was a reset between the two.
    Reset,
}

impl Open {
    pub(super) fn new(before: u32, window: UnixNanos) -> Open {
        Open {
            before,
            extra: NONE,
            window: window.0,
            start: 0,
            last_time: 0,
            count: 0,
            sum: 0.0,
            min: None,
            max: None,
            last: None,
        }
    }

    /// Adds one point.
    ///
    /// # Errors
    /// [`Apart`]: nothing was added, the point needs a fragment of its own. A fresh fragment takes any point.
    pub(super) fn add(&mut self, incoming: Incoming<'_, '_, '_>, extras: &mut Extras) -> Result<(), Apart> {
        match incoming.point.value {
            PointValue::Number(number) => self.number(incoming, number.as_f64())?,
            PointValue::Histogram(view) => self.explicit(incoming, &view, extras)?,
            PointValue::Exponential(view) => self.exponential(incoming, &view, extras)?,
            PointValue::Summary(view) => self.summary(incoming, &view)?,
        }
        if !incoming.point.exemplars.is_empty() {
            self.example(incoming, extras);
        }
        Ok(())
    }

    fn number(&mut self, Incoming { point, adding, .. }: Incoming<'_, '_, '_>, value: f64) -> Result<(), Apart> {
        if adding == Adding::Cumulative {
            return self.total(point, value);
        }
        self.count += 1;
        self.sum += value;
        self.extremes(Some(value), Some(value));
        self.begin(point.start_time.0);
        let time = point.time.0;
        // Of equal times the larger value, so that the order of points does not matter.
        if time > self.last_time || self.last.is_none_or(|last| time == self.last_time && value > last) {
            self.last = Some(value);
        }
        self.last_time = self.last_time.max(time);
        Ok(())
    }

    /// A running total with a value of its own.
    fn total(&mut self, point: &PointView<'_, '_>, value: f64) -> Result<(), Apart> {
        let falls = |open: &Open| open.last.is_some_and(|last| value < last);
        let rises = |open: &Open| open.last.is_some_and(|last| value > last);
        match self.step(point, falls, rises) {
            Step::Reset => return Err(Apart),
            Step::Older => {}
            Step::Newer => {
                (self.start, self.last_time) = (point.start_time.0, point.time.0);
                self.last = Some(value);
            }
        }
        self.count += 1;
        Ok(())
    }

    fn step(&self, point: &PointView<'_, '_>, falls: impl Fn(&Open) -> bool, rises: impl Fn(&Open) -> bool) -> Step {
        if self.count == 0 && self.last_time == 0 {
            return Step::Newer;
        }
        if point.start_time.0 != self.start {
            return Step::Reset;
        }
        match point.time.0.cmp(&self.last_time) {
            std::cmp::Ordering::Greater if falls(self) => Step::Reset,
            std::cmp::Ordering::Greater => Step::Newer,
            // Two totals of one instant: the larger is the whole one.
            std::cmp::Ordering::Equal if rises(self) => Step::Newer,
            std::cmp::Ordering::Equal => Step::Older,
            std::cmp::Ordering::Less if rises(self) => Step::Reset,
            std::cmp::Ordering::Less => Step::Older,
        }
    }

    /// The first start of what is summed up.
    fn begin(&mut self, start: u64) {
        if start != 0 && (self.start == 0 || start < self.start) {
            self.start = start;
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
        Incoming { point, adding, .. }: Incoming<'_, '_, '_>,
        view: &HistogramView<'_>,
        extras: &mut Extras,
    ) -> Result<(), Apart> {
        if adding == Adding::Cumulative {
            let hist = Histogram::Explicit(explicit_of(view));
            let figures = (view.count, view.sum.unwrap_or(0.0), view.min, view.max);
            return self.distribution(point, hist, figures, extras);
        }
        match extras.hist(self.extra) {
            None => extras.put_hist(&mut self.extra, Histogram::Explicit(explicit_of(view))),
            Some(Histogram::Explicit(ours)) if ours.bounds.iter().copied().eq(view.bounds.iter()) => {
                if let Some(Histogram::Explicit(ours)) = &mut extras.of(&mut self.extra).hist {
                    // The bounds match; min and max of the histogram follow the rules of the sketch crate.
                    ours.merge(&explicit_of(view)).map_err(|_| Apart)?;
                }
            }
            Some(_) => return Err(Apart),
        }
        let figures = (view.count, view.sum.unwrap_or(0.0), view.min, view.max);
        self.sum_up((point.start_time.0, point.time.0), figures);
        Ok(())
    }

    /// Adds durations that an agent derived, all of them between the two `times`.
    pub(super) fn add_sketch(
        &mut self,
        times: (u64, u64),
        sketch: &Sketch,
        exemplar: Option<Exemplar>,
        extras: &mut Extras,
    ) {
        self.merge(sketch, extras);
        let (min, max) = (sketch.min().map(|value| value as f64), sketch.max().map(|value| value as f64));
        self.sum_up(times, (sketch.count(), sketch.sum() as f64, min, max));
        let extra = extras.of(&mut self.extra);
        extra.err_bound = extra.err_bound.max(HDR_ERROR);
        extra.exemplar = Exemplar::better(extra.exemplar, exemplar);
    }

    fn merge(&mut self, sketch: &Sketch, extras: &mut Extras) {
        let hist = &mut extras.of(&mut self.extra).hist;
        let before = hist.as_ref().map_or(0, heap_bytes);
        if let Some(Histogram::Hdr(ours)) = hist {
            ours.merge(sketch);
        } else {
            *hist = Some(Histogram::Hdr(sketch.clone()));
        }
        let after = hist.as_ref().map_or(0, heap_bytes);
        extras.bytes = (extras.bytes + after).saturating_sub(before);
    }

    fn sum_up(&mut self, (start, time): (u64, u64), figures: Figures) {
        let (count, sum, min, max) = figures;
        self.count = self.count.saturating_add(count);
        self.sum += sum;
        self.extremes(min, max);
        self.begin(start);
        self.last_time = self.last_time.max(time);
    }

    /// A running total of a distribution.
    fn distribution(
        &mut self,
        point: &PointView<'_, '_>,
        hist: Histogram,
        figures: Figures,
        extras: &mut Extras,
    ) -> Result<(), Apart> {
        let ours = extras.hist(self.extra);
        let falls = |_: &Open| ours.is_some_and(|ours| !continues(ours, &hist));
        // At the same instant both may hold: then they are equal.
        let rises = |_: &Open| ours.is_some_and(|ours| !continues(&hist, ours));
        match self.step(point, falls, rises) {
            Step::Reset => Err(Apart),
            Step::Older => Ok(()),
            Step::Newer => {
                (self.count, self.sum, self.min, self.max) = figures;
                (self.start, self.last_time) = (point.start_time.0, point.time.0);
                extras.put_hist(&mut self.extra, hist);
                Ok(())
            }
        }
    }

    fn exponential(
        &mut self,
        Incoming { point, adding, unit }: Incoming<'_, '_, '_>,
        view: &ExponentialView<'_>,
        extras: &mut Extras,
    ) -> Result<(), Apart> {
        let (sketch, err_bound) = sketch_of(view, unit);
        // Row and sketch are in one unit, also when the sketch needed a finer one.
        let sum = view.sum.map(|value| value * if unit.hdr { 1.0 } else { unit.factor });
        // A row without `hist` is rebuilt from min and max, so they are those of the sketch.
        let (min, max) = (sketch.min().map(|value| value as f64), sketch.max().map(|value| value as f64));
        if adding == Adding::Cumulative {
            let figures = (view.count, sum.unwrap_or(0.0), min, max);
            self.distribution(point, Histogram::Hdr(sketch), figures, extras)?;
        } else {
            let figures = (view.count, sum.unwrap_or(sketch.sum() as f64), min, max);
            self.merge(&sketch, extras);
            self.sum_up((point.start_time.0, point.time.0), figures);
        }
        let extra = extras.of(&mut self.extra);
        extra.err_bound = extra.err_bound.max(err_bound);
        Ok(())
    }

    /// A summary is a running total of count and sum; its quantiles cannot be merged and are not kept.
    fn summary(&mut self, Incoming { point, .. }: Incoming<'_, '_, '_>, view: &SummaryView<'_>) -> Result<(), Apart> {
        let (falls, rises) = (|open: &Open| view.count < open.count, |open: &Open| view.count > open.count);
        match self.step(point, falls, rises) {
            Step::Reset => return Err(Apart),
            Step::Older => {}
            Step::Newer => {
                (self.start, self.last_time) = (point.start_time.0, point.time.0);
                (self.count, self.sum) = (view.count, view.sum);
            }
        }
        Ok(())
    }

    /// Keeps the exemplar with the largest value: the slowest request explains most.
    fn example(&mut self, Incoming { point, unit, .. }: Incoming<'_, '_, '_>, extras: &mut Extras) {
        let scaled = matches!(point.value, PointValue::Exponential(_)) && !unit.hdr;
        for exemplar in point.exemplars.iter() {
            let (Some(trace_id), Some(value)) = (exemplar.trace_id, exemplar.value) else { continue };
            let value = value.as_f64() * if scaled { unit.factor } else { 1.0 };
            let extra = extras.of(&mut self.extra);
            let found = Exemplar { trace_id, span_id: exemplar.span_id, value };
            extra.exemplar = Exemplar::better(extra.exemplar, Some(found));
        }
    }

    pub(super) fn fragment<'e>(&self, extras: &'e Extras) -> Fragment<'e> {
        let extra = extras.all.get(self.extra as usize);
        Fragment {
            window: UnixNanos(self.window),
            start: self.start,
            last_time: self.last_time,
            count: self.count,
            sum: self.sum,
            min: self.min,
            max: self.max,
            last: self.last,
            hist: extra.and_then(|extra| extra.hist.as_ref()).map(Cow::Borrowed),
            err_bound: extra.map_or(0.0, |extra| extra.err_bound),
            exemplar: extra.and_then(|extra| extra.exemplar),
        }
    }

    /// The order in which fragments of one series are folded.
    pub(super) fn rank(&self) -> (u64, u64, u64, u64) {
        (self.window, self.last_time, self.start, self.count)
    }
}

/// Count, sum, smallest and largest value.
type Figures = (u64, f64, Option<f64>, Option<f64>);

fn heap_bytes(hist: &Histogram) -> usize {
    match hist {
        Histogram::Hdr(sketch) => sketch.memory_bytes(),
        Histogram::Explicit(explicit) => 16 * explicit.counts.len(),
    }
}
