//! Missing data is unknown: it neither fires nor resolves, and late data never takes a page back.

use daymark_alerts::burn::{Unknown, Verdict};
use daymark_alerts::decimal::Decimal;
use daymark_alerts::definition::{BurnPolicy, Guards, SloId, default_tiers};
use daymark_alerts::evaluator::{Observation, Subject, step};
use daymark_alerts::incident::{IncidentEvent, IncidentId, Incidents};
use daymark_alerts::sli::{Counts, SliSeries, Slot};

const START: Slot = Slot(178_000_000);
const HOUR: usize = 360;

/// Steps one SLO of 99.9 % and remembers its incidents.
struct Replay {
    slo: SloId,
    policy: BurnPolicy,
    series: SliSeries,
    incidents: Incidents,
}

impl Replay {
    fn over(slots: &[Counts]) -> Replay {
        let budget = Decimal::parse("99.9").ok().and_then(Decimal::budget_of_percent).expect("a target in percent");
        let tiers = default_tiers(budget).into_iter().take(1).collect();
        let mut series = SliSeries::new(30 * 86_400);
        series.replace_from(START, slots);
        let policy = BurnPolicy { tiers, guards: Guards::default(), min_coverage_percent: 90 };
        Replay { slo: SloId::parse("checkout").expect("an id"), policy, series, incidents: Incidents::default() }
    }

    /// Steps at the boundary after `slots` slots; the events and the verdict on page-fast.
    fn step(&mut self, slots: usize, missing: Option<Unknown>) -> (Vec<IncidentEvent>, Verdict) {
        let end = Slot(START.0 + slots as u64);
        let subject = Subject { slo: &self.slo, service: "checkout", policy: &self.policy };
        let observation = Observation { series: &self.series, end, missing: missing.as_ref() };
        let outcome = step(subject, self.incidents.open_of(&self.slo), observation);
        let open = self.incidents.open_of(&self.slo).map(|incident| incident.id.clone());
        let id = open.unwrap_or_else(|| IncidentId::new(&self.slo, end));
        outcome.events.iter().for_each(|event| self.incidents.apply(&id, event));
        (outcome.events, outcome.readings[0].verdict.clone())
    }

    fn is_paged(&self) -> bool {
        self.incidents.open_of(&self.slo).is_some()
    }
}

fn slots(n: usize, good: u64, bad: u64) -> Vec<Counts> {
    vec![Counts { good, total: good + bad }; n]
}

/// Reasons for which a whole SLO is unknown.
fn reasons() -> Vec<Unknown> {
    vec![
        Unknown::AgentDown { agent: "a".into() },
        Unknown::CollectorUnreachable { why: "refused".into() },
        Unknown::PartialData { why: "a damaged segment".into() },
        Unknown::WatermarkStalled { behind_s: 300 },
    ]
}

#[test]
fn missing_data_is_unknown_and_never_pages() {
    // Healthy hours, then no event at all: the service may be down or unused, nothing says which.
    let mut replay = Replay::over(&[slots(2 * HOUR, 100, 0), slots(HOUR, 0, 0)].concat());
    for end in HOUR..3 * HOUR {
        let (events, verdict) = replay.step(end, None);
        assert!(events.is_empty(), "slot {end}: {events:?}");
        let silent = end >= 2 * HOUR + 30;
        let expected = Verdict::Unknown(Unknown::NoTraffic { window_s: 300 });
        assert_eq!(verdict == expected, silent, "slot {end}: {verdict:?}");
    }
    // A whole source missing, whatever the series says: even that everything is bad.
    for reason in reasons() {
        let mut replay = Replay::over(&slots(2 * HOUR, 0, 100));
        let (events, verdict) = replay.step(2 * HOUR, Some(reason.clone()));
        assert!(events.is_empty(), "{reason:?}: {events:?}");
        assert_eq!(verdict, Verdict::Unknown(reason));
    }
    // Less history than the long window needs: every event so far is bad, and that is not an hour's burn.
    let mut replay = Replay::over(&slots(HOUR / 2, 0, 100));
    let (events, verdict) = replay.step(HOUR / 2, None);
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(verdict, Verdict::Unknown(Unknown::ColdStart { covered_s: 1_800, needed_s: 3_240 }));
}

#[test]
fn missing_data_does_not_resolve_a_page() {
    let mut replay = Replay::over(&[slots(2 * HOUR, 100, 0), slots(30, 50, 50), slots(HOUR, 100, 0)].concat());
    for end in HOUR..2 * HOUR + 30 {
        replay.step(end, None);
    }
    assert!(replay.is_paged());
    // The data says that it is over, but cannot be trusted.
    for reason in reasons() {
        assert!(replay.step(3 * HOUR, Some(reason)).0.is_empty());
    }
    assert!(replay.is_paged());
    replay.step(3 * HOUR, None);
    assert!(!replay.is_paged());
}

#[test]
fn a_service_that_goes_silent_while_it_burns_stays_paged() {
    let mut replay = Replay::over(&[slots(2 * HOUR, 100, 0), slots(30, 50, 50), slots(HOUR, 0, 0)].concat());
    for end in HOUR..3 * HOUR + 30 {
        replay.step(end, None);
    }
    assert!(replay.is_paged());
}

#[test]
fn late_data_never_takes_a_page_back() {
    let fault = 2 * HOUR;
    let mut replay = Replay::over(&[slots(fault, 100, 0), slots(12, 50, 50), slots(HOUR, 100, 0)].concat());
    let fired = (HOUR..fault + 13).find(|&end| !replay.step(end, None).0.is_empty()).expect("a page");
    // A late flood of good events for the hour before: with it, the page would not have fired.
    replay.series.replace_from(
        Slot(START.0 + HOUR as u64),
        &[slots(HOUR, 100_000, 0), slots(12, 50_000, 50), slots(HOUR, 100, 0)].concat(),
    );
    for end in fired + 1..fired + 30 {
        assert!(replay.step(end, None).0.is_empty(), "slot {end}");
    }
    assert!(replay.is_paged(), "the page stands");
    // It resolves once one whole short window after the firing is healthy.
    let resolved = (fired + 30..).find(|&end| !replay.step(end, None).0.is_empty());
    assert_eq!(resolved, Some(fired + 30));
    assert!(!replay.is_paged());
}

#[test]
fn a_replay_gives_the_same_incidents() {
    let history =
        [slots(2 * HOUR, 100, 0), slots(40, 50, 50), slots(90, 100, 0), slots(40, 0, 100), slots(HOUR, 100, 0)]
            .concat();
    let run = |skip: usize| {
        let mut replay = Replay::over(&history);
        (HOUR + skip..history.len()).for_each(|end| drop(replay.step(end, None)));
        format!("{:?}", replay.incidents.iter().map(|i| (&i.id, &i.firings)).collect::<Vec<_>>())
    };
    assert_eq!(run(0), run(HOUR / 2));
    assert!(run(0).contains("page-fast"));
}
