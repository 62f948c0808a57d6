//! Copies single files into a backup and out of it, with checksums.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const STEP_BYTES: usize = 1 << 20;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    pub(super) crc32c: u32,
}

/// Reads a file for its checksum.
pub(super) fn sum_of(path: &Path) -> std::io::Result<Sum> {
    each_step(path, |_| Ok(()))
}

/// Permission bits of a file.
pub(super) fn mode_of(path: &Path) -> std::io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

/// Brings an immutable file to `to`: by a second name where that is possible and wanted, else by its bytes.
pub(super) fn link_or_copy(from: &Path, to: &Path, link: bool) -> std::io::Result<Sum> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if link {
        match fs::hard_link(from, to) {
            Ok(()) => return sum_of(to),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
            // Of an interrupted backup: nobody has read its content yet.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::remove_file(to)?,
            // Another disk, or one without links.
            Err(_) => {}
        }
    }
    copy(from, to, mode_of(from)?)
}

/// Writes a copy that has its name only when it is durable.
pub(super) fn copy(from: &Path, to: &Path, mode: u32) -> std::io::Result<Sum> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut temporary = to.as_os_str().to_owned();
    temporary.push(".tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    let sum = each_step(from, |bytes| file.write_all(bytes))?;
    file.sync_all()?;
    fs::rename(&temporary, to)?;
    Ok(sum)
}

/// Makes the names in `dir`, and below it, durable.
pub(super) fn sync_dirs(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_dirs(&entry.path())?;
        }
    }
    File::open(dir)?.sync_all()
}

fn each_step(path: &Path, mut take: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<Sum> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; STEP_BYTES];
    let mut sum = Sum { bytes: 0, crc32c: 0 };
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok(sum),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        sum.bytes += read as u64;
        sum.crc32c = crc32c::crc32c_append(sum.crc32c, &buffer[..read]);
        take(&buffer[..read])?;
    }
}
