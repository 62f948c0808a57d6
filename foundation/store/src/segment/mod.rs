//! Segments: a Parquet file and, for logs and series, its index, written and published together.

mod meta;
mod properties;
mod splice;
mod stats;
mod write;

pub(crate) use meta::checksums;
pub use meta::{CHECKSUM_BLOCK_BYTES, IndexMeta, SegmentFile, SegmentMeta};
pub(crate) use properties::BLOOM_COLUMNS;
pub(crate) use splice::{Splice, Spliced, can_splice};
pub use write::{SegmentOptions, write_segment, write_segment_from};
pub(crate) use write::{feed, write_segment_with};
