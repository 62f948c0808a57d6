//! What was acknowledged survives, for each tenant, and what is wrong is refused.

use bytes::Bytes;
use daymark_model::{ErrorClass, Signal, TenantId, UnixNanos};
use daymark_store::{HotSource, TableName};
use daymark_wire::{Heartbeat, Ingest, IngestRequest};

use crate::otlp::{self, TestLog, TestSpan, request};
use crate::world::{World, options, spans, texts};

fn log(body: &str) -> TestLog {
    TestLog { body: body.into(), trace: None, correlation: None }
}

/// Scenario: rows are acknowledged; some are published, some only in the log; the process dies; it starts again.
/// Guarantee: every acknowledged row is in the tables or hot, exactly once, and a clean restart changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_rows_survive_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    world.send(request(Signal::Traces, otlp::traces(&[TestSpan::new(1, 1, None), TestSpan::new(1, 2, Some(1))]))).await;
    world.send(request(Signal::Logs, otlp::logs(&[log("published")]))).await;
    world.seal_all().await;
    world.send(request(Signal::Traces, otlp::traces(&[TestSpan::new(1, 3, Some(1))]))).await;
    world.send(request(Signal::Logs, otlp::logs(&[log("only in the log")]))).await;
    world.send(request(Signal::Metrics, otlp::counter("orders", 0, &[3, 4]))).await;

    let image = world.crash_image();
    let mut world = World::start(image.path()).await;
    for start in ["after the crash", "after a clean stop"] {
        let tenant = TenantId::default();
        assert_eq!(spans(&world.rows(&tenant, TableName::Spans).await), [1, 2, 3], "{start}");
        let mut bodies = texts(&world.rows(&tenant, TableName::Logs).await, "body");
        bodies.sort();
        assert_eq!(bodies, ["only in the log", "published"], "{start}");
        assert_eq!(world.traces().await[&1], (3, 0, "complete".to_owned()), "{start}");
        let rollups = world.rollups(TableName::Metrics10s).await;
        assert_eq!(rollups[&("orders".to_owned(), 0)], (2, 7.0), "{start}");
        world.stop().await;
        world = World::start(image.path()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_publishes_everything_and_turns_new_requests_away() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    world.send(request(Signal::Logs, otlp::logs(&[log("one")]))).await;
    let handle = world.handle.clone();
    world.stop().await;
    let refused = handle.ingest(request(Signal::Logs, otlp::logs(&[log("two")]))).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Retry);
    let snapshot = handle.store().table(&TenantId::default(), TableName::Logs).snapshot().await.unwrap();
    assert_eq!(snapshot.segments.iter().map(|segment| segment.rows).sum::<u64>(), 1);
}

/// Scenario: somebody empties the log's directory but leaves the tables.
/// Guarantee: what is acknowledged afterwards is found, also after a restart; nothing published is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_log_costs_nothing_that_comes_after() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    for body in ["one", "two"] {
        world.send(request(Signal::Logs, otlp::logs(&[log(body)]))).await;
    }
    world.stop().await;
    std::fs::remove_dir_all(dir.path().join("log")).unwrap();
    let mut world = World::start(dir.path()).await;
    world.send(request(Signal::Logs, otlp::logs(&[log("three")]))).await;
    for start in ["before a restart", "after it"] {
        let mut bodies = texts(&world.rows(&TenantId::default(), TableName::Logs).await, "body");
        bodies.sort();
        assert_eq!(bodies, ["one", "three", "two"], "{start}");
        world.stop().await;
        world = World::start(dir.path()).await;
    }
}

/// Guarantee: a tenant never sees, holds back or merges with the rows of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_are_isolated() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    let [acme, globex] = ["acme", "globex"].map(|name| TenantId::parse(name).unwrap());
    let same = otlp::traces(&[TestSpan::new(1, 1, None)]);
    for tenant in [&acme, &globex] {
        let same_request = request(Signal::Traces, same.clone());
        world.send(IngestRequest { tenant: tenant.clone(), ..same_request }).await;
    }
    let more = request(Signal::Traces, otlp::traces(&[TestSpan::new(1, 2, Some(1))]));
    world.send(IngestRequest { tenant: acme.clone(), ..more }).await;
    for _ in 0..2 {
        assert_eq!(spans(&world.rows(&acme, TableName::Spans).await), [1, 2]);
        assert_eq!(spans(&world.rows(&globex, TableName::Spans).await), [1]);
        assert!(world.rows(&TenantId::default(), TableName::Spans).await.is_empty());
        world.stop().await;
        world = World::start(dir.path()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_refused_and_every_item_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let mut limits = options(dir.path());
    limits.max_expanded_bytes = 300;
    limits.max_items = 10;
    let world = World::start_with(limits).await;
    let many: Vec<TestSpan> = (1..12).map(|span| TestSpan::new(1, span, None)).collect();
    let wide: Vec<TestLog> = (0..10).map(|n| log(&n.to_string())).collect();
    for (signal, bad, reason) in [
        (Signal::Traces, Bytes::from_static(b"\x0a\xff\xff garbage"), "malformed"),
        (Signal::Traces, otlp::traces(&many), "too_large"),
        (Signal::Logs, otlp::logs(&wide), "too_large"),
    ] {
        let refused = world.handle.ingest(request(signal, bad)).await.unwrap_err();
        assert_eq!((refused.class, refused.reason), (ErrorClass::Reject, reason));
    }
    let answer = world.handle.ingest(request(Signal::Traces, otlp::one_valid_span_of_two())).await.unwrap();
    assert_eq!(answer.rejected_items, 1);
    assert!(answer.message.is_some());
    assert_eq!(spans(&world.rows(&TenantId::default(), TableName::Spans).await), [1]);
    for row in world.handle.ledger().snapshot().rows {
        assert_eq!((row.unexplained(), row.in_flight), (0, 0), "{row:?}");
    }
}

/// Scenario: items at impossible times among good ones.
/// Guarantee: the client hears how many and why, the ledger explains them, the good ones are stored, also by replay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impossible_items_are_rejected_before_the_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let hour_ms = 3_600_000;
    let late = TestSpan { start_ms: hour_ms + 1, ..TestSpan::new(1, 2, None) };
    let older = TestSpan { start_ms: 2 * hour_ms, ..TestSpan::new(1, 3, None) };
    let answer = request(Signal::Traces, otlp::traces(&[TestSpan::new(1, 1, None), late, older]));
    let answer = world.handle.ingest(answer).await.unwrap();
    assert_eq!(answer.rejected_items, 2);
    let message = answer.message.unwrap();
    assert!(message.starts_with("2 of 3 items rejected: 2: ") && message.contains("max_future_ms"), "{message}");
    let row = &world.handle.ledger().snapshot().rows[Signal::Traces as usize];
    assert_eq!((row.stored, row.rejected["invalid_item"], row.unexplained()), (1, 2, 0));
    let image = world.crash_image();
    for world in [world, World::start(image.path()).await] {
        assert_eq!(spans(&world.rows(&TenantId::default(), TableName::Spans).await), [1]);
    }
}

