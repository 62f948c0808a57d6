//! The agent's health: whether it takes requests, and whether its collector answers.

use daymark_guard::{CheckKind, Health};

use crate::agent::AgentHandle;

/// Adds the agent's checks. The collector is a dependency: while it does not answer, clients are told to come again.
pub fn add_checks(health: &Health, agent: &AgentHandle) {
    let upstream = agent.clone();
    health.add("collector", CheckKind::Dependency, move || {
        let alive = upstream.is_upstream_alive();
        Box::pin(async move { if alive { Ok(()) } else { Err("the last heartbeat was not answered".to_owned()) } })
    });
}
