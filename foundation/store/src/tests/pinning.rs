//! Versions of a table as lists of files.

use std::fs;

use daymark_model::{LogOffset, TenantId};

use super::samples::{Scene, logs, publish};
use crate::{Store, TableName};

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
