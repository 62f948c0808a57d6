//! Definitions that are wrong are refused with file, line and reason: by the checks for CI and by a start.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use daymark_tests::{binary, free_address, workspace_root};
use tempfile::TempDir;

const SLO: &str = "slos/checkout-availability.yaml";
const DASHBOARD: &str = "dashboards/shop-overview.yaml";

/// A copy of the demo's definitions to break.
struct Definitions(TempDir);

impl Definitions {
    fn new() -> Definitions {
        let dir = tempfile::tempdir().unwrap();
        copy(&workspace_root().join("demo/definitions"), dir.path());
        Definitions(dir)
    }

    /// Replaces `from` by `to`, in `file`; answers the line of it.
    fn change(&self, file: &str, from: &str, to: &str) -> usize {
        let path = self.0.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let at = text.find(from).unwrap_or_else(|| panic!("{file} has no {from:?}"));
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        text[..at].matches('\n').count() + 1
    }

    fn check(&self, what: &str) -> Output {
        Command::new(binary("daymark")).args([what, "check"]).arg(self.0.path()).output().unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target: PathBuf = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn good_definitions_pass_their_checks() {
    let definitions = Definitions::new();
    for what in ["slo", "dashboards"] {
        let output = definitions.check(what);
        assert!(output.status.success(), "daymark {what} check: {}", text(&output));
    }
}

#[test]
fn a_wrong_definition_fails_its_check_with_file_line_and_reason() {
    let cases = [
        ("slo", SLO, "target: \"99.9\"", "target: \"100\"", "target 100 must be above 0 and below 100"),
        ("slo", SLO, "matchers:", "matcherz:", "unknown field `matcherz`"),
        ("slo", SLO, "window: 30d", "window: 29q", "29q"),
        ("slo", "alerting.yaml", "http://", "mailto:", "not an absolute http"),
        ("dashboards", DASHBOARD, "time_range: 1h", "time_range: 1 hour", "1 hour"),
        ("dashboards", DASHBOARD, "purpose:", "porpoise:", "porpoise"),
        ("dashboards", DASHBOARD, "fn: error_ratio", "fn: eror_ratio", "eror_ratio"),
        ("dashboards", DASHBOARD, "slo: checkout-availability", "slo: nobody", "nobody"),
    ];
    for (what, file, from, to, reason) in cases {
        let definitions = Definitions::new();
        let line = definitions.change(file, from, to);
        let output = definitions.check(what);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "daymark {what} check with {to:?}: {said}");
        let place = format!("{file}:{line}");
        let told = said.lines().any(|said| said.contains(&place) && said.contains(reason));
        assert!(told, "daymark {what} check with {to:?} names neither {place} nor {reason:?} in one line:\n{said}");
    }
}

#[test]
fn broken_yaml_and_an_empty_folder_fail_their_checks() {
    for (what, file) in [("slo", SLO), ("dashboards", DASHBOARD)] {
        let definitions = Definitions::new();
        std::fs::write(definitions.0.path().join(file), "kind: [\n").unwrap();
        let output = definitions.check(what);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains(&format!("{file}:")), "{}", text(&output));
    }
    let empty = Definitions(tempfile::tempdir().unwrap());
    for what in ["slo", "dashboards"] {
        let output = empty.check(what);
        assert_eq!(output.status.code(), Some(1), "daymark {what} check of nothing: {}", text(&output));
    }
}

#[test]
fn a_start_with_a_wrong_slo_ends_with_file_line_and_reason() {
    let definitions = Definitions::new();
    let line = definitions.change(SLO, "target: \"99.9\"", "target: \"100\"");
    let mut command = Command::new("timeout");
    command.arg("60s").arg(binary("daymark")).arg("up").arg("--definitions").arg(definitions.0.path());
    command.arg("--data-dir").arg(definitions.0.path().join("data"));
    for name in ["--otlp-grpc", "--otlp-http", "--http"] {
        command.args([name, &free_address().to_string()]);
    }
    let output = command.output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{SLO}:{line}")) && said.contains("target 100 must be"), "{said}");
}
