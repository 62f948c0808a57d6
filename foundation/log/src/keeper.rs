//! The thread that keeps files ready for the writer, watches free space, and removes released segments.
//!
//! Zeroing by real writes makes a commit cheap: `fallocate` would leave a journal commit to the first write of every
//! block. It happens here, ahead of need and a few MiB at a time, so that the writer's syncs do not wait behind it.
//!
//! Invariants:
//! - a spare is of full size, written and synced, and so is its name, before the writer can take it;
//! - released segments become spares, up to `max_spares`; they are given back before new data is refused for want of room;
//! - the newest segment is never removed: it carries the sequence numbers on;
//! - with less than `min_free_bytes` free nothing is allocated, and new data is refused until there is more.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daymark_guard::fault::{self, Step};

use crate::shared::{Sealed, Shared, Spare};
use crate::writer::write_all;
use crate::{LogError, OpenFile};

/// How often free space is looked at when nothing else happens.
const CHECK_INTERVAL_MS: u64 = 500;
const ZEROS_STEP_BYTES: usize = 1 << 20;
const SYNC_STEP_BYTES: u64 = 4 << 20;
const SPARE_SUFFIX: &str = ".spare";
const TEMPORARY_SUFFIX: &str = ".spare.tmp";

pub(crate) struct Keeper {
    shared: Arc<Shared>,
    /// Number for the name of the next spare.
    next_name: u64,
    /// Whether a spare would leave less than `min_free_bytes`.
    lacks_room: bool,
}

