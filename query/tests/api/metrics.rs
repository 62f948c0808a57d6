//! Lists and ranges of metrics.

use serde_json::{Value, json};

use crate::app::{app, get, texts};
use crate::fixture::{START_S, TRACE_A, fixture};

#[tokio::test]
async fn metrics_are_listed_with_what_one_can_group_by() {
    let app = app(&fixture().await);
    let answer = get(&app, "/metrics").await;
    assert_eq!(texts(&answer["metrics"], "name"), ["http.size", "traces.span.metrics.duration"]);
    assert_eq!(answer["metrics"][1]["attribute_keys"], json!(["span.name", "status.code"]));
    assert_eq!(answer["metrics"][1]["services"], json!(["frontend"]));
}

#[tokio::test]
async fn metric_ranges_are_exact_in_both_resolutions() {
    let app = app(&fixture().await);
    let minute = START_S - START_S % 60;
    let range = format!("/metrics/range?metric=traces.span.metrics.duration&start={minute}&end={}", minute + 60);
    for (step, resolution) in [("10", "10s"), ("60", "1m")] {
        for (function, expected) in
            [("count", None), ("rate", Some(1.0)), ("error_ratio", Some(0.1)), ("min", Some(1e6)), ("max", Some(9e6))]
        {
            let answer = get(&app, &format!("{range}&fn={function}&step={step}")).await;
            assert_eq!(answer["resolution"], resolution);
            let steps: f64 = step.parse().unwrap();
            let expected = expected.unwrap_or(steps);
            for point in answer["series"][0]["points"].as_array().unwrap() {
                assert_eq!(point[1].as_f64(), Some(expected), "{function} in steps of {step} s");
            }
        }
        let answer = get(&app, &format!("{range}&fn=p50&step={step}")).await;
        let p50 = answer["series"][0]["points"][0][1].as_f64().unwrap();
        assert!((p50 / 1e6 - 1.0).abs() <= 0.0040, "{p50}");
        assert_eq!(answer["series"][0]["bucket_bound"], "hdr 0.39 %");
        assert_eq!(answer["series"][0]["exemplars"][0]["trace_id"], TRACE_A);
    }
    let grouped = get(&app, &format!("{range}&fn=count&step=60&group_by=status.code&group_by=service")).await;
    assert_eq!(
        grouped["series"].as_array().unwrap().iter().map(|line| &line["labels"]["status.code"]).collect::<Vec<_>>(),
        ["error", "ok"]
    );
    let one = get(&app, &format!("{range}&fn=count&step=60&attribute=status.code=error")).await;
    assert_eq!(one["series"][0]["points"][0][1], 6.0);
}

#[tokio::test]
async fn explicit_buckets_are_labelled_and_their_quantile_lies_in_its_bucket() {
    let app = app(&fixture().await);
    let minute = START_S - START_S % 60;
    let path = format!("/metrics/range?metric=http.size&fn=p90&step=60&start={minute}&end={}", minute + 60);
    let answer = get(&app, &path).await;
    assert_eq!(answer["series"][0]["bucket_bound"], "explicit");
    let p90 = answer["series"][0]["points"][0][1].as_f64().unwrap();
    assert!((10.0..=20.0).contains(&p90), "{p90}");
}

#[tokio::test]
async fn a_metric_nobody_sent_is_told_from_one_without_matches() {
    let app = app(&fixture().await);
    let unknown = get(&app, "/metrics/range?metric=http.sise").await;
    assert_eq!(unknown["series"], json!([]));
    let warnings = &unknown["receipt"]["warnings"];
    assert_eq!(*warnings, json!(["no metric named \"http.sise\" in this range; similar: http.size"]));
    let filtered = get(&app, "/metrics/range?metric=http.size&attribute=a=b").await;
    assert_eq!((&filtered["series"], &filtered["receipt"]["warnings"]), (&json!([]), &Value::Null));
}
