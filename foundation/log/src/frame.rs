//! One frame of the log: the bytes of one batch and what must be known about it before they are decoded.
//!
//! Byte layout (little endian, see `docs/formats/log.md`); a frame starts at a multiple of 8:
//! ```text
//!   0 u32 magic "DMFR"        4 u32 header crc32c      8 u32 payload length    12 u32 payload crc32c
//!  16 u64 sequence           24 u64 synced            32 u64 received         40 u128 content hash
//!  56 [16] agent             72 u64 epoch             80 u64 stamp sequence
//!  88 u8 kind   89 u8 flags (1 = stamped)   90 u8 tenant length   91 [5] zero
//!  96 tenant, zero padded to 8 · payload, zero padded to 8
//! ```
//! The header crc is seeded with the segment's salt and the frame's position and covers everything from byte 8 to the
//! end of the padded tenant, so a misdirected block, a recycled one, or a payload that looks like a frame is told apart.
//! `synced` is the newest sequence known to be durable when the frame was written: what it covers cannot be torn.

use bytes::Bytes;
use daymark_model::{AgentId, LogOffset, Stamp, TenantId, UnixNanos};
use serde::{Deserialize, Serialize};

/// Frames start at multiples of this many bytes.
pub(crate) const ALIGN: u64 = 8;
/// Bytes of a frame header before the tenant.
pub(crate) const FIXED_HEADER_BYTES: usize = 96;
/// Longest tenant name.
const MAX_TENANT_BYTES: usize = 64;
/// Longest frame header.
pub(crate) const MAX_HEADER_BYTES: usize = FIXED_HEADER_BYTES + MAX_TENANT_BYTES;
/// Smallest frame: the shortest tenant, no payload.
pub(crate) const MIN_FRAME_BYTES: u64 = FIXED_HEADER_BYTES as u64 + ALIGN;
/// No payload is longer, whatever the options say: a longer length is damage.
pub(crate) const MAX_FORMAT_PAYLOAD_BYTES: u64 = 1 << 30;

pub(crate) const MAGIC: [u8; 4] = *b"DMFR";
const FLAG_STAMPED: u8 = 1;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum FrameKind {
    /// An `ExportTraceServiceRequest`.
    Traces = 1,
    /// An `ExportLogsServiceRequest`.
    Logs = 2,
    /// An `ExportMetricsServiceRequest`.
    Metrics = 3,
    /// A batch of an agent: several signals at once.
    Batch = 4,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<FrameKind> {
        [FrameKind::Traces, FrameKind::Logs, FrameKind::Metrics, FrameKind::Batch]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A frame to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFrame {
    /// What the payload is.
    pub kind: FrameKind,
    /// Whose data.
    pub tenant: TenantId,
    /// Which batch of which agent; `None` for clients without one.
    pub stamp: Option<Stamp>,
    /// Hash of the client's request, by which a repeated one is recognised.
    pub content_hash: u128,
    /// When it arrived.
    pub received: UnixNanos,
    /// The bytes; never looked into.
    pub payload: Bytes,
}

/// A durable frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its place in the log: unique, ever growing.
    pub offset: LogOffset,
    /// What the payload is.
    pub kind: FrameKind,
    /// Whose data.
    pub tenant: TenantId,
    /// Which batch of which agent; `None` for clients without one.
    pub stamp: Option<Stamp>,
    /// Hash of the client's request, by which a repeated one is recognised.
    pub content_hash: u128,
    /// When it arrived.
    pub received: UnixNanos,
    /// The bytes.
    pub payload: Bytes,
}

impl Frame {
    pub(crate) fn new(offset: LogOffset, new: NewFrame) -> Frame {
        let NewFrame { kind, tenant, stamp, content_hash, received, payload } = new;
        Frame { offset, kind, tenant, stamp, content_hash, received, payload }
    }

    /// What the frame costs in a bounded queue, bytes.
    pub fn cost_bytes(&self) -> usize {
        cost_bytes(self.payload.len())
    }
}

/// What a frame with such a payload costs in a bounded queue, bytes.
pub(crate) fn cost_bytes(payload_bytes: usize) -> usize {
    payload_bytes + MAX_HEADER_BYTES
}

/// Bytes that a frame takes in a segment.
pub(crate) fn stored_bytes(tenant: &TenantId, payload_bytes: usize) -> u64 {
    (FIXED_HEADER_BYTES + padded(tenant.as_str().len()) + padded(payload_bytes)) as u64
}

pub(crate) fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN as usize)
}

/// The parts of checksums that are the same for all frames of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn of_salt(salt: u64) -> Seed {
        Seed(crc32c::crc32c(&salt.to_le_bytes()))
    }

    pub(crate) fn checksum(self, position: u64, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &position.to_le_bytes()), bytes)
    }
}

