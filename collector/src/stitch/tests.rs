use daymark_model::UnixNanos;
use daymark_trace::{Kind, Span};

use super::*;
use crate::columns::TraceRow;

const IDLE_MS: u64 = 5_000;
const SECOND: u64 = 1_000_000_000;

fn limits(max_traces: usize) -> StitchLimits {
    StitchLimits {
        idle_ms: IDLE_MS,
        max_age_ms: 60_000,
        max_traces,
        max_spans: 1_000,
        max_spans_per_trace: 100,
        max_edges: 100,
    }
}

fn stitcher(max_traces: usize) -> Stitcher {
    Stitcher::new(limits(max_traces))
}

fn trace(n: u8) -> TraceId {
    TraceId([n; 16])
}

fn span(stitcher: &mut Stitcher, span: u64, parent: Option<u64>) -> Span {
    Span {
        id: span,
        parent: parent.unwrap_or(0),
        start: span * SECOND,
        duration: SECOND,
        service: stitcher.names.number("shop"),
        ..Span::default()
    }
}

fn facts(span: Span, offset: u64) -> SpanFacts<'static> {
    SpanFacts { offset: LogOffset(offset), written: false, span, name: "op", correlation: None }
}

fn count(stitcher: &mut Stitcher, id: u8, number: u64, parent: Option<u64>, offset: u64, now_ms: u64) {
    let span = span(stitcher, number, parent);
    stitcher.count(trace(id), &facts(span, offset), now_ms);
}

fn provisional(stitcher: &mut Stitcher) -> Vec<TraceRow> {
    let mut rows = TraceColumns::new();
    stitcher.provisional(LogOffset(99), &mut rows).unwrap();
    read(&mut rows)
}

fn shown(stitcher: &mut Stitcher) -> Vec<(u64, String, u64)> {
    provisional(stitcher).into_iter().map(|row| (row.span_count, row.state, row.version.0)).collect()
}

fn read(rows: &mut TraceColumns) -> Vec<TraceRow> {
    crate::columns::read_trace_rows(&rows.finish().unwrap().0, |_| true)
}

#[test]
fn a_trace_is_emitted_once_idle_and_again_when_late_spans_come() {
    let (mut stitcher, mut rows) = (stitcher(100), TraceColumns::new());
    count(&mut stitcher, 1, 1, None, 1, 0);
    count(&mut stitcher, 1, 2, Some(1), 2, 4_000);
    stitcher.emit_due(IDLE_MS, LogOffset(2), &mut rows).unwrap();
    assert_eq!((rows.rows(), stitcher.changed()), (0, 1), "a span came within the idle time");
    stitcher.emit_due(9_000, LogOffset(2), &mut rows).unwrap();
    assert_eq!((rows.rows(), stitcher.changed(), shown(&mut stitcher).len()), (1, 0, 0));
    count(&mut stitcher, 1, 3, Some(7), 3, 20_000);
    assert_eq!(shown(&mut stitcher), [(3, "missing_parents".to_owned(), 3)], "its spans are remembered");
    stitcher.emit_due(30_000, LogOffset(3), &mut rows).unwrap();
    assert_eq!(rows.rows(), 2);
}

#[test]
fn a_trace_that_never_rests_is_emitted_at_its_age() {
    let (mut stitcher, mut rows) = (stitcher(100), TraceColumns::new());
    for second in 0..61 {
        count(&mut stitcher, 1, second + 1, None, second + 1, second * 1_000);
        stitcher.emit_due(second * 1_000, LogOffset(second + 1), &mut rows).unwrap();
    }
    assert_eq!(rows.rows(), 1);
}

#[test]
fn spans_beyond_the_searchable_few_are_still_counted_once() {
    let mut stitcher = stitcher(100);
    for round in 1..=2 {
        for span in 1..=60 {
            count(&mut stitcher, 1, span, None, round, 0);
        }
    }
    assert_eq!(shown(&mut stitcher)[0].0, 60);
}

