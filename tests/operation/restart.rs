//! Restarts that lose nothing, health that says what is wrong, and the watchdog.

use std::time::{Duration, Instant};

use daymark_tests::{Ask, Client, Role, System, SystemOptions};
use serde_json::Value;

use super::{Load, found_exactly_once};

/// A role has ended this long after SIGTERM: it finishes what it has in hand.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Scenario: agent and collector are stopped with SIGTERM and started again, in turn, under load.
/// Guarantee: every request is answered or its connection closed within seconds, what was acknowledged is stored once,
/// and a stop has a bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_loses_nothing() {
    let options = SystemOptions { apart: true, seal_interval_ms: Some(700), ..SystemOptions::default() };
    let mut system = System::start(options);
    let load = Load::start(&system, 3, 11);
    for role in [Role::Agent, Role::Collector, Role::Agent, Role::Collector] {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let begun = Instant::now();
        system.stop_role(role);
        let took = begun.elapsed();
        assert!(took < STOP_LIMIT, "{role:?} took {took:?} to stop");
        println!("{role:?} stopped in {took:?}");
        system.start_role(role);
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let sent = load.end().await;
    let ask = system.ask();
    found_exactly_once(&ask, sent).await;
    ask.ledger_balances().await;
    system.stop();
}

/// Scenario: the collector behind a query node dies.
/// Guarantee: `/readyz` names it with reason and time, and the query node stays in service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_dependency_is_shown_and_takes_no_other_role_out() {
    let mut system = System::start(SystemOptions { apart: true, ..SystemOptions::default() });
    let collector = Ask::new(system.collector_http());
    let ready = collector.get("/readyz").await;
    let names: Vec<&str> = ready["checks"].as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    for expected in ["accepting", "replay", "log", "disk", "workers", "seals", "store"] {
        assert!(names.contains(&expected), "{names:?}");
    }
    assert_eq!(collector.raw("/livez").await, (200, "live\n".to_owned()));
    let of_collector = |report: &Value| {
        report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "collector").cloned().unwrap()
    };
    assert_eq!(of_collector(&system.ask().get("/readyz").await)["ok"], true);
    system.kill(Role::Collector);
    for asked in [system.ask(), Ask::new(system.otlp_http())] {
        let begun = Instant::now();
        let check = loop {
            let report = asked.get("/readyz").await;
            assert_eq!(report["ready"], true, "{report}");
            let check = of_collector(&report);
            if check["ok"] == false {
                break check;
            }
            assert!(begun.elapsed() < Duration::from_secs(15), "{report}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert!(check["reason"].is_string() && check["since"].is_string(), "{check}");
    }
    system.start_role(Role::Collector);
    system.stop();
}

/// Scenario: a worker of the collector hangs for good with acknowledged data behind it.
/// Guarantee: the process says what hangs and ends with code 75; a start has everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hangs_ends_the_process_and_a_restart_has_everything() {
    for (fault, worker) in [("stall_applier", "worker=\"applier\""), ("stall_sealer", "worker=\"sealer\"")] {
        let arguments = ["--watchdog-stall-ms", "2000", "--self-telemetry", "false"].map(str::to_owned).into();
        let env = vec![("DAYMARK_FAULT".to_owned(), fault.to_owned())];
        let mut system =
            System::start(SystemOptions { arguments, env, seal_interval_ms: Some(200), ..SystemOptions::default() });
        let mut client = Client::new(system.otlp_http(), 5);
        for _ in 0..5 {
            let (spans, logs) = (client.spans(200), client.logs(200));
            client.send(&spans).await;
            client.send(&logs).await;
        }
        let (code, output) = system.exit_of(Role::Up, Duration::from_secs(30));
        assert_eq!(code, Some(75), "{fault}: {output}");
        assert!(output.contains(worker) && output.contains("does not get on"), "{fault}: {output}");
        system.options.env.clear();
        system.start_role(Role::Up);
        let sent = (client.acknowledged.spans, client.acknowledged.logs);
        found_exactly_once(&system.ask(), sent).await;
        system.stop();
    }
}

/// Scenario: bursts are written and read at once.
/// Guarantee: an answer holds all that was acknowledged before it was asked for, or says that it does not (G6).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_right_after_a_burst_is_whole_or_says_so() {
    let arguments = ["--self-telemetry", "false"].map(str::to_owned).into();
    let system = System::start(SystemOptions { arguments, ..SystemOptions::default() });
    let mut client = Client::new(system.otlp_http(), 9);
    for round in 1..=20 {
        let logs = client.logs(500);
        client.send(&logs).await;
        let answer = system.ask().get("/api/v1/logs?query=accepted&limit=1000").await;
        let found = answer["logs"].as_array().unwrap().len() as u64;
        let expected = (round * 500).min(1_000);
        let warned = answer["receipt"]["warnings"].to_string().contains("still being applied");
        assert!(found == expected || warned, "{found} of {expected}: {}", answer["receipt"]);
    }
    system.stop();
}
