//! Copies a log that may be in use: the part that is durable, so that a recovery from the copy finds it whole.
//!
//! Where it sits: `daymark backup` calls it beside a running collector; it takes no lock and changes nothing in the log.
//!
//! Invariants:
//! - everything that was durable when the copy began is in it; nothing behind the last frame seen is;
//! - a segment that is removed or recycled meanwhile makes the copy void ([`LogCopy::is_whole`]): the caller starts anew,
//!   and what was copied already is kept;
//! - a file of the copy has its name only when its content is durable.

use std::path::Path;

use daymark_model::LogOffset;

use crate::frame::MIN_FRAME_BYTES;
use crate::recover::{self, Segment};
use crate::scan::Scan;
use crate::segment::{self, FOOTER_BYTES, SEAL_POSITION};
use crate::writer::write_all;
use crate::{FileSystem, LogError, OpenFile};

const STEP_BYTES: usize = 1 << 20;

/// A segment in a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedSegment {
    /// Name of the segment file in the log.
    pub name: String,
    /// Name of the file in the copy: a segment that grew since gets another one.
    pub stored: String,
    /// Size in the copy.
    pub bytes: u64,
    /// CRC32C of its content.
    pub crc32c: u32,
    /// It was in the copy before.
    pub reused: bool,
}

/// A copy of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCopy {
    /// Oldest first.
    pub segments: Vec<CopiedSegment>,
    /// Newest offset in it.
    pub through: LogOffset,
    /// Whether no segment went away while it was copied.
    pub is_whole: bool,
}

/// Number of the oldest segment in `dir`; `None` without one.
///
/// # Errors
/// [`LogError::Io`].
pub fn oldest_segment(fs: &dyn FileSystem, dir: &Path) -> Result<Option<u64>, LogError> {
    let names = fs.list(dir).map_err(LogError::io("list", dir))?;
    Ok(names.iter().filter_map(|name| segment::parse_file_name(name)).min())
}

/// Copies the log in `dir` into the existing folder `to`, which may hold an earlier copy.
///
/// # Errors
/// [`LogError::UnknownVersion`], [`LogError::Io`].
pub fn copy_log(fs: &dyn FileSystem, dir: &Path, to: &Path) -> Result<LogCopy, LogError> {
    match recover::list(fs, dir) {
        // One went away between listing and opening.
        Err(LogError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(LogCopy { segments: Vec::new(), through: LogOffset(0), is_whole: false })
        }
        listed => copy_listed(fs, dir, to, listed?),
    }
}

/// Copies the segments that were found in `dir`.
pub(crate) fn copy_listed(
    fs: &dyn FileSystem,
    dir: &Path,
    to: &Path,
    segments: Vec<Segment>,
) -> Result<LogCopy, LogError> {
    let oldest = segments.first().map(|segment| segment.id);
    let mut copy = LogCopy { segments: Vec::new(), through: LogOffset(0), is_whole: false };
    for segment in segments {
        let part = durable_part(&segment)?;
        copy.through = copy.through.max(LogOffset(part.last));
        match copy_segment(fs, &segment, &part, to)? {
            Some(copied) => copy.segments.push(copied),
            // Its content changed while it was read: it was recycled.
            None => return Ok(copy),
        }
    }
    fs.sync_dir(to).map_err(LogError::io("sync", to))?;
    // Without any segment nothing was durable yet.
    copy.is_whole = oldest.is_none() || oldest_segment(fs, dir)? == oldest;
    Ok(copy)
}

/// The part of a segment that a copy takes. It does not change any more: what lies before `end` was written before its
/// last frame, but for the seal, which comes when the segment is full.
pub(crate) struct DurablePart {
    /// Behind its last intact frame, or its footer.
    end: u64,
    /// That frame's number.
    pub(crate) last: u64,
    /// Whether the seal was there, which names the last frame of the segment. One that comes later may name frames
    /// behind `end`, which the copy would seem to have lost.
    is_sealed: bool,
}

