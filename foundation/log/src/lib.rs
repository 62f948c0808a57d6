//! The ingest log: what makes an acknowledgement durable (design G1).
//!
//! Where it sits: the collector appends every accepted batch here and answers its client when [`IngestLog::append`]
//! resolves; the applier takes the durable frames from [`IngestLog::subscribe`] and, after a restart, from
//! [`Recovered::frames`]. Byte layout: `docs/formats/log.md`.
//!
//! Invariants:
//! - an append resolves with success only after `fdatasync` covered its frame, and the file's name is durable too;
//! - offsets grow strictly, across restarts and damage as well; none is used twice;
//! - frames reach the one subscriber in offset order, each once, and only when durable;
//! - damaged bytes are never returned as data, and cost at most the frames they touch;
//! - after a failed sync or short write nothing is acknowledged any more: the process must exit and recover by replay;
//! - a full disk refuses new data and nothing else;
//! - every queue is bounded in bytes.
//!
//! It deliberately does not look into payloads, compress, replicate, or know which frames are duplicates.

mod backup;
mod damage;
mod error;
mod frame;
mod inspect;
mod keeper;
mod log;
mod options;
mod quarantine;
mod recover;
mod replay;
mod scan;
mod segment;
mod shared;
mod stats;
mod subscribe;
mod summary;
#[cfg(test)]
mod tests;
mod window;
mod writer;

pub use backup::{CopiedSegment, LogCopy, copy_log, oldest_segment};
pub use damage::{Damage, DamageReason};
pub use daymark_guard::fs::{FileSystem, OpenFile, RealFileSystem};
pub use error::LogError;
pub use frame::{Frame, FrameKind, NewFrame};
pub use inspect::{Inspect, InspectLine, inspect};
pub use log::{Durable, IngestLog, Recovered};
pub use options::LogOptions;
pub use replay::Replay;
pub use stats::LogStats;
pub use subscribe::{DurableFrames, Next};
pub use summary::InspectSummary;
