//! One metric over time: series read from the rollups, grouped, and reduced to a value per step.

use std::collections::{BTreeMap, HashSet};

use axum::response::Response;
use daymark_model::Receipt;
use daymark_store::series::{Histograms, read_series_with};
use daymark_store::{MatchOp, Matcher, Resolution, Series, SeriesQuery};
use serde::Serialize;

use super::function::{Function, Kind, Step};
use super::step::Grid;
use super::unknown::warn_if_unknown;
use crate::QueryError;
use crate::asked::Asked;
use crate::router::on_cpu;

/// Examples shown for one series.
const MAX_EXEMPLARS: usize = 50;

#[derive(Serialize)]
struct RangeAnswer {
    metric: String,
    kind: Option<String>,
    unit: String,
    #[serde(rename = "fn")]
    function: String,
    resolution: &'static str,
    step_s: u64,
    series: Vec<Line>,
}

/// One group of series over time.
#[derive(Serialize)]
struct Line {
    labels: BTreeMap<String, String>,
    points: Vec<(u64, Option<f64>)>,
    err_bound: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket_bound: Option<String>,
    exemplars: Vec<Example>,
}

#[derive(Clone, Serialize)]
struct Example {
    time_ms: u64,
    value: f64,
    trace_id: String,
    span_id: Option<String>,
}

struct Question {
    metric: String,
    group_by: Vec<String>,
    function: Option<Function>,
    grid: Grid,
    resolution: Resolution,
    max_series: usize,
    /// Attributes that every series must have.
    fixed: Vec<(String, String)>,
}

pub(crate) async fn range(asked: Asked) -> Result<Response, QueryError> {
    let Asked { app, tenant, params, .. } = &asked;
    params.check(&["metric", "service", "fn", "start", "end", "step"], &["attribute", "group_by"])?;
    let metric = params.one("metric").ok_or_else(|| QueryError::parameter("metric", "no metric named"))?.to_owned();
    let grid = Grid::new(params.range(&*app.clock)?, params.number("step")?, app.options.max_points)?;
    let resolution = Resolution::coarsest(&app.reader, tenant, grid.step_ns(), grid.range).await?;
    let question = Question {
        metric: metric.clone(),
        group_by: params.all("group_by").map(str::to_owned).collect(),
        function: params.one("fn").map(Function::parse).transpose()?,
        grid,
        resolution,
        max_series: app.options.max_series,
        fixed: params.pairs("attribute")?,
    };
    let matcher = |(key, value)| Matcher { key, op: MatchOp::Equal, value };
    let query = SeriesQuery {
        metric,
        service: params.one("service").map(str::to_owned),
        matchers: params.pairs("attribute")?.into_iter().map(matcher).collect(),
        range: grid.range,
        resolution,
    };
    // Without a function named, the metric's kind decides, and it may ask for a quantile.
    let needs_distributions = question.function.is_none_or(Function::is_quantile);
    let histograms = if needs_distributions { Histograms::Read } else { Histograms::Skip };
    let (series, mut receipt) = read_series_with(&app.reader, tenant, &query, histograms).await?;
    // Other series of the metric and service say that it reports: what they count, this one has not seen happen.
    let family = if question.fills_zeros(&series) && !query.matchers.is_empty() {
        let whole = SeriesQuery { matchers: Vec::new(), ..query.clone() };
        let (family, read) = read_series_with(&app.reader, tenant, &whole, Histograms::Skip).await?;
        receipt.absorb(&read);
        family
    } else {
        Vec::new()
    };
    if series.is_empty() && family.is_empty() {
        warn_if_unknown(app, tenant, &query.metric, resolution.table(), grid.range, &mut receipt).await?;
    }
    let (answer, misses) = on_cpu(move || question.answer(&series, &family)).await??;
    misses.into_iter().for_each(|why| Receipt::miss(&mut receipt, why));
    asked.answer(receipt, answer).await
}

