//! A block as a file: `<32 hex digits>.blk`.
//!
//! ```text
//! 8   DAYMBLK1
//! 16  id, little-endian: a file under another's name is not that block
//! 4   length of the block, little-endian
//! 4   CRC32C of the 28 bytes before and the block, little-endian
//! n   the block
//! ```
//! Written under a temporary name and renamed; nothing is synced.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

use super::{BLOCK, BlockId};

const MAGIC: &[u8; 8] = b"DAYMBLK1";
const HEADER: usize = 32;
const SUFFIX: &str = ".blk";
const TEMPORARY: &str = ".tmp";

/// What lies under a block's name.
#[derive(Debug, PartialEq)]
pub(super) enum Read {
    Sound(Bytes),
    Absent,
    Damaged(&'static str),
}

/// The file's name.
pub(super) fn name(id: BlockId) -> String {
    format!("{id:032x}{SUFFIX}")
}

/// Blocks in `dir` and their sizes as files, longest unchanged first. Temporary files of an earlier run are deleted.
pub(super) fn list(dir: &Path) -> std::io::Result<Vec<(BlockId, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str() else { continue };
        if file_name.ends_with(TEMPORARY) {
            // Gone already, or deleted by the next start.
            let _ = fs::remove_file(entry.path());
            continue;
        }
        let digits = file_name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 32);
        let Some(id) = digits.and_then(|digits| BlockId::from_str_radix(digits, 16).ok()) else { continue };
        let Ok(meta) = entry.metadata() else { continue };
        found.push((meta.modified().ok(), id, meta.len()));
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, id, bytes)| (id, bytes)).collect())
}

pub(super) fn read(dir: &Path, id: BlockId) -> Read {
    let path = dir.join(name(id));
    match fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Read::Absent,
        Ok(meta) if meta.len() > BLOCK + HEADER as u64 => return Read::Damaged("larger than any block"),
        _ => {}
    }
    match fs::read(&path) {
        Ok(bytes) => check(Bytes::from(bytes), id),
        Err(error) if error.kind() == ErrorKind::NotFound => Read::Absent,
        Err(_) => Read::Damaged("cannot be read"),
    }
}

fn check(file: Bytes, id: BlockId) -> Read {
    if file.len() < HEADER {
        return Read::Damaged("cut short");
    }
    let block = file.slice(HEADER..);
    match file[..HEADER] == header(id, &block) {
        true => Read::Sound(block),
        false => Read::Damaged("checksum, length or identity is wrong"),
    }
}

fn header(id: BlockId, block: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..24].copy_from_slice(&id.to_le_bytes());
    header[24..28].copy_from_slice(&(block.len() as u32).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..28]), block);
    header[28..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Writes a block; returns the size of its file.
pub(super) fn write(dir: &Path, id: BlockId, block: &[u8]) -> std::io::Result<u64> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    let temporary: PathBuf = dir.join(format!("{id:032x}.{}-{number}{TEMPORARY}", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&header(id, block))?;
        file.write_all(block)?;
        fs::rename(&temporary, dir.join(name(id)))
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map(|()| (HEADER + block.len()) as u64)
}

/// Deletes a block; one that is gone is gone.
pub(super) fn remove(dir: &Path, id: BlockId) {
    let _ = fs::remove_file(dir.join(name(id)));
}
