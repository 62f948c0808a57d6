//! Deletion of rows: what was meant is gone from every place it can be read, all else is there once.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use daymark_model::{LogOffset, TenantId, TimeRange, UnixNanos};

use super::columns::publish_old;
use super::samples::{
    START, Scene, bodies, catalogue, logs, long_column, longs, micros, publish, rows as rows_of, spans, texts, trace,
};
use crate::{
    BodyQuery, Commit, CompactOptions, Condition, ReadSpec, Reader, Rows, SegmentOptions, StoreError, TableName,
    VerifyOptions, write_segment,
};

fn rows(condition: &str) -> Rows {
    Rows::Matching(vec![Condition::parse(condition).unwrap()])
}

async fn all(scene: &Scene) -> Vec<String> {
    let reader = Reader::new(scene.other(), None);
    let mut view = reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
    let mut all = bodies(&view.read(&ReadSpec::default()).await.unwrap());
    assert!(view.receipt.complete, "{:?}", view.receipt);
    all.sort();
    all
}

/// Each of `count` segments has two rows; the samples give them the attribute `row` = 0 and 1.
async fn published(scene: &Scene, count: u64) {
    let table = scene.table(TableName::Logs);
    for number in 0..count {
        let (keep, gone) = (format!("keep {number}"), format!("gone {number}"));
        publish(&table, logs(number * 2 + 1, &[(&keep, number), (&gone, number)]), number * 2 + 2).await;
    }
}

/// Guarantees: the rows are gone from reads and from the index; the others stay, each once; offsets already consumed
/// are not taken again, so a replay does not bring the rows back; the table verifies.
#[tokio::test]
async fn rows_of_one_user_are_deleted_from_every_segment() {
    let scene = Scene::new();
    published(&scene, 3).await;
    publish(&scene.table(TableName::Logs), logs(7, &[("keep 3", 1)]), 8).await;
    let table = scene.table(TableName::Logs);
    let counted = table.delete(&rows("row=1"), true).await.unwrap();
    assert_eq!((counted.rows, counted.segments_rewritten, counted.version), (3, 3, None));
    assert_eq!(all(&scene).await.len(), 7, "a dry run changes nothing");
    let deleted = table.delete(&rows("row=1"), false).await.unwrap();
    assert_eq!((deleted.rows, deleted.segments_rewritten, deleted.segments_dropped), (3, 3, 0));
    assert_eq!(all(&scene).await, ["keep 0", "keep 1", "keep 2", "keep 3"]);
    let after = table.snapshot().await.unwrap();
    assert_eq!((after.version, after.consumed, after.segments.len()), (deleted.version, LogOffset(8), 4));
    for segment in Reader::new(scene.other(), None)
        .view(&TenantId::default(), TableName::Logs, TimeRange::ALL)
        .await
        .unwrap()
        .segments
    {
        let found = segment.search(&BodyQuery::Word("gone".into())).await;
        assert!(found.damage.is_none() && found.rows.is_empty());
    }
    assert_eq!(table.verify(&VerifyOptions::default()).await.unwrap().damage, []);
    let file = write_segment(&table, vec![logs(5, &[("gone 2", 2)])], SegmentOptions::default()).await.unwrap();
    let replayed = table.commit(Commit::publish(vec![file], LogOffset(6))).await;
    assert!(matches!(replayed, Err(StoreError::AlreadyConsumed { .. })));
    assert_eq!(table.delete(&rows("row=1"), false).await.unwrap().version, None, "nothing is left to delete");
}

#[tokio::test]
async fn a_segment_without_other_rows_is_dropped() {
    let scene = Scene::new();
    let table = scene.table(TableName::Spans);
    publish(&table, spans(1, &[(1, 1), (1, 2)]), 1).await;
    publish(&table, spans(2, &[(1, 3), (2, 4)]), 2).await;
    let id = format!("trace_id={}", trace(1));
    let deleted = table.delete(&rows(&id), false).await.unwrap();
    assert_eq!((deleted.rows, deleted.segments_rewritten, deleted.segments_dropped), (3, 1, 1));
    assert_eq!(table.snapshot().await.unwrap().segments.iter().map(|segment| segment.rows).sum::<u64>(), 1);
    let wrong = table.delete(&rows("trace_id=1"), false).await.unwrap_err();
    assert!(matches!(wrong, StoreError::WrongCondition { .. }), "{wrong}");
    let tenant = table.delete(&Rows::All, false).await.unwrap();
    assert_eq!((tenant.rows, tenant.segments_dropped), (1, 1));
    assert_eq!(table.snapshot().await.unwrap().consumed, LogOffset(2));
}

