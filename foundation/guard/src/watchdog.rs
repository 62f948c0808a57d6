//! Notices a worker that has work and does not get on with it, so that the process can be restarted cleanly.
//!
//! A [`Pulse`] is what a worker shows of itself: whether it has work, and a mark that grows with every step. The
//! watchdog thread looks at all of them again and again; [`Watch`] is the judgement, without clock or thread.
//!
//! Invariants:
//! - a worker without work, and one whose mark grows however slowly, is never judged stalled;
//! - a process that was itself stopped (a debugger, a paused machine) is not taken for stalled: a look counts for at
//!   most twice the time between looks;
//! - the watchdog takes no lock of those it watches: a pulse is read from atomics.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

/// Exit code of a process whose worker stalled: "temporary failure" in `sysexits.h`. A restart recovers.
pub const STALLED_EXIT_CODE: i32 = 75;

/// What a worker shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Which worker.
    pub name: &'static str,
    /// It has work that it can get on with by itself.
    pub busy: bool,
    /// Grows with every step.
    pub mark: u64,
    /// What it does or waits for, and how much is queued.
    pub state: String,
}

/// A worker that has not moved although it has work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Which worker.
    pub name: &'static str,
    /// For how long, milliseconds.
    pub for_ms: u64,
    /// Its [`Pulse::state`].
    pub state: String,
}

/// How long each worker has not moved.
#[derive(Debug, Default)]
pub struct Watch {
    /// Mark when last looked at, and milliseconds without a step since.
    seen: BTreeMap<&'static str, (u64, u64)>,
}

impl Watch {
    /// Takes note of the pulses, `passed_ms` after the last look; the busy workers that did not move since.
    pub fn look(&mut self, passed_ms: u64, pulses: &[Pulse]) -> Vec<Stall> {
        let mut still = Vec::new();
        for pulse in pulses {
            let (mark, for_ms) = self.seen.entry(pulse.name).or_insert((pulse.mark, 0));
            if *mark != pulse.mark || !pulse.busy {
                (*mark, *for_ms) = (pulse.mark, 0);
                continue;
            }
            *for_ms += passed_ms;
            still.push(Stall { name: pulse.name, for_ms: *for_ms, state: pulse.state.clone() });
        }
        still
    }
}

/// Starts the watchdog thread. Every look asks `pulses`, and tells `still` which workers have not moved; it ends when
/// `pulses` has nothing to watch any more, or after `stalled` was told of a worker that did not move for `limit_ms`
/// and of all pulses.
///
/// # Errors
/// When the system has no more threads.
pub fn spawn(
    limit_ms: u64,
    pulses: impl Fn() -> Option<Vec<Pulse>> + Send + 'static,
    still: impl Fn(&[Stall]) + Send + 'static,
    stalled: impl FnOnce(&Stall, &[Pulse]) + Send + 'static,
) -> std::io::Result<()> {
    let interval_ms = (limit_ms / 8).clamp(10, 1_000);
    let watch = move || {
        let mut watch = Watch::default();
        let mut last = Instant::now();
        loop {
            thread::sleep(Duration::from_millis(interval_ms));
            let Some(seen) = pulses() else { return };
            let passed_ms = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
            last = Instant::now();
            let slow = watch.look(passed_ms.min(2 * interval_ms), &seen);
            still(&slow);
            if let Some(stall) = slow.iter().max_by_key(|stall| stall.for_ms).filter(|stall| stall.for_ms >= limit_ms) {
                stalled(stall, &seen);
                return;
            }
        }
    };
    thread::Builder::new().name("watchdog".to_owned()).spawn(watch).map(drop)
}

/// Says what stalled and ends the process at once: a worker that hangs would hang an orderly end too. Everything
/// acknowledged is in the log, so a start recovers.
pub fn exit_for_restart(stall: &Stall, pulses: &[Pulse]) {
    for pulse in pulses {
        tracing::error!(
            worker = pulse.name,
            busy = pulse.busy,
            mark = pulse.mark,
            state = pulse.state,
            "state at the stall"
        );
    }
    tracing::error!(
        worker = stall.name,
        stalled_ms = stall.for_ms,
        state = stall.state,
        exit_code = STALLED_EXIT_CODE,
        "a worker does not get on with its work: the process ends, so that a restart can recover from the log"
    );
    std::process::exit(STALLED_EXIT_CODE);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::sync::{Arc, mpsc};

    use super::*;

    fn pulse(busy: bool, mark: u64) -> Pulse {
        Pulse { name: "applier", busy, mark, state: "applying".to_owned() }
    }

    #[test]
    fn only_a_worker_with_work_that_does_not_move_is_stalled() {
        let check = |pulses: &[Pulse], expected_ms: u64| {
            let mut watch = Watch::default();
            let mut last = Vec::new();
            for pulse in pulses {
                last = watch.look(10, std::slice::from_ref(pulse));
            }
            assert_eq!(last.first().map_or(0, |stall| stall.for_ms), expected_ms, "{pulses:?}");
        };
        check(&[pulse(true, 1), pulse(true, 1), pulse(true, 1)], 30);
        check(&[pulse(false, 1), pulse(false, 1), pulse(false, 1)], 0);
        check(&[pulse(true, 1), pulse(true, 1), pulse(true, 2)], 0);
        check(&[pulse(true, 1), pulse(true, 2), pulse(true, 2)], 10);
        check(&[pulse(true, 1), pulse(true, 1), pulse(false, 1), pulse(true, 1)], 10);
    }

    #[test]
    fn a_stall_is_told_once_with_all_pulses_and_slow_work_is_not() {
        let (told, heard) = mpsc::sync_channel(8);
        let mark = Arc::new(AtomicU64::new(0));
        let moving = Arc::clone(&mark);
        spawn(
            600,
            move || Some(vec![pulse(true, moving.load(SeqCst))]),
            |_| {},
            move |stall, pulses| told.send((stall.clone(), pulses.len())).unwrap(),
        )
        .unwrap();
        for step in 1..=12 {
            thread::sleep(Duration::from_millis(75));
            mark.store(step, SeqCst);
        }
        assert!(heard.try_recv().is_err(), "slow, but moving");
        let (stall, pulses) = heard.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!((stall.name, pulses), ("applier", 1));
        assert!(stall.for_ms >= 600);
    }
}
