//! Spans that are not what anybody expects.

use daymark_tests::Ask;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use super::{BROKEN, KEYS, LONG, NASTY, Sender, Verdict, attribute, clashing, escaped, keys, nested, now, text};

/// All good spans are in one trace.
const TRACE: [u8; 16] = [0xab; 16];
/// 1970 and 2200, nanoseconds.
const EARLY: u64 = 1_000_000_000;
const LATE: u64 = 7_258_118_400_000_000_000;

fn span(name: &str, change: impl FnOnce(&mut Span)) -> Span {
    let hash = name.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let mut span = Span {
        trace_id: TRACE.to_vec(),
        span_id: hash.to_be_bytes().to_vec(),
        name: name.to_owned(),
        kind: 2,
        start_time_unix_nano: now() - 5_000_000,
        end_time_unix_nano: now(),
        ..Span::default()
    };
    change(&mut span);
    span
}

fn wrong_ids_and_times() -> Vec<(Span, Verdict)> {
    let trace = Some("valid trace id");
    let of_trace = |length: usize| (span("trace id", |span| span.trace_id = vec![1; length]), trace);
    let of_span = |length: usize| (span("span id", |span| span.span_id = vec![1; length]), Some("valid span id"));
    let at =
        |start: u64, end: u64| span("time", |span| (span.start_time_unix_nano, span.end_time_unix_nano) = (start, end));
    vec![
        (span("good among wrong ids", |_| ()), None),
        of_trace(0),
        of_trace(8),
        of_trace(15),
        of_trace(17),
        of_trace(32),
        (span("zeros", |span| span.trace_id = vec![0; 16]), trace),
        of_span(4),
        of_span(9),
        (span("parent", |span| span.parent_span_id = vec![1; 7]), Some("parent span id")),
        (at(EARLY, EARLY + 1), Some("before the year 2000")),
        (at(now(), LATE), Some("max_future_ms")),
        (at(LATE, LATE), Some("max_future_ms")),
        (at(u64::MAX, u64::MAX), Some("valid start time")),
        (at(now(), now() - 1_000_000), Some("ends before it starts")),
        (Span::default(), trace),
    ]
}

fn odd_content() -> Vec<(Span, Verdict)> {
    let with = |name: &str, attributes: Vec<_>| span(name, |span| span.attributes = attributes);
    let link = |length: usize| Link { trace_id: vec![1; length], span_id: vec![2; 4], ..Link::default() };
    let event = |n: u64| Event { time_unix_nano: n, name: NASTY.into(), attributes: keys(3), ..Event::default() };
    let utf8 = Some("not valid UTF-8");
    vec![
        (span("good among odd content", |_| ()), None),
        (span(NASTY, |_| ()), None),
        (span("", |_| ()), None),
        (span(&"n".repeat(10 << 10), |_| ()), None),
        (with("ten thousand keys", keys(KEYS)), None),
        (with("seventy thousand keys", keys(70_000)), Some("too many attributes")),
        (with("one key of every type", clashing("clash")), None),
        (with("no key", vec![text("", "no key"), text(NASTY, NASTY)]), None),
        (with("a long value", vec![text("long", &"v".repeat(LONG))]), None),
        (with("nested", vec![attribute("deep", nested(30))]), None),
        (with("nested too deep", vec![attribute("deep", nested(31))]), Some("more than 30 levels")),
        (with("nested far too deep", vec![attribute("deep", nested(45))]), Some("more than 30 levels")),
        (with("broken value", vec![text("key", BROKEN)]), utf8),
        (with("broken key", vec![text(BROKEN, "value")]), utf8),
        (span(BROKEN, |_| ()), utf8),
        (span("a thousand events", |span| span.events = (0..1_000).map(event).collect()), None),
        (span("links to nowhere", |span| span.links = [0, 8, 32].map(link).into()), None),
        (span("status", |span| span.status = Some(Status { code: 99, message: NASTY.into() })), None),
        (span("kind", |span| span.kind = -5), None),
    ]
}

