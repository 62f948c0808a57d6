//! Promise G1 and G2: what was acknowledged is found, exactly once, however the process died.

mod matrix;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use daymark_tests::{Ask, Client, Request, Role, System, SystemOptions};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SENDERS: u64 = 3;

/// Sends until told to stop; a request whose fate is unknown is kept and repeated later, byte for byte.
struct Sender {
    client: Client,
    unanswered: Option<Request>,
}

impl Sender {
    async fn run(mut self, stop: Arc<AtomicBool>) -> Sender {
        while !stop.load(Relaxed) {
            let request = match self.unanswered.take() {
                Some(request) => request,
                None if self.client.acknowledged.spans <= self.client.acknowledged.logs => self.client.spans(50),
                None => self.client.logs(50),
            };
            if !self.client.send_once(&request).await {
                self.unanswered = Some(request);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        self
    }
}

/// Kills `victims` in turn, `rounds` times, at random moments under load; then compares.
async fn survive(options: SystemOptions, victims: &[Role], rounds: usize, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut system = System::start(options);
    let mut senders: Vec<Sender> = (0..SENDERS)
        .map(|n| Sender { client: Client::new(system.otlp_http(), seed * 100 + n), unanswered: None })
        .collect();
    for round in 0..rounds {
        let stop = Arc::new(AtomicBool::new(false));
        let running: Vec<_> = senders.drain(..).map(|sender| tokio::spawn(sender.run(Arc::clone(&stop)))).collect();
        tokio::time::sleep(Duration::from_millis(random.random_range(50..900))).await;
        let victim = victims[round % victims.len()];
        system.kill(victim);
        stop.store(true, Relaxed);
        for sender in running {
            senders.push(sender.await.unwrap());
        }
        system.start_role(victim);
    }
    let (mut spans, mut logs) = (0, 0);
    for mut sender in senders {
        if let Some(request) = sender.unanswered.take() {
            sender.client.send(&request).await;
        }
        spans += sender.client.acknowledged.spans;
        logs += sender.client.acknowledged.logs;
    }
    assert!(spans > 1_000 && logs > 1_000, "too little was sent to prove anything: {spans} spans, {logs} logs");
    let ask = system.ask();
    found_exactly_once(&ask, spans, logs).await;
    derived_counts_equal_the_spans(&ask).await;
    ask.ledger_balances().await;
    system.stop();
}

async fn found_exactly_once(ask: &Ask, spans: u64, logs: u64) {
    assert_eq!(ask.sql_count("select count(*) from spans").await, spans, "spans acknowledged and stored");
    assert_eq!(ask.sql_count("select count(distinct span_id) from spans").await, spans, "distinct spans");
    assert_eq!(ask.sql_count("select count(*) from logs").await, logs, "log records acknowledged and stored");
    assert_eq!(ask.sql_count("select count(distinct body) from logs").await, logs, "distinct log records");
    let in_traces = ask.sql_count("select sum(span_count) from traces").await;
    assert_eq!(in_traces, spans, "spans counted by traces");
}

async fn derived_counts_equal_the_spans(ask: &Ask) {
    let stored = ask.sql_counts("select service_name, name, status, count(*) from spans group by 1, 2, 3").await;
    for table in ["metrics_10s", "metrics_1m", "metrics_1h", "metrics_1d"] {
        let derived = ask
            .sql_counts(&format!(
                "select s.service, s.name, s.status, sum(m.count) from {table} as m join \
                 (select series_id, max(service_name) as service, max(attributes['span.name']) as name, \
                 max(attributes['status.code']) as status from series group by 1) as s using (series_id) \
                 where m.metric = 'traces.span.metrics.duration' group by 1, 2, 3"
            ))
            .await;
        assert_eq!(derived, stored, "{table}");
    }
}

/// Segments are merged all the time, so that the kills hit that, too.
fn compacting() -> Vec<String> {
    ["--compact-interval-ms", "200"].map(str::to_owned).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_data_survives_kill_9_exactly_once() {
    let options = SystemOptions { seal_interval_ms: Some(700), arguments: compacting(), ..SystemOptions::default() };
    survive(options, &[Role::Up], 20, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_data_survives_kill_9_of_agent_or_collector_apart() {
    let options =
        SystemOptions { apart: true, seal_interval_ms: Some(700), arguments: compacting(), ..SystemOptions::default() };
    survive(options, &[Role::Agent, Role::Collector], 20, 2).await;
}
