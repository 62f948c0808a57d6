//! One table of one tenant: snapshots and commits.
//!
//! Invariants:
//! - the newest version is read, and every check made anew, before each attempt to commit;
//! - the consumed log offset of a writer never goes back, and only versioned rows may repeat it (design G2);
//! - a commit counts only when its name is known to be on disk: after a failed put, and when the table is opened, the
//!   log's directory is synced before anything is concluded from it;
//! - what is removed was live, what is added was not: two commits cannot both remove a segment.

mod commit;
mod compact;
mod delete;
mod history;
mod maintain;
mod pin;
mod received;
mod repair;
mod rows;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use daymark_model::{LogOffset, TenantId};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::delta::{LogDir, State};
use crate::segment::{SegmentFile, SegmentMeta};
use crate::store::Shared;
use crate::typed::TypedColumn;
use crate::{CollectorId, StoreError, TableName, Tally};

pub(crate) use commit::OWNER;
pub use compact::{CompactOptions, Compacted};
pub use delete::Deleted;
pub(crate) use delete::is_damage;
pub use history::Version;
pub use maintain::Retained;
pub use pin::Pinned;
pub(crate) use repair::QUARANTINE;
pub use repair::Repaired;
pub use rows::{Condition, Rows};

/// Application id under which the collector commits the log offsets it has consumed.
pub const COLLECTOR: &str = "daymark-collector";

/// A table. Clones share their snapshot. On disk it exists from the first commit on.
#[derive(Clone)]
pub struct Table {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    tenant: TenantId,
    name: TableName,
    log: LogDir,
    /// Held over a refresh or a commit: two of them at once would only read the same files twice and race for the
    /// same version. Nothing else waits on it.
    state: tokio::sync::Mutex<State>,
    snapshot: Mutex<Snapshot>,
    checkpointing: std::sync::atomic::AtomicBool,
    /// Whether every commit in `state` is known to be on disk.
    settled: std::sync::atomic::AtomicBool,
}

/// A table at one version.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// `None` while the table has no commit.
    pub version: Option<u64>,
    /// Newest log offset whose rows the segments hold, as [`COLLECTOR`] committed it.
    pub consumed: LogOffset,
    /// Live segments, oldest written first.
    pub segments: Arc<[Arc<SegmentMeta>]>,
    /// Whether another collector than ours committed `consumed`.
    pub foreign: bool,
    /// Deletions of rows that it has seen.
    pub deletions: u64,
    /// Its columns of attributes, by their names in lower case.
    pub(crate) typed: Arc<BTreeMap<String, TypedColumn>>,
}

/// What one commit does, all or nothing.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Segments to publish.
    pub add: Vec<SegmentFile>,
    /// Paths of live segments to take out.
    pub remove: Vec<String>,
    /// Newest log offset whose rows the table holds with this commit.
    pub consumed: LogOffset,
    /// Application id whose offset that is: [`COLLECTOR`].
    pub writer: String,
    /// The log offset that the rows of `add` come after. A table that holds another is not written: a commit of an
    /// earlier run may have arrived late, and part of the rows with it.
    pub after: Option<LogOffset>,
}

impl Snapshot {
    /// As `ours` sees it, the collector that writes here.
    pub(crate) fn of(state: &State, ours: Option<&CollectorId>) -> Snapshot {
        let consumed = state.txns.get(COLLECTOR).map_or(0, |&version| version.max(0) as u64);
        let segments = state.live.values().cloned().collect();
        let foreign = commit::is_foreign(state, ours);
        let deletions = state.txns.get(commit::DELETIONS).map_or(0, |&count| count.max(0) as u64);
        Snapshot {
            version: state.version,
            consumed: LogOffset(consumed),
            segments,
            foreign,
            deletions,
            typed: Arc::clone(&state.typed),
        }
    }

    /// The data points that its rows stand for; `None` when a segment does not say.
    pub fn tally(&self) -> Option<Tally> {
        let mut tallies = self.segments.iter().map(|segment| segment.tally);
        tallies.try_fold(Tally::default(), |sum, tally| Some(sum.plus(tally?)))
    }
}

impl Commit {
    /// The collector publishes `add`, and has consumed the log up to `consumed`.
    pub fn publish(add: Vec<SegmentFile>, consumed: LogOffset) -> Commit {
        Commit { add, remove: Vec::new(), consumed, writer: COLLECTOR.to_owned(), after: None }
    }
}

impl Table {
    pub(crate) fn new(shared: Arc<Shared>, tenant: TenantId, name: TableName) -> Table {
        let path = Path::from(tenant.as_str()).join(name.as_str());
        let log = LogDir { objects: Arc::clone(&shared.objects), table: path, name };
        let inner = Inner {
            shared,
            tenant,
            name,
            log,
            state: tokio::sync::Mutex::default(),
            snapshot: Mutex::default(),
            checkpointing: false.into(),
            settled: false.into(),
        };
        Table { inner: Arc::new(inner) }
    }

    /// Which table.
    pub fn name(&self) -> TableName {
        self.inner.name
    }

    /// Whose table.
    pub fn tenant(&self) -> &TenantId {
        &self.inner.tenant
    }

    /// The store and the table's path in it, for readers that bring their own engine.
    pub fn location(&self) -> (Arc<dyn ObjectStore>, Path) {
        (Arc::clone(&self.inner.shared.objects), self.inner.log.table.clone())
    }

    pub(crate) fn log(&self) -> &LogDir {
        &self.inner.log
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn path_of(&self, file: &str) -> Path {
        file.split('/').fold(self.inner.log.table.clone(), |path, part| path.join(part))
    }

    /// The table as it is now, commits of other processes included.
    ///
    /// # Errors
    /// [`StoreError::TornCommit`], [`StoreError::BrokenLog`], faults of the object store.
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let mut state = self.inner.state.lock().await;
        self.inner.log.refresh(&mut state).await?;
        Ok(self.publish(&state))
    }

    /// The newest version that was seen, without asking the store.
    pub fn known_snapshot(&self) -> Snapshot {
        self.inner.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As [`Table::snapshot`], for whoever will let go of what the table holds: its commits are on disk.
    ///
    /// # Errors
    /// As [`Table::snapshot`], and when the log's directory cannot be synced.
    pub async fn durable_snapshot(&self) -> Result<Snapshot, StoreError> {
        let mut state = self.inner.state.lock().await;
        self.inner.log.refresh(&mut state).await?;
        self.settle(&state).await?;
        Ok(self.publish(&state))
    }

    /// Publishes one commit durably and returns its version. On a lost race everything is checked again.
    ///
    /// # Errors
    /// [`StoreError::AlreadyConsumed`] when the table holds that log offset already, [`StoreError::NotLive`] and
    /// [`StoreError::AlreadyLive`], [`StoreError::Overtaken`], [`StoreError::Foreign`]: nothing was committed. After a fault
    /// of the object store the outcome is unknown: the same commit again either succeeds or is `AlreadyConsumed`.
    pub async fn commit(&self, commit: Commit) -> Result<u64, StoreError> {
        let txn =
            Some(commit::Consumes::UpTo { writer: commit.writer, consumed: commit.consumed, after: commit.after });
        let change = commit::Change { add: commit.add, remove: commit.remove, txn, ..commit::Change::default() };
        self.apply_change(change).await
    }

    /// The snapshot of `state`; shared by all readers of that version.
    fn publish(&self, state: &State) -> Snapshot {
        let mut snapshot = self.inner.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        if snapshot.version != state.version {
            *snapshot = Snapshot::of(state, self.inner.shared.options.collector.as_ref());
        }
        snapshot.clone()
    }
}
