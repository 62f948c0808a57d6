//! Faults that a test switches on to show that the proof of a promise can fail (mutation proof).
//!
//! `DAYMARK_FAULT` names one. Builds without debug assertions (`make build`) have no faults.

use std::sync::OnceLock;

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
