//! Damage costs at most the damaged file, is named, and never changes an answer silently.

use std::fs;
use std::path::{Path, PathBuf};

use daymark_guard::sim::SimFileSystem;
use daymark_model::{Classify, ErrorClass, LogOffset, TenantId, TimeRange, UnixNanos};

use super::samples::{START, Scene, bodies, logs, publish};
use super::sim;
use crate::{BodyQuery, Commit, Lost, ReadSpec, Reader, StoreError, StoreOptions, TableName};

fn path(scene: &Scene, file: &str) -> PathBuf {
    scene.dir.path().join("tables/default/logs").join(file)
}

async fn reopen(scene: &Scene) -> Result<crate::Snapshot, StoreError> {
    scene.other().table(&TenantId::default(), TableName::Logs).snapshot().await
}

#[tokio::test]
async fn a_torn_commit_is_a_named_error_at_any_length() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    publish(&table, logs(1, &[("x", 1)]), 1).await;
    publish(&table, logs(2, &[("x", 2)]), 2).await;
    let commit = path(&scene, "_delta_log/00000000000000000001.json");
    let whole = fs::read(&commit).unwrap();
    for cut in (0..whole.len() - 1).step_by(7) {
        fs::write(&commit, &whole[..cut]).unwrap();
        let error = reopen(&scene).await.unwrap_err();
        assert!(matches!(&error, StoreError::TornCommit { path, .. } if path.ends_with("01.json")), "{cut}: {error}");
        assert_eq!(error.class(), ErrorClass::Corrupt);
    }
    // Moved away, the version before it is there, and the offset says what to replay.
    fs::remove_file(&commit).unwrap();
    assert_eq!(reopen(&scene).await.unwrap().consumed, LogOffset(1));
}

#[tokio::test]
async fn a_missing_commit_is_not_the_end_of_the_log() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    for consumed in 1..=3 {
        publish(&table, logs(consumed, &[("x", 1)]), consumed).await;
    }
    fs::remove_file(path(&scene, "_delta_log/00000000000000000001.json")).unwrap();
    assert!(matches!(reopen(&scene).await, Err(StoreError::BrokenLog { .. })));
}

#[tokio::test]
async fn a_newer_protocol_is_refused() {
    let scene = Scene::new();
    scene.table(TableName::Logs).commit(Commit::publish(Vec::new(), LogOffset(1))).await.unwrap();
    let newer = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7}}"#;
    fs::write(path(&scene, "_delta_log/00000000000000000001.json"), newer).unwrap();
    assert!(matches!(reopen(&scene).await, Err(StoreError::UnknownProtocol { .. })));
}

/// Every section of the index, and the header, damaged in turn: the answer stays the same, found by scanning.
#[tokio::test]
async fn damage_of_any_index_section_is_scanned_around() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    let lines: Vec<String> =
        (0..400).map(|i| format!("request {i} took {}", if i == 333 { "forever" } else { "1ms" })).collect();
    let rows: Vec<(&str, u64)> = lines.iter().enumerate().map(|(i, line)| (line.as_str(), i as u64)).collect();
    publish(&table, logs(1, &rows), 500).await;
    let index = table.snapshot().await.unwrap().segments[0].index.clone().unwrap();
    let file = path(&scene, &index.path);
    let whole = fs::read(&file).unwrap();
    let query = BodyQuery::words("forever");

    let search = async || {
        let reader = Reader::new(scene.other(), None);
        let mut view = reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
        let damage = view.segments[0].search(&query).await.damage;
        let found = view.read_matching(&ReadSpec::default(), Some(&query)).await.unwrap();
        assert_eq!(bodies(&found), ["request 333 took forever"]);
        assert!(view.receipt.complete, "{:?}", view.receipt);
        (damage, view.receipt.rows_scanned)
    };
    assert_eq!(search().await, (None, 50));

    let header = u32::from_le_bytes(whole[8..12].try_into().unwrap()) as usize;
    let described: serde_json::Value = serde_json::from_slice(&whole[16..16 + header]).unwrap();
    let mut places = vec![0, 9, 13, 16 + header / 2];
    for section in described["sections"].as_array().unwrap() {
        let (offset, length) = (section["offset"].as_u64().unwrap(), section["length"].as_u64().unwrap());
        places.extend((length > 0).then_some(16 + header + (offset + length / 2) as usize));
    }
    assert!(places.len() >= 9, "{described}");
    for place in places {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        fs::write(&file, damaged).unwrap();
        let (damage, scanned) = search().await;
        assert!(damage.is_some_and(|damage| damage.contains(&index.path)), "byte {place}");
        assert_eq!(scanned, 400);
    }
    fs::remove_file(&file).unwrap();
    assert!(search().await.0.is_some());
}

