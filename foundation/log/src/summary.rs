//! What an inspection found, in one line: for people, and for an exit code.

use std::fmt;

use crate::{Damage, InspectLine};

/// Adds up the lines of an inspection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InspectSummary {
    /// Segment files.
    pub segments: u64,
    /// Intact frames.
    pub frames: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Ranges that cannot be read and may have been acknowledged.
    pub damaged_ranges: u64,
    /// Bytes of those ranges.
    pub damaged_bytes: u64,
    /// Frames lost in them, as far as the sequence numbers around them tell.
    pub frames_lost: u64,
    /// Incomplete writes, which are normal after a crash: nothing in them had been acknowledged.
    pub torn_writes: u64,
    /// Bytes of the incomplete writes.
    pub torn_bytes: u64,
}

impl InspectSummary {
    /// Counts one line.
    pub fn add(&mut self, line: &InspectLine) {
        match line {
            InspectLine::Segment { .. } => self.segments += 1,
            InspectLine::Frame { payload_bytes, .. } => {
                self.frames += 1;
                self.payload_bytes += payload_bytes;
            }
            InspectLine::Damage(damage) => self.add_damage(damage),
            InspectLine::End { .. } => {}
        }
    }

    fn add_damage(&mut self, damage: &Damage) {
        if damage.reason.is_alarming() {
            self.damaged_ranges += 1;
            self.damaged_bytes += damage.bytes;
            self.frames_lost += damage.frames_lost.unwrap_or(0);
        } else {
            self.torn_writes += 1;
            self.torn_bytes += damage.bytes;
        }
    }

    /// Whether acknowledged data may be gone. An incomplete write is no damage.
    pub fn is_damaged(&self) -> bool {
        self.damaged_ranges > 0
    }
}

impl fmt::Display for InspectSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {} of payload", counted(self.frames, "frame"), counted(self.payload_bytes, "byte"))?;
        write!(f, " in {}; ", counted(self.segments, "segment"))?;
        if self.is_damaged() {
            write!(f, "{} ", counted(self.damaged_ranges, "damaged range"))?;
            write!(f, "of {}, ", counted(self.damaged_bytes, "byte"))?;
            write!(f, "at least {} lost", counted(self.frames_lost, "frame"))?;
        } else {
            f.write_str("no damage")?;
        }
        if self.torn_writes == 0 {
            return f.write_str("; no torn tail");
        }
        write!(f, "; {} of {}", counted(self.torn_writes, "torn write"), counted(self.torn_bytes, "byte"))?;
        f.write_str(" (never acknowledged, normal after a crash)")
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
