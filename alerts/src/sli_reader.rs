//! From rollups to good and total: the only place where alerts read the store.
//!
//! Keeps one [`SliSeries`] per SLO. Three reads keep it honest about late data, from cheap and frequent to wide and rare:
//! the last minutes at every step, the page windows every half minute, everything every ten minutes (the defaults of
//! [`crate::AlertsOptions`]). Below the page windows, 1 min rollups are spread over their six slots.
//!
//! Invariants:
//! - counts are whole events: a latency event is good by the histogram's own bucket edge, never by interpolation;
//! - a partial receipt is an error here: an SLO over missing data is unknown (design G6).

use std::collections::BTreeMap;
use std::time::Duration;

use daymark_model::{TenantId, TimeRange, TraceId, UnixNanos};
use daymark_sketch::Histogram;
use daymark_store::{MatchOp, Matcher, Point, Reader, Resolution, Series, SeriesQuery, read_series};

use crate::burn::Unknown;
use crate::definition::{Sli, Slo};
use crate::sli::{Counts, SLOT_S, SliSeries, Slot};
use crate::validate::MAX_LONG_S;

const HOUR_S: u64 = 3_600;
/// Kept beyond the longest window, for the check of late data at the time a tier fired.
const KEPT_S: u64 = MAX_LONG_S + 2 * 86_400;
/// Example traces kept per SLO.
const MAX_EXAMPLES: usize = 10;

/// How much is read how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshPlan {
    pub(crate) recent_s: u64,
    pub(crate) wide_s: u64,
    pub(crate) wide_every_s: u64,
    pub(crate) full_every_s: u64,
}

/// Good and total events of one SLO, as far as they were read.
#[derive(Debug)]
pub(crate) struct SliCache {
    /// 10 s slots over the burn windows.
    pub(crate) series: SliSeries,
    /// Hours over the SLO's window, for the budget; keyed by the first second of the hour.
    pub(crate) hours: BTreeMap<u64, Counts>,
    /// Traces of bad events, newest first.
    pub(crate) examples: Vec<(UnixNanos, TraceId)>,
    read_wide: Option<UnixNanos>,
    read_full: Option<UnixNanos>,
}

impl Default for SliCache {
    fn default() -> SliCache {
        SliCache {
            series: SliSeries::new(KEPT_S),
            hours: BTreeMap::new(),
            examples: Vec::new(),
            read_wide: None,
            read_full: None,
        }
    }
}

/// What one read of the store gave.
struct Read {
    /// By first second of the window.
    counts: BTreeMap<u64, Counts>,
    examples: Vec<(UnixNanos, TraceId)>,
}

/// What to read next for one SLO.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    from: Slot,
    end: Slot,
    wide: bool,
    full: bool,
    at: UnixNanos,
}

/// What was read, ready to become part of a cache.
pub(crate) struct Fetched {
    due: Due,
    old: Option<Read>,
    recent: Read,
}

/// Reads series from the store.
pub(crate) struct SliReader<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) tenant: &'a TenantId,
    pub(crate) timeout_ms: u64,
}

impl SliReader<'_> {
    /// Reads what is due, without touching the cache: nobody waits for the store under a lock.
    ///
    /// # Errors
    /// Why the data is missing.
    pub(crate) async fn fetch(&self, slo: &Slo, due: Due) -> Result<Fetched, Unknown> {
        let old = if due.full { Some(self.read_old(slo, due.from, due.end).await?) } else { None };
        let recent = self.read(slo, due.from, due.end, Resolution::TenSeconds).await?;
        Ok(Fetched { due, old, recent })
    }

    /// 1 min rollups over the SLO's window before `until`.
    async fn read_old(&self, slo: &Slo, until: Slot, end: Slot) -> Result<Read, Unknown> {
        let start = end.minus_seconds(slo.window_s.max(KEPT_S)).start().seconds() / HOUR_S * HOUR_S;
        self.read(slo, Slot::of_seconds(start), until, Resolution::OneMinute).await
    }

    async fn read(&self, slo: &Slo, from: Slot, until: Slot, resolution: Resolution) -> Result<Read, Unknown> {
        let query = SeriesQuery {
            metric: slo.metric.clone(),
            service: Some(slo.service.clone()),
            matchers: slo.matchers.iter().map(|(key, value)| equal(key, value)).collect(),
            range: TimeRange { start: from.start(), end: until.start() },
            resolution,
        };
        let limit = Duration::from_millis(self.timeout_ms);
        let answer = tokio::time::timeout(limit, read_series(self.reader, self.tenant, &query)).await;
        let partial = |why: String| Unknown::PartialData { why };
        let (series, receipt) = answer
            .map_err(|_| partial(format!("reading took longer than {} ms", self.timeout_ms)))?
            .map_err(|error| partial(error.to_string()))?;
        if !receipt.complete {
            return Err(partial(receipt.missing.join("; ")));
        }
        count(slo, &series)
    }
}

