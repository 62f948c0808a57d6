//! The thread that keeps dead letters within their bounds.

use std::collections::VecDeque;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use daymark_guard::Clock;

use super::{DeadLetter, DeadLetterError, DeadLetterFile, LEAST_BYTES, SUFFIX};

/// Bounds of the dead-letter area.
#[derive(Clone, Debug)]
pub struct DeadLetterOptions {
    /// The folder.
    pub dir: PathBuf,
    /// All files together, bytes; the oldest go when more come.
    pub max_bytes: u64,
    /// Older files go, milliseconds.
    pub max_age_ms: u64,
    /// Letters that may wait to be written; further ones are counted and gone.
    pub queue_letters: usize,
    /// Bytes of letters that may wait to be written.
    pub queue_bytes: u64,
}

impl DeadLetterOptions {
    /// The defaults, in `dir`.
    pub fn new(dir: PathBuf) -> DeadLetterOptions {
        let max_age_ms = 7 * 24 * 3_600_000;
        DeadLetterOptions { dir, max_bytes: 64 << 20, max_age_ms, queue_letters: 64, queue_bytes: 16 << 20 }
    }

    /// One letter may take a quarter of the area, so that it cannot push all others out.
    fn max_letter_bytes(&self) -> u64 {
        self.max_bytes / 4
    }
}

/// Between looks at files that are too old.
const LOOK: Duration = Duration::from_secs(60);

/// What became of dead letters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterCounts {
    /// Written.
    pub kept: u64,
    /// Not written: too many at once, too large, or the disk refused.
    pub dropped: u64,
    /// Written and taken out again because of bytes or age.
    pub expired: u64,
}

#[derive(Default)]
struct Counts {
    kept: AtomicU64,
    dropped: AtomicU64,
    expired: AtomicU64,
    waiting_bytes: AtomicU64,
}

/// Takes dead letters. Clones share the thread, which ends when the last of them is dropped.
#[derive(Clone)]
pub struct DeadLetters {
    queue: SyncSender<DeadLetter>,
    counts: Arc<Counts>,
    queue_bytes: u64,
    max_letter_bytes: u64,
}

impl DeadLetters {
    /// Opens the area and starts its thread.
    ///
    /// # Errors
    /// [`DeadLetterError::Io`] when the folder cannot be made or read.
    pub fn start(options: DeadLetterOptions, clock: Arc<dyn Clock>) -> Result<DeadLetters, DeadLetterError> {
        let io = |source| DeadLetterError::Io { path: options.dir.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&options.dir).map_err(io)?;
        let files: VecDeque<_> = DeadLetterFile::all(&options.dir).map_err(io)?.into();
        let (queue, letters) = sync_channel(options.queue_letters.max(1));
        let counts = Arc::new(Counts::default());
        let taken = files.iter().map(DeadLetterFile::taken).sum();
        let (queue_bytes, max_letter_bytes) = (options.queue_bytes, options.max_letter_bytes());
        let mut area = Area { options, clock, files, taken, sequence: 0, counts: Arc::clone(&counts) };
        std::thread::Builder::new()
            .name("dead-letters".into())
            .spawn(move || area.run(&letters))
            .map_err(|source| DeadLetterError::Io { path: PathBuf::from("the thread of dead letters"), source })?;
        Ok(DeadLetters { queue, counts, queue_bytes, max_letter_bytes })
    }

    /// Hands a letter over; never waits.
    pub fn keep(&self, letter: DeadLetter) {
        let bytes = letter.content.len() as u64;
        let fits = |waiting: u64| (waiting + bytes <= self.queue_bytes).then_some(waiting + bytes);
        let fits =
            bytes <= self.max_letter_bytes && self.counts.waiting_bytes.fetch_update(Relaxed, Relaxed, fits).is_ok();
        if fits && self.queue.try_send(letter).is_ok() {
            return;
        }
        if fits {
            self.counts.waiting_bytes.fetch_sub(bytes, Relaxed);
        }
        self.counts.dropped.fetch_add(1, Relaxed);
    }

    /// What became of them.
    pub fn counts(&self) -> DeadLetterCounts {
        let Counts { kept, dropped, expired, .. } = &*self.counts;
        DeadLetterCounts { kept: kept.load(Relaxed), dropped: dropped.load(Relaxed), expired: expired.load(Relaxed) }
    }
}

/// What the thread knows of the folder.
struct Area {
    options: DeadLetterOptions,
    clock: Arc<dyn Clock>,
    /// Oldest first.
    files: VecDeque<DeadLetterFile>,
    taken: u64,
    sequence: u64,
    counts: Arc<Counts>,
}

impl Area {
    fn run(&mut self, letters: &Receiver<DeadLetter>) {
        loop {
            self.forget_old();
            match letters.recv_timeout(LOOK) {
                Ok(letter) => {
                    let bytes = letter.content.len() as u64;
                    match self.write(&letter) {
                        Ok(()) => self.counts.kept.fetch_add(1, Relaxed),
                        Err(error) => {
                            tracing::warn!(dir = %self.options.dir.display(), %error, "a dead letter was not kept");
                            self.counts.dropped.fetch_add(1, Relaxed)
                        }
                    };
                    self.counts.waiting_bytes.fetch_sub(bytes, Relaxed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self, letter: &DeadLetter) -> std::io::Result<()> {
        let bytes = letter.to_bytes()?;
        let file_bytes = bytes.len() as u64;
        self.sequence += 1;
        let name = format!("{:020}-{:06}{SUFFIX}", letter.time.0, self.sequence % 1_000_000);
        let file = DeadLetterFile { path: self.options.dir.join(&name), name, bytes: file_bytes };
        // Room first: the area is never larger than its bound, not even for a moment.
        self.make_room(file.taken());
        let draft = file.path.with_extension("draft");
        let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft);
        let written =
            written.and_then(|mut out| out.write_all(&bytes)).and_then(|()| std::fs::rename(&draft, &file.path));
        if let Err(error) = written {
            // What is left of the draft takes room; whether it can go is all the same for the letter.
            let _ = std::fs::remove_file(&draft);
            return Err(error);
        }
        self.taken += file.taken();
        self.files.push_back(file);
        Ok(())
    }

    fn make_room(&mut self, bytes: u64) {
        while self.taken + bytes.max(LEAST_BYTES) > self.options.max_bytes && !self.files.is_empty() {
            self.forget_oldest();
        }
    }

    fn forget_old(&mut self) {
        let oldest_ms = (self.clock.now().0 / 1_000_000).saturating_sub(self.options.max_age_ms);
        while self.files.front().is_some_and(|file| file.came_ms().is_none_or(|came| came < oldest_ms)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(file) = self.files.pop_front() else { return };
        self.taken -= file.taken();
        // An operator may have taken it out already.
        if std::fs::remove_file(&file.path).is_ok() {
            self.counts.expired.fetch_add(1, Relaxed);
        }
    }
}
