use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

use super::*;
use crate::decode::{LogVisitor, ResourceView, walk_logs};

const NOW: UnixNanos = UnixNanos(1_700_000_000_123_456_789);

/// The records of `body` with their services, and each attribute as `key=text`.
fn read(body: &str) -> Vec<(String, LogRecord, Vec<String>)> {
    struct Seen(Vec<(String, Vec<String>)>, String);
    impl LogVisitor for Seen {
        fn resource(&mut self, resource: &ResourceView<'_, '_>) {
            self.1 = resource.service_name.to_owned();
        }
        fn log(&mut self, log: &LogView<'_, '_>) {
            let text = |value: Value<'_>| {
                let mut text = String::new();
                value.write_text(&mut text);
                format!("{text}:{}", value.type_char())
            };
            self.0.push((
                self.1.clone(),
                log.attributes.iter().map(|(key, value)| format!("{key}={}", text(value))).collect(),
            ));
        }
    }
    let events = to_protobuf(body.as_bytes(), NOW, 1 << 20).unwrap();
    let mut seen = Seen(Vec::new(), String::new());
    assert_eq!(walk_logs(&events.request, &mut seen).unwrap().items, events.count);
    let request = ExportLogsServiceRequest::decode(&*events.request).unwrap();
    let records =
        request.resource_logs.into_iter().flat_map(|group| group.scope_logs).flat_map(|group| group.log_records);
    seen.0.into_iter().zip(records).map(|((service, attributes), record)| (service, record, attributes)).collect()
}

#[test]
fn an_event_becomes_a_log_record() {
    let read = read(
        r#"{"name":"order.placed","service":"shop","time":"2026-01-02T03:04:05.678+01:00","duration_ms":12.5,
        "status":"OK","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","correlation_id":17,
        "severity":"warning","message":"placed","order":{"items":3,"lines":[{"sku":"a"},null,1.5],"note":null},"big":18446744073709551615,
        "gift":true}"#,
    );
    let [(service, record, attributes)] = &read[..] else { panic!("{read:?}") };
    assert_eq!((service.as_str(), record.event_name.as_str()), ("shop", "order.placed"));
    assert_eq!((record.time_unix_nano, record.observed_time_unix_nano), (1_767_319_445_678_000_000, NOW.0));
    assert_eq!((record.severity_number, record.severity_text.as_str()), (13, "WARNING"));
    assert_eq!((record.trace_id[0], record.span_id[0]), (0x0a, 0xb7));
    assert_eq!(
        *attributes,
        [
            "duration_ms=12.5:d",
            "status.code=ok:s",
            "correlation_id=17:s",
            "order.items=3:i",
            r#"order.lines=[{"sku":"a"},null,1.5]:j"#,
            "big=1.8446744073709552e19:d",
            "gift=true:b"
        ]
    );
}

#[test]
fn many_events_come_as_a_list_or_one_after_the_other() {
    for body in [
        r#"[{"name":"a","service":"x"},{"name":"b"},{"name":"c","service":"x"}]"#,
        "{\"name\":\"a\",\"service\":\"x\"}\n{\"name\":\"b\"}\r\n\n{\"name\":\"c\",\"service\":\"x\"}\n",
    ] {
        let read = read(body);
        let names: Vec<_> =
            read.iter().map(|(service, record, _)| (service.as_str(), record.event_name.as_str())).collect();
        assert_eq!(names, [("x", "a"), ("x", "c"), ("unknown_service", "b")]);
        assert!(read.iter().all(|(_, record, _)| record.time_unix_nano == NOW.0));
    }
    assert_eq!(to_protobuf(b"[]", NOW, 100).unwrap().count, 0);
}

