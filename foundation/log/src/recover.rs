//! What a directory of segments holds: found out once, when the log is opened.
//!
//! Invariants:
//! - the next sequence number is above any that can have been given out, even if the newest frames are unreadable;
//! - frames that may never have been synced are written again and synced before they count as durable: after a failed
//!   sync the kernel believes its pages clean, and a reader would see what the disk does not have;
//! - nothing in an old segment is changed otherwise; new frames go to a new segment.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daymark_model::{LogOffset, UnixNanos};

use crate::frame::MIN_FRAME_BYTES;
use crate::quarantine::Quarantine;
use crate::scan::{Gap, Item, Scan};
use crate::segment::{self, FRAMES_START, Link, SegmentHeader};
use crate::{Damage, DamageReason, FileSystem, LogError, LogOptions, OpenFile};

/// A segment file that is there.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) id: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn OpenFile>,
    pub(crate) bytes: u64,
    /// `None` when both copies are damaged.
    pub(crate) header: Option<SegmentHeader>,
    /// How the next segment describes this one.
    pub(crate) link: Option<Link>,
}

/// All that opening finds out.
pub(crate) struct Found {
    pub(crate) segments: Vec<Segment>,
    /// Last sequence of each segment, for release.
    pub(crate) lasts: Vec<u64>,
    pub(crate) damage: Vec<Damage>,
    pub(crate) first: Option<LogOffset>,
    pub(crate) last: LogOffset,
    /// The first sequence number that is certainly unused.
    pub(crate) next: u64,
    pub(crate) next_id: u64,
    /// What the next segment will say about the newest one.
    pub(crate) link: Link,
}

/// Lists and opens the segments of `dir`, oldest first.
///
/// # Errors
/// [`LogError::UnknownVersion`], [`LogError::Io`].
pub(crate) fn list(fs: &dyn FileSystem, dir: &Path) -> Result<Vec<Segment>, LogError> {
    let names = fs.list(dir).map_err(LogError::io("list", dir))?;
    let mut ids: Vec<u64> = names.iter().filter_map(|name| segment::parse_file_name(name)).collect();
    ids.sort_unstable();
    let mut segments = Vec::with_capacity(ids.len());
    for id in ids {
        segments.push(open_segment(fs, dir, id)?);
    }
    link_segments(&mut segments);
    Ok(segments)
}

fn open_segment(fs: &dyn FileSystem, dir: &Path, id: u64) -> Result<Segment, LogError> {
    let path = dir.join(segment::file_name(id));
    let file = fs.open_to_read(&path).map_err(LogError::io("open", &path))?;
    let bytes = file.size().map_err(LogError::io("measure", &path))?;
    let mut window = crate::window::Window::new(file.clone()).map_err(LogError::io("measure", &path))?;
    let header = segment::check_version(&path, SegmentHeader::decode(window.peek(0, FRAMES_START as usize), id))?;
    Ok(Segment { id, path, file, bytes, header, link: None })
}

/// Tells each segment what its successor says about it.
fn link_segments(segments: &mut [Segment]) {
    let links: Vec<Link> = segments.iter().filter_map(|segment| segment.header.map(|header| header.previous)).collect();
    for segment in segments.iter_mut() {
        let Some(header) = segment.header else { continue };
        segment.link = links.iter().find(|link| link.id == header.id && link.salt == header.salt).copied();
    }
}

