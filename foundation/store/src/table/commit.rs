//! Committing: check, put if absent, and again after a lost race.

use std::sync::atomic::Ordering::{Acquire, Release};

use daymark_model::LogOffset;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode};

use super::{COLLECTOR, Snapshot, Table};
use crate::delta::{Action, Add, Metadata, Protocol, Remove, State, Txn, add_of, commit_path, encode_commit};
use crate::segment::SegmentFile;
use crate::typed::TypedColumn;
use crate::ulid::new_ulid;
use crate::{CollectorId, StoreError, TableName};

/// What a commit changes. Maintenance consumes no log offset.
#[derive(Default)]
pub(super) struct Change {
    pub(super) add: Vec<SegmentFile>,
    /// Live segments whose rows stay the same, with another index or none.
    pub(super) update: Vec<SegmentFile>,
    pub(super) remove: Vec<String>,
    pub(super) txn: Option<Consumes>,
    /// Rows were deleted.
    pub(super) deletes: bool,
}

/// What a commit says about the log.
pub(super) enum Consumes {
    /// The table holds it up to an offset.
    UpTo {
        writer: String,
        consumed: LogOffset,
        /// See [`super::Commit::after`].
        after: Option<LogOffset>,
    },
    /// Nothing new: the commit only takes a version, which a late one of an earlier run may aim at.
    Fence,
}

impl Consumes {
    /// Who commits what, in `state`.
    fn txn(&self, state: &State) -> (&str, i64) {
        match self {
            Consumes::UpTo { writer, consumed, .. } => (writer, consumed.0 as i64),
            Consumes::Fence => (COLLECTOR, state.txns.get(COLLECTOR).copied().unwrap_or_default()),
        }
    }

    fn check(&self, state: &State, name: TableName, table: &Path) -> Result<(), StoreError> {
        let Consumes::UpTo { writer, consumed, after } = self else { return Ok(()) };
        let held = state.txns.get(writer).map(|&version| LogOffset(version.max(0) as u64));
        let (offered, current) = (*consumed, held.unwrap_or_default());
        let unexpected = after.is_some_and(|after| after != current);
        let repeats_rows = offered == current && held.is_some() && (unexpected || !name.rows_are_versioned());
        if offered < current || repeats_rows {
            return Err(StoreError::AlreadyConsumed { table: table.to_string(), offered, current });
        }
        match *after {
            Some(expected) if unexpected => Err(StoreError::Overtaken { table: table.to_string(), expected, current }),
            _ => Ok(()),
        }
    }
}

/// Application id whose version counts the commits that deleted rows.
pub(super) const DELETIONS: &str = "daymark-deletions";

/// Application id whose version tells which collector committed last.
pub(crate) const OWNER: &str = "daymark-collector-id";

/// The collector as a version, which has to be a positive number.
fn owner_version(id: &CollectorId) -> i64 {
    (xxhash_rust::xxh3::xxh3_64(id.id.as_bytes()) >> 1) as i64
}

/// Whether offsets in `state` are of another collector's log.
pub(super) fn is_foreign(state: &State, ours: Option<&CollectorId>) -> bool {
    let Some(ours) = ours.filter(|ours| !ours.take_over) else { return false };
    state.txns.contains_key(COLLECTOR) && state.txns.get(OWNER) != Some(&owner_version(ours))
}

impl Change {
    /// Whether the change may follow `state`.
    fn check(&self, state: &State, name: TableName, path: &Path, ours: Option<&CollectorId>) -> Result<(), StoreError> {
        let table = || path.to_string();
        if let Some(consumes) = &self.txn {
            if is_foreign(state, ours) {
                return Err(StoreError::Foreign { table: table() });
            }
            consumes.check(state, name, path)?;
        }
        let updated = self.update.iter().map(|segment| &segment.meta.path);
        if let Some(path) = self.remove.iter().chain(updated).find(|path| !state.live.contains_key(*path)) {
            return Err(StoreError::NotLive { table: table(), path: path.clone() });
        }
        let known = |path: &String| state.live.contains_key(path) || state.tombstones.contains_key(path);
        if let Some(added) = self.add.iter().find(|added| known(&added.meta.path)) {
            return Err(StoreError::AlreadyLive { table: table(), path: added.meta.path.clone() });
        }
        Ok(())
    }

    /// The actions that bring `state` to the next version.
    /// Columns of attributes that its files have.
    fn typed(&self) -> impl Iterator<Item = &TypedColumn> {
        self.add.iter().flat_map(|file| &file.typed)
    }

