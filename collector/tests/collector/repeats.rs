//! Repeated batches and requests are acknowledged and not stored again (G2).

use daymark_model::{Signal, TenantId};
use daymark_store::TableName;
use daymark_wire::Ingest;

use crate::otlp::{self, TestSpan, request, stamped};
use crate::world::{World, spans};

fn batch(sequence: u64) -> daymark_wire::IngestRequest {
    let traces = otlp::traces(&[TestSpan::new(1, sequence as u32, None)]);
    stamped(sequence, Some(&traces), Some(&otlp::durations(0, &[sequence * 1_000])))
}

async fn stored_once(world: &World, expected: &[u32]) {
    assert_eq!(spans(&world.rows(&TenantId::default(), TableName::Spans).await), expected);
    let counts = world.rollups(TableName::Metrics10s).await;
    assert_eq!(counts[&("traces.span.metrics.duration".to_owned(), 0)].0 as usize, expected.len());
}

/// Scenario: batches out of order, each repeated, some at the same time, then again after a crash.
/// Guarantee: each is answered with success and stored once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_batches_are_acknowledged_and_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    for sequence in [3, 1, 2, 1, 3, 3] {
        world.send(batch(sequence)).await;
    }
    let at_once = (0..8).map(|_| {
        let handle = world.handle.clone();
        tokio::spawn(async move { handle.ingest(batch(4)).await })
    });
    for answer in futures::future::join_all(at_once).await {
        answer.unwrap().unwrap();
    }
    stored_once(&world, &[1, 2, 3, 4]).await;
    let ledger = world.handle.ledger().snapshot();
    let spans = &ledger.rows[Signal::Traces as usize];
    assert_eq!((spans.received, spans.stored, spans.rejected["duplicate"]), (14, 4, 10));
    assert_eq!(spans.unexplained(), 0);

    let image = world.crash_image();
    let world = World::start(image.path()).await;
    for sequence in 1..=4 {
        world.send(batch(sequence)).await;
    }
    stored_once(&world, &[1, 2, 3, 4]).await;
}

/// Scenario: the log's segments were released, so only the snapshot knows the batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_are_known_after_the_log_was_released() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    world.send(batch(1)).await;
    world.settle().await;
    world.stop().await;
    assert!(dir.path().join("dedup.snapshot").exists(), "written before the log is released");
    std::fs::remove_dir_all(dir.path().join("log")).unwrap();
    let world = World::start(dir.path()).await;
    world.send(batch(1)).await;
    assert_eq!(spans(&world.rows(&TenantId::default(), TableName::Spans).await), [1]);
}

/// A client without an agent repeats the same bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identical_requests_without_a_stamp_are_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let one = || request(Signal::Traces, otlp::traces(&[TestSpan::new(1, 1, None)]));
    world.send(one()).await;
    world.send(one()).await;
    assert_eq!(spans(&world.rows(&TenantId::default(), TableName::Spans).await), [1]);
    world.clock.set(daymark_model::UnixNanos(otlp::T0 + 3_600 * otlp::SECOND));
    world.send(request(Signal::Traces, otlp::traces(&[TestSpan::new(1, 2, None)]))).await;
    world.send(one()).await;
    let spans = spans(&world.rows(&TenantId::default(), TableName::Spans).await);
    assert_eq!(spans, [1, 1, 2], "after an hour it is a new request");
}

/// Scenario: the holder of another tenant's key sends batches under the stamps of an agent, before the agent does.
/// Guarantee: the agent's own batches are stored all the same, also when only the snapshot knows the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stamp_claimed_by_another_tenant_is_no_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    let mallory = TenantId::parse("mallory").unwrap();
    for sequence in [1, 2] {
        world.send(daymark_wire::IngestRequest { tenant: mallory.clone(), ..batch(sequence) }).await;
    }
    world.send(batch(1)).await;
    world.settle().await;
    world.stop().await;
    std::fs::remove_dir_all(dir.path().join("log")).unwrap();
    world = World::start(dir.path()).await;
    for sequence in [1, 2] {
        world.send(batch(sequence)).await;
    }
    for tenant in [&TenantId::default(), &mallory] {
        assert_eq!(spans(&world.rows(tenant, TableName::Spans).await), [1, 2], "{tenant}");
    }
}
