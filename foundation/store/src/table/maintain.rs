//! What keeps a table small: checkpoints, retention by age, deletion of files nobody needs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Release};

use daymark_guard::fault::{self, Step};
use daymark_model::UnixNanos;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::Table;
use super::commit::Change;
use super::repair::QUARANTINE;
use crate::delta::{CheckpointContent, State, write_checkpoint};
use crate::segment::{SegmentFile, SegmentMeta};
use crate::{StoreError, Tally};

/// What retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Segments taken out of the table.
    pub segments: u64,
    /// Their rows.
    pub rows: u64,
    /// Of metric tables: the data points of these rows; `None` when a segment did not say.
    pub tally: Option<Tally>,
    /// Files deleted: of segments removed earlier, orphans, old log files, temporary files of writers that were killed.
    pub files_deleted: u64,
}

impl Table {
    /// Takes out segments whose rows are all older than `older_than`, then deletes files whose grace has ended.
    ///
    /// # Errors
    /// As [`Table::commit`]. Files that cannot be deleted are left for the next call.
    pub async fn retain(&self, older_than: UnixNanos) -> Result<Retained, StoreError> {
        let snapshot = self.snapshot().await?;
        let expired = |segment: &&Arc<SegmentMeta>| segment.time.1 < older_than;
        let old: Vec<&Arc<SegmentMeta>> = snapshot.segments.iter().filter(expired).collect();
        let mut done = Retained {
            segments: old.len() as u64,
            rows: old.iter().map(|segment| segment.rows).sum(),
            tally: old.iter().try_fold(Tally::default(), |sum, segment| Some(sum.plus(segment.tally?))),
            files_deleted: 0,
        };
        if !old.is_empty() {
            let remove = old.iter().map(|segment| segment.path.clone()).collect();
            fault::reach(Step::RetainBeforeCommit);
            match self.apply_change(Change { remove, ..Change::default() }).await {
                Ok(_) => fault::reach(Step::RetainAfterCommit),
                // A compaction was first: what it merged is dropped next time.
                Err(StoreError::NotLive { .. }) => {
                    done = Retained { tally: Some(Tally::default()), ..Retained::default() }
                }
                Err(error) => return Err(error),
            }
        }
        match self.clean_up().await {
            Ok(files) => done.files_deleted = files,
            // Whoever asked has to know what was taken out; the files are left for the next call.
            Err(error) if done.segments > 0 => {
                tracing::warn!(table = %self.inner.log.table, %error, "old files not deleted yet");
            }
            Err(error) => return Err(error),
        }
        Ok(done)
    }

    /// Deletes files whose grace has ended; none while a backup copies them.
    async fn clean_up(&self) -> Result<u64, StoreError> {
        let Some(_deleting) = self.inner.shared.try_delete_files()? else { return Ok(0) };
        let options = &self.inner.shared.options;
        self.vacuum(options.delete_grace_ms, options.log_grace_ms).await
    }

    /// Deletes at once what only older versions need: files of removed segments, commits and older checkpoints. Answers
    /// of queries that hold an older version become partial. Returns how many files.
    ///
    /// # Errors
    /// As [`Table::checkpoint`]; [`StoreError::FilesHeld`] beside a backup.
    pub async fn purge(&self) -> Result<u64, StoreError> {
        let _deleting = self.inner.shared.delete_files().await?;
        self.checkpoint().await?;
        self.vacuum(0, 0).await
    }

