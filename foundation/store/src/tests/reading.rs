//! Views, searches and series.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arrow::array::{Array, AsArray, RecordBatch};
use async_trait::async_trait;
use daymark_model::{LogOffset, TenantId, TimeRange, UnixNanos};
use proptest::prelude::*;

use super::samples::{START, Scene, bodies, catalogue, counters, logs, long_column, publish, spans, trace, traces};
use crate::series::{SeriesFilter, list_series};
use crate::{
    BodyQuery, CollectorStatus, Filter, HotError, HotRequest, HotRows, HotSource, MatchOp, Matcher, ReadSpec, Reader,
    Resolution, SeriesQuery, TableName, read_series,
};

/// Rows in memory, and what the collector has published at least.
struct Memory {
    rows: Vec<RecordBatch>,
    published: AtomicU64,
}

#[async_trait]
impl HotSource for Memory {
    async fn hot(&self, request: HotRequest) -> Result<HotRows, HotError> {
        let needed = LogOffset(self.published.load(Relaxed));
        if request.after < needed {
            return Err(HotError::Stale { needed });
        }
        let of_table = |batch: &&RecordBatch| batch.schema() == request.table.schema();
        let batches = self.rows.iter().filter(of_table).cloned().collect();
        Ok(HotRows { through: LogOffset(99), batches, behind: false })
    }

    async fn status(&self) -> Result<CollectorStatus, HotError> {
        Ok(CollectorStatus::default())
    }
}

/// A collector whose applier lags behind what is durable.
struct Behind;

#[async_trait]
impl HotSource for Behind {
    async fn hot(&self, request: HotRequest) -> Result<HotRows, HotError> {
        Ok(HotRows { through: request.after, batches: Vec::new(), behind: true })
    }

    async fn status(&self) -> Result<CollectorStatus, HotError> {
        Ok(CollectorStatus::default())
    }
}

#[tokio::test]
async fn an_answer_says_that_acknowledged_rows_are_still_being_applied() {
    let scene = Scene::new();
    publish(&scene.table(TableName::Logs), logs(1, &[("published", 0)]), 1).await;
    let reader = Reader::new(scene.store.clone(), Some(Arc::new(Behind)));
    let view = reader.view(&tenant(), TableName::Logs, TimeRange::ALL).await.unwrap();
    assert!(view.receipt.complete, "nothing readable was left out");
    assert!(view.receipt.warnings[0].contains("rows of logs are still being applied"), "{:?}", view.receipt);
}

struct Unreachable;

#[async_trait]
impl HotSource for Unreachable {
    async fn hot(&self, _: HotRequest) -> Result<HotRows, HotError> {
        Err(HotError::Unreachable("connection refused".to_owned()))
    }

    async fn status(&self) -> Result<CollectorStatus, HotError> {
        Err(HotError::Unreachable("connection refused".to_owned()))
    }
}

fn tenant() -> TenantId {
    TenantId::default()
}

