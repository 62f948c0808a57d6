//! Late spans of forgotten traces: has their stored part looked up, without holding up what comes in.
//!
//! Where it sits: the applier asks here at each tick and before it seals traces. A look into the store is a task beside
//! it, one a tenant; the applier takes the answer when it is there.
//!
//! Invariants:
//! - the applier waits for answers with what [`Credit`] gives it: a tenth of the time, and 2 s at once at most; only a
//!   start and a stop wait longer;
//! - traces and edges are not sealed while traces wait, so that no commit claims spans that no row counts;
//! - no trace waits longer than `late_spans_wait_ms` for a store that does not answer, and seals are put off no longer:
//!   then the traces that wait go on without their stored part, as `truncated`;
//! - what a look reads is held from the memory gate, like a request of the tenant: while memory is short it waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daymark_guard::Held;
use daymark_model::{TenantId, TraceId};
use daymark_store::StoreError;
use tokio::task::{JoinError, JoinHandle};

use crate::columns::read_trace_rows;
use crate::core::Shared;
use crate::error::CollectorError;
use crate::keyed::IdMap;
use crate::lookup::{self, Rows};
use crate::restore::{self, RestoreLimits, StoredParts};

/// Traces looked up at a time.
const MAX_TRACES: usize = 1_024;
/// Looks under way, of all tenants.
const MAX_LOOKS: usize = 4;
/// Longest wait of the applier at a tick.
const PATIENCE: Duration = Duration::from_millis(100);
/// Longest wait before a seal: nothing new comes meanwhile, so two looks end it.
const SEAL_PATIENCE: Duration = Duration::from_secs(2);
/// Longest wait when the collector stops. What is not sealed is replayed by the next start.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// A look ends by itself in time; should it not, it is given up so much later.
const GRACE: Duration = Duration::from_secs(1);
/// Waits between looks that fail.
const RETRY: Duration = Duration::from_millis(250);
/// Between warnings of damage.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// How long the applier may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// At a tick, within the credit.
    Tick,
    /// Before a seal, within the credit.
    Seal,
    /// At start: until there is an answer, or traces go on without.
    Start,
    /// At the end.
    Last,
}

/// The looks of all tenants.
pub(crate) struct Late {
    shared: Arc<Shared>,
    tenants: BTreeMap<TenantId, Looks>,
    credit: Credit,
    warned: Option<Instant>,
    /// When the stop began.
    last: Option<Instant>,
}

type Answer = Result<StoredParts, StoreError>;

struct Looks {
    under_way: Option<JoinHandle<Answer>>,
    /// Traces to ask for at a time.
    most: usize,
    /// When the first look began that has not been answered.
    since: Option<Instant>,
    /// Not before, after a failure.
    next: Option<Instant>,
    /// When a seal was put off first.
    seal_put_off: Option<Instant>,
    /// The rows of traces whose spans could not be read.
    rows: StoredParts,
}

impl Looks {
    fn runs(&self) -> bool {
        self.under_way.as_ref().is_some_and(|look| !look.is_finished())
    }

    /// The next look comes later, because of `why`.
    fn put_off(&mut self, tenant: &TenantId, why: &dyn std::fmt::Display) {
        if self.next.is_none() {
            tracing::warn!(%tenant, error = %why, "stored traces cannot be read: traces with late spans wait for them");
        }
        self.next = Some(Instant::now() + RETRY);
    }
}

impl Default for Looks {
    fn default() -> Looks {
        Looks {
            under_way: None,
            most: MAX_TRACES,
            since: None,
            next: None,
            seal_put_off: None,
            rows: StoredParts::default(),
        }
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        if let Some(look) = &self.under_way {
            look.abort();
        }
    }
}

impl Late {
    pub(crate) fn new(shared: Arc<Shared>) -> Late {
        Late { shared, tenants: BTreeMap::new(), credit: Credit::new(Instant::now()), warned: None, last: None }
    }

