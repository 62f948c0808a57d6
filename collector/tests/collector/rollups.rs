//! Rollups through the whole collector: what agents derive is counted exactly, in both resolutions.

use std::collections::BTreeMap;

use daymark_store::TableName;

use crate::otlp::{self, TestSpan, stamped};
use crate::world::{World, spans};

/// Scenario: stamped batches of spans with what was derived from them, seals in between, a crash.
/// Guarantee: the derived counts equal the stored spans; the 1 min windows hold the same as the 10 s ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn derived_counts_equal_stored_spans() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    let mut images = Vec::new();
    for sequence in 1..=12_u64 {
        let traces = otlp::traces(&[TestSpan::new(1, sequence as u32, None)]);
        let derived = otlp::durations(10 * sequence, &[5_000_000]);
        world.send(stamped(sequence, Some(&traces), Some(&derived))).await;
        if sequence % 4 == 0 {
            world.seal_all().await;
        }
        if sequence == 7 {
            images.push(world.crash_image());
            world = World::start(images[0].path()).await;
        }
    }
    let stored = spans(&world.rows(&daymark_model::TenantId::default(), TableName::Spans).await).len() as i64;
    assert_eq!(stored, 12);
    let mut fine: BTreeMap<u64, i64> = BTreeMap::new();
    for ((_, at), (count, sum)) in world.rollups(TableName::Metrics10s).await {
        assert_eq!((count, sum), (1, 5e6), "window {at}");
        *fine.entry(at / 60 * 60).or_default() += count;
    }
    assert_eq!(fine.values().sum::<i64>(), stored);
    let coarse = world.rollups(TableName::Metrics1m).await;
    let coarse: BTreeMap<u64, i64> = coarse.into_iter().map(|((_, at), (count, _))| (at, count)).collect();
    assert_eq!(coarse, fine);
}
