//! Names, header and footer of a segment file.
//!
//! ```text
//! 0     header (4096)   its copy (4096)   frames ...   footer, when sealed   unused
//! ```
//! Header (little endian): magic "DAYMKLOG" · u32 version · u32 crc32c of bytes 0..12 and 16..80 · u64 id ·
//! u64 salt · u64 first sequence · and of the previous segment u64 id (0: none) · u64 salt · u64 end · u64 last sequence ·
//! u64 synced.
//! Two copies in different blocks: one damaged block or bit must not cost a whole segment.
//!
//! Footer: magic "DMFT" · u32 crc32c seeded as for a frame · u64 frames · u64 last sequence · u64 end of the frames.
//! A copy of it lies at byte 8160, so that damage to the newest frames of a sealed segment cannot pass for its end.
//!
//! Invariants: a file has a log name only after its header is synced. Magic, version and checksum keep their place in
//! all versions to come.

use std::path::Path;

use crate::LogError;
use crate::frame::{Seed, u32_at, u64_at};

/// Version of the layout of segments and frames.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Size of one copy of the header: a block, so that a misdirected write cannot hit both.
pub(crate) const HEADER_COPY_BYTES: u64 = 4096;
/// Where the first frame starts.
pub(crate) const FRAMES_START: u64 = 2 * HEADER_COPY_BYTES;
/// Size of the footer.
pub(crate) const FOOTER_BYTES: usize = 32;
/// Where the copy of the footer is, far from the footer: the last bytes of the block of the second header.
pub(crate) const SEAL_POSITION: u64 = FRAMES_START - FOOTER_BYTES as u64;

const MAGIC: [u8; 8] = *b"DAYMKLOG";
pub(crate) const FOOTER_MAGIC: [u8; 4] = *b"DMFT";
const HEADER_BYTES: usize = 80;

/// Where the previous segment ended, as known when the next one began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Id of the previous segment; 0 when there was none.
    pub(crate) id: u64,
    pub(crate) salt: u64,
    /// Position behind its last frame.
    pub(crate) end: u64,
    /// The sequence number of its last frame, as far as known.
    pub(crate) last: u64,
    /// Up to here its frames were synced for certain: what is unreadable among them is damage, not a torn write.
    pub(crate) synced: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: u64,
    pub(crate) salt: u64,
    /// The sequence number of its first frame.
    pub(crate) first: u64,
    pub(crate) previous: Link,
}

/// What the first blocks of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderRead {
    Valid(SegmentHeader),
    UnknownVersion(u32),
    Damaged,
}

impl SegmentHeader {
    pub(crate) fn seed(&self) -> Seed {
        Seed::of_salt(self.salt)
    }

    /// Both copies of the header, [`FRAMES_START`] bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(FRAMES_START as usize);
        copy.extend_from_slice(&MAGIC);
        copy.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        copy.extend_from_slice(&[0; 4]);
        let link = self.previous;
        for field in [self.id, self.salt, self.first, link.id, link.salt, link.end, link.last, link.synced] {
            copy.extend_from_slice(&field.to_le_bytes());
        }
        let crc = header_crc(&copy);
        copy[12..16].copy_from_slice(&crc.to_le_bytes());
        copy.resize(HEADER_COPY_BYTES as usize, 0);
        copy.extend_from_within(..);
        copy
    }

    /// Reads the header of segment `id` from the first [`FRAMES_START`] bytes of a file. A copy that names another
    /// segment is a misdirected block.
    pub(crate) fn decode(bytes: &[u8], id: u64) -> HeaderRead {
        let copies = [bytes.get(..HEADER_BYTES), bytes.get(HEADER_COPY_BYTES as usize..)];
        let copies = copies.map(|copy| copy.and_then(|copy| copy.get(..HEADER_BYTES)).filter(|c| c[..8] == MAGIC));
        let intact = |copy: &&[u8]| header_crc(copy) == u32_at(copy, 12);
        let version = |copy: &[u8]| u32_at(copy, 8);
        let checked = copies.iter().flatten().copied().filter(intact);
        let known = checked.clone().filter(|copy| version(copy) == FORMAT_VERSION).map(SegmentHeader::fields);
        if let Some(header) = known.into_iter().find(|header| header.id == id) {
            return HeaderRead::Valid(header);
        }
        if let Some(copy) = checked.clone().find(|copy| version(copy) != FORMAT_VERSION) {
            return HeaderRead::UnknownVersion(version(copy));
        }
        // Two copies that agree on another version are more likely a layout of the future than the same damage twice.
        match copies {
            [Some(a), Some(b)] if version(a) == version(b) && version(a) != FORMAT_VERSION => {
                HeaderRead::UnknownVersion(version(a))
            }
            _ => HeaderRead::Damaged,
        }
    }

    fn fields(copy: &[u8]) -> SegmentHeader {
        let field = |index: usize| u64_at(copy, 16 + 8 * index);
        let previous = Link { id: field(3), salt: field(4), end: field(5), last: field(6), synced: field(7) };
        SegmentHeader { id: field(0), salt: field(1), first: field(2), previous }
    }
}

/// Covers the version too: a flipped bit there must not look like another version.
fn header_crc(copy: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&copy[..12]), &copy[16..HEADER_BYTES])
}

/// The end of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) frames: u64,
    pub(crate) last: u64,
    /// Behind the last frame.
    pub(crate) end: u64,
}

impl Footer {
    pub(crate) fn encode(&self, seed: Seed, position: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        bytes.extend_from_slice(&FOOTER_MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        for field in [self.frames, self.last, self.end] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        let crc = seed.checksum(position, &bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8], seed: Seed, position: u64) -> Option<Footer> {
        let bytes = bytes.get(..FOOTER_BYTES)?;
        let intact = bytes[..4] == FOOTER_MAGIC && seed.checksum(position, &bytes[8..]) == u32_at(bytes, 4);
        intact.then(|| Footer { frames: u64_at(bytes, 8), last: u64_at(bytes, 16), end: u64_at(bytes, 24) })
    }
}

/// File name of segment `id`.
pub(crate) fn file_name(id: u64) -> String {
    format!("{id:020}.log")
}

/// The id in a segment's file name.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 20)?;
    digits.parse().ok()
}

/// # Errors
/// [`LogError::UnknownVersion`], naming the file.
pub(crate) fn check_version(file: &Path, read: HeaderRead) -> Result<Option<SegmentHeader>, LogError> {
    match read {
        HeaderRead::Valid(header) => Ok(Some(header)),
        HeaderRead::Damaged => Ok(None),
        HeaderRead::UnknownVersion(found) => {
            Err(LogError::UnknownVersion { file: file.to_owned(), found, supported: FORMAT_VERSION })
        }
    }
}