/// Scenario: an agent declares time closed, then falls silent.
/// Guarantee: the watermark follows the agent, less the allowed lateness, and goes on without it after 30 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watermark_follows_live_agents() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    assert_eq!(world.handle.status().await.unwrap().watermark, UnixNanos(otlp::T0), "no agent: now");
    let traces = otlp::traces(&[TestSpan::new(1, 1, None)]);
    let closed = UnixNanos(otlp::T0).minus(10 * otlp::SECOND);
    let batch = IngestRequest { closed_until: Some(closed), ..otlp::stamped(1, Some(&traces), None) };
    world.send(batch).await;
    world.settle().await;
    let status = world.handle.status().await.unwrap();
    assert_eq!(status.watermark, closed.minus(5 * otlp::SECOND));
    assert_eq!((status.agents[0].silent, status.agents[0].services.clone()), (false, vec!["shop".to_owned()]));
    let stamp = otlp::stamped(2, None, None).stamp.unwrap();
    let beat = Heartbeat {
        agent: stamp.agent,
        epoch: stamp.epoch,
        tenant: TenantId::default(),
        closed_until: UnixNanos(otlp::T0),
        ledger: world.handle.ledger().snapshot(),
    };
    world.handle.heartbeat(beat).await.unwrap();
    let status = world.handle.status().await.unwrap();
    assert_eq!((status.watermark, status.ledgers.len()), (UnixNanos(otlp::T0).minus(5 * otlp::SECOND), 2));
    world.advance(31).await;
    let status = world.handle.status().await.unwrap();
    assert!(status.agents[0].silent);
    assert_eq!(status.watermark, UnixNanos(otlp::T0).plus(31 * otlp::SECOND));
}

/// Scenario: one tenant's agent lags by hours, another tenant's is up to date.
/// Guarantee: each tenant's watermark is that of its own agents; a tenant without one is closed on arrival.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tenants_lagging_agent_holds_back_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let stamp = otlp::stamped(1, None, None).stamp.unwrap();
    let [acme, other] = ["acme", "other"].map(|name| TenantId::parse(name).unwrap());
    let late = UnixNanos(otlp::T0).minus(7_200 * otlp::SECOND);
    for (tenant, closed_until) in [(TenantId::default(), UnixNanos(otlp::T0)), (acme.clone(), late)] {
        let ledger = world.handle.ledger().snapshot();
        let beat = Heartbeat { agent: stamp.agent, epoch: stamp.epoch, tenant, closed_until, ledger };
        world.handle.heartbeat(beat).await.unwrap();
    }
    let status = world.handle.status().await.unwrap();
    assert_eq!(status.watermark_of(&TenantId::default()), UnixNanos(otlp::T0).minus(5 * otlp::SECOND));
    assert_eq!(status.watermark_of(&acme), late.minus(5 * otlp::SECOND));
    assert_eq!(status.watermark_of(&other), UnixNanos(otlp::T0));
    assert_eq!(status.watermark, status.watermark_of(&acme), "for readers of the one number");
}

/// Guarantee: a machine left alone does not fill its disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_segments_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let mut short = options(dir.path());
    short.retention.logs_hours = 1;
    short.retention.check_interval_s = 1;
    let world = World::start_with(short).await;
    world.send(request(Signal::Logs, otlp::logs(&[log("old")]))).await;
    world.send(request(Signal::Traces, otlp::traces(&[TestSpan::new(1, 1, None)]))).await;
    world.seal_all().await;
    world.advance(2 * 3_600).await;
    for _ in 0..200 {
        if world.rows(&TenantId::default(), TableName::Logs).await.is_empty() {
            assert_eq!(spans(&world.rows(&TenantId::default(), TableName::Spans).await), [1], "kept for 7 days");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("old rows are still there");
}
