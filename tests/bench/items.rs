//! `cargo bench`: what one item costs in each stage that is our own, in CPU time, on the payloads of `otlpload`.
//!
//! CPU time of the whole process, not wall time: machines are noisy, and work moves between threads. The figures of the
//! whole system, with sockets and queries, come from `make bench`.
#![expect(clippy::print_stdout, reason = "printing figures is its purpose")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use daymark_collector::{Collector, CollectorOptions};
use daymark_guard::{Drain, SystemClock};
use daymark_log::LogOptions;
use daymark_model::{Signal, TenantId, TimeRange};
use daymark_sketch::Sketch;
use daymark_store::{CompactOptions, Reader, Store, TableName};
use daymark_trace::{Analysis, Span};
use daymark_wire::{DecodeLimits, Ingest, IngestRequest, Payload, check, content_hash};
use tempfile::TempDir;
use tokio::task::JoinSet;

const ITEMS: u64 = 200_000;
/// 100 steps of 14,000 series, as in the measurements of rivals: 45,200 series and 4.52 M samples in their counting.
const METRIC_POINTS: u64 = 1_400_000;
const REQUESTS_IN_FLIGHT: usize = 32;
/// CPU seconds that a measurement lasts at least.
const ENOUGH_S: f64 = 1.0;

fn main() {
    // Cargo passes `--bench`; any other argument selects by name.
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part.as_str()));
    println!("{:<28} {:>12} {:>16} {:>12}", "stage", "ns CPU/item", "items/CPU-s", "MB/CPU-s");
    let dir = tempfile::tempdir().unwrap();
    for (signal, kind) in [(Signal::Traces, "traces"), (Signal::Logs, "logs"), (Signal::Metrics, "metrics")] {
        let name = format!("wire: walk {kind}");
        let stored = format!("collector: store {kind}");
        if !wanted(&name) && !wanted(&stored) {
            continue;
        }
        let requests = generate(dir.path(), kind, ITEMS);
        if wanted(&name) {
            walk(&name, signal, &requests);
        }
        if wanted(&stored) {
            store(&stored, signal, &requests);
        }
    }
    if wanted("metrics: compact") {
        compact_metrics(&generate(dir.path(), "metrics", METRIC_POINTS));
    }
    if wanted("trace: ") {
        trace();
    }
    if wanted("sketch") {
        sketch();
    }
}

/// A request and its items.
type Request = (Bytes, u64);

/// `otlpload gen`: repeated `length u32, items u32, payload`, little-endian.
fn generate(dir: &Path, kind: &str, items: u64) -> Vec<Request> {
    let file = dir.join(kind);
    let made = Command::new(env!("CARGO_BIN_EXE_otlpload"))
        .args(["gen", kind, file.to_str().unwrap(), &items.to_string(), "batch=1000"])
        .output()
        .unwrap();
    assert!(made.status.success(), "otlpload: {}", String::from_utf8_lossy(&made.stderr));
    let mut rest = Bytes::from(std::fs::read(&file).unwrap());
    let mut requests = Vec::new();
    while !rest.is_empty() {
        let head = rest.split_to(8);
        let [length, items] = [&head[..4], &head[4..]].map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        requests.push((rest.split_to(length as usize), u64::from(items)));
    }
    requests
}

fn walk(name: &str, signal: Signal, requests: &[Request]) {
    let limits = DecodeLimits::default();
    let (items, bytes) = totals(requests);
    measure(name, items, bytes, || {
        for (payload, items) in requests {
            let walked = check(signal, payload, &limits).unwrap();
            assert_eq!((walked.items, walked.rejected), (*items, 0));
        }
    });
}

/// From the request's bytes to synced log, published segment and index.
fn store(name: &str, signal: Signal, requests: &[Request]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (items, bytes) = totals(requests);
    measure(name, items, bytes, || {
        let dir = tempfile::tempdir().unwrap();
        runtime.block_on(store_once(&dir, signal, requests));
    });
}

async fn store_once(dir: &TempDir, signal: Signal, requests: &[Request]) {
    let drain = Drain::new();
    let options = CollectorOptions::new(dir.path().to_owned(), LogOptions::new(dir.path().join("log")));
    let collector = Collector::start(options, Arc::new(SystemClock), drain.clone()).await.unwrap();
    let mut waiting = JoinSet::new();
    for (payload, _) in requests {
        if waiting.len() == REQUESTS_IN_FLIGHT {
            waiting.join_next().await.unwrap().unwrap();
        }
        let request = IngestRequest {
            tenant: TenantId::default(),
            content_hash: content_hash(signal, payload),
            payload: Payload::Signal(signal, payload.clone()),
            stamp: None,
            closed_until: None,
            checked: None,
        };
        let collector = collector.clone();
        waiting.spawn(async move { assert_eq!(collector.ingest(request).await.unwrap().rejected_items, 0) });
    }
    while let Some(done) = waiting.join_next().await {
        done.unwrap();
    }
    drain.begin();
    assert!(drain.finished(std::time::Duration::from_secs(60)).await, "the store comes to rest");
}