/// Metric rows, one a series.
fn windows(table: TableName, offset: u64, series: &[u64]) -> RecordBatch {
    let nanos = vec![START.0; series.len()];
    rows_of(
        table,
        &[
            ("metric", texts(&vec!["requests"; series.len()])),
            ("series_id", longs(series)),
            ("time", micros(&nanos)),
            ("time_unix_nano", longs(&nanos)),
            ("log_offset", longs(&vec![offset; series.len()])),
        ],
    )
}

async fn ids(scene: &Scene, name: TableName) -> Vec<u64> {
    let reader = Reader::new(scene.other(), None);
    let mut view = reader.view(&TenantId::default(), name, TimeRange::ALL).await.unwrap();
    let batches = view.read(&ReadSpec::columns(&["series_id"])).await.unwrap();
    let mut ids: Vec<u64> = batches.iter().flat_map(|batch| long_column(batch, "series_id")).collect();
    ids.sort_unstable();
    ids
}

const WITH_SERIES: [TableName; 3] = [TableName::Metrics10s, TableName::Metrics1d, TableName::Series];

/// Scenario: series differ in an attribute, which only the table `series` knows.
/// Guarantees: its metric rows go with a series, in every resolution; those of others stay, and are named; a second
/// deletion finds nothing; one that ended before `series` finds the rest.
#[tokio::test]
async fn metric_rows_go_with_the_series_that_an_attribute_names() {
    let scene = Scene::new();
    // The samples give the rows of a batch the attribute `row` = 0, 1 and 2.
    publish(&scene.table(TableName::Series), catalogue(1, &[10, 11, 12]), 1).await;
    for name in [TableName::Metrics10s, TableName::Metrics1d] {
        publish(&scene.table(name), windows(name, 1, &[10, 11, 12]), 1).await;
        publish(&scene.table(name), windows(name, 2, &[11]), 2).await;
    }
    let meant = async || scene.store.meant(&TenantId::default(), &WITH_SERIES, &rows("row=1")).await.unwrap().tables;
    let tables = meant().await;
    assert_eq!(tables.iter().map(|(table, _)| table.name()).collect::<Vec<_>>(), WITH_SERIES, "series last");
    assert_eq!(tables[0].0.delete(&tables[0].1, false).await.unwrap().rows, 2);
    // It ended here, and is called again.
    let mut done = Vec::new();
    for (table, rows) in meant().await {
        done.push(table.delete(&rows, false).await.unwrap().rows);
    }
    assert_eq!(done, [0, 2, 1]);
    for name in WITH_SERIES {
        assert_eq!(ids(&scene, name).await, [10, 12], "{name}");
    }
    for (table, rows) in meant().await {
        assert_eq!(table.delete(&rows, true).await.unwrap().rows, 0);
    }
    // What metric rows say themselves needs no series.
    let direct = scene.store.meant(&TenantId::default(), &WITH_SERIES, &rows("metric=requests")).await.unwrap();
    assert!(direct.tables.iter().all(|(_, meant)| *meant == rows("metric=requests")));
}

/// Scenario: metric rows of an older version, which name their series themselves.
/// Guarantee: nothing else is lost by rewriting them; they are left and told, unless the whole segment is meant.
#[tokio::test]
async fn metric_rows_of_an_older_version_are_told_and_not_stripped() {
    let scene = Scene::new();
    let table = scene.table(TableName::Metrics10s);
    let old = |series: &[u64]| {
        let (windows, named) = (windows(TableName::Metrics10s, 1, series), catalogue(1, series));
        let (schema, mut columns) = (windows.schema(), windows.columns().to_vec());
        let attributes = ["attributes", "resource_attributes"];
        columns.extend(attributes.map(|name| named[name].clone()));
        let added = attributes.map(|name| named.schema().field_with_name(name).unwrap().clone());
        let fields = schema.fields().iter().map(|field| field.as_ref().clone()).chain(added);
        RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).unwrap()
    };
    publish_old(&table, &old(&[20, 21]), &HashSet::new(), 1).await;
    publish_old(&table, &old(&[22]), &HashSet::new(), 2).await;
    let delete = async |condition: &str| {
        let meant = scene.store.meant(&TenantId::default(), &[TableName::Metrics10s], &rows(condition)).await.unwrap();
        table.delete(&meant.tables[0].1, false).await.unwrap()
    };
    let partly = delete("row=1").await;
    assert_eq!((partly.rows, partly.older.len(), ids(&scene, TableName::Metrics10s).await), (0, 1, vec![20, 21, 22]));
    let whole = delete("row=0").await;
    assert_eq!((whole.rows, whole.segments_dropped, whole.older.len()), (1, 1, 1));
    assert_eq!(ids(&scene, TableName::Metrics10s).await, [20, 21]);
}

