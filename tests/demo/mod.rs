//! The demo asserts its own story: no page before the fault, the page when it is due, resolution after recovery.
//! Takes about eight minutes, nearly all of it waiting.

use std::process::Command;

use daymark_tests::{binary, free_address};

/// Minutes until the demo is given up: twice what it takes on a busy machine.
const LIMIT: &str = "20m";

#[test]
fn the_demo_pages_when_due_and_resolves_after_recovery() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10s", LIMIT]).arg(binary("daymark"));
    command.args(["demo", "--check", "--data-dir"]).arg(dir.path().join("data"));
    for name in ["--otlp-grpc", "--otlp-http", "--http"] {
        command.args([name, &free_address().to_string()]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    for line in said.lines().filter(|line| line.starts_with("demo: ")) {
        println!("{line}");
    }
    assert!(output.status.success(), "daymark demo --check: {}\n{said}\n{errors}", output.status);
    assert!(said.contains("demo: check passed"), "the demo ended without its check:\n{said}\n{errors}");
}
