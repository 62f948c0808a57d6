//! A version of a table as a list of files, for backups: what must be copied so that the copy is this version.
//!
//! Invariant: all files named are immutable. They stay for `delete_grace_ms` and `log_grace_ms` at least, also when the
//! table moves on meanwhile.

use daymark_model::LogOffset;
use object_store::ObjectMeta;

use super::{COLLECTOR, Table};
use crate::StoreError;

/// One version of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Which version.
    pub version: u64,
    /// The log offset it has consumed.
    pub consumed: LogOffset,
    /// Its rows.
    pub rows: u64,
    /// Every file of it, below the tables directory: data, indexes, commits, checkpoints.
    pub files: Vec<String>,
}

impl Table {
    /// The newest version that has consumed no log offset after `through`; `None` when there is none.
    ///
    /// # Errors
    /// Faults of the object store; [`StoreError::BrokenLog`] when that version was cleaned up already.
    pub async fn pin(&self, through: LogOffset) -> Result<Option<Pinned>, StoreError> {
        let log = &self.inner.log;
        let limit = i64::try_from(through.0).unwrap_or(i64::MAX);
        let state = log.load_through(COLLECTOR, limit).await?;
        let Some(version) = state.version else { return Ok(None) };
        let files = log.list().await?;
        let held = |(of, meta): &(u64, ObjectMeta)| (*of <= version).then(|| meta.location.to_string());
        let mut names: Vec<String> = files.commits.iter().chain(&files.checkpoints).filter_map(held).collect();
        for segment in state.live.values() {
            names.push(self.path_of(&segment.path).to_string());
            names.extend(segment.index.as_ref().map(|index| self.path_of(&index.path).to_string()));
        }
        let consumed = state.txns.get(COLLECTOR).map_or(0, |&offset| offset.max(0) as u64);
        let rows = state.live.values().map(|segment| segment.rows).sum();
        Ok(Some(Pinned { version, consumed: LogOffset(consumed), rows, files: names }))
    }
}
