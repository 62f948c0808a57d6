//! Versions of a table: what each commit did, and the table as it was.
//!
//! A version can be read as long as its commits and the files it names are there: removed files stay for
//! `delete_grace_ms`, commits that a checkpoint covers for `log_grace_ms`.

use chrono::{DateTime, SecondsFormat};
use daymark_model::{LogOffset, UnixNanos};
use object_store::ObjectStoreExt;
use serde::Serialize;

use super::{Snapshot, Table};
use crate::StoreError;
use crate::delta::{State, checkpoint_path, commit_path, decode_commit, read_checkpoint};

/// What one commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its number.
    pub version: u64,
    /// When, milliseconds since the epoch.
    pub time_ms: i64,
    /// Segments it published.
    pub added: u64,
    /// Their rows.
    pub rows_added: u64,
    /// Segments whose rows stayed and whose text index was replaced or given up.
    pub reindexed: u64,
    /// Segments it took out.
    pub removed: u64,
    /// Log offset that the collector had consumed with it, when it says so.
    pub consumed: Option<LogOffset>,
}

impl Version {
    /// When, as RFC 3339.
    pub fn time(&self) -> String {
        let time = DateTime::from_timestamp_millis(self.time_ms).unwrap_or_default();
        time.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

impl Table {
    /// What the commits did whose files are there, oldest first.
    ///
    /// # Errors
    /// As [`Table::snapshot`].
    pub async fn history(&self) -> Result<Vec<Version>, StoreError> {
        let log = &self.inner.log;
        let mut versions = Vec::new();
        for (version, _) in log.list().await?.commits {
            let path = commit_path(&log.table, version);
            let text = match log.objects.get(&path).await {
                // Cleaned up meanwhile.
                Err(object_store::Error::NotFound { .. }) => continue,
                got => got?.bytes().await?,
            };
            let torn = |reason| StoreError::TornCommit { path: path.to_string(), reason };
            let mut done = Version { version, ..Version::default() };
            let mut state = State::default();
            for action in decode_commit(&text).map_err(torn)? {
                done.removed += u64::from(action.remove.is_some());
                if action.add.as_ref().is_some_and(|add| !add.data_change) {
                    done.reindexed += 1;
                    continue;
                }
                done.time_ms = action.commit_info.as_ref().map_or(done.time_ms, |info| info.timestamp);
                let txn = action.txn.as_ref().filter(|txn| txn.app_id == super::COLLECTOR);
                done.consumed = txn.map(|txn| LogOffset(txn.version.max(0) as u64)).or(done.consumed);
                state.apply(vec![action], self.inner.name, log.table.as_ref())?;
            }
            done.added = state.live.len() as u64;
            done.rows_added = state.live.values().map(|segment| segment.rows).sum();
            versions.push(done);
        }
        Ok(versions)
    }

    /// Whether the table has ever been committed to.
    ///
    /// # Errors
    /// Faults of the object store.
    pub async fn exists(&self) -> Result<bool, StoreError> {
        let files = self.inner.log.list().await?;
        Ok(!files.commits.is_empty() || !files.checkpoints.is_empty())
    }

    /// How many data files of `snapshot` are deleted: rows in them cannot be read any more.
    ///
    /// # Errors
    /// Faults of the object store.
    pub async fn missing_files(&self, snapshot: &Snapshot) -> Result<u64, StoreError> {
        let mut missing = 0;
        for segment in snapshot.segments.iter() {
            match self.inner.log.objects.head(&self.path_of(&segment.path)).await {
                Err(object_store::Error::NotFound { .. }) => missing += 1,
                found => _ = found?,
            }
        }
        Ok(missing)
    }

    /// The table as it was at `version`.
    ///
    /// # Errors
    /// [`StoreError::NoVersion`] when it was never there, or its commits are deleted. Files of the snapshot may be
    /// deleted: reads of them say so.
    pub async fn snapshot_at(&self, version: u64) -> Result<Snapshot, StoreError> {
        let log = &self.inner.log;
        let files = log.list().await?;
        let mut state = State::default();
        for (at, _) in files.checkpoints.iter().rev().filter(|(at, _)| *at <= version) {
            match read_checkpoint(&log.objects, &checkpoint_path(&log.table, *at)).await {
                Ok(actions) => {
                    state.apply(actions, self.inner.name, log.table.as_ref())?;
                    state.version = Some(*at);
                    break;
                }
                Err(error) => tracing::warn!(version = at, %error, "checkpoint is not readable, trying an older one"),
            }
        }
        while state.version < Some(version) {
            log.step(&mut state).await?.ok_or_else(|| {
                let oldest = files.commits.first().map(|(oldest, _)| *oldest);
                let newest = files.commits.last().map(|(newest, _)| *newest);
                StoreError::NoVersion { table: log.table.to_string(), version, oldest, newest }
            })?;
        }
        Ok(Snapshot::of(&state, self.inner.shared.options.collector.as_ref()))
    }

    /// The table as it was at `time`: its newest version that was committed by then.
    ///
    /// # Errors
    /// As [`Table::snapshot_at`]; the table that was not there yet is empty.
    pub async fn snapshot_at_time(&self, time: UnixNanos) -> Result<Snapshot, StoreError> {
        let history = self.history().await?;
        let by_then = history.iter().rev().find(|version| version.time_ms <= (time.0 / 1_000_000) as i64);
        match (by_then, history.first()) {
            (Some(version), _) => self.snapshot_at(version.version).await,
            (None, Some(Version { version: 0, .. }) | None) => Ok(Snapshot::default()),
            (None, Some(oldest)) => self.snapshot_at(oldest.version - 1).await,
        }
    }
}
