//! The webhook: Alertmanager's JSON, version 4, so that every receiver made for it works with Daymark.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use daymark_model::{TraceId, UnixNanos};
use serde_json::{Map, Value, json};

use crate::definition::{Receiver, Slo, Tier};
use crate::duration::format_seconds;
use crate::error::AlertsError;
use crate::incident::Incident;
use crate::load::is_absolute_url;
use crate::notification::{Draft, Notification, Status};

/// Alertmanager's "not ended".
const NO_END: &str = "0001-01-01T00:00:00Z";

/// Why a receiver did not take a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undelivered {
    pub(crate) http_status: Option<u16>,
    pub(crate) error: String,
    /// Whether another attempt can help.
    pub(crate) retry: bool,
    pub(crate) retry_after_ms: Option<u64>,
}

/// The HTTP side of a webhook.
#[derive(Clone, Debug)]
pub(crate) struct WebhookClient(reqwest::Client);

impl WebhookClient {
    /// A client whose every call ends within `timeout_ms`.
    pub(crate) fn new(timeout_ms: u64) -> Result<WebhookClient, AlertsError> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_millis(timeout_ms))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("daymark")
            .build();
        client.map(WebhookClient).map_err(|error| AlertsError::Client(error.to_string()))
    }

    /// One attempt; the answer's status.
    pub(crate) async fn send(&self, url: &str, notification: &Notification) -> Result<u16, Undelivered> {
        let key = notification.idempotency_key();
        let sent = self.0.post(url).header("idempotency-key", key).json(&notification.body).send().await;
        let answer = sent.map_err(|error| Undelivered {
            http_status: None,
            // The URL may hold a secret token: it stays out of the history.
            error: error.without_url().to_string(),
            retry: true,
            retry_after_ms: None,
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(status.as_u16());
        }
        let retry_after_s =
            answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        Err(Undelivered {
            http_status: Some(status.as_u16()),
            error: format!("the receiver answered {status}"),
            retry: status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429),
            retry_after_ms: retry_after_s.map(|seconds| seconds.min(3_600) * 1_000),
        })
    }
}

/// What a notification is about.
pub(crate) struct Subject<'a> {
    pub(crate) slo: &'a Slo,
    pub(crate) incident: &'a Incident,
    pub(crate) draft: Draft,
    pub(crate) example: Option<TraceId>,
    pub(crate) external_url: &'a str,
    pub(crate) at: UnixNanos,
}

/// The JSON for one receiver.
pub(crate) fn body(subject: &Subject<'_>, receiver: &Receiver) -> Value {
    let labels = labels(subject);
    let annotations = annotations(subject);
    let Subject { slo, incident, draft, external_url, .. } = subject;
    let group = json!({ "slo": slo.id.as_str(), "service": slo.service });
    let status = draft.status.as_str();
    let ends_at = match draft.status {
        Status::Firing => NO_END.to_owned(),
        Status::Resolved => rfc3339(subject.at),
    };
    json!({
        "version": "4",
        "groupKey": format!("daymark/{}/{}", slo.id, slo.service),
        "truncatedAlerts": 0,
        "status": status,
        "receiver": receiver.name,
        "routeLabels": { "severity": draft.severity },
        "groupLabels": group,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "notification_reason": draft.reason,
        "externalURL": external_url,
        "alerts": [{
            "status": status,
            "labels": labels,
            "annotations": annotations,
            "startsAt": rfc3339(incident.opened_at.start()),
            "endsAt": ends_at,
            "generatorURL": format!("{external_url}/slos/{}", slo.id),
            "fingerprint": fingerprint(&labels),
        }],
    })
}

/// What identifies the alert: the same from its start to its end, whatever tiers join in between.
fn labels(subject: &Subject<'_>) -> Map<String, Value> {
    let Subject { slo, draft, .. } = subject;
    let label = |name: &str, value: &str| (name.to_owned(), Value::from(value));
    Map::from_iter([
        label("alertname", "SloBurn"),
        label("owner", &slo.owner),
        label("service", &slo.service),
        label("severity", draft.severity.as_str()),
        label("slo", slo.id.as_str()),
    ])
}

fn annotations(subject: &Subject<'_>) -> Map<String, Value> {
    let Subject { slo, incident, example, external_url, .. } = subject;
    let mut all = Map::new();
    let mut note = |name: &str, value: String| all.insert(name.to_owned(), Value::from(value));
    note("summary", summary(slo, incident));
    note("description", slo.description.clone());
    note("incident_id", incident.id.0.clone());
    note("incident_url", format!("{external_url}/incidents/{}", incident.id.0));
    note("tiers", firing_tiers(incident).join(", "));
    if let Some(runbook) = &slo.runbook {
        note("runbook_url", runbook.clone());
    }
    if let Some(dashboard) = &slo.dashboard {
        note("dashboard_url", dashboard_url(dashboard, external_url));
    }
    if let Some(trace) = example {
        note("trace_id", trace.to_string());
        note("trace_url", format!("{external_url}/traces/{trace}"));
    }
    all
}

/// Names of the tiers that fire now.
fn firing_tiers(incident: &Incident) -> Vec<&str> {
    let firing = incident.firings.iter().filter(|firing| firing.resolved_at.is_none());
    firing.map(|firing| firing.tier.as_str()).collect()
}

/// Where a dashboard reference leads.
pub(crate) fn dashboard_url(dashboard: &str, external_url: &str) -> String {
    if is_absolute_url(dashboard) { dashboard.to_owned() } else { format!("{external_url}/dashboards/{dashboard}") }
}

/// What users feel, and how fast it spends the budget, in one sentence.
pub(crate) fn summary(slo: &Slo, incident: &Incident) -> String {
    let tier = |name: &str| slo.policy.tiers.iter().find(|tier| tier.name == name);
    let worst: Option<&Tier> = incident.worst.as_ref().and_then(|(_, name)| tier(name));
    let speed = worst.map_or(String::new(), |tier| {
        let (long, short) = (format_seconds(tier.long_s), format_seconds(tier.short_s));
        format!(" more than {}x too fast over {long} and {short}", tier.factor)
    });
    let state = if incident.is_resolved() { "no longer burns its error budget" } else { "burns its error budget" };
    format!("{}: {} {state}{speed}", slo.id, slo.service)
}

/// Alertmanager's fingerprint: FNV-1a over the sorted labels.
fn fingerprint(labels: &Map<String, Value>) -> String {
    let separated = labels.iter().flat_map(|(name, value)| [name.as_str(), value.as_str().unwrap_or_default()]);
    let bytes = separated.flat_map(|text| text.bytes().chain([0xff]));
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// RFC 3339, UTC, milliseconds.
pub(crate) fn rfc3339(at: UnixNanos) -> String {
    let nanos = i64::try_from(at.0).unwrap_or(i64::MAX);
    DateTime::from_timestamp_nanos(nanos).to_rfc3339_opts(SecondsFormat::Millis, true)
}
