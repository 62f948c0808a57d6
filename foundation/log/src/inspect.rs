//! What the files of a log hold, line by line, for `daymark log inspect`.
//!
//! Reads only, takes no lock, and uses the same scan as recovery. On a log that is being written the newest segment may
//! show an incomplete write.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};

use daymark_model::{LogOffset, Stamp, TenantId, UnixNanos};
use serde::{Deserialize, Serialize};

use crate::recover::{self, Segment};
use crate::scan::{Gap, Item, Scan};
use crate::{Damage, DamageReason, FileSystem, FrameKind, LogError};

/// One line of an inspection. Shown by `Display`, or serialized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum InspectLine {
    /// A segment begins.
    Segment {
        /// The segment file.
        file: PathBuf,
        /// Its number.
        id: u64,
        /// Size of the file.
        bytes: u64,
        /// Offset of its first frame; `None` when its header is damaged.
        first: Option<LogOffset>,
        /// Number of the segment before; 0 for the very first.
        previous: u64,
    },
    /// An intact frame.
    Frame {
        /// Where in the file, bytes.
        position: u64,
        /// Its place in the log.
        offset: LogOffset,
        /// What the payload is.
        kind: FrameKind,
        /// Whose data.
        tenant: TenantId,
        /// Size of the payload.
        payload_bytes: u64,
        /// When it arrived.
        received: UnixNanos,
        /// Which batch of which agent.
        stamp: Option<Stamp>,
    },
    /// Something that cannot be read.
    Damage(Damage),
    /// A segment ends.
    End {
        /// Intact frames in it.
        frames: u64,
        /// Behind the last of them, bytes.
        end: u64,
        /// Whether it was sealed.
        is_sealed: bool,
    },
}

impl fmt::Display for InspectLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InspectLine::Segment { file, id, bytes, first, previous } => {
                write!(f, "segment {id} {} bytes={bytes} previous={previous}", file.display())?;
                first.map_or(Ok(()), |first| write!(f, " first={first}"))
            }
            InspectLine::Frame { position, offset, kind, tenant, payload_bytes, received, stamp } => {
                write!(f, "  frame at={position} offset={offset} kind={kind:?} tenant={tenant} bytes={payload_bytes}")?;
                write!(f, " received={}", received.0)?;
                stamp.map_or(Ok(()), |stamp| {
                    write!(f, " agent={} epoch={} sequence={}", stamp.agent, stamp.epoch, stamp.sequence)
                })
            }
            InspectLine::Damage(damage) => write!(f, "  DAMAGE {damage}"),
            InspectLine::End { frames, end, is_sealed } => {
                write!(f, "  end at={end} frames={frames} {}", if *is_sealed { "sealed" } else { "open" })
            }
        }
    }
}

/// The lines of an inspection, read while it is consumed.
pub struct Inspect {
    segments: VecDeque<Segment>,
    current: Option<(PathBuf, Scan)>,
    gaps: Vec<Gap>,
    frames: u64,
    waiting: VecDeque<InspectLine>,
}

/// Inspects the log in `dir` without changing anything. Segments that are missing come first.
///
/// # Errors
/// [`LogError::UnknownVersion`], [`LogError::Io`].
pub fn inspect(fs: &dyn FileSystem, dir: &Path) -> Result<Inspect, LogError> {
    let segments = recover::list(fs, dir)?;
    let waiting = recover::missing_segments(dir, &segments).into_iter().map(InspectLine::Damage).collect();
    Ok(Inspect { segments: segments.into(), current: None, gaps: Vec::new(), frames: 0, waiting })
}

impl Inspect {
    /// Segments that were not begun yet: none at the start means that the folder holds no log.
    pub fn segments_left(&self) -> usize {
        self.segments.len()
    }

    fn begin(&mut self, segment: Segment) -> Result<InspectLine, LogError> {
        let Segment { id, path, file, bytes, header, link } = segment;
        match &header {
            Some(header) => {
                let scan = Scan::new(file, header, link).map_err(LogError::io("read", &path))?;
                self.current = Some((path.clone(), scan));
            }
            None => {
                let reason = DamageReason::SegmentHeader;
                let gap = Gap { position: 0, bytes, reason, first: 0, lost: None };
                self.waiting.push_back(InspectLine::Damage(damage(&path, &gap, reason)));
            }
        }
        let first = header.map(|header| LogOffset(header.first));
        let previous = header.map_or(0, |header| header.previous.id);
        Ok(InspectLine::Segment { file: path, id, bytes, first, previous })
    }

    /// What is damage and what is a torn write is known only at the end of a segment.
    fn end(&mut self, file: &Path, scan: &Scan) {
        for gap in self.gaps.drain(..) {
            self.waiting.push_back(InspectLine::Damage(damage(file, &gap, scan.judge(&gap))));
        }
        let (end, is_sealed) = (scan.end, scan.footer.is_some());
        self.waiting.push_back(InspectLine::End { frames: self.frames, end, is_sealed });
        self.frames = 0;
    }
}

fn damage(file: &Path, gap: &Gap, reason: DamageReason) -> Damage {
    let Gap { position: offset, bytes, lost: frames_lost, .. } = *gap;
    let offsets = gap.offsets();
    let (received_after, received_before) = (UnixNanos(0), None);
    let file = file.to_owned();
    Damage { file, offset, bytes, reason, frames_lost, offsets, received_after, received_before, quarantined: None }
}

impl Iterator for Inspect {
    type Item = Result<InspectLine, LogError>;

    fn next(&mut self) -> Option<Result<InspectLine, LogError>> {
        loop {
            if let Some(line) = self.waiting.pop_front() {
                return Some(Ok(line));
            }
            let Some((file, mut scan)) = self.current.take() else {
                let segment = self.segments.pop_front()?;
                return Some(self.begin(segment));
            };
            match scan.next() {
                Some(Item::Frame { position, header }) => {
                    self.frames += 1;
                    self.waiting.push_back(InspectLine::Frame {
                        position,
                        offset: LogOffset(header.sequence),
                        kind: header.kind,
                        payload_bytes: header.payload_bytes as u64,
                        received: header.received,
                        stamp: header.stamp,
                        tenant: header.tenant,
                    });
                    self.current = Some((file, scan));
                }
                Some(Item::Gap(gap)) => {
                    self.gaps.push(gap);
                    self.current = Some((file, scan));
                }
                None => self.end(&file, &scan),
            }
        }
    }
}
