//! Quotas of tenants: bytes and items per second, each over a [`SlidingWindow`].
//!
//! Where it sits: asked by the listeners (bytes) and by the collector's admission (items). One [`Quotas`] serves all of a
//! process.
//!
//! Invariants:
//! - memory is bounded by the tenants that have keys; without keys there is one tenant;
//! - what was charged for a request that was then turned away because of load is given back: its repetition is charged;
//! - a changed limit counts from the next request on and forgets nothing of what was admitted.

mod window;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daymark_model::{Refusal, TenantId};

use crate::Clock;
pub use window::{Over, SlidingWindow};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Bytes of requests after decompression.
    Bytes,
    /// Spans, log records and data points.
    Items,
}

impl Counted {
    /// Both of them.
    pub const ALL: [Counted; 2] = [Counted::Bytes, Counted::Items];

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Counted::Bytes => "bytes",
            Counted::Items => "items",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Counted::Bytes => "quota_bytes",
            Counted::Items => "quota_items",
        }
    }
}

/// What one tenant may send; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLimit {
    /// Bytes per second, after decompression.
    pub bytes_per_second: Option<u64>,
    /// Items per second.
    pub items_per_second: Option<u64>,
}

impl QuotaLimit {
    fn of(&self, counted: Counted) -> Option<u64> {
        match counted {
            Counted::Bytes => self.bytes_per_second,
            Counted::Items => self.items_per_second,
        }
    }
}

/// The limits of all tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Over which time a rate is judged, milliseconds: how long a burst may be.
    pub window_ms: u64,
    /// For tenants that are not named.
    pub default: QuotaLimit,
    /// For those that are, instead of the default.
    pub tenants: BTreeMap<TenantId, QuotaLimit>,
}

impl QuotaLimits {
    /// Default of `window_ms`.
    pub const WINDOW_MS: u64 = 10_000;
}

impl Default for QuotaLimits {
    fn default() -> QuotaLimits {
        QuotaLimits { window_ms: QuotaLimits::WINDOW_MS, default: QuotaLimit::default(), tenants: BTreeMap::new() }
    }
}

/// What each tenant has sent and may send.
pub struct Quotas {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    limits: QuotaLimits,
    windows: HashMap<TenantId, [Option<SlidingWindow>; 2]>,
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Quotas({:?})", self.state().limits)
    }
}

impl Quotas {
    /// Quotas within `limits`.
    pub fn new(limits: QuotaLimits, clock: Arc<dyn Clock>) -> Arc<Quotas> {
        Arc::new(Quotas { clock, state: Mutex::new(State { limits, windows: HashMap::new() }) })
    }

    /// Puts other limits in place. Another length of the window begins all windows anew.
    pub fn replace(&self, limits: QuotaLimits) {
        let mut state = self.state();
        if state.limits.window_ms != limits.window_ms {
            state.windows.clear();
        }
        state.limits = limits;
    }

    /// A charge of nothing yet, against the quota of `tenant`.
    pub fn charge(self: &Arc<Quotas>, tenant: &TenantId, counted: Counted) -> Charge {
        Charge { quotas: Arc::clone(self), tenant: tenant.clone(), counted, amount: 0, kept: false }
    }

    /// What each tenant with a limit has used of it in the last window: tenant, what is counted, used, limit.
    pub fn usage(&self) -> Vec<(TenantId, Counted, u64, u64)> {
        let now_ns = self.clock.now().0;
        let mut state = self.state();
        let windows = state.windows.iter_mut().flat_map(|(tenant, windows)| {
            let of = |(counted, window): (Counted, &mut Option<SlidingWindow>)| {
                window.as_mut().map(|window| (tenant.clone(), counted, window.used(now_ns), window.limit()))
            };
            Counted::ALL.into_iter().zip(windows).filter_map(of).collect::<Vec<_>>()
        });
        windows.collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Charges `amount` instead of `before`.
    fn change(&self, tenant: &TenantId, counted: Counted, before: u64, amount: u64) -> Result<(), Refusal> {
        let now_ns = self.clock.now().0;
        let mut state = self.state();
        let window_ms = state.limits.window_ms.max(1);
        let limit = state.limits.tenants.get(tenant).unwrap_or(&state.limits.default).of(counted);
        let Some(per_second) = limit else {
            if let Some(windows) = state.windows.get_mut(tenant) {
                windows[counted as usize] = None;
            }
            return Ok(());
        };
        let limit = u64::try_from(u128::from(per_second) * u128::from(window_ms) / 1_000).unwrap_or(u64::MAX);
        if !state.windows.contains_key(tenant) {
            state.windows.insert(tenant.clone(), [None, None]);
        }
        let Some(windows) = state.windows.get_mut(tenant) else { return Ok(()) };
        let fresh = || SlidingWindow::new(limit, window_ms.saturating_mul(1_000_000));
        let window = windows[counted as usize].get_or_insert_with(fresh);
        window.set_limit(limit);
        window.give_back(before, now_ns);
        window.take_in_turn(amount, now_ns).map_err(|over| {
            let quota = format!(
                "tenant {tenant} may send {per_second} {0} per second, {limit} {0} in {1} s",
                counted.as_str(),
                seconds(window_ms)
            );
            refusal(counted, amount, over, &quota)
        })
    }

    fn give_back(&self, tenant: &TenantId, counted: Counted, amount: u64) {
        let now_ns = self.clock.now().0;
        let mut state = self.state();
        let window = state.windows.get_mut(tenant).and_then(|windows| windows[counted as usize].as_mut());
        if let Some(window) = window {
            window.give_back(amount, now_ns);
        }
    }
}

fn refusal(counted: Counted, amount: u64, over: Over, quota: &str) -> Refusal {
    let what = counted.as_str();
    match over {
        Over::Wait { wait_ns, excess } => {
            let wait_ms = wait_ns.div_ceil(1_000_000).max(1);
            let message =
                format!("{quota}: this request is {excess} {what} too much; send it again in {} s", seconds(wait_ms));
            Refusal::overload(counted.reason(), message, wait_ms)
        }
        Over::Never => {
            let message = format!("{quota}: this request of {amount} {what} can never fit; send smaller batches");
            Refusal::reject(counted.reason(), message)
        }
    }
}

/// Milliseconds as seconds with as many decimals as they need.
fn seconds(ms: u64) -> String {
    match ms % 1_000 {
        0 => (ms / 1_000).to_string(),
        rest => format!("{}.{rest:03}", ms / 1_000),
    }
}

/// What one request was charged. Given back when dropped, unless [kept](Charge::keep).
pub struct Charge {
    quotas: Arc<Quotas>,
    tenant: TenantId,
    counted: Counted,
    amount: u64,
    kept: bool,
}

impl Charge {
    /// Charges `amount` in all, in place of what was charged before.
    ///
    /// # Errors
    /// [`Refusal`] with reason `quota_bytes` or `quota_items` when that is too much: of class `Overload` with the time to
    /// wait, or `Reject` when it is more than a whole window may hold. Nothing is charged then.
    pub fn set(&mut self, amount: u64) -> Result<(), Refusal> {
        let before = std::mem::take(&mut self.amount);
        self.quotas.change(&self.tenant, self.counted, before, amount)?;
        self.amount = amount;
        Ok(())
    }

