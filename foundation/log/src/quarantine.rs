//! Copies of damaged bytes, for somebody to look at after the segment has been released.
//!
//! Never in the way: what cannot be copied (no space, cap reached, disk error) is reported without a copy.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::FileSystem;
use crate::recover::Segment;
use crate::window::Window;

const STEP_BYTES: u64 = 256 << 10;

pub(crate) struct Quarantine {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    limit_bytes: u64,
    used_bytes: Option<u64>,
}

impl Quarantine {
    pub(crate) fn new(fs: Arc<dyn FileSystem>, log_dir: &Path, limit_bytes: u64) -> Quarantine {
        Quarantine { fs, dir: log_dir.join("quarantine"), limit_bytes, used_bytes: None }
    }

    /// Copies a part of a segment; returns where to, if it did or had done so before.
    pub(crate) fn copy(&mut self, segment: &Segment, position: u64, bytes: u64) -> Option<PathBuf> {
        let name = format!("{:020}-{position}-{bytes}.bin", segment.id);
        let path = self.dir.join(&name);
        match self.try_copy(segment, position, bytes, &name) {
            Ok(true) => Some(path),
            Ok(false) => {
                tracing::warn!(file = %path.display(), "no copy of the damaged bytes: quarantine_bytes is used up");
                None
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "no copy of the damaged bytes");
                None
            }
        }
    }

    fn try_copy(&mut self, segment: &Segment, position: u64, bytes: u64, name: &str) -> io::Result<bool> {
        self.fs.create_dir(&self.dir)?;
        let names = self.fs.list(&self.dir)?;
        if names.iter().any(|existing| existing == name) {
            return Ok(true);
        }
        let used = match self.used_bytes {
            Some(used) => used,
            None => self.measure(&names)?,
        };
        self.used_bytes = Some(used);
        if used + bytes > self.limit_bytes {
            return Ok(false);
        }
        let temporary = self.dir.join(format!("{name}.tmp"));
        let copy = self.fs.create(&temporary)?;
        let mut window = Window::new(segment.file.clone())?;
        let mut done = 0;
        while done < bytes {
            let part = window.peek(position + done, (bytes - done).min(STEP_BYTES) as usize);
            if part.is_empty() {
                break;
            }
            if copy.write_at(part, done)? != part.len() {
                return Err(io::ErrorKind::WriteZero.into());
            }
            done += part.len() as u64;
        }
        copy.sync_data()?;
        self.fs.rename(&temporary, &self.dir.join(name))?;
        self.fs.sync_dir(&self.dir)?;
        self.used_bytes = Some(used + bytes);
        Ok(true)
    }

    fn measure(&self, names: &[String]) -> io::Result<u64> {
        let mut used = 0;
        for name in names {
            used += self.fs.open_to_read(&self.dir.join(name))?.size()?;
        }
        Ok(used)
    }
}