#[test]
fn a_trace_beyond_its_cap_is_truncated_and_counts_all_its_spans() {
    let mut stitcher = stitcher(100);
    for number in 1..=130 {
        count(&mut stitcher, 1, number, (number > 1).then_some(1), number, 0);
    }
    let row = provisional(&mut stitcher).remove(0);
    assert_eq!((row.span_count, row.analysed_spans, row.state.as_str()), (130, 100, "truncated"));
    assert_eq!((row.start.seconds(), row.duration_ns), (1, 130 * SECOND));
    assert_eq!(stitcher.young[&trace(1)].spans().len(), 100, "memory is bounded");
}

/// Scenario: memory for few traces. Guarantees: a late span is hidden until its trace is back from the store, and then
/// the row is that of all spans; repeats of stored spans are not counted.
#[test]
fn a_forgotten_trace_comes_back_with_its_spans() {
    let (mut stitcher, mut rows) = (stitcher(4), TraceColumns::new());
    for id in 1..=9 {
        count(&mut stitcher, id, 1, None, u64::from(id), 0);
        stitcher.make_room(LogOffset(id.into()), &mut rows).unwrap();
    }
    let row = read(&mut rows).into_iter().find(|row| row.trace_id == trace(1)).unwrap();
    count(&mut stitcher, 1, 2, Some(1), 50, 0);
    count(&mut stitcher, 1, 1, None, 51, 0);
    assert_eq!((stitcher.waiting(), stitcher.ask(10)), (1, vec![trace(1)]));
    assert!(provisional(&mut stitcher).iter().all(|row| row.trace_id != trace(1)));
    let stored = span(&mut stitcher, 1, None);
    stitcher.restore(&trace(1), &facts(stored, 1));
    assert_eq!((row.span_count, row.state.as_str()), (1, "complete"));
    stitcher.found(&[(trace(1), Stored::Spans)].into_iter().collect(), &[]);
    assert_eq!(stitcher.waiting(), 0);
    let row = provisional(&mut stitcher).into_iter().find(|row| row.trace_id == trace(1)).unwrap();
    assert_eq!((row.span_count, row.analysed_spans, row.state.as_str()), (2, 2, "complete"));
    assert_eq!((row.start.seconds(), row.duration_ns), (1, 2 * SECOND));
}

#[test]
fn a_trace_whose_spans_are_not_read_again_keeps_its_counts_and_says_so() {
    let (mut stitcher, mut rows) = (stitcher(4), TraceColumns::new());
    for id in 1..=9 {
        count(&mut stitcher, id, 1, None, u64::from(id), 0);
        stitcher.make_room(LogOffset(id.into()), &mut rows).unwrap();
    }
    let row = read(&mut rows).into_iter().find(|row| row.trace_id == trace(1)).unwrap();
    count(&mut stitcher, 1, 2, Some(1), 50, 0);
    assert_eq!(stitcher.ask(10), [trace(1)]);
    stitcher.found(&[(trace(1), Stored::Row(Box::new(row)))].into_iter().collect(), &[]);
    let row = provisional(&mut stitcher).into_iter().find(|row| row.trace_id == trace(1)).unwrap();
    assert_eq!((row.span_count, row.analysed_spans, row.state.as_str()), (2, 1, "truncated"));
    assert_eq!((row.root_name.as_deref(), row.version), (Some("op"), LogOffset(50)));
}

/// A stitcher that has forgotten trace 1, of which a late span has come.
fn waiting() -> Stitcher {
    let (mut stitcher, mut rows) = (stitcher(4), TraceColumns::new());
    for id in 1..=9 {
        count(&mut stitcher, id, 1, None, u64::from(id), 0);
        stitcher.make_room(LogOffset(id.into()), &mut rows).unwrap();
    }
    stitcher.emit_changed(LogOffset(9), &mut rows).unwrap();
    count(&mut stitcher, 1, 2, None, 50, 0);
    assert_eq!((stitcher.waiting(), shown(&mut stitcher).len()), (1, 0));
    stitcher
}

#[test]
fn a_trace_that_goes_on_without_its_stored_part_is_never_called_complete() {
    let mut stitcher = waiting();
    assert_eq!(stitcher.give_up(&IdMap::default()), 1);
    assert_eq!(shown(&mut stitcher), [(1, "truncated".to_owned(), 50)]);
    assert_eq!(stitcher.waiting(), 0);
}

