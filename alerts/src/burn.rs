//! Burn rates: whether a tier's threshold is exceeded at a point of event time.
//!
//! A pure function over (series, end of the windows, policy). A tier fires iff the bad ratio exceeds its threshold over
//! the long **and** the short window. No duration is ever predicted here: the windows slide, and that is all.
//!
//! Invariants:
//! - integers only; equality does not exceed;
//! - windows are sums of events, never averages of ratios;
//! - no events, or too little history for the long window, is [`Verdict::Unknown`].

use daymark_guard::fault::{self, Fault};
use serde::{Deserialize, Serialize};

use crate::definition::{BurnPolicy, Tier};
use crate::duration::format_seconds;
use crate::sli::{Counts, SLOT_S, SliSeries, Slot};

/// Why nothing can be said about an SLO or one of its tiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Unknown {
    /// No event in the short window, with every part of the pipeline up.
    NoTraffic {
        /// Length of the window without events, seconds.
        window_s: u64,
    },
    /// Too little history: a ratio over a part of the long window would fire early.
    ColdStart {
        /// Seconds since the first event known.
        covered_s: u64,
        /// Seconds needed.
        needed_s: u64,
    },
    /// An agent that sends for this service is silent.
    AgentDown {
        /// Its id.
        agent: String,
    },
    /// The collector does not answer.
    CollectorUnreachable {
        /// What happened.
        why: String,
    },
    /// A read of the rollups was partial or failed.
    PartialData {
        /// What was missing.
        why: String,
    },
    /// Event time does not advance.
    WatermarkStalled {
        /// Seconds between now and the watermark.
        behind_s: u64,
    },
    /// Not evaluated since the start.
    NotYetEvaluated,
}

impl Unknown {
    /// One sentence for people.
    pub fn sentence(&self) -> String {
        match self {
            Unknown::NoTraffic { window_s } => {
                format!("no traffic: no event in the last {}", format_seconds(*window_s))
            }
            Unknown::ColdStart { covered_s, needed_s } => {
                format!("cold start: {covered_s} s of history, {needed_s} s needed")
            }
            Unknown::AgentDown { agent } => format!("agent down: {agent} is silent"),
            Unknown::CollectorUnreachable { why } => format!("collector unreachable: {why}"),
            Unknown::PartialData { why } => format!("partial data: {why}"),
            Unknown::WatermarkStalled { behind_s } => format!("watermark stalled: {behind_s} s behind"),
            Unknown::NotYetEvaluated => "not evaluated yet".to_owned(),
        }
    }
}

/// What the data says about one tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both windows exceed the threshold.
    Exceeded,
    /// At least one does not.
    Within,
    /// Nothing: the tier neither fires nor resolves.
    Unknown(Unknown),
}

/// One tier at one point of event time.
#[derive(Clone, Debug)]
pub struct TierReading {
    /// Events in the long window.
    pub long: Counts,
    /// Events in the short window.
    pub short: Counts,
    /// The conclusion.
    pub verdict: Verdict,
}

/// Reads a tier over the windows that end at `end`.
pub fn read_tier(series: &SliSeries, end: Slot, policy: &BurnPolicy, tier: &Tier) -> TierReading {
    let long = series.window(end, tier.long_s);
    let short = series.window(end, tier.short_s);
    let verdict = match missing(series, end, policy, tier, short) {
        Some(_) if fault::active(Fault::PageOnMissingData) => Verdict::Exceeded,
        Some(unknown) => Verdict::Unknown(unknown),
        None if exceeds(policy, tier, long, short) => Verdict::Exceeded,
        None => Verdict::Within,
    };
    TierReading { long, short, verdict }
}

/// Whether the short window alone is above the threshold.
pub fn short_window_burns(series: &SliSeries, end: Slot, tier: &Tier) -> bool {
    let short = series.window(end, tier.short_s);
    tier.threshold.is_exceeded_by(short.bad(), short.total)
}

fn exceeds(policy: &BurnPolicy, tier: &Tier, long: Counts, short: Counts) -> bool {
    tier.threshold.is_exceeded_by(long.bad(), long.total)
        && tier.threshold.is_exceeded_by(short.bad(), short.total)
        && long.bad() >= policy.guards.min_bad_events
        && long.total >= policy.guards.min_total_events
}

fn missing(series: &SliSeries, end: Slot, policy: &BurnPolicy, tier: &Tier, short: Counts) -> Option<Unknown> {
    if short.total == 0 {
        return Some(Unknown::NoTraffic { window_s: tier.short_s });
    }
    let needed_s = tier.long_s * policy.min_coverage_percent / 100;
    let covered_s = coverage_s(series, end);
    (covered_s < needed_s).then_some(Unknown::ColdStart { covered_s, needed_s })
}

/// Seconds of history before `end`, counted from the first event ever seen.
pub fn coverage_s(series: &SliSeries, end: Slot) -> u64 {
    series.first_event().map_or(0, |first| end.0.saturating_sub(first.0) * SLOT_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::Decimal;
    use crate::definition::{Guards, default_tiers};

    fn policy(guards: Guards) -> BurnPolicy {
        let budget = Decimal::parse("99.9").unwrap().budget_of_percent().unwrap();
        BurnPolicy { tiers: default_tiers(budget), guards, min_coverage_percent: 90 }
    }

    /// `slots` of (good, bad), the last one ending at the end of the windows.
    fn read(slots: &[(u64, u64)], policy: &BurnPolicy) -> TierReading {
        let counts: Vec<Counts> = slots.iter().map(|&(good, bad)| Counts { good, total: good + bad }).collect();
        let mut series = SliSeries::new(300_000);
        series.replace_from(Slot(10_000), &counts);
        read_tier(&series, series.end(), policy, &policy.tiers[0])
    }

    #[test]
    fn a_tier_needs_both_windows() {
        let policy = policy(Guards::default());
        let check = |recent: (u64, u64), expected: Verdict| {
            let mut hour = vec![(90, 10); 330];
            hour.extend([recent; 30]);
            assert_eq!(read(&hour, &policy).verdict, expected, "{recent:?}");
        };
        check((90, 10), Verdict::Exceeded);
        check((100, 0), Verdict::Within);
        check((0, 0), Verdict::Unknown(Unknown::NoTraffic { window_s: 300 }));
        check((9_856, 144), Verdict::Within);
        check((9_855, 145), Verdict::Exceeded);
    }

    #[test]
    fn too_little_history_is_a_cold_start() {
        let policy = policy(Guards::default());
        let expected = Unknown::ColdStart { covered_s: 3_230, needed_s: 3_240 };
        assert_eq!(read(&[(0, 1); 323], &policy).verdict, Verdict::Unknown(expected));
        assert_eq!(read(&[(0, 1); 324], &policy).verdict, Verdict::Exceeded);
    }

    #[test]
    fn guards_hold_back_a_single_failure() {
        let mut hour = vec![(0, 0); 329];
        hour.insert(0, (1, 0));
        hour.extend([(0, 0); 29]);
        hour.push((2, 1));
        assert_eq!(read(&hour, &policy(Guards::default())).verdict, Verdict::Exceeded);
        for guards in
            [Guards { min_bad_events: 2, ..Guards::default() }, Guards { min_total_events: 5, ..Guards::default() }]
        {
            assert_eq!(read(&hour, &policy(guards)).verdict, Verdict::Within);
        }
    }
}
