//! Repair of what a table can do without: a torn newest commit, torn checkpoints, a damaged index.
//!
//! Invariants:
//! - nothing is repaired unasked: readers and writers refuse a torn commit;
//! - what is taken away is copied to `_quarantine` durably before;
//! - a rebuilt index is durable, under a name of its own, before the commit that names it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use serde::Serialize;
use tokio::sync::mpsc;

use super::Table;
use super::commit::Change;
use crate::delta::{checkpoint_path, commit_path, decode_commit, read_checkpoint};
use crate::index::SegmentIndex;
use crate::reader::Segment;
use crate::segment::{IndexMeta, SegmentFile, feed};
use crate::ulid::new_ulid;
use crate::{ReadSpec, SegmentMeta, StoreError, TableName};

/// Batches read ahead of the builder of an index.
const BATCHES_AHEAD: usize = 2;

/// Folder in a table's directory for what was taken out of its log.
pub(crate) const QUARANTINE: &str = "_quarantine";

/// A file that was taken out of a table's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// The file, relative to the tables directory.
    pub file: String,
    /// Where its copy is.
    pub copy: String,
    /// What was wrong with it.
    pub reason: String,
}

impl Table {
    /// Takes a torn newest commit, and checkpoints that cannot be read, out of the table's log. The table then has the
    /// version before; its consumed offset says from where the collector replays the ingest log. No collector may run.
    ///
    /// # Errors
    /// [`StoreError::TornCommit`] when an older commit is torn, without which the table cannot be read: nothing was
    /// changed for that one. Faults of the object store.
    pub async fn repair(&self) -> Result<Vec<Repaired>, StoreError> {
        let log = &self.inner.log;
        let files = log.list().await?;
        let mut repaired = Vec::new();
        for (version, _) in &files.checkpoints {
            let path = checkpoint_path(&log.table, *version);
            match read_checkpoint(&log.objects, &path).await {
                Ok(_) => {}
                Err(StoreError::Object(error)) => return Err(error.into()),
                Err(error) => repaired.push(self.quarantine(&path, error.to_string()).await?),
            }
        }
        if let Some((newest, _)) = files.commits.last() {
            let path = commit_path(&log.table, *newest);
            let text = log.objects.get(&path).await?.bytes().await?;
            if let Err(reason) = decode_commit(&text) {
                repaired.push(self.quarantine(&path, reason).await?);
            }
        }
        let mut state = self.inner.state.lock().await;
        *state = Default::default();
        log.refresh(&mut state).await?;
        drop(state);
        let checkpoints = log.list().await?.checkpoints;
        let named = log.last_checkpoint().await?;
        if named.is_some_and(|named| !checkpoints.iter().any(|(version, _)| *version == named)) {
            // Other readers do not open a table whose hint names a checkpoint that is not there.
            self.checkpoint().await?;
        }
        Ok(repaired)
    }

    /// Copies a file of the log durably, then deletes it durably.
    async fn quarantine(&self, path: &Path, reason: String) -> Result<Repaired, StoreError> {
        let log = &self.inner.log;
        let bytes = log.objects.get(path).await?.bytes().await?;
        let name =
            format!("{}.{}", path.filename().unwrap_or_default(), new_ulid(self.inner.shared.options.clock.now()));
        let copy = self.path_of(QUARANTINE).join(name);
        log.objects.put_opts(&copy, bytes.into(), PutMode::Create.into()).await?;
        log.objects.delete(path).await?;
        self.inner.shared.sync_dirs(&self.path_of("_delta_log")).await?;
        Ok(Repaired { file: path.to_string(), copy: copy.to_string(), reason })
    }

    /// Builds the index of a segment of logs or series anew from its rows and publishes it under a new name. The old file
    /// is deleted like any that nothing names. `rows_per_page` is for text indexes.
    ///
    /// # Errors
    /// [`StoreError::NotLive`] when the segment was merged or dropped meanwhile; damage of its rows.
    pub async fn rebuild_index(&self, segment: &Arc<SegmentMeta>, rows_per_page: u32) -> Result<IndexMeta, StoreError> {
        let of = Segment::new(self.clone(), Arc::clone(segment));
        let (packed, rows_per_page) = build_index(self.inner.name, &of, rows_per_page.max(1)).await?;
        let path = format!("_idx/{}.idx", new_ulid(self.inner.shared.options.clock.now()));
        let index = IndexMeta { path: path.clone(), bytes: packed.len() as u64, rows_per_page };
        self.inner.shared.objects.put_opts(&self.path_of(&path), packed.into(), PutMode::Create.into()).await?;
        let meta = SegmentMeta { index: Some(index.clone()), ..(**segment).clone() };
        self.apply_change(Change { update: vec![SegmentFile { meta, typed: Vec::new() }], ..Change::default() })
            .await?;
        Ok(index)
    }
}

/// The index of a segment of `table`, built from its rows, and the rows that one entry of it stands for.
///
/// # Errors
/// Damage of its rows; a table without indexes; an index that would be larger than a reader takes.
pub(super) async fn build_index(
    table: TableName,
    segment: &Segment,
    rows_per_page: u32,
) -> Result<(Vec<u8>, u32), StoreError> {
    let unusable = |reason: &str| StoreError::WrongSchema { table: table.as_str(), reason: reason.to_owned() };
    let mut index =
        SegmentIndex::begin(table, rows_per_page, &[])?.ok_or_else(|| unusable("its segments have no index"))?;
    let rows_per_page = index.rows_per_page();
    let rows = segment.stream(&ReadSpec::columns(&index.columns())).await?;
    let (sender, mut receiver) = mpsc::channel::<RecordBatch>(BATCHES_AHEAD);
    let work = tokio::task::spawn_blocking(move || {
        while let Some(batch) = receiver.blocking_recv() {
            index.add(&batch)?;
        }
        index.finish()
    });
    let read = feed(rows, sender).await;
    let packed = work.await.map_err(|error| StoreError::background(&error));
    read?;
    let packed = packed??.ok_or_else(|| unusable("the index of a segment would be larger than readers take"))?;
    Ok((packed, rows_per_page))
}