/// Scenario: a compactor and the collector commit while rows are deleted.
/// Guarantee: whoever is first, no row that was meant is left and no other is lost or there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deletion_races_with_compaction_and_publishing() {
    for round in 0..6 {
        let scene = Scene::new();
        published(&scene, 8).await;
        let compactor = scene.other().table(&TenantId::default(), TableName::Logs);
        let collector = scene.other().table(&TenantId::default(), TableName::Logs);
        let deleter = scene.other().table(&TenantId::default(), TableName::Logs);
        let compact = tokio::spawn(async move {
            let options = CompactOptions { fan_in: 2 + round % 3, ..CompactOptions::default() };
            let mut skip = HashSet::new();
            while compactor.compact(&options, &mut skip).await.unwrap().is_some() {}
        });
        let publish = tokio::spawn(async move {
            for number in 8..12_u64 {
                let keep = format!("keep {number}");
                publish(&collector, logs(number * 2 + 1, &[(&keep, number)]), number * 2 + 2).await;
            }
        });
        let deleted = deleter.delete(&rows("row=1"), false).await.unwrap();
        compact.await.unwrap();
        publish.await.unwrap();
        let mut expected: Vec<String> = (0..12).map(|number| format!("keep {number}")).collect();
        expected.sort();
        assert_eq!((all(&scene).await, deleted.rows), (expected, 8));
        assert_eq!(scene.table(TableName::Logs).snapshot().await.unwrap().consumed, LogOffset(24));
    }
}

/// Guarantees: until they are purged, older versions can be read as they were; afterwards no file holds the rows.
#[tokio::test]
async fn older_versions_hold_deleted_rows_until_they_are_purged() {
    let scene = Scene::new();
    published(&scene, 2).await;
    let table = scene.table(TableName::Logs);
    let deleted = table.delete(&rows("row=1"), false).await.unwrap();
    let before = table.snapshot_at(deleted.version.unwrap() - 1).await.unwrap();
    assert_eq!(
        (before.segments.iter().map(|s| s.rows).sum::<u64>(), table.missing_files(&before).await.unwrap()),
        (4, 0)
    );
    assert!(table.purge().await.unwrap() >= 4 + 3, "data, indexes, commits");
    assert_eq!(table.missing_files(&before).await.unwrap(), 2);
    assert!(matches!(table.snapshot_at(1).await, Err(StoreError::NoVersion { .. })));
    let dir = scene.dir.path().join("tables/default/logs");
    let mut left: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    left.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(all(&scene).await, ["keep 0", "keep 1"]);
    publish(&table, logs(5, &[("next", 1)]), 6).await;
    assert_eq!(scene.other().table(&TenantId::default(), TableName::Logs).snapshot().await.unwrap().segments.len(), 3);
}

/// Time travel: each version is what it was when it was committed, also across a checkpoint and a compaction.
#[tokio::test]
async fn every_version_can_be_read_as_it_was() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    for number in 0..4_u64 {
        scene.clock.set(UnixNanos::from_seconds(1_800_000_000 + number * 60));
        let body = format!("line {number}");
        publish(&table, logs(number + 1, &[(&body, 0)]), number + 1).await;
        if number == 1 {
            table.checkpoint().await.unwrap();
        }
    }
    let compact = CompactOptions { fan_in: 4, ..CompactOptions::default() };
    table.compact(&compact, &mut HashSet::new()).await.unwrap().unwrap();
    let history = table.history().await.unwrap();
    assert_eq!(
        history.iter().map(|v| (v.version, v.added, v.removed)).collect::<Vec<_>>(),
        [(0, 1, 0), (1, 1, 0), (2, 1, 0), (3, 1, 0), (4, 1, 4)]
    );
    for version in 0..4_u64 {
        let then = table.snapshot_at(version).await.unwrap();
        assert_eq!(
            (then.version, then.consumed, then.segments.len()),
            (Some(version), LogOffset(version + 1), version as usize + 1)
        );
        assert_eq!(table.missing_files(&then).await.unwrap(), 0);
        let at = UnixNanos::from_seconds(1_800_000_000 + version * 60 + 30);
        let by_time = table.snapshot_at_time(at).await.unwrap();
        // The compaction was committed within the minute of the last one.
        assert_eq!(by_time.version, Some(if version == 3 { 4 } else { version }));
    }
    assert_eq!(table.snapshot_at_time(UnixNanos::from_seconds(1)).await.unwrap().version, None);
    assert!(matches!(table.snapshot_at(9).await, Err(StoreError::NoVersion { .. })));
}
