//! A dashboard file, field by field. The JSON Schema is generated from here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The only version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// Version 1.
    #[serde(rename = "daymark/v1")]
    V1,
}

/// The only kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// A dashboard.
    Dashboard,
}

/// A dashboard: one purpose for one audience, the most important panel first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(title = "Daymark dashboard")]
pub struct Dashboard {
    /// Version of the format.
    #[serde(rename = "apiVersion")]
    pub api_version: ApiVersion,
    /// What the file defines.
    pub kind: Kind,
    /// Unique name, part of the address.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9-]{0,63}$"))]
    pub id: String,
    /// Title for people.
    #[schemars(length(min = 1, max = 120))]
    pub title: String,
    /// Which question it answers.
    #[schemars(length(min = 10, max = 500))]
    pub purpose: String,
    /// Who looks at it, and when.
    #[schemars(length(min = 3, max = 200))]
    pub audience: String,
    /// Team that keeps it.
    #[schemars(length(min = 1, max = 120))]
    pub owner: String,
    /// What to do when it looks bad: an absolute URL.
    #[schemars(regex(pattern = r"^https?://[^/\s]+"))]
    pub runbook: String,
    /// Range of all panels, like `1h`; times are UTC.
    #[serde(default = "default_range")]
    #[schemars(regex(pattern = r"^[0-9]{1,6}[smhd]$"))]
    pub time_range: String,
    /// Resolution of all panels: a multiple of `10s`.
    #[serde(default = "default_step")]
    #[schemars(regex(pattern = r"^[0-9]{1,6}[smhd]$"))]
    pub step: String,
    /// The panels, most important first.
    #[schemars(length(min = 1, max = 24))]
    pub panels: Vec<Panel>,
}

fn default_range() -> String {
    "1h".to_owned()
}

fn default_step() -> String {
    "10s".to_owned()
}

/// One chart: one question.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// Unique in the dashboard.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9-]{0,63}$"))]
    pub id: String,
    /// What is shown.
    #[schemars(length(min = 1, max = 120))]
    pub title: String,
    /// Unit of the values, as the query answers them.
    pub unit: Unit,
    /// How to read it, and what good looks like.
    #[schemars(length(min = 10, max = 500))]
    pub description: String,
    /// How it is drawn.
    #[serde(default)]
    pub kind: PanelKind,
    /// What is drawn.
    #[schemars(length(min = 1, max = 6))]
    pub queries: Vec<Query>,
    /// Lines across the chart.
    #[serde(default)]
    #[schemars(length(max = 6))]
    pub thresholds: Vec<Threshold>,
    /// Where to go from here.
    #[serde(default)]
    #[schemars(length(max = 6))]
    pub links: Vec<Link>,
}

/// How a panel is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PanelKind {
    /// Lines over time.
    #[default]
    Timeseries,
    /// The newest value.
    Stat,
}

/// Unit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Unit {
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// A part of one, shown as percent.
    #[serde(rename = "ratio")]
    Ratio,
    /// Things.
    #[serde(rename = "1")]
    Count,
    /// Things per second.
    #[serde(rename = "1/s")]
    PerSecond,
    /// Bytes.
    #[serde(rename = "By")]
    Bytes,
}

impl Unit {
    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
            Unit::Ratio => "ratio",
            Unit::Count => "1",
            Unit::PerSecond => "1/s",
            Unit::Bytes => "By",
        }
    }

    /// Seconds in one, for units of time.
    pub(crate) fn seconds(self) -> Option<f64> {
        match self {
            Unit::Nanoseconds => Some(1e-9),
            Unit::Milliseconds => Some(1e-3),
            Unit::Seconds => Some(1.0),
            Unit::Ratio | Unit::Count | Unit::PerSecond | Unit::Bytes => None,
        }
    }
}

/// What to compute from a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// Values counted in the step.
    Count,
    /// Values counted per second.
    Rate,
    /// Sum of the values.
    Sum,
    /// Growth of a counter in the step.
    Increase,
    /// Events with `status.code=error` as a part of all.
    ErrorRatio,
    /// Median.
    P50,
    /// 75th percentile.
    P75,
    /// 90th percentile.
    P90,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
    /// 99.9th percentile.
    #[serde(rename = "p99.9")]
    P999,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// Mean.
    Avg,
    /// Newest value.
    Last,
}

/// One query of `/api/v1/metrics/range`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Metric name.
    #[schemars(length(min = 1, max = 255))]
    pub metric: String,
    /// Only this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What to compute.
    #[serde(rename = "fn")]
    pub function: Function,
    /// One line per value of these attributes.
    #[serde(default)]
    #[schemars(length(max = 2))]
    pub group_by: Vec<String>,
    /// Only data points with these attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Name of the line; `{key}` stands for the value of a `group_by` key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legend: Option<String>,
}

/// A line across the chart: a reference to an SLO, or, for what no SLO covers, a value with a label.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Threshold {
    /// From an SLO.
    Slo(SloThreshold),
    /// Written here.
    Value(ValueThreshold),
}

/// A line taken from an SLO.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SloThreshold {
    /// Id of the SLO.
    pub slo: String,
    /// `budget` (bad ratio allowed over the window), `latency` (its threshold), or the name of a tier.
    #[serde(default = "default_line")]
    pub line: String,
}

fn default_line() -> String {
    "budget".to_owned()
}

/// A line of its own.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValueThreshold {
    /// Where, in the panel's unit.
    pub value: f64,
    /// What it means.
    #[schemars(length(min = 3, max = 120))]
    pub label: String,
}

/// Where to go from a panel.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// What is there.
    #[schemars(length(min = 1, max = 120))]
    pub title: String,
    /// An absolute URL, or a path of Daymark's own UI.
    #[schemars(regex(pattern = r"^(https?://[^/\s]+|/)"))]
    pub url: String,
}

/// The published JSON Schema of a dashboard file.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Dashboard).to_value()
}