fn equal(key: &str, value: &str) -> Matcher {
    Matcher { key: key.to_owned(), op: MatchOp::Equal, value: value.to_owned() }
}

/// Sums all series into good and total by window.
fn count(slo: &Slo, all: &[Series]) -> Result<Read, Unknown> {
    let mut read = Read { counts: BTreeMap::new(), examples: Vec::new() };
    for series in all {
        for point in &series.points {
            let good = good_events(&slo.sli, series, point)?;
            let total = point.count;
            let counts = read.counts.entry(point.time.seconds()).or_default();
            counts.total = counts.total.saturating_add(total);
            counts.good = counts.good.saturating_add(good.min(total));
            let exemplar = point.exemplar.as_ref().filter(|_| good < total);
            read.examples.extend(exemplar.map(|exemplar| (point.time, exemplar.trace_id)));
        }
    }
    read.examples.sort_by(|a, b| b.cmp(a));
    read.examples.truncate(MAX_EXAMPLES);
    Ok(read)
}

fn good_events(sli: &Sli, series: &Series, point: &Point) -> Result<u64, Unknown> {
    match sli {
        Sli::Availability { bad } => {
            let attribute = |key: &String| series.attributes.get(key).or_else(|| series.resource_attributes.get(key));
            let is_bad = bad.iter().all(|(key, value)| attribute(key) == Some(value));
            Ok(if is_bad { 0 } else { point.count })
        }
        Sli::Latency { threshold_ns, edge_ns } => {
            let of_unit = |nanos: u64| nanos_in_unit(nanos, &series.unit).ok_or_else(|| uncountable(series, "unit"));
            match &point.hist {
                Some(Histogram::Hdr(sketch)) if series.unit == "ns" => Ok(sketch.count_at_or_below(*edge_ns)),
                Some(Histogram::Explicit(buckets)) => {
                    let (least, most) = buckets.count_at_or_below(of_unit(*threshold_ns)?);
                    if least == most { Ok(least) } else { Err(uncountable(series, "bucket bounds")) }
                }
                None if point.count == 0 => Ok(0),
                _ => Err(uncountable(series, "histogram")),
            }
        }
    }
}

fn uncountable(series: &Series, what: &str) -> Unknown {
    let why = format!("the {what} of series {} ({}) cannot tell events at the threshold apart", series.id, series.unit);
    Unknown::PartialData { why }
}