/// Reads what is needed to go on behind `from`.
///
/// # Errors
/// [`LogError::UnknownVersion`], [`LogError::Io`]; damage is no error.
pub(crate) fn recover(fs: &Arc<dyn FileSystem>, options: &LogOptions, from: LogOffset) -> Result<Found, LogError> {
    let segments = list(fs.as_ref(), &options.dir)?;
    let mut survey = Survey {
        damage: missing_segments(&options.dir, &segments),
        quarantine: Quarantine::new(fs.clone(), &options.dir, options.quarantine_bytes),
        lasts: Vec::new(),
        first: None,
        last: 0,
        used: from.0,
        link: Link::default(),
        received: UnixNanos(0),
        bounded: 0,
    };
    survey.bounded = survey.damage.len();
    for segment in &segments {
        survey.visit(fs.as_ref(), segment, from)?;
    }
    survey.bound_whole_segments(&segments);
    let next_id = segments.last().map_or(1, |segment| segment.id + 1);
    let Survey { damage, lasts, first, last, used, link, .. } = survey;
    let (first, last, next) = (first.map(LogOffset), LogOffset(last), used + 1);
    Ok(Found { segments, lasts, damage, first, last, next, next_id, link })
}

pub(crate) fn missing_segments(dir: &Path, segments: &[Segment]) -> Vec<Damage> {
    let is_there = |id: u64| segments.iter().any(|segment| segment.id == id);
    // The predecessor of the oldest segment has been released.
    let named = segments.iter().skip(1).filter_map(|segment| segment.header).map(|header| header.previous.id);
    let missing = named.filter(|id| *id != 0 && !is_there(*id));
    missing
        .map(|id| Damage {
            file: dir.join(segment::file_name(id)),
            offset: 0,
            bytes: 0,
            reason: DamageReason::MissingSegment,
            frames_lost: None,
            offsets: None,
            received_after: UnixNanos(0),
            received_before: None,
            quarantined: None,
        })
        .collect()
}

struct Survey {
    damage: Vec<Damage>,
    quarantine: Quarantine,
    lasts: Vec<u64>,
    first: Option<u64>,
    last: u64,
    /// The largest sequence number that may have been given out.
    used: u64,
    link: Link,
    /// When the newest intact frame so far was received.
    received: UnixNanos,
    /// How many of `damage` have their upper bound of time, or get none from the frames that follow.
    bounded: usize,
}

impl Survey {
    fn visit(&mut self, fs: &dyn FileSystem, segment: &Segment, from: LogOffset) -> Result<(), LogError> {
        let Some(header) = segment.header else {
            self.lost_segment(segment);
            return Ok(());
        };
        self.used = self.used.max(header.first.saturating_sub(1));
        let consumed = segment.link.filter(|link| link.last <= from.0 && link.last >= header.first);
        if let Some(link) = consumed {
            self.saw(header.first, link.last);
        } else {
            self.scan(fs, segment, &header)?;
        }
        self.lasts.push(self.last.max(header.first.saturating_sub(1)));
        Ok(())
    }

    fn saw(&mut self, first: u64, last: u64) {
        self.first.get_or_insert(first);
        self.last = self.last.max(last);
        self.used = self.used.max(last);
    }

    /// An intact frame: damage found before it was of frames received before.
    fn received_at(&mut self, received: UnixNanos) {
        self.received = self.received.max(received);
        for damage in &mut self.damage[self.bounded..] {
            damage.received_before.get_or_insert(received);
        }
        self.bounded = self.damage.len();
    }

    /// Of segments that are lost as a whole, the ones around them tell which offsets they held.
    fn bound_whole_segments(&mut self, segments: &[Segment]) {
        for damage in &mut self.damage {
            if !matches!(damage.reason, DamageReason::SegmentHeader | DamageReason::MissingSegment) {
                continue;
            }
            let after = segments.partition_point(|segment| segment.path <= damage.file);
            let Some(next) = segments.get(after).and_then(|segment| segment.header) else { continue };
            let before = segments[..after].iter().rposition(|segment| segment.path < damage.file);
            let first = before.and_then(|at| self.lasts.get(at)).map_or(1, |last| last + 1);
            if first < next.first {
                damage.offsets = Some((LogOffset(first), LogOffset(next.first - 1)));
            }
        }
    }