    /// The request was taken, or was not worth the work it made: it counts.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if !self.kept && self.amount > 0 {
            self.quotas.give_back(&self.tenant, self.counted, self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use daymark_model::{ErrorClass, UnixNanos};

    use super::*;
    use crate::ManualClock;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn quotas(clock: &Arc<ManualClock>) -> Arc<Quotas> {
        let named = QuotaLimit { bytes_per_second: Some(100), items_per_second: None };
        let default = QuotaLimit { bytes_per_second: None, items_per_second: Some(5) };
        let limits = QuotaLimits { default, tenants: [(tenant("acme"), named)].into(), ..QuotaLimits::default() };
        Quotas::new(limits, Arc::clone(clock) as Arc<dyn Clock>)
    }

    fn take(quotas: &Arc<Quotas>, name: &str, counted: Counted, amount: u64) -> Result<(), Refusal> {
        let mut charge = quotas.charge(&tenant(name), counted);
        charge.set(amount)?;
        charge.keep();
        Ok(())
    }

    #[test]
    fn a_refusal_names_tenant_quota_excess_and_a_wait_that_suffices() {
        let clock = Arc::new(ManualClock::at(UnixNanos::from_seconds(1_000)));
        let quotas = quotas(&clock);
        take(&quotas, "acme", Counted::Bytes, 900).unwrap();
        let refusal = take(&quotas, "acme", Counted::Bytes, 300).unwrap_err();
        assert_eq!((refusal.class, refusal.reason), (ErrorClass::Overload, "quota_bytes"));
        let expected = "tenant acme may send 100 bytes per second, 1000 bytes in 10 s: this request is 200 bytes too much; \
                        send it again in 12.223 s";
        assert_eq!(refusal.message, expected);
        clock.set(clock.now().plus(refusal.retry_after_ms.unwrap() * 1_000_000));
        take(&quotas, "acme", Counted::Bytes, 300).unwrap();
        let refusal = take(&quotas, "acme", Counted::Bytes, 1_001).unwrap_err();
        assert_eq!((refusal.class, refusal.retry_after_ms), (ErrorClass::Reject, None));
        assert!(refusal.message.contains("1001 bytes can never fit; send smaller batches"), "{refusal}");
    }

    #[test]
    fn every_tenant_has_its_own_quota_and_those_not_named_the_default() {
        let clock = Arc::new(ManualClock::at(UnixNanos::from_seconds(1_000)));
        let quotas = quotas(&clock);
        take(&quotas, "acme", Counted::Items, 1_000_000).unwrap();
        for name in ["umbrella", "initech"] {
            take(&quotas, name, Counted::Bytes, 1 << 40).unwrap();
            take(&quotas, name, Counted::Items, 50).unwrap();
            assert_eq!(take(&quotas, name, Counted::Items, 1).unwrap_err().reason, "quota_items");
        }
        let mut usage = quotas.usage();
        usage.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = ["initech", "umbrella"].map(|name| (tenant(name), Counted::Items, 50, 50));
        assert_eq!(usage, expected);
    }

    #[test]
    fn what_is_not_kept_is_given_back_and_a_change_of_limits_counts_at_once() {
        let clock = Arc::new(ManualClock::at(UnixNanos::from_seconds(1_000)));
        let quotas = quotas(&clock);
        for _ in 0..10 {
            let mut charge = quotas.charge(&tenant("acme"), Counted::Bytes);
            charge.set(100).unwrap();
            charge.set(1_000).unwrap();
            assert!(charge.set(1_001).is_err(), "and nothing is charged");
            charge.set(1_000).unwrap();
        }
        take(&quotas, "acme", Counted::Bytes, 1_000).unwrap();
        assert!(take(&quotas, "acme", Counted::Bytes, 1).is_err());
        let named = QuotaLimit { bytes_per_second: Some(101), items_per_second: None };
        quotas.replace(QuotaLimits { tenants: [(tenant("acme"), named)].into(), ..QuotaLimits::default() });
        take(&quotas, "acme", Counted::Bytes, 10).unwrap();
        quotas.replace(QuotaLimits::default());
        take(&quotas, "acme", Counted::Bytes, 1 << 40).unwrap();
        assert!(quotas.usage().is_empty());
    }
}