#[tokio::test]
async fn a_view_has_published_and_hot_rows_each_once() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    publish(&table, logs(1, &[("published", 0)]), 1).await;
    let hot = Memory { rows: vec![logs(2, &[("hot", 1)])], published: 1.into() };
    let reader = Reader::new(Arc::clone(&scene.store), Some(Arc::new(hot)));
    let mut view = reader.view(&tenant(), TableName::Logs, TimeRange::ALL).await.unwrap();
    let mut found = bodies(&view.read(&ReadSpec::default()).await.unwrap());
    found.sort();
    assert_eq!(found, ["hot", "published"]);
    assert_eq!((view.through, view.receipt.hot_rows, view.receipt.complete), (LogOffset(99), 1, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_begins_anew_when_its_snapshot_is_too_old() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    publish(&table, logs(1, &[("first", 0)]), 1).await;
    let hot = Memory { rows: Vec::new(), published: 2.into() };
    let reader = Reader::new(scene.other(), Some(Arc::new(hot)));
    let view = tokio::spawn(async move { reader.view(&tenant(), TableName::Logs, TimeRange::ALL).await });
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    publish(&table, logs(2, &[("second", 1)]), 2).await;
    let mut view = view.await.unwrap().unwrap();
    assert_eq!(bodies(&view.read(&ReadSpec::default()).await.unwrap()).len(), 2);
    assert!(view.receipt.complete);
}

#[tokio::test]
async fn a_collector_out_of_reach_makes_the_answer_partial() {
    let scene = Scene::new();
    let reader = Reader::new(Arc::clone(&scene.store), Some(Arc::new(Unreachable)));
    let view = reader.view(&tenant(), TableName::Logs, TimeRange::ALL).await.unwrap();
    assert!(!view.receipt.complete && view.receipt.missing[0].contains("connection refused"));
}

#[tokio::test]
async fn a_trace_is_found_by_id_with_each_span_once() {
    let scene = Scene::new();
    let table = scene.table(TableName::Spans);
    let of: Vec<(u64, u64)> = (0..2000).map(|i| (i / 4, i)).collect();
    publish(&table, spans(1, &of), 1).await;
    publish(&table, spans(2, &[(7, 9_000), (7, 28)]), 2).await;
    publish(&table, spans(3, &(0..50).map(|i| (5_000 + i, i)).collect::<Vec<_>>()), 3).await;
    let reader = Reader::new(Arc::clone(&scene.store), None);
    let (found, receipt) = reader.trace_spans(&tenant(), trace(7), TimeRange::ALL).await.unwrap();
    let starts: Vec<u64> = long_column(&found, "start_time_unix_nano").iter().map(|nanos| nanos - START.0).collect();
    assert_eq!(starts, [28, 29, 30, 31, 9_000]);
    assert_eq!((receipt.segments_total, receipt.segments_read), (3, 2), "the third is ruled out by its bloom filter");
    assert!(receipt.rows_scanned <= 502, "one row group of four: {receipt:?}");
    let (none, receipt) = reader.trace_spans(&tenant(), trace(123_456), TimeRange::ALL).await.unwrap();
    assert_eq!((none.num_rows(), receipt.complete), (0, true));
}

#[tokio::test]
async fn the_newest_version_of_a_trace_counts() {
    let scene = Scene::new();
    let table = scene.table(TableName::Traces);
    publish(&table, traces(&[(1, 10, 2), (2, 10, 9)]), 1).await;
    publish(&table, traces(&[(1, 12, 3)]), 2).await;
    let hot = Memory { rows: vec![traces(&[(2, 13, 1)])], published: 0.into() };
    let reader = Reader::new(Arc::clone(&scene.store), Some(Arc::new(hot)));
    let mut view = reader.view(&tenant(), TableName::Traces, TimeRange::ALL).await.unwrap();
    let newest = view.newest_traces(&ReadSpec::columns(&["span_count"])).await.unwrap();
    let mut counts = long_column(&newest, "span_count");
    counts.sort_unstable();
    assert_eq!((counts, newest.num_columns()), (vec![1, 3], 1));
    // An older version must not come back because the newest fails the filter.
    let many = ReadSpec::columns(&["span_count"]).filter(Filter::integer("span_count", 5, 100));
    assert_eq!(view.newest_traces(&many).await.unwrap().num_rows(), 0);
}

#[tokio::test]
async fn filters_and_time_ranges_narrow_what_is_read() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    let lines: Vec<(&str, u64)> = (0..1000).map(|i| (if i % 2 == 0 { "even" } else { "odd" }, i * 1000)).collect();
    publish(&table, logs(1, &lines), 1000).await;
    let reader = Reader::new(Arc::clone(&scene.store), None);
    let range = TimeRange { start: UnixNanos(START.0 + 100_000), end: UnixNanos(START.0 + 110_000) };
    let mut view = reader.view(&tenant(), TableName::Logs, range).await.unwrap();
    let spec = ReadSpec::columns(&["time_unix_nano"]).filter(Filter::text("body", "odd"));
    let found: Vec<u64> =
        view.read(&spec).await.unwrap().iter().flat_map(|b| long_column(b, "time_unix_nano")).collect();
    assert_eq!(found, [101, 103, 105, 107, 109].map(|i| START.0 + i * 1000));
    assert!(view.receipt.rows_scanned <= 192, "{:?}", view.receipt);
    let before = TimeRange { start: UnixNanos(0), end: START };
    assert!(reader.view(&tenant(), TableName::Logs, before).await.unwrap().segments.is_empty());
}

