//! A copy of a log that is in use.

use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::backup::{copy_listed, copy_segment, durable_part};
use crate::{RealFileSystem, copy_log};

/// The copy as a log of its own.
fn restored(copy: &crate::LogCopy, from: &Path, to: &Path) -> Recovered {
    fs::create_dir_all(to).unwrap();
    for segment in &copy.segments {
        fs::copy(from.join(&segment.stored), to.join(&segment.name)).unwrap();
    }
    open_small(to).1
}

/// A log of small segments on the real disk.
fn open_small(dir: &Path) -> (IngestLog, Recovered) {
    let options = LogOptions { segment_bytes: 64 << 10, min_free_bytes: 0, ..LogOptions::new(dir) };
    IngestLog::open(options, real(), LogOffset(0)).unwrap()
}

#[test]
fn a_copy_of_a_log_in_use_holds_every_frame_and_is_taken_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let (log_dir, to) = (dir.path().join("log"), dir.path().join("backup"));
    fs::create_dir_all(&to).unwrap();
    let runtime = runtime();
    let log = open_small(&log_dir).0;
    let _consumer = log.subscribe(usize::MAX);
    let mut frames = BTreeMap::new();
    let mut before = None;
    for (round, numbers) in [0..500, 500..800].into_iter().enumerate() {
        for (n, done) in runtime.block_on(append_all(&log, numbers)) {
            let offset = done.unwrap().offset;
            frames.insert(offset, expected(offset, n));
        }
        let copy = copy_log(&RealFileSystem, &log_dir, &to).unwrap();
        assert!(copy.is_whole);
        assert_eq!(Some(&copy.through), frames.keys().next_back());
        let recovered = restored(&copy, &to, &dir.path().join(format!("restored-{round}")));
        assert_eq!(recovered.damage, []);
        assert_eq!(all(recovered), frames.values().cloned().collect::<Vec<_>>());
        let reused = copy.segments.iter().filter(|segment| segment.reused).count();
        let sealed = before.replace(copy.segments.len()).map_or(0, |segments| segments - 1);
        assert_eq!(reused, sealed, "sealed segments are copied once");
    }
}

#[test]
fn a_copy_beside_a_writer_holds_what_was_durable_when_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let (log_dir, to) = (dir.path().join("log"), dir.path().join("backup"));
    fs::create_dir_all(&to).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let log = open_small(&log_dir).0;
    let _consumer = log.subscribe(usize::MAX);
    let writing = log.clone();
    let writer = runtime.spawn(async move {
        for batch in 0..60 {
            append_all(&writing, batch * 50..(batch + 1) * 50).await;
        }
    });
    for round in 0..8 {
        let durable = log.durable();
        let copy = copy_log(&RealFileSystem, &log_dir, &to).unwrap();
        assert!(copy.is_whole && copy.through >= durable, "{copy:?}");
        let recovered = restored(&copy, &to, &dir.path().join(format!("restored-{round}")));
        assert_eq!(recovered.damage, []);
        assert_eq!(recovered.frames.map(Result::unwrap).count() as u64, copy.through.0, "none is missing");
    }
    runtime.block_on(writer).unwrap();
}

#[test]
fn a_segment_that_is_sealed_while_it_is_copied_is_copied_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (log_dir, to) = (dir.path().join("log"), dir.path().join("backup"));
    fs::create_dir_all(&to).unwrap();
    let runtime = runtime();
    let log = open_small(&log_dir).0;
    let _consumer = log.subscribe(usize::MAX);
    runtime.block_on(append_all(&log, 0..100));
    let listed = crate::recover::list(&RealFileSystem, &log_dir).unwrap();
    let newest = listed.last().unwrap();
    let part = durable_part(newest).unwrap();
    // Meanwhile it gets more frames, is full, and is sealed.
    runtime.block_on(append_all(&log, 100..1_000));
    let copied = copy_segment(&RealFileSystem, newest, &part, &to).unwrap().expect("nothing of the part has changed");
    let copy = crate::LogCopy { segments: vec![copied], through: LogOffset(part.last), is_whole: true };
    let recovered = restored(&copy, &to, &dir.path().join("restored"));
    assert_eq!(recovered.damage, [], "frames that came after the copy began are not missed");
    assert_eq!(recovered.frames.map(Result::unwrap).last().unwrap().offset.0, part.last);
}

#[test]
fn a_copy_during_which_segments_go_away_is_void() {
    let dir = tempfile::tempdir().unwrap();
    let (log_dir, to) = (dir.path().join("log"), dir.path().join("backup"));
    fs::create_dir_all(&to).unwrap();
    let runtime = runtime();
    let log = open_small(&log_dir).0;
    let _consumer = log.subscribe(usize::MAX);
    runtime.block_on(append_all(&log, 0..1_000));
    let listed = crate::recover::list(&RealFileSystem, &log_dir).unwrap();
    let segments = log.stats().segments;
    log.release(LogOffset(900));
    for _ in 0..1_000 {
        if log.stats().segments < segments {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(!copy_listed(&RealFileSystem, &log_dir, &to, listed).unwrap().is_whole);
    assert!(copy_log(&RealFileSystem, &log_dir, &to).unwrap().is_whole);
}