#[test]
fn times_and_errors_have_several_spellings() {
    for (time, nanos) in [
        ("1700000000123", 1_700_000_000_123_000_000),
        ("1700000000123.5", 1_700_000_000_123_500_000),
        ("1700000000123456789", 1_700_000_000_123_456_789_u64),
        ("1700000000", 1_700_000_000_000_000_000),
        ("1700000000.25", 1_700_000_000_250_000_000),
        ("1700000000123456", 1_700_000_000_123_456_000),
        ("100000000", 100_000_000_000_000_000),
        ("\"2023-11-14T22:13:20Z\"", 1_700_000_000_000_000_000),
    ] {
        let read = read(&format!(r#"{{"name":"a","time":{time}}}"#));
        assert_eq!(read[0].1.time_unix_nano, nanos, "{time}");
    }
    for (error, attributes) in [
        ("true", vec!["status.code=error:s"]),
        ("false", vec![]),
        ("null", vec![]),
        (r#""refused""#, vec!["status.code=error:s", "error.message=refused:s"]),
        (r#"{"type":"io","code":5}"#, vec!["status.code=error:s", "error.type=io:s", "error.code=5:i"]),
    ] {
        let read = read(&format!(r#"{{"name":"a","error":{error}}}"#));
        assert_eq!(read[0].2, attributes, "{error}");
        assert_eq!(read[0].1.severity_number, if attributes.is_empty() { 9 } else { 17 });
    }
}

#[test]
fn only_events_with_times_of_their_own_are_timed() {
    let timed = |body: &str| to_protobuf(body.as_bytes(), NOW, 1 << 20).unwrap().timed;
    assert!(timed(r#"{"name":"a","time":1700000000123}"#));
    assert!(!timed(r#"[{"name":"a","time":1700000000123},{"name":"a"}]"#));
}

#[test]
fn what_is_wrong_is_named() {
    for (body, expected) in [
        (r#"{"service":"x"}"#, r#"event 1: the key "name" is missing"#),
        (r#"[{"name":"a"},{"name":5}]"#, "event 2: name: expected a text, got 5"),
        (
            r#"{"name":"a","time":17000000}"#,
            "1 of 1 events cannot be read, none was taken: event 1: time: expected an RFC 3339 time like \
             \"2026-01-02T03:04:05.678Z\", or Unix seconds, milliseconds, microseconds or nanoseconds from March 1973 on, \
             got 17000000",
        ),
        (r#"{"name":"a","time":99999999999}"#, "got 99999999999"),
        (r#"{"name":"a","time":1e300}"#, "time: expected an RFC 3339 time"),
        (r#"{"name":"a","name":"b"}"#, r#"event 1: the key "name" occurs twice"#),
        (r#"{"name":"a","sku":1,"sku":2}"#, r#"event 1: the key "sku" occurs twice"#),
        (r#"{"name":"a","order":{"id":1},"x":2,"order.id":2}"#, r#"event 1: the key "order.id" occurs twice"#),
        (r#"{"name":"a","error":"x","error.message":"y"}"#, r#"event 1: the key "error.message" occurs twice"#),
        (
            r#"[{"name":"a","name":"b"},{"name":"c"},{"time":{}}]"#,
            r#"2 of 3 events cannot be read, none was taken: event 1: the key "name" occurs twice; event 3: time: expected"#,
        ),
        (r#"{"name":"a","time":"yesterday"}"#, r#"got "yesterday""#),
        (r#"{"name":"a","duration_ms":-1}"#, "duration_ms: expected a number of milliseconds, 0 or more, got -1"),
        (r#"{"name":"a","duration_ms":"5"}"#, r#"duration_ms: expected a number of milliseconds, 0 or more, got "5""#),
        (r#"{"name":"a","status":200}"#, r#"status: expected "ok", "error" or "unset", got 200"#),
        (
            r#"{"name":"a","severity":"loud"}"#,
            r#"severity: expected trace, debug, info, warn, error, fatal or 1 to 24, got "loud""#,
        ),
        (r#"{"name":"a","trace_id":"00"}"#, r#"trace_id: expected 32 hex digits, not all zero, got "00""#),
        (r#"{"name":"a","message":{"a":1}}"#, "message: expected a text, got an object"),
        (r#"{"name":"a","error":5}"#, "error: true, false, a text or an object"),
        (r#"[1]"#, "event 1: an event (a JSON object)"),
        (r#""text""#, "event 1: an event (a JSON object)"),
        ("", "EOF"),
        (r#"{"name":"a"} trailing"#, "expected"),
    ] {
        let refusal = to_protobuf(body.as_bytes(), NOW, 1 << 20).unwrap_err();
        assert_eq!(refusal.reason, "malformed");
        assert!(refusal.message.contains(expected), "{body}\n  said: {}\n  expected: {expected}", refusal.message);
    }
}

/// Scenario: long keys repeated in front of many short values. Guarantees: the cap holds.
#[test]
fn what_is_written_is_capped() {
    let values: Vec<String> = (0..2_000).map(|i| format!("\"{i}\":1")).collect();
    let body = format!(r#"{{"name":"a","{}":{{{}}}}}"#, "k".repeat(2_000), values.join(","));
    assert_eq!(to_protobuf(body.as_bytes(), NOW, 1 << 20).unwrap_err().reason, "too_large");
}

/// Scenario: a thousand wrong events. Guarantees: the answer tells of the first ones and how many there are.
#[test]
fn an_answer_tells_of_the_first_wrong_events() {
    let refusal = to_protobuf("{}".repeat(1_000).as_bytes(), NOW, 1 << 20).unwrap_err();
    assert!(refusal.message.starts_with("1000 of 1000 events cannot be read"), "{}", refusal.message);
    assert!(refusal.message.contains("event 5: ") && !refusal.message.contains("event 6: "), "{}", refusal.message);
    assert!(refusal.message.ends_with("; and 995 more"), "{}", refusal.message);
}

/// Scenario: keys that only look alike. Guarantees: none counts as a repetition; a key left out by `null` is none.
#[test]
fn keys_that_differ_are_kept_apart() {
    let read = read(r#"{"name":"a","x":null,"x":1,"x.y":2,"xy":3,"z":{"x":4},"list":[{"x":1},{"x":2}]}"#);
    assert_eq!(read[0].2.len(), 5, "{read:?}");
}
