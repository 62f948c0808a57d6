//! The one thread that writes frames: group commit, sync, acknowledge, hand over.
//!
//! Where it sits: between [`crate::IngestLog::append`] and the consumer.
//!
//! Invariants:
//! - an acknowledgement follows the sync that covers its frame, and the durable name of its file;
//! - a failed or short write, or a failed sync, ends the log; no sync is tried twice;
//! - behind every commit lies a frame's length of zeros, so that the end is told from the old content of a recycled file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Release;
use std::time::{Duration, Instant};

use daymark_guard::fault::{self, Fault, Step};
use daymark_model::LogOffset;

use crate::frame::{self, MIN_FRAME_BYTES, Placement, Seed};
use crate::segment::{self, FRAMES_START, Footer, Link, SEAL_POSITION, SegmentHeader};
use crate::shared::{Pending, Sealed, Shared, Spare};
use crate::{Durable, Frame, LogError, OpenFile};

/// Kept free at the end of a segment: room for the footer or the zeros behind the last commit.
pub(crate) const RESERVE_BYTES: u64 = MIN_FRAME_BYTES;
/// The write buffer is given back when an unusually large frame has grown it beyond this.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

/// The segment that takes frames.
struct Active {
    path: PathBuf,
    file: Arc<dyn OpenFile>,
    bytes: u64,
    id: u64,
    salt: u64,
    seed: Seed,
    /// Where the next commit goes.
    position: u64,
    frames: u64,
}

