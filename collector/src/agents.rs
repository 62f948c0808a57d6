//! What the collector knows of its agents, and the watermark they allow (design §10).
//!
//! Where it sits: heartbeats and stamped batches feed it; [`crate::CollectorHandle`]'s status reads it.
//!
//! Invariants:
//! - an agent is known under the tenant of its key: what another tenant says in its name changes nothing of it;
//! - a declared time counts only once everything durable at that moment can be queried;
//! - a tenant's watermark is the least time declared by its own agents that are not silent, less the allowed lateness;
//!   without such an agent it is now, because data of clients without an agent counts as closed on arrival;
//! - a tenant has at most `max_agents` agents. Beyond, a newcomer takes the place of a silent one; while none is silent
//!   it is not followed: its data counts as closed on arrival, and the status says how many heartbeats were left out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daymark_model::{AgentId, LedgerSnapshot, LogOffset, TenantId, UnixNanos};
use daymark_store::AgentStatus;

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

/// The agents of one tenant.
#[derive(Default)]
struct Known {
    agents: BTreeMap<AgentId, Agent>,
    /// Services of agents whose first batch was applied before it was answered: the applier may be first.
    early: BTreeMap<AgentId, BTreeSet<Arc<str>>>,
    /// Heartbeats and batches of agents beyond the cap.
    untracked: u64,
}

/// Limits of what is known.
#[derive(Clone, Copy)]
pub(crate) struct AgentLimits {
    /// An agent not heard for this long is silent.
    pub(crate) silent_ms: u64,
    /// Allowed lateness.
    pub(crate) lateness_ms: u64,
    /// Agents followed per tenant.
    pub(crate) max_agents: usize,
}

/// All agents that were heard of.
pub(crate) struct Agents {
    silent_ns: u64,
    lateness_ns: u64,
    max_agents: usize,
    known: Mutex<BTreeMap<TenantId, Known>>,
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
    pub(crate) fn new(limits: AgentLimits) -> Agents {
        Agents {
            silent_ns: limits.silent_ms * 1_000_000,
            lateness_ns: limits.lateness_ms * 1_000_000,
            max_agents: limits.max_agents.max(1),
            known: Mutex::default(),
        }
    }

    /// Takes note of what an agent said.
    pub(crate) fn heard(&self, declared: Declared, now: UnixNanos) {
        let mut known = self.lock();
        let Some(agent) = self.entry(&mut known, declared.agent, now) else { return };
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
        let Some(agent) = self.entry(&mut known, id, received) else { return };
        agent.epoch = agent.epoch.max(epoch);
        agent.last_seen = agent.last_seen.max(received);
        agent.closed_until = agent.closed_until.max(received.minus(self.lateness_ns));
    }

    /// Services whose telemetry came through an agent. An agent that is not known yet does not hold the watermark back for
    /// that; it has them when it is heard.
    pub(crate) fn carries(&self, id: &OfTenant, services: &[Arc<str>]) {
        let mut known = self.lock();
        let Some(of_tenant) = known.get_mut(&id.0) else {
            let early = BTreeMap::from([(id.1, services.iter().take(MAX_SERVICES).cloned().collect())]);
            known.insert(id.0.clone(), Known { early, ..Known::default() });
            return;
        };
        let carried = match of_tenant.agents.get_mut(&id.1) {
            Some(agent) => &mut agent.services,
            None if of_tenant.early.len() >= self.max_agents && !of_tenant.early.contains_key(&id.1) => return,
            None => of_tenant.early.entry(id.1).or_default(),
        };
        for service in services {
            if carried.len() < MAX_SERVICES && !carried.contains(service) {
                carried.insert(Arc::clone(service));
            }
        }
    }

