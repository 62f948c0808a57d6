//! Quotas of items: what is over is turned away whole, counted, and taken when its time has come.

use std::sync::Arc;

use daymark_guard::{Clock, Counted, ManualClock, MemoryGate, MemoryOptions, QuotaLimit, QuotaLimits, Quotas};
use daymark_model::{ErrorClass, LedgerRow, Signal, TenantId, UnixNanos};
use daymark_store::{HotSource, TableName};
use daymark_wire::{Ingest, IngestRequest};

use crate::otlp::{self, TestLog, request};
use crate::world::{World, options, texts};

fn logs(from: usize, count: usize) -> IngestRequest {
    let log = |at: usize| TestLog { body: format!("{at:03}"), trace: None, correlation: None };
    request(Signal::Logs, otlp::logs(&(from..from + count).map(log).collect::<Vec<_>>()))
}

fn row(world: &World) -> LedgerRow {
    let row = world.handle.ledger().snapshot().rows.swap_remove(Signal::Logs as usize);
    assert_eq!((row.unexplained(), row.in_flight), (0, 0), "{row:?}");
    row
}

/// Scenario: a tenant sends more items than its quota, repeats a request, waits as told. Guarantee: what is over is shed and
/// counted item by item, a repeat costs nothing, another tenant is not touched, and waiting as told suffices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_beyond_the_quota_are_shed_and_come_in_later() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(UnixNanos::from_seconds(1_000)));
    let limited = QuotaLimit { items_per_second: Some(1), bytes_per_second: None };
    let limits = QuotaLimits { tenants: [(TenantId::default(), limited)].into(), ..QuotaLimits::default() };
    let quotas = Quotas::new(limits, Arc::clone(&clock) as Arc<dyn Clock>);
    let mut with = options(dir.path());
    with.quotas = Arc::clone(&quotas);
    let world = World::start_with(with).await;

    world.send(logs(0, 8)).await;
    world.send(logs(0, 8)).await;
    let used =
        || quotas.usage().into_iter().map(|(_, counted, used, limit)| (counted, used, limit)).collect::<Vec<_>>();
    assert_eq!(used(), [(Counted::Items, 8, 10)], "a repeat is not charged");
    let refusal = world.handle.ingest(logs(8, 5)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.reason), (ErrorClass::Overload, "quota_items"));
    assert!(refusal.message.contains("10 items in 10 s: this request is 3 items too much"), "{refusal}");
    let never = world.handle.ingest(logs(100, 11)).await.unwrap_err();
    assert_eq!((never.class, never.retry_after_ms), (ErrorClass::Reject, None));
    let other = IngestRequest { tenant: TenantId::parse("acme").unwrap(), ..logs(200, 50) };
    world.send(other).await;

    clock.set(clock.now().plus(refusal.retry_after_ms.unwrap() * 1_000_000));
    world.send(logs(8, 5)).await;
    let row = row(&world);
    assert_eq!((row.stored, row.shed["quota_items"], row.rejected["quota_items"]), (8 + 50 + 5, 5, 11));
    let mut bodies = texts(&world.rows(&TenantId::default(), TableName::Logs).await, "body");
    bodies.sort();
    assert_eq!(bodies, (0..13).map(|at| format!("{at:03}")).collect::<Vec<_>>());
    world.stop().await;
}

/// Guarantee: unpublished rows count for their tenant in the memory gate, until they are published; the status tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_reported_to_the_memory_gate() {
    let dir = tempfile::tempdir().unwrap();
    let mut with = options(dir.path());
    let gate = MemoryGate::new(MemoryOptions::new(64 << 20));
    with.memory = Arc::clone(&gate);
    let world = World::start_with(with).await;
    let empty = gate.status().used_bytes;
    world.send(logs(0, 200)).await;
    world.settle().await;
    world.advance(1).await;
    let held = gate.status().used_bytes;
    assert!(held > empty + 200, "{held} bytes are held, {empty} before");
    assert_eq!(world.handle.status().await.unwrap().memory.map(|memory| memory.limit_bytes), Some(64 << 20));
    world.seal_all().await;
    world.advance(10).await;
    assert!(gate.status().used_bytes < held, "published rows are given back");
    world.stop().await;
}