/// Compaction of the metric tables, and the bytes that are left: each point becomes one 10 s row.
fn compact_metrics(requests: &[Request]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (points, _) = totals(requests);
    let dir = tempfile::tempdir().unwrap();
    let started = cpu_s();
    runtime.block_on(store_once(&dir, Signal::Metrics, requests));
    println!("{:<28} {:>12.1}", "metrics: store", (cpu_s() - started) * 1e9 / points as f64);
    let store = Arc::new(Store::open_local(dir.path()).unwrap());
    let tables: Vec<TableName> = TableName::ALL.into_iter().filter(|table| table.is_sorted_by_series()).collect();
    let before = runtime.block_on(bytes_of(&store, &tables));
    let started = cpu_s();
    let options = CompactOptions { fan_in: 2, ..CompactOptions::default() };
    for table in &tables {
        let table = store.table(&TenantId::default(), *table);
        let mut skip = HashSet::new();
        while runtime.block_on(table.compact(&options, &mut skip)).unwrap().is_some() {}
    }
    println!("{:<28} {:>12.1}", "metrics: compact", (cpu_s() - started) * 1e9 / points as f64);
    let after = runtime.block_on(bytes_of(&store, &tables));
    for (table, (before, after)) in tables.iter().zip(before.into_iter().zip(after)) {
        let (bytes_before, bytes_after) = (before.values().sum::<u64>(), after.values().sum::<u64>());
        println!(
            "{table}: {bytes_before} B, compacted {bytes_after} B, {:.2} a point",
            bytes_after as f64 / points as f64
        );
        for (column, bytes) in after.iter().filter(|(_, bytes)| **bytes > points / 200) {
            println!("    {column:<36} {:.3}", *bytes as f64 / points as f64);
        }
    }
}

/// Compressed bytes of each table by column.
async fn bytes_of(store: &Arc<Store>, tables: &[TableName]) -> Vec<BTreeMap<String, u64>> {
    let reader = Reader::new(Arc::clone(store), None);
    let mut all = Vec::new();
    for table in tables {
        let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
        let view = reader.view(&TenantId::default(), *table, TimeRange::ALL).await.unwrap();
        for segment in &view.segments {
            let footer = segment.footer().await.unwrap();
            for column in footer.row_groups().iter().flat_map(|group| group.columns()) {
                *bytes.entry(column.column_path().string()).or_default() += column.compressed_size() as u64;
            }
        }
        all.push(bytes);
    }
    all
}

/// Clocks, self times and the critical path, a span: traces of ten and one of 100,000, over four hosts that disagree.
fn trace() {
    const SPANS: u64 = 100_000;
    let span = |id: u64, size: u64| Span {
        id: id * 0x9e37_79b9,
        parent: if id.is_multiple_of(size) { 0 } else { (id - 1 - id % size / 4) * 0x9e37_79b9 },
        start: 1_700_000_000_000_000_000 + id % size * 1_000 + id % 4 * 1_000_000_000,
        duration: 1_000_000_000 - id % size * 10_000,
        clock: (id % 4) as u16,
        service: (id % 4) as u16,
        ..Span::default()
    };
    for (name, size) in [("trace: analyse, 10 spans", 10), ("trace: analyse, 100,000 spans", SPANS)] {
        let spans: Vec<Span> = (SPANS..2 * SPANS).map(|id| span(id, size)).collect();
        let mut analysis = Analysis::default();
        measure(name, SPANS, 0, || {
            spans.chunks(size as usize).for_each(|trace| assert!(analysis.of(trace).root().is_some()));
        });
    }
}

fn sketch() {
    const VALUES: u64 = 1_000_000;
    // A latency-like spread: 0.1 ms to some seconds.
    let values: Vec<u64> = (0..VALUES).map(|i| 100_000 + (i * 2_654_435_761) % (1 << (17 + i % 16))).collect();
    measure("sketch: record", VALUES, 0, || {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.record(*value));
        assert_eq!(sketch.count(), VALUES);
    });
    let parts: Vec<Sketch> = values.chunks(1_000).map(filled).collect();
    measure("sketch: merge", parts.len() as u64, 0, || {
        let mut all = Sketch::default();
        parts.iter().for_each(|part| all.merge(part));
        assert_eq!(all.count(), VALUES);
    });
    let encoded: Vec<Vec<u8>> = parts.iter().map(Sketch::encode).collect();
    let bytes = encoded.iter().map(|bytes| bytes.len() as u64).sum();
    measure("sketch: decode", encoded.len() as u64, bytes, || {
        let count: u64 = encoded.iter().map(|bytes| Sketch::decode(bytes).unwrap().count()).sum();
        assert_eq!(count, VALUES);
    });
}

fn filled(values: &[u64]) -> Sketch {
    let mut sketch = Sketch::default();
    values.iter().for_each(|value| sketch.record(*value));
    sketch
}

fn totals(requests: &[Request]) -> (u64, u64) {
    (requests.iter().map(|(_, items)| items).sum(), requests.iter().map(|(payload, _)| payload.len() as u64).sum())
}

/// Repeats `work`, which handles `items` items of `bytes` bytes, for a CPU second or more, and prints its cost.
fn measure(name: &str, items: u64, bytes: u64, mut work: impl FnMut()) {
    work();
    let (started, mut rounds) = (cpu_s(), 0.0);
    while rounds == 0.0 || cpu_s() - started < ENOUGH_S {
        work();
        rounds += 1.0;
    }
    let spent = (cpu_s() - started) / rounds;
    let rate = match bytes {
        0 => "-".to_owned(),
        bytes => format!("{:.1}", bytes as f64 / 1e6 / spent),
    };
    println!("{name:<28} {:>12.1} {:>16.0} {rate:>12}", spent * 1e9 / items as f64, items as f64 / spent);
}

/// CPU time of all threads that live, and of those that ended, seconds (`/proc/self/stat`, fields 14 and 15).
fn cpu_s() -> f64 {
    // Linux counts in hundredths on every platform we build for (USER_HZ).
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}
