//! Rules that random requests do not meet: caps, positions of faults, the order of calls.

use daymark_model::{Signal, UnixNanos};

use super::*;
use crate::proto::{close, open, put_bytes, put_fixed64, put_number};
use crate::{Problem, check};

/// A request with one span that has valid ids and times and the fields that `more` writes.
fn span_with(more: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    let groups = [open(&mut out, 1), open(&mut out, 2), open(&mut out, 2)];
    put_bytes(&mut out, 1, &[1; 16]);
    put_bytes(&mut out, 2, &[2; 8]);
    put_fixed64(&mut out, 7, 1);
    put_fixed64(&mut out, 8, 2);
    more(&mut out);
    groups.into_iter().rev().for_each(|start| close(&mut out, start));
    out
}

/// Content of an `AnyValue` with `levels` arrays inside each other.
fn nested_array(levels: u32) -> Vec<u8> {
    let mut value = Vec::new();
    for _ in 0..levels {
        let mut outer = Vec::new();
        let array = open(&mut outer, 5);
        put_bytes(&mut outer, 1, &value);
        close(&mut outer, array);
        value = outer;
    }
    value
}

#[test]
fn faults_name_their_path_and_position() {
    for (request, path, position, problem) in [
        (
            // In a resource, where it concerns every item.
            b"\x0a\x09\x0a\x07\x0a\x05\x0a\x01k\x12\xff"[..].to_vec(),
            "resource_spans[0].resource.attributes[0].field",
            9,
            Problem::Truncated,
        ),
        (
            span_with(|out| put_number(out, 5, 1)),
            "resource_spans[0].scope_spans[0].spans[0].name",
            52,
            Problem::WireType { expected: "a length-delimited field", got: 0 },
        ),
        (
            span_with(|out| {
                put_bytes(out, 9, b"\x0a\x01k");
                put_bytes(out, 9, b"\x0a\x01k\x12\x02\x08\x01");
            }),
            "resource_spans[0].scope_spans[0].spans[0].attributes[1].value.string_value",
            64,
            Problem::WireType { expected: "a length-delimited field", got: 0 },
        ),
        (vec![0x0a, 5, 0x12], "field", 0, Problem::Truncated),
        (vec![0x0b], "field", 0, Problem::Group),
        (vec![0x00], "field", 0, Problem::Key),
        (vec![0xff; 11], "field", 0, Problem::Varint),
    ] {
        let error = check(Signal::Traces, &request, &DecodeLimits::default()).unwrap_err();
        assert_eq!((error.path.as_str(), error.problem), (path, problem), "{error}");
        assert_eq!(error.position, position, "{error}");
    }
}

/// Scenario: requests that are within what protobuf allows but beyond our caps. Guarantees: refused, or the item rejected,
/// saying which cap.
#[test]
fn caps_hold() {
    let problem = |request: &[u8], limits| check(Signal::Traces, request, &limits).map_err(|error| error.problem);
    let too_long = |request: &[u8], limits| {
        let walked = check(Signal::Traces, request, &limits).unwrap();
        assert_eq!((walked.items, walked.rejected), (1, 1));
        assert!(walked.reasons.first().unwrap().contains("too many attributes"), "{walked:?}");
    };
    let limits = DecodeLimits { max_items: 2, max_list: 3, ..DecodeLimits::default() };
    let three = span_with(|_| ()).repeat(3);
    assert_eq!(problem(&three, limits), Err(Problem::TooManyItems { limit: 2 }));
    for list in [9, 11, 13] {
        let long = span_with(|out| (0..4).for_each(|_| put_bytes(out, list, b"")));
        too_long(&long, limits);
        let endless = span_with(|out| (0..70_000).for_each(|_| put_bytes(out, list, b"")));
        let unlimited = DecodeLimits { max_list: usize::MAX, ..DecodeLimits::CEILING };
        too_long(&endless, unlimited);
    }
    let event = b"\x1a\x00".repeat(40_000);
    let many_nested = span_with(|out| (0..2).for_each(|_| put_bytes(out, 11, &event)));
    too_long(&many_nested, DecodeLimits::CEILING);
}

