//! Segments that have lost their text index.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use daymark_model::{LogOffset, TenantId, TimeRange, UnixNanos};

use super::samples::{START, Scene, logs, publish};
use crate::{BodyQuery, CompactOptions, ReadSpec, Reader, Table, TableName, VerifyOptions};

#[tokio::test]
async fn a_cold_segment_is_scanned_with_the_same_answer_and_the_receipt_says_so() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    publish(&table, logs(1, &[("payment failed", 0), ("other", 1)]), 1).await;
    publish(&table, logs(2, &[("payment declined", 7_200_000_000_000)]), 2).await;
    let find = async || {
        let reader = Reader::new(scene.other(), None);
        let mut view = reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
        let query = BodyQuery::words("payment");
        let rows = view.read_matching(&ReadSpec::default(), Some(&query)).await.unwrap();
        (rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), view.receipt)
    };
    let (warm, receipt) = find().await;
    assert_eq!((warm, receipt.warnings.len()), (2, 0));

    let hour_later = START.plus(3_600_000_000_000);
    assert_eq!(table.drop_indexes(hour_later).await.unwrap(), 1);
    assert_eq!(table.drop_indexes(hour_later).await.unwrap(), 0, "done already");
    let (cold, receipt) = find().await;
    assert_eq!(cold, 2);
    assert!(receipt.complete && receipt.warnings[0].contains("without a text index were scanned"), "{receipt:?}");

    // The files are older than any grace; the reader of an older version has not been for longer than a moment.
    table.retain(UnixNanos(0)).await.unwrap();
    assert_eq!(indexes(&scene), 2, "a reader may still hold the older snapshot");
    scene.clock.set(START.plus(11 * 60_000_000_000));
    table.retain(UnixNanos(0)).await.unwrap();
    assert_eq!(indexes(&scene), 1, "the other one is still named");
    table.checkpoint().await.unwrap();
    assert_eq!((find().await.0, table.snapshot().await.unwrap().consumed), (2, LogOffset(2)));
    // Whoever opens it later sees the same.
    let reopened = scene.other().table(&TenantId::default(), TableName::Logs).snapshot().await.unwrap();
    assert_eq!(reopened.segments.iter().filter(|segment| segment.index.is_none()).count(), 1);
}

fn indexes(scene: &Scene) -> usize {
    fs::read_dir(scene.dir.path().join("tables/default/logs/_idx")).unwrap().count()
}

/// Segments of logs, and those of them without an index.
async fn cold(table: &Table) -> (usize, usize) {
    let segments = table.snapshot().await.unwrap().segments;
    (segments.len(), segments.iter().filter(|segment| segment.index.is_none()).count())
}

/// Guarantee: merging cold segments does not bring an index back; merging one with a warm one does.
#[tokio::test]
async fn cold_segments_stay_cold_when_they_are_merged() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    let compact = CompactOptions { fan_in: 2, max_inputs: 2, ..CompactOptions::default() };
    publish(&table, logs(1, &[("payment failed", 0)]), 1).await;
    publish(&table, logs(2, &[("payment declined", 1)]), 2).await;
    assert_eq!(table.drop_indexes(START.plus(1_000)).await.unwrap(), 2);
    table.compact(&compact, &mut HashSet::new()).await.unwrap().unwrap();
    assert_eq!(cold(&table).await, (1, 1));
    publish(&table, logs(3, &[("payment late", 2)]), 3).await;
    table.compact(&compact, &mut HashSet::new()).await.unwrap().unwrap();
    assert_eq!(cold(&table).await, (1, 0));
}

/// Guarantees: a check has nothing to say against a cold segment, and counts it; its index comes back on request.
#[tokio::test]
async fn a_cold_segment_is_sound_and_gets_an_index_on_request() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    publish(&table, logs(1, &[("payment failed", 0)]), 1).await;
    table.drop_indexes(START.plus(1_000)).await.unwrap();
    let verified = table.verify(&VerifyOptions::default()).await.unwrap();
    assert_eq!((&verified.damage, verified.without_index, verified.orphans), (&Vec::new(), 1, 0));
    let segment = Arc::clone(&table.snapshot().await.unwrap().segments[0]);
    table.rebuild_index(&segment, 50).await.unwrap();
    let verified = table.verify(&VerifyOptions::default()).await.unwrap();
    assert_eq!((&verified.damage, verified.without_index, verified.rows), (&Vec::new(), 0, 1));
    let history = table.history().await.unwrap();
    let done: Vec<_> = history.iter().map(|version| (version.added, version.reindexed)).collect();
    assert_eq!(done, [(1, 0), (0, 1), (0, 1)]);
    // An index given up and the one before a rebuilt one go at once when nobody may want them.
    table.drop_indexes(START.plus(1_000)).await.unwrap();
    table.purge().await.unwrap();
    assert_eq!(indexes(&scene), 0);
}