#[tokio::test]
async fn a_segment_that_is_not_readable_makes_the_answer_partial() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    publish(&table, logs(1, &[("first", 0)]), 1).await;
    publish(&table, logs(2, &[("second", 0)]), 2).await;
    let snapshot = table.snapshot().await.unwrap();
    let first = snapshot.segments.iter().find(|segment| segment.offsets.0 == LogOffset(1)).unwrap();
    let victim = first.path.clone();
    for damage in [Some(vec![0; 100]), Some(Vec::new()), None] {
        match damage {
            Some(bytes) => fs::write(path(&scene, &victim), bytes).unwrap(),
            None => fs::remove_file(path(&scene, &victim)).unwrap(),
        }
        let reader = Reader::new(scene.other(), None);
        let mut view = reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
        let found = view.read(&ReadSpec::default()).await.unwrap();
        assert_eq!(bodies(&found), ["second"]);
        assert!(!view.receipt.complete && view.receipt.missing[0].contains(&victim), "{:?}", view.receipt);

        let mut view = reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
        let newest = view.newest(&ReadSpec::default(), None, 5).await.unwrap();
        assert_eq!(bodies(&newest), ["second"], "the newest rows of what is left");
        assert!(!view.receipt.complete && view.receipt.missing[0].contains(&victim), "{:?}", view.receipt);
    }
}

/// Scenario: the name of a commit is written, but the sync of its directory fails, at once and after a restart.
/// Guarantee: nobody is told that the commit is there before a sync of the directory has succeeded.
#[tokio::test]
async fn a_commit_counts_only_after_its_directory_is_synced() {
    let disk = SimFileSystem::new(1);
    let open = || sim::open(&disk, StoreOptions::default()).table(&TenantId::default(), TableName::Logs);
    let fail = |times| disk.fail_dir_syncs(Path::new("_delta_log"), times);
    let table = open();
    let commit = || table.commit(Commit::publish(Vec::new(), LogOffset(1)));
    fail(2);
    for attempt in ["when it is written", "when it is found"] {
        let error = commit().await.unwrap_err();
        assert!(matches!(&error, StoreError::Object(_)) && error.class() == ErrorClass::Retry, "{attempt}: {error}");
    }
    assert!(matches!(commit().await, Err(StoreError::AlreadyConsumed { .. })));

    let table = open();
    fail(1);
    assert!(table.durable_snapshot().await.is_err(), "what another process left may not be on disk");
    assert_eq!(table.durable_snapshot().await.unwrap().consumed, LogOffset(1));
    fail(1);
    table.durable_snapshot().await.unwrap();
    assert_eq!(disk.dir_syncs_to_fail(), 1, "synced once");
}

/// Guarantee: an answer that may lack acknowledged rows says so, though all that is there was read.
#[tokio::test]
async fn an_answer_over_lost_rows_carries_a_warning() {
    let scene = Scene::new();
    publish(&scene.table(TableName::Logs), logs(1, &[("kept", 0)]), 1).await;
    let lost = Lost { frames: Some(3), received_before: START.plus(1_000), ..Lost::default() };
    scene.store.note_lost(vec![lost], UnixNanos(0)).await.unwrap();
    let reader = Reader::new(scene.other(), None);
    for (start, warned) in [(START, true), (START.plus(2_000), false)] {
        let range = TimeRange { start, end: UnixNanos(u64::MAX) };
        let view = reader.view(&TenantId::default(), TableName::Logs, range).await.unwrap();
        assert_eq!(view.receipt.warnings.iter().any(|warning| warning.contains("3 log frame(s)")), warned);
        assert_eq!(view.receipt.warnings.is_empty(), !warned);
    }
    fs::write(scene.dir.path().join("tables/LOST.json"), "{").unwrap();
    let view = reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
    assert!(view.receipt.warnings[0].contains("LOST.json"), "{:?}", view.receipt);
}
