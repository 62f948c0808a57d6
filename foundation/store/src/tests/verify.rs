//! Checking and repairing tables: damage is found and named, what can be repaired is, and nothing else is touched.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daymark_model::{LogOffset, TenantId, UnixNanos};

use super::samples::{START, Scene, bodies, counters, logs, publish, spans, traces};
use crate::reader::Segment;
use crate::{BodyQuery, CompactOptions, Finding, ReadSpec, StoreError, Table, TableName, Verified, VerifyOptions};

async fn verified(scene: &Scene, name: TableName) -> Verified {
    let table = scene.other().table(&TenantId::default(), name);
    table.verify(&VerifyOptions::default()).await.unwrap()
}

fn dir(scene: &Scene) -> PathBuf {
    scene.dir.path().join("tables/default/logs")
}

/// A table of logs with three segments of 100 rows.
async fn three(scene: &Scene) -> Table {
    let table = scene.table(TableName::Logs);
    for number in 0..3_u64 {
        let lines: Vec<String> = (0..100).map(|row| format!("request {row} of batch{number} took {row}ms")).collect();
        let rows: Vec<(&str, u64)> = lines.iter().enumerate().map(|(at, line)| (line.as_str(), at as u64)).collect();
        publish(&table, logs(number * 100 + 1, &rows), (number + 1) * 100).await;
    }
    table
}

#[tokio::test]
async fn sound_tables_have_no_findings() {
    let scene = Scene::new();
    let table = three(&scene).await;
    publish(&scene.table(TableName::Spans), spans(1, &[(1, 1), (1, 2), (2, 3)]), 1).await;
    publish(&scene.table(TableName::Traces), traces(&[(1, 1, 2), (2, 1, 1)]), 1).await;
    publish(&scene.table(TableName::Metrics10s), counters(1, &[(0, 7), (1, 8)]), 1).await;
    table.checkpoint().await.unwrap();
    for (name, rows) in
        [(TableName::Logs, 300), (TableName::Spans, 3), (TableName::Traces, 2), (TableName::Metrics10s, 2)]
    {
        let found = verified(&scene, name).await;
        assert_eq!((&found.damage, found.rows, found.without_checksums), (&Vec::new(), rows, 0), "{name}");
    }
    let compact = CompactOptions { fan_in: 2, ..CompactOptions::default() };
    table.compact(&compact, &mut HashSet::new()).await.unwrap().unwrap();
    let found = verified(&scene, TableName::Logs).await;
    assert_eq!((&found.damage, found.rows, found.segments, found.orphans), (&Vec::new(), 300, 1, 0));
    assert_eq!(found.consumed, LogOffset(300));
}

/// Damages one file, and expects exactly that file to be named with these words.
async fn check_damage(file: &str, damage: impl FnOnce(&Path), expected: &str) -> Finding {
    let scene = Scene::new();
    let table = three(&scene).await;
    let segment = Arc::clone(&table.snapshot().await.unwrap().segments[1]);
    let name = match file {
        "data" => segment.path.clone(),
        "index" => segment.index.as_ref().unwrap().path.clone(),
        other => other.to_owned(),
    };
    damage(&dir(&scene).join(&name));
    let found = verified(&scene, TableName::Logs).await.damage;
    assert_eq!(found.len(), 1, "{file}: {found:?}");
    assert_eq!(found[0].file, format!("default/logs/{name}"));
    assert!(found[0].what.contains(expected), "{expected}: {}", found[0]);
    found[0].clone()
}

