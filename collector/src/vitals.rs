//! What the collector shows of its own life: how far a replay is, what each worker does, which seals fail.
//!
//! Where it sits: the workers write it, the watchdog and the health checks read it.
//!
//! Invariant: it is read without the lock of the workers, so that it can be read when one of them hangs with it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use daymark_guard::watchdog::{Pulse, Stall};
use daymark_log::LogStats;

/// What the applier does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Waits for frames.
    Idle,
    /// Brings frames back from the log at start.
    Replaying,
    /// Decodes a frame into rows.
    Applying,
    /// Looks for traces and rows that are due.
    Upkeep,
    /// Waits until the sealer has room.
    WaitingForSealer,
}

impl Stage {
    const ALL: [Stage; 5] = [Stage::Idle, Stage::Replaying, Stage::Applying, Stage::Upkeep, Stage::WaitingForSealer];

    fn named(self) -> &'static str {
        match self {
            Stage::Idle => "waits for frames",
            Stage::Replaying => "replays the log",
            Stage::Applying => "applies a frame",
            Stage::Upkeep => "looks for what is due",
            Stage::WaitingForSealer => "waits for the sealer",
        }
    }
}

/// Seals that do not succeed.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    pub(crate) attempts: u32,
    pub(crate) why: String,
}

/// Written by the workers, read by everybody.
#[derive(Default)]
pub(crate) struct Vitals {
    stage: AtomicU8,
    steps: AtomicU64,
    /// Newest offset the applier has begun.
    pub(crate) offset: AtomicU64,
    /// Newest offset whose rows can be read.
    pub(crate) applied: AtomicU64,
    sealing: AtomicBool,
    seal_steps: AtomicU64,
    failing: Mutex<Option<Failing>>,
    replay: Mutex<Replay>,
    replayed_bytes: AtomicU64,
    replayed_frames: AtomicU64,
    still: Mutex<Vec<Stall>>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Replay {
    #[default]
    NotBegun,
    Running {
        since: Instant,
        total_bytes: u64,
    },
    Done,
}

/// The applier is in a stage until this is dropped.
pub(crate) struct At<'a> {
    vitals: &'a Vitals,
    before: u8,
}

impl Drop for At<'_> {
    fn drop(&mut self) {
        self.vitals.stage.store(self.before, Relaxed);
        self.vitals.step();
    }
}

