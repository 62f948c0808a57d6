//! What is derived, against spans and events counted one by one.

use std::collections::BTreeMap;

use daymark_model::DERIVED_WINDOW_NS;
use daymark_sketch::Sketch;
use daymark_wire::{DerivedExemplar, walk_derived};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use prost::Message;

use super::*;

/// (service, name, kind, status, window start).
type Key = (String, String, String, String, u64);

#[derive(Clone, Debug)]
struct Work {
    service: usize,
    name: usize,
    kind: i32,
    status: i32,
    start: u64,
    end: u64,
    valid: bool,
}

const SERVICES: [&str; 3] = ["checkout", "payment", ""];
const NAMES: [&str; 3] = ["GET /", "POST /pay", ""];
const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const STATUSES: [&str; 3] = ["unset", "ok", "error"];
const NOON: u64 = 1_700_000_000_000_000_000;

fn any_work() -> impl Strategy<Value = Work> {
    // Ends on, just before and just after the edges of windows, and anywhere.
    let end = prop_oneof![
        (0_u64..4, -2_i64..=2).prop_map(|(window, off)| (NOON + window * DERIVED_WINDOW_NS).saturating_add_signed(off)),
        NOON..NOON + 4 * DERIVED_WINDOW_NS,
    ];
    let duration = (any::<u64>(), 24_u32..64).prop_map(|(value, shift)| value >> shift);
    (0..3_usize, 0..3_usize, 0..6_i32, 0..3_i32, end, duration, prop::bool::weighted(0.9)).prop_map(
        |(service, name, kind, status, end, duration, valid)| Work {
            service,
            name,
            kind,
            status,
            start: end.saturating_sub(duration).max(1),
            end,
            valid,
        },
    )
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.into()))
}

fn resource(service: &str) -> Option<Resource> {
    Some(Resource { attributes: vec![text("service.name", service), text("host.name", "h")], ..Resource::default() })
}

