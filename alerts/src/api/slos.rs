//! SLOs: where they stand, how fast they burn, what is left of the budget.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Handler};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::{instant, milliseconds, not_found, receipt_of};
use crate::api::incidents::incident_json;
use crate::budget;
use crate::burn::{Unknown, Verdict, coverage_s};
use crate::definition::{Sli, Slo, Tier};
use crate::duration::{about_seconds, format_seconds};
use crate::service::Shared;
use crate::sli::{Counts, SLOT_S, SliSeries, Slot};
use crate::sli_reader::SliCache;
use crate::state::{Latest, State};

/// Points of a burn strip.
const STRIP_POINTS: u64 = 120;
/// Range and step of the good/total chart.
const EVENTS_RANGE_S: u64 = 21_600;
const EVENTS_STEP_S: u64 = 60;
/// Incidents shown with an SLO.
const MAX_INCIDENTS: usize = 50;

pub(super) async fn list(Handler(shared): Handler<Arc<Shared>>) -> Response {
    let mut missing = Vec::new();
    let slos: Vec<Value> = shared
        .options
        .definitions
        .slos
        .iter()
        .filter_map(|slo| {
            let (json, unknown) = slo_json(&shared, slo)?;
            missing.extend(unknown.map(|why| format!("{}: {why}", slo.id)));
            Some(Value::Object(json))
        })
        .collect();
    Json(json!({ "slos": slos, "receipt": receipt_of(missing) })).into_response()
}

pub(super) async fn detail(Handler(shared): Handler<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let Some(slo) = shared.options.definitions.slo(&id) else { return not_found("SLO", &id) };
    let Some((mut json, unknown)) = slo_json(&shared, slo) else { return not_found("SLO", &id) };
    let Some(cache) = shared.cache(&slo.id) else { return not_found("SLO", &id) };
    let state = shared.recorder.state();
    let latest = state.latest.get(&slo.id).cloned().unwrap_or_default();
    let end = latest.end.unwrap_or(cache.series.end());
    let budget = budget::now(&cache.hours, slo.window_s, slo.budget);
    let remaining: Vec<Value> = budget::series(&cache.hours, slo.window_s, slo.budget)
        .into_iter()
        .map(|(second, ratio)| json!([second * 1_000, ratio]))
        .collect();
    let incidents: Vec<Value> =
        newest_incidents(&state, slo).map(|i| incident_json(&shared.options, &state, i)).collect();
    json.extend(Map::from_iter([
        ("definition_yaml".to_owned(), Value::from(slo.yaml.as_str())),
        ("definition_file".to_owned(), Value::from(slo.file.display().to_string())),
        ("latency_edge".to_owned(), latency_edge(slo)),
        (
            "budget".to_owned(),
            json!({
                "total": budget.total, "spent": budget.spent,
                "remaining_ratio": budget.remaining_ratio, "series": remaining,
                "data_s": data_s(slo, &cache, &latest), "window_s": slo.window_s,
            }),
        ),
        ("tiers".to_owned(), tiers_json(slo, &state, &latest, &cache.series, end)),
        ("good_total_series".to_owned(), events_json(&cache.series, end)),
        ("incidents".to_owned(), Value::from(incidents)),
        ("example_traces".to_owned(), latest.examples.iter().map(|(_, trace)| trace.to_string()).collect()),
        ("receipt".to_owned(), json!(receipt_of(unknown.into_iter().collect()))),
    ]));
    Json(Value::Object(json)).into_response()
}

fn newest_incidents<'a>(state: &'a State, slo: &'a Slo) -> impl Iterator<Item = &'a crate::incident::Incident> {
    let mut incidents: Vec<_> = state.incidents.iter().filter(|incident| incident.slo == slo.id).collect();
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.opened_at));
    incidents.into_iter().take(MAX_INCIDENTS)
}

