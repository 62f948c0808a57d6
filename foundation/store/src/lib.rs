//! The store: tables of spans, logs, traces and metric windows, as Delta Lake tables with text index sidecars.
//!
//! Where it sits: the collector writes segments ([`write_segment`]) and publishes them ([`Table::commit`]); query, SQL
//! and alerts read through [`Reader`], which joins a table snapshot with the collector's hot rows ([`HotSource`]).
//!
//! Invariants:
//! - a commit is one put-if-absent of a synced file, after the synced data it names; it carries the consumed log offset,
//!   which never goes back (design G2);
//! - a damaged index never changes an answer: the segment is scanned instead, and the damage is reported;
//! - metric fragments are merged in one place ([`series`]), each exactly once.
//!
//! Bytes on disk: `docs/formats/tables.md`.

mod blocks;
pub mod body;
mod cache;
mod delta;
mod disk;
mod error;
mod format;
mod hold;
mod hot;
mod hot_http;
mod index;
mod lost;
mod meant;
mod reader;
mod remote;
mod schema;
mod segment;
pub mod series;
mod store;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod typed;
mod ulid;
mod usage;
mod verify;

pub use blocks::CacheStats;
pub use body::{BodyMatcher, BodyQuery};
pub use disk::Disk;
pub use error::StoreError;
pub use hold::FileHold;
pub use hot::{AgentStatus, CollectorStatus, HotError, HotRequest, HotRows, HotSource};
pub use hot_http::{BEHIND_HEADER, HttpHotSource, StaleBody, THROUGH_HEADER};
pub use lost::Lost;
pub use meant::Meant;
pub use reader::{Filter, PageTimes, ReadSpec, Reader, RowChoice, Search, Segment, View};
pub use remote::{BadAddress, CacheOptions, RemoteOptions, RequestStats, StoreUrl};
pub use schema::{
    TableName, attributes_builder, attributes_type, longs_builder, longs_type, strings_builder, strings_type,
    timestamp_type,
};
pub use segment::{
    CHECKSUM_BLOCK_BYTES, IndexMeta, SegmentFile, SegmentMeta, SegmentOptions, write_segment, write_segment_from,
};
pub use series::{
    Exemplar, Histograms, MatchOp, Matcher, Point, Resolution, Series, SeriesQuery, read_series, read_series_with,
};
pub use store::{Access, CollectorId, Store, StoreOptions};
pub use table::{
    COLLECTOR, Commit, CompactOptions, Compacted, Condition, Deleted, Pinned, Repaired, Retained, Rows, Snapshot,
    Table, Version,
};
pub use tally::{MetricAccount, MetricAccounts, TableAccount, Tally};
pub use typed::TypedOptions;
pub use usage::{DiskSpace, TableUsage, Usage};
pub use verify::{Finding, Verified, VerifyOptions};
