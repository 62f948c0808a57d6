use proptest::prelude::*;

use super::*;

const BASE: u64 = 1_700_000_000_000_000_000;
const MS: u64 = 1_000_000;

/// A span on clock and service `host`, times in milliseconds after `BASE`.
fn span(id: u64, parent: u64, host: u16, start_ms: i64, duration_ms: u64) -> Span {
    let start = BASE.saturating_add_signed(start_ms * MS as i64);
    Span { id, parent, start, duration: duration_ms * MS, clock: host, service: host, ..Span::default() }
}

fn of_kind(kind: Kind, span: Span) -> Span {
    Span { kind, ..span }
}

/// Corrections in milliseconds by id.
fn offsets(spans: &[Span]) -> Vec<i64> {
    let mut analysis = Analysis::default();
    analysis.of(spans);
    (0..spans.len()).map(|at| analysis.offset_ns(at) / MS as i64).collect()
}

#[test]
fn a_child_outside_of_its_parent_is_moved_into_it_with_its_subtree() {
    let early = [span(1, 0, 1, 0, 100), span(2, 1, 2, -500, 40), span(3, 2, 2, -490, 10), span(4, 1, 1, 5, 5)];
    assert_eq!(offsets(&early), [0, 530, 530, 0], "in the middle of the 60 ms of room");
    assert_eq!(offsets(&[span(1, 0, 1, 0, 100), span(2, 1, 2, 700, 40)]), [0, -670], "too late");
    assert_eq!(offsets(&[span(1, 0, 1, 0, 100), span(2, 1, 2, -500, 150)]), [0, 500], "longer: starts together");
    assert_eq!(offsets(&[span(1, 0, 1, 0, 100), span(2, 1, 2, 30, 40)]), [0, 0], "fits as it is");
    assert_eq!(offsets(&[span(1, 0, 1, 0, 100), span(2, 1, 1, -500, 40)]), [0, 0], "the same clock");
}

#[test]
fn what_may_outlive_its_parent_is_left_alone() {
    let sends = of_kind(Kind::Producer, span(1, 0, 1, 0, 10));
    assert_eq!(offsets(&[sends, of_kind(Kind::Consumer, span(2, 1, 2, 4_000, 5))]), [0, 0], "a message waits");
    assert_eq!(
        offsets(&[sends, of_kind(Kind::Consumer, span(2, 1, 2, -50, 5))]),
        [0, 50],
        "no effect before its cause"
    );
    let gave_up = Span { marks: Span::ERROR, ..of_kind(Kind::Client, span(1, 0, 1, 0, 100)) };
    assert_eq!(offsets(&[gave_up, of_kind(Kind::Server, span(2, 1, 2, 50, 90))]), [0, 0], "the caller's time-out");
}

#[test]
fn a_host_that_is_called_twice_has_one_clock() {
    let calls = [span(1, 0, 1, 0, 100), span(2, 1, 1, 10, 20), span(3, 1, 1, 60, 20)];
    let served = [span(4, 2, 2, 1_012, 10), span(5, 3, 2, 1_068, 10)];
    let all = [&calls[..], &served[..]].concat();
    assert_eq!(offsets(&all), [0, 0, 0, -1_000, -1_000], "between the bounds of both calls");
    let nonsense = [calls[1], calls[2], calls[0], span(4, 2, 2, 1_012, 10), span(5, 3, 2, -1_068, 10)];
    let mut analysis = Analysis::default();
    analysis.of(&nonsense);
    assert_eq!(offsets(&nonsense)[3..], [1_128, 1_128], "no offset fits both ends: starts decide");
    assert!(analysis.is_skewed());
}

/// Figures of one span by id: self time and part of the critical path, in ms.
fn times(spans: &[Span]) -> Vec<(u64, u64)> {
    let mut analysis = Analysis::default();
    analysis.of(spans);
    (0..spans.len()).map(|at| (analysis.self_ns(at) / MS, analysis.critical_ns(at) / MS)).collect()
}