    /// Whether traces of `tenant` and their edges may be sealed: none waits any longer.
    ///
    /// # Errors
    /// When rows in memory do not fit their columns: a mistake in this crate.
    pub(crate) fn may_seal(&mut self, tenant: &TenantId, patience: Patience) -> Result<bool, CollectorError> {
        let patience = if patience == Patience::Tick { Patience::Seal } else { patience };
        let may = self.wait(tenant, patience)?;
        let limit = self.limit();
        let Some(looks) = self.tenants.get_mut(tenant) else { return Ok(true) };
        if may {
            looks.seal_put_off = None;
            return Ok(true);
        }
        let put_off = *looks.seal_put_off.get_or_insert_with(Instant::now);
        if put_off.elapsed() < limit {
            return Ok(false);
        }
        self.give_up(tenant);
        Ok(true)
    }

    /// Takes what was found for `tenant`, has the next traces looked up, and waits a little for them. Says whether none
    /// waits any longer.
    ///
    /// # Errors
    /// As [`Late::may_seal`].
    pub(crate) fn wait(&mut self, tenant: &TenantId, patience: Patience) -> Result<bool, CollectorError> {
        let began = Instant::now();
        loop {
            if self.step(tenant)? {
                return Ok(true);
            }
            let left = self.left(patience, began);
            let in_credit = matches!(patience, Patience::Tick | Patience::Seal);
            let looks = self.tenants.get_mut(tenant);
            let look = looks.and_then(|looks| looks.under_way.as_mut());
            if left.is_zero() || (look.is_none() && in_credit) {
                return Ok(false);
            }
            let waiting = Instant::now();
            match look {
                Some(look) => {
                    if let Ok(answer) = self.shared.runtime.block_on(async { tokio::time::timeout(left, look).await }) {
                        self.answered(tenant, answer);
                    }
                }
                None => std::thread::sleep(RETRY.min(left)),
            }
            if in_credit {
                self.credit.spend(waiting.elapsed());
            }
        }
    }

    /// What is left of a wait that began at `began`.
    fn left(&mut self, patience: Patience, began: Instant) -> Duration {
        let now = Instant::now();
        let until = |from: Instant, most: Duration| most.saturating_sub(now.saturating_duration_since(from));
        match patience {
            Patience::Tick => self.credit.left(now).min(until(began, PATIENCE)),
            Patience::Seal => self.credit.left(now).min(until(began, SEAL_PATIENCE)),
            Patience::Start => PATIENCE,
            Patience::Last => until(*self.last.get_or_insert(now), LAST_PATIENCE),
        }
    }

    /// One step without waiting. Says whether no trace waits any longer.
    fn step(&mut self, tenant: &TenantId) -> Result<bool, CollectorError> {
        let looks = self.tenants.get_mut(tenant).and_then(|looks| looks.under_way.as_mut());
        if let Some(look) = looks.filter(|look| look.is_finished()) {
            let answer = self.shared.runtime.block_on(look);
            self.answered(tenant, answer);
        }
        let waiting = self.shared.write().tenants.get(tenant).map_or(0, |tenant| tenant.stitcher.waiting());
        let (limit, running) = (self.limit(), self.tenants.values().filter(|looks| looks.runs()).count());
        if waiting == 0 {
            if let Some(looks) = self.tenants.get_mut(tenant) {
                (looks.since, looks.next) = (None, None);
            }
            return Ok(true);
        }
        let looks = self.tenants.entry(tenant.clone()).or_default();
        let limit_now = if looks.runs() { limit + GRACE } else { limit };
        if looks.since.is_some_and(|since| since.elapsed() >= limit_now) {
            self.give_up(tenant);
            return Ok(true);
        }
        let may_ask = looks.under_way.is_none() && looks.next.is_none_or(|next| next <= Instant::now());
        if may_ask && running < MAX_LOOKS {
            let left = limit.saturating_sub(looks.since.get_or_insert_with(Instant::now).elapsed());
            match self.shared.options.memory.admit(tenant) {
                Ok(held) => looks.under_way = begin(&self.shared, tenant, looks.most, left, held)?,
                Err(refusal) => looks.put_off(tenant, &refusal.message),
            }
        }
        Ok(false)
    }