    fn scan(&mut self, fs: &dyn FileSystem, segment: &Segment, header: &SegmentHeader) -> Result<(), LogError> {
        let mut scan =
            Scan::new(segment.file.clone(), header, segment.link).map_err(LogError::io("read", &segment.path))?;
        // Each with when the frames around it were received.
        let mut gaps: Vec<(Gap, UnixNanos, Option<UnixNanos>)> = Vec::new();
        // (sequence, position) of frames that were perhaps never synced.
        let mut unsure: VecDeque<(u64, u64)> = VecDeque::new();
        while let Some(item) = scan.next() {
            match item {
                Item::Frame { position, header } => {
                    self.saw(header.sequence, header.sequence);
                    self.received_at(header.received);
                    gaps.iter_mut().for_each(|(_, _, before)| _ = before.get_or_insert(header.received));
                    unsure.push_back((header.sequence, position));
                    while unsure.front().is_some_and(|(sequence, _)| *sequence <= scan.synced) {
                        unsure.pop_front();
                    }
                }
                Item::Gap(gap) => gaps.push((gap, self.received, None)),
            }
        }
        let is_open_ended = scan.footer.is_none() && segment.link.is_none();
        if is_open_ended {
            // Where frames may have been that can no longer be told from unused space, each took at least this much.
            self.used = self.used.max(scan.last) + scan.bytes_after_end() / MIN_FRAME_BYTES;
            if let Some((_, position)) = unsure.front() {
                write_again(fs, segment, *position, scan.end).map_err(LogError::io("sync again", &segment.path))?;
            }
        } else {
            let known_last = scan.footer.map(|footer| footer.last).or(segment.link.map(|link| link.last));
            self.used = self.used.max(known_last.unwrap_or(0));
        }
        for (gap, after, before) in gaps {
            self.report(segment, &gap, scan.judge(&gap), (after, before));
        }
        self.link = Link { id: header.id, salt: header.salt, end: scan.end, last: scan.last, synced: scan.synced };
        Ok(())
    }

    fn report(
        &mut self,
        segment: &Segment,
        gap: &Gap,
        reason: DamageReason,
        (received_after, received_before): (UnixNanos, Option<UnixNanos>),
    ) {
        let mut damage = Damage {
            file: segment.path.clone(),
            offset: gap.position,
            bytes: gap.bytes,
            reason,
            frames_lost: gap.lost,
            offsets: gap.offsets(),
            received_after,
            received_before,
            quarantined: None,
        };
        if reason != DamageReason::TornTail {
            damage.quarantined = self.quarantine.copy(segment, gap.position, gap.bytes);
        }
        log_damage(&damage);
        self.damage.push(damage);
    }

    /// Both headers are gone, and with them the salt: no frame can be told from noise.
    fn lost_segment(&mut self, segment: &Segment) {
        self.used += segment.bytes / MIN_FRAME_BYTES;
        let gap = Gap { position: 0, bytes: segment.bytes, reason: DamageReason::SegmentHeader, first: 0, lost: None };
        self.report(segment, &gap, gap.reason, (self.received, None));
        self.lasts.push(self.last);
    }
}

/// Log level by consequence: lost acknowledged data needs an operator, a torn write does not.
fn log_damage(damage: &Damage) {
    if damage.reason.is_alarming() {
        tracing::error!(%damage, "ingest log is damaged");
    } else {
        tracing::warn!(%damage, "ingest log has an incomplete write");
    }
}

/// Writes `start..end` of a segment again, unchanged, and syncs it.
fn write_again(fs: &dyn FileSystem, segment: &Segment, start: u64, end: u64) -> io::Result<()> {
    const STEP_BYTES: u64 = 1 << 20;
    let file = fs.open(&segment.path)?;
    let mut position = start;
    while position < end {
        let mut bytes = vec![0; (end - position).min(STEP_BYTES) as usize];
        read_fully(file.as_ref(), &mut bytes, position)?;
        if file.write_at(&bytes, position)? != bytes.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        position += bytes.len() as u64;
    }
    file.sync_data()
}

pub(crate) fn read_fully(file: &dyn OpenFile, buf: &mut [u8], position: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], position + done as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => done += read,
        }
    }
    Ok(())
}