/// Scenario: the answer comes when the trace has gone on without it. Guarantees: it changes nothing.
#[test]
fn an_answer_that_comes_too_late_changes_nothing() {
    let mut stitcher = waiting();
    assert_eq!(stitcher.ask(10), [trace(1)]);
    stitcher.give_up(&IdMap::default());
    let stored = span(&mut stitcher, 1, None);
    stitcher.restore(&trace(1), &facts(stored, 1));
    stitcher.found(&[(trace(1), Stored::Spans)].into_iter().collect(), &[]);
    assert_eq!(shown(&mut stitcher), [(1, "truncated".to_owned(), 50)]);
}

#[test]
fn a_trace_that_could_not_be_looked_up_is_asked_for_again() {
    let mut stitcher = waiting();
    assert_eq!(stitcher.ask(10), [trace(1)]);
    stitcher.not_found();
    assert_eq!((stitcher.waiting(), shown(&mut stitcher).len()), (1, 0), "it still waits");
    assert_eq!(stitcher.ask(10), [trace(1)]);
    stitcher.found(&IdMap::default(), &[trace(1)]);
    assert_eq!((stitcher.waiting(), shown(&mut stitcher).len()), (1, 0), "put off");
    assert_eq!(stitcher.ask(10), [trace(1)]);
    stitcher.found(&IdMap::default(), &[]);
    assert_eq!(shown(&mut stitcher), [(1, "complete".to_owned(), 50)], "a new trace after all");
}

/// Scenario: nothing is found for more late spans than there is room for.
#[test]
fn waiting_traces_take_a_bounded_part_of_the_room() {
    let (mut stitcher, mut rows) = (stitcher(4_000), TraceColumns::new());
    for id in 1..=200 {
        stitcher.stored_before(&trace(id));
    }
    for id in 1..=200 {
        for number in 1..=9 {
            count(&mut stitcher, id, number, None, id.into(), 0);
        }
        stitcher.make_room(LogOffset(id.into()), &mut rows).unwrap();
        let held: usize = stitcher.young.values().chain(stitcher.old.values()).map(|trace| trace.spans().len()).sum();
        assert!(held < 1_000 + 2 * 9, "{held}");
    }
    stitcher.give_up(&IdMap::default());
    stitcher.emit_changed(LogOffset(200), &mut rows).unwrap();
    let rows = read(&mut rows);
    assert_eq!(rows.len(), 200, "each is told");
    assert!(rows.iter().all(|row| (row.span_count, row.state.as_str()) == (9, "truncated")));
}

#[test]
fn memory_is_bounded_and_nothing_is_lost_when_traces_leave() {
    let (mut stitcher, mut rows) = (stitcher(10), TraceColumns::new());
    for offset in 1..=200_u8 {
        count(&mut stitcher, offset, 1, None, offset.into(), 0);
        stitcher.make_room(LogOffset(offset.into()), &mut rows).unwrap();
        assert!(stitcher.young.len() + stitcher.old.len() <= 10);
    }
    stitcher.emit_changed(LogOffset(200), &mut rows).unwrap();
    assert_eq!((rows.rows(), stitcher.changed()), (200, 0));
}

#[test]
fn spans_in_memory_are_bounded_over_all_traces() {
    let (mut stitcher, mut rows) = (stitcher(10_000), TraceColumns::new());
    for id in 1..=60_u8 {
        for number in 1..=90 {
            count(&mut stitcher, id, number, None, id.into(), 0);
        }
        stitcher.make_room(LogOffset(id.into()), &mut rows).unwrap();
        let held: usize = stitcher.young.values().chain(stitcher.old.values()).map(|trace| trace.spans().len()).sum();
        assert!(held < 1_000 + 2 * 90, "{held}");
    }
}

