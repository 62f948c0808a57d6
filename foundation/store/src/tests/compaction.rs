//! Compaction: the same rows in fewer files, whatever happens meanwhile.

use std::collections::HashSet;

use arrow::array::{AsArray, RecordBatch};
use daymark_model::{LogOffset, TenantId, TimeRange, UnixNanos};

use super::samples::{START, Scene, logs, publish};
use crate::{BodyQuery, CompactOptions, ReadSpec, Reader, Table, TableName};

const ALL: TimeRange = TimeRange { start: UnixNanos(0), end: UnixNanos(u64::MAX) };

fn options() -> CompactOptions {
    CompactOptions { fan_in: 4, ..CompactOptions::default() }
}

async fn published(table: &Table, segments: u64) {
    for number in 0..segments {
        let after = number * 10;
        let bodies = [(format!("connection {number} lost"), after), (format!("needle{number} found"), after + 5)];
        let bodies: Vec<(&str, u64)> = bodies.iter().map(|(body, after)| (body.as_str(), *after)).collect();
        publish(table, logs(number * 2 + 1, &bodies), number * 2 + 2).await;
    }
}

fn bodies(batches: &[RecordBatch]) -> Vec<String> {
    let of = |batch: &RecordBatch| {
        let bodies = batch.column_by_name("body").unwrap().as_string::<i32>();
        bodies.iter().map(|body| body.unwrap().to_owned()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of).collect()
}

/// The bodies of all rows, sorted.
async fn all(scene: &Scene) -> Vec<String> {
    let reader = Reader::new(scene.store.clone(), None);
    let mut view = reader.view(&TenantId::default(), TableName::Logs, ALL).await.unwrap();
    let mut all = bodies(&view.read(&ReadSpec::default()).await.unwrap());
    all.sort();
    all
}

/// Scenario: nine small segments. Guarantees: the same rows in fewer files, still found by the index;
/// the log offset consumed stays; nothing more is done when nothing has gathered.
#[tokio::test]
async fn small_segments_become_few_with_the_same_rows() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    published(&table, 9).await;
    let (before, rows) = (table.snapshot().await.unwrap(), all(&scene).await);
    let mut skip = HashSet::new();
    let done = table.compact(&options(), &mut skip).await.unwrap().unwrap();
    assert_eq!((done.segments, done.rows), (9, 18));
    assert!(done.bytes_after < done.bytes_before, "{done:?}");
    let after = table.snapshot().await.unwrap();
    assert_eq!((after.segments.len(), after.consumed), (1, before.consumed));
    assert_eq!(after.segments[0].offsets, (LogOffset(1), LogOffset(18)));
    assert_eq!(all(&scene).await, rows);
    assert_eq!(table.compact(&options(), &mut skip).await.unwrap(), None);

    let reader = Reader::new(scene.other(), None);
    let mut view = reader.view(&TenantId::default(), TableName::Logs, ALL).await.unwrap();
    let query = BodyQuery::Word("needle7".into());
    let found = view.newest(&ReadSpec::default(), Some(&query), 10).await.unwrap();
    assert_eq!(bodies(&found), ["needle7 found"]);
}

/// Scenario: two processes compact the same table at once. Guarantees: no row is lost, none is there twice.
#[tokio::test]
async fn two_compactors_cannot_both_merge_a_segment() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    published(&table, 8).await;
    let rows = all(&scene).await;
    let other = scene.other().table(&TenantId::default(), TableName::Logs);
    let options = options();
    let (mut a, mut b) = (HashSet::new(), HashSet::new());
    let (first, second) = tokio::join!(table.compact(&options, &mut a), other.compact(&options, &mut b));
    let done = [first.unwrap(), second.unwrap()];
    assert!(done.iter().any(Option::is_some));
    assert_eq!(all(&scene).await, rows);
}

/// Scenario: one of the segments is damaged. Guarantees: it is left alone and the others are still merged.
#[tokio::test]
async fn a_damaged_segment_does_not_stop_the_others() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    published(&table, 8).await;
    let victim = table.snapshot().await.unwrap().segments[3].path.clone();
    std::fs::write(scene.dir.path().join("tables/default/logs").join(&victim), b"not parquet").unwrap();
    let table = scene.other().table(&TenantId::default(), TableName::Logs);
    let mut skip = HashSet::new();
    assert_eq!(table.compact(&options(), &mut skip).await.unwrap(), None);
    assert_eq!(skip, HashSet::from([victim.clone()]));
    assert_eq!(table.compact(&options(), &mut skip).await.unwrap().unwrap().segments, 7);
    let left: Vec<String> = table.snapshot().await.unwrap().segments.iter().map(|s| s.path.clone()).collect();
    assert!(left.len() == 2 && left.contains(&victim), "{left:?}");
}

/// Scenario: an hour's data with a window of a minute. Guarantees: what retention would have dropped, it still drops.
#[tokio::test]
async fn retention_still_drops_whole_segments() {
    const MINUTE: u64 = 60_000_000_000;
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    for minute in 0..6 {
        for part in 0..2 {
            let number = minute * 2 + part;
            publish(&table, logs(number + 1, &[("x", minute * MINUTE + part)]), number + 2).await;
        }
    }
    scene.clock.set(UnixNanos(START.0 + 5 * MINUTE + 1));
    let options = CompactOptions { window_ns: MINUTE, ..options() };
    let mut skip = HashSet::new();
    while table.compact(&options, &mut skip).await.unwrap().is_some() {}
    // The last minute is not over.
    assert_eq!(table.snapshot().await.unwrap().segments.len(), 7);
    let dropped = table.retain(UnixNanos(START.0 + 3 * MINUTE)).await.unwrap();
    assert_eq!((dropped.segments, dropped.rows), (3, 6));
}
