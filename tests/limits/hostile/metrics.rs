//! Data points that are not what anybody expects.

use daymark_tests::Ask;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::{BROKEN, KEYS, NASTY, Sender, Verdict, attribute, clashing, escaped, keys, nested, now, text};

const EARLY: u64 = 1_000_000_000;
const LATE: u64 = 7_258_118_400_000_000_000;

fn number(value: Number) -> NumberDataPoint {
    NumberDataPoint { time_unix_nano: now(), value: Some(value), ..NumberDataPoint::default() }
}

fn gauge(name: &str, point: NumberDataPoint) -> Metric {
    Metric { name: name.into(), data: Some(Data::Gauge(Gauge { data_points: vec![point] })), ..Metric::default() }
}

fn with(name: &str, attributes: Vec<KeyValue>) -> Metric {
    gauge(name, NumberDataPoint { attributes, ..number(Number::AsInt(1)) })
}

fn at(time_unix_nano: u64) -> Metric {
    gauge("time", NumberDataPoint { time_unix_nano, ..number(Number::AsInt(1)) })
}

fn counter(name: &str, value: Number) -> Metric {
    let sum = Sum { data_points: vec![number(value)], aggregation_temporality: 1, is_monotonic: true };
    Metric { name: name.into(), data: Some(Data::Sum(sum)), ..Metric::default() }
}

fn histogram(count: u64, bucket_counts: Vec<u64>, explicit_bounds: Vec<f64>, sum: f64) -> Metric {
    let point = HistogramDataPoint {
        time_unix_nano: now(),
        count,
        sum: Some(sum),
        bucket_counts,
        explicit_bounds,
        ..HistogramDataPoint::default()
    };
    let data = Histogram { data_points: vec![point], aggregation_temporality: 1 };
    Metric { name: "sizes".into(), data: Some(Data::Histogram(data)), ..Metric::default() }
}

fn exponential(scale: i32, offset: i32, bucket_counts: Vec<u64>, count: u64) -> Metric {
    let point = ExponentialHistogramDataPoint {
        time_unix_nano: now(),
        count,
        scale,
        positive: Some(Buckets { offset, bucket_counts }),
        ..ExponentialHistogramDataPoint::default()
    };
    let data = ExponentialHistogram { data_points: vec![point], aggregation_temporality: 1 };
    Metric { name: format!("scale {scale}"), data: Some(Data::ExponentialHistogram(data)), ..Metric::default() }
}

fn odd_values() -> Vec<(Metric, Verdict)> {
    let (finite, sum) = (Some("value that is not finite"), Some("sum that is not finite"));
    vec![
        (counter("good", Number::AsInt(3)), None),
        (counter("good", Number::AsDouble(f64::NAN)), finite),
        (counter("good", Number::AsDouble(f64::INFINITY)), finite),
        (gauge("level", number(Number::AsDouble(f64::NEG_INFINITY))), finite),
        (counter("negative", Number::AsInt(-5)), None),
        (gauge("largest", number(Number::AsDouble(f64::MAX))), None),
        (gauge("smallest", number(Number::AsInt(i64::MIN))), None),
        // -1 in a field for counts.
        (histogram(u64::MAX, vec![u64::MAX, 0], vec![1.0], 1.0), Some("count beyond 2^63 - 1")),
        (histogram(5, vec![u64::MAX, u64::MAX], vec![1.0], 1.0), Some("sum of its buckets")),
        (histogram(3, vec![1, 2], vec![1.0], f64::NAN), sum),
        (histogram(3, vec![1, 2], vec![f64::NAN], 1.0), Some("bounds do not increase")),
        (histogram(3, vec![1, 2, 0], vec![1.0], 1.0), Some("do not fit its bounds")),
        (histogram(3, vec![1, 2], vec![1.0], 1.5), None),
        (exponential(20, i32::MAX, vec![1], 1), None),
        (exponential(-10, i32::MIN, vec![1], 1), None),
        (exponential(i32::MAX, 0, vec![1, 1], 2), None),
        (exponential(3, 0, vec![u64::MAX / 2], u64::MAX / 2), None),
    ]
}