impl Active {
    fn has_room(&self, encoded_bytes: usize, frame_bytes: u64) -> bool {
        self.position + encoded_bytes as u64 + frame_bytes + RESERVE_BYTES <= self.bytes
    }
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    /// The next sequence number.
    pub(crate) next: u64,
    pub(crate) next_id: u64,
    /// Where the newest sealed segment ended.
    pub(crate) link: Link,
    active: Option<Active>,
    /// Encoded and not yet written.
    buffer: Vec<u8>,
    /// The frames in `buffer`, with their sequence numbers.
    batch: Vec<(u64, Pending)>,
    synced: u64,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, next: u64, next_id: u64, link: Link) -> Writer {
        let synced = link.last;
        Writer { shared, next, next_id, link, active: None, buffer: Vec::new(), batch: Vec::new(), synced }
    }

    /// Runs until the log is closed or fails.
    pub(crate) fn run(mut self) {
        let outcome = self.serve();
        if let Err(error) = outcome {
            let reason: Arc<str> = error.to_string().into();
            self.shared.fail(reason.clone());
            for (_, pending) in self.batch.drain(..) {
                let _ = pending.done.send(Err(LogError::Poisoned { reason: reason.clone() }));
            }
        }
    }

    fn serve(&mut self) -> Result<(), LogError> {
        while let Some(group) = self.next_group() {
            self.commit(group)?;
        }
        if self.active.is_some() && self.shared.lock().failed.is_none() {
            self.seal()?;
        }
        Ok(())
    }

    /// Waits for frames. A lone one is taken at once; when others came while the last sync ran there is load, and a
    /// commit waits until it is worth its sync: `commit_bytes`, or `commit_interval_ms` since the oldest came.
    fn next_group(&self) -> Option<Vec<Pending>> {
        let options = &self.shared.options;
        let interval = Duration::from_millis(options.commit_interval_ms);
        let mut state = self.shared.lock();
        let is_under_load = state.pending.len() > 1;
        loop {
            if state.failed.is_some() || (state.is_closing && state.pending.is_empty()) {
                return None;
            }
            let Some(oldest) = state.pending.front().filter(|_| state.has_room_at_consumer()) else {
                state = self.shared.wait(&self.shared.work, state);
                continue;
            };
            let age = oldest.since.elapsed();
            let is_worth_it = state.waiting_bytes >= options.commit_bytes || age >= interval;
            if is_under_load && !is_worth_it && !state.is_closing {
                state = self.shared.wait_for(&self.shared.work, state, interval - age);
                continue;
            }
            let (mut taken, mut bytes) = (0, 0);
            while bytes < options.commit_bytes && taken < state.pending.len() {
                bytes += state.pending[taken].cost_bytes();
                taken += 1;
            }
            return Some(state.pending.drain(..taken).collect());
        }
    }

    fn commit(&mut self, group: Vec<Pending>) -> Result<(), LogError> {
        let mut group = group.into_iter();
        while let Some(pending) = group.next() {
            let bytes = frame::stored_bytes(&pending.frame.tenant, pending.frame.payload.len());
            let has_room = self.active.as_ref().is_some_and(|active| active.has_room(self.buffer.len(), bytes));
            if !has_room && let Err(error) = self.begin_segment(bytes) {
                let refused = std::iter::once(pending).chain(group);
                return self.refuse(refused, error);
            }
            self.encode(pending);
        }
        self.flush()
    }

    /// A full disk refuses what has no place yet and ends nothing; any other failure does.
    fn refuse(&mut self, group: impl Iterator<Item = Pending>, error: LogError) -> Result<(), LogError> {
        let is_disk_full = error.is_disk_full();
        let reason = if is_disk_full { error.clone() } else { LogError::Poisoned { reason: error.to_string().into() } };
        let mut freed = 0;
        for pending in group {
            freed += pending.cost_bytes();
            let _ = pending.done.send(Err(reason.clone()));
        }
        let mut state = self.shared.lock();
        state.waiting_bytes = state.waiting_bytes.saturating_sub(freed);
        drop(state);
        if is_disk_full { Ok(()) } else { Err(error) }
    }

    fn encode(&mut self, pending: Pending) {
        let active = self.active.as_mut().expect("commit has begun a segment with room for the frame");
        let place = Placement {
            seed: active.seed,
            position: active.position + self.buffer.len() as u64,
            sequence: self.next,
            synced: self.synced,
            payload_crc: pending.payload_crc,
        };
        frame::encode(&pending.frame, &place, &mut self.buffer);
        active.frames += 1;
        self.batch.push((self.next, pending));
        self.next += 1;
    }

    /// Writes and syncs what is encoded, then acknowledges it and hands it over.
    fn flush(&mut self) -> Result<(), LogError> {
        let Some(active) = self.active.as_mut().filter(|_| !self.batch.is_empty()) else { return Ok(()) };
        if fault::active(Fault::AckBeforeSync) {
            publish(&self.shared, &mut self.batch);
        }
        let frames_end = active.position + self.buffer.len() as u64;
        self.buffer.resize(self.buffer.len() + MIN_FRAME_BYTES as usize, 0);
        fault::reach_after(Step::LogTornWrite, || {
            let _ = active.file.write_at(&self.buffer[..self.buffer.len() / 2], active.position);
        });
        write_all(active.file.as_ref(), &self.buffer, active.position).map_err(LogError::io("write", &active.path))?;
        fault::reach(Step::LogBeforeSync);
        let start = Instant::now();
        active.file.sync_data().map_err(LogError::io("sync", &active.path))?;
        self.shared.lock().sync_times.record(start.elapsed());
        active.position = frames_end;
        self.synced = self.next - 1;
        fault::reach(Step::LogAfterSync);
        publish(&self.shared, &mut self.batch);
        fault::reach(Step::LogAfterAck);
        self.buffer.clear();
        if self.buffer.capacity() > KEPT_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Ends the active segment, if any. Its footer is written only after its frames are synced: a footer on the disk
    /// proves that what it covers was there.
    fn seal(&mut self) -> Result<(), LogError> {
        self.flush()?;
        let Some(active) = self.active.take() else { return Ok(()) };
        let last = self.next - 1;
        let footer = Footer { frames: active.frames, last, end: active.position };
        for position in [active.position, SEAL_POSITION] {
            let bytes = footer.encode(active.seed, position);
            write_all(active.file.as_ref(), &bytes, position).map_err(LogError::io("write", &active.path))?;
        }
        active.file.sync_data().map_err(LogError::io("sync", &active.path))?;
        self.link = Link { id: active.id, salt: active.salt, end: active.position, last, synced: last };
        let mut state = self.shared.lock();
        state.sealed.push_back(Sealed { path: active.path, bytes: active.bytes, last });
        state.active_bytes = None;
        drop(state);
        self.shared.keeping.notify_all();
        Ok(())
    }

    /// Seals the active segment, if any, and makes a spare the next one.
    fn begin_segment(&mut self, frame_bytes: u64) -> Result<(), LogError> {
        self.seal()?;
        let spare = self.take_spare(FRAMES_START + frame_bytes + RESERVE_BYTES)?;
        self.next = self.next.max(self.shared.lock().used + 1);
        let fs = &self.shared.fs;
        let (id, salt) = (self.next_id, fs.random());
        let header = SegmentHeader { id, salt, first: self.next, previous: self.link };
        let mut bytes = header.encode();
        bytes.resize(bytes.len() + MIN_FRAME_BYTES as usize, 0);
        write_all(spare.file.as_ref(), &bytes, 0).map_err(LogError::io("write", &spare.path))?;
        spare.file.sync_data().map_err(LogError::io("sync", &spare.path))?;
        // Only now, with a durable header, does it get a log name; and only with a durable name are frames acknowledged.
        let dir = &self.shared.options.dir;
        let path = dir.join(segment::file_name(id));
        fault::reach(Step::LogBeforeRename);
        fs.rename(&spare.path, &path).map_err(LogError::io("rename", &spare.path))?;
        fs.sync_dir(dir).map_err(LogError::io("sync", dir))?;
        self.next_id += 1;
        self.shared.lock().active_bytes = Some(spare.bytes);
        self.shared.keeping.notify_all();
        let (file, size, seed) = (spare.file, spare.bytes, header.seed());
        self.active = Some(Active { path, file, bytes: size, id, salt, seed, position: FRAMES_START, frames: 0 });
        Ok(())
    }

    /// Waits until the keeper has a file of at least `bytes`, or says that the disk is full.
    fn take_spare(&self, bytes: u64) -> Result<Spare, LogError> {
        let options = &self.shared.options;
        let mut state = self.shared.lock();
        state.spare_bytes = options.segment_bytes.max(bytes);
        loop {
            if let Some(reason) = &state.failed {
                return Err(LogError::Poisoned { reason: reason.clone() });
            }
            let fitting = state.spares.iter().position(|spare| spare.bytes >= bytes);
            if let Some(spare) = fitting.and_then(|at| state.spares.remove(at)) {
                state.spare_bytes = options.segment_bytes;
                return Ok(spare);
            }
            if state.is_disk_full {
                state.spare_bytes = options.segment_bytes;
                return Err(LogError::DiskFull { min_free_bytes: options.min_free_bytes });
            }
            self.shared.keeping.notify_all();
            state = self.shared.wait(&self.shared.work, state);
        }
    }
}