fn nanos_in_unit(nanos: u64, unit: &str) -> Option<f64> {
    let per_unit = match unit {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    Some(nanos as f64 / per_unit)
}

impl SliCache {
    /// What to read so that the cache holds everything before `end`, late data included.
    pub(crate) fn due(&self, plan: RefreshPlan, end: Slot, now: UnixNanos) -> Due {
        let is_due = |last: Option<UnixNanos>, every_s: u64| {
            last.is_none_or(|last| now.0.saturating_sub(last.0) >= every_s * 1_000_000_000)
        };
        let full = is_due(self.read_full, plan.full_every_s);
        let wide = full || is_due(self.read_wide, plan.wide_every_s);
        // Wide reads begin on the hour, so that the boundary to the 1 min rollups is one of theirs as well. Any read
        // begins where the cache ends if that is earlier: after a pause the gap is longer than the usual span.
        let usual = end.minus_seconds(if wide { plan.wide_s } else { plan.recent_s });
        let whole_hour = Slot::of_seconds(usual.start().seconds() / HOUR_S * HOUR_S);
        let from = if wide { whole_hour } else { usual.min(self.series.end()) };
        Due { from, end, wide, full, at: now }
    }

    /// Makes what was read part of the cache.
    pub(crate) fn install(&mut self, fetched: Fetched, window_s: u64) {
        let Fetched { due, old, recent } = fetched;
        if let Some(old) = old {
            self.replace_old(&old, due.from);
            self.read_full = Some(due.at);
        }
        self.replace_recent(recent, due.from, due.end);
        if due.wide {
            self.read_wide = Some(due.at);
        }
        self.hours = self.hours.split_off(&due.end.minus_seconds(window_s + HOUR_S).start().seconds());
    }

    fn replace_old(&mut self, old: &Read, until: Slot) {
        let Some((&first, _)) = old.counts.iter().find(|(_, counts)| counts.total > 0) else { return };
        let start = until.minus_seconds(KEPT_S).max(Slot::of_seconds(first));
        self.series.replace_from(start, &spread_minutes(&old.counts, start, until));
        self.series.note_first_event(Slot::of_seconds(first));
        self.hours.clear();
        self.add_hours(&old.counts);
    }

    fn replace_recent(&mut self, recent: Read, from: Slot, end: Slot) {
        let slots: Vec<Counts> =
            (from.0..end.0).map(|slot| recent.counts.get(&(slot * SLOT_S)).copied().unwrap_or_default()).collect();
        self.series.replace_from(from, &slots);
        // Hours are sums of what the series now holds: the first of them may begin before what was read.
        let first_hour = from.start().seconds() / HOUR_S * HOUR_S;
        for hour in (first_hour..end.start().seconds()).step_by(HOUR_S as usize) {
            let counts = self.series.window(Slot::of_seconds(hour + HOUR_S), HOUR_S);
            self.hours.insert(hour, counts);
        }
        self.examples.retain(|(at, _)| *at < from.start());
        self.examples.extend(recent.examples);
        self.examples.sort_by(|a, b| b.cmp(a));
        self.examples.truncate(MAX_EXAMPLES);
    }

    fn add_hours(&mut self, counts: &BTreeMap<u64, Counts>) {
        for (second, counts) in counts {
            let hour = self.hours.entry(second / HOUR_S * HOUR_S).or_default();
            hour.good = hour.good.saturating_add(counts.good);
            hour.total = hour.total.saturating_add(counts.total);
        }
    }
}

/// Minutes as 10 s slots from `start` to `until`: good and bad each spread evenly, none lost.
fn spread_minutes(minutes: &BTreeMap<u64, Counts>, start: Slot, until: Slot) -> Vec<Counts> {
    let part = |events: u64, sixth: u64| {
        let upto = |sixths: u64| (u128::from(events) * u128::from(sixths) / 6) as u64;
        upto(sixth + 1) - upto(sixth)
    };
    let slot = |slot: u64| {
        let second = slot * SLOT_S;
        let minute = minutes.get(&(second / 60 * 60)).copied().unwrap_or_default();
        let sixth = second % 60 / SLOT_S;
        let (good, bad) = (part(minute.good, sixth), part(minute.bad(), sixth));
        Counts { good, total: good + bad }
    };
    (start.0..until.0).map(slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slo(sli: &str) -> Slo {
        let dir = tempfile::tempdir().unwrap();
        let head = "apiVersion: daymark/v1\nkind: SLO\nid: a\nservice: a\nowner: a\ndescription: a\ntarget: \"99\"\n";
        let tail = "window: 30d\nrunbook: https://example.com\ndashboard: https://example.com\n";
        std::fs::write(dir.path().join("a.yaml"), format!("{head}{tail}sli: {sli}\n")).unwrap();
        crate::Definitions::load(dir.path()).unwrap().slos.remove(0)
    }

    /// A series of one point with these values, or of `count` events without a distribution.
    fn series(status: &str, unit: &str, count: u64, hist: Option<Histogram>) -> Series {
        let exemplar = daymark_store::Exemplar { trace_id: TraceId([9; 16]), span_id: None, value: 0.0 };
        let point = Point {
            time: UnixNanos::from_seconds(10),
            count,
            sum: 0.0,
            min: None,
            max: None,
            last: None,
            hist,
            err_bound: 0.0,
            exemplar: Some(exemplar),
        };
        Series {
            id: 1,
            metric: "m".into(),
            service: "a".into(),
            attributes: BTreeMap::from([("status.code".into(), status.into())]),
            resource_attributes: BTreeMap::new(),
            kind: "histogram".into(),
            unit: unit.into(),
            temporality: "delta".into(),
            points: vec![point],
        }
    }

    #[test]
    fn bad_events_are_those_with_the_bad_attributes() {
        let slo = slo("{ availability: {} }");
        let all = [series("unset", "ns", 7, None), series("error", "ns", 2, None), series("ok", "ns", 1, None)];
        let read = count(&slo, &all).unwrap();
        assert_eq!(read.counts[&10], Counts { good: 8, total: 10 });
        assert_eq!(read.examples, [(UnixNanos::from_seconds(10), TraceId([9; 16]))]);
    }

    #[test]
    fn slow_events_are_those_above_the_edge() {
        let slo = slo("{ latency: { threshold: 300ms } }");
        let edge = daymark_sketch::bucket_edge(300_000_000);
        let mut sketch = daymark_sketch::Sketch::new();
        [1, 300_000_000, edge, edge + 1, 10_000_000_000].into_iter().for_each(|value| sketch.record(value));
        let read = count(&slo, &[series("ok", "ns", 5, Some(Histogram::Hdr(sketch)))]).unwrap();
        assert_eq!(read.counts[&10], Counts { good: 3, total: 5 });
    }

    #[test]
    fn buckets_that_cannot_tell_are_unknown_not_guessed() {
        let slo = slo("{ latency: { threshold: 300ms } }");
        let buckets = |bounds: Vec<f64>| {
            let counts = vec![4, 3, 2];
            Some(Histogram::Explicit(daymark_sketch::ExplicitHistogram::new(bounds, counts, 1.0, None, None).unwrap()))
        };
        let read = count(&slo, &[series("ok", "s", 9, buckets(vec![0.1, 0.3]))]).unwrap();
        assert_eq!(read.counts[&10], Counts { good: 7, total: 9 });
        let unclear = [buckets(vec![0.1, 0.5]), None];
        for hist in unclear {
            assert!(matches!(count(&slo, &[series("ok", "s", 9, hist)]), Err(Unknown::PartialData { .. })));
        }
    }

    #[test]
    fn a_minute_is_spread_without_loss() {
        let minute = |good, bad| Counts { good, total: good + bad };
        let minutes = BTreeMap::from([(60, minute(7, 2)), (120, minute(1, 0))]);
        let slots = spread_minutes(&minutes, Slot(6), Slot(18));
        let sum = |slots: &[Counts]| slots.iter().fold((0, 0), |(g, b), c| (g + c.good, b + c.bad()));
        assert_eq!(sum(&slots[..6]), (7, 2));
        assert_eq!(sum(&slots[6..]), (1, 0));
    }

    #[test]
    fn recent_slots_replace_old_minutes_and_hours_follow() {
        let counts = |good, bad| Counts { good, total: good + bad };
        let mut cache = SliCache::default();
        let old = BTreeMap::from([(7_200, counts(60, 0)), (10_740, counts(6, 0))]);
        cache.replace_old(&Read { counts: old, examples: Vec::new() }, Slot(1_080));
        let trace = (UnixNanos::from_seconds(10_810), TraceId([1; 16]));
        let recent = BTreeMap::from([(10_800, counts(5, 0)), (10_810, counts(0, 5))]);
        cache.replace_recent(Read { counts: recent, examples: vec![trace] }, Slot(1_080), Slot(1_082));
        assert_eq!(cache.series.first_event(), Some(Slot(720)));
        assert_eq!(cache.series.window(Slot(1_082), 3_620), counts(71, 5));
        assert_eq!(cache.hours[&7_200], counts(66, 0));
        assert_eq!(cache.hours[&10_800], counts(5, 5));
        assert_eq!(cache.examples, [trace]);
    }
}
