//! The collector's health checks and its watchdog.
//!
//! Local: the replay is finished, the log takes data, the disk has room above the ballast, the workers move, seals
//! succeed. Dependency: the store answers. Only a log that failed, a worker that ended and one that hangs are reasons
//! for a restart: a full disk is none.

use std::sync::Arc;

use daymark_guard::{CheckKind, Health, watchdog};

use crate::core::Shared;
use crate::error::CollectorError;
use crate::vitals::Vitals;

/// Attempts of a seal that fail before the collector counts as not ready: fewer pass by themselves.
const FAILED_SEALS: u32 = 3;
/// A worker counts as not moving after this part of the time after which the process is restarted.
const STILL_PART: u64 = 4;

/// Adds the check that holds from the first moment on.
pub(crate) fn of_start(health: &Health, vitals: &Arc<Vitals>) {
    let vitals = Arc::clone(vitals);
    health.add_local("replay", move || vitals.replaying().map_or(Ok(()), Err));
}

/// Adds the checks of an open collector.
pub(crate) fn of_running(health: &Health, shared: &Arc<Shared>) {
    let state = Arc::clone(shared);
    health.add_local("log", move || failed(&state).map_or(Ok(()), Err));
    let state = Arc::clone(shared);
    health.add_local("disk", move || match state.log.stats().disk_full {
        true => Err(format!(
            "less than {} bytes are free: new data is refused, reads go on",
            state.options.log.min_free_bytes
        )),
        false => Ok(()),
    });
    let state = Arc::clone(shared);
    health.add_local("workers", move || {
        let still = state.vitals.still(limit_ms(&state) / STILL_PART);
        still.map_or(Ok(()), |stall| {
            Err(format!("{}: no progress for {} ms: {}", stall.name, stall.for_ms, stall.state))
        })
    });
    let state = Arc::clone(shared);
    health.add_local("seals", move || match state.vitals.failing_seal() {
        Some(failing) if failing.attempts >= FAILED_SEALS => {
            Err(format!("rows are not published after {} attempts: {}", failing.attempts, failing.why))
        }
        _ => Ok(()),
    });
    let state = Arc::clone(shared);
    health.add("store", CheckKind::Dependency, move || {
        let store = Arc::clone(&state.store);
        Box::pin(async move { store.tenants().await.map(drop).map_err(|error| error.to_string()) })
    });
    let state = Arc::clone(shared);
    health.add_restart(move || failed(&state));
    let state = Arc::clone(shared);
    health.add_restart(move || {
        let still = state.vitals.still(limit_ms(&state));
        still.map(|stall| format!("{} hangs: {}", stall.name, stall.state))
    });
}

/// Starts the watchdog over the workers.
///
/// # Errors
/// When the system has no more threads.
pub(crate) fn watch(shared: &Arc<Shared>) -> Result<(), CollectorError> {
    let (seen, told, ended) = (Arc::downgrade(shared), Arc::downgrade(shared), Arc::downgrade(shared));
    let pulses = move || {
        let shared = seen.upgrade().filter(|shared| shared.failure.borrow().is_none())?;
        let (stats, durable) = (shared.log.stats(), shared.log.durable().0);
        Some(shared.vitals.pulses(&stats, durable, shared.options.read_ahead_bytes))
    };
    let still = move |still: &[watchdog::Stall]| {
        if let Some(shared) = told.upgrade() {
            shared.vitals.note_still(still);
        }
    };
    let on_stall = shared.options.on_stall;
    let stalled = move |stall: &watchdog::Stall, pulses: &[watchdog::Pulse]| {
        on_stall(stall, pulses);
        if let Some(shared) = ended.upgrade() {
            shared.fail(CollectorError::Stalled { worker: stall.name, for_ms: stall.for_ms });
        }
    };
    watchdog::spawn(limit_ms(shared), pulses, still, stalled)
        .map_err(|source| CollectorError::Io { path: "thread watchdog".to_owned(), source })
}

fn limit_ms(shared: &Shared) -> u64 {
    match shared.options.watchdog_stall_ms {
        0 => u64::MAX,
        limit_ms => limit_ms,
    }
}

fn failed(shared: &Shared) -> Option<String> {
    shared.failure.borrow().as_ref().map(|error| error.to_string())
}
