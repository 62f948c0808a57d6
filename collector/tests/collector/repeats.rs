//! Repeated batches and requests are acknowledged and not stored again (G2).

use daymark_model::{Signal, TenantId};
use daymark_store::TableName;
use daymark_wire::{BatchView, Ingest, IngestRequest};

use crate::otlp::{self, TestLog, TestSpan, batch_of, request, stamped};
use crate::world::{World, spans, texts};

fn batch(sequence: u64) -> IngestRequest {
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
        world.send(IngestRequest { tenant: mallory.clone(), ..batch(sequence) }).await;
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

const AGENTS: [u8; 3] = [1, 2, 3];
const BATCHES: u64 = 4;

/// A span, its duration in a window of its own, and a record: byte for byte the same from every agent.
fn same_payload(agent: u8, sequence: u64, content_hash: u128) -> IngestRequest {
    let number = sequence as u32;
    let traces = otlp::traces(&[TestSpan::new(number as u8 % 2, number, (number > 2).then(|| number - 2))]);
    let logs = otlp::logs(&[TestLog { body: format!("record {number}"), trace: None, correlation: None }]);
    let durations = otlp::durations(60 * sequence, &[sequence * 1_000]);
    let parts =
        BatchView { traces: Some(&traces), logs: Some(&logs), metrics: Some(&durations), ..BatchView::default() };
    batch_of(agent, sequence, content_hash, &parts)
}

/// Of other client's bytes for each agent.
fn alike(agent: u8, sequence: u64) -> IngestRequest {
    same_payload(agent, sequence, u128::from(agent) << 64 | u128::from(sequence))
}

async fn stored_times(world: &World, times: usize) {
    let tenant = TenantId::default();
    let numbers = || (1..=BATCHES as u32).flat_map(|number| vec![number; times]);
    assert_eq!(spans(&world.rows(&tenant, TableName::Spans).await), numbers().collect::<Vec<u32>>());
    let mut bodies = texts(&world.rows(&tenant, TableName::Logs).await, "body");
    bodies.sort();
    assert_eq!(bodies, numbers().map(|number| format!("record {number}")).collect::<Vec<_>>());
    let traces: Vec<_> = world.traces().await.into_values().collect();
    assert_eq!(traces, vec![(2, 0, "complete".to_owned()); 2], "the same span counts once in its trace");
    for table in TableName::METRICS {
        let windows = world.rollups(table).await;
        let count: i64 = windows.values().map(|(count, _)| count).sum();
        let sum: f64 = windows.values().map(|(_, sum)| sum).sum();
        let once: u64 = (1..=BATCHES).map(|sequence| sequence * 1_000).sum();
        assert_eq!((count as u64, sum), (BATCHES * times as u64, (once * times as u64) as f64), "{table}");
    }
    for table in [TableName::Metrics10s, TableName::Metrics1m] {
        let counts: Vec<i64> = world.rollups(table).await.into_values().map(|(count, _)| count).collect();
        assert_eq!(counts, vec![times as i64; BATCHES as usize], "{table}");
    }
}

/// Received, stored, duplicates: the same of each signal, and nothing unexplained.
fn ledger_says(world: &World, expected: (u64, u64, u64)) {
    for row in &world.handle.ledger().snapshot().rows {
        let duplicates = row.rejected.get("duplicate").copied().unwrap_or(0);
        assert_eq!((row.received, row.stored, duplicates), expected, "{:?}", row.signal);
        assert_eq!((row.in_flight, row.unexplained()), (0, 0), "{:?}", row.signal);
    }
}

/// Scenario: three agents send the same payload under stamps of their own, each batch twice, in turn or at the same time,
/// with seals in between; then all of it again after a crash, and after a restart from the snapshot alone.
/// Guarantee: three times the data, once each; every repeat is acknowledged and counted as a duplicate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_agents_with_the_same_payload_count_three_times_and_repeats_never() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let all = BATCHES * AGENTS.len() as u64;
    for sequence in 1..=BATCHES {
        for agent in AGENTS {
            if sequence % 2 == 0 {
                tokio::join!(world.send(alike(agent, sequence)), world.send(alike(agent, sequence)));
            } else {
                world.send(alike(agent, sequence)).await;
                world.send(alike(agent, sequence)).await;
            }
        }
        if sequence == 2 {
            world.seal_all().await;
        }
    }
    ledger_says(&world, (2 * all, all, all));
    stored_times(&world, 3).await;

    let image = world.crash_image();
    let mut world = World::start(image.path()).await;
    // The second time only the snapshot knows them.
    for _ in 0..2 {
        for sequence in (1..=BATCHES).rev() {
            for agent in AGENTS {
                world.send(alike(agent, sequence)).await;
            }
        }
        ledger_says(&world, (all, 0, all));
        stored_times(&world, 3).await;
        world.stop().await;
        std::fs::remove_dir_all(image.path().join("log")).unwrap();
        world = World::start(image.path()).await;
    }
}

/// Scenario: a client repeats its request, byte for byte, through one agent after the other, because each answer got lost.
/// Guarantee: stored once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_through_three_agents_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    for agent in AGENTS {
        for sequence in 1..=BATCHES {
            world.send(same_payload(agent, sequence, u128::from(sequence))).await;
        }
    }
    ledger_says(&world, (3 * BATCHES, BATCHES, 2 * BATCHES));
    stored_times(&world, 1).await;
}
