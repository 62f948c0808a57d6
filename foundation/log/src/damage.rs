//! What recovery could not read: reported, never returned as data (G5).

use std::fmt;
use std::path::PathBuf;

use daymark_model::{LogOffset, UnixNanos};
use serde::{Deserialize, Serialize};

/// Why a part of the log could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DamageReason {
    /// The end of the newest segment holds an incomplete write. Normal after a crash: it was cut, and nothing in it had
    /// been acknowledged, unless the disk damaged the very last frames.
    TornTail,
    /// An incomplete write with complete ones behind it, in the part of a segment not known to have been synced.
    /// Normal after a power loss.
    TornWrite,
    /// A frame header that does not match its checksum, in a part that had been synced.
    Header,
    /// A payload that does not match its checksum, in a part that had been synced.
    Payload,
    /// Both copies of the segment header are damaged; none of the segment's frames can be told from noise.
    SegmentHeader,
    /// The segment that the next one names as its predecessor is not there.
    MissingSegment,
}

impl DamageReason {
    /// Whether acknowledged data may be gone, so that an operator should look.
    pub fn is_alarming(self) -> bool {
        !matches!(self, DamageReason::TornTail | DamageReason::TornWrite)
    }
}

impl fmt::Display for DamageReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DamageReason::TornTail => "torn tail",
            DamageReason::TornWrite => "torn write",
            DamageReason::Header => "frame header does not match its checksum",
            DamageReason::Payload => "payload does not match its checksum",
            DamageReason::SegmentHeader => "both copies of the segment header are damaged",
            DamageReason::MissingSegment => "segment file is missing",
        })
    }
}

/// A part of the log that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The segment file.
    pub file: PathBuf,
    /// Where in the file it begins, bytes.
    pub offset: u64,
    /// How long it is, bytes.
    pub bytes: u64,
    /// What is wrong.
    pub reason: DamageReason,
    /// How many frames are lost, where the sequence numbers around the damage tell.
    pub frames_lost: Option<u64>,
    /// First and last offset that are lost, where the frames around the damage tell.
    #[serde(default)]
    pub offsets: Option<(LogOffset, LogOffset)>,
    /// When the last intact frame before the damage was received; 0 when there is none.
    #[serde(default)]
    pub received_after: UnixNanos,
    /// When the first intact frame after it was; `None` when there is none.
    #[serde(default)]
    pub received_before: Option<UnixNanos>,
    /// The copy of the damaged bytes, if one was made.
    pub quarantined: Option<PathBuf>,
}

impl Damage {
    /// Whether acknowledged frames beyond `published` may be gone with it; those up to there are in the tables.
    pub fn may_cost(&self, published: LogOffset) -> bool {
        let still_needed = self.offsets.is_none_or(|(_, last)| last > published);
        self.reason.is_alarming() && self.frames_lost != Some(0) && still_needed
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {} ({} bytes", self.file.display(), self.offset, self.reason, self.bytes)?;
        match self.frames_lost {
            Some(lost) => write!(f, ", {lost} frames lost)"),
            None => f.write_str(")"),
        }
    }
}
