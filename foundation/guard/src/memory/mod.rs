//! The memory gate: one budget for what a process holds of its tenants' data, and who is turned away when it is short.
//!
//! What is counted: bytes of requests in hand and of spans that a collector reads back ([`Held`], before they are taken), and what other parts report of themselves
//! ([`MemoryGate::report`]): rows that are not yet published, and the read-ahead of the log.
//!
//! | state | from | until below | what is turned away |
//! |---|---|---|---|
//! | normal | | | nothing |
//! | soft | `soft_percent` | `soft_percent - hysteresis_percent` | new requests of tenants that hold more than their share |
//! | hard | `hard_percent` | `hard_percent - hysteresis_percent` | every new request |
//!
//! Invariants:
//! - requests in hand never take the sum beyond the limit: what would is refused before it is taken;
//! - a tenant within its share (the limit, divided by the tenants that hold something) is turned away only when hard;
//! - tenants that hold nothing take no memory here.

mod allocator;
mod machine;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daymark_model::{MemoryState, MemoryStatus, Refusal, TenantId};

pub use allocator::tune_allocator;
pub use machine::memory_of_machine;

/// The budget and its thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryOptions {
    /// The budget, bytes.
    pub limit_bytes: u64,
    /// From this share of it on, tenants above their share are turned away. Percent.
    pub soft_percent: u64,
    /// From this share of it on, everybody is. Percent.
    pub hard_percent: u64,
    /// So much lower is the way back. Percent.
    pub hysteresis_percent: u64,
    /// Wait that is asked of those turned away, milliseconds.
    pub retry_after_ms: u64,
}

impl MemoryOptions {
    /// Share of the machine's memory that is the budget by default, percent: beside it there are readers' caches, merges of
    /// segments and the program itself.
    pub const DEFAULT_PERCENT: u64 = 50;

    /// A budget of `limit_bytes` with the default thresholds.
    pub fn new(limit_bytes: u64) -> MemoryOptions {
        MemoryOptions { limit_bytes, soft_percent: 75, hard_percent: 90, hysteresis_percent: 10, retry_after_ms: 1_000 }
    }

    /// The default share of this machine's memory, or of 2 GiB when the machine does not say.
    pub fn of_machine() -> MemoryOptions {
        let machine = memory_of_machine().unwrap_or(2 << 30);
        MemoryOptions::new(machine / 100 * MemoryOptions::DEFAULT_PERCENT)
    }

    fn percent(&self, percent: u64) -> u64 {
        self.limit_bytes / 100 * percent
    }
}

/// Counts what is held and decides who is turned away.
pub struct MemoryGate {
    options: MemoryOptions,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// Of each tenant: bytes of requests in hand, and bytes reported.
    tenants: HashMap<TenantId, (u64, u64)>,
    in_hand: u64,
    reported: u64,
    /// Reported, of no tenant in particular.
    shared: u64,
    state: MemoryState,
}

impl MemoryGate {
    /// A gate with a budget.
    pub fn new(options: MemoryOptions) -> Arc<MemoryGate> {
        Arc::new(MemoryGate { options, books: Mutex::default() })
    }

    /// A gate that turns nobody away.
    pub fn open() -> Arc<MemoryGate> {
        MemoryGate::new(MemoryOptions::new(u64::MAX))
    }

    /// Another part's word on what it holds now, in place of its last: bytes by tenant, and of no tenant in particular.
    pub fn report(&self, by_tenant: &BTreeMap<TenantId, u64>, shared: u64) {
        let mut books = self.books();
        for (_, reported) in books.tenants.values_mut() {
            *reported = 0;
        }
        for (tenant, bytes) in by_tenant.iter().filter(|(_, bytes)| **bytes > 0) {
            books.tenants.entry(tenant.clone()).or_default().1 = *bytes;
        }
        books.tenants.retain(|_, (in_hand, reported)| *in_hand > 0 || *reported > 0);
        books.reported = by_tenant.values().sum();
        books.shared = shared;
        books.settle(&self.options);
    }

    /// Whether a new request of `tenant` may come in; it holds nothing yet.
    ///
    /// # Errors
    /// [`Refusal`] of class `Retry` with reason `memory_soft` or `memory_hard`.
    pub fn admit(self: &Arc<MemoryGate>, tenant: &TenantId) -> Result<Held, Refusal> {
        let books = self.books();
        let (limit, used) = (self.options.limit_bytes, books.used());
        match books.state {
            MemoryState::Normal => {}
            MemoryState::Soft => {
                let held = books.tenants.get(tenant).map_or(0, |(in_hand, reported)| in_hand + reported);
                let share = limit / books.tenants.len().max(1) as u64;
                if held > share {
                    let message = format!(
                        "memory is short ({used} of {limit} bytes are held) and tenant {tenant} holds {held}, its share is \
                         {share}: send again later"
                    );
                    return Err(Refusal::unavailable("memory_soft", message, self.options.retry_after_ms));
                }
            }
            MemoryState::Hard => return Err(self.full(used)),
        }
        drop(books);
        Ok(Held { gate: Arc::clone(self), tenant: tenant.clone(), bytes: 0 })
    }

    /// The state and its numbers.
    pub fn status(&self) -> MemoryStatus {
        let books = self.books();
        MemoryStatus { state: books.state, used_bytes: books.used(), limit_bytes: self.options.limit_bytes }
    }

    fn full(&self, used: u64) -> Refusal {
        let limit = self.options.limit_bytes;
        let message = format!("memory is full ({used} of {limit} bytes are held): send again later");
        Refusal::unavailable("memory_hard", message, self.options.retry_after_ms)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MemoryGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryGate({:?})", self.status())
    }
}

