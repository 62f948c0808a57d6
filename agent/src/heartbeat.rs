//! Once a second: this agent lives, has closed time up to here, and has counted this.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use daymark_model::{Refusal, TenantId};
use daymark_wire::Heartbeat;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::agent::Shared;
use crate::options::AgentOptions;

/// Tenants this agent speaks for.
pub(crate) struct Tenants {
    known: Mutex<BTreeSet<TenantId>>,
    limit: usize,
    /// The tenant whose heartbeats carry the agent's ledger, which counts for all of them: shown once, not once a tenant.
    keeper: OnceLock<TenantId>,
}

impl Tenants {
    pub(crate) fn new(options: &AgentOptions) -> Tenants {
        Tenants {
            known: Mutex::new(options.tenants.iter().cloned().collect()),
            limit: options.max_tenants,
            keeper: options.tenants.first().cloned().map(OnceLock::from).unwrap_or_default(),
        }
    }

    /// A request of `tenant` arrived.
    pub(crate) fn saw(&self, tenant: &TenantId) {
        self.keeper.get_or_init(|| tenant.clone());
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !known.contains(tenant) && known.len() < self.limit {
            known.insert(tenant.clone());
        }
    }

    fn keeps_the_ledger(&self, tenant: &TenantId) -> bool {
        self.keeper.get() == Some(tenant)
    }

    fn all(&self) -> Vec<TenantId> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).iter().cloned().collect()
    }
}

/// Sends heartbeats until the drain begins.
pub(crate) async fn run(shared: Arc<Shared>) {
    let period = Duration::from_millis(shared.options.heartbeat_interval_ms.max(1));
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_alive = None;
    loop {
        tokio::select! {
            () = shared.drain.begun() => return,
            _ = ticks.tick() => {}
        }
        let mut failure = None;
        for tenant in shared.tenants.all() {
            failure = beat(&shared, tenant, period).await.err().or(failure);
        }
        let alive = failure.is_none();
        shared.upstream_alive.store(alive, Relaxed);
        if was_alive.replace(alive) != Some(alive) {
            report(failure);
        }
    }
}

async fn beat(shared: &Shared, tenant: TenantId, limit: Duration) -> Result<(), Refusal> {
    let mut ledger = shared.ledger.snapshot();
    if !shared.tenants.keeps_the_ledger(&tenant) {
        ledger.rows.clear();
    }
    let beat = Heartbeat {
        agent: shared.identity.agent,
        epoch: shared.identity.epoch,
        tenant,
        closed_until: shared.closed.until(shared.clock.now()),
        ledger,
    };
    timeout(limit, shared.upstream.heartbeat(beat))
        .await
        .unwrap_or_else(|_| Err(Refusal::unavailable("timeout", "the collector did not answer a heartbeat", 1_000)))
}

/// The collector went, or came back: said once, not once a second.
fn report(failure: Option<Refusal>) {
    match failure {
        Some(refusal) => tracing::warn!(reason = refusal.reason, "collector does not answer: {refusal}"),
        None => tracing::info!("collector answers"),
    }
}
