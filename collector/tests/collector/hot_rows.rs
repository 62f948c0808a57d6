//! Published and hot rows together are exactly what was applied, at every moment (design §7).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use daymark_model::{Signal, TenantId};
use daymark_store::TableName;

use crate::otlp::{self, TestLog, TestSpan, request};
use crate::world::{World, long, options};

const SPANS_PER_BATCH: u32 = 5;

/// Scenario: many small seals run while readers read again and again.
/// Guarantee: a reader sees every row of every offset up to `through` once, and no row beyond.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_rows_none_missing_none_twice_during_seals() {
    let dir = tempfile::tempdir().unwrap();
    let mut small = options(dir.path());
    small.seal_rows = 40;
    small.keep_published_ms = 0;
    let world = Arc::new(World::start_with(small).await);
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (world, done) = (Arc::clone(&world), Arc::clone(&done));
        tokio::spawn(async move {
            for batch in 0..150_u32 {
                let first = batch * SPANS_PER_BATCH + 1;
                let spans: Vec<TestSpan> =
                    (first..first + SPANS_PER_BATCH).map(|n| TestSpan::new((n % 200) as u8, n, None)).collect();
                world.send(request(Signal::Traces, otlp::traces(&spans))).await;
            }
            done.store(true, Relaxed);
        })
    };
    let mut reads = 0;
    loop {
        let last = done.load(Relaxed);
        let (through, batches) = world.view(&TenantId::default(), TableName::Spans).await;
        let mut per_offset: BTreeMap<u64, u32> = BTreeMap::new();
        for batch in &batches {
            for offset in long(batch, "log_offset") {
                *per_offset.entry(*offset as u64).or_default() += 1;
            }
        }
        assert!(per_offset.values().all(|rows| *rows == SPANS_PER_BATCH), "after {reads} reads: {per_offset:?}");
        assert_eq!(per_offset.len() as u64, through.0, "every offset up to {through}");
        reads += 1;
        if last {
            break;
        }
    }
    writer.await.unwrap();
    world.settle().await;
    let (through, _) = world.view(&TenantId::default(), TableName::Spans).await;
    assert_eq!(through.0, 150);
    let counted: i64 = world.traces().await.values().map(|(spans, ..)| spans).sum();
    assert_eq!(counted, 750, "every span is in one trace");
    let snapshot = world.handle.store().table(&TenantId::default(), TableName::Spans).snapshot().await.unwrap();
    assert!(snapshot.segments.len() > 3, "seals ran: {}", snapshot.segments.len());
}

/// The HTTP side answers the same as the handle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_rows_over_http_are_the_same() {
    use daymark_model::{LogOffset, TimeRange};
    use daymark_store::{HotError, HotRequest, HotSource, HttpHotSource};

    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let log = |body: &str| TestLog { body: body.into(), trace: Some(3), correlation: None };
    world.send(request(Signal::Logs, otlp::logs(&[log("first")]))).await;
    world.seal_all().await;
    world.send(request(Signal::Logs, otlp::logs(&[log("second")]))).await;
    world.settle().await;
    world.advance(5).await;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = world.handle.internal_router();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let remote = HttpHotSource::new(&url, 5_000).unwrap();
    let ask = |after: u64, columns: Option<Vec<String>>| HotRequest {
        tenant: TenantId::default(),
        table: TableName::Logs,
        time: TimeRange::ALL,
        columns,
        after: LogOffset(after),
    };
    assert_eq!(remote.hot(ask(0, None)).await.unwrap_err(), HotError::Stale { needed: LogOffset(1) });
    for columns in [None, Some(vec!["body".to_owned(), "time".to_owned()])] {
        let [near, far] = [
            world.handle.hot(ask(1, columns.clone())).await.unwrap(),
            remote.hot(ask(1, columns.clone())).await.unwrap(),
        ];
        assert_eq!((near.through, &near.batches), (far.through, &far.batches));
        assert_eq!(crate::world::texts(&far.batches, "body"), ["second"]);
    }
    assert_eq!(remote.hot(ask(2, Some(vec!["body".into()]))).await.unwrap().batches.len(), 0);
    let status = remote.status().await.unwrap();
    assert_eq!((status.durable, status.applied, status.hot_rows), (LogOffset(2), LogOffset(2), 1));
    server.abort();
}