impl Books {
    fn used(&self) -> u64 {
        self.in_hand.saturating_add(self.reported).saturating_add(self.shared)
    }

    /// The state that follows from what is held; on the way down it lags by the hysteresis.
    fn settle(&mut self, options: &MemoryOptions) {
        let used = self.used();
        let (soft, hard) = (options.percent(options.soft_percent), options.percent(options.hard_percent));
        let back = options.percent(options.hysteresis_percent);
        let leaves_soft = used < soft.saturating_sub(back);
        let leaves_hard = used < hard.saturating_sub(back);
        let before = self.state;
        self.state = match before {
            _ if used >= hard => MemoryState::Hard,
            MemoryState::Hard if !leaves_hard => MemoryState::Hard,
            MemoryState::Normal if used < soft => MemoryState::Normal,
            _ if leaves_soft => MemoryState::Normal,
            _ => MemoryState::Soft,
        };
        if self.state != before {
            let limit = options.limit_bytes;
            // WARN: clients are told to come again, nothing is lost.
            tracing::warn!(from = before.as_str(), to = self.state.as_str(), used, limit, "memory gate");
        }
    }
}

/// What one request holds; given back when dropped.
#[derive(Debug)]
pub struct Held {
    gate: Arc<MemoryGate>,
    tenant: TenantId,
    bytes: u64,
}

impl Held {
    /// Counts `bytes` more, before they are taken.
    ///
    /// # Errors
    /// [`Refusal`] with reason `memory_hard` when the budget does not have them.
    pub fn grow(&mut self, bytes: u64) -> Result<(), Refusal> {
        if bytes == 0 {
            return Ok(());
        }
        let mut books = self.gate.books();
        let used = books.used();
        if used.saturating_add(bytes) > self.gate.options.limit_bytes {
            return Err(self.gate.full(used));
        }
        books.in_hand += bytes;
        books.tenants.entry(self.tenant.clone()).or_default().0 += bytes;
        books.settle(&self.gate.options);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut books = self.gate.books();
        books.in_hand -= self.bytes;
        if let Some((in_hand, reported)) = books.tenants.get_mut(&self.tenant) {
            *in_hand -= self.bytes;
            if *in_hand == 0 && *reported == 0 {
                books.tenants.remove(&self.tenant);
            }
        }
        books.settle(&self.gate.options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn rows(sizes: &[(&str, u64)]) -> BTreeMap<TenantId, u64> {
        sizes.iter().map(|(name, bytes)| (tenant(name), *bytes)).collect()
    }

    /// Guarantee: the state follows what is held, and comes back only well below where it began.
    #[test]
    fn states_have_a_way_back_of_their_own() {
        let gate = MemoryGate::new(MemoryOptions::new(1_000));
        let check = |used: u64, expected: MemoryState| {
            gate.report(&rows(&[("a", used / 2)]), used - used / 2);
            assert_eq!((gate.status().state, gate.status().used_bytes), (expected, used));
        };
        check(749, MemoryState::Normal);
        check(750, MemoryState::Soft);
        check(650, MemoryState::Soft);
        check(900, MemoryState::Hard);
        check(800, MemoryState::Hard);
        check(799, MemoryState::Soft);
        check(649, MemoryState::Normal);
        check(5_000, MemoryState::Hard);
        check(0, MemoryState::Normal);
        assert!(gate.books().tenants.is_empty());
    }

    /// Scenario: one tenant holds most of the memory, two hold little. Guarantee: while it is short only the first is
    /// turned away; when it is full everybody is; when it is free again nobody is.
    #[test]
    fn the_biggest_tenants_are_shed_first() {
        let gate = MemoryGate::new(MemoryOptions::new(1_000));
        let sheds = |name: &str| gate.admit(&tenant(name)).err().map(|refusal| refusal.reason);
        let all = |big: u64| rows(&[("big", big), ("small", 50), ("tiny", 10)]);
        gate.report(&all(600), 0);
        assert_eq!(["big", "small", "tiny", "new"].map(sheds), [None; 4]);
        gate.report(&all(700), 0);
        assert_eq!(["big", "small", "tiny", "new"].map(sheds), [Some("memory_soft"), None, None, None]);
        gate.report(&all(900), 0);
        assert_eq!(["big", "small", "tiny", "new"].map(sheds), [Some("memory_hard"); 4]);
        let refusal = gate.admit(&tenant("tiny")).unwrap_err();
        assert!(refusal.message.contains("960 of 1000 bytes") && refusal.retry_after_ms == Some(1_000), "{refusal}");
        gate.report(&all(100), 0);
        assert_eq!(["big", "small", "tiny", "new"].map(sheds), [None; 4]);
    }

    /// Guarantee: requests never take more than the budget, and give back what they had.
    #[test]
    fn requests_in_hand_stay_within_the_budget() {
        let gate = MemoryGate::new(MemoryOptions::new(1_000));
        let (mut first, mut second) = (gate.admit(&tenant("a")).unwrap(), gate.admit(&tenant("b")).unwrap());
        first.grow(600).unwrap();
        second.grow(300).unwrap();
        assert_eq!(gate.admit(&tenant("c")).unwrap_err().reason, "memory_hard");
        assert_eq!(second.grow(101).unwrap_err().reason, "memory_hard");
        second.grow(100).unwrap();
        drop(first);
        assert_eq!(gate.status().used_bytes, 400);
        drop(second);
        assert_eq!((gate.status().used_bytes, gate.status().state), (0, MemoryState::Normal));
        let mut any = MemoryGate::open().admit(&tenant("a")).unwrap();
        any.grow(1 << 60).unwrap();
    }
}
