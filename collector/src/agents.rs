//! What the collector knows of its agents, and the watermark they allow (design §10).
//!
//! Where it sits: heartbeats and stamped batches feed it; [`crate::CollectorHandle`]'s status reads it.
//!
//! Invariants:
//! - an agent is known under the tenant of its key: what another tenant says in its name changes nothing of it;
//! - a declared time counts only once everything durable at that moment can be queried;
//! - the watermark is the least time declared by agents that are not silent, less the allowed lateness; without such
//!   an agent it is now, because data of clients without an agent counts as closed on arrival.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daymark_model::{AgentId, LedgerSnapshot, LogOffset, TenantId, UnixNanos};
use daymark_store::AgentStatus;

/// Agents known at once; beyond, the one not heard for longest is forgotten.
const MAX_AGENTS: usize = 4_096;
/// Services listed per agent.
const MAX_SERVICES: usize = 1_024;
/// Declared times waiting for the applier, per agent.
const MAX_WAITING: usize = 64;

/// An agent of a tenant.
pub(crate) type OfTenant = (TenantId, AgentId);

#[derive(Default)]
struct Agent {
    epoch: u64,
    closed_until: UnixNanos,
    /// Declared, but the applier has not reached the offset yet.
    waiting: VecDeque<(LogOffset, UnixNanos)>,
    last_seen: UnixNanos,
    services: BTreeSet<Arc<str>>,
    ledger: Option<LedgerSnapshot>,
}

/// All agents that were heard of.
pub(crate) struct Agents {
    silent_ns: u64,
    lateness_ns: u64,
    known: Mutex<BTreeMap<OfTenant, Agent>>,
}

/// What an agent says of itself with a heartbeat or a batch.
pub(crate) struct Declared {
    pub(crate) agent: OfTenant,
    pub(crate) epoch: u64,
    pub(crate) closed_until: Option<UnixNanos>,
    /// Newest durable offset when it was said.
    pub(crate) durable: LogOffset,
    pub(crate) ledger: Option<LedgerSnapshot>,
}

impl Agents {
    pub(crate) fn new(silent_ms: u64, lateness_ms: u64) -> Agents {
        Agents { silent_ns: silent_ms * 1_000_000, lateness_ns: lateness_ms * 1_000_000, known: Mutex::default() }
    }

    /// Takes note of what an agent said.
    pub(crate) fn heard(&self, declared: Declared, now: UnixNanos) {
        let mut known = self.lock();
        let agent = entry(&mut known, declared.agent);
        if declared.epoch < agent.epoch {
            return;
        }
        if declared.epoch > agent.epoch {
            // A new run starts over: what the old one declared still holds, its ledger does not.
            agent.epoch = declared.epoch;
            agent.ledger = None;
        }
        agent.last_seen = agent.last_seen.max(now);
        agent.ledger = declared.ledger.or(agent.ledger.take());
        if let Some(closed_until) = declared.closed_until {
            if agent.waiting.len() >= MAX_WAITING {
                agent.waiting.pop_back();
            }
            agent.waiting.push_back((declared.durable, closed_until));
        }
    }

    /// A stamped frame found in the log at start: the agent lives, and had not closed more than this.
    pub(crate) fn found_in_log(&self, id: OfTenant, epoch: u64, received: UnixNanos) {
        let mut known = self.lock();
        let agent = entry(&mut known, id);
        agent.epoch = agent.epoch.max(epoch);
        agent.last_seen = agent.last_seen.max(received);
        agent.closed_until = agent.closed_until.max(received.minus(self.lateness_ns));
    }

    /// Services whose telemetry came through an agent.
    pub(crate) fn carries(&self, id: OfTenant, services: &[Arc<str>]) {
        let mut known = self.lock();
        let agent = entry(&mut known, id);
        for service in services {
            if agent.services.len() < MAX_SERVICES && !agent.services.contains(service) {
                agent.services.insert(Arc::clone(service));
            }
        }
    }