    /// The look of `tenant` has ended with `answer`.
    fn answered(&mut self, tenant: &TenantId, answer: Result<Answer, JoinError>) {
        let Some(looks) = self.tenants.get_mut(tenant) else { return };
        looks.under_way = None;
        let answer = answer.unwrap_or_else(|error| Err(StoreError::Background(error.to_string())));
        let mut core = self.shared.write();
        let Some(stitcher) = core.tenants.get_mut(tenant).map(|tenant| &mut tenant.stitcher) else { return };
        let (parts, failed) = match answer {
            Ok(mut parts) => {
                let failed = parts.failed.take();
                (parts, failed)
            }
            Err(error) => (StoredParts::default(), Some(error)),
        };
        if let Some(error) = failed {
            stitcher.not_found();
            if !parts.is_empty() {
                looks.rows = parts;
            }
            looks.put_off(tenant, &error);
            return;
        }
        parts.restore(stitcher);
        (looks.since, looks.next, looks.rows) = (None, None, StoredParts::default());
        looks.most = if parts.too_much { looks.most / 2 } else { looks.most * 2 }.clamp(1, MAX_TRACES);
        if parts.damaged > 0 && self.warned.is_none_or(|warned| warned.elapsed() > WARN_EVERY) {
            self.warned = Some(Instant::now());
            let segments = parts.damaged;
            tracing::warn!(%tenant, segments, "damaged segments: traces in them with late spans are truncated");
        }
    }

    fn give_up(&mut self, tenant: &TenantId) {
        let rows = self.tenants.remove(tenant).map(|mut looks| std::mem::take(&mut looks.rows)).unwrap_or_default();
        if let Some(state) = self.shared.write().tenants.get_mut(tenant) {
            let traces = rows.give_up(&mut state.stitcher);
            let after_ms = self.shared.options.late_spans_wait_ms;
            tracing::warn!(%tenant, traces, after_ms, "stored traces could not be read in time: they go on as truncated");
        }
    }

    fn limit(&self) -> Duration {
        Duration::from_millis(self.shared.options.late_spans_wait_ms)
    }
}

/// Begins to look up the next traces of `tenant`; it ends within `limit`, and what it reads is counted on `held`.
fn begin(
    shared: &Arc<Shared>,
    tenant: &TenantId,
    most: usize,
    limit: Duration,
    held: Held,
) -> Result<Option<JoinHandle<Answer>>, CollectorError> {
    let mut rows = Rows::default();
    let (missing, limits) = {
        let mut core = shared.write();
        let Some(state) = core.tenants.get_mut(tenant) else { return Ok(None) };
        let asked: IdMap<TraceId, ()> = state.stitcher.ask(most).into_iter().map(|id| (id, ())).collect();
        for chunk in state.trace_chunks()? {
            rows.add(read_trace_rows(&chunk.rows.batch()?, |id| asked.contains_key(id)));
        }
        let limits = RestoreLimits {
            spans_per_trace: state.stitcher.max_spans_per_trace() as u64,
            spans: state.stitcher.max_restored() as u64,
            bytes: shared.options.late_spans_bytes,
        };
        let missing: Vec<TraceId> = asked.into_keys().filter(|id| !rows.found.contains_key(id)).collect();
        (missing, limits)
    };
    let (state, id) = (Arc::clone(shared), tenant.clone());
    let began = Instant::now();
    let look = async move {
        lookup::within(limit, lookup::from_segments(&state, &id, missing, &mut rows)).await?;
        Ok(restore::stored_parts(&state, &id, rows, limits, held, limit.saturating_sub(began.elapsed())).await)
    };
    Ok(Some(shared.runtime.spawn(look)))
}

/// Time that the applier may spend waiting: it grows by a tenth of the time that passes.
struct Credit {
    left: Duration,
    at: Instant,
}

impl Credit {
    const MOST: Duration = SEAL_PATIENCE;

    fn new(now: Instant) -> Credit {
        Credit { left: Credit::MOST, at: now }
    }

    fn left(&mut self, now: Instant) -> Duration {
        self.left = (self.left + now.saturating_duration_since(self.at) / 10).min(Credit::MOST);
        self.at = now;
        self.left
    }

    fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_applier_waits_a_tenth_of_the_time_at_most() {
        let begin = Instant::now();
        let mut credit = Credit::new(begin);
        let mut waited = Duration::ZERO;
        for second in 1..=60 {
            let left = credit.left(begin + Duration::from_secs(second));
            credit.spend(left);
            waited += left;
        }
        assert!(waited <= Duration::from_secs(6) + Credit::MOST, "{waited:?}");
        assert!(waited >= Duration::from_secs(5), "{waited:?}");
    }
}
