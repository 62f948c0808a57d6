//! What operators do: restart under load, watch health, back up and restore, and what Daymark does when a part hangs.

mod backup;
mod disk;
mod restart;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use daymark_tests::{Ask, Client, Request, System};

/// Longest a request may be without an answer or a closed connection.
const ANSWER_LIMIT: Duration = Duration::from_secs(9);

/// Clients that send without pause; a request whose fate is unknown is repeated byte for byte.
struct Load {
    stop: Arc<AtomicBool>,
    running: Vec<tokio::task::JoinHandle<Client>>,
}

impl Load {
    fn start(system: &System, senders: u64, seed: u64) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..senders).map(|n| Client::new(system.otlp_http(), seed * 100 + n));
        let running = clients.map(|client| tokio::spawn(send_until(client, Arc::clone(&stop)))).collect();
        Load { stop, running }
    }

    /// Stops; (spans, logs) that were acknowledged, all that was sent.
    async fn end(self) -> (u64, u64) {
        self.stop.store(true, Relaxed);
        let mut sent = (0, 0);
        for sender in self.running {
            let acknowledged = sender.await.unwrap().acknowledged;
            sent = (sent.0 + acknowledged.spans, sent.1 + acknowledged.logs);
        }
        sent
    }
}

async fn send_until(mut client: Client, stop: Arc<AtomicBool>) -> Client {
    let mut unanswered: Option<Request> = None;
    while !stop.load(Relaxed) || unanswered.is_some() {
        let request = match unanswered.take() {
            Some(request) => request,
            None if client.acknowledged.spans <= client.acknowledged.logs => client.spans(40),
            None => client.logs(40),
        };
        let begun = Instant::now();
        let acknowledged = client.send_once(&request).await;
        assert!(begun.elapsed() < ANSWER_LIMIT, "a request without an answer for {:?}", begun.elapsed());
        if !acknowledged {
            unanswered = Some(request);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    client
}

/// Everything acknowledged is stored, once, in rows, traces and derived counts.
async fn found_exactly_once(ask: &Ask, (spans, logs): (u64, u64)) {
    assert!(spans > 500 && logs > 500, "too little was sent to prove anything: {spans} spans, {logs} logs");
    assert_eq!(ask.sql_count("select count(*) from spans").await, spans, "spans acknowledged and stored");
    assert_eq!(ask.sql_count("select count(*) from logs").await, logs, "log records acknowledged and stored");
    nothing_twice(ask).await;
}

async fn nothing_twice(ask: &Ask) {
    let spans = ask.sql_count("select count(*) from spans").await;
    assert_eq!(ask.sql_count("select count(distinct span_id) from spans").await, spans, "distinct spans");
    let logs = ask.sql_count("select count(*) from logs").await;
    assert_eq!(ask.sql_count("select count(distinct body) from logs").await, logs, "distinct log records");
    assert_eq!(ask.sql_count("select sum(span_count) from traces").await, spans, "spans counted by traces");
    let derived = "select sum(count) from metrics_10s where metric = 'traces.span.metrics.duration'";
    assert_eq!(ask.sql_count(derived).await, spans, "spans counted by metrics");
}