fn odd_names() -> Vec<(Metric, Verdict)> {
    let utf8 = Some("not valid UTF-8");
    vec![
        (counter("good", Number::AsInt(4)), None),
        (with(NASTY, vec![text(NASTY, NASTY)]), None),
        (with("", vec![]), None),
        (with(&"m".repeat(10 << 10), vec![]), None),
        (with(BROKEN, vec![]), utf8),
        (with("broken key", vec![text(BROKEN, "x")]), utf8),
        (with("keys", keys(KEYS)), None),
        (with("too many keys", keys(70_000)), Some("too many attributes")),
        (with("clash", clashing("clash")), None),
        (with("nested", vec![attribute("deep", nested(31))]), Some("more than 30 levels")),
        (at(EARLY), Some("before the year 2000")),
        (at(LATE), Some("max_future_ms")),
        (at(0), Some("valid time")),
        (gauge("none", NumberDataPoint { value: None, ..number(Number::AsInt(1)) }), Some("without a value")),
        (gauge("empty", NumberDataPoint::default()), Some("without a value")),
    ]
}

/// A series a key.
fn many_keys() -> Vec<(Metric, Verdict)> {
    (0..KEYS / 10).map(|n| (with("own keys", vec![text(&format!("own.{n}"), "x")]), None)).collect()
}

fn request(metrics: Vec<Metric>) -> Vec<u8> {
    let resource = Some(Resource { attributes: vec![text("service.name", NASTY)], ..Resource::default() });
    let scope_metrics = vec![ScopeMetrics::default(), ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let good = ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics::default(), good] }.encode_to_vec()
}

pub(super) async fn send(sender: &Sender) -> u64 {
    // A metric without data has no points.
    let mut rejected = sender.judged("metrics", &[], request(vec![Metric::default()])).await;
    for cases in [odd_values(), odd_names(), many_keys()] {
        let (metrics, verdicts): (Vec<Metric>, Vec<Verdict>) = cases.into_iter().unzip();
        rejected += sender.judged("metrics", &verdicts, request(metrics)).await;
    }
    rejected
}

pub(super) async fn found(ask: &Ask) {
    let cases = [odd_values(), odd_names(), many_keys()].concat();
    let mut names: Vec<String> =
        cases.into_iter().filter(|(_, verdict)| verdict.is_none()).map(|(metric, _)| metric.name).collect();
    names.sort();
    names.dedup();
    let ours = "not starts_with(metric, 'traces.span.')";
    for table in ["metrics_10s", "metrics_1m", "metrics_1h", "metrics_1d"] {
        assert_eq!(
            super::column(ask, &format!("select distinct metric from {table} where {ours}")).await,
            names,
            "{table}"
        );
        let sum = format!("select sum(sum) from {table} where metric = 'good'");
        assert_eq!(ask.sql_count(&sum).await, 7, "{table}: what is not finite spoils no sum");
    }
    let listed = ask.get("/api/v1/metrics").await.to_string();
    for name in names.iter().filter(|name| !name.is_empty()) {
        assert!(listed.contains(&serde_json::to_string(name).unwrap()), "{name:?} is not listed");
        let url = format!("/api/v1/metrics/range?metric={}&step=60", escaped(name));
        if name.len() < 1_000 {
            let answer = ask.get(&url).await;
            assert!(!answer["series"].as_array().unwrap().is_empty(), "{name:?}: {answer}");
        }
    }
    let own = ask.sql_count("select count(distinct series_id) from metrics_10s where metric = 'own keys'").await;
    assert_eq!(own, KEYS as u64 / 10);
    for path in ["labels", "series?metric=clash", "cardinality"] {
        ask.get(&format!("/api/v1/metrics/{path}")).await;
    }
    for query in ["select * from series", "select metric, max(max), min(min) from metrics_10s group by 1"] {
        assert!(!ask.sql(query).await.is_empty(), "{query}");
    }
}
