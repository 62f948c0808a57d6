//! `daymark dashboards check`: everything that is wrong with a directory of dashboards, for people and for CI.

use std::fmt;
use std::path::Path;

use crate::error::DashboardError;
use crate::load::load_with_notes;
use crate::references::SloLines;

/// What a check found. Prints one line a finding.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Mistakes: the check fails.
    pub errors: Vec<DashboardError>,
    /// What could not be checked.
    pub notes: Vec<DashboardError>,
    /// What was read: one line a dashboard.
    pub summary: Vec<String>,
}

impl Report {
    /// Whether the dashboards can be used: exit code 0.
    pub fn is_ok(&self) -> bool {
        self.errors.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.errors.iter().try_for_each(|error| writeln!(f, "{error}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note} (note)"))?;
        self.summary.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Checks a definitions directory. `slos` is what its thresholds may name. One without dashboards is a mistake here: a check
/// that reads nothing proves nothing.
pub fn check(dir: &Path, slos: &SloLines) -> Report {
    match load_with_notes(dir, slos) {
        Ok((loaded, _)) if loaded.is_empty() => {
            let message =
                "nothing was checked: no dashboard found, expected dashboards/*.yaml with kind: Dashboard".to_owned();
            Report { errors: vec![DashboardError { file: dir.to_owned(), line: 1, message }], ..Report::default() }
        }
        Ok((loaded, notes)) => {
            let line = |l: &crate::LoadedDashboard| {
                format!("{}: {} ({} panels)", l.dashboard.id, l.dashboard.title, l.dashboard.panels.len())
            };
            Report { errors: Vec::new(), notes, summary: loaded.iter().map(line).collect() }
        }
        Err((errors, notes)) => Report { errors, notes, summary: Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::references::BrokenSloFile;

    const GOOD: &str = "\
apiVersion: daymark/v1
kind: Dashboard
id: shop
title: Shop
purpose: Is the shop selling?
audience: on-call
owner: team-shop
runbook: https://example.com/shop
time_range: 1h
step: 10s
panels:
  - id: errors
    title: Failed requests
    unit: ratio
    description: Zero is good.
    queries:
      - metric: traces.span.metrics.duration
        service: checkout
        fn: error_ratio
    thresholds:
      - slo: checkout-availability
        line: page-fast
";

    fn check_text(text: &str) -> Report {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("dashboards")).unwrap();
        std::fs::write(dir.path().join("dashboards/shop.yaml"), text).unwrap();
        check(dir.path(), &slos())
    }

    fn slos() -> SloLines {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let known = [
            ("checkout-availability".to_owned(), lines(&["budget", "page-fast"])),
            ("frontend-latency".to_owned(), lines(&["budget", "latency", "page-fast"])),
        ];
        SloLines { known: known.into(), broken: Vec::new() }
    }

    #[test]
    fn a_good_dashboard_passes() {
        let report = check_text(GOOD);
        assert!(report.is_ok(), "{report}");
        assert_eq!(report.to_string(), "shop: Shop (1 panels)\n");
    }

    #[test]
    fn mistakes_name_the_line_and_the_reason() {
        let check = |from: &str, to: &str, expected: &str| {
            assert!(GOOD.contains(from), "{from}");
            let report = check_text(&GOOD.replace(from, to));
            let found: Vec<String> = report.errors.iter().map(|e| format!("{}: {}", e.line, e.message)).collect();
            assert!(found.iter().any(|line| line.contains(expected)), "{from:?} -> {to:?}: {found:?}");
        };
        check("daymark/v1", "daymark/v2", "1: /apiVersion");
        check("id: shop", "id: Shop!", "3: /id");
        check("purpose: Is the shop selling?\n", "", "the dashboard lacks the field \"purpose\"");
        check("audience: on-call", "audience: x", "6: /audience");
        check("owner: team-shop", "owner: team-shop\ncolour: red", "8: the dashboard has no field colour");
        check("runbook: https://example.com/shop", "runbook: wiki", "8: /runbook");
        check("time_range: 1h", "time_range: 90d", "9: time_range \"90d\" must be 5m to 30d");
        check("step: 10s", "step: 15s", "10: step \"15s\" must be a multiple of 10s");
        check("time_range: 1h", "time_range: 1d", "8640 points a line, at most 2000");
        check("unit: ratio", "unit: furlong", "14: /panels/0/unit");
        check("unit: ratio", "unit: ns", "19: the panel's unit is \"ns\", this function answers in \"ratio\"");
        check("fn: error_ratio", "fn: p50ish", "19: /panels/0/queries/0/fn");
        check("fn: error_ratio", "fn: p99", "19: the panel's unit is \"ratio\", this function answers in \"ns\"");
        check("slo: checkout-availability", "slo: nothing", "21: no SLO has the id \"nothing\"");
        check("slo: checkout-availability", "slo: chekout-availability", "did you mean \"checkout-availability\"?");
        let line = "22: SLO \"checkout-availability\" has no line \"page-fats\": did you mean \"page-fast\"? (it has budget, page-fast)";
        check("line: page-fast", "line: page-fats", line);
        let latency = "slo: frontend-latency\n        line: latency";
        check(
            "slo: checkout-availability\n        line: page-fast",
            latency,
            "21: line \"latency\" needs a unit of time",
        );
        check("        line: page-fast\n", "        line: page-fast\n        value: 3\n", "21: a threshold is either");
        check(
            "line: page-fast",
            "lin: page-fast",
            "22: /panels/0/thresholds/0 has no field lin: did you mean \"line\"?",
        );
        check(
            "slo: checkout-availability\n        line: page-fast",
            "value: 3",
            "/panels/0/thresholds/0 lacks the field \"label\"",
        );
        check("panels:\n", "panels:\n  - [\n", ": ");
        check(
            "kind: Dashboard",
            "kind: dashboard",
            "2: /kind: \"dashboard\" is not one of \"Dashboard\": did you mean \"Dashboard\"?",
        );
        check("unit: ratio", "unit: 1", "\"1\", \"1/s\", \"By\": write it in quotes, \"1\"");
        check("fn: error_ratio", "fn: eror_ratio", "\"last\": did you mean \"error_ratio\"?");
        check(
            "id: shop",
            "id: Shop!",
            "3: /id: expected 1 to 64 characters of a-z, 0-9 and '-', not beginning with '-', got \"Shop!\"",
        );
        check("time_range: 1h", "time_range: 1 hour", "9: /time_range: expected a length of time like \"10s\"");
        check("title: Shop", "title: 5", "4: /title: expected a text, got 5: write it in quotes, \"5\"");
        check("title: Shop", "title:", "4: /title: expected a text, got nothing");
        check("step: 10s", "step: 10s\nstep: 20s", "11: the key \"step\" is written twice: keep one of them");
        check(
            "        fn: error_ratio",
            "        fn: error_ratio\n        atributes: {}",
            "has no field atributes: did you mean \"attributes\"?",
        );
        check(
            "metrics.duration",
            "metrics.duratoin",
            "17: metric \"traces.span.metrics.duratoin\" is unknown: did you mean",
        );
        let labels = "        fn: error_ratio\n        attributes: { span.knd: server }\n        group_by: [span.nam]";
        check(
            "        fn: error_ratio",
            labels,
            "20: traces.span.metrics.duration has no attribute \"span.knd\": did you mean \"span.kind\"?",
        );
        check(
            "        fn: error_ratio",
            labels,
            "21: traces.span.metrics.duration has no attribute \"span.nam\": did you mean \"span.name\"?",
        );
        let values = "        fn: error_ratio\n        attributes: { span.kind: sever }";
        check("        fn: error_ratio", values, "20: span.kind is never \"sever\": did you mean \"server\"?");
        let panel = &GOOD[GOOD.find("  - id: errors").unwrap()..];
        check(panel, &format!("{panel}{panel}"), "23: panel id \"errors\" is used twice");
    }

    #[test]
    fn what_cannot_be_checked_is_a_note() {
        let report = check_text(&GOOD.replace("traces.span.metrics.duration", "http.server.duration"));
        assert!(report.is_ok(), "{report}");
        let note = "shop.yaml:17: metric \"http.server.duration\" is not derived by Daymark: \
                    its name and attributes were not checked (note)";
        assert!(report.to_string().contains(note), "{report}");
    }

    #[test]
    fn a_broken_slo_is_not_the_fault_of_the_dashboards_that_refer_to_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("shop.yaml"), GOOD).unwrap();
        let said = |id: Option<&str>| {
            let broken = BrokenSloFile { id: id.map(str::to_owned), file: "slos/a.yaml".into() };
            let report = check(dir.path(), &SloLines { broken: vec![broken], ..SloLines::default() });
            (report.is_ok(), report.to_string())
        };
        for id in [None, Some("checkout-availability")] {
            let (is_ok, said) = said(id);
            assert!(is_ok, "{said}");
            let note = "shop.yaml:21: the reference to SLO \"checkout-availability\" was not checked, \
                        because slos/a.yaml is wrong (note)";
            assert!(said.contains(note), "{said}");
        }
        assert!(!said(Some("another")).0);
    }

    #[test]
    fn two_files_cannot_share_an_id() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("dashboards")).unwrap();
        for name in ["a.yaml", "b.yaml"] {
            std::fs::write(dir.path().join("dashboards").join(name), GOOD).unwrap();
        }
        let report = check(dir.path(), &slos()).to_string();
        assert!(report.contains("b.yaml:3: id \"shop\" is already used in"), "{report}");
        assert!(!check(&dir.path().join("nowhere"), &slos()).is_ok());
    }

    #[test]
    fn the_published_schema_is_the_one_that_is_checked() {
        let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schemas/dashboard.schema.json");
        let generated = crate::json_schema();
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(published, format!("{generated:#}\n")).unwrap();
        }
        let kept = std::fs::read_to_string(published).unwrap_or_default();
        let kept: serde_json::Value = serde_json::from_str(&kept).unwrap_or_default();
        assert!(kept == generated, "run the test again with UPDATE_SCHEMA=1 and commit {published}");
        assert!(jsonschema::meta::is_valid(&crate::json_schema()));
    }

    #[test]
    fn the_demo_dashboards_pass() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/definitions");
        let report = check(Path::new(dir), &slos());
        assert!(report.is_ok() && report.notes.is_empty(), "{report}");
    }
}
