//! What is told to whom: from an incident's change of severity to notifications for the receivers of a route.
//!
//! One incident is one conversation: a receiver hears that it burns, that it became a page, and that it is over. Tiers
//! that join at no higher severity are in the timeline, with the reason why nobody was told again (design G8).
//!
//! Pure: the events of a step and what was already sent go in, drafts come out. They become durable in the same journal
//! write as the events themselves.

use daymark_model::UnixNanos;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::Severity;
use crate::incident::{Incident, IncidentEvent, IncidentId};
use crate::sli::Slot;

/// Whether a notification starts or ends an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// It burns.
    Firing,
    /// It no longer does.
    Resolved,
}

impl Status {
    /// As in Alertmanager's webhook.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
    }
}

/// A message for one receiver, complete and unchangeable: what the outbox holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notification {
    /// Position in the outbox, from 1; notifications of one receiver are sent in this order.
    pub(crate) number: u64,
    /// About which incident.
    pub(crate) incident: IncidentId,
    /// Name of the receiver.
    pub(crate) receiver: String,
    /// Severity of the alert it starts or ends.
    pub(crate) severity: Severity,
    /// Start or end.
    pub(crate) status: Status,
    /// Wall time at which it was made.
    pub(crate) queued_at: UnixNanos,
    /// The JSON to send.
    pub(crate) body: Value,
}

impl Notification {
    /// The same for every attempt: lets a receiver drop what it has seen.
    pub(crate) fn idempotency_key(&self) -> String {
        let Notification { incident, severity, number, .. } = self;
        format!("{}/{severity}/{}/{number}", incident.0, self.status.as_str())
    }
}

/// A decision to tell the receivers of a severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) severity: Severity,
    pub(crate) status: Status,
    /// As Alertmanager names it.
    pub(crate) reason: &'static str,
}

/// What to tell after `events` were applied to `incident`, given the severities whose alert is running at receivers.
pub(crate) fn drafts(incident: &Incident, running: &[Severity]) -> Vec<Draft> {
    let firing = |severity, reason| Draft { severity, status: Status::Firing, reason };
    let resolved = |severity, reason| Draft { severity, status: Status::Resolved, reason };
    let is_running = |severity: Severity| running.contains(&severity);
    match incident.severity() {
        Some(Severity::Page) if is_running(Severity::Page) => Vec::new(),
        Some(Severity::Page) if is_running(Severity::Ticket) => vec![firing(Severity::Page, "escalated")],
        Some(Severity::Page) => vec![firing(Severity::Page, "first notification")],
        Some(Severity::Ticket) => {
            let page_over = is_running(Severity::Page).then(|| resolved(Severity::Page, "page tiers resolved"));
            let ticket = (!is_running(Severity::Ticket)).then(|| {
                firing(Severity::Ticket, if page_over.is_some() { "de-escalated" } else { "first notification" })
            });
            page_over.into_iter().chain(ticket).collect()
        }
        None => running.iter().map(|&severity| resolved(severity, "all tiers resolved")).collect(),
    }
}

/// Why tiers that fired in this step told nobody: notes for the timeline.
pub(crate) fn held_back(events: &[IncidentEvent], drafts: &[Draft]) -> Vec<IncidentEvent> {
    let told = |severity: Severity| drafts.iter().any(|d| d.status == Status::Firing && d.severity >= severity);
    let joined = events.iter().filter_map(|event| match event {
        IncidentEvent::TierFired { tier, severity, at, .. } if !told(*severity) => Some((tier, *at)),
        _ => None,
    });
    let note = |(tier, at): (&String, Slot)| {
        let what = format!("nobody was told that {tier} fires: the incident was already notified at this severity");
        IncidentEvent::Noted { at, what }
    };
    joined.map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::SloId;

    /// An incident in which tiers of these severities fire.
    fn incident(firing: &[Severity]) -> Incident {
        let slo = SloId::parse("slo").unwrap();
        let mut incident = Incident::opened(IncidentId::new(&slo, Slot(1)), slo, "checkout".into(), Slot(1));
        for (i, &severity) in firing.iter().enumerate() {
            let (tier, counts) = (format!("tier-{i}"), crate::sli::Counts::default());
            incident.apply(&IncidentEvent::TierFired { tier, severity, at: Slot(1), long: counts, short: counts });
        }
        incident
    }

    #[test]
    fn one_incident_is_one_conversation() {
        use Severity::{Page, Ticket};
        let check = |firing: &[Severity], running: &[Severity], expected: &str| {
            let told: Vec<String> = drafts(&incident(firing), running)
                .iter()
                .map(|draft| format!("{} {}", draft.severity, draft.status.as_str()))
                .collect();
            assert_eq!(told.join(", "), expected, "{firing:?} {running:?}");
        };
        check(&[Ticket], &[], "ticket firing");
        check(&[Ticket, Ticket], &[Ticket], "");
        check(&[Ticket, Page], &[Ticket], "page firing");
        check(&[Page, Page, Ticket], &[Page], "");
        check(&[Ticket], &[Page], "page resolved, ticket firing");
        check(&[Ticket], &[Page, Ticket], "page resolved");
        check(&[], &[Page, Ticket], "page resolved, ticket resolved");
        check(&[], &[], "");
    }

    #[test]
    fn a_tier_that_told_nobody_says_why() {
        let counts = crate::sli::Counts::default();
        let fired = |tier: &str, severity| IncidentEvent::TierFired {
            tier: tier.into(),
            severity,
            at: Slot(1),
            long: counts,
            short: counts,
        };
        let events = [fired("page-slow", Severity::Page), fired("ticket-fast", Severity::Ticket)];
        assert_eq!(held_back(&events, &[]).len(), 2);
        let page = Draft { severity: Severity::Page, status: Status::Firing, reason: "" };
        assert!(held_back(&events, &[page]).is_empty());
    }
}
