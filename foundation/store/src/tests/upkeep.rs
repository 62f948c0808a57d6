//! Checkpoints, retention by age, files nobody needs.

use std::fs;
use std::path::PathBuf;

use daymark_model::{LogOffset, TenantId, UnixNanos};

use super::samples::{START, Scene, logs, publish};
use crate::{Commit, Retained, SegmentOptions, TableName, Tally, VerifyOptions, write_segment};

fn files(scene: &Scene, under: &str, extension: &str) -> Vec<PathBuf> {
    let dir = scene.dir.path().join("tables/default/logs").join(under);
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.map(|e| e.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

/// File ages come from the file system: the clock is put that far ahead of now.
fn ahead(scene: &Scene, seconds: u64) {
    use daymark_guard::Clock;
    scene.clock.set(daymark_guard::SystemClock.now().plus(seconds * 1_000_000_000));
}

#[tokio::test]
async fn a_table_opens_from_its_checkpoint_alone() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    for consumed in 1..=5 {
        publish(&table, logs(consumed, &[("x", consumed)]), consumed).await;
    }
    table.checkpoint().await.unwrap();
    let before = table.snapshot().await.unwrap();
    files(&scene, "_delta_log", "json").into_iter().for_each(|file| fs::remove_file(file).unwrap());
    let reopened = scene.other().table(&TenantId::default(), TableName::Logs);
    let after = reopened.snapshot().await.unwrap();
    assert_eq!((after.version, after.consumed, &after.segments), (before.version, before.consumed, &before.segments));
    publish(&reopened, logs(6, &[("x", 6)]), 6).await;
    // A reader that slept while the commits it needs were cleaned up catches up from the checkpoint.
    reopened.checkpoint().await.unwrap();
    files(&scene, "_delta_log", "json").into_iter().for_each(|file| fs::remove_file(file).unwrap());
    assert_eq!(table.snapshot().await.unwrap().consumed, LogOffset(6));
}

#[tokio::test]
async fn a_damaged_checkpoint_is_replaced_by_the_commits() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    publish(&table, logs(1, &[("x", 1)]), 1).await;
    table.checkpoint().await.unwrap();
    fs::write(&files(&scene, "_delta_log", "parquet")[0], b"").unwrap();
    let reopened = scene.other().table(&TenantId::default(), TableName::Logs).snapshot().await.unwrap();
    assert_eq!((reopened.version, reopened.segments.len()), (Some(0), 1));
}

/// Scenario: writers were killed before they gave their files a name. Guarantees: what they left is deleted after an hour,
/// in every folder; a file that may still be written, and one of another kind, stay.
#[tokio::test]
async fn temporary_files_of_killed_writers_are_deleted_after_their_grace() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    publish(&table, logs(1, &[("kept", 0)]), 1).await;
    let tables = scene.dir.path().join("tables");
    let left =
        ["LOST.json#4", "default/logs/x.parquet#18", "default/logs/_idx/x.idx#7", "default/logs/_delta_log/9.json#1"];
    let foreign = ["default/logs/notes#2b", "default/logs/#5", "default/logs/notes#"];
    left.iter().chain(&foreign).for_each(|name| fs::write(tables.join(name), "half").unwrap());
    let there = |names: &[&str]| names.iter().filter(|name| tables.join(name).exists()).count();
    ahead(&scene, 30 * 60);
    assert_eq!(table.retain(UnixNanos(0)).await.unwrap().files_deleted, 0);
    assert_eq!((scene.store.remove_temporaries().await.unwrap(), there(&left)), (0, 4));
    ahead(&scene, 61 * 60);
    assert_eq!(table.retain(UnixNanos(0)).await.unwrap().files_deleted, 3);
    assert_eq!((scene.store.remove_temporaries().await.unwrap(), there(&left), there(&foreign)), (1, 0, 3));
    assert_eq!(table.verify(&VerifyOptions::default()).await.unwrap().damage, []);
}

#[tokio::test]
async fn checkpoints_come_by_themselves() {
    let scene = Scene::new();
    let table = scene.table(TableName::Traces);
    for consumed in 1..=101 {
        table.commit(Commit::publish(Vec::new(), LogOffset(consumed))).await.unwrap();
    }
    let checkpoint = scene.dir.path().join("tables/default/traces/_delta_log/_last_checkpoint");
    for _ in 0..200 {
        if checkpoint.exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let hint: serde_json::Value = serde_json::from_slice(&fs::read(checkpoint).unwrap()).unwrap();
    assert!((99..=101).contains(&hint["version"].as_u64().unwrap()), "{hint}");
}

#[tokio::test]
async fn retention_takes_out_old_segments_and_later_their_files() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    ahead(&scene, 0);
    publish(&table, logs(1, &[("old", 0)]), 1).await;
    publish(&table, logs(2, &[("old", 0), ("new", 1_000)]), 2).await;
    let cut = UnixNanos(START.0 + 500);
    let first = table.retain(cut).await.unwrap();
    assert_eq!(first, Retained { segments: 1, rows: 1, tally: None, files_deleted: 0 });
    let snapshot = table.snapshot().await.unwrap();
    assert_eq!((snapshot.segments.len(), snapshot.consumed), (1, LogOffset(2)));
    assert_eq!(files(&scene, "", "parquet").len(), 2, "a reader may still hold the older snapshot");
    ahead(&scene, 11 * 60);
    assert_eq!(
        table.retain(cut).await.unwrap(),
        Retained { tally: Some(Tally::default()), files_deleted: 2, ..Retained::default() }
    );
    assert_eq!((files(&scene, "", "parquet").len(), files(&scene, "_idx", "idx").len()), (1, 1));
}

#[tokio::test]
async fn orphans_and_covered_commits_are_deleted_after_their_grace() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    publish(&table, logs(1, &[("kept", 0)]), 1).await;
    // Its writer died before the commit.
    write_segment(&table, vec![logs(2, &[("lost", 0)])], SegmentOptions::default()).await.unwrap();
    table.checkpoint().await.unwrap();
    ahead(&scene, 30 * 60);
    assert_eq!(table.retain(UnixNanos(0)).await.unwrap().files_deleted, 0);
    ahead(&scene, 61 * 60);
    assert_eq!(table.retain(UnixNanos(0)).await.unwrap().files_deleted, 3, "orphan, its index, one commit");
    let reopened = scene.other().table(&TenantId::default(), TableName::Logs).snapshot().await.unwrap();
    assert_eq!((reopened.version, reopened.segments.len()), (Some(0), 1));
}