#[tokio::test]
async fn the_newest_rows_come_first_and_reading_stops_early() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    for segment in 0..4_u64 {
        let lines: Vec<String> = (0..300).map(|i| format!("n{}", segment * 300 + i)).collect();
        let rows: Vec<(&str, u64)> =
            lines.iter().zip(0..).map(|(line, i)| (line.as_str(), segment * 300 + i)).collect();
        publish(&table, logs(segment * 300 + 1, &rows), segment * 300 + 300).await;
    }
    let hot = Memory { rows: vec![logs(2000, &[("hot old", 5), ("hot new", 5000)])], published: 0.into() };
    let reader = Reader::new(Arc::clone(&scene.store), Some(Arc::new(hot)));
    let mut view = reader.view(&tenant(), TableName::Logs, TimeRange::ALL).await.unwrap();
    let newest = view.newest(&ReadSpec::columns(&["body"]), None, 4).await.unwrap();
    assert_eq!(bodies(&newest), ["hot new", "n1199", "n1198", "n1197"]);
    assert_eq!((newest[0].num_columns(), view.receipt.segments_read), (1, 1));
    assert!(view.receipt.rows_scanned <= 64, "{:?}", view.receipt);
    let oldest = view.newest(&ReadSpec::columns(&["body"]), Some(&BodyQuery::words("n3")), 4).await.unwrap();
    assert_eq!(bodies(&oldest), ["n3"]);
}

#[tokio::test]
async fn series_add_published_and_hot_fragments() {
    let scene = Scene::new();
    let table = scene.table(TableName::Metrics10s);
    publish(&table, counters(1, &[(0, 3), (1, 4)]), 1).await;
    publish(&table, counters(2, &[(1, 10)]), 2).await;
    publish(&scene.table(TableName::Series), catalogue(1, &[0]), 1).await;
    let hot = Memory { rows: vec![counters(3, &[(1, 100), (2, 1)])], published: 0.into() };
    let reader = Reader::new(Arc::clone(&scene.store), Some(Arc::new(hot)));
    let query = |service: &str, from: u64| SeriesQuery {
        metric: "requests".to_owned(),
        service: Some(service.to_owned()),
        matchers: Vec::new(),
        range: TimeRange { start: START.plus(from * 10_000_000_000), end: UnixNanos(u64::MAX) },
        resolution: Resolution::TenSeconds,
    };
    let matching = |key: &str, value: &str| SeriesQuery {
        matchers: vec![Matcher { key: key.to_owned(), op: MatchOp::Equal, value: value.to_owned() }],
        ..query("shop", 0)
    };
    let (series, receipt) = read_series(&reader, &tenant(), &query("shop", 0)).await.unwrap();
    let counts: Vec<u64> = series[0].points.iter().map(|point| point.count).collect();
    assert_eq!((series.len(), counts, receipt.complete), (1, vec![3, 114, 1], true));
    assert_eq!(series[0].attributes.len(), 1);
    let (other, receipt) = read_series(&reader, &tenant(), &matching("row", "1")).await.unwrap();
    assert!(other.is_empty() && receipt.complete, "{receipt:?}");
    assert_eq!(read_series(&reader, &tenant(), &matching("row", "0")).await.unwrap().0.len(), 1);
    let (later, _) = read_series(&reader, &tenant(), &query("shop", 1)).await.unwrap();
    assert_eq!(later[0].points.len(), 2);
    assert!(read_series(&reader, &tenant(), &query("other", 0)).await.unwrap().0.is_empty());
}

