//! The dedup window on disk: written before a segment of the log is deleted, read at start.
//!
//! Byte layout (little endian, see `docs/formats/dedup.md`):
//! ```text
//! "DMDEDUP2" · u64 published · u32 number of entries · entries · u64 xxh3 of all before
//! entry: u64 time ns · u8 kind · u8 tenant length · tenant
//!   kind 1, stamp:   agent [16] · u64 epoch · u64 sequence
//!   kind 2, content: u128 hash
//! ```
//! Version 1 has neither `published` nor tenants of stamps (they count as the default tenant's: a stamped request is
//! recognised by its content too), and a content hash before its tenant. It is read, never written.
//!
//! Invariants: the file is replaced whole (temporary file, fsync, rename, fsync of the directory); a damaged file is
//! reported and ignored: then repeats of requests whose frames are no longer in the log are not recognised.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use daymark_model::{AgentId, LogOffset, Stamp, TenantId, UnixNanos};
use xxhash_rust::xxh3::xxh3_64;

use crate::dedup::Key;
use crate::error::CollectorError;

const MAGIC: &[u8; 8] = b"DMDEDUP2";
const MAGIC_1: &[u8; 8] = b"DMDEDUP1";
const FILE: &str = "dedup.snapshot";
/// Larger files are not ours: two windows of the largest sensible size are far below.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// What the collector has to know of the log's segments that are gone.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// Every frame up to here is in the tables: damage to one costs nothing.
    pub(crate) published: LogOffset,
    /// The window.
    pub(crate) entries: Vec<(UnixNanos, Key)>,
}

/// Replaces the snapshot in `dir`. Durable on return.
///
/// # Errors
/// [`CollectorError::Io`] when it cannot be written; the old one is then still there.
pub(crate) fn write(dir: &Path, snapshot: &Snapshot) -> Result<(), CollectorError> {
    let path = dir.join(FILE);
    let temporary = dir.join("dedup.snapshot.tmp");
    let bytes = encode(snapshot);
    let replace = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(dir)?.sync_all()
    };
    replace().map_err(|source| CollectorError::Io { path: path.display().to_string(), source })
}

/// Reads the snapshot in `dir`; empty when there is none.
///
/// # Errors
/// [`CollectorError::Snapshot`] when it is damaged, [`CollectorError::Io`] when it cannot be read.
pub(crate) fn read(dir: &Path) -> Result<Snapshot, CollectorError> {
    let path = dir.join(FILE);
    let io = |source| CollectorError::Io { path: path.display().to_string(), source };
    let size = match fs::metadata(&path) {
        Ok(meta) => meta.len(),
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(Snapshot::default()),
        Err(other) => return Err(io(other)),
    };
    let damaged = |reason| CollectorError::Snapshot { path: path.display().to_string(), reason };
    if size > MAX_FILE_BYTES {
        return Err(damaged("larger than any snapshot"));
    }
    decode(&fs::read(&path).map_err(io)?).map_err(damaged)
}

fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let entries = &snapshot.entries;
    let mut out = Vec::with_capacity(32 + 64 * entries.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&snapshot.published.0.to_le_bytes());
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for (at, key) in entries {
        out.extend_from_slice(&at.0.to_le_bytes());
        match key {
            Key::Stamp(tenant, stamp) => {
                put_tenant(&mut out, 1, tenant);
                out.extend_from_slice(&stamp.agent.0);
                out.extend_from_slice(&stamp.epoch.to_le_bytes());
                out.extend_from_slice(&stamp.sequence.to_le_bytes());
            }
            Key::Content(tenant, hash) => {
                put_tenant(&mut out, 2, tenant);
                out.extend_from_slice(&hash.to_le_bytes());
            }
        }
    }
    let sum = checksum(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn put_tenant(out: &mut Vec<u8>, kind: u8, tenant: &TenantId) {
    out.extend_from_slice(&[kind, tenant.as_str().len() as u8]);
    out.extend_from_slice(tenant.as_str().as_bytes());
}

fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

fn decode(bytes: &[u8]) -> Result<Snapshot, &'static str> {
    let (body, sum) = bytes.split_last_chunk::<8>().ok_or("too short")?;
    if checksum(body) != u64::from_le_bytes(*sum) {
        return Err("checksum differs");
    }
    let (mut rest, published, entry) = match body.strip_prefix(MAGIC) {
        Some(mut rest) => {
            let published = u64::from_le_bytes(take(&mut rest)?);
            (rest, published, entry as fn(&mut &[u8]) -> Result<Key, &'static str>)
        }
        None => (body.strip_prefix(MAGIC_1).ok_or("unknown magic or version")?, 0, entry_1 as _),
    };
    let count = u32::from_le_bytes(take(&mut rest)?);
    let mut entries = Vec::with_capacity((count as usize).min(rest.len() / 26));
    for _ in 0..count {
        let at = UnixNanos(u64::from_le_bytes(take(&mut rest)?));
        entries.push((at, entry(&mut rest)?));
    }
    match rest.is_empty() {
        true => Ok(Snapshot { published: LogOffset(published), entries }),
        false => Err("bytes after the last entry"),
    }
}

fn entry(rest: &mut &[u8]) -> Result<Key, &'static str> {
    let [kind] = take(rest)?;
    let tenant = take_tenant(rest)?;
    match kind {
        1 => Ok(Key::Stamp(tenant, take_stamp(rest)?)),
        2 => Ok(Key::Content(tenant, u128::from_le_bytes(take(rest)?))),
        _ => Err("unknown kind of entry"),
    }
}

/// An entry of version 1.
fn entry_1(rest: &mut &[u8]) -> Result<Key, &'static str> {
    match take(rest)? {
        [1] => Ok(Key::Stamp(TenantId::default(), take_stamp(rest)?)),
        [2] => {
            let hash = u128::from_le_bytes(take(rest)?);
            Ok(Key::Content(take_tenant(rest)?, hash))
        }
        _ => Err("unknown kind of entry"),
    }
}

fn take_stamp(rest: &mut &[u8]) -> Result<Stamp, &'static str> {
    Ok(Stamp {
        agent: AgentId(take(rest)?),
        epoch: u64::from_le_bytes(take(rest)?),
        sequence: u64::from_le_bytes(take(rest)?),
    })
}

fn take_tenant(rest: &mut &[u8]) -> Result<TenantId, &'static str> {
    let [length] = take(rest)?;
    let (name, after) = rest.split_at_checked(length.into()).ok_or("ends inside an entry")?;
    *rest = after;
    let name = std::str::from_utf8(name).map_err(|_| "invalid tenant")?;
    TenantId::parse(name).map_err(|_| "invalid tenant")
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], &'static str> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or("ends inside an entry")?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { agent: AgentId([3; 16]), epoch: 2, sequence: 9 };

    fn snapshot() -> Snapshot {
        let acme = TenantId::parse("acme").unwrap();
        let content = Key::Content(TenantId::default(), u128::MAX - 1);
        let entries = vec![(UnixNanos(5), Key::Stamp(acme, STAMP)), (UnixNanos(6), content)];
        Snapshot { published: LogOffset(77), entries }
    }

    #[test]
    fn a_snapshot_is_read_back_as_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), Snapshot::default());
        write(dir.path(), &snapshot()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), snapshot());
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let good = encode(&snapshot());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(decode(&bad).is_err(), "byte {at}");
            assert!(decode(&good[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_snapshot_of_version_1_is_read() {
        let mut bytes = b"DMDEDUP1\x02\0\0\0".to_vec();
        bytes.extend_from_slice(&5_u64.to_le_bytes());
        bytes.push(1);
        bytes.extend_from_slice(&STAMP.agent.0);
        bytes.extend_from_slice(&STAMP.epoch.to_le_bytes());
        bytes.extend_from_slice(&STAMP.sequence.to_le_bytes());
        bytes.extend_from_slice(&6_u64.to_le_bytes());
        bytes.push(2);
        bytes.extend_from_slice(&7_u128.to_le_bytes());
        bytes.extend_from_slice(b"\x04acme");
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        let Snapshot { published, entries } = decode(&bytes).unwrap();
        let acme = TenantId::parse("acme").unwrap();
        let stamp = Key::Stamp(TenantId::default(), STAMP);
        assert_eq!(entries, [(UnixNanos(5), stamp), (UnixNanos(6), Key::Content(acme, 7))]);
        assert_eq!(published, LogOffset(0));
    }
}
