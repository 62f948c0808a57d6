//! Property: trace rows and edges are functions of the set of spans. However these are ordered, split into requests,
//! repeated, sealed, forgotten and restarted over, the newest rows and the sums of the edges are the same.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use arrow::util::display::array_value_to_string;
use daymark_collector::CollectorOptions;
use daymark_model::{Signal, TenantId};
use daymark_store::TableName;
use proptest::prelude::*;

use crate::otlp::{self, TestLog, TestSpan, request};
use crate::world::{World, long, options};

#[derive(Clone, Debug)]
enum Step {
    Spans(Vec<TestSpan>),
    Idle,
    SealAll,
    Restart,
    Crash,
}

/// Column -> value of a row.
type Row = BTreeMap<String, String>;
/// Caller, callee, kind, connection, minute -> calls, errors, milliseconds.
type EdgeSums = BTreeMap<[String; 5], (i64, i64, i64)>;

const SERVICES: [(&str, &str); 4] = [("shop", "h1"), ("pay", "h2"), ("stock", "h3"), ("mail", "h1")];

/// Spans of three traces: several roots, missing parents, cycles, clocks that are off, callers without callees.
fn spans() -> impl Strategy<Value = Vec<TestSpan>> {
    let one = (0..3_u8, 0..9_u32, 0..4_usize, 0..6_i32, 0..3_000_u64, 0..900_u64, any::<(bool, bool)>(), 0..4_usize);
    prop::collection::vec(one, 4..20).prop_map(|rows| {
        let mut spans = Vec::new();
        for (number, row) in (1..).zip(rows) {
            let (trace, parent, service, kind, start_ms, duration_ms, (error, correlated), peer) = row;
            let (service, host) = SERVICES[service];
            let parent = (parent > 0).then_some(parent);
            let peer = [None, Some("bank"), Some("stock-lb"), None][peer];
            let correlation = correlated.then(|| format!("order-{number}"));
            let common = TestSpan::new(trace + 1, number, parent);
            spans.push(TestSpan { service, host, kind, peer, start_ms, duration_ms, error, correlation, ..common });
        }
        spans
    })
}

/// The spans in another order, some of them again later, in requests with something happening in between.
fn history() -> impl Strategy<Value = (Vec<TestSpan>, Vec<Step>)> {
    spans().prop_flat_map(|spans| {
        let twice: Vec<TestSpan> = spans.iter().chain(spans.iter().take(4)).cloned().collect();
        let then = prop_oneof![
            4 => Just(None),
            1 => Just(Some(Step::Idle)),
            1 => Just(Some(Step::SealAll)),
            1 => Just(Some(Step::Restart)),
            1 => Just(Some(Step::Crash)),
        ];
        let cuts = prop::collection::vec((1..6_usize, then), 24);
        (Just(spans), Just(twice).prop_shuffle(), cuts).prop_map(|(spans, order, cuts)| {
            let mut rest = order.as_slice();
            let mut steps = Vec::new();
            for (take, then) in cuts {
                let (head, tail) = rest.split_at(take.min(rest.len()));
                rest = tail;
                if !head.is_empty() {
                    steps.push(Step::Spans(head.to_vec()));
                    steps.extend(then);
                }
            }
            (spans, steps)
        })
    })
}

/// The newest row of each trace without what tells of its history.
fn newest(batches: &[RecordBatch]) -> BTreeMap<u8, Row> {
    let mut newest: BTreeMap<u8, (i64, Row)> = BTreeMap::new();
    for batch in batches {
        let ids = batch["trace_id"].as_fixed_size_binary();
        for at in 0..batch.num_rows() {
            let version = long(batch, "version")[at];
            let schema = batch.schema();
            let told = schema.fields().iter().filter(|field| !["version", "log_offset"].contains(&&**field.name()));
            let value = |name: &str| array_value_to_string(&batch[name], at).unwrap();
            let row: Row = told.map(|field| (field.name().clone(), value(field.name()))).collect();
            let known = newest.entry(ids.value(at)[15]).or_insert((version, row.clone()));
            if version >= known.0 {
                *known = (version, row);
            }
        }
    }
    newest.into_iter().map(|(id, (_, row))| (id, row)).collect()
}

fn edge_sums(batches: &[RecordBatch]) -> EdgeSums {
    let mut sums = EdgeSums::new();
    for batch in batches {
        for at in 0..batch.num_rows() {
            let key = ["caller", "callee", "callee_kind", "connection", "time_unix_nano"];
            let sum = sums.entry(key.map(|name| array_value_to_string(&batch[name], at).unwrap())).or_default();
            sum.0 += long(batch, "calls")[at];
            sum.1 += long(batch, "errors")[at];
            sum.2 += (batch["duration_sum_ns"].as_primitive::<Float64Type>().value(at) / 1e6).round() as i64;
        }
    }
    sums.retain(|_, sum| *sum != (0, 0, 0));
    sums
}

async fn tables(world: &World) -> (BTreeMap<u8, Row>, EdgeSums) {
    world.settle().await;
    world.advance(1).await;
    let tenant = TenantId::default();
    (newest(&world.rows(&tenant, TableName::Traces).await), edge_sums(&world.rows(&tenant, TableName::Edges).await))
}

