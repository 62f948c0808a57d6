//! What a table holds at one version: the sum of its commits.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::action::{Action, Metadata, Protocol, percent_decode, segment_of};
use crate::segment::SegmentMeta;
use crate::typed::TypedColumn;
use crate::{StoreError, TableName};

/// The table at `version`.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// `None` before the first commit.
    pub(crate) version: Option<u64>,
    pub(crate) metadata: Option<Metadata>,
    /// Its columns of attributes, by their names in lower case.
    pub(crate) typed: Arc<BTreeMap<String, TypedColumn>>,
    /// By path, which is by time of writing.
    pub(crate) live: BTreeMap<String, Arc<SegmentMeta>>,
    /// Removed paths and when, milliseconds, until their files are deleted.
    pub(crate) tombstones: BTreeMap<String, i64>,
    /// Indexes that live segments had, and until when they had them, milliseconds, until their files are deleted. A
    /// checkpoint forgets them: then they are files that nothing names.
    pub(crate) retired: BTreeMap<String, i64>,
    /// Newest version of each application id.
    pub(crate) txns: BTreeMap<String, i64>,
    /// Version of the newest checkpoint known.
    pub(crate) checkpoint: Option<u64>,
}

impl State {
    /// Applies the actions of one commit or checkpoint.
    ///
    /// # Errors
    /// [`StoreError::UnknownProtocol`].
    pub(crate) fn apply(&mut self, actions: Vec<Action>, table: TableName, path: &str) -> Result<(), StoreError> {
        for action in actions {
            if let Some(Protocol { min_reader_version: reader, min_writer_version: writer }) = action.protocol
                && (reader > 1 || writer > 2)
            {
                return Err(StoreError::UnknownProtocol { table: path.to_owned(), reader, writer });
            }
            if let Some(metadata) = action.meta_data {
                self.typed = Arc::new(metadata.typed());
                self.metadata = Some(metadata);
            }
            if let Some(remove) = action.remove {
                let removed = percent_decode(&remove.path);
                self.live.remove(&removed);
                self.tombstones.insert(removed, remove.deletion_timestamp.unwrap_or(0));
            }
            if let Some(add) = action.add {
                self.add(segment_of(add, table));
            }
            if let Some(txn) = action.txn {
                self.txns.insert(txn.app_id, txn.version);
            }
        }
        Ok(())
    }

    fn add(&mut self, segment: SegmentMeta) {
        self.tombstones.remove(&segment.path);
        let (path, modified_ms) = (segment.path.clone(), segment.modified_ms);
        let index = segment.index.as_ref().map(|index| index.path.clone());
        let before = self.live.insert(path, Arc::new(segment)).and_then(|before| before.index.clone());
        if let Some(before) = before.filter(|before| Some(&before.path) != index.as_ref()) {
            self.retired.insert(before.path, modified_ms);
        }
        if let Some(index) = index {
            self.retired.remove(&index);
        }
    }

    /// The version that the next commit gets.
    pub(crate) fn next_version(&self) -> u64 {
        self.version.map_or(0, |version| version + 1)
    }
}