#[test]
fn nesting_is_capped_and_json_text_follows_it_down() {
    let attribute = |levels| {
        span_with(|out| {
            let key_value = open(out, 9);
            put_bytes(out, 2, &nested_array(levels));
            close(out, key_value);
        })
    };
    struct Text(String);
    impl TraceVisitor for Text {
        fn span(&mut self, span: &SpanView<'_, '_>) {
            span.attributes.iter().for_each(|(_, value)| value.write_json(&mut self.0));
        }
    }
    let mut text = Text(String::new());
    walk_traces(&attribute(VALUE_DEPTH_MAX), &mut text).unwrap();
    assert_eq!(text.0, "[".repeat(30) + "null" + &"]".repeat(30));
    for levels in [VALUE_DEPTH_MAX + 1, 1_000] {
        let walked = walk_traces(&attribute(levels), &mut text).unwrap();
        assert_eq!((walked.items, walked.rejected), (1, 1));
        assert!(walked.reasons.first().unwrap().contains("more than 30 levels"), "{walked:?}");
    }
}

/// Scenario: items that no table can take, between others. Guarantees: they alone are rejected, each with its reason; the
/// same in a resource refuses the request, because nobody knows what its items are of.
#[test]
fn what_is_wrong_with_one_item_costs_only_that_item() {
    #[derive(Default)]
    struct Seen(u64);
    impl TraceVisitor for Seen {
        fn span(&mut self, _: &SpanView<'_, '_>) {
            self.0 += 1;
        }
    }
    impl LogVisitor for Seen {
        fn log(&mut self, _: &LogView<'_, '_>) {
            self.0 += 1;
        }
    }
    impl MetricVisitor for Seen {
        fn metric(&mut self, _: &MetricView<'_, '_>) {}
        fn point(&mut self, _: &PointView<'_, '_>) {
            self.0 += 1;
        }
    }
    let deep = |out: &mut Vec<u8>, attributes: u32| {
        let key_value = open(out, attributes);
        put_bytes(out, 2, &nested_array(31));
        close(out, key_value);
    };
    let bad_text = "not valid UTF-8";
    let spans = [
        span_with(|_| ()),
        span_with(|out| put_bytes(out, 5, &[0xff])),
        span_with(|out| put_bytes(out, 9, b"\x0a\x01k\x12\x03\x0a\x01\xff")),
        span_with(|out| deep(out, 9)),
        span_with(|_| ()),
    ];
    let mut seen = Seen::default();
    let walked = walk_traces(&spans.concat(), &mut seen).unwrap();
    assert_eq!((seen.0, walked.items, walked.rejected), (2, 5, 3));
    assert!(walked.reasons.to_string().starts_with("2: item with text that is not valid UTF-8; 1: "), "{walked:?}");

    let log = |more: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        let groups = [open(&mut out, 1), open(&mut out, 2), open(&mut out, 2)];
        put_fixed64(&mut out, 1, 1);
        more(&mut out);
        groups.into_iter().rev().for_each(|start| close(&mut out, start));
        out
    };
    let logs = [log(&|_| ()), log(&|out| put_bytes(out, 5, b"\x0a\x01\xff")), log(&|out| deep(out, 6))];
    let mut seen = Seen::default();
    let walked = walk_logs(&logs.concat(), &mut seen).unwrap();
    assert_eq!((seen.0, walked.items, walked.rejected), (1, 3, 2));

    let value = |out: &mut Vec<u8>| put_fixed64(out, 6, 1);
    let bad_point = |out: &mut Vec<u8>| {
        value(out);
        put_bytes(out, 7, b"\x0a\x01\xff");
    };
    let mut bad_name = Vec::new();
    let groups = [open(&mut bad_name, 1), open(&mut bad_name, 2), open(&mut bad_name, 2)];
    put_bytes(&mut bad_name, 1, &[0xff]);
    put_bytes(&mut bad_name, 5, b"\x0a\x00\x0a\x00");
    groups.into_iter().rev().for_each(|start| close(&mut bad_name, start));
    let points = [number_with(1, None, value), number_with(1, None, bad_point), bad_name];
    let mut seen = Seen::default();
    let walked = walk_metrics(&points.concat(), &mut seen).unwrap();
    assert_eq!((seen.0, walked.items, walked.rejected), (1, 4, 3), "both points of the metric without a name");
    assert!(walked.reasons.first().unwrap().contains(bad_text));

    let mut resource = Vec::new();
    let groups = [open(&mut resource, 1), open(&mut resource, 1)];
    put_bytes(&mut resource, 1, b"\x0a\x01\xff");
    groups.into_iter().rev().for_each(|start| close(&mut resource, start));
    resource.extend(span_with(|_| ()));
    let error = walk_traces(&resource, &mut Seen::default()).unwrap_err();
    assert_eq!((error.path.as_str(), error.problem), ("resource_spans[0].resource.attributes[0].key", Problem::Utf8));
}

