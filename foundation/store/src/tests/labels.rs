//! Label postings: what is answered by them is what a scan of the rows answers.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use async_trait::async_trait;
use daymark_model::{LogOffset, Receipt, TenantId, TimeRange, UnixNanos};
use proptest::prelude::*;

use super::samples::{START, Scene, longs, micros, publish, rows, texts};
use crate::series::{LabelValues, SeriesFilter, list_labels, list_series};
use crate::{
    CollectorStatus, CompactOptions, HotError, HotRequest, HotRows, HotSource, MatchOp, Matcher, Reader, Resolution,
    Series, SeriesQuery, StoreError, TableName, VerifyOptions, attributes_builder, read_series,
};

const DAY_NS: u64 = 86_400_000_000_000;
const WINDOW_NS: u64 = 10_000_000_000;

/// A series: what names it, the days it is in the catalogue, whether that has it at all, and the windows it has data in.
#[derive(Clone, Debug)]
struct Named {
    metric: usize,
    service: usize,
    attributes: BTreeMap<&'static str, &'static str>,
    resource: BTreeMap<&'static str, &'static str>,
    days: BTreeSet<u64>,
    is_known: bool,
    windows: BTreeSet<u64>,
}

const METRICS: [&str; 3] = ["depth", "requests", "requests.size"];
const SERVICES: [&str; 2] = ["cart", "shop"];
const KEYS: [&str; 4] = ["code", "host", "route", "zone"];
const VALUES: [&str; 6] = ["", "200", "500", "a", "a/b", "ä"];

fn pairs() -> impl Strategy<Value = BTreeMap<&'static str, &'static str>> {
    prop::collection::btree_map(prop::sample::select(&KEYS[..]), prop::sample::select(&VALUES[..]), 0..4)
}

fn named() -> impl Strategy<Value = Named> {
    let days = prop::collection::btree_set(0..3_u64, 1..3);
    let windows = prop::collection::btree_set(0..4_u64, 0..3);
    (0..METRICS.len(), 0..SERVICES.len(), pairs(), pairs(), days, prop::bool::weighted(0.9), windows).prop_map(
        |(metric, service, attributes, resource, days, is_known, windows)| Named {
            metric,
            service,
            attributes,
            resource,
            days,
            is_known,
            windows,
        },
    )
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let literal = prop::sample::select(&VALUES[..]).prop_map(str::to_owned);
    let pattern = prop::sample::select(&["200|500", "a|", ".+", ".*", "a.*", "[^a]+", "a/b", "5.?0", "x"][..]);
    let plain = (prop::sample::select(&[MatchOp::Equal, MatchOp::NotEqual][..]), literal);
    let regex = (prop::sample::select(&[MatchOp::Matches, MatchOp::NotMatches][..]), pattern.prop_map(str::to_owned));
    let key = prop::sample::select(&["code", "host", "route", "zone", "none"][..]);
    (key, prop_oneof![plain, regex]).prop_map(|(key, (op, value))| Matcher { key: key.to_owned(), op, value })
}

fn filter() -> impl Strategy<Value = SeriesFilter> {
    let one_of = |names: &'static [&'static str]| prop::option::of(prop::sample::select(names).prop_map(str::to_owned));
    (one_of(&METRICS), one_of(&["cart", "shop", "none"]), prop::collection::vec(matcher(), 0..3))
        .prop_map(|(metric, service, matchers)| SeriesFilter { metric, service, matchers })
}

fn map(of: &[&BTreeMap<&'static str, &'static str>]) -> ArrayRef {
    let mut map = attributes_builder(of.len());
    for pairs in of {
        for (key, value) in *pairs {
            map.keys().append_value(key);
            map.values().append_value(value);
        }
        map.append(true).unwrap();
    }
    Arc::new(map.finish())
}

