//! One SLO file: its fields as written, and everything that must hold of them.
//!
//! Invariants: a threshold that cannot be exceeded is refused with the numbers; mistakes name line and column.

use std::collections::BTreeMap;
use std::path::Path;

use daymark_model::SPAN_DURATION;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use crate::decimal::{Decimal, Threshold};
use crate::definition::{BurnPolicy, Guards, Severity, Sli, Slo, SloId, Tier, default_tiers, is_id};
use crate::duration::{format_seconds, parse_nanos, parse_seconds};
use crate::error::DefinitionError;
use crate::labels::{Labels, check_labels, plain};
use crate::load::{Mistakes, is_absolute_url};
use crate::sli::SLOT_S;

/// Longest burn window: what the evaluator keeps at 10 s.
pub(crate) const MAX_LONG_S: u64 = 3 * 86_400;
/// The one period whose default factors spend 2, 5, 10 and 10 % of the budget.
const WINDOW_S: u64 = 30 * 86_400;
/// Part of each long window that must lie after the first event, unless the file says otherwise.
const DEFAULT_MIN_COVERAGE_PERCENT: u64 = 90;
const MAX_TIERS: usize = 16;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RawSlo {
    api_version: Spanned<String>,
    kind: Spanned<String>,
    id: Spanned<String>,
    name: Option<String>,
    service: Spanned<String>,
    owner: Spanned<String>,
    description: Spanned<String>,
    target: Spanned<String>,
    window: Spanned<String>,
    sli: Spanned<RawSli>,
    runbook: Option<Spanned<String>>,
    dashboard: Option<Spanned<String>>,
    #[serde(default)]
    guards: RawGuards,
    tiers: Option<Spanned<Vec<RawTier>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSli {
    availability: Option<RawAvailability>,
    latency: Option<RawLatency>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAvailability {
    metric: Option<Spanned<String>>,
    #[serde(default)]
    matchers: Labels,
    bad: Option<Spanned<Labels>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLatency {
    metric: Option<Spanned<String>>,
    #[serde(default)]
    matchers: Labels,
    threshold: Spanned<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGuards {
    #[serde(default)]
    min_bad_events: u64,
    #[serde(default)]
    min_total_events: u64,
    min_coverage_percent: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTier {
    name: Spanned<String>,
    severity: Severity,
    factor: Spanned<String>,
    long: Spanned<String>,
    short: Spanned<String>,
}

/// Checks every field and builds the SLO.
pub(crate) fn validate_slo(raw: RawSlo, file: &Path, yaml: String) -> Result<Slo, Vec<DefinitionError>> {
    let mut mistakes = Mistakes::of(file);
    check_header(&raw, &mut mistakes);
    let target = read_target(&raw.target, &mut mistakes);
    let window_s = read_window(&raw.window, &mut mistakes);
    let sli = read_sli(&raw.sli, &mut mistakes);
    let tiers = target.map(|(_, budget)| read_tiers(&raw, budget, &mut mistakes)).unwrap_or_default();
    check_links(&raw, &tiers, &mut mistakes);
    let min_coverage_percent = read_coverage(&raw.guards, &mut mistakes);
    let id = SloId::parse(&raw.id.value);
    let (Some(id), Some((target, budget)), Some(window_s), Some((metric, matchers, sli)), true) =
        (id, target, window_s, sli, mistakes.is_empty())
    else {
        return Err(mistakes.into_errors());
    };
    let guards = Guards { min_bad_events: raw.guards.min_bad_events, min_total_events: raw.guards.min_total_events };
    Ok(Slo {
        name: raw.name.unwrap_or_else(|| id.to_string()),
        id,
        service: raw.service.value,
        owner: raw.owner.value,
        description: raw.description.value,
        target,
        budget,
        window_s,
        metric,
        matchers,
        sli,
        runbook: raw.runbook.map(|runbook| runbook.value),
        dashboard: raw.dashboard.map(|dashboard| dashboard.value),
        policy: BurnPolicy { tiers, guards, min_coverage_percent },
        file: file.to_owned(),
        yaml,
    })
}

fn check_header(raw: &RawSlo, mistakes: &mut Mistakes<'_>) {
    if raw.api_version.value != "daymark/v1" {
        mistakes.at(raw.api_version.referenced, "apiVersion must be daymark/v1");
    }
    if raw.kind.value != "SLO" {
        mistakes.at(raw.kind.referenced, "kind must be SLO");
    }
    if !is_id(&raw.id.value) {
        let message = format!("id {:?} is not 1 to 64 characters of a-z, 0-9 and '-'", raw.id.value);
        mistakes.at(raw.id.referenced, message);
    }
    for (field, text) in [("service", &raw.service), ("owner", &raw.owner), ("description", &raw.description)] {
        if text.value.trim().is_empty() {
            mistakes.at(text.referenced, format!("{field} is empty"));
        }
    }
}

fn read_target(target: &Spanned<String>, mistakes: &mut Mistakes<'_>) -> Option<(Decimal, Decimal)> {
    let parsed = Decimal::parse(&target.value).and_then(|percent| {
        let refused = || format!("target {percent} must be above 0 and below 100: 100 % leaves no budget to burn");
        percent.budget_of_percent().map(|budget| (percent, budget)).ok_or_else(refused)
    });
    parsed.map_err(|message| mistakes.at(target.referenced, message)).ok()
}

fn read_window(window: &Spanned<String>, mistakes: &mut Mistakes<'_>) -> Option<u64> {
    match parse_seconds(&window.value) {
        Ok(WINDOW_S) => Some(WINDOW_S),
        Ok(_) => {
            let message = format!("window {:?} is not supported yet: it must be 30d, rolling", window.value);
            mistakes.at(window.referenced, message);
            None
        }
        Err(message) => {
            mistakes.at(window.referenced, message);
            None
        }
    }
}

type Events = (String, BTreeMap<String, String>, Sli);

fn read_sli(raw: &Spanned<RawSli>, mistakes: &mut Mistakes<'_>) -> Option<Events> {
    let metric = |written: &Option<Spanned<String>>| {
        written.as_ref().map_or_else(|| SPAN_DURATION.to_owned(), |written| written.value.clone())
    };
    match (&raw.value.availability, &raw.value.latency) {
        (Some(availability), None) => {
            let error = || BTreeMap::from([("status.code".to_owned(), "error".to_owned())]);
            let bad = availability.bad.as_ref().map_or_else(error, |bad| plain(&bad.value));
            let labels = [Some(&availability.matchers), availability.bad.as_ref().map(|bad| &bad.value)];
            let labels: Vec<&Labels> = labels.into_iter().flatten().collect();
            check_labels(availability.metric.as_ref(), &labels, mistakes);
            if let Some(written) = availability.bad.as_ref().filter(|bad| bad.value.is_empty()) {
                mistakes.at(written.referenced, "bad is empty: every event would be bad");
            }
            Some((metric(&availability.metric), plain(&availability.matchers), Sli::Availability { bad }))
        }
        (None, Some(latency)) => {
            check_labels(latency.metric.as_ref(), &[&latency.matchers], mistakes);
            let threshold = &latency.threshold;
            let parsed = parse_nanos(&threshold.value).and_then(|nanos| {
                let refused = || format!("threshold {:?} must be above 0", threshold.value);
                if nanos > 0 { Ok(nanos) } else { Err(refused()) }
            });
            let threshold_ns = parsed.map_err(|message| mistakes.at(threshold.referenced, message)).ok()?;
            let edge_ns = daymark_sketch::bucket_edge(threshold_ns);
            Some((metric(&latency.metric), plain(&latency.matchers), Sli::Latency { threshold_ns, edge_ns }))
        }
        _ => {
            mistakes.at(raw.referenced, "sli must have exactly one of availability and latency");
            None
        }
    }
}

fn read_tiers(raw: &RawSlo, budget: Decimal, mistakes: &mut Mistakes<'_>) -> Vec<Tier> {
    let Some(written) = &raw.tiers else {
        let tiers = default_tiers(budget);
        for tier in &tiers {
            check_reachable(tier, budget, raw.target.referenced, mistakes);
        }
        return tiers;
    };
    if written.value.is_empty() || written.value.len() > MAX_TIERS {
        mistakes.at(written.referenced, format!("tiers must be 1 to {MAX_TIERS}; leave it out for the default four"));
    }
    let mut tiers: Vec<Tier> = Vec::new();
    for tier in written.value.iter().take(MAX_TIERS) {
        let Some(read) = read_tier(tier, budget, mistakes) else { continue };
        if tiers.iter().any(|known| known.name == read.name) {
            mistakes.at(tier.name.referenced, format!("tier {:?} is defined twice", read.name));
        }
        check_reachable(&read, budget, tier.factor.referenced, mistakes);
        tiers.push(read);
    }
    tiers
}

fn read_tier(raw: &RawTier, budget: Decimal, mistakes: &mut Mistakes<'_>) -> Option<Tier> {
    if !is_id(&raw.name.value) {
        mistakes.at(raw.name.referenced, format!("tier name {:?} is not made of a-z, 0-9 and '-'", raw.name.value));
    }
    let factor = Decimal::parse(&raw.factor.value).map_err(|message| mistakes.at(raw.factor.referenced, message));
    let long_s = read_tier_window(&raw.long, mistakes);
    let short_s = read_tier_window(&raw.short, mistakes);
    let (Ok(factor), Some(long_s), Some(short_s)) = (factor, long_s, short_s) else { return None };
    if short_s >= long_s {
        mistakes.at(raw.short.referenced, "the short window must be shorter than the long one");
    }
    if !factor.is_at_least_one() {
        let message = format!("factor {factor} is below 1: it fires on a burn that never exhausts the budget");
        mistakes.at(raw.factor.referenced, message);
    }
    let (name, severity) = (raw.name.value.clone(), raw.severity);
    Some(Tier { name, severity, factor, long_s, short_s, threshold: Threshold::new(factor, budget) })
}

fn read_tier_window(text: &Spanned<String>, mistakes: &mut Mistakes<'_>) -> Option<u64> {
    let fits = |seconds: &u64| seconds.is_multiple_of(SLOT_S) && (2 * SLOT_S..=MAX_LONG_S).contains(seconds);
    let parsed = parse_seconds(&text.value).and_then(|seconds| {
        let longest = format_seconds(MAX_LONG_S);
        let refused = || format!("window {:?} must be a multiple of 10 s from 20 s to {longest}", text.value);
        Some(seconds).filter(fits).ok_or_else(refused)
    });
    parsed.map_err(|message| mistakes.at(text.referenced, message)).ok()
}

/// A ratio never exceeds one, so a threshold of one or more never fires.
fn check_reachable(tier: &Tier, budget: Decimal, location: Location, mistakes: &mut Mistakes<'_>) {
    if tier.threshold.is_unreachable() {
        let message = format!(
            "tier {} can never fire: factor {} x budget {budget} = {} and a ratio of bad events is at most 1; \
             raise the target, or list tiers with smaller factors",
            tier.name, tier.factor, tier.threshold
        );
        mistakes.at(location, message);
    }
}

fn check_links(raw: &RawSlo, tiers: &[Tier], mistakes: &mut Mistakes<'_>) {
    let pages = tiers.iter().any(|tier| tier.severity == Severity::Page);
    for (field, link) in [("runbook", &raw.runbook), ("dashboard", &raw.dashboard)] {
        if pages && link.is_none() {
            mistakes.at(raw.id.referenced, format!("{field} is missing: an SLO that pages must link one"));
        }
    }
    if let Some(runbook) = raw.runbook.as_ref().filter(|runbook| !is_absolute_url(&runbook.value)) {
        let message = format!("runbook {:?} is not an absolute http or https URL", runbook.value);
        mistakes.at(runbook.referenced, message);
    }
}

fn read_coverage(guards: &RawGuards, mistakes: &mut Mistakes<'_>) -> u64 {
    let Some(written) = &guards.min_coverage_percent else { return DEFAULT_MIN_COVERAGE_PERCENT };
    if written.value > 100 {
        mistakes.at(written.referenced, "min_coverage_percent must be 0 to 100");
    }
    written.value.min(100)
}