#[test]
fn the_critical_path_runs_through_the_children_that_were_waited_for() {
    // 1 waits for 2 (10..40) and 3 (30..90); 4 (50..80) is a child of 3; 3 starts before 2 has ended.
    let spans = [span(1, 0, 1, 0, 100), span(2, 1, 2, 10, 30), span(3, 1, 3, 30, 60), span(4, 3, 3, 50, 30)];
    assert_eq!(times(&spans), [(20, 40), (30, 0), (30, 30), (30, 30)]);
    let mut analysis = Analysis::default();
    let of = |service, self_ms, critical_ms| ServiceTimes {
        service,
        self_ns: self_ms * MS,
        critical_ns: critical_ms * MS,
        offset_ns: 0,
    };
    assert_eq!(analysis.of(&spans).services(), [of(1, 20, 40), of(2, 30, 0), of(3, 60, 60)]);
}

#[test]
fn children_that_outlive_their_parent_count_up_to_its_end() {
    let consumer = of_kind(Kind::Consumer, span(2, 1, 1, 60, 500));
    let later = of_kind(Kind::Consumer, span(3, 1, 1, 900, 5));
    assert_eq!(times(&[span(1, 0, 1, 0, 100), consumer, later]), [(60, 60), (500, 40), (5, 0)]);
}

#[test]
fn cycles_self_parents_and_missing_parents_are_harmless() {
    let spans =
        [span(1, 1, 1, 0, 10), span(2, 3, 1, 0, 10), span(3, 4, 1, 1, 5), span(4, 2, 1, 2, 2), span(5, 4, 1, 3, 9)];
    let mut analysis = Analysis::default();
    analysis.of(&[&spans[..], &[span(6, 77, 1, 0, 1)]].concat());
    let parents: Vec<Option<usize>> = (0..6).map(|at| analysis.parent(at)).collect();
    assert_eq!(parents, [None, None, Some(3), Some(1), Some(3), None]);
    assert_eq!((analysis.orphans(), analysis.root()), (1, None));
}

/// Spans with any parents, also cycles, duplicates and hosts that do not agree.
fn any_spans() -> impl Strategy<Value = Vec<Span>> {
    let one = (0..40_u64, 0..40_u64, 0..5_u16, -3_000..3_000_i64, 0..2_000_u64, 0..6_u8, any::<bool>());
    let one = one.prop_map(|(id, parent, host, start, duration, kind, error)| Span {
        kind: Kind::from_otlp(kind),
        marks: u8::from(error),
        ..span(id + 1, parent, host, start, duration)
    });
    prop::collection::vec(one, 0..40)
}

/// A tree of nested spans with true times, each on the host of its parent or on a new one, whose clock is off.
fn nested_spans() -> impl Strategy<Value = (Vec<Span>, Vec<i64>)> {
    let one = (any::<prop::sample::Index>(), any::<bool>(), 0.0..1.0_f64, 0.0..1.0_f64, -5_000..5_000_i64);
    prop::collection::vec(one, 1..40).prop_map(|rows| {
        let mut spans: Vec<Span> = vec![span(1, 0, 0, 0, 10_000)];
        let mut clocks = vec![0];
        for (id, (parent, same, from, part, off)) in (2..).zip(rows) {
            let parent = *parent.get(&spans);
            let room = parent.duration as f64;
            let start = parent.start + (room * from) as u64;
            let duration = ((parent.start + parent.duration - start) as f64 * part) as u64;
            let clock = if same { parent.clock } else { clocks.len() as u16 };
            if !same {
                clocks.push(off * MS as i64);
            }
            spans.push(Span { id, parent: parent.id, start, duration, clock, service: clock, ..Span::default() });
        }
        (spans, clocks)
    })
}

fn unique(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.id, span.start));
    spans.dedup_by_key(|span| span.id);
    spans
}