/// The SLO as in the list, and why it is unknown when it is.
fn slo_json(shared: &Shared, slo: &Slo) -> Option<(Map<String, Value>, Option<String>)> {
    let cache = shared.cache(&slo.id)?;
    let state = shared.recorder.state();
    let latest = state
        .latest
        .get(&slo.id)
        .cloned()
        .unwrap_or_else(|| Latest { missing: Some(Unknown::NotYetEvaluated), ..Latest::default() });
    let budget = budget::now(&cache.hours, slo.window_s, slo.budget);
    let firing = state.incidents.open_of(&slo.id).is_some();
    let unknown = unknown_reason(slo, &latest);
    let (name, reason) = standing(slo, &cache, &latest, unknown.as_deref(), firing, budget.remaining_ratio);
    let Value::Object(json) = json!({
        "id": slo.id, "name": slo.name, "service": slo.service, "owner": slo.owner, "kind": slo.sli.kind(),
        "description": slo.description, "objective": slo.objective(),
        "target": slo.target.to_string(), "window": format_seconds(slo.window_s),
        "state": name, "state_reason": reason,
        "budget_remaining_ratio": budget.remaining_ratio,
        "sli": budget.counts.bad_ratio().map(|bad| 1.0 - bad),
        "burn": burn_json(slo, &state, &latest),
        "watermark": instant(latest.end.map(Slot::start)),
        "coverage": coverage(slo, &cache, &latest), "data_s": data_s(slo, &cache, &latest),
        "runbook": slo.runbook, "dashboard": slo.dashboard,
    }) else {
        return None;
    };
    Some((json, unknown))
}

/// Share of the SLO's window that lies after the first event known.
fn coverage(slo: &Slo, cache: &SliCache, latest: &Latest) -> f64 {
    data_s(slo, cache, latest) as f64 / slo.window_s as f64
}

/// Seconds of the SLO's window that lie after the first event known: what the budget is reckoned over.
fn data_s(slo: &Slo, cache: &SliCache, latest: &Latest) -> u64 {
    latest.end.map_or(0, |end| coverage_s(&cache.series, end)).min(slo.window_s)
}

/// How much of the budget is spent. Over a short history a few bad events spend many times of it, so the history is
/// said with it.
fn spent_sentence(spent_ratio: f64, data_s: u64, window_s: u64) -> String {
    let spent = spent_ratio * 100.0;
    if data_s >= window_s {
        return format!("{spent:.1} % of the budget is spent");
    }
    let (data, window) = (about_seconds(data_s), format_seconds(window_s));
    format!("{spent:.1} % of the budget is spent, over {data} of data (the window is {window})")
}

/// Unknown as a whole, or because the fastest tier cannot be read.
fn unknown_reason(slo: &Slo, latest: &Latest) -> Option<String> {
    let of_tiers = || {
        let tiers = slo.policy.tiers.iter().zip(&latest.readings);
        let fastest = tiers.min_by_key(|(tier, _)| tier.long_s)?;
        match &fastest.1.verdict {
            Verdict::Unknown(unknown) => Some(unknown.clone()),
            Verdict::Exceeded | Verdict::Within => None,
        }
    };
    latest.missing.clone().or_else(of_tiers).map(|unknown| unknown.sentence())
}

fn standing(
    slo: &Slo,
    cache: &SliCache,
    latest: &Latest,
    unknown: Option<&str>,
    firing: bool,
    remaining: Option<f64>,
) -> (&'static str, String) {
    let spent_ratio = remaining.map_or(0.0, |remaining| 1.0 - remaining);
    let spent = spent_sentence(spent_ratio, data_s(slo, cache, latest), slo.window_s);
    match (unknown, remaining) {
        (Some(why), _) if firing => ("unknown", format!("{why}; an incident is open")),
        (Some(why), _) => ("unknown", why.to_owned()),
        (None, Some(remaining)) if remaining <= 0.0 => ("breached", spent),
        (None, _) if firing => ("at_risk", format!("burns too fast; {spent}")),
        (None, _) => ("met", spent),
    }
}

fn latency_edge(slo: &Slo) -> Value {
    match slo.sli {
        Sli::Latency { edge_ns, .. } => Value::from(format!("{} ms", edge_ns as f64 / 1e6)),
        Sli::Availability { .. } => Value::Null,
    }
}