    fn actions(&self, state: &State, name: TableName, now_ms: i64, ours: Option<&CollectorId>) -> Vec<Action> {
        let mut actions = Vec::with_capacity(self.add.len() + self.remove.len() + 4);
        if state.version.is_none() {
            let id = table_id();
            actions.push(Action { protocol: Some(Protocol::OURS), ..Action::default() });
            let metadata = Metadata::new(name, id, now_ms);
            let metadata = metadata.evolved(name, self.typed()).unwrap_or(metadata);
            actions.push(Action { meta_data: Some(metadata), ..Action::default() });
        }
        if let Some(evolved) = state.metadata.as_ref().and_then(|metadata| metadata.evolved(name, self.typed())) {
            actions.push(Action { meta_data: Some(evolved), ..Action::default() });
        }
        if let Some(consumes) = &self.txn {
            let (writer, version) = consumes.txn(state);
            let ours = ours.filter(|_| writer == COLLECTOR).map(|ours| (OWNER, owner_version(ours)));
            for (app_id, version) in std::iter::once((writer, version)).chain(ours) {
                let txn = Txn { app_id: app_id.to_owned(), version, last_updated: Some(now_ms) };
                actions.push(Action { txn: Some(txn), ..Action::default() });
            }
        }
        if self.deletes {
            let version = state.txns.get(DELETIONS).copied().unwrap_or(0).saturating_add(1);
            let txn = Txn { app_id: DELETIONS.to_owned(), version, last_updated: Some(now_ms) };
            actions.push(Action { txn: Some(txn), ..Action::default() });
        }
        for path in &self.remove {
            let remove = Remove { path: path.clone(), deletion_timestamp: Some(now_ms), data_change: true };
            actions.push(Action { remove: Some(remove), ..Action::default() });
        }
        for added in &self.add {
            actions.push(Action { add: Some(add_of(&added.meta)), ..Action::default() });
        }
        for updated in &self.update {
            // The time tells for how long readers of older versions may want the index that goes.
            let add = Add { data_change: false, modification_time: now_ms, ..add_of(&updated.meta) };
            actions.push(Action { add: Some(add), ..Action::default() });
        }
        actions
    }
}

/// A table id has to look like a UUID for some readers.
fn table_id() -> String {
    let hash = |seed: u64| xxhash_rust::xxh3::xxh3_128_with_seed(new_ulid(Default::default()).as_bytes(), seed);
    let digits = format!("{:032x}", hash(0));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

impl Table {
    /// The table for the collector that will write it: as [`Table::durable_snapshot`], and no commit that an earlier run
    /// has sent can arrive after it, because the version it aims at is taken. On local disk nothing arrives late.
    ///
    /// # Errors
    /// As [`Table::commit`].
    pub async fn claim(&self) -> Result<Snapshot, StoreError> {
        let snapshot = self.durable_snapshot().await?;
        if self.inner.shared.disk.is_some() || snapshot.version.is_none() || snapshot.foreign {
            return Ok(snapshot);
        }
        self.apply_change(Change { txn: Some(Consumes::Fence), ..Change::default() }).await?;
        Ok(self.known_snapshot())
    }

    pub(super) async fn apply_change(&self, change: Change) -> Result<u64, StoreError> {
        let inner = &self.inner;
        let options = &inner.shared.options;
        let mut state = inner.state.lock().await;
        for _ in 0..options.commit_attempts {
            inner.log.refresh(&mut state).await?;
            // Before the check: what it takes for consumed is let go of elsewhere.
            self.settle(&state).await?;
            let ours = options.collector.as_ref();
            change.check(&state, inner.name, &inner.log.table, ours)?;
            let version = state.next_version();
            let now_ms = (options.clock.now().0 / 1_000_000) as i64;
            let actions = change.actions(&state, inner.name, now_ms, ours);
            // An id of its own tells this commit from any other, also one that does the same.
            let text = encode_commit(&actions, now_ms, new_ulid(options.clock.now()))?;
            let path = commit_path(&inner.log.table, version);
            match inner.log.objects.put_opts(&path, text.into(), PutMode::Create.into()).await {
                Ok(_) => {
                    state.apply(actions, inner.name, inner.log.table.as_ref())?;
                    state.version = Some(version);
                    self.settle(&state).await?;
                    self.publish(&state);
                    self.checkpoint_when_due(&state);
                    return Ok(version);
                }
                // Another writer took the version: see what it did and check again.
                Err(object_store::Error::AlreadyExists { .. }) => self.unsettle(),
                Err(error) => {
                    // The name may be there and still get lost.
                    self.unsettle();
                    return Err(error.into());
                }
            }
        }
        Err(StoreError::Contended { table: inner.log.table.to_string(), attempts: options.commit_attempts })
    }

    /// Makes sure that the commits of `state` are on disk, and the directories they lie in.
    pub(super) async fn settle(&self, state: &State) -> Result<(), StoreError> {
        if state.version.is_some() && !self.inner.settled.load(Acquire) {
            self.inner.shared.sync_dirs(&self.path_of("_delta_log")).await?;
            self.inner.settled.store(true, Release);
        }
        Ok(())
    }

    pub(super) fn unsettle(&self) {
        self.inner.settled.store(false, Release);
    }
}
