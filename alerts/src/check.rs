//! `daymark slo check`: everything that is wrong with a definitions directory, for people and for CI.

use std::fmt;
use std::path::Path;

use daymark_model::{MetricName, metric_name};

use crate::definition::{Definitions, Sli, Slo};
use crate::duration::format_seconds;
use crate::error::DefinitionError;
use crate::load::whole_file;

/// What a check found. Prints one line a finding, then what the definitions mean.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Mistakes: the check fails.
    pub errors: Vec<DefinitionError>,
    /// Legal, but probably not meant.
    pub warnings: Vec<DefinitionError>,
    /// What cannot be checked without data.
    pub notes: Vec<DefinitionError>,
    /// What was read: each SLO with its tiers and exact thresholds.
    pub summary: Vec<String>,
}

impl Report {
    /// Whether the definitions can be used: exit code 0.
    pub fn is_ok(&self) -> bool {
        self.errors.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.errors.iter().try_for_each(|error| writeln!(f, "{error}"))?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "{warning} (warning)"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note} (note)"))?;
        self.summary.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Checks a definitions directory. One without SLOs is a mistake here: a check that reads nothing proves nothing.
pub fn check(dir: &Path) -> Report {
    match Definitions::load(dir) {
        Ok(definitions) if definitions.slos.is_empty() => {
            let message = "nothing was checked: no SLO found, expected slos/*.yaml with kind: SLO";
            let error = whole_file(dir, message);
            Report { errors: vec![error], ..Report::default() }
        }
        Ok(definitions) => {
            let summary = definitions.slos.iter().flat_map(summarise).collect();
            let notes = definitions.slos.iter().filter_map(unknown_metric).collect();
            Report { errors: Vec::new(), warnings: definitions.warnings, notes, summary }
        }
        Err(errors) => Report { errors, ..Report::default() },
    }
}

/// That nothing is known about the SLO's metric, when clients send it.
fn unknown_metric(slo: &Slo) -> Option<DefinitionError> {
    if metric_name(&slo.metric) != MetricName::Foreign {
        return None;
    }
    let line = slo.yaml.lines().position(|line| line.trim_start().starts_with("metric:")).map_or(1, |at| at as u64 + 1);
    let message =
        format!("metric {:?} is not derived by Daymark: its name and attributes were not checked", slo.metric);
    Some(DefinitionError { file: slo.file.clone(), line, column: None, message })
}

fn summarise(slo: &Slo) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", slo.id, slo.objective())];
    if let Sli::Latency { threshold_ns, edge_ns } = slo.sli {
        lines.push(format!("  threshold {threshold_ns} ns snaps to the histogram edge {edge_ns} ns"));
    }
    lines.extend(slo.policy.tiers.iter().map(|tier| {
        let (long, short) = (format_seconds(tier.long_s), format_seconds(tier.short_s));
        format!(
            "  {:<12} {:<6} fires when more than {} of the events are bad over {long} and over {short} ({}x)",
            tier.name, tier.severity, tier.threshold, tier.factor
        )
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLO: &str = "\
apiVersion: daymark/v1
kind: SLO
id: checkout-availability
service: checkout
owner: team-shop
description: People can pay.
target: \"99.9\"
window: 30d
sli:
  availability:
    matchers: { span.kind: server }
runbook: https://example.com/runbooks/checkout
dashboard: https://example.com/d/shop
";

    fn check_text(slo: &str) -> Report {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("slos")).unwrap();
        std::fs::write(dir.path().join("slos/a.yaml"), slo).unwrap();
        check(dir.path())
    }

    /// The one mistake of the SLO file after `from` became `to`, as `line: message`.
    fn mistake(from: &str, to: &str) -> String {
        assert!(SLO.contains(from), "{from}");
        let report = check_text(&SLO.replace(from, to));
        let found: Vec<String> = report.errors.iter().map(|e| format!("{}: {}", e.line, e.message)).collect();
        found.join("\n")
    }

    #[test]
    fn a_good_file_has_exact_thresholds_and_says_when_nobody_is_told() {
        let report = check_text(SLO);
        assert!(report.is_ok(), "{report}");
        let printed = report.to_string();
        assert!(printed.contains("page-fast    page   fires when more than 0.0144 of the events"), "{printed}");
        assert_eq!(report.warnings.len(), 2, "{printed}");
    }

    #[test]
    fn mistakes_name_file_line_and_reason() {
        let check = |from: &str, to: &str, expected: &str| {
            let found = mistake(from, to);
            assert!(found.contains(expected), "{from:?} -> {to:?}: {found}");
        };
        check("daymark/v1", "daymark/v9", "1: apiVersion must be daymark/v1");
        check("kind: SLO", "kind: Slo", "2: kind must be SLO");
        check("id: checkout-availability", "id: Checkout!", "3: id \"Checkout!\"");
        check("owner: team-shop", "owner: \"\"", "5: owner is empty");
        check("\"99.9\"", "\"100\"", "7: target 100 must be above 0 and below 100");
        check("\"99.9\"", "\"99,9\"", "7: \"99,9\" is not a decimal number");
        check("30d", "7d", "8: window \"7d\" is not supported yet");
        check("matchers:", "matcherz:", "11: unknown field `matcherz`");
        check("runbook: https://example.com/runbooks/checkout\n", "", "3: runbook is missing");
        check("https://example.com/runbooks/checkout", "runbooks/a", "12: runbook \"runbooks/a\" is not an absolute");
        check("dashboard: https://example.com/d/shop", "dashboard: shop", "13: dashboard \"shop\" is neither");
        check("sli:\n", "sli:\n  latency: { threshold: 300ms }\n", "exactly one of availability and latency");
        check("window: 30d", "window: [", "8: window: expected a text");
        check("window: 30d", "window: 30d\nwindow: 30d", "9: the key \"window\" is written twice: keep one of them");
        check("owner: team-shop", "owner: [team-shop]", "5: owner: expected a text");
        check("matchers:", "mtchers:", "expected one of metric, matchers, bad: did you mean \"matchers\"?");
        check(
            "span.kind: server",
            "span.knd: server",
            "11: traces.span.metrics.duration has no attribute \"span.knd\"",
        );
        check("span.kind: server", "span.kind: sever", "11: span.kind is never \"sever\": did you mean \"server\"?");
        let bad = "matchers: { span.kind: server }\n    bad: { status.code: eror }";
        check("matchers: { span.kind: server }", bad, "12: status.code is never \"eror\": did you mean \"error\"?");
        let metric = "metric: traces.span.metrics.duratoin\n    matchers:";
        check("matchers:", metric, "11: metric \"traces.span.metrics.duratoin\" is unknown: did you mean");
        check("window: 30d\n", "", "missing field `window`");
    }

    #[test]
    fn a_tier_that_cannot_fire_is_refused_with_the_numbers() {
        let found = mistake("\"99.9\"", "\"93\"");
        assert!(found.contains("page-fast can never fire: factor 14.4 x budget 0.07 = 1.008"), "{found}");
        assert!(!found.contains("page-slow"), "{found}");
        let found = mistake("\"99.9\"", "\"80\"");
        assert!(found.contains("page-slow can never fire: factor 6 x budget 0.2 = 1.2"), "{found}");
        let tiers = "tiers:\n  - { name: slow, severity: ticket, factor: \"0.7\", long: 1d, short: 2h }\nrunbook:";
        assert!(mistake("runbook:", tiers).contains("factor 0.7 is below 1"));
    }

    #[test]
    fn a_latency_threshold_prints_the_edge_it_snaps_to() {
        let latency =
            SLO.replace("  availability:\n    matchers: { span.kind: server }", "  latency: { threshold: 300ms }");
        let report = check_text(&latency);
        assert!(report.is_ok(), "{report}");
        let edge = daymark_sketch::bucket_edge(300_000_000);
        assert!(report.to_string().contains(&format!("snaps to the histogram edge {edge} ns")), "{report}");
    }

    #[test]
    fn what_cannot_be_known_without_data_is_a_note() {
        let foreign =
            SLO.replace("matchers: { span.kind: server }", "metric: http.server.duration\n    matchers: { a: b }");
        let report = check_text(&foreign);
        assert!(report.is_ok(), "{report}");
        let note = "a.yaml:11: metric \"http.server.duration\" is not derived by Daymark: \
                    its name and attributes were not checked (note)";
        assert!(report.to_string().contains(note), "{report}");
        assert!(check_text(SLO).notes.is_empty());
    }

    #[test]
    fn a_broken_dashboard_is_not_the_fault_of_the_slos_that_link_one() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("slos/a.yaml", &SLO.replace("https://example.com/d/shop", "shop"));
        write("dashboards/shop.yaml", "kind: [\n");
        let report = check(dir.path());
        assert!(report.is_ok(), "{report}");
        let said = report.to_string();
        assert!(said.contains("a.yaml:13: dashboard \"shop\" was not checked, because "), "{said}");
        write("dashboards/shop.yaml", "kind: Dashboard\nid: shopp\n");
        let said = check(dir.path()).to_string();
        assert!(
            said.contains("a.yaml:13: dashboard \"shop\" is neither") && said.contains("mean \"shopp\"?"),
            "{said}"
        );
    }

    #[test]
    fn a_broken_file_beside_the_folders_is_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.yaml"), SLO.replace("window: 30d", "window: 30d\nwindow: 30d")).unwrap();
        let said = check(dir.path()).to_string();
        assert!(said.contains("a.yaml:9:1: the key \"window\" is written twice"), "{said}");
    }

    #[test]
    fn a_directory_without_slos_fails_the_check() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check(dir.path()).to_string().contains("nothing was checked: no SLO found"));
        assert!(Definitions::load(dir.path()).unwrap().slos.is_empty());
    }

    #[test]
    fn routes_must_name_a_receiver() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("slos")).unwrap();
        std::fs::write(dir.path().join("slos/a.yaml"), SLO).unwrap();
        let alerting = "apiVersion: daymark/v1\nkind: Alerting\nreceivers:\n  - name: pager\n    webhook: { url: not-a-url }\n\
                        routes:\n  - { severity: page, receiver: nobody }\n";
        std::fs::write(dir.path().join("alerting.yaml"), alerting).unwrap();
        let report = check(dir.path()).to_string();
        assert!(report.contains("alerting.yaml:5:21: \"not-a-url\" is not an absolute http"), "{report}");
        assert!(report.contains("alerting.yaml:7:") && report.contains("\"nobody\" is not defined"), "{report}");
    }

    #[test]
    fn the_demo_definitions_pass() {
        let report = check(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/definitions")));
        assert!(report.is_ok() && report.warnings.is_empty(), "{report}");
    }
}
