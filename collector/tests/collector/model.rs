//! Property: however spans and points are ordered, split into requests, sealed and restarted, the tables are the same.

use std::collections::BTreeMap;

use daymark_model::{Signal, TenantId};
use daymark_store::TableName;
use proptest::prelude::*;

use crate::otlp::{self, TestSpan, request};
use crate::world::{World, options, spans};

#[derive(Clone, Debug)]
enum Step {
    Spans(Vec<TestSpan>),
    Points(u64, Vec<i64>),
    SealAll,
    Restart,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(None),
        1 => Just(Some(Step::SealAll)),
        1 => Just(Some(Step::Restart)),
        1 => Just(Some(Step::Crash)),
    ];
    let order = Just((1..=24_u32).collect::<Vec<u32>>()).prop_shuffle();
    (order, prop::collection::vec((1..6_usize, step), 24)).prop_map(|(order, cuts)| {
        let mut rest = order.as_slice();
        let mut steps = Vec::new();
        for (at, (take, then)) in (0..).zip(cuts) {
            let (head, tail) = rest.split_at(take.min(rest.len()));
            rest = tail;
            if !head.is_empty() {
                steps.push(Step::Spans(head.iter().map(|n| TestSpan::new((n % 5) as u8, *n, root(*n))).collect()));
                steps.push(Step::Points(at, vec![i64::from(head[0])]));
                steps.extend(then);
            }
        }
        steps
    })
}

/// The first span of each trace is the root of the others.
fn root(span: u32) -> Option<u32> {
    (span > 5).then(|| if span.is_multiple_of(5) { 5 } else { span % 5 })
}

async fn run(steps: Vec<Step>) {
    let first = tempfile::tempdir().unwrap();
    let mut images = Vec::new();
    let tiny = |dir: &std::path::Path| {
        let mut options = options(dir);
        options.seal_rows = 9;
        options
    };
    let mut world = World::start_with(tiny(first.path())).await;
    let (mut seen, mut points) = (Vec::new(), 0.0);
    for step in steps {
        match step {
            Step::Spans(spans) => {
                seen.extend(spans.iter().map(|span| span.span));
                world.send(request(Signal::Traces, otlp::traces(&spans))).await;
            }
            Step::Points(at, values) => {
                points += values.iter().sum::<i64>() as f64;
                world.send(request(Signal::Metrics, otlp::counter("orders", at, &values))).await;
            }
            Step::SealAll => {
                world.seal_all().await;
            }
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
    seen.sort_unstable();
    world.settle().await;
    world.advance(1).await;
    assert_eq!(spans(&world.rows(&TenantId::default(), TableName::Spans).await), seen);
    let mut expected: BTreeMap<u8, i64> = BTreeMap::new();
    seen.iter().for_each(|n| *expected.entry((n % 5) as u8).or_default() += 1);
    let counted: BTreeMap<u8, i64> = world.traces().await.into_iter().map(|(id, (spans, ..))| (id, spans)).collect();
    assert_eq!(counted, expected);
    for table in TableName::METRICS {
        let sum: f64 = world.rollups(table).await.values().map(|(_, sum)| sum).sum();
        assert_eq!(sum, points, "{table}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn any_order_split_seal_and_restart_gives_the_same_tables(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