#[test]
fn a_corrected_trace_keeps_what_its_spans_say() {
    let mut stitcher = stitcher(10);
    let root = Span { clock: 1, duration: 10 * SECOND, kind: Kind::Client, ..span(&mut stitcher, 100, None) };
    let early = Span { clock: 2, kind: Kind::Server, start: 40 * SECOND, ..span(&mut stitcher, 2, Some(100)) };
    stitcher.count(trace(1), &facts(root, 1), 0);
    stitcher.count(trace(1), &facts(early, 2), 0);
    let row = provisional(&mut stitcher).remove(0);
    assert_eq!((row.state.as_str(), row.clock_offset_ns), ("clock_skewed", Some(64_500_000_000)));
    assert_eq!((row.start, row.duration_ns), (UnixNanos(100 * SECOND), 10 * SECOND));
    assert_eq!((row.raw_start, row.raw_duration_ns), (UnixNanos(40 * SECOND), 70 * SECOND));
}

/// Sums of the fragments: caller, callee, kind of callee, connection -> calls, errors.
fn edges(batch: Option<RecordBatch>) -> Vec<(String, i64, i64)> {
    use arrow::array::AsArray;
    let mut sums = std::collections::BTreeMap::new();
    let Some(batch) = batch else { return Vec::new() };
    for row in 0..batch.num_rows() {
        let text = |name: &str| batch[name].as_string::<i32>().value(row).to_owned();
        let long = |name: &str| batch[name].as_primitive::<arrow::datatypes::Int64Type>().value(row);
        let key = ["caller", "callee", "callee_kind", "connection"].map(text).join(" ");
        let sum: &mut (i64, i64) = sums.entry(key).or_default();
        *sum = (sum.0 + long("calls"), sum.1 + long("errors"));
    }
    sums.retain(|_, sum| *sum != (0, 0));
    sums.into_iter().map(|(key, (calls, errors))| (key, calls, errors)).collect()
}

fn call(stitcher: &mut Stitcher, number: u64, parent: Option<u64>, kind: Kind, service: &str, peer: &str) -> Span {
    let (service, peer) = (stitcher.names.number(service), stitcher.names.number(peer));
    Span { kind, service, peer, ..span(stitcher, number, parent) }
}

#[test]
fn calls_become_edges_and_a_late_callee_takes_the_place_of_a_name() {
    let mut stitcher = stitcher(10);
    let client = call(&mut stitcher, 1, None, Kind::Client, "shop", "pay-lb");
    let query = call(&mut stitcher, 2, Some(1), Kind::Client, "shop", "postgresql");
    let query = Span { marks: DATABASE | Span::ERROR, ..query };
    stitcher.count(trace(1), &facts(client, 1), 0);
    stitcher.count(trace(1), &facts(query, 1), 0);
    let named = [("shop pay-lb peer rpc".to_owned(), 1, 0), ("shop postgresql peer database".to_owned(), 1, 1)];
    assert_eq!(edges(stitcher.live_edges(LogOffset(1)).unwrap().1), named);
    let first = edges(stitcher.take_edges(LogOffset(1)).unwrap().map(|fragments| fragments.0));
    assert_eq!(first, named, "hot and sealed agree");
    let server = call(&mut stitcher, 3, Some(1), Kind::Server, "pay", "");
    stitcher.count(trace(1), &facts(server, 2), 0);
    let late = edges(stitcher.take_edges(LogOffset(2)).unwrap().map(|fragments| fragments.0));
    assert_eq!(late, [("shop pay service rpc".to_owned(), 1, 0), ("shop pay-lb peer rpc".to_owned(), -1, 0)]);
    assert!(stitcher.take_edges(LogOffset(2)).unwrap().is_none(), "each call once");
}

#[test]
fn edges_beyond_their_cap_are_counted_on_one() {
    let mut stitcher = stitcher(10);
    for n in 1..=150 {
        let client = call(&mut stitcher, n, None, Kind::Client, "shop", &format!("host-{n}"));
        stitcher.count(trace((n % 3) as u8), &facts(Span { start: 60 * SECOND, ..client }, n), 0);
    }
    let sums = edges(stitcher.take_edges(LogOffset(150)).unwrap().map(|fragments| fragments.0));
    assert_eq!((sums.len(), sums.iter().map(|edge| edge.1).sum::<i64>()), (101, 150), "no call is lost");
    assert_eq!(sums[0], ("_overflow _overflow peer rpc".to_owned(), 50, 0));
}
