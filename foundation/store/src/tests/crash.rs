//! Power loss and kill at every moment of a table's life: publishing, compaction, checkpoint, retention, clean-up, and
//! giving up indexes.
//!
//! The real code runs once over the simulated disk, which keeps its state before each of its changes. From each of these
//! moments the machine crashes in several ways; then what is there is held against what had been reported by then.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daymark_guard::ManualClock;
use daymark_guard::sim::SimFileSystem;
use daymark_model::{LogOffset, TenantId, UnixNanos};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::samples::{START, bodies, logs};
use super::sim;
use crate::reader::Segment;
use crate::{
    BodyQuery, Commit, CompactOptions, ReadSpec, SegmentOptions, Snapshot, StoreError, StoreOptions, Table, TableName,
    write_segment,
};

const DAY_NS: u64 = 86_400_000_000_000;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn table(disk: &SimFileSystem, now: &Arc<ManualClock>) -> Result<Table, StoreError> {
    let clock = Arc::<ManualClock>::clone(now);
    // Checkpoints are written where the story says so, not beside it.
    let options = StoreOptions { clock, checkpoint_every: u64::MAX, ..StoreOptions::default() };
    Ok(sim::try_open(disk, options)?.table(&TenantId::default(), TableName::Logs))
}

/// What the story did, and when: changes of the disk until then.
#[derive(Clone, Copy, Debug)]
enum Event {
    Publishing(u64),
    Published(u64),
    Dropping,
    Dropped,
}

#[derive(Default)]
struct Story {
    events: Vec<(u64, Event)>,
}

/// What may be expected at one moment.
#[derive(Clone, Debug, Default)]
struct Promise {
    /// Newest offset that was reported as published.
    reported: u64,
    /// Newest offset that may be there.
    tried: u64,
    /// Whether offset 1 may be dropped, and must be.
    may_drop: bool,
    dropped: bool,
}

impl Story {
    fn note(&mut self, disk: &SimFileSystem, event: Event) {
        self.events.push((disk.operations(), event));
    }

    fn promise(&self, operations: u64) -> Promise {
        let mut promise = Promise::default();
        for (_, event) in self.events.iter().filter(|(at, _)| *at <= operations) {
            match *event {
                Event::Publishing(offset) => promise.tried = offset,
                Event::Published(offset) => promise.reported = offset,
                Event::Dropping => promise.may_drop = true,
                Event::Dropped => promise.dropped = true,
            }
        }
        promise
    }
}

/// The bodies of offset `n`.
fn lines(n: u64) -> [String; 2] {
    [format!("needle{n} found"), format!("thread{n} lost")]
}

async fn publish(table: &Table, disk: &SimFileSystem, story: &mut Story, offset: u64) -> Result<(), StoreError> {
    story.note(disk, Event::Publishing(offset));
    let after = if offset == 1 { 0 } else { 2 * DAY_NS };
    let lines = lines(offset);
    let batch = logs(offset, &[(&lines[0], after), (&lines[1], after + 1)]);
    let file = write_segment(table, vec![batch], SegmentOptions::default()).await?;
    table.commit(Commit::publish(vec![file], LogOffset(offset))).await?;
    story.note(disk, Event::Published(offset));
    Ok(())
}

/// A table's life, until the machine stops.
async fn live(disk: &SimFileSystem, story: &mut Story) -> Result<(), StoreError> {
    let now = Arc::new(ManualClock::at(START.plus(2 * DAY_NS)));
    let table = table(disk, &now)?;
    for offset in 1..=3 {
        publish(&table, disk, story, offset).await?;
    }
    let compact = CompactOptions { fan_in: 2, ..CompactOptions::default() };
    assert_eq!(table.compact(&compact, &mut HashSet::new()).await?.map(|done| done.segments), Some(2));
    table.checkpoint().await?;
    publish(&table, disk, story, 4).await?;
    let cut = START.plus(DAY_NS);
    story.note(disk, Event::Dropping);
    assert_eq!(table.retain(cut).await?.segments, 1);
    story.note(disk, Event::Dropped);
    now.set(START.plus(3 * DAY_NS));
    assert!(table.retain(cut).await?.files_deleted >= 6, "three segments with their indexes");
    assert_eq!(table.drop_indexes(START.plus(3 * DAY_NS)).await?, 2);
    now.set(START.plus(4 * DAY_NS));
    assert_eq!(table.retain(cut).await?.files_deleted, 2, "their indexes");
    publish(&table, disk, story, 5).await
}

/// What is wrong with the table after a restart.
async fn recovered(disk: &SimFileSystem, promise: &Promise) -> Result<(Table, Snapshot), String> {
    let now = Arc::new(ManualClock::at(START.plus(3 * DAY_NS)));
    let table = table(disk, &now).map_err(|error| error.to_string())?;
    let snapshot = table.durable_snapshot().await.map_err(|error| error.to_string())?;
    let consumed = snapshot.consumed.0;
    if !(promise.reported..=promise.tried).contains(&consumed) {
        return Err(format!("consumed {consumed}, {promise:?}"));
    }
    let mut found = Vec::new();
    for meta in &*snapshot.segments {
        let segment = Segment::new(table.clone(), Arc::clone(meta));
        let rows = segment.read(&ReadSpec::default()).await.map_err(|error| error.to_string())?;
        let searched = segment.search(&BodyQuery::Word("found".into())).await;
        if let Some(damage) = searched.damage {
            return Err(damage);
        }
        found.extend(bodies(&rows));
    }
    let all: BTreeSet<String> = (1..=consumed).flat_map(lines).collect();
    let first: BTreeSet<String> = lines(1).into();
    let kept: BTreeSet<String> = all.difference(&first).cloned().collect();
    let there: BTreeSet<String> = found.iter().cloned().collect();
    let fits =
        found.len() == there.len() && ((there == all && !promise.dropped) || (there == kept && promise.may_drop));
    if fits { Ok((table, snapshot)) } else { Err(format!("rows {there:?} at offset {consumed}, {promise:?}")) }
}