#[test]
fn repeated_singular_messages_are_refused() {
    let twice =
        |request: &[u8], signal| check(signal, request, &DecodeLimits::default()).map_err(|error| error.problem);
    let group = |content: &[u8]| {
        let mut out = Vec::new();
        put_bytes(&mut out, 1, content);
        out
    };
    let two_resources = group(b"\x0a\x00\x0a\x00");
    let two_scopes = group(b"\x12\x04\x0a\x00\x0a\x00");
    let two_kinds = group(b"\x12\x06\x12\x04\x2a\x00\x3a\x00");
    let two_bodies = group(b"\x12\x06\x12\x04\x2a\x00\x2a\x00");
    assert_eq!(twice(&two_resources, Signal::Logs), Err(Problem::Repeated));
    assert_eq!(twice(&two_scopes, Signal::Logs), Err(Problem::Repeated));
    assert_eq!(twice(&two_kinds, Signal::Metrics), Err(Problem::Repeated));
    assert_eq!(twice(&two_bodies, Signal::Logs), Err(Problem::Repeated));
}

/// Scenario: resource and scope stand behind their items on the wire. Guarantees: the visitor sees them first.
#[test]
fn resource_and_scope_come_first_whatever_the_order() {
    #[derive(Default)]
    struct Order(Vec<String>);
    impl LogVisitor for Order {
        fn resource(&mut self, resource: &ResourceView<'_, '_>) {
            self.0.push(format!("resource {}", resource.service_name));
        }
        fn scope(&mut self, scope: &ScopeView<'_, '_>) {
            self.0.push(format!("scope {}", scope.name));
        }
        fn log(&mut self, log: &LogView<'_, '_>) {
            self.0.push(format!("log {}", log.event_name));
        }
    }
    let mut out = Vec::new();
    let group = open(&mut out, 1);
    let scope_group = open(&mut out, 2);
    put_bytes(&mut out, 2, b"\x62\x01a");
    put_bytes(&mut out, 1, b"\x0a\x03lib");
    put_bytes(&mut out, 2, b"\x62\x01b");
    close(&mut out, scope_group);
    put_bytes(&mut out, 1, b"\x0a\x16\x0a\x0cservice.name\x12\x06\x0a\x04shop");
    close(&mut out, group);
    let mut order = Order::default();
    walk_logs(&out, &mut order).unwrap();
    assert_eq!(order.0, ["resource shop", "scope lib", "log a", "log b"]);
}

