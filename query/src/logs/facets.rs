//! `/api/v1/logs/facets`: which fields and attributes the newest records of a search have, and their most frequent values.

use std::collections::HashMap;

use axum::response::Response;
use daymark_model::Receipt;
use serde::Serialize;
use serde_json::Value;

use super::record::LogRecord;
use super::search::{Search, records};
use crate::QueryError;
use crate::asked::Asked;
use crate::router::on_cpu;

/// Records looked at, unless the request says otherwise.
const DEFAULT_LIMIT: usize = 10_000;
/// Facets of an answer: those that most records have.
const MAX_FACETS: usize = 100;
/// Values of a facet: the most frequent ones.
const MAX_VALUES: usize = 10;
/// Longer values are counted with the others of their attribute and not shown, bytes.
const MAX_VALUE_BYTES: usize = 1_024;

#[derive(Serialize)]
struct Facets {
    /// Records looked at: the newest matches.
    records: usize,
    /// They are all matches.
    complete: bool,
    facets: Vec<Facet>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Facet {
    key: String,
    /// Of the record's own attributes; else a field of every record.
    attribute: bool,
    /// Records that have it.
    records: usize,
    distinct: usize,
    values: Vec<Counted>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Counted {
    value: Value,
    /// The value as a search finds it: `1.0`, which JavaScript reads as 1.
    text: String,
    records: usize,
}

pub(crate) async fn facets(asked: Asked) -> Result<Response, QueryError> {
    let Asked { app, tenant, params, .. } = &asked;
    let mut search = Search::parse(app, params, DEFAULT_LIMIT)?;
    search.volume = false;
    let mut receipt = Receipt::new();
    let found = records(app, tenant, &search, search.range, &mut receipt).await?;
    let complete = found.len() < search.limit;
    let (records, facets) = on_cpu(move || (found.len(), count(&found))).await?;
    asked.answer(receipt, Facets { records, complete, facets }).await
}

/// Service and severity, then the attributes that most records have.
fn count(records: &[LogRecord]) -> Vec<Facet> {
    if records.is_empty() {
        return Vec::new();
    }
    let field = |key: &str, of: fn(&LogRecord) -> &str| {
        let mut values = HashMap::new();
        records.iter().for_each(|record| *values.entry(of(record)).or_default() += 1);
        facet(key, false, values, |value| Value::from(*value))
    };
    let mut by_key: HashMap<&str, HashMap<String, usize>> = HashMap::new();
    for (key, value) in records.iter().flat_map(|record| &record.attributes) {
        *by_key.entry(key).or_default().entry(value.to_string()).or_default() += 1;
    }
    let read = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()));
    let mut attributes: Vec<Facet> = by_key.into_iter().map(|(key, values)| facet(key, true, values, read)).collect();
    attributes.sort_by(|a, b| b.records.cmp(&a.records).then_with(|| a.key.cmp(&b.key)));
    let fields = [field("service", |record| &record.service_name), field("severity", |record| &record.severity)];
    fields.into_iter().chain(attributes).take(MAX_FACETS).collect()
}

fn facet<T: AsRef<str> + Ord>(
    key: &str,
    attribute: bool,
    values: HashMap<T, usize>,
    read: impl Fn(&T) -> Value,
) -> Facet {
    let (records, distinct) = (values.values().sum(), values.len());
    let mut values: Vec<(T, usize)> =
        values.into_iter().filter(|(value, _)| value.as_ref().len() <= MAX_VALUE_BYTES).collect();
    values.sort_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
    values.truncate(MAX_VALUES);
    let counted = |(value, records): (T, usize)| {
        let value = read(&value);
        Counted { text: value.as_str().map_or_else(|| value.to_string(), str::to_owned), value, records }
    };
    let values = values.into_iter().map(counted).collect();
    Facet { key: key.to_owned(), attribute, records, distinct, values }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(service: &str, attributes: &[(&str, Value)]) -> LogRecord {
        let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        LogRecord::sample(service, "INFO", attributes.collect())
    }

    #[test]
    fn facets_count_records_and_keep_the_most_frequent_values_with_their_types() {
        let mut records = vec![
            record("cart", &[("route", json!("/a")), ("retry", json!(true))]),
            record("cart", &[("route", json!("/a")), ("long", json!("x".repeat(2_000)))]),
            record("shop", &[("route", json!("/b"))]),
        ];
        records.extend((0..20).map(|n| record("shop", &[("user", json!(n % 19))])));
        let facets = count(&records);
        let keys: Vec<(&str, usize, usize)> =
            facets.iter().map(|facet| (facet.key.as_str(), facet.records, facet.distinct)).collect();
        let expected = [
            ("service", 23, 2),
            ("severity", 23, 1),
            ("user", 20, 19),
            ("route", 3, 2),
            ("long", 1, 1),
            ("retry", 1, 1),
        ];
        assert_eq!(keys, expected);
        let counted = |value: Value, records| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Counted { value, text, records }
        };
        assert_eq!(facets[0].values, [counted(json!("shop"), 21), counted(json!("cart"), 2)]);
        assert_eq!((facets[2].values.len(), &facets[2].values[0]), (MAX_VALUES, &counted(json!(0), 2)));
        assert_eq!(facets[3].values, [counted(json!("/a"), 2), counted(json!("/b"), 1)]);
        assert_eq!((facets[4].values.len(), &facets[5].values), (0, &vec![counted(json!(true), 1)]));
        let whole = count(&[record("cart", &[("ratio", json!(1.0))])]);
        assert_eq!(whole[2].values[0].text, "1.0");
        assert_eq!(count(&[]), []);
    }
}
