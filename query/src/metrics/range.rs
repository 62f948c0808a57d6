//! One metric over time: series read from the rollups, grouped, and reduced to a value per step.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use daymark_model::{Receipt, TenantId};
use daymark_store::series::{Histograms, read_series_with};
use daymark_store::{MatchOp, Matcher, Series, SeriesQuery};
use serde::Serialize;

use super::function::{Function, Kind, Step};
use super::step::Grid;
use crate::QueryError;
use crate::params::Params;
use crate::router::{App, on_cpu};

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
    max_series: usize,
}

pub(crate) async fn range(
    State(app): State<App>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, QueryError> {
    let started = Instant::now();
    params.check(&["metric", "service", "fn", "start", "end", "step"], &["attribute", "group_by"])?;
    let metric = params.one("metric").ok_or_else(|| QueryError::parameter("metric", "no metric named"))?.to_owned();
    let grid = Grid::new(params.range(&*app.clock)?, params.number("step")?, app.options.max_points)?;
    let question = Question {
        metric: metric.clone(),
        group_by: params.all("group_by").map(str::to_owned).collect(),
        function: params.one("fn").map(Function::parse).transpose()?,
        grid,
        max_series: app.options.max_series,
    };
    let matcher = |(key, value)| Matcher { key, op: MatchOp::Equal, value };
    let query = SeriesQuery {
        metric,
        service: params.one("service").map(str::to_owned),
        matchers: params.pairs("attribute")?.into_iter().map(matcher).collect(),
        range: grid.range,
        resolution: grid.resolution(),
    };
    // Without a function named, the metric's kind decides, and it may ask for a quantile.
    let needs_distributions = question.function.is_none_or(Function::is_quantile);
    let histograms = if needs_distributions { Histograms::Read } else { Histograms::Skip };
    let (series, mut receipt) = read_series_with(&app.reader, &tenant, &query, histograms).await?;
    let (answer, misses) = on_cpu(move || question.answer(&series)).await??;
    misses.into_iter().for_each(|why| Receipt::miss(&mut receipt, why));
    app.answer(started, receipt, answer).await
}

impl Question {
    /// The answer and what is missing from it.
    fn answer(self, series: &[Series]) -> Result<(RangeAnswer, Vec<String>), QueryError> {
        let kind_name = series.first().map(|first| first.kind.clone());
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
            resolution: self.grid.resolution_name(),
            step_s: self.grid.step_s,
            series: lines,
        };
        Ok((answer, misses))
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
    exemplars: Vec<Example>,
}

impl Group {
    fn new(steps: usize) -> Group {
        Group { steps: vec![Step::default(); steps], exemplars: Vec::new() }
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

    fn line(mut self, labels: BTreeMap<String, String>, function: Function, kind: Kind, grid: Grid) -> Line {
        let first = self.steps.iter().position(|step| !step.is_empty());
        let last = self.steps.iter().rposition(|step| !step.is_empty());
        let has_data_around = |at: usize| first.is_some_and(|f| f <= at) && last.is_some_and(|l| at <= l);
        let value = |(at, step): (usize, &Step)| {
            let value = if !step.is_empty() {
                step.value(function, kind, grid.step_s)
            } else {
                (function.zero_when_absent() && has_data_around(at)).then_some(0.0)
            };
            (grid.start_ms(at), value)
        };
        let points = self.steps.iter().enumerate().map(value).collect();
        // The largest values are the ones somebody looks for.
        self.exemplars.sort_by(|a, b| b.value.total_cmp(&a.value));
        self.exemplars.truncate(MAX_EXEMPLARS);
        self.exemplars.sort_by_key(|example| example.time_ms);
        Line {
            labels,
            points,
            err_bound: self.steps.iter().map(Step::err_bound).fold(0.0, f64::max),
            bucket_bound: self.steps.iter().find_map(Step::bucket_bound).filter(|_| function.is_quantile()),
            exemplars: self.exemplars,
        }
    }
}
