use std::sync::Arc;

use daymark_model::{SpanId, UnixNanos};

use super::*;

const IDLE_MS: u64 = 5_000;

fn stitcher(max_traces: usize) -> Stitcher {
    Stitcher::new(StitchLimits { idle_ms: IDLE_MS, max_age_ms: 60_000, max_traces, max_spans: 100 })
}

fn trace(n: u8) -> TraceId {
    TraceId([n; 16])
}

fn count(stitcher: &mut Stitcher, id: u8, span: u64, parent: Option<u64>, offset: u64, now_ms: u64) {
    let service: Arc<str> = "shop".into();
    let facts = SpanFacts {
        offset: LogOffset(offset),
        span_id: SpanId(span.to_be_bytes()),
        parent: parent.map(|parent| SpanId(parent.to_be_bytes())),
        start: UnixNanos::from_seconds(span),
        end: UnixNanos::from_seconds(span + 1),
        error: false,
        service: &service,
        name: "op",
        correlation: None,
    };
    stitcher.count(trace(id), &facts, now_ms);
}

fn shown(stitcher: &Stitcher) -> Vec<(u64, String, u64)> {
    stitcher.provisional(LogOffset(99)).map(|row| (row.span_count, row.state, row.version.0)).collect()
}

#[test]
fn a_trace_is_emitted_once_idle_and_again_when_late_spans_come() {
    let (mut stitcher, mut rows) = (stitcher(100), TraceColumns::new());
    count(&mut stitcher, 1, 1, None, 1, 0);
    count(&mut stitcher, 1, 2, Some(1), 2, 4_000);
    stitcher.emit_due(IDLE_MS, LogOffset(2), &mut rows).unwrap();
    assert_eq!((rows.rows(), stitcher.changed()), (0, 1), "a span came within the idle time");
    stitcher.emit_due(9_000, LogOffset(2), &mut rows).unwrap();
    assert_eq!((rows.rows(), stitcher.changed(), shown(&stitcher).len()), (1, 0, 0));
    count(&mut stitcher, 1, 3, Some(2), 3, 20_000);
    assert_eq!(shown(&stitcher), [(3, "complete".to_owned(), 3)], "a forgotten parent is trusted");
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
    assert_eq!(shown(&stitcher)[0].0, 60);
}

#[test]
fn a_forgotten_trace_is_hidden_until_its_stored_part_is_added() {
    let (mut stitcher, mut rows) = (stitcher(4), TraceColumns::new());
    for id in 1..=9 {
        count(&mut stitcher, id, 1, None, u64::from(id), 0);
        stitcher.make_room(LogOffset(id.into()), &mut rows).unwrap();
    }
    let stored = read(&mut rows).into_iter().find(|row| row.trace_id == trace(1)).unwrap();
    count(&mut stitcher, 1, 2, Some(1), 50, 0);
    assert_eq!(stitcher.wanted(), [trace(1)]);
    assert!(stitcher.provisional(LogOffset(99)).all(|row| row.trace_id != trace(1)));
    stitcher.add_bases(&[(trace(1), stored)].into_iter().collect());
    let row = stitcher.provisional(LogOffset(99)).find(|row| row.trace_id == trace(1)).unwrap();
    assert_eq!((row.span_count, row.state.as_str(), row.version), (2, "complete", LogOffset(50)));
    assert_eq!((row.start, row.duration_ns), (UnixNanos::from_seconds(1), 2_000_000_000));
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

fn read(rows: &mut TraceColumns) -> Vec<TraceRow> {
    crate::columns::read_trace_rows(&rows.finish().unwrap().0, |_| true)
}
