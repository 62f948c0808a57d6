//! What an operator sees of a collector, and what bounds its next start.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use daymark_collector::Collector;
use daymark_guard::{CheckKind, Clock, Drain, Health, HealthOptions, ManualClock};
use daymark_model::{Signal, TenantId, UnixNanos};
use daymark_store::{CompactOptions, HotSource, Store, TableName};
use daymark_wire::IngestRequest;

use crate::otlp::{self, T0, TestLog, request};
use crate::world::{World, options, texts};

/// Scenario: much is written within one seal interval.
/// Guarantee: no more than about `replay_bytes` is left for the next start to replay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_start_replays_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut bounded = options(dir.path());
    bounded.replay_bytes = 64 << 10;
    let world = World::start_with(bounded).await;
    for number in 0..40 {
        let bodies: Vec<String> = (0..8).map(|row| format!("{number} {row} {}", "x".repeat(1_000))).collect();
        let log = |body: &String| TestLog { body: body.clone(), trace: None, correlation: None };
        world.send(request(Signal::Logs, otlp::logs(&bodies.iter().map(log).collect::<Vec<_>>()))).await;
    }
    world.settle().await;
    let most = (64 << 10) / 2 / 1_000;
    for _ in 0..500 {
        if world.handle.status().await.unwrap().hot_rows <= most {
            let logs = world.handle.store().table(&TenantId::default(), TableName::Logs).snapshot().await.unwrap();
            assert!(logs.consumed.0 >= 32, "published although the clock stood still: {:?}", logs.consumed);
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("more than {most} rows are left to replay");
}

/// Scenario: the disk has less room than the ballast.
/// Guarantee: the collector is not ready and says why; it is alive, because a restart would not help.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_named_and_is_no_reason_for_a_restart() {
    for (min_free_bytes, ready) in [(0, true), (u64::MAX >> 1, false)] {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path());
        options.log.min_free_bytes = min_free_bytes;
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(UnixNanos(T0)));
        let health = Health::new(HealthOptions { keep_ms: 0, ..HealthOptions::default() }, Arc::clone(&clock));
        let (store, drain) = (Arc::new(Store::open_local(dir.path()).unwrap()), Drain::new());
        let _handle = Collector::start_reporting(options, store, clock, drain.clone(), &health).await.unwrap();
        let report = health.report().await;
        assert_eq!(report.ready, ready, "{report:?}");
        let failed: Vec<&str> = report.checks.iter().filter(|c| c.failed.is_some()).map(|c| c.name).collect();
        assert_eq!(failed, if ready { vec![] } else { vec!["disk"] });
        assert!(report.checks.iter().any(|check| check.kind == CheckKind::Dependency && check.name == "store"));
        assert_eq!(health.needs_restart(), None);
        drain.begin();
        assert!(drain.finished(Duration::from_secs(30)).await);
    }
}

/// Guarantee: a tenant's own retention goes before everybody's, in the same table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_retention_goes_before_everybodys() {
    let dir = tempfile::tempdir().unwrap();
    let acme = TenantId::parse("acme").unwrap();
    let mut kept = options(dir.path());
    kept.retention.check_interval_s = 1;
    kept.retention.exceptions.insert((None, TableName::Logs), 1);
    kept.retention.exceptions.insert((Some(acme.clone()), TableName::Logs), 72);
    let world = World::start_with(kept).await;
    let old = || otlp::logs(&[TestLog { body: "old".into(), trace: None, correlation: None }]);
    world.send(request(Signal::Logs, old())).await;
    world.send(IngestRequest { tenant: acme.clone(), ..request(Signal::Logs, old()) }).await;
    world.seal_all().await;
    let of_acme = world.handle.storage().await.unwrap().tables.into_iter().find(|table| table.tenant == acme).unwrap();
    assert_eq!((of_acme.rows, of_acme.kept_hours), (1, 72));
    world.advance(2 * 3_600).await;
    for _ in 0..200 {
        if world.rows(&TenantId::default(), TableName::Logs).await.is_empty() {
            assert_eq!(texts(&world.rows(&acme, TableName::Logs).await, "body"), ["old"], "kept for 72 hours");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("old rows are still there");
}

/// Guarantee: logs lose their text index at their hour, and nothing else; newer ones keep it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_logs_lose_their_index_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = options(dir.path());
    kept.retention.check_interval_s = 1;
    kept.retention.index_hours = 1;
    let world = World::start_with(kept).await;
    let log = otlp::logs(&[TestLog { body: "cold".into(), trace: None, correlation: None }]);
    world.send(request(Signal::Logs, log)).await;
    world.seal_all().await;
    let table = world.handle.store().table(&TenantId::default(), TableName::Logs);
    let indexed = async || {
        let segments = table.snapshot().await.unwrap().segments;
        segments.iter().filter(|segment| segment.index.is_some()).count()
    };
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(indexed().await, 1, "a minute old");
    world.advance(2 * 3_600).await;
    for _ in 0..200 {
        if indexed().await == 0 {
            assert_eq!(texts(&world.rows(&TenantId::default(), TableName::Logs).await, "body"), ["cold"]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the index is still there");
}

/// Guarantee: the rows that came since a collector's start are those its ledger has stored: published or not, merged with
/// older ones or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_since_the_start_are_those_the_ledger_has_stored() {
    let dir = tempfile::tempdir().unwrap();
    let log = |body: &str| {
        let records = [body, "more"].map(|body| TestLog { body: body.into(), trace: None, correlation: None });
        request(Signal::Logs, otlp::logs(&records))
    };
    let counted = async |world: &World| {
        world.settle().await;
        let status = world.handle.status().await.unwrap();
        let table = world.handle.store().table(&TenantId::default(), TableName::Logs);
        let rows = table.rows_received(status.started_at.unwrap(), status.durable, &world.handle).await.unwrap();
        (rows, status.ledgers[0].rows.iter().find(|row| row.signal == Signal::Logs).unwrap().stored)
    };
    let world = World::start(dir.path()).await;
    assert_eq!(counted(&world).await, (0, 0));
    world.send(log("one")).await;
    world.seal_all().await;
    world.send(log("two")).await;
    assert_eq!(counted(&world).await, (4, 4));
    world.stop().await;

    let world = World::start(dir.path()).await;
    assert_eq!(counted(&world).await, (0, 0), "what was there before is not counted");
    world.send(log("three")).await;
    assert_eq!(counted(&world).await, (2, 2));
    world.seal_all().await;
    let table = world.handle.store().table(&TenantId::default(), TableName::Logs);
    let all = CompactOptions { fan_in: 2, ..CompactOptions::default() };
    while table.compact(&all, &mut HashSet::new()).await.unwrap().is_some() {}
    assert_eq!(table.snapshot().await.unwrap().segments.len(), 1);
    assert_eq!(counted(&world).await, (2, 2));
    world.stop().await;
}
