//! Reads recovered frames from disk, one at a time.

use std::collections::VecDeque;

use daymark_model::LogOffset;

use crate::recover::Segment;
use crate::scan::{Item, Scan};
use crate::{Frame, LogError};

/// Durable frames of the time before the log was opened, in offset order. Holds one frame in memory at a time.
///
/// Damaged parts are skipped; they are in [`crate::Recovered::damage`].
pub struct Replay {
    segments: VecDeque<Segment>,
    current: Option<Scan>,
    from: LogOffset,
}

impl Replay {
    pub(crate) fn new(segments: &[Segment], from: LogOffset) -> Replay {
        let is_needed = |segment: &&Segment| segment.link.is_none_or(|link| link.last > from.0);
        Replay { segments: segments.iter().filter(is_needed).cloned().collect(), current: None, from }
    }
}

impl Iterator for Replay {
    type Item = Result<Frame, LogError>;

    fn next(&mut self) -> Option<Result<Frame, LogError>> {
        loop {
            let Some(scan) = &mut self.current else {
                let segment = self.segments.pop_front()?;
                let Some(header) = segment.header else { continue };
                match Scan::new(segment.file, &header, segment.link) {
                    Ok(scan) => self.current = Some(scan),
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
                }
                Some(_) => {}
                None => self.current = None,
            }
        }
    }
}