/// Crashes `disk`, looks, publishes one more, crashes again, looks again; nothing of a killed writer is left for good.
async fn survives(disk: &SimFileSystem, mut promise: Promise) -> Result<(), String> {
    disk.crash();
    let (table, snapshot) = recovered(disk, &promise).await?;
    // What a durable snapshot said stays true.
    promise.reported = snapshot.consumed.0;
    promise.tried = promise.reported + 1;
    let mut story = Story::default();
    let cut = disk.fork(7);
    cut.crash();
    recovered(&cut, &promise).await?;
    publish(&table, disk, &mut story, promise.tried).await.map_err(|error| error.to_string())?;
    promise.reported = promise.tried;
    disk.crash();
    let (table, _) = recovered(disk, &promise).await?;
    table.retain(UnixNanos(0)).await.map_err(|error| error.to_string())?;
    let is_temporary = |path: &&PathBuf| path.to_string_lossy().contains('#');
    match disk.files_below("/data/tables/default".as_ref()).iter().find(is_temporary) {
        Some(left) => Err(format!("{} is left", left.display())),
        None => Ok(()),
    }
}

/// The first thing that is wrong after a crash at any moment of the story, `ways` crashes each.
fn first_violation(lost_syncs: Option<fn(&Path) -> bool>, ways: u64) -> Option<String> {
    runtime().block_on(async {
        let disk = SimFileSystem::new(1);
        lost_syncs.inspect(|lost| disk.lose_syncs(*lost));
        disk.record();
        let mut story = Story::default();
        live(&disk, &mut story).await.unwrap();
        let moments = disk.moments();
        assert!(moments.len() > 100, "{} moments", moments.len());
        for moment in moments {
            for way in 0..ways {
                let crashed = moment.fork(way * 1_000 + moment.operations());
                let promise = story.promise(moment.operations());
                if let Err(wrong) = survives(&crashed, promise).await {
                    return Some(format!("{wrong}, crash {way} after {} changes", moment.operations()));
                }
            }
        }
        None
    })
}

/// Scenario: power is lost before each change of the disk; of what was not synced, arbitrary sectors and, of each
/// directory, the first names survive.
/// Guarantee: the table opens; it holds every commit that was reported, and at most the one in doubt besides; each row
/// once; every file that a commit names is whole; the next commit works, and what was found is still there after it.
#[test]
fn commits_that_were_reported_survive_loss_of_unsynced_writes() {
    assert_eq!(first_violation(None, 6), None);
}

/// Scenario: one kind of sync does nothing.
/// Guarantee: the proof above notices, so each of them is needed and each is there.
#[test]
fn every_sync_of_a_table_is_needed() {
    fn named(path: &Path, part: &str) -> bool {
        path.file_name().is_some_and(|name| name.to_string_lossy().contains(part))
    }
    type IsLeftOut = fn(&Path) -> bool;
    let cases: [(&str, IsLeftOut); 9] = [
        ("data", |path| named(path, ".parquet#") && !named(path, "checkpoint")),
        ("index", |path| named(path, ".idx#")),
        ("commit", |path| named(path, ".json#")),
        ("checkpoint", |path| named(path, ".checkpoint.parquet#")),
        ("format", |path| named(path, "FORMAT#")),
        ("names of data", |path| path.ends_with("logs")),
        ("names of indexes", |path| path.ends_with("_idx")),
        ("names of commits", |path| path.ends_with("_delta_log")),
        ("the table's own name", |path| path.ends_with("default")),
    ];
    for (what, lost) in cases {
        assert!(first_violation(Some(lost), 6).is_some(), "losing the sync of {what} changes nothing");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Scenario: several lives, each of which ends in a crash or a kill at any moment.
    /// Guarantee: as above. A name that a killed process left is not taken for durable.
    #[test]
    fn commits_survive_many_lives(seed: u64, lives in prop::collection::vec((1_u64..70, any::<bool>()), 1..5)) {
        runtime().block_on(async {
            let disk = SimFileSystem::new(seed);
            let mut promise = Promise::default();
            for (stop_after, kill) in lives {
                let now = Arc::new(ManualClock::at(START.plus(2 * DAY_NS)));
                disk.stop_after(stop_after);
                let mut story = Story::default();
                let _ = async {
                    let table = table(&disk, &now)?;
                    let snapshot = table.durable_snapshot().await?;
                    for offset in snapshot.consumed.0 + 1..=snapshot.consumed.0 + 4 {
                        publish(&table, &disk, &mut story, offset).await?;
                        let compact = CompactOptions { fan_in: 3, ..CompactOptions::default() };
                        table.compact(&compact, &mut HashSet::new()).await?;
                        table.retain(UnixNanos(0)).await?;
                    }
                    Ok::<_, StoreError>(())
                }.await;
                let now = story.promise(u64::MAX);
                promise.reported = promise.reported.max(now.reported);
                promise.tried = promise.tried.max(now.tried);
                if kill { disk.kill() } else { disk.crash() }
                let crashed = disk.fork(seed ^ 1);
                let (_, snapshot) = recovered(&crashed, &promise).await.unwrap();
                // What a durable snapshot said stays true.
                crashed.crash();
                let promise = Promise { reported: snapshot.consumed.0, ..promise.clone() };
                recovered(&crashed, &promise).await.unwrap();
            }
        });
    }
}
