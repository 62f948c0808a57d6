//! Walks the frames of one segment: the one reader behind recovery, replay and inspection.
//!
//! Invariants:
//! - a frame is given out only if header and payload match their checksums at this very place of this very segment;
//! - whatever else lies in the file costs only itself: after it the scan goes on at the next valid frame;
//! - nothing is allocated for a length before the header that states it was checked.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use daymark_model::LogOffset;

use crate::frame::{self, Header, MAX_HEADER_BYTES, MIN_FRAME_BYTES, Seed};
use crate::segment::{FOOTER_BYTES, FOOTER_MAGIC, FRAMES_START, Footer, Link, SEAL_POSITION, SegmentHeader};
use crate::window::Window;
use crate::{DamageReason, OpenFile};

/// How far the search for the next valid frame looks at a time.
const SEARCH_BYTES: usize = 64 << 10;

/// What comes next in a segment.
#[derive(Debug)]
pub(crate) enum Item {
    /// An intact frame.
    Frame { position: u64, header: Header },
    /// Bytes that are not.
    Gap(Gap),
}

/// A part that cannot be read. The reason is provisional until [`Scan::judge`] knows what was synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) position: u64,
    pub(crate) bytes: u64,
    pub(crate) reason: DamageReason,
    /// The first sequence number missing here.
    pub(crate) first: u64,
    pub(crate) lost: Option<u64>,
}

impl Gap {
    /// First and last sequence number that are missing.
    pub(crate) fn offsets(&self) -> Option<(LogOffset, LogOffset)> {
        let lost = self.lost.filter(|lost| *lost > 0)?;
        Some((LogOffset(self.first), LogOffset(self.first + lost - 1)))
    }
}

/// A scan over one segment, from its first frame to its end.
pub(crate) struct Scan {
    window: Window,
    seed: Seed,
    position: u64,
    /// The next sequence number if nothing is missing.
    expected: u64,
    /// Where the frames end and the number of the last one, as the next segment or the seal tells.
    known_end: Option<(u64, u64)>,
    pub(crate) footer: Option<Footer>,
    /// The newest sequence known to be durable.
    pub(crate) synced: u64,
    /// The last intact frame; the segment's first less one if there is none.
    pub(crate) last: u64,
    /// Behind the last intact frame.
    pub(crate) end: u64,
    done: bool,
}

enum Found {
    Frame(Header),
    Footer(Footer),
}

impl Scan {
    pub(crate) fn new(file: Arc<dyn OpenFile>, header: &SegmentHeader, link: Option<Link>) -> io::Result<Scan> {
        let (mut window, seed) = (Window::new(file)?, header.seed());
        let seal = Footer::decode(window.peek(SEAL_POSITION, FOOTER_BYTES), seed, SEAL_POSITION);
        let by_link = link.map(|link| (link.end, link.last));
        Ok(Scan {
            window,
            seed,
            position: FRAMES_START,
            expected: header.first,
            known_end: by_link.or(seal.map(|seal| (seal.end, seal.last))),
            footer: seal,
            synced: link.map_or(0, |link| link.synced).max(seal.map_or(0, |seal| seal.last)),
            last: header.first.saturating_sub(1),
            end: FRAMES_START,
            done: false,
        })
    }

    /// The payload of the frame at `position`.
    pub(crate) fn payload(&mut self, position: u64, header: &Header) -> Bytes {
        self.window.copy(position + header.header_bytes as u64, header.payload_bytes).into()
    }

    /// Bytes of the file behind the last intact frame.
    pub(crate) fn bytes_after_end(&self) -> u64 {
        self.window.size().saturating_sub(self.end)
    }

    /// The next frame or gap; `None` at the end of the segment.
    pub(crate) fn next(&mut self) -> Option<Item> {
        if self.done {
            return None;
        }
        let position = self.position;
        match self.found_at(position) {
            Some(Found::Frame(header)) => Some(self.take(position, header)),
            Some(Found::Footer(footer)) => self.finish(footer),
            None => self.skip(position),
        }
    }

    /// Where no frame may start any more.
    fn limit(&self) -> u64 {
        self.known_end.map_or(self.window.size(), |(end, _)| end.min(self.window.size()))
    }