/// Burn rates of both windows: bad ratio over budget.
fn burns(slo: &Slo, long: Counts, short: Counts) -> (Option<f64>, Option<f64>) {
    let burn = |counts: Counts| counts.bad_ratio().map(|ratio| ratio / slo.budget.to_f64());
    (burn(long), burn(short))
}

fn is_firing(slo: &Slo, state: &State, tier: &Tier) -> bool {
    state.incidents.open_of(&slo.id).is_some_and(|incident| incident.firing(&tier.name).is_some())
}

fn burn_json(slo: &Slo, state: &State, latest: &Latest) -> Value {
    let entry = |(i, tier): (usize, &Tier)| {
        let reading = latest.readings.get(i);
        let (long, short) = reading.map_or((None, None), |reading| burns(slo, reading.long, reading.short));
        let unknown = reading.and_then(|reading| match &reading.verdict {
            Verdict::Unknown(unknown) => Some(unknown.sentence()),
            Verdict::Exceeded | Verdict::Within => None,
        });
        let json = json!({
            "long": long, "short": short, "threshold": tier.factor.to_f64(),
            "firing": is_firing(slo, state, tier), "unknown": unknown,
        });
        (tier.name.clone(), json)
    };
    Value::Object(slo.policy.tiers.iter().enumerate().map(entry).collect())
}

fn tiers_json(slo: &Slo, state: &State, latest: &Latest, series: &SliSeries, end: Slot) -> Value {
    let tier_json = |(i, tier): (usize, &Tier)| {
        let reading = latest.readings.get(i);
        let (long, short) = reading.map_or((None, None), |reading| burns(slo, reading.long, reading.short));
        json!({
            "name": tier.name, "severity": tier.severity, "factor": tier.factor.to_f64(),
            "long_s": tier.long_s, "short_s": tier.short_s, "threshold_ratio": tier.threshold.to_f64(),
            "long_burn": long, "short_burn": short, "firing": is_firing(slo, state, tier),
            "series": strip(slo, tier, series, end),
        })
    };
    Value::Array(slo.policy.tiers.iter().enumerate().map(tier_json).collect())
}

/// Burn rates over twice the long window.
fn strip(slo: &Slo, tier: &Tier, series: &SliSeries, end: Slot) -> Vec<Value> {
    let step = (2 * tier.long_s / STRIP_POINTS / SLOT_S).max(1);
    let first = series.first_event().unwrap_or(end).max(series.base());
    let ends = (0..=STRIP_POINTS).rev().map(|i| Slot(end.0.saturating_sub(i * step))).filter(|end| *end > first);
    ends.map(|end| {
        let (long, short) = burns(slo, series.window(end, tier.long_s), series.window(end, tier.short_s));
        json!([milliseconds(end.start()), long, short])
    })
    .collect()
}

fn events_json(series: &SliSeries, end: Slot) -> Value {
    let first = series.first_event().unwrap_or(end).max(end.minus_seconds(EVENTS_RANGE_S)).max(series.base());
    let last_minute = end.start().seconds() / EVENTS_STEP_S * EVENTS_STEP_S;
    let minutes =
        (first.start().seconds() / EVENTS_STEP_S * EVENTS_STEP_S..last_minute).step_by(EVENTS_STEP_S as usize);
    let point = |second: u64| {
        let counts = series.window(Slot::of_seconds(second + EVENTS_STEP_S), EVENTS_STEP_S);
        json!([second * 1_000, counts.good, counts.total])
    };
    Value::Array(minutes.map(point).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_over_little_history_says_over_how_much() {
        let day = 86_400;
        assert_eq!(
            spent_sentence(41.0, 725, 30 * day),
            "4100.0 % of the budget is spent, over 12 min of data (the window is 30d)"
        );
        assert_eq!(spent_sentence(0.5, 30 * day, 30 * day), "50.0 % of the budget is spent");
    }
}