pub(crate) fn durable_part(segment: &Segment) -> Result<DurablePart, LogError> {
    // Without a header nobody can tell: all of it.
    let Some(header) = segment.header else {
        return Ok(DurablePart { end: segment.bytes, last: 0, is_sealed: true });
    };
    let mut scan =
        Scan::new(segment.file.clone(), &header, segment.link).map_err(LogError::io("read", &segment.path))?;
    let is_sealed = scan.footer.is_some();
    while scan.next().is_some() {}
    let footer_end = scan.footer.map(|footer| footer.end + FOOTER_BYTES as u64);
    Ok(DurablePart { end: footer_end.unwrap_or(scan.end).min(segment.bytes), last: scan.last, is_sealed })
}

pub(crate) fn copy_segment(
    fs: &dyn FileSystem,
    segment: &Segment,
    part: &DurablePart,
    to: &Path,
) -> Result<Option<CopiedSegment>, LogError> {
    // Zeros behind the last frame tell the end, as the writer leaves them.
    let tail = vec![0; MIN_FRAME_BYTES as usize];
    let mut crc = 0;
    read_all(segment, part, |_, bytes| {
        crc = crc32c::crc32c_append(crc, bytes);
        Ok(())
    })?;
    let crc = crc32c::crc32c_append(crc, &tail);
    let name = segment::file_name(segment.id);
    let stored = format!("{name}.{crc:08x}");
    let (path, bytes) = (to.join(&stored), part.end + tail.len() as u64);
    let known = fs.open_to_read(&path).and_then(|file| file.size()).is_ok_and(|size| size == bytes);
    let copied = CopiedSegment { name, stored, bytes, crc32c: crc, reused: known };
    if known {
        return Ok(Some(copied));
    }
    let temporary = to.join(format!("{}.tmp", copied.stored));
    let file = fs.create(&temporary).map_err(LogError::io("create", &temporary))?;
    let mut written_crc = 0;
    let mut write = |position: u64, bytes: &[u8]| {
        written_crc = crc32c::crc32c_append(written_crc, bytes);
        write_all(file.as_ref(), bytes, position).map_err(LogError::io("write", &temporary))
    };
    read_all(segment, part, &mut write)?;
    write(part.end, &tail)?;
    if written_crc != crc {
        fs.remove(&temporary).map_err(LogError::io("remove", &temporary))?;
        return Ok(None);
    }
    file.sync_data().map_err(LogError::io("sync", &temporary))?;
    fs.rename(&temporary, &path).map_err(LogError::io("rename", &temporary))?;
    Ok(Some(copied))
}

/// Hands out the part piece by piece.
fn read_all(
    segment: &Segment,
    part: &DurablePart,
    mut take: impl FnMut(u64, &[u8]) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let mut buffer = vec![0; STEP_BYTES];
    let mut position = 0;
    while position < part.end {
        let wanted = usize::try_from(part.end - position).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        let read = read_some(segment.file.as_ref(), &mut buffer[..wanted], position)
            .map_err(LogError::io("read", &segment.path))?;
        if !part.is_sealed {
            blank_seal(&mut buffer[..read], position);
        }
        take(position, &buffer[..read])?;
        position += read as u64;
    }
    Ok(())
}

/// Takes the seal out of the bytes at `position`, as far as they hold it.
fn blank_seal(bytes: &mut [u8], position: u64) {
    let within = |at: u64| usize::try_from(at.saturating_sub(position)).unwrap_or(usize::MAX).min(bytes.len());
    let (from, to) = (within(SEAL_POSITION), within(SEAL_POSITION + FOOTER_BYTES as u64));
    bytes[from..to].fill(0);
}

fn read_some(file: &dyn OpenFile, buffer: &mut [u8], position: u64) -> std::io::Result<usize> {
    match file.read_at(buffer, position)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        read => Ok(read),
    }
}