fn flip(path: &Path, at: impl FnOnce(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn any_damage_is_named_with_its_file_and_what_to_do() {
    for part in 1..8 {
        let found = check_damage("data", |path| flip(path, |size| size * part / 8), "").await;
        assert_eq!((found.offset, found.advice.contains("backup")), (Some(0), true), "{found}");
    }
    check_damage("data", |path| fs::remove_file(path).unwrap(), "missing").await;
    check_damage("data", |path| fs::write(path, "short").unwrap(), "5 bytes, not").await;
    let found = check_damage("index", |path| flip(path, |size| size / 2), "checksum").await;
    assert!(found.advice.contains("rebuild-index"));
    check_damage("index", |path| fs::remove_file(path).unwrap(), "missing").await;
    let commit = |number: u64| format!("_delta_log/{number:020}.json");
    let found = check_damage(&commit(2), |path| fs::write(path, "").unwrap(), "torn commit of 0 bytes").await;
    assert_eq!((found.offset, found.advice.contains("store repair")), (Some(0), true));
    let found = check_damage(&commit(1), |path| fs::write(path, "{}\n{\"add").unwrap(), "torn commit").await;
    assert_eq!((found.offset, found.advice.contains("backup")), (Some(3), true));
    check_damage(&commit(1), |path| fs::remove_file(path).unwrap(), "missing, although version 2").await;
}

/// Changes a commit so that it says something else about the data than the data does.
async fn check_lie(from: &str, to: &str, expected: &str) {
    let scene = Scene::new();
    three(&scene).await;
    let commit = dir(&scene).join("_delta_log/00000000000000000001.json");
    let text = fs::read_to_string(&commit).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&commit, text.replace(from, to)).unwrap();
    let found = verified(&scene, TableName::Logs).await.damage;
    assert!(found.iter().any(|finding| finding.what.contains(expected)), "{expected}: {found:?}");
}

#[tokio::test]
async fn a_commit_that_does_not_fit_its_data_is_found() {
    check_lie(r#"\"numRecords\":100"#, r#"\"numRecords\":99"#, "100 rows, the commit says 99").await;
    check_lie(r#"\"scope_name\":100"#, r#"\"scope_name\":7"#, "100 nulls in scope_name").await;
    check_lie(r#""daymark.offsets":"101-200""#, r#""daymark.offsets":"101-150""#, "values of log_offset").await;
    check_lie(r#"\"log_offset\":200"#, r#"\"log_offset\":150"#, "values of log_offset lie outside").await;
    check_lie(r#""version":200"#, r#""version":50"#, "log offset 50 of daymark-collector does not follow 100").await;
}

/// Scenario: the index of one segment is put in place of another's; every checksum in it is right.
/// Guarantee: it is found, because it does not hold the words of these rows.
#[tokio::test]
async fn an_index_of_other_rows_is_found() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    for word in ["apple", "grape"] {
        publish(&table, logs(1, &[(word, 1)]), if word == "apple" { 1 } else { 2 }).await;
    }
    let commit = dir(&scene).join("_delta_log/00000000000000000001.json");
    let text = fs::read_to_string(&commit).unwrap();
    let mut segments = table.snapshot().await.unwrap().segments.to_vec();
    // Names of one millisecond come in any order.
    segments.sort_by_key(|segment| text.contains(&segment.path));
    let index = |at: usize| dir(&scene).join(&segments[at].index.as_ref().unwrap().path);
    let (other, replaced) = (fs::read(index(0)).unwrap(), fs::read(index(1)).unwrap());
    // Or the size alone would tell.
    fs::write(&commit, text.replace(&format!(".idx:{}:", replaced.len()), &format!(".idx:{}:", other.len()))).unwrap();
    fs::write(index(1), other).unwrap();
    let found = verified(&scene, TableName::Logs).await.damage;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("its words are not those of the rows"), "{}", found[0]);
}

/// Scenario: the newest commit is torn at any length. Guarantees: repair goes back to the version before and keeps a
/// copy; the offset says what to replay; the table takes commits again.
#[tokio::test]
async fn a_torn_newest_commit_is_repaired_on_request_only() {
    for cut in [0, 1, 200] {
        let scene = Scene::new();
        three(&scene).await;
        let commit = dir(&scene).join("_delta_log/00000000000000000002.json");
        let torn = fs::read(&commit).unwrap()[..cut].to_vec();
        fs::write(&commit, &torn).unwrap();
        let table = scene.other().table(&TenantId::default(), TableName::Logs);
        assert!(matches!(table.snapshot().await, Err(StoreError::TornCommit { .. })));
        let repaired = table.repair().await.unwrap();
        assert_eq!(repaired.len(), 1);
        assert_eq!(fs::read(scene.dir.path().join("tables").join(&repaired[0].copy)).unwrap(), torn);
        assert_eq!(table.snapshot().await.unwrap().consumed, LogOffset(200));
        assert_eq!(table.repair().await.unwrap(), []);
        publish(&table, logs(201, &[("again", 1)]), 300).await;
        let found = verified(&scene, TableName::Logs).await;
        assert_eq!((&found.damage, found.rows, found.orphans), (&Vec::new(), 201, 2), "data and index of the torn one");
    }
}

#[tokio::test]
async fn an_older_torn_commit_is_not_repaired() {
    let scene = Scene::new();
    three(&scene).await;
    let commit = dir(&scene).join("_delta_log/00000000000000000001.json");
    fs::write(&commit, "").unwrap();
    let error = scene.other().table(&TenantId::default(), TableName::Logs).repair().await.unwrap_err();
    assert!(matches!(error, StoreError::TornCommit { .. }), "{error}");
    assert!(commit.exists());
}

#[tokio::test]
async fn a_torn_checkpoint_is_taken_away_and_replaced() {
    let scene = Scene::new();
    let table = three(&scene).await;
    table.checkpoint().await.unwrap();
    let checkpoint = dir(&scene).join("_delta_log/00000000000000000002.checkpoint.parquet");
    fs::write(&checkpoint, "PAR1").unwrap();
    let found = verified(&scene, TableName::Logs).await.damage;
    assert!(found.len() == 1 && found[0].file.ends_with("checkpoint.parquet"), "{found:?}");
    let repaired = scene.other().table(&TenantId::default(), TableName::Logs).repair().await.unwrap();
    assert_eq!(repaired.len(), 1);
    let after = verified(&scene, TableName::Logs).await;
    assert_eq!((after.damage, after.rows), (Vec::new(), 300));
    assert!(checkpoint.exists(), "the hint names one that is there");
}

/// Guarantees: the new index is whole and named by the newest commit, the rows and the consumed offset stay, the old
/// file goes with the next clean-up.
#[tokio::test]
async fn a_damaged_index_is_rebuilt_from_the_rows() {
    let scene = Scene::new();
    three(&scene).await;
    let table = scene.other().table(&TenantId::default(), TableName::Logs);
    let segment = Arc::clone(&table.snapshot().await.unwrap().segments[0]);
    let old = dir(&scene).join(&segment.index.as_ref().unwrap().path);
    flip(&old, |size| size / 3);
    let rebuilt = table.rebuild_index(&segment, 50).await.unwrap();
    let found = verified(&scene, TableName::Logs).await;
    assert_eq!((&found.damage, found.rows, found.consumed), (&Vec::new(), 300, LogOffset(300)));
    let snapshot = table.snapshot().await.unwrap();
    let updated = snapshot.segments.iter().find(|other| other.path == segment.path).unwrap();
    assert_eq!(updated.index.as_ref(), Some(&rebuilt));
    let searched = Segment::new(table.clone(), Arc::clone(updated)).search(&BodyQuery::Word("batch0".into())).await;
    assert_eq!(searched.damage, None);
    let rows = Segment::new(table.clone(), Arc::clone(updated)).read(&ReadSpec::default()).await.unwrap();
    assert_eq!(bodies(&rows).len(), 100);
    scene.clock.set(UnixNanos::from_seconds(4_000_000_000));
    table.retain(UnixNanos(0)).await.unwrap();
    assert!(!old.exists() && dir(&scene).join(&rebuilt.path).exists());
    // Of a segment that has gone, no index is built.
    table.retain(START.plus(1_000_000_000)).await.unwrap();
    assert!(matches!(
        table.rebuild_index(&segment, 50).await,
        Err(StoreError::NotLive { .. } | StoreError::Parquet { .. })
    ));
}
