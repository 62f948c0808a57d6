//! The handle of an open log.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread;
use std::time::Instant;

use daymark_model::LogOffset;
use tokio::sync::oneshot;

use crate::frame;
use crate::keeper::Keeper;
use crate::recover::{self, Found};
use crate::shared::{Pending, Sealed, Shared};
use crate::writer::Writer;
use crate::{Damage, DurableFrames, FileSystem, LogError, LogOptions, LogStats, NewFrame, Replay};

/// An open ingest log. Clones share it; when the last one goes, what waits is committed and the log is sealed in the
/// background. Use [`IngestLog::close`] to know when.
#[derive(Clone)]
pub struct IngestLog {
    shared: Arc<Shared>,
    _open: Arc<OpenGuard>,
}

/// Lives as long as there is a handle.
struct OpenGuard(Arc<Shared>);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.begin_close();
    }
}

/// Where and when an append became durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Its place in the log.
    pub offset: LogOffset,
    /// When the sync that covered it ended.
    pub synced_at: Instant,
}

/// What was found when the log was opened.
pub struct Recovered {
    /// The durable frames after the offset asked for, in order. Read from disk while it is consumed.
    pub frames: Replay,
    /// What could not be read: reported, with the file and the position.
    pub damage: Vec<Damage>,
    /// The oldest readable frame in the log, released or not; `None` when there is none.
    pub first: Option<LogOffset>,
    /// The newest readable frame; 0 when there is none. The next append gets a larger offset, not always the next one.
    pub last: LogOffset,
}

impl IngestLog {
    /// Opens or creates the log in `options.dir` and reads all segments that hold frames after `from`. New frames will
    /// go to a new segment. Blocks for as long as that takes: call it from a blocking thread.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it open, [`LogError::UnknownVersion`] when a later version wrote
    /// it, [`LogError::InvalidOptions`], [`LogError::Io`]. Neither damage nor a full disk is an error.
    pub fn open(
        options: LogOptions,
        fs: Arc<dyn FileSystem>,
        from: LogOffset,
    ) -> Result<(IngestLog, Recovered), LogError> {
        options.check()?;
        let dir = options.dir.clone();
        fs.create_dir(&dir).map_err(LogError::io("create", &dir))?;
        let lock = fs.lock(&dir).map_err(LogError::io("lock", &dir))?;
        let lock = lock.ok_or(LogError::Locked { dir })?;
        let Found { segments, lasts, damage, first, last, next, next_id, link } =
            recover::recover(&fs, &options, from)?;
        let frames = Replay::new(&segments, from);
        let shared = Arc::new(Shared::new(options, fs, lock));
        shared.durable.store(last.0, Release);
        let sealed = segments.into_iter().zip(lasts);
        shared.lock().sealed =
            sealed.map(|(segment, last)| Sealed { path: segment.path, bytes: segment.bytes, last }).collect();
        let keeper = Keeper::new(shared.clone())?;
        spawn("log-keeper", &shared, move || keeper.run())?;
        let writer = Writer::new(shared.clone(), next, next_id, link);
        let of_writer = shared.clone();
        spawn("log-writer", &shared, move || {
            writer_thread(&of_writer, writer);
        })?;
        let log = IngestLog { _open: Arc::new(OpenGuard(shared.clone())), shared };
        Ok((log, Recovered { frames, damage, first, last }))
    }

