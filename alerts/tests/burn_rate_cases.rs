//! The evaluator that production uses, against a published table of when each tier must fire and resolve.
//!
//! Scenario per row: three healthy days of integer 10 s rollups, then a constant ratio of bad events for a while, then
//! health again. The clock is replayed one evaluation interval at a time. Guarantee: each tier of the incidents fires and
//! resolves within one interval of the second in the table, or not at all where the table is empty.
//!
//! `BURN_RATE_CASES` overrides the path of the table. What it does not prove: reading from the store (`daymark-store` and
//! the end-to-end tests do).

use std::collections::BTreeMap;
use std::path::PathBuf;

use daymark_alerts::decimal::Decimal;
use daymark_alerts::definition::{BurnPolicy, Guards, SloId, default_tiers};
use daymark_alerts::evaluator::{Observation, Subject, step};
use daymark_alerts::incident::{IncidentId, Incidents};
use daymark_alerts::sli::{Counts, SLOT_S, SliSeries, Slot};
use proptest::prelude::*;

/// One evaluation interval: event time advances by one rollup.
const INTERVAL_S: u64 = SLOT_S;
const HEALTHY_BEFORE_S: u64 = 3 * 86_400;
/// After the fault the longest short window must pass, with room to see that nothing happens again.
const HEALTHY_AFTER_S: u64 = 8 * 3_600;
/// Any instant will do; this one is not aligned to an hour.
const FAULT_SLOT: u64 = 178_000_123;

struct Case {
    line: usize,
    /// Percent, as decimal text.
    target: String,
    /// Bad events of `scale`.
    bad: u64,
    scale: u64,
    duration_s: u64,
    /// Seconds of firing and resolving by tier; none where it must not fire.
    expected: BTreeMap<String, Option<(f64, f64)>>,
}

/// A decimal, possibly with an exponent (`9e-05`), as integers: digits and how many follow the point.
fn digits(text: &str) -> (u64, u32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let units: u64 = format!("{whole}{fraction}").parse().expect("digits");
    let places = fraction.len() as i32 - exponent.parse::<i32>().expect("an exponent");
    assert!((0..12).contains(&places), "{text}");
    (units, places as u32)
}

/// `0.999` as `99.9`: the point moves two places.
fn percent(ratio: &str) -> String {
    let (units, places) = digits(ratio);
    let places = places.max(2);
    let units = units * 10_u64.pow(places - digits(ratio).1);
    let one = 10_u64.pow(places - 2);
    match places - 2 {
        0 => units.to_string(),
        width => format!("{}.{:0width$}", units / one, units % one, width = width as usize),
    }
}

fn read_cases() -> Vec<Case> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/burn-rate-cases.csv");
    let path = std::env::var_os("BURN_RATE_CASES").map_or(default, PathBuf::from);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = text.lines().enumerate();
    let header: Vec<&str> = lines.next().map(|(_, line)| line.split(',').collect()).unwrap_or_default();
    let cases: Vec<Case> = lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            let row: BTreeMap<&str, &str> = header.iter().copied().zip(line.split(',')).collect();
            parse_case(number + 1, &row)
        })
        .collect();
    assert!(!cases.is_empty(), "{} has no cases", path.display());
    cases
}

fn parse_case(line: usize, row: &BTreeMap<&str, &str>) -> Case {
    let (bad, places) = digits(row["error_ratio"]);
    let seconds = |column: &str| {
        row.get(column).filter(|cell| !cell.is_empty()).map(|cell| cell.parse::<f64>().expect("seconds"))
    };
    let tiers = row.keys().filter_map(|column| column.strip_suffix("_fire_s"));
    let expected = tiers.map(|tier| {
        let times = seconds(&format!("{tier}_fire_s")).zip(seconds(&format!("{tier}_resolve_s")));
        (tier.to_owned(), times)
    });
    Case {
        line,
        target: percent(row["slo"]),
        bad,
        scale: 10_u64.pow(places),
        duration_s: row["duration_s"].parse().expect("whole seconds"),
        expected: expected.collect(),
    }
}

fn policy(target: &str) -> BurnPolicy {
    let budget = Decimal::parse(target).ok().and_then(Decimal::budget_of_percent).expect("a target in percent");
    BurnPolicy { tiers: default_tiers(budget), guards: Guards::default(), min_coverage_percent: 100 }
}

