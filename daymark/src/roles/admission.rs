//! What the listeners and the collector of a process share to decide who may come in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use daymark_guard::{MemoryGate, MemoryOptions, Quotas, SystemClock};
use daymark_model::Ledger;
use daymark_telemetry::{Reading, Telemetry};
use daymark_wire::{DeadLetterCounts, DeadLetterOptions, DeadLetters, ReceiveOptions};

use crate::cli::AdmissionArgs;
use crate::roles::keys::Access;

/// Where requests are kept that could not be decoded.
pub(crate) fn dead_letters_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("dead-letters")
}

/// Quotas, memory and dead letters of a process that takes telemetry.
pub(crate) struct Admission {
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) memory: Arc<MemoryGate>,
    dead_letters: Option<DeadLetters>,
}

impl Admission {
    /// # Errors
    /// When the folder of dead letters cannot be made.
    pub(crate) fn new(access: &Access, data_dir: &Path, args: &AdmissionArgs) -> anyhow::Result<Admission> {
        let memory = args.memory_limit.map_or_else(MemoryOptions::of_machine, MemoryOptions::new);
        let options = DeadLetterOptions {
            max_bytes: args.dead_letter_bytes,
            max_age_ms: args.dead_letter_days * 86_400_000,
            ..DeadLetterOptions::new(dead_letters_dir(data_dir))
        };
        let wanted = args.dead_letter_bytes > 0;
        let dead_letters = wanted.then(|| DeadLetters::start(options, Arc::new(SystemClock))).transpose()?;
        Ok(Admission { quotas: Arc::clone(&access.quotas), memory: MemoryGate::new(memory), dead_letters })
    }

    /// Options of listeners that count into `ledger`.
    pub(crate) fn receive(&self, access: &Access, ledger: Ledger) -> ReceiveOptions {
        let defaults = ReceiveOptions::new(ledger);
        // Two listeners: together they may take half of the budget.
        let share = usize::try_from(self.memory.status().limit_bytes / 4).unwrap_or(usize::MAX);
        ReceiveOptions {
            keys: access.keys.clone(),
            quotas: Arc::clone(&self.quotas),
            memory: Arc::clone(&self.memory),
            dead_letters: self.dead_letters.clone(),
            max_inflight_bytes: defaults.max_inflight_bytes.min(share),
            ..defaults
        }
    }

    /// Exports the memory gate and the use of quotas with Daymark's own telemetry.
    pub(crate) fn watch(&self, telemetry: &Telemetry) {
        let memory = Arc::clone(&self.memory);
        let about = "bytes of requests in hand, unpublished rows and read-ahead, and the budget for them";
        telemetry.watch("daymark.memory", "By", about, move || {
            let status = memory.status();
            [("used", status.used_bytes), ("limit", status.limit_bytes)]
                .map(|(part, bytes)| Reading::new(bytes).with("part", part).with("state", status.state.as_str()))
                .into()
        });
        if let Some(dead_letters) = self.dead_letters.clone() {
            let about =
                "requests that could not be decoded: kept, dropped at once, and taken out of the area since the start";
            telemetry.watch("daymark.dead_letters", "1", about, move || {
                let DeadLetterCounts { kept, dropped, expired } = dead_letters.counts();
                let outcomes = [("kept", kept), ("dropped", dropped), ("expired", expired)];
                outcomes.map(|(outcome, letters)| Reading::new(letters).with("outcome", outcome)).into()
            });
        }
        let quotas = Arc::clone(&self.quotas);
        let about = "what tenants have used of their quotas in the last window, and the quotas";
        telemetry.watch("daymark.quota", "1", about, move || {
            let parts = quotas.usage().into_iter().flat_map(|(tenant, counted, used, limit)| {
                [("used", used), ("limit", limit)].map(|(part, amount)| {
                    let reading = Reading::new(amount).with("tenant", tenant.as_str());
                    reading.with("counted", counted.as_str()).with("part", part)
                })
            });
            parts.collect()
        });
    }
}
