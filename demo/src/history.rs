//! Seeded healthy history: the same orders as the live traffic, hours ago, sent over OTLP/HTTP with past timestamps.

use std::time::Duration;

use anyhow::Context as _;
use daymark_model::UnixNanos;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::oracle::Outcome;
use crate::shop::{SHOP, ServiceSpec, spec};
use crate::traffic::{ORDERS_PER_SECOND, Outcomes};

/// Six hours for the longest page window, and a little more for its coverage rule.
pub(crate) const HISTORY_S: u64 = 6 * 3_600 + 600;
const ORDERS_PER_REQUEST: u64 = 200;
const SEND_ATTEMPTS: u32 = 60;

const KIND_SERVER: i32 = 2;

/// Sends the history that ends at `end`; counts its orders as good. Answers how many spans were acknowledged.
///
/// # Errors
/// When the agent refuses a request for good or does not answer within a minute.
pub(crate) async fn send(otlp_http: &str, end: UnixNanos, outcomes: &Outcomes) -> anyhow::Result<u64> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(15)).build()?;
    let mut random = StdRng::seed_from_u64(7);
    let interval_ns = 1_000_000_000 / ORDERS_PER_SECOND;
    let mut at = end.minus(HISTORY_S * 1_000_000_000);
    let mut spans = 0;
    while at < end {
        let mut by_service = SHOP.each_ref().map(|spec| (spec.name, Vec::new()));
        for _ in 0..ORDERS_PER_REQUEST {
            if at >= end {
                break;
            }
            spans += order(&mut random, at, &mut by_service);
            outcomes.push(Outcome { at, bad: false });
            at = at.plus(interval_ns);
        }
        post(&client, otlp_http, request(by_service)).await?;
    }
    Ok(spans)
}

async fn post(client: &reqwest::Client, otlp_http: &str, request: ExportTraceServiceRequest) -> anyhow::Result<()> {
    let body = request.encode_to_vec();
    for _ in 0..SEND_ATTEMPTS {
        let sent = client
            .post(format!("{otlp_http}/v1/traces"))
            .header("content-type", "application/x-protobuf")
            .body(body.clone())
            .send()
            .await;
        match sent {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) if answer.status().is_client_error() && answer.status().as_u16() != 429 => {
                anyhow::bail!("the agent refused the history: {}", answer.text().await.unwrap_or_default());
            }
            _ => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
    anyhow::bail!("the agent at {otlp_http} did not take the history within a minute")
}

fn request(by_service: [(&'static str, Vec<Span>); 6]) -> ExportTraceServiceRequest {
    let resource_spans = by_service.into_iter().map(|(name, spans)| ResourceSpans {
        resource: Some(Resource { attributes: vec![text("service.name", name)], ..Resource::default() }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope { name: "shop".into(), ..InstrumentationScope::default() }),
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

/// One order: a server span for each service, nested as the live calls are.
fn order(random: &mut StdRng, at: UnixNanos, by_service: &mut [(&'static str, Vec<Span>); 6]) -> u64 {
    let trace_id: [u8; 16] = random.random();
    let frontend = spec("frontend").context("frontend").map_or(&SHOP[0], |spec| spec);
    visit(random, &trace_id, &[], frontend, at, by_service).1
}

/// Adds the span of `service` and of all it calls; answers when it ended and how many spans were added.
fn visit(
    random: &mut StdRng,
    trace_id: &[u8],
    parent: &[u8],
    service: &ServiceSpec,
    start: UnixNanos,
    by_service: &mut [(&'static str, Vec<Span>); 6],
) -> (UnixNanos, u64) {
    let span_id: [u8; 8] = random.random();
    let jitter_ns = random.random_range(0..2_000_000);
    let mut end = start.plus(service.work_ms * 1_000_000 + jitter_ns);
    let mut count = 1;
    for callee in service.calls.iter().filter_map(|name| spec(name)) {
        let (ended, spans) = visit(random, trace_id, &span_id, callee, end.plus(400_000), by_service);
        end = ended.plus(400_000);
        count += spans;
    }
    let span = Span {
        trace_id: trace_id.to_vec(),
        span_id: span_id.to_vec(),
        parent_span_id: parent.to_vec(),
        name: format!("POST {}", service.route),
        kind: KIND_SERVER,
        start_time_unix_nano: start.0,
        end_time_unix_nano: end.0,
        attributes: vec![
            text("http.request.method", "POST"),
            text("http.route", service.route),
            KeyValue {
                key: "http.response.status_code".into(),
                value: Some(AnyValue { value: Some(Value::IntValue(200)) }),
                ..KeyValue::default()
            },
        ],
        ..Span::default()
    };
    if let Some((_, spans)) = by_service.iter_mut().find(|(name, _)| *name == service.name) {
        spans.push(span);
    }
    (end, count)
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.into())) }),
        ..KeyValue::default()
    }
}