/// Slots with `scale × 10` events each, of which the part that lies inside the fault is bad at the case's ratio.
fn rollups(bad: u64, scale: u64, duration_s: u64) -> SliSeries {
    let total = scale * SLOT_S;
    let slots = |seconds: u64| seconds.div_ceil(SLOT_S);
    let mut counts = vec![Counts { good: total, total }; slots(HEALTHY_BEFORE_S) as usize];
    for slot in 0..slots(duration_s) {
        let inside_s = (duration_s - slot * SLOT_S).min(SLOT_S);
        counts.push(Counts { good: total - bad * inside_s, total });
    }
    counts.extend(vec![Counts { good: total, total }; slots(HEALTHY_AFTER_S) as usize]);
    let mut series = SliSeries::new(30 * 86_400);
    series.replace_from(Slot(FAULT_SLOT).minus_seconds(HEALTHY_BEFORE_S), &counts);
    series
}

/// Replays the clock over the series; seconds since the fault at which tiers fired and resolved, in order.
fn replay(target: &str, series: &SliSeries, until_s: u64) -> Vec<(String, i64, Option<i64>)> {
    let policy = policy(target);
    let slo = SloId::parse("replayed").expect("an id");
    let subject = Subject { slo: &slo, service: "checkout", policy: &policy };
    let mut incidents = Incidents::default();
    let first = FAULT_SLOT - 60;
    for end in (first..=FAULT_SLOT + until_s / SLOT_S).step_by((INTERVAL_S / SLOT_S) as usize).map(Slot) {
        let outcome = step(subject, incidents.open_of(&slo), Observation { series, end, missing: None });
        let id = incidents.open_of(&slo).map_or_else(|| IncidentId::new(&slo, end), |incident| incident.id.clone());
        outcome.events.iter().for_each(|event| incidents.apply(&id, event));
    }
    let since = |slot: Slot| (slot.0 as i64 - FAULT_SLOT as i64) * SLOT_S as i64;
    let firings = incidents.iter().flat_map(|incident| &incident.firings);
    firings.map(|f| (f.tier.clone(), since(f.fired_at), f.resolved_at.map(since))).collect()
}

/// What is wrong with a row; empty when it holds.
fn verify(case: &Case) -> Vec<String> {
    let series = rollups(case.bad, case.scale, case.duration_s);
    let firings = replay(&case.target, &series, case.duration_s + HEALTHY_AFTER_S);
    let within = |actual_s: i64, due_s: f64| {
        let late_s = actual_s as f64 - due_s;
        (0.0..=INTERVAL_S as f64).contains(&late_s)
    };
    let mut wrong = Vec::new();
    for (tier, expected) in &case.expected {
        let actual: Vec<_> = firings.iter().filter(|(name, ..)| name == tier).map(|(_, f, r)| (*f, *r)).collect();
        let holds = match (expected, actual.as_slice()) {
            (None, []) => true,
            (Some((fire, resolve)), [(fired, Some(resolved))]) => within(*fired, *fire) && within(*resolved, *resolve),
            _ => false,
        };
        if !holds {
            wrong.push(format!("line {}: {tier} expected {expected:?}, got {actual:?}", case.line));
        }
    }
    wrong
}

#[test]
fn burn_rate_cases() {
    let cases = read_cases();
    let wrong: Vec<String> = cases.iter().flat_map(verify).collect();
    assert!(wrong.is_empty(), "{} of {} cases: \n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The evaluator's sliding sums against sums over every slot, for faults of any shape.
    #[test]
    fn firing_is_exactly_both_windows_above_the_threshold(
        ratios in prop::collection::vec((0_u64..=1_000, 1_usize..400), 1..6),
    ) {
        let healthy = Counts { good: 1_000, total: 1_000 };
        let mut counts = vec![healthy; (HEALTHY_BEFORE_S / SLOT_S) as usize];
        for &(bad, slots) in &ratios {
            counts.extend(vec![Counts { good: 1_000 - bad, total: 1_000 }; slots]);
        }
        let mut series = SliSeries::new(30 * 86_400);
        let start = Slot(FAULT_SLOT).minus_seconds(HEALTHY_BEFORE_S);
        series.replace_from(start, &counts);
        let length_s = counts.len() as u64 * SLOT_S - HEALTHY_BEFORE_S;
        let firings = replay("99.9", &series, length_s);

        // page-fast by brute force: 14.4 x 0.001 as 144 of 10,000.
        let bad_ratio_exceeds = |end: usize, slots: usize| {
            let window = &counts[end - slots..end];
            let bad: u64 = window.iter().map(|c| c.total - c.good).sum();
            bad * 10_000 > window.iter().map(|c| c.total).sum::<u64>() * 144
        };
        let begin = (HEALTHY_BEFORE_S / SLOT_S) as usize;
        for end in begin..=counts.len() {
            let at_s = (end - begin) as i64 * SLOT_S as i64;
            let fires = firings.iter().any(|(tier, from, until)| {
                tier == "page-fast" && *from <= at_s && until.is_none_or(|until| at_s < until)
            });
            prop_assert_eq!(fires, bad_ratio_exceeds(end, 360) && bad_ratio_exceeds(end, 30), "at {} s", at_s);
        }
    }
}