/// Keys that no two spans share, and one that they all have, each with another type than the one before.
fn many_keys() -> Vec<(Span, Verdict)> {
    let clash = clashing("clash");
    let one = |n: usize| {
        let mut attributes: Vec<_> = (0..KEYS / 100).map(|k| text(&format!("own.{n}.{k}"), "x")).collect();
        attributes.push(clash[n % clash.len()].clone());
        (span(&format!("own keys {n}"), |span| span.attributes = attributes), None)
    };
    (0..100).map(one).collect()
}

fn request(spans: Vec<Span>) -> Vec<u8> {
    let resource = Some(Resource { attributes: vec![text("service.name", NASTY)], ..Resource::default() });
    let good = ResourceSpans {
        resource,
        scope_spans: vec![ScopeSpans::default(), ScopeSpans { spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans::default(), good] }.encode_to_vec()
}

pub(super) async fn send(sender: &Sender) -> u64 {
    let mut rejected = sender.judged("traces", &[], Vec::new()).await;
    for cases in [wrong_ids_and_times(), odd_content(), many_keys()] {
        let (spans, verdicts): (Vec<Span>, Vec<Verdict>) = cases.into_iter().unzip();
        rejected += sender.judged("traces", &verdicts, request(spans)).await;
    }
    rejected
}

pub(super) async fn found(ask: &Ask) {
    let cases = [wrong_ids_and_times(), odd_content(), many_keys()].concat();
    let mut names: Vec<String> =
        cases.into_iter().filter(|(_, verdict)| verdict.is_none()).map(|(span, _)| span.name).collect();
    names.sort();
    assert_eq!(super::column(ask, "select name from spans").await, names);
    assert_eq!(super::column(ask, "select distinct service_name from spans").await, [NASTY]);
    let value = super::column(ask, "select attributes['key.9999'] from spans where name = 'ten thousand keys'").await;
    assert_eq!(value, ["value 9999"]);
    let long = ask.sql_count("select length(attributes['long']) from spans where name = 'a long value'").await;
    assert_eq!(long, LONG as u64);
    let types = super::column(ask, "select attribute_types from spans where name = 'one key of every type'").await;
    assert_eq!(types, ["sidddbyj"], "of one span all values are kept");
    let query = "select count(*) from spans where name like 'own keys %' and attributes['clash'] = '7'";
    assert_eq!(ask.sql_count(query).await, 26, "as text 7 and as integer 7, in 13 spans each");
    let deep = super::column(ask, "select attributes['deep'] from spans where name = 'nested'").await;
    assert_eq!(deep, [format!("{}true{}", "[".repeat(30), "]".repeat(30))]);
    for query in [
        "select attributes, events, links, status_message from spans",
        "select service_name, name, count(*), max(duration_ns) from spans group by 1, 2",
        "select * from traces",
    ] {
        assert!(!ask.sql(query).await.is_empty(), "{query}");
    }
    by_the_api(ask, &names).await;
}

async fn by_the_api(ask: &Ask, names: &[String]) {
    let id = "ab".repeat(16);
    let trace = ask.get(&format!("/api/v1/traces/{id}")).await;
    let mut shown: Vec<String> =
        trace["spans"].as_array().unwrap().iter().map(|span| span["name"].as_str().unwrap().to_owned()).collect();
    shown.sort();
    assert_eq!(shown, names);
    for search in [
        format!("service={}", escaped(NASTY)),
        format!("operation={}", escaped(NASTY)),
        format!("attribute={}", escaped("key.9999=value 9999")),
        format!("attribute={}", escaped("own.99.99=x")),
        format!("attribute={}", escaped("clash=7")),
    ] {
        let found = ask.get(&format!("/api/v1/traces?{search}")).await;
        assert_eq!(found["traces"][0]["trace_id"], id, "{search}: {found}");
    }
    ask.get("/api/v1/services").await;
}