    /// All agents as they stand when everything up to `applied` can be queried.
    pub(crate) fn status(&self, applied: LogOffset, now: UnixNanos) -> Vec<AgentStatus> {
        let mut known = self.lock();
        let every = known
            .iter_mut()
            .flat_map(|(tenant, known)| known.agents.iter_mut().map(move |(id, agent)| (tenant, id, agent)));
        every
            .map(|(tenant, id, agent)| {
                while let Some((_, closed_until)) = agent.waiting.pop_front_if(|(offset, _)| *offset <= applied) {
                    agent.closed_until = agent.closed_until.max(closed_until);
                }
                AgentStatus {
                    tenant: tenant.clone(),
                    agent: *id,
                    epoch: agent.epoch,
                    closed_until: agent.closed_until,
                    last_seen: agent.last_seen,
                    silent: self.is_silent(agent, now),
                    services: agent.services.iter().map(|service| service.to_string()).collect(),
                }
            })
            .collect()
    }

    /// Ledgers that agents sent.
    pub(crate) fn ledgers(&self) -> Vec<LedgerSnapshot> {
        self.lock().values().flat_map(|known| known.agents.values()).filter_map(|agent| agent.ledger.clone()).collect()
    }

    /// The watermark of every tenant that has agents; of any other it is `now`.
    pub(crate) fn watermarks(&self, agents: &[AgentStatus], now: UnixNanos) -> BTreeMap<TenantId, UnixNanos> {
        let mut watermarks = BTreeMap::new();
        for agent in agents {
            let watermark = watermarks.entry(agent.tenant.clone()).or_insert(now);
            if !agent.silent {
                *watermark = (*watermark).min(agent.closed_until.minus(self.lateness_ns));
            }
        }
        watermarks
    }

    /// Heartbeats and batches per tenant that came from agents beyond the cap.
    pub(crate) fn untracked(&self) -> BTreeMap<TenantId, u64> {
        let known = self.lock();
        let over = known.iter().filter(|(_, known)| known.untracked > 0);
        over.map(|(tenant, known)| (tenant.clone(), known.untracked)).collect()
    }

    fn is_silent(&self, agent: &Agent, now: UnixNanos) -> bool {
        agent.last_seen.plus(self.silent_ns) < now
    }

