//! What is known now: incidents, the outbox, and the last reading of each SLO. Made by records alone, so that a replay
//! gives the same; readings are the exception, they are recomputed.

use std::collections::BTreeMap;

use daymark_model::{TraceId, UnixNanos};

use crate::burn::{TierReading, Unknown};
use crate::definition::{Severity, SloId};
use crate::incident::{IncidentEvent, IncidentId, Incidents};
use crate::journal::{Attempt, Record};
use crate::notification::{Notification, Status};
use crate::sli::Slot;

/// A notification and its deliveries so far.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) notification: Notification,
    pub(crate) attempts: u32,
    pub(crate) last_attempt: Option<UnixNanos>,
    pub(crate) http_status: Option<u16>,
    pub(crate) error: Option<String>,
    /// None while it waits.
    pub(crate) ended: Option<Attempt>,
}

/// The last evaluation of an SLO.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latest {
    /// End of the windows read.
    pub(crate) end: Option<Slot>,
    /// One per tier.
    pub(crate) readings: Vec<TierReading>,
    /// Why the SLO as a whole is unknown.
    pub(crate) missing: Option<Unknown>,
    /// Traces of bad events, newest first.
    pub(crate) examples: Vec<(UnixNanos, TraceId)>,
}

/// Everything that the API shows and the loop continues from.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) incidents: Incidents,
    pub(crate) notifications: BTreeMap<u64, Tracked>,
    pub(crate) latest: BTreeMap<SloId, Latest>,
    /// How far each SLO was evaluated, as the journal has it.
    pub(crate) evaluated: BTreeMap<SloId, Slot>,
    /// How far each SLO was evaluated in this run.
    pub(crate) progress: BTreeMap<SloId, Slot>,
    /// The collector's watermark at the last evaluation.
    pub(crate) watermark: UnixNanos,
}

impl State {
    /// Makes a durable record part of the state.
    pub(crate) fn apply(&mut self, record: Record) {
        match record {
            Record::Incident { incident, event } => {
                self.incidents.apply(&incident, &event);
                self.note_evaluated(&incident, &event);
            }
            Record::Queued { notification } => {
                let number = notification.number;
                let tracked = Tracked {
                    notification,
                    attempts: 0,
                    last_attempt: None,
                    http_status: None,
                    error: None,
                    ended: None,
                };
                self.notifications.insert(number, tracked);
            }
            Record::Attempted { number, at, attempt, http_status, error } => {
                let Some(tracked) = self.notifications.get_mut(&number) else { return };
                tracked.attempts += 1;
                tracked.last_attempt = Some(at);
                tracked.http_status = http_status;
                tracked.error = error;
                tracked.ended = (attempt != Attempt::Failed).then_some(attempt);
            }
            Record::Evaluated { slo, end } => {
                self.evaluated.insert(slo, end);
            }
        }
    }

    /// An event was decided at its boundary: a start must not decide there again.
    fn note_evaluated(&mut self, incident: &IncidentId, event: &IncidentEvent) {
        use IncidentEvent::{Opened, Resolved, TierFired, TierResolved};
        let (Opened { at, .. } | TierFired { at, .. } | TierResolved { at, .. } | Resolved { at }) = event else {
            return;
        };
        if let Some(incident) = self.incidents.get(incident) {
            let evaluated = self.evaluated.entry(incident.slo.clone()).or_default();
            *evaluated = (*evaluated).max(*at);
        }
    }

    /// The last boundary at which the SLO was evaluated on whole data.
    pub(crate) fn evaluated_until(&self, slo: &SloId) -> Option<Slot> {
        self.progress.get(slo).or_else(|| self.evaluated.get(slo)).copied()
    }

    /// The number of the next notification.
    pub(crate) fn next_number(&self) -> u64 {
        self.notifications.last_key_value().map_or(1, |(number, _)| number + 1)
    }

    /// Notifications of an incident, in order.
    pub(crate) fn notifications_of<'a>(&'a self, incident: &'a IncidentId) -> impl Iterator<Item = &'a Tracked> {
        self.notifications.values().filter(move |tracked| &tracked.notification.incident == incident)
    }

    /// Severities whose alert was started at receivers and not ended.
    pub(crate) fn running(&self, incident: &IncidentId) -> Vec<Severity> {
        let mut running = Vec::new();
        for tracked in self.notifications_of(incident) {
            let severity = tracked.notification.severity;
            running.retain(|known| *known != severity);
            if tracked.notification.status == Status::Firing {
                running.push(severity);
            }
        }
        running
    }

    /// The oldest notification that waits for `receiver`.
    pub(crate) fn next_for(&self, receiver: &str) -> Option<&Tracked> {
        let waiting = self.notifications.values().filter(|tracked| tracked.ended.is_none());
        waiting.into_iter().find(|tracked| tracked.notification.receiver == receiver)
    }

    /// Forgets old resolved incidents and their notifications.
    pub(crate) fn forget(&mut self, keep_resolved: usize) {
        let newest = self.notifications.last_key_value().map(|(number, _)| *number);
        for id in self.incidents.forget_resolved(keep_resolved) {
            // The newest number must stay: the next one is counted from it.
            self.notifications.retain(|number, tracked| tracked.notification.incident != id || newest == Some(*number));
        }
    }

    /// Whether a record is still needed after [`State::forget`].
    pub(crate) fn needs(&self, record: &Record) -> bool {
        match record {
            Record::Incident { incident, .. } => self.incidents.get(incident).is_some(),
            Record::Queued { notification } => self.notifications.contains_key(&notification.number),
            Record::Attempted { number, .. } => self.notifications.contains_key(number),
            Record::Evaluated { slo, end } => self.evaluated.get(slo) == Some(end),
        }
    }
}
