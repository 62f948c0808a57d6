//! The dedup window on disk: written before a segment of the log is deleted, read at start.
//!
//! Byte layout (little endian, see `docs/formats/dedup.md`):
//! ```text
//! "DMDEDUP1" · u32 number of entries · entries · u64 xxh3 of all before
//! entry: u64 time ns · u8 kind
//!   kind 1, stamp:   agent [16] · u64 epoch · u64 sequence
//!   kind 2, content: u128 hash · u8 tenant length · tenant
//! ```
//! Invariants: the file is replaced whole (temporary file, fsync, rename, fsync of the directory); a damaged file is
//! reported and ignored: then repeats of requests whose frames are no longer in the log are not recognised.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use daymark_model::{AgentId, Stamp, TenantId, UnixNanos};
use xxhash_rust::xxh3::xxh3_64;

use crate::dedup::Key;
use crate::error::CollectorError;

const MAGIC: &[u8; 8] = b"DMDEDUP1";
const FILE: &str = "dedup.snapshot";
/// Larger files are not ours: two windows of the largest sensible size are far below.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Replaces the snapshot in `dir`. Durable on return.
///
/// # Errors
/// [`CollectorError::Io`] when it cannot be written; the old one is then still there.
pub(crate) fn write(dir: &Path, entries: &[(UnixNanos, Key)]) -> Result<(), CollectorError> {
    let path = dir.join(FILE);
    let temporary = dir.join("dedup.snapshot.tmp");
    let bytes = encode(entries);
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
pub(crate) fn read(dir: &Path) -> Result<Vec<(UnixNanos, Key)>, CollectorError> {
    let path = dir.join(FILE);
    let io = |source| CollectorError::Io { path: path.display().to_string(), source };
    let size = match fs::metadata(&path) {
        Ok(meta) => meta.len(),
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(other) => return Err(io(other)),
    };
    let damaged = |reason| CollectorError::Snapshot { path: path.display().to_string(), reason };
    if size > MAX_FILE_BYTES {
        return Err(damaged("larger than any snapshot"));
    }
    decode(&fs::read(&path).map_err(io)?).map_err(damaged)
}

fn encode(entries: &[(UnixNanos, Key)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + 48 * entries.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for (at, key) in entries {
        out.extend_from_slice(&at.0.to_le_bytes());
        match key {
            Key::Stamp(stamp) => {
                out.push(1);
                out.extend_from_slice(&stamp.agent.0);
                out.extend_from_slice(&stamp.epoch.to_le_bytes());
                out.extend_from_slice(&stamp.sequence.to_le_bytes());
            }
            Key::Content(tenant, hash) => {
                out.push(2);
                out.extend_from_slice(&hash.to_le_bytes());
                out.push(tenant.as_str().len() as u8);
                out.extend_from_slice(tenant.as_str().as_bytes());
            }
        }
    }
    let sum = checksum(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

fn decode(bytes: &[u8]) -> Result<Vec<(UnixNanos, Key)>, &'static str> {
    let (body, sum) = bytes.split_last_chunk::<8>().ok_or("too short")?;
    if checksum(body) != u64::from_le_bytes(*sum) {
        return Err("checksum differs");
    }
    let mut rest = body.strip_prefix(MAGIC.as_slice()).ok_or("unknown magic or version")?;
    let count = u32::from_le_bytes(take(&mut rest)?);
    let mut entries = Vec::with_capacity((count as usize).min(rest.len() / 26));
    for _ in 0..count {
        let at = UnixNanos(u64::from_le_bytes(take(&mut rest)?));
        let [kind] = take(&mut rest)?;
        let key = match kind {
            1 => Key::Stamp(Stamp {
                agent: AgentId(take(&mut rest)?),
                epoch: u64::from_le_bytes(take(&mut rest)?),
                sequence: u64::from_le_bytes(take(&mut rest)?),
            }),
            2 => {
                let hash = u128::from_le_bytes(take(&mut rest)?);
                let [length] = take(&mut rest)?;
                let (name, after) = rest.split_at_checked(length.into()).ok_or("ends inside an entry")?;
                rest = after;
                let name = std::str::from_utf8(name).map_err(|_| "invalid tenant")?;
                Key::Content(TenantId::parse(name).map_err(|_| "invalid tenant")?, hash)
            }
            _ => return Err("unknown kind of entry"),
        };
        entries.push((at, key));
    }
    if rest.is_empty() { Ok(entries) } else { Err("bytes after the last entry") }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], &'static str> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or("ends inside an entry")?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<(UnixNanos, Key)> {
        let stamp = Stamp { agent: AgentId([3; 16]), epoch: 2, sequence: 9 };
        vec![(UnixNanos(5), Key::Stamp(stamp)), (UnixNanos(6), Key::Content(TenantId::default(), u128::MAX - 1))]
    }

    #[test]
    fn a_snapshot_is_read_back_as_written() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap().is_empty());
        write(dir.path(), &entries()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), entries());
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let good = encode(&entries());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(decode(&bad).is_err(), "byte {at}");
            assert!(decode(&good[..at]).is_err(), "cut at {at}");
        }
    }
}