    /// A valid header or footer at `position`; the payload is not looked at.
    fn found_at(&mut self, position: u64) -> Option<Found> {
        let (limit, seed, expected) = (self.limit(), self.seed, self.expected);
        let bytes = self.window.peek(position, MAX_HEADER_BYTES);
        if let Some(footer) = Footer::decode(bytes, seed, position) {
            return Some(Found::Footer(footer));
        }
        let header = Header::decode(bytes, seed, position)?;
        let fits = position + header.stored_bytes() <= limit;
        (fits && header.sequence >= expected).then_some(Found::Frame(header))
    }

    fn take(&mut self, position: u64, header: Header) -> Item {
        self.position = position + header.stored_bytes();
        self.expected = header.sequence + 1;
        self.synced = self.synced.max(header.synced);
        let payload_crc = self.window.checksum(position + header.header_bytes as u64, header.payload_bytes);
        if payload_crc != header.payload_crc {
            let bytes = header.stored_bytes();
            let (reason, first) = (DamageReason::Payload, header.sequence);
            return Item::Gap(Gap { position, bytes, reason, first, lost: Some(1) });
        }
        self.last = header.sequence;
        self.end = self.position;
        Item::Frame { position, header }
    }

    fn finish(&mut self, footer: Footer) -> Option<Item> {
        self.done = true;
        self.footer = Some(footer);
        self.synced = self.synced.max(footer.last);
        None
    }

    /// At `position` there is no frame: finds the next one, or the end.
    fn skip(&mut self, position: u64) -> Option<Item> {
        let limit = self.limit();
        let next = self.search(position, limit);
        let gap = |bytes: u64, lost: Option<u64>, first: u64| {
            Some(Item::Gap(Gap { position, bytes, reason: DamageReason::Header, first, lost }))
        };
        let first = self.expected;
        if let Some((found_at, sequence_after)) = next {
            self.position = found_at;
            return gap(found_at - position, Some(sequence_after - first), first);
        }
        self.done = true;
        if let Some((_, last)) = self.known_end {
            let lost = (last + 1).checked_sub(first).filter(|lost| *lost > 0);
            return if position < limit { gap(limit - position, lost, first) } else { None };
        }
        let torn_bytes = self.torn_bytes(position);
        // Sequences known to have been synced are missing, though the bytes look unused: a lost write.
        let lost = (self.synced + 1).checked_sub(first).filter(|lost| *lost > 0);
        if torn_bytes == 0 && lost.is_none() { None } else { gap(torn_bytes, lost, first) }
    }

    /// The next position with a valid frame or footer, and the sequence number that follows the gap.
    fn search(&mut self, from: u64, limit: u64) -> Option<(u64, u64)> {
        let mut start = from + frame::ALIGN;
        while start + FOOTER_BYTES as u64 <= self.window.size().min(limit + FOOTER_BYTES as u64) {
            let chunk = self.window.peek(start, SEARCH_BYTES);
            let searched = chunk.len() as u64;
            let candidates: Vec<u64> = chunk
                .chunks_exact(frame::ALIGN as usize)
                .enumerate()
                .filter(|(_, word)| word[..4] == frame::MAGIC || word[..4] == FOOTER_MAGIC)
                .map(|(index, _)| start + index as u64 * frame::ALIGN)
                .collect();
            for position in candidates {
                match self.found_at(position) {
                    Some(Found::Frame(header)) => return Some((position, header.sequence)),
                    Some(Found::Footer(footer)) => return Some((position, (footer.last + 1).max(self.expected))),
                    None => {}
                }
            }
            start += searched;
        }
        None
    }

    /// How many bytes at `position` are in use: up to the zeros that the writer puts behind every commit.
    fn torn_bytes(&mut self, position: u64) -> u64 {
        let mut used = 0;
        loop {
            let at = position + used;
            let marker = self.window.peek(at, MIN_FRAME_BYTES as usize);
            match marker.iter().rposition(|byte| *byte != 0) {
                Some(index) => used += (index as u64 + 1).next_multiple_of(frame::ALIGN),
                None => return used,
            }
        }
    }

    /// Final reason of a gap, once the scan has ended: what was never synced is a torn write and no damage.
    pub(crate) fn judge(&self, gap: &Gap) -> DamageReason {
        if gap.first <= self.synced {
            gap.reason
        } else if gap.first > self.last {
            DamageReason::TornTail
        } else {
            DamageReason::TornWrite
        }
    }
}
