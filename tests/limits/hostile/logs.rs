//! Log records that are not what anybody expects.

use daymark_tests::Ask;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValueList, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::{BROKEN, KEYS, LONG, NASTY, Sender, Verdict, attribute, clashing, escaped, keys, nested, now, text, value};

const EARLY: u64 = 1_000_000_000;
const LATE: u64 = 7_258_118_400_000_000_000;

fn record(body: &str, change: impl FnOnce(&mut LogRecord)) -> LogRecord {
    let mut record = LogRecord {
        time_unix_nano: now(),
        severity_number: 9,
        body: value(Value::StringValue(body.to_owned())),
        ..LogRecord::default()
    };
    change(&mut record);
    record
}

/// 200 KB in words, with one at the end that nothing else has.
fn long_line() -> String {
    format!("{} needleattheend", "word ".repeat(LONG / 5))
}

fn cases() -> Vec<(LogRecord, Verdict)> {
    let with = |body: &str, attributes: Vec<_>| record(body, |record| record.attributes = attributes);
    let ids = |trace: usize, span: usize| {
        record("ids of a wrong length", |record| (record.trace_id, record.span_id) = (vec![1; trace], vec![2; span]))
    };
    let at = |time: u64, observed: u64| {
        record("time", |record| (record.time_unix_nano, record.observed_time_unix_nano) = (time, observed))
    };
    let object = Value::KvlistValue(KeyValueList { values: vec![text(NASTY, "inside"), text("", "")] });
    let utf8 = Some("not valid UTF-8");
    vec![
        (record("good among hostile", |_| ()), None),
        (record(&long_line(), |_| ()), None),
        (record(&"x".repeat(LONG), |_| ()), None),
        (record(NASTY, |record| record.severity_text = NASTY.into()), None),
        (record("", |_| ()), None),
        (with("ten thousand keys", keys(KEYS)), None),
        (with("seventy thousand keys", keys(70_000)), Some("too many attributes")),
        (with("one key of every type", clashing("clash")), None),
        (with("nested too deep", vec![attribute("deep", nested(31))]), Some("more than 30 levels")),
        (record("replaced", |record| record.body = value(object.clone())), None),
        (record("replaced", |record| record.body = value(nested(30))), None),
        (record("replaced", |record| record.body = value(nested(31))), Some("more than 30 levels")),
        (record("replaced", |record| record.body = value(Value::BytesValue(vec![0xff; 100]))), None),
        (record("replaced", |record| record.body = Some(AnyValue::default())), None),
        (record(BROKEN, |_| ()), utf8),
        (with("broken value", vec![text("key", BROKEN)]), utf8),
        // OTLP: a record with an id that is not valid belongs to no trace.
        (ids(8, 4), None),
        (ids(15, 9), None),
        (ids(17, 0), None),
        (ids(32, 16), None),
        (at(EARLY, 0), Some("before the year 2000")),
        (at(LATE, 0), Some("max_future_ms")),
        (at(0, LATE), Some("max_future_ms")),
        (at(u64::MAX, 0), Some("after the year 2262")),
        (record("severity", |record| record.severity_number = 1_000), None),
        (record("severity", |record| record.severity_number = -1), None),
        (LogRecord::default(), None),
    ]
}

pub(super) async fn send(sender: &Sender) -> u64 {
    let (log_records, verdicts): (Vec<LogRecord>, Vec<Verdict>) = cases().into_iter().unzip();
    let logs = ResourceLogs {
        resource: Some(Resource { attributes: vec![text("service.name", NASTY)], ..Resource::default() }),
        scope_logs: vec![ScopeLogs::default(), ScopeLogs { log_records, ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    };
    let request = ExportLogsServiceRequest { resource_logs: vec![ResourceLogs::default(), logs] };
    let empty = ExportLogsServiceRequest::default();
    sender.judged("logs", &[], empty.encode_to_vec()).await
        + sender.judged("logs", &verdicts, request.encode_to_vec()).await
}

pub(super) async fn found(ask: &Ask) {
    let stored = cases().iter().filter(|(_, verdict)| verdict.is_none()).count() as u64;
    assert_eq!(ask.sql_count("select count(*) from logs").await, stored);
    for (body, count) in
        [("good among hostile", 1), (NASTY, 1), ("ids of a wrong length", 4), ("severity", 2), ("null", 2)]
    {
        let bodies = super::column(ask, "select body from logs").await;
        assert_eq!(bodies.iter().filter(|stored| *stored == body).count(), count, "{body:?}");
    }
    let without =
        "select count(*) from logs where body = 'ids of a wrong length' and trace_id is null and span_id is null";
    assert_eq!(ask.sql_count(without).await, 4);
    for (query, length) in [("needleattheend", long_line().len()), ("good", "good among hostile".len())] {
        let found = ask.get(&format!("/api/v1/logs?query={query}")).await;
        let bodies: Vec<&str> =
            found["logs"].as_array().unwrap().iter().map(|log| log["body"].as_str().unwrap()).collect();
        assert_eq!(bodies.iter().map(|body| body.len()).collect::<Vec<_>>(), [length], "{query}");
    }
    assert_eq!(ask.sql_count("select count(*) from logs where match(body, 'needleattheend')").await, 1);
    assert_eq!(ask.sql_count("select max(length(body)) from logs").await, long_line().len() as u64);
    let value = super::column(ask, "select attributes['key.9999'] from logs where body = 'ten thousand keys'").await;
    assert_eq!(value, ["value 9999"]);
    let all = ask.get("/api/v1/logs?limit=100").await;
    assert_eq!(all["logs"].as_array().unwrap().len() as u64, stored);
    let of_service = ask.get(&format!("/api/v1/logs?limit=100&service={}", escaped(NASTY))).await;
    assert_eq!(of_service["logs"].as_array().unwrap().len() as u64, stored);
    for query in ["select attributes, resource_attributes from logs", "select severity, count(*) from logs group by 1"]
    {
        assert!(!ask.sql(query).await.is_empty(), "{query}");
    }
}
