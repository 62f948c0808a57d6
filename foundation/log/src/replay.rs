//! Reads recovered frames from disk, one at a time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use daymark_model::LogOffset;

use crate::frame::Header;
use crate::recover::Segment;
use crate::scan::{Item, Scan};
use crate::{Damage, DamageReason, Frame, LogError};

/// Unreadable frames described one by one; a disk that fails as a whole is in the log.
const MAX_UNREADABLE: usize = 64;

/// Durable frames of the time before the log was opened, in offset order. Holds one frame in memory at a time.
///
/// Damaged parts are skipped; they are in [`crate::Recovered::damage`], what became unreadable since then in
/// [`Replay::unreadable`].
pub struct Replay {
    segments: VecDeque<Segment>,
    current: Option<(PathBuf, Scan)>,
    from: LogOffset,
    unreadable: Vec<Damage>,
}

impl Replay {
    pub(crate) fn new(segments: &[Segment], from: LogOffset) -> Replay {
        let is_needed = |segment: &&Segment| segment.link.is_none_or(|link| link.last > from.0);
        Replay {
            segments: segments.iter().filter(is_needed).cloned().collect(),
            current: None,
            from,
            unreadable: Vec::new(),
        }
    }

    /// Bytes of the segment files that are still to be read: the newest may be mostly empty.
    pub fn bytes_left(&self) -> u64 {
        self.segments.iter().map(|segment| segment.link.map_or(segment.bytes, |link| link.end)).sum()
    }

    /// Frames that recovery could read and the replay could not, the first of them.
    pub fn unreadable(&self) -> &[Damage] {
        &self.unreadable
    }
}

/// A frame whose payload no longer matches its checksum.
fn one_frame(file: &Path, offset: u64, header: &Header) -> Damage {
    let sequence = LogOffset(header.sequence);
    Damage {
        file: file.to_owned(),
        offset,
        bytes: header.stored_bytes(),
        reason: DamageReason::Payload,
        frames_lost: Some(1),
        offsets: Some((sequence, sequence)),
        received_after: header.received,
        received_before: Some(header.received),
        quarantined: None,
    }
}

impl Iterator for Replay {
    type Item = Result<Frame, LogError>;

    fn next(&mut self) -> Option<Result<Frame, LogError>> {
        loop {
            let Some((path, scan)) = &mut self.current else {
                let segment = self.segments.pop_front()?;
                let Some(header) = segment.header else { continue };
                match Scan::new(segment.file, &header, segment.link) {
                    Ok(scan) => self.current = Some((segment.path, scan)),
                    Err(error) => return Some(Err(LogError::io("read", &segment.path)(error))),
                }
                continue;
            };
            match scan.next() {
                Some(Item::Frame { position, header }) if header.sequence > self.from.0 => {
                    let payload = scan.payload(position, &header);
                    // Read a second time: a disk that fails between the two must not get zeros accepted as data.
                    if crc32c::crc32c(&payload) == header.payload_crc {
                        return Some(Ok(header.into_frame(payload)));
                    }
                    tracing::error!(sequence = header.sequence, "a frame became unreadable during replay");
                    if self.unreadable.len() < MAX_UNREADABLE {
                        self.unreadable.push(one_frame(path, position, &header));
                    }
                }
                Some(_) => {}
                None => self.current = None,
            }
        }
    }
}