    /// Gives up the text index of segments whose rows are all older than `older_than`: they take less room, and searches
    /// scan them. Returns how many. Readers of older versions keep the files for their grace.
    ///
    /// # Errors
    /// As [`Table::commit`].
    pub async fn drop_indexes(&self, older_than: UnixNanos) -> Result<u64, StoreError> {
        let snapshot = self.snapshot().await?;
        let is_cold = |segment: &&Arc<SegmentMeta>| segment.index.is_some() && segment.time.1 < older_than;
        let without = |cold: &Arc<SegmentMeta>| SegmentFile {
            meta: SegmentMeta { index: None, ..(**cold).clone() },
            typed: Vec::new(),
        };
        let update: Vec<SegmentFile> = snapshot.segments.iter().filter(is_cold).map(without).collect();
        let count = update.len() as u64;
        if count == 0 {
            return Ok(0);
        }
        match self.apply_change(Change { update, ..Change::default() }).await {
            Ok(_) => Ok(count),
            // A compaction was first: what it merged loses its index next time.
            Err(StoreError::NotLive { .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Deletes files of removed segments, of segments that never were committed, and log files a checkpoint covers,
    /// each after its grace.
    async fn vacuum(&self, delete_grace_ms: u64, log_grace_ms: u64) -> Result<u64, StoreError> {
        let now_ms = self.inner.shared.options.clock.now().0 / 1_000_000;
        let mut state = self.inner.state.lock().await;
        self.inner.log.refresh(&mut state).await?;
        if state.version.is_none() {
            return Ok(0);
        }
        // What is deleted is needed no more only if the commits and checkpoints that say so are on disk.
        self.unsettle();
        self.settle(&state).await?;
        let log_files = self.inner.log.list().await?;
        let mut delete: Vec<Path> = Vec::new();
        if let Some((newest, _)) = log_files.checkpoints.last() {
            let old = |meta: &ObjectMeta| log_grace_ms == 0 || age_ms(meta, now_ms) > log_grace_ms;
            let covered = log_files.commits.iter().filter(|(version, _)| version <= newest);
            let superseded = log_files.checkpoints.iter().filter(|(version, _)| version < newest);
            let covered = covered.chain(superseded).filter(|(_, meta)| old(meta));
            delete.extend(covered.map(|(_, meta)| meta.location.clone()));
        }
        let ended = |removed_ms: &i64| (*removed_ms).max(0) as u64 + delete_grace_ms <= now_ms;
        let dead: Vec<String> = state.tombstones.iter().filter(|(_, ms)| ended(ms)).map(|(p, _)| p.clone()).collect();
        for path in &dead {
            delete.push(self.path_of(path));
            delete.push(self.path_of(&index_path(path)));
        }
        let retired: Vec<String> = state.retired.iter().filter(|(_, ms)| ended(ms)).map(|(p, _)| p.clone()).collect();
        delete.extend(retired.iter().map(|path| self.path_of(path)));
        delete.extend(self.orphans(&state, now_ms).await?);
        let mut deleted = self.remove_temporaries().await?;
        for path in delete {
            match self.inner.log.objects.delete(&path).await {
                Ok(()) => {
                    deleted += 1;
                    fault::reach(Step::RetainAfterDeletion);
                }
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => tracing::warn!(%path, %error, "file of a removed segment is not deleted"),
            }
        }
        // Later checkpoints leave them out; until then a reopened table deletes them again, which is harmless.
        state.tombstones.retain(|path, _| !dead.contains(path));
        state.retired.retain(|path, _| !retired.contains(path));
        Ok(deleted)
    }

    /// Old files in the table's directory that no action of the log names: their writer died before its commit.
    async fn orphans(&self, state: &State, now_ms: u64) -> Result<Vec<Path>, StoreError> {
        let named = self.named(state);
        let grace_ms = self.inner.shared.options.orphan_grace_ms;
        let log = self.path_of("_delta_log");
        let listed: Vec<ObjectMeta> = self.inner.log.objects.list(Some(&self.inner.log.table)).try_collect().await?;
        let orphan = |meta: &ObjectMeta| {
            let ours = matches!(meta.location.extension(), Some("parquet" | "idx"));
            ours && !meta.location.prefix_matches(&log)
                && !named.contains(&meta.location)
                && age_ms(meta, now_ms) > grace_ms
        };
        Ok(listed.into_iter().filter(orphan).map(|meta| meta.location).collect())
    }

    /// Deletes files that a writer which was killed had not yet given their names.
    async fn remove_temporaries(&self) -> Result<u64, StoreError> {
        let mut removed = self.inner.shared.remove_temporaries(&self.inner.log.table).await?;
        for dir in ["_idx", "_delta_log", QUARANTINE] {
            removed += self.inner.shared.remove_temporaries(&self.path_of(dir)).await?;
        }
        Ok(removed)
    }

    /// Files of segments that are live or taken out not long ago, and indexes replaced or given up not long ago. The
    /// index of a live segment is where its commit says.
    pub(crate) fn named(&self, state: &State) -> BTreeSet<Path> {
        let live = state.live.values().flat_map(|segment| {
            let index = segment.index.as_ref().map(|index| self.path_of(&index.path));
            [Some(self.path_of(&segment.path)), index].into_iter().flatten()
        });
        let dead = state.tombstones.keys().flat_map(|path| [self.path_of(path), self.path_of(&index_path(path))]);
        let retired = state.retired.keys().map(|path| self.path_of(path));
        live.chain(dead).chain(retired).collect()
    }

    /// Writes a checkpoint of the newest version now.
    ///
    /// # Errors
    /// Faults of the object store.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        let content = {
            let mut state = self.inner.state.lock().await;
            self.inner.log.refresh(&mut state).await?;
            CheckpointContent::of(&state)
        };
        let Some(content) = content else { return Ok(()) };
        let version = content.version;
        write_checkpoint(&self.inner.log, content).await?;
        let mut state = self.inner.state.lock().await;
        state.checkpoint = state.checkpoint.max(Some(version));
        Ok(())
    }

    /// Starts a checkpoint beside the ingest path when enough commits have gathered.
    pub(super) fn checkpoint_when_due(&self, state: &State) {
        let since = state.next_version() - state.checkpoint.map_or(0, |version| version + 1);
        if since < self.inner.shared.options.checkpoint_every || self.inner.checkpointing.swap(true, AcqRel) {
            return;
        }
        let table = self.clone();
        tokio::spawn(async move {
            if let Err(error) = table.checkpoint().await {
                tracing::warn!(table = %table.inner.log.table, %error, "checkpoint failed, the commits remain");
            }
            table.inner.checkpointing.store(false, Release);
        });
    }
}

fn age_ms(meta: &ObjectMeta, now_ms: u64) -> u64 {
    now_ms.saturating_sub(meta.last_modified.timestamp_millis().max(0) as u64)
}

/// Where the index of the segment at `path` is, if it has one.
pub(crate) fn index_path(path: &str) -> String {
    format!("_idx/{}.idx", path.strip_suffix(".parquet").unwrap_or(path))
}
