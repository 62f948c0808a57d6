//! Incidents: one per SLO and instance, made of the events in the journal and of nothing else.
//!
//! Where it sits: [`crate::evaluator`] decides on events, the journal makes them durable, [`Incident::apply`] turns them
//! into state. At a start the journal is applied again.
//!
//! States: opened by the first tier that fires; each further tier joins in place; severity is that of the most urgent
//! tier firing now; resolved when the last one resolves. A page is never taken back: it only resolves.

use std::collections::BTreeMap;

use daymark_model::UnixNanos;
use serde::{Deserialize, Serialize};

use crate::definition::{Severity, SloId};
use crate::sli::{Counts, Slot};

/// Most entries kept in an incident's timeline; later ones only count.
const MAX_TIMELINE: usize = 500;

/// Stable id of an incident: SLO, and the second of event time at which it opened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub String);

impl IncidentId {
    /// The id of the incident that `slo` opens at `at`. A replay gives the same.
    pub fn new(slo: &SloId, at: Slot) -> IncidentId {
        IncidentId(format!("{slo}-{}", at.start().seconds()))
    }
}

/// Something that happened to an incident. `at` is event time: the end of the windows that were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum IncidentEvent {
    /// The first tier fired.
    Opened {
        /// Which SLO burns.
        slo: SloId,
        /// The service it belongs to.
        service: String,
        /// When.
        at: Slot,
    },
    /// A tier fired.
    TierFired {
        /// Its name.
        tier: String,
        /// Its severity.
        severity: Severity,
        /// When.
        at: Slot,
        /// Events in its long window.
        long: Counts,
        /// Events in its short window.
        short: Counts,
    },
    /// A tier resolved.
    TierResolved {
        /// Its name.
        tier: String,
        /// When.
        at: Slot,
    },
    /// No tier fires any more.
    Resolved {
        /// When.
        at: Slot,
    },
    /// Something worth knowing later: data missing, late data, a notification held back.
    Noted {
        /// When.
        at: Slot,
        /// One sentence.
        what: String,
    },
    /// Somebody took it.
    Acknowledged {
        /// Wall time.
        at: UnixNanos,
    },
}

/// A firing of one tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Firing {
    /// The tier's name.
    pub tier: String,
    /// The tier's severity.
    pub severity: Severity,
    /// Event time at which it fired.
    pub fired_at: Slot,
    /// Event time at which it resolved, when it has.
    pub resolved_at: Option<Slot>,
}

/// One line of an incident's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// Event time, or wall time for what people did.
    pub at: UnixNanos,
    /// One sentence.
    pub what: String,
}

/// An SLO that burns, or burned, too fast.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Stable id.
    pub id: IncidentId,
    /// Which SLO.
    pub slo: SloId,
    /// Whose.
    pub service: String,
    /// Event time of the first firing.
    pub opened_at: Slot,
    /// Event time at which it became a page, when it opened as less.
    pub escalated_at: Option<Slot>,
    /// Event time of the resolution.
    pub resolved_at: Option<Slot>,
    /// Wall time of the acknowledgement.
    pub acknowledged_at: Option<UnixNanos>,
    /// Every firing of every tier, in order.
    pub firings: Vec<Firing>,
    /// What happened, in order, capped.
    pub timeline: Vec<TimelineEntry>,
    /// The first tier of the greatest severity so far, by name.
    pub worst: Option<(Severity, String)>,
}

impl Incident {
    /// A new incident; `event` is its [`IncidentEvent::Opened`].
    pub fn opened(id: IncidentId, slo: SloId, service: String, at: Slot) -> Incident {
        Incident {
            id,
            slo,
            service,
            opened_at: at,
            escalated_at: None,
            resolved_at: None,
            acknowledged_at: None,
            firings: Vec::new(),
            timeline: Vec::new(),
            worst: None,
        }
    }

    /// The tier's running firing.
    pub fn firing(&self, tier: &str) -> Option<&Firing> {
        self.firings.iter().rev().find(|firing| firing.tier == tier).filter(|firing| firing.resolved_at.is_none())
    }

    /// The most urgent severity firing now.
    pub fn severity(&self) -> Option<Severity> {
        self.firings.iter().filter(|firing| firing.resolved_at.is_none()).map(|firing| firing.severity).max()
    }