proptest! {
    #[test]
    fn corrected_children_lie_within_their_parents((truth, clocks) in nested_spans()) {
        let seen: Vec<Span> = truth
            .iter()
            .map(|span| Span { start: span.start.saturating_add_signed(clocks[usize::from(span.clock)]), ..*span })
            .collect();
        let mut analysis = Analysis::default();
        analysis.of(&seen);
        for at in 0..seen.len() {
            let Some(parent) = analysis.parent(at) else { continue };
            let ((start, end), (from, to)) = (analysis.interval(at), analysis.interval(parent));
            prop_assert!(from <= start && end <= to, "{at}: {start}..{end} in {from}..{to}");
        }
        analysis.of(&truth);
        prop_assert!(!analysis.is_skewed(), "no correction when there is no skew");
    }

    #[test]
    fn a_correction_keeps_durations_and_distances_and_is_final(spans in any_spans()) {
        let spans = unique(spans);
        let mut analysis = Analysis::default();
        analysis.of(&spans);
        let mut by_clock = std::collections::HashMap::new();
        let mut corrected = Vec::new();
        for (at, span) in analysis.spans().iter().enumerate() {
            let (start, end) = analysis.interval(at);
            prop_assert_eq!(end - start, span.duration);
            let moved = start as i64 - span.start as i64;
            prop_assert_eq!(*by_clock.entry(span.clock).or_insert(moved), moved);
            corrected.push(Span { start, ..*span });
        }
        // Several roots may change places, and with them the clock that is taken as right.
        if corrected.iter().filter(|span| analysis.parent(analysis.find(span.id).unwrap()).is_none()).count() == 1 {
            analysis.of(&corrected);
            prop_assert_eq!(analysis.largest_offset_ns(), 0);
        }
    }

    #[test]
    fn the_critical_path_adds_up_and_self_times_are_parts(spans in any_spans()) {
        let mut analysis = Analysis::default();
        analysis.of(&spans);
        let mut on_path = 0;
        for (at, span) in analysis.spans().iter().enumerate() {
            prop_assert!(analysis.self_ns(at) <= span.duration);
            prop_assert!(analysis.critical_ns(at) <= span.duration);
            on_path += analysis.critical_ns(at);
        }
        if let Some(root) = analysis.root() {
            prop_assert_eq!(on_path, analysis.spans()[root].duration);
        }
        let services = analysis.services();
        prop_assert_eq!(services.iter().map(|times| times.critical_ns).sum::<u64>(), on_path);
        let own: u64 = (0..spans.len()).map(|at| analysis.self_ns(at)).sum();
        prop_assert_eq!(services.iter().map(|times| times.self_ns).sum::<u64>(), own);
    }

    #[test]
    fn the_order_of_spans_does_not_matter(spans in any_spans(), seed in any::<u64>()) {
        let spans = unique(spans);
        let mut other = spans.clone();
        other.sort_by_key(|span| (span.id ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let figures = |spans: &[Span]| {
            let mut analysis = Analysis::default();
            analysis.of(spans);
            let rows: Vec<_> = (0..spans.len())
                .map(|at| (analysis.interval(at), analysis.self_ns(at), analysis.critical_ns(at), analysis.parent(at)))
                .collect();
            (rows, analysis.services().to_vec(), analysis.orphans())
        };
        prop_assert_eq!(figures(&spans), figures(&other));
    }

    #[test]
    fn any_numbers_are_safe(
        rows in prop::collection::vec((0..6_u64, 0..6_u64, any::<u64>(), any::<u64>(), any::<u16>()), 0..12),
    ) {
        let one = |(id, parent, start, duration, clock)| Span { id, parent, start, duration, clock, ..Span::default() };
        let spans: Vec<Span> = rows.into_iter().map(one).collect();
        Analysis::default().of(&spans);
    }
}

/// Scenario: the shapes that cost most: one parent of all, one chain, a clock for each span, all in one cycle.
#[test]
fn a_hundred_thousand_spans_of_any_shape_take_moments() {
    const SPANS: u64 = 100_000;
    let shapes: [fn(u64) -> u64; 3] = [|id| u64::from(id > 1), |id| id - 1, |id| if id == 1 { SPANS } else { id - 1 }];
    let mut analysis = Analysis::default();
    for shape in shapes {
        let spans: Vec<Span> =
            (1..=SPANS).rev().map(|id| span(id, shape(id), id as u16, id as i64 % 5_000, 10_000)).collect();
        analysis.of(&spans);
        assert_eq!(analysis.spans().len(), spans.len());
        assert_eq!((0..spans.len()).filter(|at| analysis.parent(*at).is_none()).count(), 1);
    }
}
