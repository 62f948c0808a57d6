//! What of an SLO's metric, matchers and bad attributes can be known without data.
//!
//! The attributes of derived metrics are known: a mistyped key or value would count no events, and page nobody. Of
//! metrics that clients send nothing is known.

use std::collections::BTreeMap;

use daymark_model::{MetricName, SPAN_DURATION, metric_name};
use serde_saphyr::Spanned;

use crate::load::Mistakes;

/// Attributes as written.
pub(crate) type Labels = BTreeMap<String, Spanned<String>>;

/// Reports a mistyped metric, and attributes that no point of it has.
pub(crate) fn check_labels(metric: Option<&Spanned<String>>, labels: &[&Labels], mistakes: &mut Mistakes<'_>) {
    let name = metric.map_or(SPAN_DURATION, |metric| metric.value.as_str());
    let derived = match metric_name(name) {
        MetricName::Derived(derived) => derived,
        MetricName::Foreign => return,
        MetricName::Mistyped(meant) => {
            if let Some(metric) = metric {
                mistakes.at(metric.referenced, format!("metric {name:?} is unknown: did you mean {meant:?}?"));
            }
            return;
        }
    };
    for (key, value) in labels.iter().copied().flatten() {
        if let Some(why) = derived.why_none_has(key, Some(&value.value)) {
            mistakes.at(value.referenced, why);
        }
    }
}

/// Attributes without their places.
pub(crate) fn plain(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(key, value)| (key.clone(), value.value.clone())).collect()
}