    /// Whether no tier fires any more.
    pub fn is_resolved(&self) -> bool {
        self.resolved_at.is_some()
    }

    /// Makes the event part of the incident.
    pub fn apply(&mut self, event: &IncidentEvent) {
        match event {
            IncidentEvent::Opened { slo, at, .. } => self.enter(at.start(), format!("opened: {slo} burns too fast")),
            IncidentEvent::TierFired { tier, severity, at, long, short } => {
                let before = self.worst.as_ref().map(|(worst, _)| *worst);
                if before.is_none_or(|before| before < *severity) {
                    self.worst = Some((*severity, tier.clone()));
                }
                if before == Some(Severity::Ticket) && *severity == Severity::Page {
                    self.escalated_at = Some(*at);
                }
                let firing = Firing { tier: tier.clone(), severity: *severity, fired_at: *at, resolved_at: None };
                self.firings.push(firing);
                let of = |counts: &Counts| format!("{} of {} bad", counts.bad(), counts.total);
                let what = format!("{tier} ({severity}) fired: long window {}, short window {}", of(long), of(short));
                self.enter(at.start(), what);
            }
            IncidentEvent::TierResolved { tier, at } => {
                let firing = self.firings.iter_mut().rev().find(|firing| &firing.tier == tier);
                if let Some(firing) = firing {
                    firing.resolved_at = Some(*at);
                }
                self.enter(at.start(), format!("{tier} resolved"));
            }
            IncidentEvent::Resolved { at } => {
                self.resolved_at = Some(*at);
                self.enter(at.start(), "resolved: no tier fires any more".to_owned());
            }
            IncidentEvent::Noted { at, what } => self.enter(at.start(), what.clone()),
            IncidentEvent::Acknowledged { at } => {
                self.acknowledged_at = Some(*at);
                self.enter(*at, "acknowledged".to_owned());
            }
        }
    }

    fn enter(&mut self, at: UnixNanos, what: String) {
        if self.timeline.len() < MAX_TIMELINE {
            self.timeline.push(TimelineEntry { at, what });
        }
    }
}

/// All incidents known, by id; at most one open per SLO.
#[derive(Debug, Default)]
pub struct Incidents {
    all: BTreeMap<IncidentId, Incident>,
    open: BTreeMap<SloId, IncidentId>,
}

impl Incidents {
    /// The open incident of an SLO.
    pub fn open_of(&self, slo: &SloId) -> Option<&Incident> {
        self.open.get(slo).and_then(|id| self.all.get(id))
    }

    /// The incident with this id.
    pub fn get(&self, id: &IncidentId) -> Option<&Incident> {
        self.all.get(id)
    }

    /// All incidents, by SLO and then by time of opening.
    pub fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.all.values()
    }

    /// Makes an event part of the incident it belongs to; one for an incident that is not known is ignored.
    pub fn apply(&mut self, id: &IncidentId, event: &IncidentEvent) {
        if let IncidentEvent::Opened { slo, service, at } = event {
            self.open.insert(slo.clone(), id.clone());
            let incident = Incident::opened(id.clone(), slo.clone(), service.clone(), *at);
            self.all.entry(id.clone()).or_insert(incident);
        }
        let Some(incident) = self.all.get_mut(id) else { return };
        incident.apply(event);
        if incident.is_resolved() && self.open.get(&incident.slo) == Some(id) {
            self.open.remove(&incident.slo);
        }
    }

    /// Forgets resolved incidents beyond the newest `keep`; returns the ids of those forgotten.
    pub fn forget_resolved(&mut self, keep: usize) -> Vec<IncidentId> {
        let resolved = self.all.values().filter_map(|incident| Some((incident.resolved_at?, &incident.id)));
        let mut resolved: Vec<(Slot, IncidentId)> = resolved.map(|(at, id)| (at, id.clone())).collect();
        resolved.sort();
        let excess = resolved.len().saturating_sub(keep);
        let forgotten: Vec<IncidentId> = resolved.into_iter().take(excess).map(|(_, id)| id).collect();
        for id in &forgotten {
            self.all.remove(id);
        }
        forgotten
    }
}
