//! What the handle, the writer, the keeper of segments and the consumer share.
//!
//! Invariants:
//! - the lock is held for a few instructions only, never across IO or an await;
//! - bytes that wait to become durable stay within `queue_bytes`, those that wait for the consumer within its limit plus
//!   one commit;
//! - once `failed` is set nothing is acknowledged.

use std::any::Any;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot, watch};

use crate::stats::SyncTimes;
use crate::{Durable, FileSystem, Frame, LogError, LogOptions, NewFrame, OpenFile, frame};

/// A frame on its way to the disk.
pub(crate) struct Pending {
    pub(crate) frame: NewFrame,
    pub(crate) payload_crc: u32,
    pub(crate) since: Instant,
    pub(crate) done: oneshot::Sender<Result<Durable, LogError>>,
}

impl Pending {
    pub(crate) fn cost_bytes(&self) -> usize {
        frame::cost_bytes(self.frame.payload.len())
    }
}

/// A file of full size, allocated and synced, that waits to become a segment.
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn OpenFile>,
    pub(crate) bytes: u64,
}

/// A segment that takes no more frames.
pub(crate) struct Sealed {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// The largest sequence number in it.
    pub(crate) last: u64,
}

pub(crate) struct State {
    pub(crate) pending: VecDeque<Pending>,
    /// Bytes appended and not yet durable: `pending` and what the writer has in hand.
    pub(crate) waiting_bytes: usize,
    pub(crate) is_closing: bool,
    pub(crate) is_writer_done: bool,
    pub(crate) failed: Option<Arc<str>>,
    pub(crate) is_disk_full: bool,

    pub(crate) ready: VecDeque<Frame>,
    pub(crate) ready_bytes: usize,
    pub(crate) ready_limit_bytes: usize,
    /// Grows with each subscription; frames belong to the newest.
    pub(crate) subscription: u64,
    /// The consumer was dropped: frames are not kept for it.
    pub(crate) is_consumer_gone: bool,

    /// Files that wait to become segments; one is enough.
    pub(crate) spares: VecDeque<Spare>,
    /// The next segment must be at least this large.
    pub(crate) spare_bytes: u64,
    pub(crate) sealed: VecDeque<Sealed>,
    pub(crate) active_bytes: Option<u64>,
    pub(crate) released: u64,
    /// The next segment's numbers are above this.
    pub(crate) used: u64,

    pub(crate) sync_times: SyncTimes,
    pub(crate) frames: u64,
    pub(crate) commits: u64,
    /// Held while the threads run.
    pub(crate) dir_lock: Option<Box<dyn Any + Send + Sync>>,
}

pub(crate) struct Shared {
    pub(crate) options: LogOptions,
    pub(crate) fs: Arc<dyn FileSystem>,
    state: Mutex<State>,
    /// For the writer: frames, room at the consumer, a spare, closing.
    pub(crate) work: Condvar,
    /// For the keeper: a spare was taken, segments were released, the writer is done.
    pub(crate) keeping: Condvar,
    /// For a blocking consumer and an async one: frames are ready, or the log has ended.
    pub(crate) arrived: Condvar,
    pub(crate) arrived_async: Notify,
    pub(crate) durable: AtomicU64,
    pub(crate) failure: watch::Sender<Option<Arc<str>>>,
    pub(crate) ended: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(options: LogOptions, fs: Arc<dyn FileSystem>, dir_lock: Box<dyn Any + Send + Sync>) -> Shared {
        let state = State {
            pending: VecDeque::new(),
            waiting_bytes: 0,
            is_closing: false,
            is_writer_done: false,
            failed: None,
            is_disk_full: false,
            ready: VecDeque::new(),
            ready_bytes: 0,
            ready_limit_bytes: options.queue_bytes,
            subscription: 0,
            is_consumer_gone: false,
            spares: VecDeque::new(),
            spare_bytes: options.segment_bytes,
            sealed: VecDeque::new(),
            active_bytes: None,
            released: 0,
            used: 0,
            sync_times: SyncTimes::default(),
            frames: 0,
            commits: 0,
            dir_lock: Some(dir_lock),
        };
        Shared {
            options,
            fs,
            state: Mutex::new(state),
            work: Condvar::new(),
            keeping: Condvar::new(),
            arrived: Condvar::new(),
            arrived_async: Notify::new(),
            durable: AtomicU64::new(0),
            failure: watch::Sender::new(None),
            ended: watch::Sender::new(false),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; if some did, the state would still be whole.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn wait<'a>(&self, on: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        on.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn wait_for<'a>(
        &self,
        on: &Condvar,
        state: MutexGuard<'a, State>,
        limit: Duration,
    ) -> MutexGuard<'a, State> {
        on.wait_timeout(state, limit).unwrap_or_else(|poisoned| poisoned.into_inner()).0
    }

    /// Stops the log for good: nothing is acknowledged from here on.
    pub(crate) fn fail(&self, reason: impl Into<Arc<str>>) {
        let mut state = self.lock();
        if state.failed.is_some() {
            return;
        }
        let reason: Arc<str> = reason.into();
        tracing::error!(%reason, "ingest log stopped; the process must restart and recover");
        state.failed = Some(reason.clone());
        let refused = std::mem::take(&mut state.pending);
        state.waiting_bytes = 0;
        drop(state);
        for pending in refused {
            // The caller may have gone.
            let _ = pending.done.send(Err(LogError::Poisoned { reason: reason.clone() }));
        }
        self.failure.send_replace(Some(reason));
        self.wake_all();
    }

    /// Asks the threads to finish.
    pub(crate) fn begin_close(&self) {
        self.lock().is_closing = true;
        self.wake_all();
    }

    pub(crate) fn wake_all(&self) {
        self.work.notify_all();
        self.keeping.notify_all();
        self.wake_consumer();
    }

    pub(crate) fn wake_consumer(&self) {
        self.arrived.notify_all();
        self.arrived_async.notify_one();
    }

    pub(crate) fn poisoned(&self) -> Option<LogError> {
        self.lock().failed.clone().map(|reason| LogError::Poisoned { reason })
    }
}

impl State {
    /// Why no new frame is accepted, if so.
    pub(crate) fn refusal(&self, options: &LogOptions, cost_bytes: usize) -> Option<LogError> {
        if let Some(reason) = &self.failed {
            return Some(LogError::Poisoned { reason: reason.clone() });
        }
        if self.is_closing {
            return Some(LogError::Closed);
        }
        if self.is_disk_full {
            return Some(LogError::DiskFull { min_free_bytes: options.min_free_bytes });
        }
        // A frame larger than the whole queue is taken when nothing else waits, or it never could be.
        let is_full = self.waiting_bytes > 0 && self.waiting_bytes + cost_bytes > options.queue_bytes;
        is_full.then_some(LogError::QueueFull { waiting: self.waiting_bytes, limit: options.queue_bytes })
    }

    /// Whether the consumer has room for another commit.
    pub(crate) fn has_room_at_consumer(&self) -> bool {
        self.is_consumer_gone || self.is_closing || self.ready_bytes < self.ready_limit_bytes
    }

    /// Whether the log closes and needs no further segment.
    pub(crate) fn is_closing_idle(&self) -> bool {
        self.is_closing && self.waiting_bytes == 0
    }

    /// Whether no more frames will come to the consumer.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_writer_done || self.failed.is_some()
    }
}
