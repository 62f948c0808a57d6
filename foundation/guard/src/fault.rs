//! Faults that a test switches on: to show that the proof of a promise can fail (mutation proof), and to end the process
//! at a named step (crash matrix).
//!
//! `DAYMARK_FAULT` names a [`Fault`]; `DAYMARK_KILL_AT=STEP` or `STEP:N` names a [`Step`], at whose N-th time (the first
//! unless said) the process kills itself with SIGKILL: nothing is unwound, flushed or released.
//!
//! Builds without debug assertions (`make build`) have neither: all of this compiles to nothing there.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A promise broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The log acknowledges before the data is synced.
    AckBeforeSync,
    /// A file of a table gets its name before its data is synced.
    NameBeforeSync,
    /// A start does not replay the log.
    SkipReplay,
    /// A read of hot rows loses one.
    DropHotRow,
    /// A rollup is merged twice.
    MergeRollupTwice,
    /// Missing data counts as bad events.
    PageOnMissingData,
    /// The applier stops at its first frame.
    StallApplier,
    /// The sealer stops at its first seal.
    StallSealer,
}

impl Fault {
    /// The name in `DAYMARK_FAULT`.
    pub fn name(self) -> &'static str {
        match self {
            Fault::AckBeforeSync => "ack_before_sync",
            Fault::NameBeforeSync => "name_before_sync",
            Fault::SkipReplay => "skip_replay",
            Fault::DropHotRow => "drop_hot_row",
            Fault::MergeRollupTwice => "merge_rollup_twice",
            Fault::PageOnMissingData => "page_on_missing_data",
            Fault::StallApplier => "stall_applier",
            Fault::StallSealer => "stall_sealer",
        }
    }
}

/// Hangs this thread for good when `fault` is switched on.
pub fn hang(fault: Fault) {
    while active(fault) {
        std::thread::park();
    }
}

/// Whether `fault` is switched on.
pub fn active(fault: Fault) -> bool {
    static ACTIVE: OnceLock<Option<String>> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return false;
    }
    ACTIVE.get_or_init(|| std::env::var("DAYMARK_FAULT").ok()).as_deref() == Some(fault.name())
}

/// A step on the way of data to disk and off it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Half of a commit of the ingest log is written.
    LogTornWrite,
    /// It is written and not synced.
    LogBeforeSync,
    /// It is synced and not acknowledged.
    LogAfterSync,
    /// It is acknowledged.
    LogAfterAck,
    /// The next segment of the ingest log has its header and not its name.
    LogBeforeRename,
    /// The data of a table's segment is written, its index is not.
    SegmentWritten,
    /// The index of a segment is written.
    IndexWritten,
    /// A seal's segments are written and not committed.
    SealBeforeCommit,
    /// A seal is committed and the log not told.
    SealAfterCommit,
    /// The tables hold what the log may let go of; what recognises repeats is not saved.
    TrimBeforeSnapshot,
    /// It is saved, and the log not told.
    TrimAfterSnapshot,
    /// The log has removed or recycled a segment.
    TrimAfterRemoval,
    /// A merged segment is written and not committed.
    CompactBeforeCommit,
    /// It is committed.
    CompactAfterCommit,
    /// Segments are too old; no commit says so yet.
    RetainBeforeCommit,
    /// A commit says so.
    RetainAfterCommit,
    /// The first of the files that nobody needs is deleted.
    RetainAfterDeletion,
}

impl Step {
    /// All steps.
    pub const ALL: [Step; 17] = [
        Step::LogTornWrite,
        Step::LogBeforeSync,
        Step::LogAfterSync,
        Step::LogAfterAck,
        Step::LogBeforeRename,
        Step::SegmentWritten,
        Step::IndexWritten,
        Step::SealBeforeCommit,
        Step::SealAfterCommit,
        Step::TrimBeforeSnapshot,
        Step::TrimAfterSnapshot,
        Step::TrimAfterRemoval,
        Step::CompactBeforeCommit,
        Step::CompactAfterCommit,
        Step::RetainBeforeCommit,
        Step::RetainAfterCommit,
        Step::RetainAfterDeletion,
    ];

    /// The name in `DAYMARK_KILL_AT`.
    pub fn name(self) -> &'static str {
        match self {
            Step::LogTornWrite => "log.torn_write",
            Step::LogBeforeSync => "log.before_sync",
            Step::LogAfterSync => "log.after_sync",
            Step::LogAfterAck => "log.after_ack",
            Step::LogBeforeRename => "log.before_rename",
            Step::SegmentWritten => "segment.data_written",
            Step::IndexWritten => "segment.index_written",
            Step::SealBeforeCommit => "seal.before_commit",
            Step::SealAfterCommit => "seal.after_commit",
            Step::TrimBeforeSnapshot => "trim.before_snapshot",
            Step::TrimAfterSnapshot => "trim.after_snapshot",
            Step::TrimAfterRemoval => "trim.after_removal",
            Step::CompactBeforeCommit => "compact.before_commit",
            Step::CompactAfterCommit => "compact.after_commit",
            Step::RetainBeforeCommit => "retain.before_commit",
            Step::RetainAfterCommit => "retain.after_commit",
            Step::RetainAfterDeletion => "retain.after_deletion",
        }
    }
}

/// The process is at `step`: ends it when `DAYMARK_KILL_AT` says so.
#[inline]
pub fn reach(step: Step) {
    reach_after(step, || ());
}

/// As [`reach`]; does `last` before the end, and only then.
#[inline]
pub fn reach_after(step: Step, last: impl FnOnce()) {
    if cfg!(debug_assertions) && is_the_end(step) {
        last();
        die();
    }
}

/// Whether this is the time of `step` at which the process ends.
fn is_the_end(step: Step) -> bool {
    static AT: OnceLock<Option<(Step, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let at = AT.get_or_init(|| std::env::var("DAYMARK_KILL_AT").ok().as_deref().and_then(parse));
    at.is_some_and(|(wanted, times)| wanted == step && REACHED.fetch_add(1, Relaxed) + 1 == times)
}

/// `STEP` or `STEP:N`.
fn parse(text: &str) -> Option<(Step, u64)> {
    let (name, times) = text.split_once(':').unwrap_or((text, "1"));
    let step = Step::ALL.into_iter().find(|step| step.name() == name)?;
    Some((step, times.parse().ok()?))
}

/// SIGKILL. This thread goes no further; others do until the signal is there, a few milliseconds, as under any `kill -9`.
fn die() {
    let pid = std::process::id().to_string();
    if std::process::Command::new("kill").args(["-KILL", &pid]).spawn().is_err() {
        std::process::abort();
    }
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_named_with_the_time_that_counts() {
        assert_eq!(parse("seal.before_commit:3"), Some((Step::SealBeforeCommit, 3)));
        for step in Step::ALL {
            assert_eq!(parse(step.name()), Some((step, 1)));
        }
        for wrong in ["", "seal", "seal.before_commit:", "seal.before_commit:x", "log.after_ack:-1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
