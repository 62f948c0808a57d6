//! Segments: a Parquet file and, for logs, its text index, written and published together.

mod meta;
mod properties;
mod stats;
mod write;

pub use meta::{IndexMeta, SegmentFile, SegmentMeta};
pub(crate) use properties::BLOOM_COLUMNS;
pub use write::{SegmentOptions, write_segment, write_segment_from};
