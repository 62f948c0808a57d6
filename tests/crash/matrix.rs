//! The crash matrix: under load the process kills itself (SIGKILL, by `DAYMARK_KILL_AT`) at each named step on the way of
//! data to disk and off it. Clients send again, byte for byte, what was not acknowledged. Afterwards everything is there
//! exactly once, and every table equals that of a run on the same input which nothing disturbed.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};

use daymark_guard::fault::Step;
use daymark_guard::{Clock, SystemClock};
use daymark_model::UnixNanos;
use daymark_tests::{Ask, Client, Request, Role, System, SystemOptions};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

const SECOND_NS: u64 = 1_000_000_000;
const SENDERS: u64 = 3;
/// A sender's pause between two requests, so that the load lasts until the step is reached.
const PAUSE: Duration = Duration::from_millis(40);
/// A step that is not reached within this is never reached.
const LIMIT: Duration = Duration::from_secs(30);
/// Rows of three days ago are older than the retention of these tests.
const OLD_NS: u64 = 3 * 86_400 * SECOND_NS;

/// Steps, each with the time at which it ends a life of the process.
type Lives = [(Step, u32)];

const LOG: &Lives = &[
    (Step::LogTornWrite, 4),
    (Step::LogBeforeSync, 6),
    (Step::LogAfterSync, 8),
    (Step::LogAfterAck, 10),
    (Step::LogBeforeRename, 1),
];
const SEAL: &Lives =
    &[(Step::SegmentWritten, 3), (Step::IndexWritten, 2), (Step::SealBeforeCommit, 5), (Step::SealAfterCommit, 7)];
const TRIM_AND_COMPACT: &Lives = &[
    (Step::TrimBeforeSnapshot, 3),
    (Step::TrimAfterSnapshot, 5),
    (Step::TrimAfterRemoval, 1),
    (Step::CompactBeforeCommit, 1),
    (Step::CompactAfterCommit, 1),
];
/// The seal leaves files behind that no commit names: they are what is deleted.
const RETAIN: &Lives = &[
    (Step::RetainBeforeCommit, 1),
    (Step::RetainAfterCommit, 1),
    (Step::SealBeforeCommit, 4),
    (Step::RetainAfterDeletion, 1),
];