/// Rows of `table`: series by id, each with a time.
fn batch(table: TableName, of: &[(u64, &Named, u64)], offset: u64) -> RecordBatch {
    let times: Vec<u64> = of.iter().map(|(.., time)| *time).collect();
    let mut columns = vec![
        ("metric", texts(&of.iter().map(|(_, one, _)| METRICS[one.metric]).collect::<Vec<_>>())),
        ("kind", texts(&vec!["counter"; of.len()])),
        ("temporality", texts(&vec!["delta"; of.len()])),
        ("service_name", texts(&of.iter().map(|(_, one, _)| SERVICES[one.service]).collect::<Vec<_>>())),
        ("series_id", longs(&of.iter().map(|(id, ..)| *id).collect::<Vec<_>>())),
        ("time", micros(&times)),
        ("time_unix_nano", longs(&times)),
        ("log_offset", longs(&vec![offset; of.len()])),
    ];
    if table == TableName::Series {
        columns.push(("attributes", map(&of.iter().map(|(_, one, _)| &one.attributes).collect::<Vec<_>>())));
        columns.push(("resource_attributes", map(&of.iter().map(|(_, one, _)| &one.resource).collect::<Vec<_>>())));
    } else {
        columns.push(("count", longs(&vec![1; of.len()])));
    }
    rows(table, &columns)
}

/// Answers with the rows of the catalogue that are not published.
struct Unpublished(Option<RecordBatch>);

#[async_trait]
impl HotSource for Unpublished {
    async fn hot(&self, request: HotRequest) -> Result<HotRows, HotError> {
        let batches = match request.table {
            TableName::Series => self.0.iter().cloned().collect(),
            _ => Vec::new(),
        };
        Ok(HotRows { through: LogOffset(100), batches, behind: false })
    }

    async fn status(&self) -> Result<CollectorStatus, HotError> {
        Err(HotError::Unreachable("not asked".to_owned()))
    }
}

/// A catalogue of three published parts and one that is not, and the metric rows.
async fn scene_of(all: &[Named]) -> (Scene, Reader) {
    let scene = Scene::new();
    let day = START.window(DAY_NS).0;
    let mut parts: [Vec<(u64, &Named, u64)>; 4] = Default::default();
    let mut points = Vec::new();
    for (one, id) in all.iter().zip(1..) {
        let days = one.days.iter().chain([&0]).filter(|_| one.is_known);
        days.for_each(|at| parts[(id + at) as usize % 4].push((id, one, day + at * DAY_NS)));
        points.extend(one.windows.iter().map(|window| (id, one, START.0 + window * WINDOW_NS)));
    }
    let [hot, published @ ..] = parts;
    for (part, offset) in published.iter().zip(1..).filter(|(part, _)| !part.is_empty()) {
        publish(&scene.table(TableName::Series), batch(TableName::Series, part, offset), offset).await;
    }
    if !points.is_empty() {
        publish(&scene.table(TableName::Metrics10s), batch(TableName::Metrics10s, &points, 9), 9).await;
    }
    let hot = (!hot.is_empty()).then(|| batch(TableName::Series, &hot, 50));
    let reader = Reader::new(Arc::clone(&scene.store), Some(Arc::new(Unpublished(hot))));
    (scene, reader)
}

fn holds(matcher: &Matcher, one: &Named) -> bool {
    let value = one.attributes.get(&*matcher.key).or_else(|| one.resource.get(&*matcher.key)).copied().unwrap_or("");
    let matches = || regex::Regex::new(&format!("^(?:{})$", matcher.value)).unwrap().is_match(value);
    match matcher.op {
        MatchOp::Equal => value == matcher.value,
        MatchOp::NotEqual => value != matcher.value,
        MatchOp::Matches => matches(),
        MatchOp::NotMatches => !matches(),
    }
}

/// The ids of series to be found in the first `windows`, their labels, and how many others nobody can name.
fn expected(all: &[Named], filter: &SeriesFilter, windows: u64) -> (Vec<i64>, LabelValues, usize) {
    let (mut ids, mut labels, mut unknown) = (Vec::new(), LabelValues::new(), 0);
    for (one, id) in all.iter().zip(1..) {
        let of = |wanted: &Option<String>, there: &str| wanted.as_ref().is_none_or(|wanted| wanted == there);
        let has_rows = one.windows.range(..windows).next().is_some()
            && of(&filter.metric, METRICS[one.metric])
            && of(&filter.service, SERVICES[one.service]);
        if has_rows && !one.is_known {
            unknown += 1;
        } else if has_rows && filter.matchers.iter().all(|matcher| holds(matcher, one)) {
            ids.push(id);
            for (key, value) in one.attributes.iter().chain(&one.resource) {
                labels.entry((*key).to_owned()).or_default().insert((*value).to_owned());
            }
        }
    }
    (ids, labels, unknown)
}

fn tenant() -> TenantId {
    TenantId::default()
}