impl Vitals {
    /// The applier enters a stage.
    pub(crate) fn at(&self, stage: Stage) -> At<'_> {
        self.step();
        At { vitals: self, before: self.stage.swap(stage as u8, Relaxed) }
    }

    /// The applier has got on.
    pub(crate) fn step(&self) {
        self.steps.fetch_add(1, Relaxed);
    }

    /// The sealer begins or ends an attempt.
    pub(crate) fn sealing(&self, busy: bool) {
        self.sealing.store(busy, Relaxed);
        self.seal_steps.fetch_add(1, Relaxed);
    }

    /// An attempt of a seal failed, or the seal succeeded.
    pub(crate) fn seal_failing(&self, failing: Option<Failing>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = failing;
    }

    /// A replay of at most `total_bytes` begins.
    pub(crate) fn replay_begins(&self, total_bytes: u64) {
        *self.replay.lock().unwrap_or_else(PoisonError::into_inner) =
            Replay::Running { since: Instant::now(), total_bytes };
    }

    /// A frame was replayed.
    pub(crate) fn replayed(&self, bytes: u64) {
        self.replayed_bytes.fetch_add(bytes, Relaxed);
        self.replayed_frames.fetch_add(1, Relaxed);
        self.step();
    }

    /// Everything that was durable can be queried. Returns frames, bytes and milliseconds.
    pub(crate) fn replay_ends(&self) -> (u64, u64, u64) {
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        let took = match *replay {
            Replay::Running { since, .. } => since.elapsed().as_millis(),
            _ => 0,
        };
        *replay = Replay::Done;
        (self.replayed_frames.load(Relaxed), self.replayed_bytes.load(Relaxed), u64::try_from(took).unwrap_or(u64::MAX))
    }

    /// Why the replay is not finished: how far it is.
    pub(crate) fn replaying(&self) -> Option<String> {
        let replay = *self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        let (frames, bytes) = (self.replayed_frames.load(Relaxed), self.replayed_bytes.load(Relaxed));
        match replay {
            Replay::Done => None,
            Replay::NotBegun => Some("opening the log and the tables".to_owned()),
            Replay::Running { since, total_bytes } => {
                let left = total_bytes.saturating_sub(bytes);
                let took_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                let rest = (u128::from(took_ms) * u128::from(left)).checked_div(u128::from(bytes));
                let rest = rest.map(|ms| format!(", about {} s", ms / 1_000)).unwrap_or_default();
                Some(format!("replaying the log: {frames} frames, {bytes} bytes done, at most {left} bytes left{rest}"))
            }
        }
    }

    /// The last failure of the seal that is under way.
    pub(crate) fn failing_seal(&self) -> Option<Failing> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The watchdog has found these workers without progress.
    pub(crate) fn note_still(&self, still: &[Stall]) {
        *self.still.lock().unwrap_or_else(PoisonError::into_inner) = still.to_vec();
    }

    /// The worker that has not moved for longest, if that is `for_ms` or more.
    pub(crate) fn still(&self, for_ms: u64) -> Option<Stall> {
        let still = self.still.lock().unwrap_or_else(PoisonError::into_inner);
        still.iter().filter(|stall| stall.for_ms >= for_ms).max_by_key(|stall| stall.for_ms).cloned()
    }

    /// What the watchdog looks at.
    pub(crate) fn pulses(&self, log: &LogStats, durable: u64, read_ahead_bytes: usize) -> Vec<Pulse> {
        let stage = Stage::ALL.into_iter().find(|s| *s as u8 == self.stage.load(Relaxed)).unwrap_or(Stage::Idle);
        let waits_for_sealer = stage == Stage::WaitingForSealer;
        let offset = self.offset.load(Relaxed);
        let attempts = self.failing_seal().map_or(0, |failing| failing.attempts);
        let applier = Pulse {
            name: "applier",
            busy: !waits_for_sealer && (stage != Stage::Idle || log.undelivered_bytes > 0),
            mark: self.steps.load(Relaxed),
            state: format!(
                "{} (offset {offset}; durable {durable}, {} bytes not yet taken)",
                stage.named(),
                log.undelivered_bytes
            ),
        };
        let sealing = self.sealing.load(Relaxed);
        let sealer = Pulse {
            name: "sealer",
            busy: sealing || waits_for_sealer,
            mark: self.seal_steps.load(Relaxed),
            state: match sealing {
                true => format!("writes and commits a segment ({attempts} failed attempts)"),
                false => "waits for a seal".to_owned(),
            },
        };
        // Full behind a slow applier, or refusing for lack of space: not the writer's stall.
        let held = log.disk_full || log.undelivered_bytes >= read_ahead_bytes as u64;
        let writer = Pulse {
            name: "log-writer",
            busy: log.queued_bytes > 0 && !held,
            mark: log.commits,
            state: format!("{} bytes wait to become durable, {} commits done", log.queued_bytes, log.commits),
        };
        vec![applier, sealer, writer]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(vitals: &Vitals, log: LogStats) -> Vec<&'static str> {
        let pulses = vitals.pulses(&log, 9, 1_000);
        pulses.into_iter().filter(|pulse| pulse.busy).map(|pulse| pulse.name).collect()
    }

    #[test]
    fn whoever_waits_for_another_is_not_the_one_that_stalls() {
        let (vitals, quiet) = (Vitals::default(), LogStats::default());
        assert_eq!(busy(&vitals, quiet), [""; 0], "idle");
        let waiting = vitals.at(Stage::WaitingForSealer);
        assert_eq!(busy(&vitals, LogStats { undelivered_bytes: 2_000, queued_bytes: 10, ..quiet }), ["sealer"]);
        drop(waiting);
        assert_eq!(busy(&vitals, LogStats { undelivered_bytes: 10, ..quiet }), ["applier"], "frames wait for it");
        assert_eq!(busy(&vitals, LogStats { queued_bytes: 10, ..quiet }), ["log-writer"]);
        assert_eq!(busy(&vitals, LogStats { queued_bytes: 10, disk_full: true, ..quiet }), [""; 0]);
        let applying = vitals.at(Stage::Applying);
        assert_eq!(busy(&vitals, quiet), ["applier"]);
        drop(applying);
        assert_eq!(busy(&vitals, quiet), [""; 0]);
    }

    #[test]
    fn a_replay_says_how_far_it_is() {
        let vitals = Vitals::default();
        assert!(vitals.replaying().unwrap().contains("opening"));
        vitals.replay_begins(1_000);
        vitals.replayed(250);
        let said = vitals.replaying().unwrap();
        assert!(said.contains("1 frames, 250 bytes done, at most 750 bytes left, about 0 s"), "{said}");
        let (frames, bytes, _) = vitals.replay_ends();
        assert_eq!((frames, bytes, vitals.replaying()), (1, 250, None));
    }
}
