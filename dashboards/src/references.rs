//! What dashboards may refer to: the lines of SLOs, which the binary passes, and the attributes of derived metrics.

use std::collections::BTreeMap;
use std::path::PathBuf;

use daymark_model::{MetricName, did_you_mean, metric_name};

use crate::definition::{Query, SloThreshold};
use crate::rules::Violation;

/// The SLOs beside the dashboards.
#[derive(Clone, Debug, Default)]
pub struct SloLines {
    /// The lines of each SLO by its id: `budget`, `latency`, tiers.
    pub known: BTreeMap<String, Vec<String>>,
    /// Files of SLOs that are broken. References to them cannot be checked.
    pub broken: Vec<BrokenSloFile>,
}

/// An SLO that is there, but cannot be read.
#[derive(Clone, Debug)]
pub struct BrokenSloFile {
    /// Its id, where the file can be read that far.
    pub id: Option<String>,
    /// The file.
    pub file: PathBuf,
}

/// What is known about a reference.
pub(crate) enum Reference {
    Sound,
    Wrong(Violation),
    Unchecked(Violation),
}

impl SloLines {
    /// Looks up the reference at `pointer`.
    pub(crate) fn look_up(&self, reference: &SloThreshold, pointer: &str) -> Reference {
        let SloThreshold { slo, line } = reference;
        if let Some(lines) = self.known.get(slo) {
            if lines.contains(line) {
                return Reference::Sound;
            }
            let meant = did_you_mean(line, lines.iter().map(String::as_str));
            let message = format!("SLO {slo:?} has no line {line:?}{meant} (it has {})", lines.join(", "));
            return Reference::Wrong(Violation { pointer: format!("{pointer}/line"), message });
        }
        let pointer = format!("{pointer}/slo");
        let may_be = |broken: &&BrokenSloFile| broken.id.as_ref().is_none_or(|id| id == slo);
        if let Some(broken) = self.broken.iter().find(may_be) {
            let message =
                format!("the reference to SLO {slo:?} was not checked, because {} is wrong", broken.file.display());
            return Reference::Unchecked(Violation { pointer, message });
        }
        let meant = did_you_mean(slo, self.known.keys().map(String::as_str));
        Reference::Wrong(Violation { pointer, message: format!("no SLO has the id {slo:?}{meant}") })
    }
}

/// Reports a mistyped metric and attributes that no point of a derived metric has; notes metrics that clients send, of
/// which nothing is known.
pub(crate) fn check_query(query: &Query, pointer: &str, wrong: &mut Vec<Violation>, notes: &mut Vec<Violation>) {
    let name = &query.metric;
    let metric = |message: String| Violation { pointer: format!("{pointer}/metric"), message };
    let derived = match metric_name(name) {
        MetricName::Derived(derived) => derived,
        MetricName::Mistyped(meant) => {
            return wrong.push(metric(format!("metric {name:?} is unknown: did you mean {meant:?}?")));
        }
        MetricName::Foreign => {
            let message =
                format!("metric {name:?} is not derived by Daymark: its name and attributes were not checked");
            return notes.push(metric(message));
        }
    };
    for (i, key) in query.group_by.iter().enumerate() {
        let why = derived.why_none_has(key, None);
        wrong.extend(why.map(|message| Violation { pointer: format!("{pointer}/group_by/{i}"), message }));
    }
    for (key, value) in &query.attributes {
        let why = derived.why_none_has(key, Some(value));
        wrong.extend(why.map(|message| Violation { pointer: format!("{pointer}/attributes/{key}"), message }));
    }
}
