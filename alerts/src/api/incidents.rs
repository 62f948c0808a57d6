//! Incidents: what burns or burned, who was told, and what happened when.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State as Handler};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{instant, not_found, receipt_of, refused};
use crate::incident::{Firing, Incident, IncidentEvent, IncidentId};
use crate::journal::{Attempt, Record};
use crate::service::{AlertsOptions, Shared};
use crate::sli::Slot;
use crate::state::{State, Tracked};
use crate::webhook::{rfc3339, summary};

/// Most incidents in one answer, newest first.
const MAX_LISTED: usize = 500;

#[derive(Deserialize)]
pub(super) struct Filter {
    state: Option<String>,
}

pub(super) async fn list(Handler(shared): Handler<Arc<Shared>>, Query(filter): Query<Filter>) -> Response {
    let resolved = match filter.state.as_deref() {
        None => None,
        Some("open") => Some(false),
        Some("resolved") => Some(true),
        Some(_) => {
            let message = "state must be open or resolved".to_owned();
            return refused(StatusCode::BAD_REQUEST, "reject", message);
        }
    };
    let state = shared.recorder.state();
    let wanted = |incident: &&Incident| resolved.is_none_or(|resolved| incident.is_resolved() == resolved);
    let mut incidents: Vec<&Incident> = state.incidents.iter().filter(wanted).collect();
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.opened_at));
    let cut = incidents.len().saturating_sub(MAX_LISTED);
    let missing = (cut > 0).then(|| format!("{cut} older incidents are not listed")).into_iter().collect();
    let listed = incidents.into_iter().take(MAX_LISTED).map(|i| incident_json(&shared.options, &state, i));
    Json(json!({ "incidents": listed.collect::<Vec<_>>(), "receipt": receipt_of(missing) })).into_response()
}

pub(super) async fn detail(Handler(shared): Handler<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let state = shared.recorder.state();
    match state.incidents.get(&IncidentId(id.clone())) {
        Some(incident) => Json(incident_json(&shared.options, &state, incident)).into_response(),
        None => not_found("incident", &id),
    }
}

pub(super) async fn acknowledge(Handler(shared): Handler<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let id = IncidentId(id);
    let known = shared.recorder.state().incidents.get(&id).map(|incident| incident.acknowledged_at.is_some());
    let Some(acknowledged) = known else { return not_found("incident", &id.0) };
    if !acknowledged {
        let event = IncidentEvent::Acknowledged { at: shared.clock.now() };
        let record = Record::Incident { incident: id.clone(), event };
        if let Err(error) = shared.recorder.clone().record(vec![record]).await {
            return refused(StatusCode::SERVICE_UNAVAILABLE, "retry", error.to_string());
        }
    }
    detail(Handler(shared), Path(id.0)).await
}

/// An incident with its notifications and timeline.
pub(super) fn incident_json(options: &AlertsOptions, state: &State, incident: &Incident) -> Value {
    let slo = options.definitions.slo(incident.slo.as_str());
    let worst = incident.worst.as_ref();
    let notifications: Vec<&Tracked> = state.notifications_of(&incident.id).collect();
    let time = |at: Option<Slot>| instant(at.map(Slot::start));
    json!({
        "id": incident.id, "slo": incident.slo, "service": incident.service,
        "state": if incident.is_resolved() { "resolved" } else { "open" },
        "severity": incident.severity().or(worst.map(|(severity, _)| *severity)),
        "tier": worst.map(|(_, tier)| tier),
        "opened_at": time(Some(incident.opened_at)), "escalated_at": time(incident.escalated_at),
        "resolved_at": time(incident.resolved_at), "acknowledged_at": instant(incident.acknowledged_at),
        "summary": slo.map_or_else(|| incident.slo.to_string(), |slo| summary(slo, incident)),
        "runbook": slo.and_then(|slo| slo.runbook.as_ref()),
        "dashboard": slo.and_then(|slo| slo.dashboard.as_ref()),
        "example_trace_id": example_trace(state, incident, &notifications),
        "tiers": incident.firings.iter().map(firing_json).collect::<Vec<_>>(),
        "notifications": notifications.iter().map(|tracked| notification_json(tracked)).collect::<Vec<_>>(),
        "timeline": incident.timeline.iter().map(|entry| json!({ "at": rfc3339(entry.at), "what": entry.what }))
            .collect::<Vec<_>>(),
    })
}

/// The trace that the first notification linked, so that page and UI show the same one; else the newest known.
fn example_trace(state: &State, incident: &Incident, notifications: &[&Tracked]) -> Value {
    let told = notifications.iter().map(|t| &t.notification.body["commonAnnotations"]["trace_id"]);
    let newest = || {
        let latest = state.latest.get(&incident.slo).filter(|_| !incident.is_resolved())?;
        latest.examples.first().map(|(_, trace)| Value::from(trace.to_string()))
    };
    told.into_iter().find(|trace| trace.is_string()).cloned().or_else(newest).unwrap_or(Value::Null)
}

fn firing_json(firing: &Firing) -> Value {
    json!({
        "tier": firing.tier, "severity": firing.severity,
        "fired_at": rfc3339(firing.fired_at.start()), "resolved_at": instant(firing.resolved_at.map(Slot::start)),
    })
}

fn notification_json(tracked: &Tracked) -> Value {
    let delivery = match tracked.ended {
        None if tracked.attempts == 0 => "queued",
        None | Some(Attempt::Failed) => "retrying",
        Some(Attempt::Delivered) => "delivered",
        Some(Attempt::Dead) => "dead_letter",
    };
    let notification = &tracked.notification;
    json!({
        "at": rfc3339(tracked.last_attempt.unwrap_or(notification.queued_at)),
        "queued_at": rfc3339(notification.queued_at),
        "receiver": notification.receiver, "severity": notification.severity, "alert": notification.status.as_str(),
        "status": delivery, "http_status": tracked.http_status, "attempts": tracked.attempts, "error": tracked.error,
    })
}