impl Keeper {
    /// Takes over the spares that an earlier run left, and removes what is of no use.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub(crate) fn new(shared: Arc<Shared>) -> Result<Keeper, LogError> {
        let dir = shared.options.dir.clone();
        let mut keeper = Keeper { shared, next_name: 1, lacks_room: false };
        let names = keeper.shared.fs.list(&dir).map_err(LogError::io("list", &dir))?;
        for name in names.iter().filter(|name| name.ends_with(SPARE_SUFFIX) || name.ends_with(TEMPORARY_SUFFIX)) {
            let number = name.split('.').next().and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(0);
            keeper.next_name = keeper.next_name.max(number.saturating_add(1));
            keeper.adopt(&dir.join(name), name.ends_with(TEMPORARY_SUFFIX))?;
        }
        keeper.give_back_spares()?;
        keeper.look_at_free_space();
        Ok(keeper)
    }

    fn adopt(&self, path: &Path, is_temporary: bool) -> Result<(), LogError> {
        let fs = &self.shared.fs;
        if !is_temporary && self.shared.lock().spares.len() < self.shared.options.max_spares.max(1) {
            let file = fs.open(path).map_err(LogError::io("open", path))?;
            let bytes = file.size().map_err(LogError::io("measure", path))?;
            if bytes == self.shared.options.segment_bytes {
                self.shared.lock().spares.push_back(Spare { path: path.to_owned(), file, bytes });
                return Ok(());
            }
        }
        fs.remove(path).map_err(LogError::io("remove", path))
    }

    /// Runs until the writer is done.
    pub(crate) fn run(mut self) {
        loop {
            let outcome = self.step();
            if let Err(error) = outcome {
                self.shared.fail(error.to_string());
            }
            let state = self.shared.lock();
            if state.is_writer_done {
                break;
            }
            let has_work = self.wants_spare(&state) && !self.lacks_room && state.failed.is_none();
            if !has_work && !has_released(&state) {
                let wait = Duration::from_millis(CHECK_INTERVAL_MS);
                drop(self.shared.wait_for(&self.shared.keeping, state, wait));
            }
        }
        self.shared.lock().dir_lock = None;
        self.shared.ended.send_replace(true);
        self.shared.wake_all();
    }

    fn step(&mut self) -> Result<(), LogError> {
        if self.shared.lock().failed.is_some() {
            return Ok(());
        }
        self.give_back_spares()?;
        self.look_at_free_space();
        if self.remove_released()? {
            self.look_at_free_space();
        }
        self.prepare_spare()
    }

    fn wants_spare(&self, state: &crate::shared::State) -> bool {
        !state.is_closing_idle() && state.spares.iter().all(|spare| spare.bytes < state.spare_bytes)
    }

    /// Sets whether a spare may be made and whether new data is refused: below the limit, or with no place to write to.
    fn look_at_free_space(&mut self) {
        let options = &self.shared.options;
        // A disk that does not say is taken as having room: writing will tell.
        let free = self.shared.fs.free_bytes(&options.dir).unwrap_or(u64::MAX);
        let mut state = self.shared.lock();
        let wanted = if self.wants_spare(&state) { state.spare_bytes } else { 0 };
        self.lacks_room = free < options.min_free_bytes.saturating_add(wanted);
        let is_full = free < options.min_free_bytes || (self.lacks_room && state.active_bytes.is_none());
        if is_full != state.is_disk_full {
            state.is_disk_full = is_full;
            drop(state);
            if is_full {
                tracing::warn!(
                    free_bytes = free,
                    min_free_bytes = options.min_free_bytes,
                    "disk full: new data refused"
                );
            } else {
                tracing::info!(free_bytes = free, "disk has room again: new data accepted");
            }
            self.shared.work.notify_all();
        }
    }

    fn prepare_spare(&mut self) -> Result<(), LogError> {
        let state = self.shared.lock();
        if !self.wants_spare(&state) || self.lacks_room {
            return Ok(());
        }
        let bytes = state.spare_bytes;
        drop(state);
        let name = format!("{:020}", self.next_name);
        self.next_name += 1;
        let dir = &self.shared.options.dir;
        let temporary = dir.join(format!("{name}{TEMPORARY_SUFFIX}"));
        match self.allocate(&temporary, bytes) {
            Ok(file) => self.offer(&temporary, &dir.join(format!("{name}{SPARE_SUFFIX}")), file, bytes),
            Err(error) if error.is_disk_full() => {
                self.shared.fs.remove(&temporary).map_err(LogError::io("remove", &temporary))?;
                self.lacks_room = true;
                tracing::warn!(%error, "disk full");
                let mut state = self.shared.lock();
                state.is_disk_full |= state.active_bytes.is_none();
                drop(state);
                self.shared.work.notify_all();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes room where it is short, before new data would be refused for it: one spare is enough, and none where a frame
    /// needs a larger one.
    fn give_back_spares(&self) -> Result<(), LogError> {
        let options = &self.shared.options;
        let free = self.shared.fs.free_bytes(&options.dir).unwrap_or(u64::MAX);
        let given: Vec<Spare> = {
            let mut state = self.shared.lock();
            let (wanted, kept) = if self.wants_spare(&state) { (state.spare_bytes, 0) } else { (0, 1) };
            if free >= options.min_free_bytes.saturating_add(wanted) || state.spares.len() <= kept {
                return Ok(());
            }
            state.spares.drain(kept..).collect()
        };
        let remove = |spare: Spare| self.shared.fs.remove(&spare.path).map_err(LogError::io("remove", &spare.path));
        given.into_iter().try_for_each(remove)
    }

    fn allocate(&self, path: &Path, bytes: u64) -> Result<Arc<dyn OpenFile>, LogError> {
        let file = self.shared.fs.create(path).map_err(LogError::io("create", path))?;
        let zeros = vec![0; ZEROS_STEP_BYTES.min(bytes as usize)];
        let (mut position, mut unsynced) = (0, 0);
        while position < bytes {
            let step = (bytes - position).min(zeros.len() as u64);
            write_zeros(file.as_ref(), &zeros[..step as usize], position).map_err(LogError::io("write", path))?;
            position += step;
            unsynced += step;
            if unsynced >= SYNC_STEP_BYTES || position == bytes {
                file.sync_data().map_err(LogError::io("sync", path))?;
                unsynced = 0;
            }
        }
        Ok(file)
    }

    /// Gives a file its durable name as a spare, and then to the writer.
    fn offer(&self, from: &Path, path: &Path, file: Arc<dyn OpenFile>, bytes: u64) -> Result<(), LogError> {
        let (fs, dir) = (&self.shared.fs, &self.shared.options.dir);
        fs.rename(from, path).map_err(LogError::io("rename", from))?;
        fs.sync_dir(dir).map_err(LogError::io("sync", dir))?;
        self.shared.lock().spares.push_back(Spare { path: path.to_owned(), file, bytes });
        self.shared.work.notify_all();
        Ok(())
    }

    /// Whether it made room.
    fn remove_released(&mut self) -> Result<bool, LogError> {
        let mut removed = false;
        loop {
            let mut state = self.shared.lock();
            if !has_released(&state) {
                break;
            }
            let Some(segment) = state.sealed.pop_front() else { break };
            let is_right_size = segment.bytes == self.shared.options.segment_bytes;
            let is_useful = !state.is_closing_idle() && state.spares.len() < self.shared.options.max_spares;
            let recycle = is_right_size && is_useful && !state.is_disk_full;
            drop(state);
            if recycle {
                self.recycle(&segment)?;
            } else {
                self.shared.fs.remove(&segment.path).map_err(LogError::io("remove", &segment.path))?;
                removed = true;
            }
            fault::reach(Step::TrimAfterRemoval);
        }
        if removed {
            let dir = &self.shared.options.dir;
            self.shared.fs.sync_dir(dir).map_err(LogError::io("sync", dir))?;
        }
        Ok(removed)
    }

    /// Old content needs no zeroing: another salt makes it noise.
    fn recycle(&mut self, segment: &Sealed) -> Result<(), LogError> {
        let file = self.shared.fs.open(&segment.path).map_err(LogError::io("open", &segment.path))?;
        let path = self.shared.options.dir.join(format!("{:020}{SPARE_SUFFIX}", self.next_name));
        self.next_name += 1;
        self.offer(&segment.path, &path, file, segment.bytes)
    }
}

/// Whether the oldest segment can go: all of it is released and a newer one exists.
fn has_released(state: &crate::shared::State) -> bool {
    let is_newest = state.sealed.len() == 1 && state.active_bytes.is_none();
    !is_newest && state.failed.is_none() && state.sealed.front().is_some_and(|oldest| oldest.last <= state.released)
}

/// Space may run out in the middle of a write: here that is a full disk, and no damage.
fn write_zeros(file: &dyn OpenFile, zeros: &[u8], position: u64) -> std::io::Result<()> {
    match write_all(file, zeros, position) {
        Err(error) if error.kind() == std::io::ErrorKind::WriteZero => Err(std::io::ErrorKind::StorageFull.into()),
        other => other,
    }
}