/// Scenario: metric rows whose series the catalogue has lost. Guarantee: the answer says that it is not complete.
#[tokio::test]
async fn rows_of_an_unknown_series_make_the_answer_partial() {
    let scene = Scene::new();
    publish(&scene.table(TableName::Metrics10s), counters(1, &[(0, 3)]), 1).await;
    let reader = Reader::new(Arc::clone(&scene.store), None);
    let (found, receipt) = list_series(&reader, &tenant(), &SeriesFilter::default(), TimeRange::ALL).await.unwrap();
    assert!(found.is_empty() && receipt.missing[0].starts_with("1 series have rows"), "{receipt:?}");
    publish(&scene.table(TableName::Series), catalogue(1, &[0]), 1).await;
    let (found, receipt) = list_series(&reader, &tenant(), &SeriesFilter::default(), TimeRange::ALL).await.unwrap();
    assert_eq!((found.len(), &*found[0].metric, receipt.complete), (1, "requests", true));
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-d]{1,3}",
        2 => "[0-9]{1,4}",
        2 => "[0-9a-f]{5,9}",
        1 => "[A-ZÄß日]{1,3}",
        1 => "x{60,70}",
    ]
}

fn query() -> impl Strategy<Value = BodyQuery> {
    let leaf = prop_oneof![
        4 => word().prop_map(|text| BodyQuery::words(&text)),
        2 => word().prop_map(|text| BodyQuery::prefix(&text)),
        2 => (word(), word()).prop_map(|(a, b)| BodyQuery::phrase(&format!("{a} {b}"))),
        1 => Just(BodyQuery::Everything),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(BodyQuery::All),
            prop::collection::vec(inner.clone(), 0..3).prop_map(BodyQuery::Any),
            inner.prop_map(|query| BodyQuery::Not(Box::new(query))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The index leaves out no row that a full scan finds, for any text and any query.
    #[test]
    fn a_search_by_index_finds_what_a_full_scan_finds(
        lines in prop::collection::vec(prop::collection::vec(word(), 0..6), 1..300),
        queries in prop::collection::vec(query(), 12),
    ) {
        let lines: Vec<String> = lines.iter().map(|words| words.join("-")).collect();
        let rows: Vec<(&str, u64)> = lines.iter().zip(0..).map(|(line, i)| (line.as_str(), i)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let scene = Scene::new();
            publish(&scene.table(TableName::Logs), logs(1, &rows), 1000).await;
            let reader = Reader::new(Arc::clone(&scene.store), None);
            for query in queries {
                let expected: Vec<&String> = lines.iter().filter(|line| query.matches(line)).collect();
                let mut view = reader.view(&tenant(), TableName::Logs, TimeRange::ALL).await.unwrap();
                assert_eq!(view.segments[0].search(&query).await.damage, None);
                let found = view.read_matching(&ReadSpec::columns(&["body"]), Some(&query)).await.unwrap();
                assert_eq!(bodies(&found).iter().collect::<Vec<_>>(), expected, "{query:?}");
                let newest = view.newest(&ReadSpec::columns(&["body"]), Some(&query), 3).await.unwrap();
                let last: Vec<String> = expected.iter().rev().take(3).map(|line| (*line).clone()).collect();
                assert_eq!(bodies(&newest), last, "{query:?}");
            }
        });
    }
}

#[test]
fn columns_survive_a_segment() {
    let scene = Scene::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let written = logs(1, &[("a", 0), ("b", 1)]);
        publish(&scene.table(TableName::Logs), written.clone(), 1).await;
        let reader = Reader::new(Arc::clone(&scene.store), None);
        let mut view = reader.view(&tenant(), TableName::Logs, TimeRange::ALL).await.unwrap();
        let read = view.read(&ReadSpec::default()).await.unwrap().remove(0);
        assert_eq!(read.columns(), written.columns());
        let fields = |batch: &RecordBatch| batch.schema().fields().clone();
        assert_eq!(fields(&read), fields(&written));
        assert_eq!(read.column_by_name("attributes").unwrap().as_map().value(1).len(), 1);
    });
}
