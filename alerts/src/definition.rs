//! What users write, after it was checked: SLOs, receivers, routes.
//!
//! Where it sits: made by `load` and `validate` from YAML; everything else reads it. The files are described in
//! `docs/formats/definitions.md`.
//!
//! Invariants:
//! - a [`Slo`] that exists is valid: ids are unique, tiers are reachable, windows are multiples of 10 s;
//! - an SLO with a page tier links a runbook and a dashboard.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decimal::{Decimal, Threshold};
use crate::duration::format_seconds;
use crate::error::DefinitionError;
use crate::load;

/// Name of an SLO: 1 to 64 of `a-z 0-9 -`, unique in a definitions directory.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SloId(Arc<str>);

impl SloId {
    /// Parses an id; none when it is not one.
    pub fn parse(text: &str) -> Option<SloId> {
        is_id(text).then(|| SloId(text.into()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SloId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SloId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` can be an id in definitions: safe in URLs, file names and labels.
pub(crate) fn is_id(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=64).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with('-')
}

/// How urgent a tier is. Ordered: a page is above a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For the next working day.
    Ticket,
    /// Somebody is called now.
    Page,
}

impl Severity {
    /// `page` or `ticket`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Ticket => "ticket",
            Severity::Page => "page",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One pair of windows and the burn rate that both must exceed.
#[derive(Clone, Debug)]
pub struct Tier {
    /// Unique in its SLO.
    pub name: String,
    /// What firing means.
    pub severity: Severity,
    /// Burn rate: 1 spends the budget in exactly the SLO's window.
    pub factor: Decimal,
    /// Long window, seconds, a multiple of 10.
    pub long_s: u64,
    /// Short window, seconds, a multiple of 10.
    pub short_s: u64,
    /// `factor × budget`: the bad ratio that both windows must exceed.
    pub threshold: Threshold,
}

/// The four tiers of the SRE workbook for 30 days: name, severity, factor, long and short window in seconds.
pub(crate) const DEFAULT_TIERS: [(&str, Severity, &str, u64, u64); 4] = [
    ("page-fast", Severity::Page, "14.4", 3_600, 300),
    ("page-slow", Severity::Page, "6", 21_600, 1_800),
    ("ticket-fast", Severity::Ticket, "3", 86_400, 7_200),
    ("ticket-slow", Severity::Ticket, "1", 259_200, 21_600),
];

/// The default tiers for an error budget.
pub fn default_tiers(budget: Decimal) -> Vec<Tier> {
    let tier = |&(name, severity, factor, long_s, short_s): &(&str, Severity, &str, u64, u64)| {
        let factor = Decimal::parse(factor).expect("the default factors are decimal text");
        let threshold = Threshold::new(factor, budget);
        Tier { name: name.to_owned(), severity, factor, long_s, short_s, threshold }
    };
    DEFAULT_TIERS.iter().map(tier).collect()
}

/// Fewest events in the long window for a tier to fire: against pages for a single failure at low traffic.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guards {
    /// Fewest bad events in the long window; 0 is off.
    pub min_bad_events: u64,
    /// Fewest events in the long window; 0 is off.
    pub min_total_events: u64,
}

/// What decides about pages, and nothing else of an SLO.
#[derive(Clone, Debug)]
pub struct BurnPolicy {
    /// The tiers, in the order of the file.
    pub tiers: Vec<Tier>,
    /// Opt-in guards.
    pub guards: Guards,
    /// Share of each long window, percent, that must lie after the first event known (cold start).
    pub min_coverage_percent: u64,
}

/// How a good event is told from a bad one.
#[derive(Clone, Debug)]
pub enum Sli {
    /// Bad events carry all of the attributes `bad`.
    Availability {
        /// Attributes of a bad event.
        bad: BTreeMap<String, String>,
    },
    /// Good events took no longer than the edge.
    Latency {
        /// The threshold as written, nanoseconds.
        threshold_ns: u64,
        /// The HDR bucket edge it snaps to, nanoseconds: the one that is compared.
        edge_ns: u64,
    },
}

impl Sli {
    /// `availability` or `latency`.
    pub fn kind(&self) -> &'static str {
        match self {
            Sli::Availability { .. } => "availability",
            Sli::Latency { .. } => "latency",
        }
    }
}

/// A service level objective.
#[derive(Clone, Debug)]
pub struct Slo {
    /// Unique id.
    pub id: SloId,
    /// Short title for people.
    pub name: String,
    /// Whose events count.
    pub service: String,
    /// Team that answers for it.
    pub owner: String,
    /// What users notice when it is missed.
    pub description: String,
    /// Percent of good events promised.
    pub target: Decimal,
    /// `(100 - target) / 100`.
    pub budget: Decimal,
    /// Length of the rolling window, seconds.
    pub window_s: u64,
    /// Histogram metric whose counts are the events.
    pub metric: String,
    /// Attributes an event must have to count at all.
    pub matchers: BTreeMap<String, String>,
    /// Good or bad.
    pub sli: Sli,
    /// Absolute URL.
    pub runbook: Option<String>,
    /// Dashboard id, or an absolute URL.
    pub dashboard: Option<String>,
    /// The part that decides.
    pub policy: BurnPolicy,
    /// The file it came from.
    pub file: PathBuf,
    /// The file's text.
    pub yaml: String,
}

impl Slo {
    /// Names of the lines that a dashboard can draw.
    pub fn lines(&self) -> Vec<String> {
        let latency = matches!(self.sli, Sli::Latency { .. }).then_some("latency");
        let own = ["budget"].into_iter().chain(latency).map(str::to_owned);
        own.chain(self.policy.tiers.iter().map(|tier| tier.name.clone())).collect()
    }

    /// The objective in one sentence.
    pub fn objective(&self) -> String {
        let window = format_seconds(self.window_s);
        match &self.sli {
            Sli::Availability { .. } => {
                format!("{} % of events of {} succeed over {window}", self.target, self.service)
            }
            Sli::Latency { edge_ns, .. } => {
                let edge_ms = *edge_ns as f64 / 1e6;
                format!("{} % of events of {} take at most {edge_ms:.3} ms over {window}", self.target, self.service)
            }
        }
    }
}

/// Where notifications go.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Unique name.
    pub name: String,
    /// Webhook that takes Alertmanager's JSON.
    pub url: String,
}

/// Which receiver is told about which severity.
#[derive(Clone, Debug)]
pub struct Route {
    /// Incidents of this severity ...
    pub severity: Severity,
    /// ... go to this receiver.
    pub receiver: String,
}

/// All definitions of a directory.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// Ordered by id.
    pub slos: Vec<Slo>,
    /// Ordered as in the file.
    pub receivers: Vec<Receiver>,
    /// Ordered as in the file.
    pub routes: Vec<Route>,
    /// What is legal but probably not meant.
    pub warnings: Vec<DefinitionError>,
}

/// An SLO file with mistakes: what can be told of it.
#[derive(Clone, Debug)]
pub struct BrokenSlo {
    /// Its id, where the file can be read that far.
    pub id: Option<String>,
    /// The file.
    pub file: PathBuf,
    /// What is wrong in it.
    pub errors: Vec<DefinitionError>,
}

/// A line that a dashboard draws from an SLO.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdLine {
    /// Where it is, in `unit`.
    pub value: f64,
    /// `ratio` or `ns`.
    pub unit: &'static str,
    /// For people.
    pub label: String,
}

impl Definitions {
    /// Reads `dir/slos/*.yaml` and `dir/alerting.yaml`. A directory without definitions is empty, not an error.
    ///
    /// # Errors
    /// Every mistake found, with file and line.
    pub fn load(dir: &Path) -> Result<Definitions, Vec<DefinitionError>> {
        load::load(dir)
    }

    /// Reads `dir/slos/*.yaml` for those who refer to SLOs: the sound ones, without receivers and routes, and the
    /// broken ones.
    pub fn load_slos(dir: &Path) -> (Definitions, Vec<BrokenSlo>) {
        let (slos, broken) = load::load_slos(dir);
        (Definitions { slos, ..Definitions::default() }, broken)
    }

    /// Each SLO with the names of its lines, as [`Definitions::threshold`] takes them.
    pub fn lines(&self) -> BTreeMap<String, Vec<String>> {
        self.slos.iter().map(|slo| (slo.id.to_string(), slo.lines())).collect()
    }

    /// The SLO with this id.
    pub fn slo(&self, id: &str) -> Option<&Slo> {
        self.slos.iter().find(|slo| slo.id.as_str() == id)
    }

    /// The line called `line` of an SLO: `budget` (the bad ratio allowed over the window), `latency` (the HDR edge
    /// of a latency objective), or the name of a tier (the bad ratio above which it fires).
    pub fn threshold(&self, slo: &str, line: &str) -> Option<ThresholdLine> {
        let slo = self.slo(slo)?;
        if line == "budget" {
            let label = format!("{}: {} % target", slo.id, slo.target);
            return Some(ThresholdLine { value: slo.budget.to_f64(), unit: "ratio", label });
        }
        if let ("latency", Sli::Latency { edge_ns, .. }) = (line, &slo.sli) {
            let label = format!("{}: {:.3} ms", slo.id, *edge_ns as f64 / 1e6);
            return Some(ThresholdLine { value: *edge_ns as f64, unit: "ns", label });
        }
        let tier = slo.policy.tiers.iter().find(|tier| tier.name == line)?;
        let label = format!("{}: {} ({}x burn)", slo.id, tier.name, tier.factor);
        Some(ThresholdLine { value: tier.threshold.to_f64(), unit: "ratio", label })
    }

    /// Receivers of a severity, in the order of the routes, each once.
    pub fn receivers_of(&self, severity: Severity) -> Vec<&Receiver> {
        let mut found: Vec<&Receiver> = Vec::new();
        for route in self.routes.iter().filter(|route| route.severity == severity) {
            let receiver = self.receivers.iter().find(|receiver| receiver.name == route.receiver);
            found.extend(receiver.filter(|receiver| found.iter().all(|known| known.name != receiver.name)));
        }
        found
    }
}