async fn check(reader: &Reader, all: &[Named], filter: &SeriesFilter, windows: u64) -> Receipt {
    let range = TimeRange { start: START, end: START.plus(windows * WINDOW_NS) };
    let (ids, labels, unknown) = expected(all, filter, windows);
    let (series, receipt) = list_series(reader, &tenant(), filter, range).await.unwrap();
    assert_eq!(series.iter().map(|one| one.id).collect::<Vec<_>>(), ids, "{filter:?}");
    for one in &series {
        let wanted = &all[one.id as usize - 1];
        let text = |of: &BTreeMap<&str, &str>| of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!((&one.attributes, &one.resource_attributes), (&text(&wanted.attributes), &text(&wanted.resource)));
        assert_eq!((&*one.metric, &*one.service), (METRICS[wanted.metric], SERVICES[wanted.service]));
    }
    let partial =
        |receipt: &Receipt| receipt.missing.iter().map(|why| why.split(' ').next().unwrap().parse()).collect();
    let missing: Vec<Result<usize, _>> = if unknown > 0 { vec![Ok(unknown)] } else { Vec::new() };
    assert_eq!((partial(&receipt), receipt.complete), (missing.clone(), unknown == 0), "{receipt:?}");

    let (found, receipt) = list_labels(reader, &tenant(), filter, range, None).await.unwrap();
    assert_eq!((&found, partial(&receipt)), (&labels, missing), "{filter:?}");
    let (one, _) = list_labels(reader, &tenant(), filter, range, Some("code")).await.unwrap();
    assert_eq!((one.get("code"), one.len()), (labels.get("code"), usize::from(labels.contains_key("code"))));

    if let Some(metric) = &filter.metric {
        let query = SeriesQuery {
            metric: metric.clone(),
            service: filter.service.clone(),
            matchers: filter.matchers.clone(),
            range,
            resolution: Resolution::TenSeconds,
        };
        let read = read_series(reader, &tenant(), &query).await.unwrap().0;
        let with_points: Vec<(i64, usize)> = read.iter().map(|one: &Series| (one.id, one.points.len())).collect();
        let points = |id: i64| (id, all[id as usize - 1].windows.range(..windows).count());
        assert_eq!(with_points, ids.into_iter().map(points).collect::<Vec<_>>(), "{filter:?}");
    }
    receipt
}

async fn check_all(reader: &Reader, all: &[Named], filters: &[SeriesFilter]) {
    for filter in filters {
        check(reader, all, filter, 2).await;
        check(reader, all, filter, 4).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Scenario: any series, some of them not published, some of which the catalogue lacks. Guarantee: label postings answer
    /// what the rows say, before and after their segments are merged, and so does a scan once they are gone.
    #[test]
    fn postings_answer_what_a_scan_answers(
        all in prop::collection::vec(named(), 1..40),
        filters in prop::collection::vec(filter(), 5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (scene, reader) = scene_of(&all).await;
            let table = scene.table(TableName::Series);
            check_all(&reader, &all, &filters).await;
            let with_index = || async { table.snapshot().await.unwrap().segments.iter().filter(|s| s.index.is_some()).count() };
            let segments = with_index().await;
            let options = CompactOptions { fan_in: 2, window_ns: 400 * DAY_NS, ..CompactOptions::default() };
            while table.compact(&options, &mut HashSet::new()).await.unwrap().is_some() {}
            assert_eq!(with_index().await, segments.min(1));
            check_all(&reader, &all, &filters).await;
            let found = table.verify(&VerifyOptions::default()).await.unwrap();
            assert_eq!((&found.damage, found.without_index), (&Vec::new(), 0));
            table.drop_indexes(UnixNanos(u64::MAX)).await.unwrap();
            assert_eq!(with_index().await, 0);
            check_all(&reader, &all, &filters).await;
        });
    }
}

fn one(code: &'static str) -> Named {
    Named {
        metric: 1,
        service: 1,
        attributes: BTreeMap::from([("code", code)]),
        resource: BTreeMap::from([("host", "a")]),
        days: BTreeSet::from([0]),
        is_known: true,
        windows: BTreeSet::from([0]),
    }
}

fn where_code(op: MatchOp, value: &str) -> SeriesFilter {
    let matcher = Matcher { key: "code".to_owned(), op, value: value.to_owned() };
    SeriesFilter { matchers: vec![matcher], ..SeriesFilter::default() }
}

