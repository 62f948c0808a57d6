//! Dead letters: requests that could not be decoded, kept for a while so that somebody can look at them and send them again.
//!
//! Where it sits: beside the listeners. A request that cannot be decoded is refused with the reason, as ever; a copy goes
//! to a thread that writes it to `DATA_DIR/dead-letters`. `daymark dead-letters` reads the files (`docs/formats/dead-letters.md`).
//!
//! Invariants:
//! - it never slows a request: handing a letter over is a bounded queue in memory, and what does not fit is counted and gone;
//! - it never fills a disk: files together are at most `max_bytes`, the oldest go first, and none is older than `max_age_ms`;
//! - a letter is no acknowledgement: it is not synced, and the client was told that its request was refused.

mod file;
mod writer;

use std::path::{Path, PathBuf};

pub use file::{DeadLetter, DeadLetterError};
pub use writer::{DeadLetterCounts, DeadLetterOptions, DeadLetters};

/// Header of a request that is a dead letter sent again: it does not become another one.
pub const REPLAY_HEADER: &str = "daymark-replay";
/// End of the name of every dead letter.
const SUFFIX: &str = ".dead";
/// A file takes at least a block of the disk.
const LEAST_BYTES: u64 = 4_096;

/// A dead letter's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterFile {
    /// Its name, which begins with when it came: names in order are letters in order.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

impl DeadLetterFile {
    /// All in `dir`, oldest first; none when the folder does not exist.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(dir: &Path) -> std::io::Result<Vec<DeadLetterFile>> {
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.ends_with(SUFFIX) {
                files.push(DeadLetterFile { path: entry.path(), bytes: entry.metadata()?.len(), name });
            }
        }
        files.sort();
        Ok(files)
    }

    /// When it came, milliseconds since 1970, by its name.
    fn came_ms(&self) -> Option<u64> {
        let nanos: u64 = self.name.split_once('-')?.0.parse().ok()?;
        Some(nanos / 1_000_000)
    }

    /// What it takes of the disk.
    fn taken(&self) -> u64 {
        self.bytes.next_multiple_of(LEAST_BYTES).max(LEAST_BYTES)
    }
}

#[cfg(test)]
mod tests;
