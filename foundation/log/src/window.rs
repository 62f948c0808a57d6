//! Reads a segment file through a small window, so that scanning needs little memory.
//!
//! Invariant: reading never fails. A block the disk refuses to give reads as zeros, which no checksum accepts, so a bad
//! sector costs the frames on it and not the whole log.

use std::io;
use std::sync::Arc;

use crate::OpenFile;

const WINDOW_BYTES: usize = 256 << 10;
const BLOCK_BYTES: usize = 4096;

pub(crate) struct Window {
    file: Arc<dyn OpenFile>,
    size: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    pub(crate) fn new(file: Arc<dyn OpenFile>) -> io::Result<Window> {
        let size = file.size()?;
        Ok(Window { file, size, start: 0, bytes: Vec::new() })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes from `position` on, `len` of them or fewer at the end of the file. `len` is at most a window.
    pub(crate) fn peek(&mut self, position: u64, len: usize) -> &[u8] {
        debug_assert!(len <= WINDOW_BYTES);
        let wanted_end = (position + len as u64).min(self.size);
        let inside = position >= self.start && wanted_end <= self.start + self.bytes.len() as u64;
        if !inside && position < self.size {
            let available = (self.size - position).min(WINDOW_BYTES as u64) as usize;
            self.bytes.resize(available, 0);
            self.start = position;
            read_full(self.file.as_ref(), &mut self.bytes, position);
        }
        let from = position.saturating_sub(self.start) as usize;
        let to = wanted_end.saturating_sub(self.start) as usize;
        self.bytes.get(from..to.max(from)).unwrap_or_default()
    }

    /// A copy of exactly `len` bytes; the caller has checked that the file holds them.
    pub(crate) fn copy(&mut self, position: u64, len: usize) -> Vec<u8> {
        if len <= WINDOW_BYTES {
            return self.peek(position, len).to_vec();
        }
        let mut bytes = vec![0; len];
        read_full(self.file.as_ref(), &mut bytes, position);
        bytes
    }

    /// The crc32c of `len` bytes.
    pub(crate) fn checksum(&mut self, position: u64, len: usize) -> u32 {
        let (mut crc, mut done) = (0, 0);
        while done < len {
            let part = self.peek(position + done as u64, (len - done).min(WINDOW_BYTES));
            if part.is_empty() {
                break;
            }
            crc = crc32c::crc32c_append(crc, part);
            done += part.len();
        }
        crc
    }
}

fn read_full(file: &dyn OpenFile, buf: &mut [u8], position: u64) {
    if !read_exact(file, buf, position) {
        for (index, block) in buf.chunks_mut(BLOCK_BYTES).enumerate() {
            if !read_exact(file, block, position + (index * BLOCK_BYTES) as u64) {
                block.fill(0);
            }
        }
    }
}

fn read_exact(file: &dyn OpenFile, buf: &mut [u8], position: u64) -> bool {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], position + done as u64) {
            Ok(0) => return false,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}