/// Where and as what a frame is written.
pub(crate) struct Placement {
    pub(crate) seed: Seed,
    pub(crate) position: u64,
    pub(crate) sequence: u64,
    pub(crate) synced: u64,
    pub(crate) payload_crc: u32,
}

/// Appends the bytes of a frame to `out`.
pub(crate) fn encode(frame: &NewFrame, place: &Placement, out: &mut Vec<u8>) {
    let start = out.len();
    let tenant = frame.tenant.as_str().as_bytes();
    let stamp = frame.stamp.unwrap_or(Stamp { agent: AgentId::default(), epoch: 0, sequence: 0 });
    let length = u32::try_from(frame.payload.len()).expect("checked against max_frame_bytes, which is below 2^30");
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&place.payload_crc.to_le_bytes());
    out.extend_from_slice(&place.sequence.to_le_bytes());
    out.extend_from_slice(&place.synced.to_le_bytes());
    out.extend_from_slice(&frame.received.0.to_le_bytes());
    out.extend_from_slice(&frame.content_hash.to_le_bytes());
    out.extend_from_slice(&stamp.agent.0);
    out.extend_from_slice(&stamp.epoch.to_le_bytes());
    out.extend_from_slice(&stamp.sequence.to_le_bytes());
    let flags = if frame.stamp.is_some() { FLAG_STAMPED } else { 0 };
    out.extend_from_slice(&[frame.kind as u8, flags, tenant.len() as u8, 0, 0, 0, 0, 0]);
    out.extend_from_slice(tenant);
    out.resize(start + FIXED_HEADER_BYTES + padded(tenant.len()), 0);
    let crc = place.seed.checksum(place.position, &out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&frame.payload);
    out.resize(start + stored_bytes(&frame.tenant, frame.payload.len()) as usize, 0);
}

/// A frame header that matched its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) sequence: u64,
    pub(crate) synced: u64,
    pub(crate) payload_crc: u32,
    pub(crate) payload_bytes: usize,
    pub(crate) header_bytes: usize,
    pub(crate) kind: FrameKind,
    pub(crate) tenant: TenantId,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) content_hash: u128,
    pub(crate) received: UnixNanos,
}

impl Header {
    /// Reads the header at the start of `bytes`, which begin at `position` of the segment; `None` when it is not one.
    pub(crate) fn decode(bytes: &[u8], seed: Seed, position: u64) -> Option<Header> {
        let fixed = bytes.get(..FIXED_HEADER_BYTES)?;
        let tenant_bytes = fixed[90] as usize;
        if fixed[..4] != MAGIC || tenant_bytes > MAX_TENANT_BYTES {
            return None;
        }
        let header_bytes = FIXED_HEADER_BYTES + padded(tenant_bytes);
        let whole = bytes.get(..header_bytes)?;
        if seed.checksum(position, &whole[8..]) != u32_at(whole, 4) {
            return None;
        }
        let stamp = Stamp {
            agent: AgentId::from_slice(&fixed[56..72])?,
            epoch: u64_at(fixed, 72),
            sequence: u64_at(fixed, 80),
        };
        let payload_bytes = u32_at(fixed, 8);
        if u64::from(payload_bytes) > MAX_FORMAT_PAYLOAD_BYTES {
            return None;
        }
        let tenant = &whole[FIXED_HEADER_BYTES..FIXED_HEADER_BYTES + tenant_bytes];
        Some(Header {
            sequence: u64_at(fixed, 16),
            synced: u64_at(fixed, 24),
            payload_crc: u32_at(fixed, 12),
            payload_bytes: payload_bytes as usize,
            header_bytes,
            kind: FrameKind::from_byte(fixed[88])?,
            tenant: TenantId::parse(std::str::from_utf8(tenant).ok()?).ok()?,
            stamp: (fixed[89] & FLAG_STAMPED != 0).then_some(stamp),
            content_hash: u128::from(u64_at(fixed, 40)) | u128::from(u64_at(fixed, 48)) << 64,
            received: UnixNanos(u64_at(fixed, 32)),
        })
    }

    /// Bytes of the whole frame in the segment.
    pub(crate) fn stored_bytes(&self) -> u64 {
        (self.header_bytes + padded(self.payload_bytes)) as u64
    }

    pub(crate) fn into_frame(self, payload: Bytes) -> Frame {
        Frame {
            offset: LogOffset(self.sequence),
            kind: self.kind,
            tenant: self.tenant,
            stamp: self.stamp,
            content_hash: self.content_hash,
            received: self.received,
            payload,
        }
    }
}

/// Reads an integer; `at` is a constant within a slice of checked length.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// Reads an integer; `at` is a constant within a slice of checked length.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