    /// The agent, made known if there is room.
    fn entry<'k>(
        &self,
        known: &'k mut BTreeMap<TenantId, Known>,
        (tenant, id): OfTenant,
        now: UnixNanos,
    ) -> Option<&'k mut Agent> {
        if !known.contains_key(&tenant) {
            known.insert(tenant.clone(), Known::default());
        }
        let of_tenant = known.get_mut(&tenant)?;
        if !of_tenant.agents.contains_key(&id) && of_tenant.agents.len() >= self.max_agents {
            let silent = of_tenant.agents.iter().filter(|(_, agent)| self.is_silent(agent, now));
            let Some(quietest) = silent.min_by_key(|(_, agent)| agent.last_seen).map(|(id, _)| *id) else {
                of_tenant.untracked += 1;
                if of_tenant.untracked.is_power_of_two() {
                    let (limit, heard) = (self.max_agents, of_tenant.untracked);
                    tracing::warn!(%tenant, limit, heard, "more agents than are followed: the watermark does not wait for them");
                }
                return None;
            };
            of_tenant.agents.remove(&quietest);
        }
        let Known { agents, early, .. } = of_tenant;
        let fresh = || Agent { services: early.remove(&id).unwrap_or_default(), ..Agent::default() };
        Some(agents.entry(id).or_insert_with(fresh))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    fn limited(max_agents: usize) -> Agents {
        Agents::new(AgentLimits { silent_ms: 30_000, lateness_ms: 5_000, max_agents })
    }

    fn of_tenant(tenant: &str, beat: Declared) -> Declared {
        Declared { agent: (TenantId::parse(tenant).unwrap(), beat.agent.1), ..beat }
    }

    fn watermark_of(agents: &Agents, tenant: &str, applied: u64, now_s: u64) -> u64 {
        let now = UnixNanos::from_seconds(now_s);
        let watermarks = agents.watermarks(&agents.status(LogOffset(applied), now), now);
        watermarks.get(&TenantId::parse(tenant).unwrap()).map_or(now_s, |at| at.seconds())
    }

    fn watermark_s(agents: &Agents, applied: u64, now_s: u64) -> u64 {
        watermark_of(agents, "default", applied, now_s)
    }

    #[test]
    fn services_of_a_batch_that_is_applied_before_it_is_answered_are_kept() {
        let agents = limited(8);
        let batch = beat(1, 100, 0);
        agents.carries(&batch.agent, &["shop".into()]);
        assert_eq!(watermark_s(&agents, 0, 101), 101, "an agent that was not heard holds nothing back");
        agents.heard(batch, UnixNanos::from_seconds(101));
        agents.carries(&beat(1, 0, 0).agent, &["stock".into()]);
        let status = agents.status(LogOffset(0), UnixNanos::from_seconds(101));
        assert_eq!(status[0].services, ["shop", "stock"]);
    }

    #[test]
    fn a_tenants_watermark_waits_for_its_own_agents_only() {
        let agents = limited(8);
        let now = UnixNanos::from_seconds(101);
        agents.heard(beat(1, 100, 0), now);
        agents.heard(of_tenant("acme", beat(1, 40, 0)), now);
        assert_eq!(watermark_of(&agents, "default", 0, 102), 95);
        assert_eq!(watermark_of(&agents, "acme", 0, 102), 35, "its own agent lags");
        assert_eq!(watermark_of(&agents, "other", 0, 102), 102, "no agent: closed on arrival");
        agents.heard(beat(1, 140, 0), UnixNanos::from_seconds(141));
        assert_eq!(watermark_of(&agents, "acme", 0, 142), 142, "its only agent is silent");
        assert_eq!(watermark_of(&agents, "default", 0, 142), 135);
    }

    #[test]
    fn beyond_the_cap_a_newcomer_replaces_a_silent_agent_and_never_a_live_one() {
        let agents = limited(2);
        for agent in [1, 2, 3] {
            agents.heard(beat(agent, 100 - u64::from(agent), 0), UnixNanos::from_seconds(101));
        }
        let ids = |agents: &Agents, now_s: u64| -> Vec<u8> {
            let status = agents.status(LogOffset(0), UnixNanos::from_seconds(now_s));
            status.iter().map(|agent| agent.agent.0[0]).collect()
        };
        assert_eq!(ids(&agents, 101), [1, 2]);
        assert_eq!(agents.untracked(), BTreeMap::from([(TenantId::default(), 1)]));
        agents.heard(of_tenant("acme", beat(3, 90, 0)), UnixNanos::from_seconds(101));
        assert_eq!(ids(&agents, 101), [3, 1, 2], "another tenant has room of its own");
        agents.heard(beat(2, 139, 0), UnixNanos::from_seconds(140));
        agents.heard(beat(3, 139, 0), UnixNanos::from_seconds(140));
        assert_eq!(ids(&agents, 140), [3, 2, 3], "agent 1 was silent");
    }

    #[test]
    fn the_watermark_is_the_least_declared_by_live_agents() {
        let agents = limited(8);
        assert_eq!(watermark_s(&agents, 0, 100), 100, "no agent at all: now");
        agents.heard(beat(1, 100, 0), UnixNanos::from_seconds(101));
        agents.heard(beat(2, 90, 0), UnixNanos::from_seconds(101));
        assert_eq!(watermark_s(&agents, 0, 102), 85);
        agents.heard(beat(1, 140, 0), UnixNanos::from_seconds(141));
        assert_eq!(watermark_s(&agents, 0, 142), 135, "agent 2 is silent");
    }

    #[test]
    fn a_declared_time_counts_only_when_what_was_durable_is_applied() {
        let agents = limited(8);
        agents.heard(beat(1, 100, 0), UnixNanos::from_seconds(101));
        agents.heard(beat(1, 110, 7), UnixNanos::from_seconds(111));
        assert_eq!(watermark_s(&agents, 6, 112), 95);
        assert_eq!(watermark_s(&agents, 7, 112), 105);
    }

    #[test]
    fn another_tenant_moves_nothing_of_an_agent() {
        let agents = limited(8);
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