/// Scenario: an index file that is damaged or gone. Guarantee: answers stay, say that rows were scanned, `verify` names the
/// file, and it can be built anew.
#[tokio::test]
async fn damaged_postings_are_scanned_around_and_built_anew() {
    let all = [one("200"), one("500"), one("500"), one("")];
    let filter = where_code(MatchOp::Equal, "500");
    for damage in ["flip", "cut", "gone"] {
        let (scene, reader) = scene_of(&all).await;
        let table = scene.table(TableName::Series);
        let segment = Arc::clone(&table.snapshot().await.unwrap().segments[0]);
        let path = scene.dir.path().join("tables/default/series").join(&segment.index.as_ref().unwrap().path);
        let mut bytes = std::fs::read(&path).unwrap();
        match damage {
            "flip" => *bytes.last_mut().unwrap() ^= 1,
            "cut" => bytes.truncate(40),
            _ => {}
        }
        std::fs::remove_file(&path).unwrap();
        if damage != "gone" {
            std::fs::write(&path, bytes).unwrap();
        }
        let receipt = check(&reader, &all, &filter, 2).await;
        assert!(
            receipt.warnings.iter().any(|why| why.contains("label postings are not usable")),
            "{damage}: {receipt:?}"
        );
        let found = table.verify(&VerifyOptions::default()).await.unwrap().damage;
        assert!(
            found.len() == 1 && found[0].file.ends_with(".idx") && found[0].advice.contains("rebuild-index"),
            "{found:?}"
        );

        let rebuilt = table.rebuild_index(&segment, 1024).await.unwrap();
        assert_eq!(rebuilt.rows_per_page, 1);
        assert_eq!(table.verify(&VerifyOptions::default()).await.unwrap().damage, []);
        assert_eq!(check(&reader, &all, &filter, 2).await.warnings, Vec::<String>::new());
    }
}

/// Scenario: segments that an older version wrote. Guarantee: they are scanned, get an index when asked for, and when they
/// are merged.
#[tokio::test]
async fn segments_without_postings_get_some() {
    let all = [one("200"), one("500"), one("500"), one(""), one("200"), one("404")];
    let (scene, reader) = scene_of(&all).await;
    let table = scene.table(TableName::Series);
    assert_eq!(table.drop_indexes(UnixNanos(u64::MAX)).await.unwrap(), 3);
    assert_eq!(table.verify(&VerifyOptions::default()).await.unwrap().without_index, 3);
    let segment = Arc::clone(&table.snapshot().await.unwrap().segments[0]);
    table.rebuild_index(&segment, 1024).await.unwrap();
    assert_eq!(table.verify(&VerifyOptions::default()).await.unwrap().without_index, 2);
    check(&reader, &all, &where_code(MatchOp::NotEqual, "500"), 2).await;
    table.drop_indexes(UnixNanos(u64::MAX)).await.unwrap();
    let options = CompactOptions { fan_in: 2, ..CompactOptions::default() };
    table.compact(&options, &mut HashSet::new()).await.unwrap().unwrap();
    assert_eq!(table.verify(&VerifyOptions::default()).await.unwrap().without_index, 0);
    check(&reader, &all, &where_code(MatchOp::NotEqual, "500"), 2).await;
}

/// Scenario: segments of other metrics than the one asked for. Guarantee: their postings say so, and none of their rows is
/// looked at.
#[tokio::test]
async fn rows_of_other_metrics_are_not_looked_at() {
    let all = [one("200"), one("500"), one("500"), one("")];
    let (_scene, reader) = scene_of(&all).await;
    let range = TimeRange { start: START, end: START.plus(DAY_NS) };
    let of = |metric: &str, key: &str| SeriesFilter {
        metric: Some(metric.to_owned()),
        matchers: vec![Matcher { key: key.to_owned(), op: MatchOp::Equal, value: "x".to_owned() }],
        ..SeriesFilter::default()
    };
    let (found, receipt) = list_series(&reader, &tenant(), &of("depth", "code"), range).await.unwrap();
    assert_eq!(
        (found.len(), receipt.rows_scanned, receipt.complete),
        (0, 4, true),
        "the metric rows alone: {receipt:?}"
    );
}

#[tokio::test]
async fn a_pattern_that_is_none_is_refused() {
    let (_scene, reader) = scene_of(&[one("200")]).await;
    let refused = list_series(&reader, &tenant(), &where_code(MatchOp::Matches, "("), TimeRange::ALL).await;
    assert!(matches!(refused, Err(StoreError::WrongCondition { .. })));
}