async fn undisturbed(spans: &[TestSpan]) -> (BTreeMap<u8, Row>, EdgeSums) {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    world.send(request(Signal::Traces, otlp::traces(spans))).await;
    tables(&world).await
}

async fn disturbed(steps: Vec<Step>, few: bool) -> (BTreeMap<u8, Row>, EdgeSums) {
    let first = tempfile::tempdir().unwrap();
    let mut images = Vec::new();
    let tiny = |dir: &std::path::Path| {
        let all = options(dir);
        let max_traces = if few { 2 } else { all.max_traces };
        CollectorOptions { seal_rows: 9, max_traces, ..all }
    };
    let mut world = World::start_with(tiny(first.path())).await;
    for step in steps {
        match step {
            Step::Spans(spans) => world.send(request(Signal::Traces, otlp::traces(&spans))).await,
            Step::Idle => {
                world.settle().await;
                world.advance(6).await;
            }
            Step::SealAll => world.seal_all().await,
            Step::Restart => {
                let dir = world.dir.clone();
                world.stop().await;
                world = World::start_with(tiny(&dir)).await;
            }
            Step::Crash => {
                let image = world.crash_image();
                world = World::start_with(tiny(image.path())).await;
                images.push(image);
            }
        }
    }
    tables(&world).await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_the_same_spans_gives_the_same_traces_and_edges((spans, steps) in history(), few in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (expected, found) = runtime.block_on(async { (undisturbed(&spans).await, disturbed(steps, few).await) });
        prop_assert_eq!(&found.0, &expected.0);
        prop_assert_eq!(&found.1, &expected.1);
    }
}

/// Scenario: a trace over three hosts of which one has its clock 1 h ahead, sent in two parts with a restart in between.
/// Guarantees: its row has the corrected times, and what its spans say beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skewed_trace_is_corrected_also_when_its_parts_meet_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let span = |number, parent, service, host, kind, start_ms, duration_ms| TestSpan {
        service,
        host,
        kind,
        start_ms,
        duration_ms,
        ..TestSpan::new(1, number, parent)
    };
    let ahead = 3_000_000;
    let early = [span(3, Some(2), "pay", "h2", 2, ahead + 20, 60), span(4, Some(3), "pay", "h2", 1, ahead + 30, 10)];
    world.send(request(Signal::Traces, otlp::traces(&early))).await;
    world.seal_all().await;
    world.stop().await;
    let world = World::start(dir.path()).await;
    let late = [span(1, None, "shop", "h1", 2, 0, 100), span(2, Some(1), "shop", "h1", 3, 10, 80)];
    world.send(request(Signal::Traces, otlp::traces(&late))).await;
    let (rows, edges) = tables(&world).await;
    let row = &rows[&1];
    assert_eq!((row["state"].as_str(), row["span_count"].as_str()), ("clock_skewed", "4"));
    assert_eq!((row["duration_ns"].as_str(), row["raw_duration_ns"].as_str()), ("100000000", "3000080000000"));
    assert_eq!(row["clock_offset_ns"], "-3000000000000");
    assert_eq!((row["services"].as_str(), row["service_self_ns"].as_str()), ("[pay, shop]", "[60000000, 40000000]"));
    assert_eq!(row["service_critical_ns"], "[60000000, 40000000]");
    assert_eq!(row["service_clock_offset_ns"], "[-3000000000000, 0]");
    let edge: Vec<_> = edges.into_iter().map(|(key, sums)| (key[0].clone(), key[1].clone(), sums)).collect();
    assert_eq!(edge, [("shop".to_owned(), "pay".to_owned(), (1, 0, 60))]);
}

/// Scenario: more spans than a trace may have in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_beyond_its_cap_is_truncated_and_its_spans_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start_with(CollectorOptions { max_spans_per_trace: 10, ..options(dir.path()) }).await;
    let spans: Vec<TestSpan> = (1..=25).map(|n| TestSpan::new(1, n, (n > 1).then_some(1))).collect();
    world.send(request(Signal::Traces, otlp::traces(&spans))).await;
    let row = &tables(&world).await.0[&1];
    let told = ["state", "span_count", "analysed_spans", "raw_duration_ns"].map(|name| row[name].as_str());
    assert_eq!(told, ["truncated", "25", "10", "29000000"]);
    let stored = world.rows(&TenantId::default(), TableName::Spans).await;
    assert_eq!(stored.iter().map(RecordBatch::num_rows).sum::<usize>(), 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_with_nothing_but_a_correlation_id_joins_a_trace_restored_from_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let first = TestSpan { correlation: Some("order-7".into()), ..TestSpan::new(1, 1, None) };
    world.send(request(Signal::Traces, otlp::traces(&[first]))).await;
    world.seal_all().await;
    world.stop().await;
    let world = World::start(dir.path()).await;
    world.send(request(Signal::Traces, otlp::traces(&[TestSpan::new(1, 2, Some(1))]))).await;
    let log = TestLog { body: "shipped".into(), trace: None, correlation: Some("order-7".into()) };
    world.send(request(Signal::Logs, otlp::logs(&[log]))).await;
    let row = &tables(&world).await.0[&1];
    assert_eq!((row["span_count"].as_str(), row["correlation_ids"].as_str()), ("2", "[order-7]"), "views join by it");
}
