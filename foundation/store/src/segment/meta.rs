//! What a table's log says about a segment.

use std::collections::BTreeMap;
use std::sync::Arc;

use daymark_model::{LogOffset, TimeRange, UnixNanos};
use serde_json::Value;

use crate::Tally;
use crate::typed::TypedColumn;

/// Bytes of a Parquet file that one checksum covers.
pub const CHECKSUM_BLOCK_BYTES: usize = 1 << 20;

/// The checksums of `file`.
pub(crate) fn checksums(file: &[u8]) -> Arc<[u32]> {
    file.chunks(CHECKSUM_BLOCK_BYTES).map(crc32c::crc32c).collect()
}

/// A published segment.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentMeta {
    /// File name inside the table's directory: `<ulid>.parquet`.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Size of the Parquet file.
    pub bytes: u64,
    /// First and last time of its rows, both inside.
    pub time: (UnixNanos, UnixNanos),
    /// First and last log offset of its rows, both inside.
    pub offsets: (LogOffset, LogOffset),
    /// The index, for logs and series.
    pub index: Option<IndexMeta>,
    /// Of metric tables: the data points its rows stand for; `None` where another writer, or an older version, wrote it.
    pub tally: Option<Tally>,
    /// When it was written, milliseconds since the epoch.
    pub modified_ms: i64,
    /// CRC32C of each [`CHECKSUM_BLOCK_BYTES`] of the Parquet file; empty where another writer, or an older version, wrote
    /// it: Parquet pages have no checksums of their own.
    pub checksums: Arc<[u32]>,
    /// Delta statistics as JSON text: `numRecords`, `minValues`, `maxValues`, `nullCount`.
    pub stats: Arc<str>,
}

impl SegmentMeta {
    /// Whether rows of it may lie in `range`.
    pub fn overlaps(&self, range: TimeRange) -> bool {
        range.overlaps(self.time.0, self.time.1)
    }

    /// Smallest and largest value of each column that has them (strings may be rounded outwards), parsed on each call.
    pub fn column_bounds(&self) -> BTreeMap<String, (Value, Value)> {
        let Ok(Value::Object(mut stats)) = serde_json::from_str(&self.stats) else { return BTreeMap::new() };
        let (Some(Value::Object(min)), Some(Value::Object(mut max))) =
            (stats.remove("minValues"), stats.remove("maxValues"))
        else {
            return BTreeMap::new();
        };
        min.into_iter().filter_map(|(column, low)| max.remove(&column).map(|high| (column, (low, high)))).collect()
    }
}

/// The index of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexMeta {
    /// File inside the table's directory: `_idx/<ulid>.idx`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Rows of a page: document n of a text index stands for rows `n * rows_per_page ..`. Label postings name rows: 1.
    pub rows_per_page: u32,
}

/// A segment that is durable and not yet published. Hand it to [`crate::Table::commit`].
#[derive(Clone, Debug)]
pub struct SegmentFile {
    pub(crate) meta: SegmentMeta,
    /// Columns of attributes that the file has.
    pub(crate) typed: Vec<TypedColumn>,
}

impl SegmentFile {
    /// What the table's log will say about it.
    pub fn meta(&self) -> &SegmentMeta {
        &self.meta
    }
}