    /// All agents as they stand when everything up to `applied` can be queried.
    pub(crate) fn status(&self, applied: LogOffset, now: UnixNanos) -> Vec<AgentStatus> {
        let mut known = self.lock();
        known
            .iter_mut()
            .map(|((tenant, id), agent)| {
                while let Some((_, closed_until)) = agent.waiting.pop_front_if(|(offset, _)| *offset <= applied) {
                    agent.closed_until = agent.closed_until.max(closed_until);
                }
                AgentStatus {
                    tenant: tenant.clone(),
                    agent: *id,
                    epoch: agent.epoch,
                    closed_until: agent.closed_until,
                    last_seen: agent.last_seen,
                    silent: agent.last_seen.plus(self.silent_ns) < now,
                    services: agent.services.iter().map(|service| service.to_string()).collect(),
                }
            })
            .collect()
    }

    /// Ledgers that agents sent.
    pub(crate) fn ledgers(&self) -> Vec<LedgerSnapshot> {
        self.lock().values().filter_map(|agent| agent.ledger.clone()).collect()
    }

    /// The watermark that `agents` allow.
    pub(crate) fn watermark(&self, agents: &[AgentStatus], now: UnixNanos) -> UnixNanos {
        let live = agents.iter().filter(|agent| !agent.silent).map(|agent| agent.closed_until);
        live.min().map_or(now, |closed| closed.minus(self.lateness_ns).min(now))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<OfTenant, Agent>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(known: &mut BTreeMap<OfTenant, Agent>, id: OfTenant) -> &mut Agent {
    if !known.contains_key(&id) && known.len() >= MAX_AGENTS {
        let quietest = known.iter().min_by_key(|(_, agent)| agent.last_seen).map(|(id, _)| id.clone());
        quietest.and_then(|quietest| known.remove(&quietest));
    }
    known.entry(id).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(agent: u8, closed_s: u64, durable: u64) -> Declared {
        Declared {
            agent: (TenantId::default(), AgentId([agent; 16])),
            epoch: 1,
            closed_until: Some(UnixNanos::from_seconds(closed_s)),
            durable: LogOffset(durable),
            ledger: None,
        }
    }

    fn watermark_s(agents: &Agents, applied: u64, now_s: u64) -> u64 {
        let now = UnixNanos::from_seconds(now_s);
        agents.watermark(&agents.status(LogOffset(applied), now), now).seconds()
    }

    #[test]
    fn the_watermark_is_the_least_declared_by_live_agents() {
        let agents = Agents::new(30_000, 5_000);
        assert_eq!(watermark_s(&agents, 0, 100), 100, "no agent at all: now");
        agents.heard(beat(1, 100, 0), UnixNanos::from_seconds(101));
        agents.heard(beat(2, 90, 0), UnixNanos::from_seconds(101));
        assert_eq!(watermark_s(&agents, 0, 102), 85);
        agents.heard(beat(1, 140, 0), UnixNanos::from_seconds(141));
        assert_eq!(watermark_s(&agents, 0, 142), 135, "agent 2 is silent");
    }

    #[test]
    fn a_declared_time_counts_only_when_what_was_durable_is_applied() {
        let agents = Agents::new(30_000, 5_000);
        agents.heard(beat(1, 100, 0), UnixNanos::from_seconds(101));
        agents.heard(beat(1, 110, 7), UnixNanos::from_seconds(111));
        assert_eq!(watermark_s(&agents, 6, 112), 95);
        assert_eq!(watermark_s(&agents, 7, 112), 105);
    }

    #[test]
    fn another_tenant_moves_nothing_of_an_agent() {
        let agents = Agents::new(30_000, 5_000);
        agents.heard(beat(1, 100, 0), UnixNanos::from_seconds(101));
        let mallory = TenantId::parse("mallory").unwrap();
        let spoofed = Declared { agent: (mallory.clone(), AgentId([1; 16])), epoch: 9, ..beat(1, 900, 0) };
        agents.heard(spoofed, UnixNanos::from_seconds(102));
        agents.heard(beat(1, 110, 0), UnixNanos::from_seconds(111));
        let status = agents.status(LogOffset(0), UnixNanos::from_seconds(111));
        let of = |tenant: &TenantId| status.iter().find(|agent| agent.tenant == *tenant).unwrap();
        let (ours, theirs) = (of(&TenantId::default()), of(&mallory));
        assert_eq!((ours.epoch, ours.closed_until.seconds()), (1, 110));
        assert_eq!((theirs.epoch, theirs.closed_until.seconds()), (9, 900));
    }
}