impl Question {
    /// The answer and what is missing from it.
    fn answer(self, series: &[Series], family: &[Series]) -> Result<(RangeAnswer, Vec<String>), QueryError> {
        let kind_name = series.first().or(family.first()).map(|first| first.kind.clone());
        let kind = Kind::parse(kind_name.as_deref().unwrap_or_default());
        let function = self.function.unwrap_or(Function::default_for(kind));
        if kind_name.is_some() {
            function.check(kind)?;
        }
        let mut groups: BTreeMap<Vec<String>, Group> = BTreeMap::new();
        for one in series {
            let labels: Vec<String> = self.group_by.iter().map(|key| label(one, key)).collect();
            groups.entry(labels).or_insert_with(|| Group::new(self.grid.len())).add(one, self.grid);
        }
        if function.zero_when_absent() {
            self.note_reports(&mut groups, if family.is_empty() { series } else { family });
        }
        if groups.len() > self.max_series {
            return Err(QueryError::Limit {
                what: format!("the answer has {} series", groups.len()),
                option: "max_series",
                limit: self.max_series as u64,
                advice: "group by fewer labels or filter by attribute",
            });
        }
        let mut misses = Vec::new();
        let mut lines = Vec::new();
        for (values, group) in groups {
            let labels: BTreeMap<String, String> = self.group_by.iter().cloned().zip(values).collect();
            if function.is_quantile() && group.steps.iter().any(Step::is_mixed) {
                misses.push(format!(
                    "quantiles of {labels:?}: histograms with different buckets cannot be merged; group by more labels"
                ));
            }
            lines.push(group.line(labels, function, kind, self.grid));
        }
        let unit = series.first().map(|first| function.unit(&first.unit, kind)).unwrap_or_default();
        let answer = RangeAnswer {
            metric: self.metric,
            kind: kind_name,
            unit,
            function: function.name(),
            resolution: self.resolution.name(),
            step_s: self.grid.step_s,
            series: lines,
        };
        Ok((answer, misses))
    }

    /// Whether a step without data of its own may be 0.
    fn fills_zeros(&self, series: &[Series]) -> bool {
        let default =
            || series.first().is_none_or(|one| Function::default_for(Kind::parse(&one.kind)).zero_when_absent());
        self.function.map_or_else(default, Function::zero_when_absent)
    }

    /// Notes in which steps the services of each group report the metric at all. A label that a matcher fixes has that
    /// value in every group, so a group may be one that nothing was counted in.
    fn note_reports(&self, groups: &mut BTreeMap<Vec<String>, Group>, family: &[Series]) {
        let mut reports: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for one in family {
            let steps = reports.entry(&one.service).or_insert_with(|| vec![false; self.grid.len()]);
            one.points.iter().filter_map(|point| self.grid.position(point.time)).for_each(|at| steps[at] = true);
        }
        // A label that no series has is a mistake rather than something that did not happen.
        if self.fixed.iter().any(|(key, _)| family.iter().all(|one| label(one, key).is_empty())) {
            return;
        }
        for one in family {
            let value = |key: &String| match self.fixed.iter().find(|(fixed, _)| fixed == key) {
                Some((_, value)) => value.clone(),
                None => label(one, key),
            };
            let labels: Vec<String> = self.group_by.iter().map(value).collect();
            if groups.len() >= self.max_series && !groups.contains_key(&labels) {
                continue;
            }
            let group = groups.entry(labels).or_insert_with(|| Group::new(self.grid.len()));
            if let Some(steps) =
                reports.get(one.service.as_str()).filter(|_| group.services.insert(one.service.clone()))
            {
                group.reports.iter_mut().zip(steps).for_each(|(ours, theirs)| *ours |= theirs);
            }
        }
    }
}

/// The series' value of a label: the service, or an attribute of the points, or of the resource; else empty.
fn label(series: &Series, key: &str) -> String {
    if matches!(key, "service" | "service.name" | "service_name") {
        return series.service.clone();
    }
    let value = series.attributes.get(key).or_else(|| series.resource_attributes.get(key));
    value.cloned().unwrap_or_default()
}

