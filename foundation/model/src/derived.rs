//! The metrics that Daymark derives, and all that is known about them without data: so that a mistyped name, key or
//! value in a definition is found on a pull request (`docs/formats/derived-metrics.md`).
//!
//! The agent makes them; a test there shows that it makes no other attributes and values than these.

use crate::spelling::{did_you_mean, edits};

/// Name of the metric derived from spans.
pub const SPAN_DURATION: &str = "traces.span.metrics.duration";
/// Name of the metric derived from events that have a duration.
pub const EVENT_DURATION: &str = "events.duration";
/// Width of a window of derived points, nanoseconds. A point carries the end of its window, so it lies so much behind the
/// spans and events it counts at most.
pub const DERIVED_WINDOW_NS: u64 = 10_000_000_000;

/// Most letters in which a name may differ to count as a mistyped one.
const MISTYPED_EDITS: usize = 2;

/// A metric whose attributes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DerivedMetric {
    /// Its name.
    pub name: &'static str,
    /// Attributes its points and resources can have.
    pub attributes: &'static [DerivedAttribute],
}

/// An attribute of a derived metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DerivedAttribute {
    /// Its key.
    pub key: &'static str,
    /// All values it can have; empty when it can have any.
    pub values: &'static [&'static str],
}

/// What a metric's name tells without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricName {
    /// Derived here: its attributes are known.
    Derived(&'static DerivedMetric),
    /// Within two letters of this derived metric and with the same first word, so probably mistyped.
    Mistyped(&'static str),
    /// A metric that clients send: nothing is known about it.
    Foreign,
}

const SERVICE: DerivedAttribute = DerivedAttribute { key: "service.name", values: &[] };
const STATUS: DerivedAttribute = DerivedAttribute { key: "status.code", values: &["unset", "ok", "error"] };
const OVERFLOW: DerivedAttribute = DerivedAttribute { key: "otel.metric.overflow", values: &["true"] };

/// All of them.
pub const DERIVED_METRICS: [DerivedMetric; 2] = [
    DerivedMetric {
        name: SPAN_DURATION,
        attributes: &[
            DerivedAttribute { key: "span.name", values: &[] },
            DerivedAttribute {
                key: "span.kind",
                values: &["unspecified", "internal", "server", "client", "producer", "consumer"],
            },
            STATUS,
            SERVICE,
            OVERFLOW,
        ],
    },
    DerivedMetric {
        name: EVENT_DURATION,
        attributes: &[DerivedAttribute { key: "event.name", values: &[] }, STATUS, SERVICE, OVERFLOW],
    },
];

/// What `name` tells.
pub fn metric_name(name: &str) -> MetricName {
    if let Some(metric) = DERIVED_METRICS.iter().find(|metric| metric.name == name) {
        return MetricName::Derived(metric);
    }
    // Names are at most 255 bytes; a longer one is not near any of ours.
    let chars = |text: &str| text.to_lowercase().chars().take(64).collect::<Vec<char>>();
    // Another first word is another family of metrics: `event.duration` is a client's own.
    let family = |name: &str| name.split('.').next().map(str::to_lowercase);
    let near = |metric: &&DerivedMetric| {
        family(name) == family(metric.name) && edits(&chars(name), &chars(metric.name)) <= MISTYPED_EDITS
    };
    DERIVED_METRICS.iter().find(near).map_or(MetricName::Foreign, |metric| MetricName::Mistyped(metric.name))
}

impl DerivedMetric {
    /// Why no point of this metric has the attribute `key` (with the value `value`), when none has.
    pub fn why_none_has(&self, key: &str, value: Option<&str>) -> Option<String> {
        let keys = || self.attributes.iter().map(|attribute| attribute.key);
        let Some(attribute) = self.attributes.iter().find(|attribute| attribute.key == key) else {
            let meant = did_you_mean(key, keys());
            let joint = if meant.is_empty() { "; it has" } else { " It has" };
            let known: Vec<&str> = keys().collect();
            return Some(format!("{} has no attribute {key:?}{meant}{joint} {}", self.name, known.join(", ")));
        };
        let value = value.filter(|value| !attribute.values.is_empty() && !attribute.values.contains(value))?;
        let meant = did_you_mean(value, attribute.values.iter().copied());
        let joint = if meant.is_empty() { "; it is" } else { " It is" };
        Some(format!("{key} is never {value:?}{meant}{joint} one of {}", attribute.values.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_derived_mistyped_or_foreign() {
        let check = |name: &str, expected: MetricName| assert_eq!(metric_name(name), expected, "{name}");
        check("traces.span.metrics.duration", MetricName::Derived(&DERIVED_METRICS[0]));
        check("events.duration", MetricName::Derived(&DERIVED_METRICS[1]));
        check("traces.span.metrics.duratoin", MetricName::Mistyped(SPAN_DURATION));
        check("traces.spans.metrics.duration", MetricName::Mistyped(SPAN_DURATION));
        check("events.duratoin", MetricName::Mistyped(EVENT_DURATION));
        check("event.duration", MetricName::Foreign);
        check("traces.span.metrics.calls", MetricName::Foreign);
        check("http.server.request.duration", MetricName::Foreign);
        check(&"x".repeat(100_000), MetricName::Foreign);
    }

    #[test]
    fn what_no_point_has_is_told_with_what_it_has() {
        let check = |key: &str, value: Option<&str>, expected: Option<&str>| {
            assert_eq!(DERIVED_METRICS[0].why_none_has(key, value).as_deref(), expected);
        };
        check("span.kind", Some("server"), None);
        check("span.name", Some("GET /whatever"), None);
        check("span.kind", None, None);
        check(
            "span.knd",
            Some("server"),
            Some(
                "traces.span.metrics.duration has no attribute \"span.knd\": did you mean \"span.kind\"? \
                 It has span.name, span.kind, status.code, service.name, otel.metric.overflow",
            ),
        );
        check(
            "http.route",
            None,
            Some(
                "traces.span.metrics.duration has no attribute \"http.route\"; \
                 it has span.name, span.kind, status.code, service.name, otel.metric.overflow",
            ),
        );
        check(
            "status.code",
            Some("Error"),
            Some("status.code is never \"Error\": did you mean \"error\"? It is one of unset, ok, error"),
        );
        check("status.code", Some("500"), Some("status.code is never \"500\"; it is one of unset, ok, error"));
    }
}
