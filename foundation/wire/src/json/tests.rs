use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use super::*;

/// Scenario: a request spells something wrong. Guarantees: the error names the path and what was expected.
#[test]
fn what_is_wrong_is_named() {
    let span = |span: &str| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{}},{span}]}}]}}]}}"#);
    let at = "resourceSpans[0].scopeSpans[0].spans[1]";
    for (json, expected) in [
        (
            r#"{"resource_spans":[]}"#.to_owned(),
            r#"the request: unknown key "resource_spans", expected "resourceSpans""#,
        ),
        (span(r#"{"trace_id":"00"}"#), r#"{at}: unknown key "trace_id", expected "traceId""#),
        (span(r#"{"traceID":"00"}"#), r#"{at}: unknown key "traceID", expected "traceId""#),
        (span(r#"{"colour":"red"}"#), r#"{at}: unknown key "colour", a Span has: traceId, spanId,"#),
        (span(r#"{"traceId":"xyz"}"#), r#"{at}.traceId: expected a string of hex digits, got "xyz""#),
        (
            span(r#"{"kind":"SPAN_KIND_SERVER"}"#),
            r#"{at}.kind: expected the number of an enumeration value, got the name "SPAN_KIND_SERVER": write 2"#,
        ),
        (
            span(r#"{"status":{"code":"ERROR"}}"#),
            r#"{at}.status.code: expected the number of an enumeration value, got the name "ERROR""#,
        ),
        (
            span(r#"{"startTimeUnixNano":"12x"}"#),
            r#"{at}.startTimeUnixNano: expected an integer or a string of decimal digits, got "12x""#,
        ),
        (span(r#"{"startTimeUnixNano":-1}"#), "{at}.startTimeUnixNano: -1 is out of range"),
        (span(r#"{"name":7}"#), "{at}.name: expected a string, got 7"),
        (span(r#"{"attributes":{}}"#), "{at}.attributes: a list"),
        (
            span(r#"{"attributes":[{"key":"k","value":"plain"}]}"#),
            r#"{at}.attributes[0].value: expected an object, got "plain""#,
        ),
        (
            span(r#"{"attributes":[{"key":"k","value":{"stringValue":"a","intValue":1}}]}"#),
            r#"{at}.attributes[0].value.intValue: "stringValue" is set as well"#,
        ),
        (span(r#"{"name":"a","name":"b"}"#), "{at}.name: the key occurs twice"),
        (span(r#"null"#), "{at}: expected an object, got null"),
        ("[]".to_owned(), "the request: a JSON object (ExportTraceServiceRequest)"),
        ("".to_owned(), "EOF"),
        ("{} {}".to_owned(), "trailing characters"),
    ] {
        let refusal = to_protobuf(Signal::Traces, json.as_bytes(), 1 << 20).unwrap_err();
        let expected = expected.replace("{at}", at);
        assert_eq!(refusal.reason, "malformed");
        assert!(refusal.message.contains(&expected), "{json}\n  said: {}\n  expected: {expected}", refusal.message);
    }
}

#[test]
fn every_spelling_that_the_protocol_allows_is_understood() {
    let json = br#"{"resourceSpans":[{"resource":null,"scopeSpans":[{"scope":{},"spans":[{
        "traceId":"0AF7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","kind":2,"flags":257,
        "startTimeUnixNano":"1544712660000000000","endTimeUnixNano":1544712661000000000,
        "attributes":[{"key":"i","value":{"intValue":"-3"}},{"key":"d","value":{"doubleValue":"NaN"}},
          {"key":"n","value":null},{"key":"b","value":{"bytesValue":"/+8="}},{"key":"e","value":{}},
          {"key":"z","value":{"arrayValue":{}}},{"key":"f","value":{"boolValue":false}}],
        "status":{"code":2,"message":"broken"}}]}]}]}"#;
    let request = ExportTraceServiceRequest::decode(&*to_protobuf(Signal::Traces, json, 1 << 20).unwrap()).unwrap();
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!((span.trace_id[0], span.kind, span.flags), (0x0a, 2, 257));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (1544712660000000000, 1544712661000000000));
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, any_value::Value};
    let value = |i: usize| span.attributes[i].value.clone().and_then(|value| value.value);
    assert_eq!(value(0), Some(Value::IntValue(-3)));
    assert!(matches!(value(1), Some(Value::DoubleValue(number)) if number.is_nan()));
    assert_eq!((span.attributes[2].value.is_none(), value(3)), (true, Some(Value::BytesValue(vec![0xff, 0xef]))));
    assert_eq!((value(4), value(5)), (None, Some(Value::ArrayValue(ArrayValue::default()))));
    assert_eq!(value(6), Some(Value::BoolValue(false)));
}

/// Scenario: short JSON becomes long protobuf. Guarantees: the cap holds.
#[test]
fn what_is_written_is_capped() {
    let counts = "1,".repeat(100_000) + "1";
    let point = format!(r#"{{"bucketCounts":[{counts}]}}"#);
    let json = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"histogram":{{"dataPoints":[{point}]}}}}]}}]}}]}}"#
    );
    assert_eq!(to_protobuf(Signal::Metrics, json.as_bytes(), 300_000).unwrap_err().reason, "too_large");
    assert!(to_protobuf(Signal::Metrics, json.as_bytes(), 1 << 20).is_ok());
}

#[test]
fn deep_nesting_is_an_error_not_a_stack_overflow() {
    let json = r#"{"arrayValue":{"values":["#.repeat(100_000);
    let json = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{json}"#);
    assert!(to_protobuf(Signal::Logs, json.as_bytes(), 1 << 20).unwrap_err().message.contains("recursion limit"));
}
