//! Checking a table against itself: every byte that has a checksum, and everything that is said twice.
//!
//! Where it sits: `daymark store verify`, offline or beside a running collector. Nothing here writes.
//!
//! What is held against what: commits and checkpoints against each other; the files on disk against the sizes and
//! checksums in the log; the rows of a file against its footer, its statistics, its times and offsets; its index
//! against one built anew from the rows.
//!
//! Invariant: a file that a concurrent compaction or retention took away is no finding.

mod data;
mod log;
mod segment;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use daymark_model::LogOffset;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore};
use serde::Serialize;

use crate::delta::State;
use crate::{StoreError, Table};

/// How a table is checked.
#[derive(Clone, Copy, Debug)]
pub struct VerifyOptions {
    /// Segments read at once; each takes memory for its file and its index, up to about 200 MiB after compaction.
    pub segments_at_once: usize,
}

impl Default for VerifyOptions {
    fn default() -> VerifyOptions {
        VerifyOptions { segments_at_once: 2 }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file, relative to the tables directory.
    pub file: String,
    /// Where in the file, bytes, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        write!(f, ": {}; {}", self.what, self.advice)
    }
}

/// What a check of one table found.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// The table's path in the tables directory.
    pub table: String,
    /// Newest version; none where the table does not exist or its log cannot be read.
    pub version: Option<u64>,
    /// Newest ingest log offset whose rows it holds.
    pub consumed: LogOffset,
    /// Live segments.
    pub segments: u64,
    /// Their rows, as read.
    pub rows: u64,
    /// Bytes of their Parquet files.
    pub bytes: u64,
    /// Bytes of their indexes.
    pub index_bytes: u64,
    /// Segments of logs or series without an index: cold logs, or of older versions or other writers. They are scanned.
    pub without_index: u64,
    /// Segments of older versions or other writers, which have no checksums.
    pub without_checksums: u64,
    /// Files that nothing names; a running collector deletes them after a time.
    pub orphans: u64,
    /// Damage.
    pub damage: Vec<Finding>,
}

impl Table {
    /// Checks the table. Damage is in the answer; only what keeps the check from going on is an error.
    ///
    /// # Errors
    /// Faults of the object store.
    pub async fn verify(&self, options: &VerifyOptions) -> Result<Verified, StoreError> {
        let (_, path) = self.location();
        let log::Replayed { state, mut damage } = log::replay(self).await?;
        let mut verified = Verified {
            table: path.to_string(),
            version: state.version,
            consumed: LogOffset(state.txns.get(crate::COLLECTOR).map_or(0, |&version| version.max(0) as u64)),
            segments: state.live.len() as u64,
            rows: 0,
            bytes: state.live.values().map(|segment| segment.bytes).sum(),
            index_bytes: state
                .live
                .values()
                .filter_map(|segment| segment.index.as_ref())
                .map(|index| index.bytes)
                .sum(),
            without_index: match self.name().is_indexed() {
                true => state.live.values().filter(|segment| segment.index.is_none()).count() as u64,
                false => 0,
            },
            without_checksums: state.live.values().filter(|segment| segment.checksums.is_empty()).count() as u64,
            orphans: self.count_unnamed(&state).await?,
            damage: Vec::new(),
        };
        let live: Vec<_> = state.live.values().cloned().collect();
        let mut checks = futures::stream::iter(live)
            .map(|meta| async move { (Arc::clone(&meta), segment::check(self, &meta).await) })
            .buffered(options.segments_at_once.max(1));
        let mut suspects = Vec::new();
        while let Some((meta, (rows, findings))) = checks.next().await {
            verified.rows += rows;
            suspects.extend(findings.into_iter().map(|finding| (meta.path.clone(), finding)));
        }
        drop(checks);
        if !suspects.is_empty() {
            // What was taken out meanwhile may be gone.
            let still = log::replay(self).await?.state;
            suspects.retain(|(path, _)| still.live.contains_key(path));
        }
        damage.extend(suspects.into_iter().map(|(_, finding)| finding));
        verified.damage = damage;
        Ok(verified)
    }

    async fn count_unnamed(&self, state: &State) -> Result<u64, StoreError> {
        let (objects, table) = self.location();
        let named: BTreeSet<_> = self.named(state);
        let listed: Vec<ObjectMeta> = objects.list(Some(&table)).try_collect().await?;
        let log = self.path_of("_delta_log");
        let quarantine = self.path_of(crate::table::QUARANTINE);
        let unnamed = listed
            .iter()
            .map(|meta| &meta.location)
            .filter(|path| !path.prefix_matches(&log) && !path.prefix_matches(&quarantine) && !named.contains(*path));
        Ok(unnamed.count() as u64)
    }
}

impl Verified {
    /// Whether there is nothing to say against the table.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(version) = self.version else { return write!(f, "{}: no readable version", self.table) };
        let Verified { table, consumed, segments, rows, bytes, index_bytes, .. } = self;
        write!(
            f,
            "{table}: version {version}, log offset {consumed}, {rows} rows in {segments} segments, {bytes} bytes and \
             {index_bytes} of indexes"
        )?;
        if self.without_index > 0 {
            write!(f, ", {} segments without an index", self.without_index)?;
        }
        if self.without_checksums > 0 {
            write!(f, ", {} segments without checksums", self.without_checksums)?;
        }
        if self.orphans > 0 {
            write!(f, ", {} files that nothing names", self.orphans)?;
        }
        match self.damage.len() {
            0 => f.write_str(", sound"),
            count => write!(f, ", {count} findings of damage"),
        }
    }
}
