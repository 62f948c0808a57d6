//! What names series: their labels, the values of one, the series themselves, and which label made them so many.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use daymark_model::{Receipt, TimeRange};
use daymark_store::series::{LabelValues, Resolution, SeriesFilter, list_labels, list_series};
use daymark_store::{MatchOp, Matcher, Series, TableName};
use serde::Serialize;

use crate::QueryError;
use crate::asked::Asked;
use crate::router::on_cpu;

/// Metrics and labels of an account of cardinality: those with the most.
const MOST: usize = 20;
/// Attribute of the series that takes what is beyond a limit.
const OVERFLOW: &str = "otel.metric.overflow";

#[derive(Serialize)]
struct Labels {
    labels: Vec<Label>,
}

/// A label and how many values it has.
#[derive(Serialize)]
struct Label {
    name: String,
    values: usize,
}

#[derive(Serialize)]
struct Values {
    label: String,
    values: BTreeSet<String>,
}

#[derive(Serialize)]
struct Found {
    series: Vec<Named>,
}

#[derive(Serialize)]
struct Named {
    metric: String,
    service: String,
    attributes: BTreeMap<String, String>,
    resource_attributes: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Cardinality {
    series: usize,
    metrics: Vec<MetricCardinality>,
}

#[derive(Serialize)]
struct MetricCardinality {
    name: String,
    series: usize,
    /// Some of its points are in the series for what is beyond a limit.
    overflows: bool,
    labels: Vec<Label>,
}

/// The series with data in `range`, refused when reading them would be too much.
pub(super) async fn listed(
    asked: &Asked,
    filter: &SeriesFilter,
    range: TimeRange,
) -> Result<(Vec<Series>, Receipt), QueryError> {
    check_rows(asked, range).await?;
    Ok(list_series(&asked.app.reader, &asked.tenant, filter, range).await?)
}

async fn check_rows(asked: &Asked, range: TimeRange) -> Result<(), QueryError> {
    let resolution = Resolution::for_listing(&asked.app.reader, &asked.tenant, range).await?;
    for table in [resolution.table(), TableName::Series] {
        asked.app.check_rows(&asked.tenant, table, range).await?;
    }
    Ok(())
}

fn question(asked: &Asked, more: &[&str]) -> Result<(SeriesFilter, TimeRange), QueryError> {
    let Asked { app, params, .. } = asked;
    params.check(&[&["metric", "service", "start", "end"][..], more].concat(), &["attribute"])?;
    let matcher = |(key, value)| Matcher { key, op: MatchOp::Equal, value };
    let filter = SeriesFilter {
        metric: params.one("metric").map(str::to_owned),
        service: params.one("service").map(str::to_owned),
        matchers: params.pairs("attribute")?.into_iter().map(matcher).collect(),
    };
    Ok((filter, params.range(&*app.clock)?))
}

async fn asked_for(asked: &Asked) -> Result<(Vec<Series>, Receipt), QueryError> {
    let (filter, range) = question(asked, &[])?;
    listed(asked, &filter, range).await
}

/// The labels of the series asked for, or with `label` its values.
pub(crate) async fn labels(asked: Asked) -> Result<Response, QueryError> {
    let (filter, range) = question(&asked, &["label"])?;
    check_rows(&asked, range).await?;
    let label = asked.params.one("label").map(str::to_owned);
    let (mut found, receipt) = list_labels(&asked.app.reader, &asked.tenant, &filter, range, label.as_deref()).await?;
    match label {
        None => asked.answer(receipt, Labels { labels: by_size(found) }).await,
        Some(label) => {
            let values = found.remove(&label).unwrap_or_default();
            asked.answer(receipt, Values { label, values }).await
        }
    }
}

/// The series asked for, at most `max_series`.
pub(crate) async fn series(asked: Asked) -> Result<Response, QueryError> {
    let (series, receipt) = asked_for(&asked).await?;
    let limit = asked.app.options.max_series;
    if series.len() > limit {
        return Err(QueryError::Limit {
            what: format!("the answer has {} series", series.len()),
            option: "max_series",
            limit: limit as u64,
            advice: "filter by metric, service or attribute, or ask for the labels",
        });
    }
    let named = |one: Series| Named {
        metric: one.metric.to_string(),
        service: one.service,
        attributes: one.attributes,
        resource_attributes: one.resource_attributes,
    };
    asked.answer(receipt, Found { series: series.into_iter().map(named).collect() }).await
}

/// The metrics with the most series, and the labels of each with the most values.
pub(crate) async fn cardinality(asked: Asked) -> Result<Response, QueryError> {
    let (series, receipt) = asked_for(&asked).await?;
    let account = on_cpu(move || account(series)).await?;
    asked.answer(receipt, account).await
}

fn account(all: Vec<Series>) -> Cardinality {
    let series = all.len();
    let mut by_metric: BTreeMap<String, Vec<Series>> = BTreeMap::new();
    for one in all {
        by_metric.entry(one.metric.to_string()).or_default().push(one);
    }
    let of = |(name, series): (String, Vec<Series>)| {
        let overflows = series.iter().any(|one| one.attributes.contains_key(OVERFLOW));
        MetricCardinality { name, series: series.len(), overflows, labels: by_size(label_values(&series)) }
    };
    let mut metrics: Vec<MetricCardinality> = by_metric.into_iter().map(of).collect();
    metrics.sort_by(|a, b| b.series.cmp(&a.series).then_with(|| a.name.cmp(&b.name)));
    metrics.truncate(MOST);
    metrics.iter_mut().for_each(|metric| metric.labels.truncate(MOST));
    Cardinality { series, metrics }
}

/// Values of every attribute of points and resources.
fn label_values(all: &[Series]) -> LabelValues {
    let mut found = LabelValues::new();
    for series in all {
        for (key, value) in series.resource_attributes.iter().chain(&series.attributes) {
            let values = match found.get_mut(key) {
                Some(values) => values,
                None => found.entry(key.clone()).or_default(),
            };
            if !values.contains(value) {
                values.insert(value.clone());
            }
        }
    }
    found
}

/// The label with the most values first.
fn by_size(values: LabelValues) -> Vec<Label> {
    let mut labels: Vec<Label> =
        values.into_iter().map(|(name, values)| Label { name, values: values.len() }).collect();
    labels.sort_by(|a, b| b.values.cmp(&a.values).then_with(|| a.name.cmp(&b.name)));
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(metric: &str, attributes: &[(&str, &str)]) -> Series {
        let texts = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Series {
            id: 0,
            metric: metric.into(),
            service: "shop".to_owned(),
            attributes: texts(attributes),
            resource_attributes: texts(&[("host.name", "a")]),
            kind: "counter".to_owned(),
            unit: String::new(),
            temporality: "delta".to_owned(),
            points: Vec::new(),
        }
    }

    #[test]
    fn the_label_that_exploded_is_named() {
        let mut all: Vec<Series> = (0..50)
            .map(|n| series("requests", &[("user.id", &n.to_string()), ("code", ["200", "500"][n % 2])]))
            .collect();
        all.push(series("requests", &[(OVERFLOW, "true")]));
        all.push(series("depth", &[]));
        let account = account(all);
        let of = |metric: &MetricCardinality| {
            let labels = metric.labels.iter().map(|label| (label.name.clone(), label.values)).collect::<Vec<_>>();
            (metric.name.clone(), metric.series, metric.overflows, labels)
        };
        let owned =
            |labels: &[(&str, usize)]| labels.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect::<Vec<_>>();
        assert_eq!(account.series, 52);
        assert_eq!(
            account.metrics.iter().map(of).collect::<Vec<_>>(),
            [
                (
                    "requests".to_owned(),
                    51,
                    true,
                    owned(&[("user.id", 50), ("code", 2), ("host.name", 1), (OVERFLOW, 1)])
                ),
                ("depth".to_owned(), 1, false, owned(&[("host.name", 1)])),
            ]
        );
    }
}
