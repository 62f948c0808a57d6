//! What a person sees: the real program in a real browser, from a slow trace to its logs, from a burning SLO to its
//! page. `run.mjs` drives the browser; screenshots of every page stay in `test-output/screenshots/`.

mod receiver;
mod seed;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use daymark_tests::{Ask, System, SystemOptions, workspace_root};
use serde_json::Value;

use receiver::Phone;

/// The demo's definitions, with `pager` as the address of the receiver.
fn definitions(into: &Path, pager: &str) -> PathBuf {
    let from = workspace_root().join("demo/definitions");
    for folder in ["slos", "dashboards"] {
        std::fs::create_dir_all(into.join(folder)).unwrap();
        for file in std::fs::read_dir(from.join(folder)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), into.join(folder).join(file.file_name())).unwrap();
        }
    }
    let alerting = std::fs::read_to_string(from.join("alerting.yaml")).unwrap();
    let url = alerting.lines().find_map(|line| line.trim().strip_prefix("url: ")).expect("a receiver with a url");
    std::fs::write(into.join("alerting.yaml"), alerting.replace(url, pager)).unwrap();
    into.to_owned()
}

async fn open_incident(ask: &Ask) -> Value {
    let started = Instant::now();
    loop {
        let answer = ask.get("/api/v1/incidents?state=open").await;
        if let Some(incident) = answer["incidents"].as_array().unwrap().iter().find(|i| i["severity"] == "page") {
            return incident.clone();
        }
        if started.elapsed() > Duration::from_secs(120) {
            panic!("no page within 120 s; SLOs: {:#}", ask.get("/api/v1/slos").await);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn browse(base: &str, seeded: &seed::Seeded, incident: &Value) {
    let folder = workspace_root().join("tests/browser");
    assert!(folder.join("node_modules/playwright-core").exists(), "playwright-core is missing: run `make test`");
    let output = Command::new("node")
        .arg(folder.join("run.mjs"))
        .env("DAYMARK_URL", base)
        .env("SCREENSHOTS", workspace_root().join("test-output/screenshots"))
        .env("SLOW_TRACE", &seeded.slow_trace)
        .env("SLOW_TRACE_LOGS", seeded.slow_trace_logs.to_string())
        .env("SLO", incident["slo"].as_str().unwrap())
        .env("INCIDENT", incident["id"].as_str().unwrap())
        .output()
        .unwrap_or_else(|error| panic!("node: {error}"));
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "run.mjs:\n{said}\n{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_finds_the_slow_trace_its_logs_and_the_page_of_the_burning_slo() {
    let dir = tempfile::tempdir().unwrap();
    let phone = Phone::start();
    let data_dir = Some(dir.path().join("data"));

    // The history is there before the evaluator looks for the first time, so that it pages at once.
    let before = System::start(SystemOptions { data_dir: data_dir.clone(), ..SystemOptions::default() });
    let seeded = seed::seed(&before.otlp_http()).await;
    before.ask().ledger_balances().await;
    before.stop();

    let definitions = Some(definitions(&dir.path().join("definitions"), &phone.url));
    let mut system = System::start(SystemOptions { data_dir, definitions, ..SystemOptions::default() });
    let ask = system.ask();
    let home = ask.raw("/").await.1;
    assert!(!home.contains("UI not built"), "the web app is not built: run `make test`, which builds it first");
    let incident = open_incident(&ask).await;
    assert_eq!(incident["slo"], "checkout-availability", "{incident}");
    let call = phone.calls.recv_timeout(Duration::from_secs(30)).expect("the webhook of the page, within 30 s");
    assert_eq!((&call["status"], &call["commonLabels"]["slo"]), (&"firing".into(), &incident["slo"]), "{call:#}");

    let base = system.http();
    tokio::task::block_in_place(|| browse(&base, &seeded, &incident));
    assert!(system.all_alive(), "still running after all that");
    ask.ledger_balances().await;
    system.stop();
}