#[test]
fn every_step_is_in_the_matrix() {
    let lives = || [LOG, SEAL, TRIM_AND_COMPACT, RETAIN].into_iter().flatten();
    let missing: Vec<&str> =
        Step::ALL.into_iter().filter(|step| !lives().any(|(there, _)| there == step)).map(Step::name).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_each_step_of_the_log_changes_nothing() {
    survives(LOG, 31).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_each_step_of_a_seal_changes_nothing() {
    survives(SEAL, 32).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_each_step_of_trim_and_compaction_changes_nothing() {
    survives(TRIM_AND_COMPACT, 33).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_each_step_of_retention_changes_nothing() {
    survives(RETAIN, 34).await;
}

fn options() -> SystemOptions {
    let arguments =
        ["--compact-interval-ms", "200", "--splice-bytes", "0", "--retention-days", "1", "--retention-check-s", "1"];
    let arguments = arguments.into_iter().chain(["--self-telemetry", "false"]).map(str::to_owned).collect();
    SystemOptions { seal_interval_ms: Some(150), arguments, ..SystemOptions::default() }
}

/// Requests, in order, and how many items they hold.
struct Input {
    requests: Vec<Request>,
    old: Vec<Request>,
    spans: u64,
    logs: u64,
    /// Before it lies only what `old` brings.
    begins: u64,
}

/// Spans of a trace come in two requests some way apart; times spread over ten minutes.
fn input(lives: usize, seed: u64) -> Input {
    let now = SystemClock.now();
    let mut client = Client::new(String::new(), seed);
    let (mut requests, mut late) = (Vec::new(), VecDeque::new());
    let pairs = 60 * lives as u64;
    for pair in 0..pairs {
        client.at = Some(now.minus((600 - 600 * pair / pairs) * SECOND_NS));
        let (early, rest) = split(&client.spans(10));
        requests.push(early);
        requests.push(client.logs(8));
        late.push_back(rest);
        if late.len() > 5 {
            requests.extend(late.pop_front());
        }
    }
    requests.extend(late);
    client.at = Some(now.minus(OLD_NS));
    let old = vec![client.spans(20), client.logs(20)];
    let of = |signal: &str| requests.iter().filter(|one| one.signal == signal).map(|one| one.items).sum();
    let (spans, logs) = (of("traces"), of("logs"));
    Input { requests, old, spans, logs, begins: now.minus(OLD_NS / 2).0 }
}

/// The same spans in two requests, each with a part of every trace. Roots start first.
fn split(request: &Request) -> (Request, Request) {
    let part = |odd: bool| {
        let mut message = ExportTraceServiceRequest::decode(&request.body[..]).unwrap();
        let mut items = 0;
        for scope in message.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
            let roots = scope.spans.iter_mut().filter(|span| span.parent_span_id.is_empty());
            roots.for_each(|root| root.start_time_unix_nano = root.end_time_unix_nano - SECOND_NS);
            scope.spans.retain(|span| (span.span_id[7] % 2 == 1) == odd);
            items += scope.spans.len() as u64;
        }
        message.resource_spans.retain(|resource| resource.scope_spans.iter().any(|scope| !scope.spans.is_empty()));
        Request { signal: "traces", items, body: message.encode_to_vec() }
    };
    (part(false), part(true))
}

type Queue = Arc<Mutex<VecDeque<Request>>>;

/// Sends what is in the queue until it is empty or the process is dead; puts back what got no acknowledgement.
async fn send(mut client: Client, queue: Queue, pause: Duration, dead: Arc<AtomicBool>) {
    while !dead.load(Relaxed) {
        let Some(request) = queue.lock().unwrap().pop_front() else { return };
        while !client.send_once(&request).await {
            if dead.load(Relaxed) {
                queue.lock().unwrap().push_front(request);
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(pause).await;
    }
}

struct Senders {
    dead: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Senders {
    fn start(system: &System, queue: &Queue, pause: Duration) -> Senders {
        let dead = Arc::new(AtomicBool::new(false));
        let task = |_| {
            let client = Client::new(system.otlp_http(), 0);
            tokio::spawn(send(client, Arc::clone(queue), pause, Arc::clone(&dead)))
        };
        Senders { tasks: (0..SENDERS).map(task).collect(), dead }
    }

    async fn end(self) {
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Starts the process, which is to end at `step`, and loads it until it has.
async fn live_until(system: &mut System, (step, times): (Step, u32), input: &Input, queue: &Queue) {
    let begun = Instant::now();
    system.options.env = vec![("DAYMARK_KILL_AT".to_owned(), format!("{}:{times}", step.name()))];
    system.launch_role(Role::Up);
    match step {
        // Alone in their segments, which therefore go as a whole.
        Step::RetainBeforeCommit => publish_alone(system, &input.old).await,
        Step::RetainAfterDeletion => age_files(&system.data_dir().join("tables")),
        _ => {}
    }
    let senders = Senders::start(system, queue, PAUSE);
    let ended = tokio::task::block_in_place(|| system.signal_of(Role::Up, LIMIT));
    senders.dead.store(true, Relaxed);
    senders.end().await;
    let name = step.name();
    let (signal, output) = ended.unwrap_or_else(|| panic!("{name} was not reached in {LIMIT:?}"));
    assert_eq!(signal, Some(9), "{name}: the process did not kill itself\n{output}");
    println!("{name}:{times} after {:?}, {} requests left", begun.elapsed(), queue.lock().unwrap().len());
}

/// Sends requests and waits until all their rows are in files.
async fn publish_alone(system: &System, requests: &[Request]) {
    let mut client = Client::new(system.otlp_http(), 0);
    for request in requests {
        client.send(request).await;
    }
    let begun = Instant::now();
    for table in ["spans", "logs", "traces", "metrics_10s", "metrics_1d"] {
        while segments(&system.data_dir().join("tables/default").join(table)) == 0 {
            assert!(begun.elapsed() < LIMIT, "{table} is not published");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn segments(table: &Path) -> usize {
    let Ok(files) = std::fs::read_dir(table) else { return 0 };
    files.flatten().filter(|file| file.file_name().to_string_lossy().ends_with(".parquet")).count()
}

/// As if the machine had stood still for two hours: what nobody needs is past its grace.
fn age_files(dir: &Path) {
    let then = UNIX_EPOCH + Duration::from_nanos(SystemClock.now().0) - Duration::from_secs(7_200);
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => age_files(&path),
            path => {
                // Gone meanwhile: a temporary file.
                let _ = std::fs::File::options().append(true).open(path).and_then(|file| file.set_modified(then));
            }
        }
    }
}

/// One life after the other, then the rest of the input; the same input undisturbed; both alike.
async fn survives(lives: &Lives, seed: u64) {
    let input = input(lives.len(), seed);
    let queue: Queue = Arc::new(Mutex::new(input.requests.iter().cloned().collect()));
    let mut system = System::start(options());
    system.kill(Role::Up);
    for life in lives {
        live_until(&mut system, *life, &input, &queue).await;
        assert!(!queue.lock().unwrap().is_empty(), "there was no load until {}", life.0.name());
    }
    system.options.env.clear();
    system.start_role(Role::Up);
    Senders::start(&system, &queue, Duration::ZERO).end().await;
    let disturbed = told(&system.ask(), &input).await;
    system.ask().ledger_balances().await;
    system.stop();

    let system = System::start(options());
    let queue: Queue = Arc::new(Mutex::new(input.requests.iter().cloned().collect()));
    Senders::start(&system, &queue, Duration::ZERO).end().await;
    let expected = told(&system.ask(), &input).await;
    system.stop();
    for (what, rows) in expected {
        let got = &disturbed[what];
        let other = rows.iter().zip(got).find(|(row, got)| row != got);
        assert!(other.is_none(), "{what}: {other:#?}");
        assert_eq!(rows.len(), got.len(), "{what}");
    }
}

/// What readers are told of the input, by table, sorted.
async fn told(ask: &Ask, input: &Input) -> BTreeMap<&'static str, Vec<String>> {
    let begins = input.begins;
    for (table, id, time, sent) in
        [("spans", "span_id", "start_time_unix_nano", input.spans), ("logs", "body", "time_unix_nano", input.logs)]
    {
        let query = format!("select count(distinct {id}) from {table} where {time} > {begins}");
        ask.sql_count_becomes(&query, sent, Duration::from_secs(5)).await;
        let query = format!("select count(*) from {table} where {time} > {begins}");
        assert_eq!(ask.sql_count(&query).await, sent, "{table}: a row is there twice");
    }
    let mut told = BTreeMap::new();
    let spans = "trace_id, span_id, parent_span_id, service_name, name, kind, start_time_unix_nano, duration_ns, status, \
                 status_message, attributes, attribute_types, resource_attributes";
    let logs = "time_unix_nano, observed_time_unix_nano, service_name, severity, body, body_type, trace_id, attributes, \
                resource_attributes";
    let traces = "trace_id, root_service, root_name, start_time_unix_nano, duration_ns, span_count, error_count, services, \
                  correlation_ids, state";
    for (table, columns, time) in [
        ("spans", spans, "start_time_unix_nano"),
        ("logs", logs, "time_unix_nano"),
        ("traces", traces, "start_time_unix_nano"),
    ] {
        told.insert(table, sorted(ask, &format!("select {columns} from {table} where {time} > {begins}")).await);
    }
    for table in ["metrics_10s", "metrics_1m", "metrics_1h", "metrics_1d"] {
        // The day of the input begins before it.
        let begins = UnixNanos(begins).window(86_400 * SECOND_NS).0;
        let query = format!(
            "select metric, series_id, time_unix_nano, sum(count), sum(sum), min(min), max(max), max(err_bound), \
             hdr_quantile(hdr_merge(hist), 0.5), hdr_quantile(hdr_merge(hist), 0.99) from {table} \
             where time_unix_nano >= {begins} group by 1, 2, 3"
        );
        told.insert(table, sorted(ask, &query).await);
    }
    told.insert(
        "series",
        sorted(ask, &format!("select distinct metric, kind, unit, series_id, service_name, attributes, time_unix_nano from series where time_unix_nano > {begins}")).await,
    );
    assert!(told.values().all(|rows| !rows.is_empty()), "nothing to compare");
    told
}

async fn sorted(ask: &Ask, query: &str) -> Vec<String> {
    let mut rows: Vec<String> =
        ask.sql(query).await.into_iter().map(|row| serde_json::to_string(&row).unwrap()).collect();
    rows.sort();
    rows
}