fn traces(works: &[Work]) -> Vec<u8> {
    let span = |(at, work): (usize, &Work)| Span {
        trace_id: if work.valid { vec![at as u8 + 1; 16] } else { vec![1; 15] },
        span_id: vec![at as u8 + 1; 8],
        name: NAMES[work.name].into(),
        kind: work.kind,
        start_time_unix_nano: work.start,
        end_time_unix_nano: work.end,
        status: Some(Status { code: work.status, message: String::new() }),
        ..Span::default()
    };
    let resource_spans = works.iter().enumerate().map(|(at, work)| ResourceSpans {
        resource: resource(SERVICES[work.service]),
        scope_spans: vec![ScopeSpans { spans: vec![span((at, work))], ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec()
}

fn derive(signal: Signal, payload: &[u8], options: &AgentOptions) -> Result<Derived, Unsound> {
    DeriverPool::new(options).derive(signal, payload, UnixNanos(NOON))
}

/// A series as it is sent.
struct Sent {
    service: String,
    name: String,
    kind: &'static str,
    status: &'static str,
    overflow: bool,
    window: u64,
    sketch: Sketch,
    exemplar: Option<DerivedExemplar>,
}

fn sent(series: Option<&[u8]>, source: DerivedSource) -> Vec<Sent> {
    let mut all = Vec::new();
    let Some(bytes) = series else { return all };
    walk_derived(bytes, |view| {
        assert_eq!(view.source, source);
        all.push(Sent {
            service: view.service.to_owned(),
            name: view.name.to_owned(),
            kind: KINDS[usize::from(view.kind)],
            status: STATUSES[usize::from(view.status)],
            overflow: view.overflow,
            window: view.window.0,
            sketch: Sketch::decode_compact(view.distribution).unwrap(),
            exemplar: view.exemplar,
        });
    })
    .unwrap();
    all
}

fn counted(works: &[Work]) -> BTreeMap<Key, Sketch> {
    let mut counted = BTreeMap::<Key, Sketch>::new();
    for work in works.iter().filter(|work| work.valid) {
        let service = if SERVICES[work.service].is_empty() { "unknown_service" } else { SERVICES[work.service] };
        let key = (
            service.to_owned(),
            NAMES[work.name].to_owned(),
            KINDS[work.kind as usize].to_owned(),
            STATUSES[work.status as usize].to_owned(),
            work.end - work.end % DERIVED_WINDOW_NS,
        );
        counted.entry(key).or_default().record(work.end - work.start);
    }
    counted
}

fn derived(series: Option<&[u8]>) -> BTreeMap<Key, Sketch> {
    let sent = sent(series, DerivedSource::Spans);
    let total = sent.len();
    let key = |it: &Sent| (it.service.clone(), it.name.clone(), it.kind.to_owned(), it.status.to_owned(), it.window);
    let series: BTreeMap<Key, Sketch> = sent.into_iter().map(|it| (key(&it), it.sketch)).collect();
    assert_eq!(series.len(), total, "a series occurs once");
    series
}

proptest! {
    #[test]
    fn derived_counts_equal_the_spans(works in prop::collection::vec(any_work(), 0..120)) {
        let result = derive(Signal::Traces, &traces(&works), &AgentOptions::new("")).unwrap();
        prop_assert_eq!(result.walked.items, works.len() as u64);
        prop_assert_eq!(result.walked.rejected, works.iter().filter(|work| !work.valid).count() as u64);
        prop_assert_eq!(derived(result.series.as_deref()), counted(&works));
    }

    #[test]
    fn a_reused_map_derives_the_same_bytes(
        before in prop::collection::vec(any_work(), 0..40), works in prop::collection::vec(any_work(), 1..40),
    ) {
        let pool = DeriverPool::new(&AgentOptions::new(""));
        let fresh = derive(Signal::Traces, &traces(&works), &AgentOptions::new("")).unwrap();
        pool.derive(Signal::Traces, &traces(&before), UnixNanos(NOON)).unwrap();
        let reused = pool.derive(Signal::Traces, &traces(&works), UnixNanos(NOON)).unwrap();
        prop_assert_eq!(reused.series, fresh.series);
    }

    #[test]
    fn beyond_the_cap_nothing_is_lost_from_the_counts(
        works in prop::collection::vec(any_work(), 0..120), max_series in 0_usize..20,
    ) {
        let options = AgentOptions { max_series_per_batch: max_series, ..AgentOptions::new("") };
        let result = derive(Signal::Traces, &traces(&works), &options).unwrap();
        let series = sent(result.series.as_deref(), DerivedSource::Spans);
        let valid: Vec<&Work> = works.iter().filter(|work| work.valid).collect();
        let errors = series.iter().filter(|it| it.status == "error").map(|it| it.sketch.count()).sum::<u64>();
        prop_assert_eq!(series.iter().map(|it| it.sketch.count()).sum::<u64>(), valid.len() as u64);
        prop_assert_eq!(errors, valid.iter().filter(|work| work.status == 2).count() as u64);
        prop_assert!(series.iter().all(|it| it.overflow == (it.service == "otel.metric.overflow")));
        prop_assert!(series.iter().filter(|it| !it.overflow).count() <= max_series);
    }

    #[test]
    fn the_announced_size_is_not_exceeded(works in prop::collection::vec(any_work(), 1..120)) {
        let mut series = SeriesMap::new(1_000);
        daymark_wire::walk_traces(&traces(&works), &mut SpanDurations::new(&mut series)).unwrap();
        let bound = encode::size_bound(&series);
        let bytes = if series.is_empty() { vec![] } else { encode::derived_series(DerivedSource::Spans, &mut series) };
        prop_assert!(bytes.len() <= bound, "{} > {bound}", bytes.len());
    }
}

fn work(name: usize, status: i32, duration_ns: u64) -> Work {
    Work { service: 0, name, kind: 2, status, start: NOON, end: NOON + duration_ns, valid: true }
}

#[test]
fn errors_and_the_slowest_of_a_service_have_an_exemplar() {
    let works = [work(0, 1, 50), work(1, 1, 900), work(0, 2, 30), work(0, 2, 40), work(0, 1, 60)];
    let result = derive(Signal::Traces, &traces(&works), &AgentOptions::new("")).unwrap();
    for it in sent(result.series.as_deref(), DerivedSource::Spans) {
        let shown = it.exemplar.map(|exemplar| (exemplar.trace_id.unwrap().0[0], exemplar.value_ns));
        match (it.name.as_str(), it.status) {
            ("POST /pay", "ok") => assert_eq!(shown, Some((2, 900))),
            ("GET /", "error") => assert_eq!(shown, Some((4, 40))),
            ("GET /", "ok") => assert_eq!(shown, None),
            other => panic!("{other:?}"),
        }
        assert!(it.exemplar.is_none_or(|exemplar| exemplar.span_id.is_some() && exemplar.end.0 > NOON));
    }
}

#[test]
fn a_span_that_ends_before_it_starts_is_rejected_and_not_counted() {
    let backwards = Work { start: NOON + 5, end: NOON, ..work(0, 0, 0) };
    let result = derive(Signal::Traces, &traces(&[backwards, work(0, 0, 7)]), &AgentOptions::new("")).unwrap();
    assert_eq!((result.walked.items, result.walked.rejected), (2, 1));
    let series = derived(result.series.as_deref());
    assert_eq!(series.values().map(|sketch| (sketch.count(), sketch.max())).collect::<Vec<_>>(), [(1, Some(7))]);
}

#[test]
fn requests_beyond_a_limit_are_refused_by_name() {
    let works: Vec<Work> = (0..80).map(|at| work(0, at % 3, 1 << (at / 2))).collect();
    let check = |options: AgentOptions, reason| {
        let unsound = derive(Signal::Traces, &traces(&works), &options).err().unwrap();
        assert_eq!((unsound.refusal.reason, unsound.items), (reason, 80));
    };
    check(AgentOptions { max_items_per_request: 79, ..AgentOptions::new("") }, "too_many_items");
    check(AgentOptions { max_derived_bytes: 500, ..AgentOptions::new("") }, "derived_too_large");
    let garbage = derive(Signal::Traces, b"\x0a\xff", &AgentOptions::new("")).err().unwrap();
    assert_eq!((garbage.refusal.reason, garbage.items), ("malformed", 1));
}

#[test]
fn events_with_a_duration_are_counted() {
    let log = |name: &str, time, attributes| LogRecord {
        event_name: name.into(),
        time_unix_nano: time,
        attributes,
        ..LogRecord::default()
    };
    let duration = |ms: f64| attribute("duration_ms", any_value::Value::DoubleValue(ms));
    let logs = vec![
        log("job", NOON, vec![duration(1.5), text("status.code", "ok")]),
        log("job", NOON + 1, vec![duration(2.5), text("status.code", "ok")]),
        log("job", NOON, vec![duration(4.0), text("status.code", "error")]),
        log("job", 0, vec![duration(8.0)]),
        log("job", NOON, vec![]),
    ];
    let scope_logs = vec![ScopeLogs { log_records: logs, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { resource: resource("batch"), scope_logs, ..ResourceLogs::default() }];
    let payload = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
    let result = derive(Signal::Logs, &payload, &AgentOptions::new("")).unwrap();
    assert_eq!((result.walked.items, result.walked.rejected), (5, 0));
    let mut seen: Vec<_> = sent(result.series.as_deref(), DerivedSource::Events)
        .iter()
        .map(|it| {
            assert_eq!((it.service.as_str(), it.name.as_str()), ("batch", "job"));
            (it.status, it.sketch.count(), it.sketch.sum())
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [("error", 1, 4_000_000), ("ok", 2, 4_000_000), ("unset", 1, 8_000_000)]);
}
