//! Label postings of 100,000 series: what they take, and how long look-ups take with them and without.
//!
//! `cargo bench -p daymark-store --bench labels`, or `cargo test` with the same arguments for the dev profile. Wall time,
//! the least of several runs.
#![expect(clippy::print_stdout, reason = "printing figures is its purpose")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_empty_array};
use daymark_model::{LogOffset, TenantId, TimeRange, UnixNanos};
use daymark_store::series::{Fragment, FragmentColumns, SeriesFilter, SeriesHead, list_labels, list_series};
use daymark_store::{
    Commit, CompactOptions, MatchOp, Matcher, Reader, Store, TableName, attributes_builder, write_segment,
};

const SERIES: u64 = 100_000;
const DAY: UnixNanos = UnixNanos::from_seconds(20_833 * 86_400);
const RUNS: usize = 5;

/// A series: a metric, and a pod that has it by route, method and status.
struct One {
    id: i64,
    metric: String,
    service: String,
    attributes: Vec<(&'static str, String)>,
    resource: Vec<(&'static str, String)>,
}

fn series() -> Vec<One> {
    let mut all: Vec<One> = (0..SERIES).map(one).collect();
    all.sort_by(|a, b| (&a.metric, a.id).cmp(&(&b.metric, b.id)));
    all
}

fn one(number: u64) -> One {
    let hash = |of: u64| of.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (of << 17);
    let (metric, pod, rest) = (number % 50, number / 50 % 400, number / 20_000);
    let service = format!("service-{}", pod % 20);
    One {
        id: (hash(number) >> 1) as i64,
        metric: format!("http.server.metric_{metric}.duration"),
        attributes: vec![
            ("http.request.method", ["GET", "POST", "PUT", "DELETE"][(rest % 4) as usize].to_owned()),
            (
                "http.response.status_code",
                ["200", "201", "404", "500", "503"][(hash(number) >> 40) as usize % 5].to_owned(),
            ),
            ("http.route", format!("/api/v1/{}/items/{{id}}", (hash(number) >> 20) % 60)),
        ],
        resource: vec![
            ("cloud.region", ["eu-west-1", "us-east-1"][(pod % 2) as usize].to_owned()),
            ("deployment.environment.name", "production".to_owned()),
            ("host.name", format!("ip-10-0-{}-{}.internal", pod / 40, pod % 40)),
            ("k8s.namespace.name", format!("team-{}", pod % 8)),
            ("k8s.pod.name", format!("{service}-{:08x}-{:05x}", hash(pod) >> 32, hash(pod + 7) >> 44)),
            ("service.instance.id", format!("{:016x}{:016x}", hash(pod + 1), hash(pod + 2))),
            ("service.name", service.clone()),
            ("service.version", format!("1.{}.0", pod % 3)),
        ],
        service,
    }
}

fn texts(of: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(of.map(Some).collect::<StringArray>())
}

fn map(all: &[One], of: fn(&One) -> &Vec<(&'static str, String)>) -> ArrayRef {
    let mut map = attributes_builder(all.len());
    for one in all {
        for (key, value) in of(one) {
            map.keys().append_value(key);
            map.values().append_value(value);
        }
        map.append(true).unwrap();
    }
    Arc::new(map.finish())
}

fn catalogue(all: &[One]) -> RecordBatch {
    let same = |text: &str| texts(all.iter().map(|_| text.to_owned()));
    let longs = |of: fn(&One) -> i64| Arc::new(all.iter().map(of).collect::<Int64Array>()) as ArrayRef;
    let times = TimestampMicrosecondArray::from_value(DAY.micros(), all.len()).with_timezone("UTC");
    let schema = TableName::Series.schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "metric" => texts(all.iter().map(|one| one.metric.clone())),
        "service_name" => texts(all.iter().map(|one| one.service.clone())),
        "kind" => same("counter"),
        "temporality" => same("delta"),
        "unit" => same("{request}"),
        "attributes" => map(all, |one| &one.attributes),
        "attribute_types" => same("sss"),
        "resource_attributes" => map(all, |one| &one.resource),
        "resource_attribute_types" => same("ssssssss"),
        "series_id" => longs(|one| one.id),
        "time" => Arc::new(times.clone()),
        "time_unix_nano" => longs(|_| DAY.0 as i64),
        "log_offset" => longs(|_| 1),
        _ => new_empty_array(field.data_type()),
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

fn points(all: &[One]) -> RecordBatch {
    let mut columns = FragmentColumns::default();
    for one in all {
        let head = SeriesHead {
            id: one.id,
            metric: &one.metric,
            kind: "counter",
            temporality: "delta",
            unit: "{request}",
            service: &one.service,
        };
        let point = Fragment {
            window: DAY,
            start: 0,
            last_time: DAY.0,
            count: 1,
            sum: 1.0,
            min: None,
            max: None,
            last: None,
            hist: None,
            err_bound: 0.0,
            exemplar: None,
        };
        columns.push(head, &point, LogOffset(1)).unwrap();
    }
    columns.finish().unwrap()
}

async fn least<T>(mut run: impl AsyncFnMut() -> T) -> (Duration, T) {
    let mut best: Option<(Duration, T)> = None;
    for _ in 0..RUNS {
        let started = Instant::now();
        let answer = run().await;
        let took = started.elapsed();
        if best.as_ref().is_none_or(|best| took < best.0) {
            best = Some((took, answer));
        }
    }
    best.unwrap()
}

async fn look_ups(reader: &Reader, what: &str, all: &[One]) {
    let (tenant, range) = (TenantId::default(), TimeRange { start: DAY, end: DAY.plus(10_000_000_000) });
    let pod = all[0].resource[4].1.clone();
    let matcher = |key: &str, op: MatchOp, value: &str| Matcher { key: key.to_owned(), op, value: value.to_owned() };
    let everything = SeriesFilter::default();
    let one_pod = SeriesFilter { matchers: vec![matcher("k8s.pod.name", MatchOp::Equal, &pod)], ..everything.clone() };
    let few = SeriesFilter { metric: Some(all[0].metric.clone()), ..one_pod.clone() };
    let pattern = matcher("http.route", MatchOp::Matches, "/api/v1/1./.*");
    let by_pattern = SeriesFilter { matchers: vec![pattern], ..few.clone() };
    for (name, filter) in [("one metric and pod", &few), ("one pod", &one_pod), ("metric, regex", &by_pattern)] {
        let (took, found) = least(async || list_series(reader, &tenant, filter, range).await.unwrap()).await;
        println!("{what:<10} series of {name:<22} {:>9.2} ms  {} series", took.as_secs_f64() * 1e3, found.0.len());
    }
    for (name, filter, only) in [
        ("names", &everything, None),
        ("values of a label", &everything, Some("k8s.pod.name")),
        ("names of one metric", &few, None),
    ] {
        let (took, found) = least(async || list_labels(reader, &tenant, filter, range, only).await.unwrap()).await;
        let values: usize = found.0.values().map(|values| values.len()).sum();
        println!("{what:<10} label {name:<26} {:>9.2} ms  {values} values", took.as_secs_f64() * 1e3);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let all = series();
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open_local(dir.path()).unwrap());
    let options = CompactOptions::default().segment;
    for (name, batch) in [(TableName::Series, catalogue(&all)), (TableName::Metrics10s, points(&all))] {
        let table = store.table(&TenantId::default(), name);
        let started = Instant::now();
        let file = write_segment(&table, vec![batch], options.clone()).await.unwrap();
        let took = started.elapsed();
        let meta = file.meta().clone();
        table.commit(Commit::publish(vec![file], LogOffset(1))).await.unwrap();
        let each = |bytes: u64| bytes as f64 / SERIES as f64;
        let index = meta.index.as_ref().map_or(0, |index| index.bytes);
        println!(
            "{name}: {:.1} bytes a series, {:.1} of index; written in {:.0} ms",
            each(meta.bytes),
            each(index),
            took.as_secs_f64() * 1e3
        );
    }
    let reader = Reader::new(Arc::clone(&store), None);
    look_ups(&reader, "postings", &all).await;
    let table = store.table(&TenantId::default(), TableName::Series);
    table.drop_indexes(UnixNanos(u64::MAX)).await.unwrap();
    look_ups(&reader, "scan", &all).await;
}
