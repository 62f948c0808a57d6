//! Versions of a table as lists of files.

use std::collections::HashSet;
use std::fs;

use daymark_model::{LogOffset, TenantId, UnixNanos};

use super::samples::{START, Scene, logs, publish};
use crate::{CompactOptions, Store, StoreError, TableName};

#[tokio::test]
async fn a_pinned_version_holds_what_was_consumed_and_nothing_later() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    assert_eq!(table.pin(LogOffset(9)).await.unwrap(), None, "no commit yet");
    for consumed in [2, 4, 6] {
        publish(&table, logs(consumed, &[("x", consumed)]), consumed).await;
    }
    table.checkpoint().await.unwrap();
    assert_eq!(table.pin(LogOffset(1)).await.unwrap(), None, "all of it came later");
    for (through, consumed, segments) in [(2, 2, 1), (3, 2, 1), (5, 4, 2), (6, 6, 3), (99, 6, 3)] {
        let pinned = table.pin(LogOffset(through)).await.unwrap().unwrap();
        assert_eq!((pinned.consumed, pinned.rows), (LogOffset(consumed), segments), "through {through}");
        let copy = tempfile::tempdir().unwrap();
        for file in &pinned.files {
            let to = copy.path().join("tables").join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(scene.dir.path().join("tables").join(file), to).unwrap();
        }
        let copied = Store::open_local(copy.path()).unwrap().table(&TenantId::default(), TableName::Logs);
        let snapshot = copied.snapshot().await.unwrap();
        assert_eq!((snapshot.version, snapshot.consumed), (Some(pinned.version), pinned.consumed));
        assert_eq!(snapshot.segments.len() as u64, segments);
        publish(&copied, logs(100, &[("later", 100)]), 100).await;
    }
}

/// Scenario: somebody copies the files of a table while others merge, delete and clean up. Guarantees: nothing of the pinned
/// version goes away; a purge says why it does not, and both go on when the copy is done.
#[tokio::test]
async fn no_file_is_deleted_while_files_are_held() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    for consumed in [2, 4] {
        publish(&table, logs(consumed, &[("x", consumed)]), consumed).await;
    }
    let reader = scene.other();
    let (hold, another) = (reader.hold_files().await.unwrap(), scene.other().hold_files().await.unwrap());
    let pinned = reader.table(&TenantId::default(), TableName::Logs).pin(LogOffset(4)).await.unwrap().unwrap();
    let compact = CompactOptions { fan_in: 2, ..CompactOptions::default() };
    table.compact(&compact, &mut HashSet::new()).await.unwrap().unwrap();
    drop(another);
    scene.clock.set(START.plus(2 * 3_600_000_000_000));
    assert_eq!(table.retain(UnixNanos(0)).await.unwrap().files_deleted, 0);
    let refused = table.purge().await.unwrap_err().to_string();
    assert!(refused.contains("a backup of these tables is running") && refused.contains("try again"), "{refused}");
    let there = |file: &String| scene.dir.path().join("tables").join(file).exists();
    assert!(pinned.files.iter().all(there), "{:?}", pinned.files);
    drop(hold);
    assert!(table.purge().await.unwrap() > 0);
    assert!(!pinned.files.iter().any(there));
}

/// Scenario: a purge has taken every version away that a backup could take. Guarantee: that is told: the table is not
/// taken for one that was never there.
#[tokio::test]
async fn a_table_of_which_only_newer_versions_are_left_is_a_named_error() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    for consumed in [2, 4] {
        publish(&table, logs(consumed, &[("x", consumed)]), consumed).await;
    }
    table.purge().await.unwrap();
    let error = table.pin(LogOffset(3)).await.unwrap_err();
    assert!(matches!(error, StoreError::BrokenLog { .. }) && error.to_string().contains("are gone"), "{error}");
    assert_eq!(table.pin(LogOffset(4)).await.unwrap().unwrap().rows, 2);
}

#[tokio::test]
async fn a_version_that_was_cleaned_up_is_a_named_error() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    for consumed in [2, 4, 6] {
        publish(&table, logs(consumed, &[("x", consumed)]), consumed).await;
    }
    fs::remove_file(scene.dir.path().join("tables/default/logs/_delta_log/00000000000000000000.json")).unwrap();
    let error = table.pin(LogOffset(4)).await.unwrap_err().to_string();
    assert!(error.contains("version 0 is gone"), "{error}");
}
