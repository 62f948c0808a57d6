//! `/api/v1/dashboards`: dashboards as JSON, thresholds resolved from the SLOs.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::definition::{Dashboard, Panel, SloThreshold, Threshold, Unit};
use crate::load::LoadedDashboard;
use crate::rules::seconds;

/// A line of an SLO.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedThreshold {
    /// Where, in `unit`.
    pub value: f64,
    /// `ratio`, `ns`, `ms` or `s`.
    pub unit: &'static str,
    /// For people.
    pub label: String,
}

/// Finds a line by SLO id and name of the line.
pub type ThresholdResolver = Arc<dyn Fn(&str, &str) -> Option<ResolvedThreshold> + Send + Sync>;

struct Served {
    dashboards: Vec<LoadedDashboard>,
    resolve: ThresholdResolver,
}

/// The routes of dashboards.
pub fn router(dashboards: Vec<LoadedDashboard>, resolve: ThresholdResolver) -> Router {
    Router::new()
        .route("/api/v1/dashboards", get(list))
        .route("/api/v1/dashboards/{id}", get(detail))
        .with_state(Arc::new(Served { dashboards, resolve }))
}

async fn list(State(served): State<Arc<Served>>) -> Json<Value> {
    let summary = |loaded: &LoadedDashboard| {
        let Dashboard { id, title, purpose, audience, .. } = &loaded.dashboard;
        json!({ "id": id, "title": title, "purpose": purpose, "audience": audience })
    };
    let dashboards: Vec<Value> = served.dashboards.iter().map(summary).collect();
    Json(json!({ "dashboards": dashboards }))
}

async fn detail(State(served): State<Arc<Served>>, Path(id): Path<String>) -> Response {
    match served.dashboards.iter().find(|loaded| loaded.dashboard.id == id) {
        Some(loaded) => Json(dashboard_json(&loaded.dashboard, &served.resolve)).into_response(),
        None => {
            let shown: String = id.chars().take(80).collect();
            let message = format!("no dashboard has the id {shown:?}");
            let body = json!({ "error": { "class": "reject", "message": message } });
            (StatusCode::NOT_FOUND, Json(body)).into_response()
        }
    }
}

fn dashboard_json(dashboard: &Dashboard, resolve: &ThresholdResolver) -> Value {
    let panels: Vec<Value> = dashboard.panels.iter().map(|panel| panel_json(panel, resolve)).collect();
    json!({
        "id": dashboard.id, "title": dashboard.title, "purpose": dashboard.purpose,
        "audience": dashboard.audience, "owner": dashboard.owner, "runbook": dashboard.runbook,
        "time_range": dashboard.time_range, "step_s": seconds(&dashboard.step), "panels": panels,
    })
}

fn panel_json(panel: &Panel, resolve: &ThresholdResolver) -> Value {
    let thresholds: Vec<Value> =
        panel.thresholds.iter().filter_map(|threshold| threshold_json(threshold, panel.unit, resolve)).collect();
    json!({
        "id": panel.id, "title": panel.title, "unit": panel.unit, "description": panel.description,
        "kind": panel.kind, "queries": panel.queries, "thresholds": thresholds, "links": panel.links,
    })
}

/// The line in the panel's unit; none, with a log line, when the SLO has no such line.
fn threshold_json(threshold: &Threshold, unit: Unit, resolve: &ThresholdResolver) -> Option<Value> {
    match threshold {
        Threshold::Value(line) => Some(json!({ "value": line.value, "label": line.label })),
        Threshold::Slo(SloThreshold { slo, line }) => {
            let resolved = resolve(slo, line).and_then(|found| Some((in_unit(&found, unit)?, found.label)));
            let Some((value, label)) = resolved else {
                tracing::warn!(slo, line, "the SLO of a dashboard threshold has no such line: it is not drawn");
                return None;
            };
            Some(json!({ "value": value, "label": label, "from_slo": slo }))
        }
    }
}

fn in_unit(line: &ResolvedThreshold, unit: Unit) -> Option<f64> {
    let seconds_in = match line.unit {
        "ratio" => return (unit == Unit::Ratio).then_some(line.value),
        "ns" => 1e-9,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    if unit.as_str() == line.unit {
        return Some(line.value);
    }
    unit.seconds().map(|seconds| line.value * seconds_in / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_slo_is_drawn_in_the_unit_of_the_panel() {
        let line = ResolvedThreshold { value: 300e6, unit: "ns", label: String::new() };
        assert_eq!(in_unit(&line, Unit::Nanoseconds), Some(300e6));
        assert_eq!(in_unit(&line, Unit::Milliseconds).map(f64::round), Some(300.0));
        assert_eq!(in_unit(&line, Unit::Ratio), None);
        let ratio = ResolvedThreshold { unit: "ratio", value: 0.001, label: String::new() };
        assert_eq!(in_unit(&ratio, Unit::Ratio), Some(0.001));
        assert_eq!(in_unit(&ratio, Unit::Seconds), None);
    }
}