/// Series with the same labels, merged step by step.
struct Group {
    steps: Vec<Step>,
    /// Steps in which a service of it reports the metric, if only for other series.
    reports: Vec<bool>,
    services: HashSet<String>,
    exemplars: Vec<Example>,
}

impl Group {
    fn new(steps: usize) -> Group {
        Group {
            steps: vec![Step::default(); steps],
            reports: vec![false; steps],
            services: HashSet::new(),
            exemplars: Vec::new(),
        }
    }

    fn add(&mut self, series: &Series, grid: Grid) {
        let is_error = series.attributes.get("status.code").is_some_and(|code| code == "error");
        for point in &series.points {
            let Some(position) = grid.position(point.time) else { continue };
            self.steps[position].add(point, is_error);
            if let Some(exemplar) = &point.exemplar {
                self.exemplars.push(Example {
                    time_ms: point.time.0 / 1_000_000,
                    value: exemplar.value,
                    trace_id: exemplar.trace_id.to_string(),
                    span_id: exemplar.span_id.map(|id| id.to_string()),
                });
            }
        }
    }

    fn line(self, labels: BTreeMap<String, String>, function: Function, kind: Kind, grid: Grid) -> Line {
        let first = self.steps.iter().position(|step| !step.is_empty());
        let last = self.steps.iter().rposition(|step| !step.is_empty());
        let has_data_around = |at: usize| first.is_some_and(|f| f <= at) && last.is_some_and(|l| at <= l);
        let value = |(at, step): (usize, &Step)| {
            let value = if !step.is_empty() {
                step.value(function, kind, grid.step_s)
            } else {
                (function.zero_when_absent() && (self.reports[at] || has_data_around(at))).then_some(0.0)
            };
            (grid.start_ms(at), value)
        };
        let points = self.steps.iter().enumerate().map(value).collect();
        Line {
            labels,
            points,
            err_bound: self.steps.iter().map(Step::err_bound).fold(0.0, f64::max),
            bucket_bound: self.steps.iter().find_map(Step::bucket_bound).filter(|_| function.is_quantile()),
            exemplars: spread(self.exemplars, grid),
        }
    }
}

/// At most [`MAX_EXEMPLARS`] examples, in order of time: the largest of every part of the range, then the largest of the
/// others. The largest values are the ones somebody looks for, and one bad minute must not hide the next.
fn spread(mut exemplars: Vec<Example>, grid: Grid) -> Vec<Example> {
    exemplars.sort_by(|a, b| b.value.total_cmp(&a.value));
    let part_ms = (grid.start_ms(grid.len()) - grid.start_ms(0)).div_ceil(MAX_EXEMPLARS as u64).max(1);
    let mut parts = HashSet::new();
    let part_of = |example: &Example| example.time_ms.saturating_sub(grid.start_ms(0)) / part_ms;
    let (mut kept, others): (Vec<_>, Vec<_>) =
        exemplars.into_iter().partition(|example| parts.insert(part_of(example)));
    let room = MAX_EXEMPLARS.saturating_sub(kept.len());
    kept.extend(others.into_iter().take(room));
    kept.sort_by_key(|example| example.time_ms);
    kept
}

#[cfg(test)]
mod tests {
    use daymark_model::{TimeRange, UnixNanos};

    use super::*;

    fn series(service: &str, status: &str, windows: &[u64]) -> Series {
        let point = |window: &u64| daymark_store::Point {
            time: UnixNanos::from_seconds(window * 60),
            count: 2,
            sum: 2.0,
            min: None,
            max: None,
            last: None,
            hist: None,
            err_bound: 0.0,
            exemplar: None,
        };
        Series {
            id: 1,
            metric: "requests".into(),
            service: service.into(),
            attributes: BTreeMap::from([("status".into(), status.into())]),
            resource_attributes: BTreeMap::new(),
            kind: "counter".into(),
            unit: "1".into(),
            temporality: "delta".into(),
            points: windows.iter().map(point).collect(),
        }
    }

