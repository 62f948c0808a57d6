//! One step of evaluation: what the data says now, and which events follow for the SLO's incident.
//!
//! A pure function over (series, watermark, definition, open incident): production calls it as event time advances, a
//! replay calls it with an older watermark, the tests call it with series of their own.
//!
//! Invariants:
//! - nothing happens on data that is missing: no tier fires, none resolves, the reason is in the reading;
//! - late data never takes a page back: where it changed what made a tier fire, the tier stands until one whole short
//!   window after the firing is within the threshold;
//! - there is no `for`, no timer and no state besides the incident.

use daymark_guard::fault::{self, Fault};

use crate::burn::{TierReading, Unknown, Verdict, read_tier, short_window_burns};
use crate::definition::{BurnPolicy, SloId, Tier};
use crate::incident::{Firing, Incident, IncidentEvent};
use crate::sli::{SliSeries, Slot};

/// What is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Which SLO.
    pub slo: &'a SloId,
    /// Whose.
    pub service: &'a str,
    /// Its tiers and guards.
    pub policy: &'a BurnPolicy,
}

/// What is known at a point of event time.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// Good and total events.
    pub series: &'a SliSeries,
    /// The watermark as the end of all windows: every slot before it is closed.
    pub end: Slot,
    /// Why the series cannot be trusted, when it cannot.
    pub missing: Option<&'a Unknown>,
}

/// The outcome of a step.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// One reading per tier, in the order of the policy.
    pub readings: Vec<TierReading>,
    /// What happens to the incident, in order. Empty most of the time.
    pub events: Vec<IncidentEvent>,
}

/// Evaluates every tier at `observation.end`. `open` is the SLO's open incident.
pub fn step(subject: Subject<'_>, open: Option<&Incident>, observation: Observation<'_>) -> Step {
    let read = |tier| read_with_gaps(subject.policy, tier, observation);
    let readings: Vec<TierReading> = subject.policy.tiers.iter().map(read).collect();
    let mut events = Vec::new();
    let mut firing = 0;
    for (tier, reading) in subject.policy.tiers.iter().zip(&readings) {
        let running = open.and_then(|incident| incident.firing(&tier.name));
        let fires = step_tier(subject.policy, tier, running, reading, observation, &mut events);
        firing += usize::from(fires);
    }
    let orphaned = resolve_removed_tiers(subject.policy, open, observation.end);
    events.extend(orphaned);
    let (slo, service, at) = (subject.slo.clone(), subject.service.to_owned(), observation.end);
    if open.is_none() && firing > 0 {
        events.insert(0, IncidentEvent::Opened { slo, service, at });
    }
    if open.is_some() && firing == 0 {
        events.push(IncidentEvent::Resolved { at });
    }
    Step { readings, events }
}

fn read_with_gaps(policy: &BurnPolicy, tier: &Tier, observation: Observation<'_>) -> TierReading {
    let reading = read_tier(observation.series, observation.end, policy, tier);
    let verdict = match observation.missing {
        Some(_) if fault::active(Fault::PageOnMissingData) => Verdict::Exceeded,
        Some(unknown) => Verdict::Unknown(unknown.clone()),
        None => return reading,
    };
    TierReading { verdict, ..reading }
}

/// Moves one tier; whether it fires afterwards.
fn step_tier(
    policy: &BurnPolicy,
    tier: &Tier,
    running: Option<&Firing>,
    reading: &TierReading,
    observation: Observation<'_>,
    events: &mut Vec<IncidentEvent>,
) -> bool {
    match (running, &reading.verdict) {
        (None, Verdict::Exceeded) => {
            events.push(IncidentEvent::TierFired {
                tier: tier.name.clone(),
                severity: tier.severity,
                at: observation.end,
                long: reading.long,
                short: reading.short,
            });
            true
        }
        (Some(firing), Verdict::Within) if may_resolve(policy, tier, firing, observation) => {
            events.push(IncidentEvent::TierResolved { tier: tier.name.clone(), at: observation.end });
            false
        }
        (running, _) => running.is_some(),
    }
}

/// Whether a tier within its threshold resolves: yes, unless late data changed the past that made it fire.
fn may_resolve(policy: &BurnPolicy, tier: &Tier, firing: &Firing, observation: Observation<'_>) -> bool {
    let Observation { series, end, .. } = observation;
    let held = series.base() <= firing.fired_at.minus_seconds(tier.long_s);
    let amended = held && read_tier(series, firing.fired_at, policy, tier).verdict != Verdict::Exceeded;
    let whole_window_since = end.minus_seconds(tier.short_s) >= firing.fired_at;
    !amended || (whole_window_since && !short_window_burns(series, end, tier))
}

/// A tier that the definition no longer has cannot be evaluated, so it cannot stay.
fn resolve_removed_tiers(policy: &BurnPolicy, open: Option<&Incident>, at: Slot) -> Vec<IncidentEvent> {
    let running = open.into_iter().flat_map(|incident| &incident.firings).filter(|f| f.resolved_at.is_none());
    let removed = running.filter(|firing| policy.tiers.iter().all(|tier| tier.name != firing.tier));
    removed.map(|firing| IncidentEvent::TierResolved { tier: firing.tier.clone(), at }).collect()
}
