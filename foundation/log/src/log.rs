//! The handle of an open log.

use std::sync::Arc;
use std::time::Instant;

use daymark_model::LogOffset;

use crate::{Damage, DurableFrames, FileSystem, LogError, LogOptions, LogStats, NewFrame, Replay};

/// An open ingest log. Clones share it; when the last one goes, what waits is committed and the log is sealed.
#[derive(Clone)]
pub struct IngestLog {}

/// Where and when an append became durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Its place in the log.
    pub offset: LogOffset,
    /// When the sync that covered it ended.
    pub synced_at: Instant,
}

/// What was found when the log was opened.
pub struct Recovered {
    /// The durable frames after the offset asked for, in order. Read from disk while it is consumed.
    pub frames: Replay,
    /// What could not be read: reported, with the file and the position.
    pub damage: Vec<Damage>,
    /// The oldest readable frame in the log, released or not; `None` when there is none.
    pub first: Option<LogOffset>,
    /// The newest readable frame; 0 when there is none. The next append gets a larger offset, not always the next one.
    pub last: LogOffset,
}

impl IngestLog {
    /// Opens or creates the log in `options.dir`, reads all segments that hold frames after `from`, and starts a new
    /// segment. Blocks for as long as that takes: call it from a blocking thread.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it open, [`LogError::UnknownVersion`] when a later version wrote
    /// it, [`LogError::DiskFull`], [`LogError::InvalidOptions`], [`LogError::Io`]. Damage is no error.
    pub fn open(
        options: LogOptions,
        fs: Arc<dyn FileSystem>,
        from: LogOffset,
    ) -> Result<(IngestLog, Recovered), LogError> {
        todo!()
    }

    /// Appends a frame and waits until it is durable. If the future is dropped, the frame may still become durable.
    ///
    /// # Errors
    /// At once and with nothing kept: [`LogError::QueueFull`], [`LogError::DiskFull`], [`LogError::TooLarge`],
    /// [`LogError::Poisoned`], [`LogError::Closed`]. `Poisoned` may also come later; the frame may then be durable.
    pub async fn append(&self, frame: NewFrame) -> Result<Durable, LogError> {
        todo!()
    }

    /// The one consumer of durable frames: those appended since the log was opened, none left out. When `limit_bytes`
    /// of frames wait for it, the log stops committing until it takes some. Subscribing again ends the former.
    pub fn subscribe(&self, limit_bytes: usize) -> DurableFrames {
        todo!()
    }

    /// The newest durable offset.
    pub fn durable(&self) -> LogOffset {
        todo!()
    }

    /// Lets go of frames up to and including `up_to`: segments that hold no later ones are deleted or recycled, soon
    /// and in the background. Call it only after what consumed them is durable.
    pub fn release(&self, up_to: LogOffset) {
        todo!()
    }

    /// Figures for metrics.
    pub fn stats(&self) -> LogStats {
        todo!()
    }

    /// Resolves when the log has failed for good; the process should then exit and recover by replay.
    pub async fn failed(&self) -> LogError {
        todo!()
    }

    /// Commits what waits, seals the newest segment and stops. Appends that come later are refused.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] when that failed.
    pub async fn close(self) -> Result<(), LogError> {
        todo!()
    }
}
