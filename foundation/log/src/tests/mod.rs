//! Promises of the log, each proved on the simulated disk.

mod backup;
mod crash;
mod damage;
mod damage_at_rest;
mod faults;
mod lifecycle;
mod real;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use daymark_model::{AgentId, LogOffset, Stamp, TenantId, UnixNanos};
use tokio::runtime::Runtime;

use crate::segment::FRAMES_START;
use crate::{Durable, Frame, FrameKind, IngestLog, LogError, LogOptions, NewFrame, Recovered};
use daymark_guard::sim::SimFileSystem;

const DIR: &str = "/log";

/// Small segments, so that a few dozen frames fill several.
fn options() -> LogOptions {
    LogOptions {
        dir: PathBuf::from(DIR),
        segment_bytes: FRAMES_START + 4096,
        commit_bytes: 2048,
        commit_interval_ms: 1,
        max_frame_bytes: 64 << 10,
        queue_bytes: 1 << 20,
        min_free_bytes: 0,
        max_spares: 3,
        quarantine_bytes: 1 << 20,
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The `n`th frame of a test: all its fields follow from `n`.
fn frame(n: u64) -> NewFrame {
    let stamp = Stamp { agent: AgentId([n as u8; 16]), epoch: n, sequence: n + 1 };
    let kinds = [FrameKind::Traces, FrameKind::Logs, FrameKind::Metrics, FrameKind::Batch];
    NewFrame {
        kind: kinds[n as usize % 4],
        tenant: if n.is_multiple_of(3) { TenantId::default() } else { TenantId::parse("acme-1").unwrap() },
        stamp: n.is_multiple_of(2).then_some(stamp),
        content_hash: u128::from(n) << 64 | 7,
        received: UnixNanos(n * 1_000),
        payload: Bytes::from(vec![n as u8 ^ 0x5a; (n as usize * 37) % 300]),
    }
}

fn open(fs: &SimFileSystem, from: u64) -> (IngestLog, Recovered) {
    try_open(fs, options(), from).unwrap()
}

fn try_open(fs: &SimFileSystem, options: LogOptions, from: u64) -> Result<(IngestLog, Recovered), LogError> {
    IngestLog::open(options, fs.boot(), LogOffset(from))
}

/// Appends frames `numbers` all at once and waits for every outcome.
async fn append_all(log: &IngestLog, numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, Result<Durable, LogError>)> {
    let tasks: Vec<_> = numbers
        .into_iter()
        .map(|n| {
            let log = log.clone();
            (n, tokio::spawn(async move { log.append(frame(n)).await }))
        })
        .collect();
    let mut outcomes = Vec::new();
    for (n, task) in tasks {
        outcomes.push((n, task.await.unwrap()));
    }
    outcomes
}

/// Frame `n` as it must come back from `offset`.
fn expected(offset: LogOffset, n: u64) -> Frame {
    Frame::new(offset, frame(n))
}

fn all(recovered: Recovered) -> Vec<Frame> {
    recovered.frames.map(Result::unwrap).collect()
}

/// Writes frames `0..count` one commit each, closes or drops the log, and returns the frames as they were acknowledged.
fn written(fs: &SimFileSystem, count: u64, close: bool) -> Vec<Frame> {
    runtime().block_on(async {
        let (log, _) = open(fs, 0);
        let _consumer = log.subscribe(usize::MAX);
        let mut frames = Vec::new();
        for n in 0..count {
            frames.push(expected(log.append(frame(n)).await.unwrap().offset, n));
        }
        if close {
            log.close().await.unwrap();
        } else {
            fs.kill();
        }
        frames
    })
}

fn log_files(fs: &SimFileSystem) -> Vec<PathBuf> {
    files_named(fs, "log")
}

fn files_named(fs: &SimFileSystem, extension: &str) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    fs.files(Path::new(DIR)).into_iter().filter(is_one).collect()
}

fn real() -> Arc<crate::RealFileSystem> {
    Arc::new(crate::RealFileSystem)
}
