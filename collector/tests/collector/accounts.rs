//! What a collector says it gave the metric tables is what they hold, at each resolution: the ground on which
//! `daymark store verify --collector` holds data points against the ledger.

use std::time::{Duration, Instant};

use daymark_model::{Signal, TenantId};
use daymark_store::{HotSource, TableAccount, TableName, Tally};

use crate::otlp::{self, request};
use crate::world::{World, options};

/// What each metric table holds, published and hot, and its account; the two are equal but for running totals left out.
pub async fn balance(world: &World) -> [(Tally, TableAccount); 4] {
    world.settle().await;
    let status = world.handle.status().await.unwrap();
    let tenant = TenantId::default();
    let account = status.metrics.as_ref().unwrap()[&tenant];
    let mut found = account.tables.map(|account| (Tally::default(), account));
    for (table, (held, account)) in TableName::METRICS.into_iter().zip(&mut found) {
        let table = world.handle.store().table(&tenant, table);
        let (tally, deletions) = table.tally_received(status.applied, &world.handle).await.unwrap();
        *held = tally.unwrap();
        let expected = account.opened.unwrap().plus(account.added).minus(account.expired);
        assert_eq!((held.values, deletions), (expected.values, account.deletions), "{}: {account:?}", table.name());
        assert!(held.totals <= expected.totals, "{}: {held:?} of {account:?}", table.name());
    }
    found
}

/// As [`balance`], and no running total was left out.
pub async fn balance_whole(world: &World) {
    for (held, account) in balance(world).await {
        assert_eq!(held, account.opened.unwrap().plus(account.added).minus(account.expired));
    }
}

async fn counters(world: &World, first_s: u64, values: &[i64]) {
    world.send(request(Signal::Metrics, otlp::counter("orders", first_s, values))).await;
    world.settle().await;
}

/// Scenario: windows of an earlier run and of this one become one row when they are replayed, sealed and merged.
/// Guarantee: the ledger's points are those since the start; the tables' accounts go on over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_balance_over_a_crash_and_count_only_new_points_as_the_ledgers() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    counters(&world, 0, &[1, 2]).await;
    world.seal_all().await;
    counters(&world, 0, &[3, 4, 5]).await;
    balance_whole(&world).await;
    let image = world.crash_image();
    let world = World::start(image.path()).await;
    counters(&world, 0, &[6]).await;
    for _ in 0..2 {
        for (held, account) in balance(&world).await {
            assert_eq!((held.values, account.opened.unwrap().values, account.added.values), (6, 2, 4));
        }
        world.seal_all().await;
    }
    let status = world.handle.status().await.unwrap();
    let stored = status.ledgers[0].rows[Signal::Metrics as usize].stored;
    assert_eq!((status.metrics.unwrap()[&TenantId::default()].points, stored), (1, 1));
}

/// Guarantee: what retention takes is in the account; the other resolutions keep it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_takes_is_entered() {
    let dir = tempfile::tempdir().unwrap();
    let mut short = options(dir.path());
    short.retention.check_interval_s = 1;
    short.retention.metrics_10s_hours = 1;
    let world = World::start_with(short).await;
    counters(&world, 0, &[1, 2, 3]).await;
    world.seal_all().await;
    world.advance(2 * 3_600).await;
    let began = Instant::now();
    loop {
        let [fine, coarse, ..] = balance(&world).await;
        assert_eq!(coarse.0.values, 3);
        if fine.1.expired.values == 3 {
            assert_eq!(fine.0, Tally::default());
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "nothing expires: {fine:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
