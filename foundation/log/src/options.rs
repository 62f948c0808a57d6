//! Limits of the ingest log, each with its default.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::LogError;
use crate::frame::{MAX_FORMAT_PAYLOAD_BYTES, MIN_FRAME_BYTES};
use crate::segment::FRAMES_START;

/// Where the log lives and what it may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogOptions {
    /// Directory of the segment files; created when absent.
    pub dir: PathBuf,
    /// Size of a segment file. A frame that needs more gets a larger segment of its own.
    pub segment_bytes: u64,
    /// A commit starts at once when this much waits.
    pub commit_bytes: usize,
    /// Under concurrent load a commit waits for company until its oldest frame is this old; a lone append never waits.
    pub commit_interval_ms: u64,
    /// Largest payload of one frame.
    pub max_frame_bytes: usize,
    /// Most bytes appended but not yet durable; beyond, appends are refused.
    pub queue_bytes: usize,
    /// New data is refused while the disk has less free than this, so that reads, seals and clean-up go on.
    pub min_free_bytes: u64,
    /// Most files kept ready to become segments. Released segments fill them up, beyond they are deleted: what is released in
    /// bursts need not be zeroed again. Only one is made ahead of need.
    pub max_spares: usize,
    /// Most bytes kept in the quarantine directory; damage beyond is reported but not copied.
    pub quarantine_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            dir: PathBuf::from("log"),
            segment_bytes: 64 << 20,
            commit_bytes: 1 << 20,
            commit_interval_ms: 5,
            max_frame_bytes: 64 << 20,
            queue_bytes: 64 << 20,
            min_free_bytes: 256 << 20,
            max_spares: 4,
            quarantine_bytes: 256 << 20,
        }
    }
}

impl LogOptions {
    /// The defaults, with the log in `dir`.
    pub fn new(dir: impl AsRef<Path>) -> LogOptions {
        LogOptions { dir: dir.as_ref().to_owned(), ..LogOptions::default() }
    }

    /// # Errors
    /// [`LogError::InvalidOptions`] naming the field that cannot work.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        let smallest = FRAMES_START + 2 * MIN_FRAME_BYTES;
        if self.segment_bytes < smallest {
            return Err(LogError::InvalidOptions(format!("segment_bytes must be at least {smallest}")));
        }
        if self.max_frame_bytes as u64 > MAX_FORMAT_PAYLOAD_BYTES {
            return Err(LogError::InvalidOptions(format!(
                "max_frame_bytes must be at most {MAX_FORMAT_PAYLOAD_BYTES}"
            )));
        }
        if self.commit_bytes == 0 || self.queue_bytes == 0 {
            return Err(LogError::InvalidOptions("commit_bytes and queue_bytes must be above 0".into()));
        }
        Ok(())
    }
}