    /// Appends a frame and waits until it is durable. If the future is dropped, the frame may still become durable.
    ///
    /// # Errors
    /// At once and with nothing kept: [`LogError::QueueFull`], [`LogError::TooLarge`], [`LogError::Closed`]. At once or
    /// later, with nothing kept: [`LogError::DiskFull`]. At once or later, and then the frame may be durable:
    /// [`LogError::Poisoned`].
    pub async fn append(&self, frame: NewFrame) -> Result<Durable, LogError> {
        let (bytes, limit) = (frame.payload.len(), self.shared.options.max_frame_bytes);
        if bytes > limit {
            return Err(LogError::TooLarge { bytes, limit });
        }
        // Here and not in the writer: on the caller's core.
        let payload_crc = crc32c::crc32c(&frame.payload);
        let answer = self.enqueue(frame, payload_crc)?;
        match answer.await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.shared.poisoned().unwrap_or(LogError::Closed)),
        }
    }

    fn enqueue(
        &self,
        frame: NewFrame,
        payload_crc: u32,
    ) -> Result<oneshot::Receiver<Result<Durable, LogError>>, LogError> {
        let cost_bytes = frame::cost_bytes(frame.payload.len());
        let (done, answer) = oneshot::channel();
        let mut state = self.shared.lock();
        if let Some(refusal) = state.refusal(&self.shared.options, cost_bytes) {
            return Err(refusal);
        }
        let was_empty = state.pending.is_empty();
        state.waiting_bytes += cost_bytes;
        state.pending.push_back(Pending { frame, payload_crc, since: Instant::now(), done });
        let is_commit_full = state.waiting_bytes >= self.shared.options.commit_bytes;
        drop(state);
        // In between the writer is awake already, or sleeps until its interval is over.
        if was_empty || is_commit_full {
            self.shared.work.notify_all();
        }
        Ok(answer)
    }

    /// The one consumer of durable frames: those appended since the log was opened, none left out. When `limit_bytes`
    /// of frames wait for it, the log stops committing until it takes some; without any consumer that happens at
    /// `queue_bytes`. Subscribing again ends the former.
    pub fn subscribe(&self, limit_bytes: usize) -> DurableFrames {
        DurableFrames::new(self.shared.clone(), limit_bytes)
    }

    /// The newest durable offset.
    pub fn durable(&self) -> LogOffset {
        LogOffset(self.shared.durable.load(Acquire))
    }

    /// Says that somebody knows offsets up to `used`, although the log may not: its directory may have been lost. Called
    /// before the first append, it keeps new frames from getting an offset that a table takes for one it has seen.
    pub fn skip_to(&self, used: LogOffset) {
        let mut state = self.shared.lock();
        state.used = state.used.max(used.0);
    }

    /// Lets go of frames up to and including `up_to`: segments that hold no later ones are deleted or recycled, soon
    /// and in the background. Call it only after what consumed them is durable.
    pub fn release(&self, up_to: LogOffset) {
        let mut state = self.shared.lock();
        state.released = state.released.max(up_to.0);
        drop(state);
        self.shared.keeping.notify_all();
    }

    /// Bytes that can still be written to the log's disk; `None` when it does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        self.shared.fs.free_bytes(&self.shared.options.dir).ok()
    }

    /// Figures for metrics.
    pub fn stats(&self) -> LogStats {
        let state = self.shared.lock();
        let sealed: u64 = state.sealed.iter().map(|segment| segment.bytes).sum();
        let spare: u64 = state.spares.iter().map(|spare| spare.bytes).sum();
        let (fsync_p50_us, fsync_p99_us) = state.sync_times.quantiles();
        LogStats {
            bytes: sealed + spare + state.active_bytes.unwrap_or(0),
            segments: state.sealed.len() as u64 + u64::from(state.active_bytes.is_some()),
            frames: state.frames,
            commits: state.commits,
            fsync_p50_us,
            fsync_p99_us,
            queued_bytes: state.waiting_bytes as u64,
            undelivered_bytes: state.ready_bytes as u64,
            disk_full: state.is_disk_full,
        }
    }

    /// Resolves when the log has failed for good; the process should then exit and recover by replay.
    pub async fn failed(&self) -> LogError {
        let mut failure = self.shared.failure.subscribe();
        let reason = failure.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        LogError::Poisoned { reason: reason.unwrap_or_else(|| "unknown".into()) }
    }

    /// Commits what waits, seals the newest segment and stops. Appends that come later are refused.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] when that failed.
    pub async fn close(self) -> Result<(), LogError> {
        self.shared.begin_close();
        let mut ended = self.shared.ended.subscribe();
        // The sender lives in `shared`, which this handle holds: the wait cannot fail.
        let _ = ended.wait_for(|ended| *ended).await;
        self.shared.poisoned().map_or(Ok(()), Err)
    }
}

fn spawn(name: &str, shared: &Shared, body: impl FnOnce() + Send + 'static) -> Result<(), LogError> {
    let spawned = thread::Builder::new().name(name.into()).spawn(body);
    spawned.map(drop).map_err(LogError::io("start a thread for", &shared.options.dir)).inspect_err(|_| {
        shared.lock().is_writer_done = true;
        shared.wake_all();
    })
}

fn writer_thread(shared: &Shared, writer: Writer) {
    // A bug must not leave callers waiting for ever.
    if panic::catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
        shared.fail("bug: the log's writer panicked");
    }
    shared.lock().is_writer_done = true;
    shared.wake_all();
}
