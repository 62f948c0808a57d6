//! Rollups through the whole collector: what agents derive is counted exactly, in both resolutions.

use std::collections::BTreeMap;

use daymark_model::{TenantId, TimeRange};
use daymark_sketch::Histogram;
use daymark_store::{Resolution, SeriesQuery, TableName, read_series};

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
    let stored = spans(&world.rows(&TenantId::default(), TableName::Spans).await).len() as i64;
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

/// Scenario: fragments of one window in a segment, in another, and hot.
/// Guarantee: a reader gets one point with the exact count, sum and distribution.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_of_a_window_read_as_one_distribution() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let values: Vec<u64> = (1..=300).map(|n| n * 1_000_000).collect();
    for (sequence, part) in (1..).zip(values.chunks(100)) {
        world.send(stamped(sequence, None, Some(&otlp::durations(20, part)))).await;
        world.settle().await;
        if sequence < 3 {
            world.seal_all().await;
        }
    }
    for resolution in [Resolution::TenSeconds, Resolution::OneMinute] {
        let query = SeriesQuery {
            metric: "traces.span.metrics.duration".into(),
            service: Some("shop".into()),
            matchers: Vec::new(),
            range: TimeRange::ALL,
            resolution,
        };
        let (series, receipt) = read_series(&world.reader(), &TenantId::default(), &query).await.unwrap();
        assert!(receipt.complete, "{receipt:?}");
        let [series] = series.as_slice() else { panic!("one series, got {}", series.len()) };
        let [point] = series.points.as_slice() else { panic!("one point, got {}", series.points.len()) };
        assert_eq!((point.count, point.sum), (300, values.iter().sum::<u64>() as f64));
        assert_eq!((point.min, point.max), (Some(1e6), Some(300e6)));
        let Some(Histogram::Hdr(sketch)) = &point.hist else { panic!("no distribution") };
        let median = sketch.quantile(0.5).unwrap() as f64;
        assert!((median / 150e6 - 1.0).abs() < 0.004, "{median}");
    }
}