#[test]
fn values_have_a_text_a_type_and_a_json_form() {
    for (value, char, text, json) in [
        (Value::Str("a\"\n\u{1}ü"), 's', "a\"\n\u{1}ü", r#""a\"\n\u0001ü""#),
        (Value::Int(-7), 'i', "-7", "-7"),
        (Value::Double(1.0), 'd', "1.0", "1.0"),
        (Value::Double(f64::NAN), 'd', "\"NaN\"", "\"NaN\""),
        (Value::Double(1e300), 'd', "1e300", "1e300"),
        (Value::Bool(true), 'b', "true", "true"),
        (Value::Bytes(&[0xff, 0xef]), 'y', "/+8=", r#""/+8=""#),
        (Value::Empty, 'j', "null", "null"),
        (
            Value::KvList(b"\x0a\x08\x0a\x01k\x12\x03\x0a\x01v\x0a\x00"),
            'j',
            r#"{"k":"v","":null}"#,
            r#"{"k":"v","":null}"#,
        ),
    ] {
        let (mut as_text, mut as_json) = (String::new(), String::new());
        value.write_text(&mut as_text);
        value.write_json(&mut as_json);
        assert_eq!((value.type_char(), as_text.as_str(), as_json.as_str()), (char, text, json));
        assert!(serde_json::from_str::<serde_json::Value>(&as_json).is_ok());
    }
}

/// A request with one number point: `time`, then what `more` writes; in a gauge, or in a sum of `temporality`.
fn number_with(time: u64, temporality: Option<u64>, more: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    let groups = [open(&mut out, 1), open(&mut out, 2), open(&mut out, 2)];
    let data = open(&mut out, if temporality.is_some() { 7 } else { 5 });
    let point = open(&mut out, 1);
    put_fixed64(&mut out, 3, time);
    more(&mut out);
    close(&mut out, point);
    if let Some(temporality) = temporality {
        put_number(&mut out, 2, temporality);
    }
    close(&mut out, data);
    groups.into_iter().rev().for_each(|start| close(&mut out, start));
    out
}

/// Scenario: items that say what cannot be. Guarantee: they are rejected, and the sender is told what is wrong.
#[test]
fn impossible_items_are_rejected_by_name() {
    const NOW: u64 = 1_800_000_000_000_000_000;
    const HOUR: u64 = 3_600_000_000_000;
    let limits = DecodeLimits::at(TimeBounds::on_arrival(UnixNanos(NOW), 3_600_000));
    let span = |start: u64, end: u64| {
        span_with(|out| {
            put_fixed64(out, 7, start);
            put_fixed64(out, 8, end);
        })
    };
    let log = |time: u64, observed: u64| {
        let mut out = Vec::new();
        let groups = [open(&mut out, 1), open(&mut out, 2), open(&mut out, 2)];
        put_fixed64(&mut out, 1, time);
        put_fixed64(&mut out, 11, observed);
        groups.into_iter().rev().for_each(|start| close(&mut out, start));
        out
    };
    let one = |out: &mut Vec<u8>| put_fixed64(out, 6, 1);
    for (signal, request, says) in [
        (Signal::Traces, span(NOW, NOW), None),
        (Signal::Traces, span(NOW - 30 * HOUR, NOW + HOUR), None),
        (Signal::Traces, span(NOW, NOW - 1), Some("ends before it starts")),
        (Signal::Traces, span(NOW / 1_000, NOW / 1_000), Some("before the year 2000")),
        (Signal::Traces, span(NOW, NOW + HOUR + 1), Some("max_future_ms")),
        (Signal::Logs, log(0, 0), None),
        (Signal::Logs, log(0, NOW), None),
        (Signal::Logs, log(1_800_000_000, NOW), Some("before the year 2000")),
        (Signal::Logs, log(0, NOW + HOUR + 1), Some("max_future_ms")),
        (Signal::Metrics, number_with(NOW, None, one), None),
        (Signal::Metrics, number_with(NOW, None, |_| ()), Some("without a value")),
        (Signal::Metrics, number_with(NOW, None, |out| put_number(out, 8, 1)), Some("no recorded value")),
        (
            Signal::Metrics,
            number_with(NOW, None, |out| {
                one(out);
                put_number(out, 8, 1)
            }),
            Some("no recorded value"),
        ),
        (Signal::Metrics, number_with(NOW, None, |out| put_fixed64(out, 4, f64::NAN.to_bits())), Some("not finite")),
        (
            Signal::Metrics,
            number_with(NOW, None, |out| put_fixed64(out, 4, f64::INFINITY.to_bits())),
            Some("not finite"),
        ),
        (Signal::Metrics, number_with(NOW, None, |out| put_fixed64(out, 4, 0.5_f64.to_bits())), None),
        (Signal::Metrics, number_with(NOW, Some(1), one), None),
        (Signal::Metrics, number_with(NOW, Some(2), one), None),
        (Signal::Metrics, number_with(NOW, Some(0), one), Some("aggregation temporality")),
        (Signal::Metrics, number_with(NOW + HOUR + 1, None, one), Some("max_future_ms")),
        (Signal::Metrics, number_with(1, None, one), Some("before the year 2000")),
    ] {
        let walked = check(signal, &request, &limits).unwrap();
        assert_eq!((walked.items, walked.rejected), (1, u64::from(says.is_some())), "{signal:?} {says:?}: {walked:?}");
        let reason = walked.reasons.first().unwrap_or_default();
        assert!(reason.contains(says.unwrap_or_default()), "{reason:?} does not say {says:?}");
    }
}