/// Acknowledges frames that are durable and gives them to the consumer.
fn publish(shared: &Shared, batch: &mut Vec<(u64, Pending)>) {
    let Some((newest, _)) = batch.last() else { return };
    shared.durable.store(*newest, Release);
    let synced_at = Instant::now();
    let mut acknowledged = Vec::with_capacity(batch.len());
    let mut state = shared.lock();
    state.commits += 1;
    state.frames += batch.len() as u64;
    for (sequence, pending) in batch.drain(..) {
        let cost_bytes = pending.cost_bytes();
        state.waiting_bytes = state.waiting_bytes.saturating_sub(cost_bytes);
        let offset = LogOffset(sequence);
        acknowledged.push((pending.done, offset));
        if !state.is_consumer_gone {
            state.ready_bytes += cost_bytes;
            state.ready.push_back(Frame::new(offset, pending.frame));
        }
    }
    drop(state);
    for (done, offset) in acknowledged {
        // The caller may have gone; the frame is durable all the same.
        let _ = done.send(Ok(Durable { offset, synced_at }));
    }
    shared.wake_consumer();
}

/// Writes all or fails: after a short write nobody knows what the disk holds.
pub(crate) fn write_all(file: &dyn OpenFile, bytes: &[u8], position: u64) -> std::io::Result<()> {
    loop {
        match file.write_at(bytes, position) {
            Ok(written) if written == bytes.len() => return Ok(()),
            Ok(written) => {
                let message = format!("short write: {written} of {} bytes", bytes.len());
                return Err(std::io::Error::new(std::io::ErrorKind::WriteZero, message));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
