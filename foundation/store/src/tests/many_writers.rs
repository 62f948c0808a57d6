//! Several writers, compactors and cleaners at once, each with a store of its own, as processes have.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use daymark_guard::{Clock, SystemClock};
use daymark_model::{Classify, ErrorClass, LogOffset, TenantId, TimeRange, UnixNanos};

use super::samples::{Scene, bodies, logs};
use crate::{Commit, CompactOptions, ReadSpec, Reader, SegmentOptions, Store, TableName, VerifyOptions, write_segment};

const WRITERS: u32 = 3;
const COMMITS: u64 = 12;

async fn rows(store: Arc<Store>) -> Vec<String> {
    let reader = Reader::new(store, None);
    let mut view = reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
    let rows = bodies(&view.read(&ReadSpec::default()).await.unwrap());
    assert!(view.receipt.complete, "{:?}", view.receipt);
    rows
}

/// Commits its rows one after the other.
async fn write(store: Arc<Store>, writer: u32) {
    let table = store.table(&TenantId::default(), TableName::Logs);
    for number in 1..=COMMITS {
        let lines = [format!("{writer} {number} a"), format!("{writer} {number} b")];
        let batch = logs(number, &[(&lines[0], number), (&lines[1], number)]);
        let file = write_segment(&table, vec![batch], SegmentOptions::default()).await.unwrap();
        let commit = Commit { writer: format!("writer-{writer}"), ..Commit::publish(vec![file], LogOffset(number)) };
        table.commit(commit).await.unwrap();
    }
}

/// Merges and cleans up until the writers have ended and nothing is left to merge.
async fn keep_small(store: Arc<Store>, writing: Arc<AtomicU32>) {
    let table = store.table(&TenantId::default(), TableName::Logs);
    let options = CompactOptions { fan_in: 3, ..CompactOptions::default() };
    let mut skip = HashSet::new();
    loop {
        let last = writing.load(SeqCst) == 0;
        let merged = match table.compact(&options, &mut skip).await {
            Ok(merged) => merged.is_some(),
            // The other one merged its inputs first, and they are gone.
            Err(error) => {
                assert_eq!(error.class(), ErrorClass::Retry, "{error}");
                true
            }
        };
        table.retain(UnixNanos(0)).await.unwrap();
        table.checkpoint().await.unwrap();
        assert!(skip.is_empty(), "{skip:?}");
        if last && !merged {
            return;
        }
    }
}

/// Scenario: three writers, two compactors that also clean up and write checkpoints, and a reader.
/// Guarantees: at any moment a reader sees of each writer the first commits, whole, each row once; at the end all rows
/// are there once, the table verifies, and clean-up leaves only what the newest version needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_and_compactors_lose_and_double_nothing() {
    let scene = Scene::new();
    // Files are as old as the machine says; those that are not committed yet must not look abandoned.
    scene.clock.set(SystemClock.now());
    let writing = Arc::new(AtomicU32::new(WRITERS));
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let (store, writing) = (scene.other(), Arc::clone(&writing));
        tasks.push(tokio::spawn(async move {
            write(store, writer).await;
            writing.fetch_sub(1, SeqCst);
        }));
    }
    for _ in 0..2 {
        tasks.push(tokio::spawn(keep_small(scene.other(), Arc::clone(&writing))));
    }
    while writing.load(SeqCst) > 0 {
        let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in rows(scene.other()).await {
            let (writer, rest) = row.split_once(' ').unwrap();
            seen.entry(writer.to_owned()).or_default().push(rest.to_owned());
        }
        for (writer, mut there) in seen {
            there.sort();
            let commits = there.len() as u64 / 2;
            let mut expected: Vec<String> = (1..=commits).flat_map(|n| [format!("{n} a"), format!("{n} b")]).collect();
            expected.sort();
            assert_eq!(there, expected, "writer {writer}");
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut there = rows(scene.other()).await;
    there.sort();
    let of = |writer| (1..=COMMITS).flat_map(move |n| ["a", "b"].map(|row| format!("{writer} {n} {row}")));
    let mut expected: Vec<String> = (0..WRITERS).flat_map(of).collect();
    expected.sort();
    assert_eq!(there, expected);

    let table = scene.table(TableName::Logs);
    assert_eq!(table.verify(&VerifyOptions::default()).await.unwrap().damage, []);
    scene.clock.set(UnixNanos::from_seconds(4_000_000_000));
    table.checkpoint().await.unwrap();
    table.retain(UnixNanos(0)).await.unwrap();
    let found =
        scene.other().table(&TenantId::default(), TableName::Logs).verify(&VerifyOptions::default()).await.unwrap();
    assert_eq!((&found.damage, found.rows, found.orphans), (&Vec::new(), u64::from(WRITERS) * COMMITS * 2, 0));
    let log = scene.dir.path().join("tables/default/logs/_delta_log");
    let files = std::fs::read_dir(log).unwrap().count();
    assert!(files <= 3, "{files} files are left of the log");
}