    /// Increases by minute of the series with `status=error`, where `family` are all of the metric.
    fn errors(group_by: &[&str], fixed: (&str, &str), family: &[Series]) -> Vec<(String, Vec<Option<f64>>)> {
        let range = TimeRange { start: UnixNanos::from_seconds(0), end: UnixNanos::from_seconds(300) };
        let question = Question {
            metric: "requests".into(),
            group_by: group_by.iter().map(|&key| key.to_owned()).collect(),
            function: Some(Function::Increase),
            grid: Grid::new(range, Some(60), 100).unwrap(),
            resolution: Resolution::OneMinute,
            max_series: 10,
            fixed: vec![(fixed.0.to_owned(), fixed.1.to_owned())],
        };
        let matching = |one: &&Series| one.attributes.get(fixed.0).is_some_and(|value| value == fixed.1);
        let matching: Vec<Series> = family.iter().filter(matching).cloned().collect();
        let (answer, _) = question.answer(&matching, family).unwrap();
        let line = |line: &Line| {
            let labels: Vec<&str> = line.labels.values().map(String::as_str).collect();
            (labels.join(","), line.points.iter().map(|(_, value)| *value).collect())
        };
        answer.series.iter().map(line).collect()
    }

    #[test]
    fn no_errors_are_zero_errors_while_the_service_reports() {
        let family = [series("a", "ok", &[0, 1, 3]), series("a", "error", &[1]), series("b", "ok", &[2])];
        let error = ("status", "error");
        let (zero, two) = (Some(0.0), Some(2.0));
        let all = errors(&[], error, &family);
        assert_eq!(all, [(String::new(), vec![zero, two, zero, zero, None])]);
        let by_service = errors(&["service"], error, &family);
        assert_eq!(
            by_service,
            [("a".to_owned(), vec![zero, two, None, zero, None]), ("b".to_owned(), vec![None, None, zero, None, None])]
        );
        let by_status = errors(&["status"], error, &family[..1]);
        assert_eq!(by_status, [("error".to_owned(), vec![zero, zero, None, zero, None])]);
        assert!(errors(&[], ("statsu", "error"), &family).is_empty(), "a label that nothing has is a mistake");
    }

    fn example(time_s: u64, value: f64) -> Example {
        Example { time_ms: time_s * 1_000, value, trace_id: String::new(), span_id: None }
    }

    #[test]
    fn examples_are_spread_over_the_range() {
        let range = TimeRange { start: UnixNanos::from_seconds(0), end: UnixNanos::from_seconds(3_600) };
        let grid = Grid::new(range, Some(10), 11_000).unwrap();
        let values = |kept: &[Example]| kept.iter().map(|one| (one.time_ms / 1_000, one.value)).collect::<Vec<_>>();

        // 300 slow ones in the first minutes, a few mild ones later.
        let burst = (0..300).map(|i| example(i, 1_000.0 + i as f64));
        let later = [example(1_000, 5.0), example(1_001, 6.0), example(3_599, 1.0)];
        let kept = values(&spread(burst.chain(later).collect(), grid));
        assert_eq!(kept.len(), MAX_EXEMPLARS);
        assert!(kept.is_sorted_by_key(|(time, _)| *time));
        assert!(kept.contains(&(299, 1_299.0)) && kept.contains(&(1_001, 6.0)) && kept.contains(&(3_599, 1.0)));
        assert!(!kept.contains(&(1_000, 5.0)), "the larger one of its part is kept");

        let even = (0..3_600).map(|i| example(i, (i % 72) as f64)).collect();
        let kept = values(&spread(even, grid));
        assert_eq!(kept.len(), MAX_EXEMPLARS);
        assert!(kept.iter().all(|(_, value)| *value == 71.0), "the largest of each part: {kept:?}");
        let few = vec![example(9, 1.0), example(3, 2.0)];
        assert_eq!(values(&spread(few, grid)), [(3, 2.0), (9, 1.0)]);
    }
}
