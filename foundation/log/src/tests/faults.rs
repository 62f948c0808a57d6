//! Failed syncs, short writes, full disks, full queues.

use std::time::Duration;

use daymark_model::{Classify, ErrorClass, Refusal};

use super::*;

/// Until the keeper has a spare ready and nothing else to do.
async fn settle(log: &IngestLog, bytes: u64) {
    for _ in 0..2_000 {
        if log.stats().bytes >= bytes {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the keeper prepared nothing");
}

fn check_poison(break_disk: impl FnOnce(&SimFileSystem)) {
    let fs = SimFileSystem::new(3);
    let (log, _) = open(&fs, 0);
    let acknowledged = runtime().block_on(async {
        let mut consumer = log.subscribe(usize::MAX);
        let first = log.append(frame(1)).await.unwrap();
        settle(&log, 2 * options().segment_bytes).await;
        break_disk(&fs);
        assert!(matches!(log.append(frame(2)).await, Err(LogError::Poisoned { .. })));
        // It stays so although the disk would work again, and says so.
        let later = log.append(frame(3)).await.unwrap_err();
        assert_eq!(later.class(), ErrorClass::Retry);
        assert!(matches!(log.failed().await, LogError::Poisoned { .. }));
        assert_eq!(log.durable(), first.offset);
        // What was durable is still delivered; then the stream ends.
        assert_eq!(consumer.recv().await, Some(expected(first.offset, 1)));
        assert_eq!(consumer.recv().await, None);
        assert!(log.close().await.is_err());
        first.offset
    });
    fs.crash();
    let (_log, recovered) = open(&fs, 0);
    assert_eq!(all(recovered)[0], expected(acknowledged, 1));
}

#[test]
fn a_failed_sync_ends_the_log_and_is_never_retried() {
    check_poison(|fs| fs.fail_sync_after(0));
}

#[test]
fn a_short_write_ends_the_log() {
    check_poison(|fs| fs.short_write_after(0));
}

/// Scenario: the disk fills up, then space comes back because segments are released.
/// Guarantee: new data is refused, what is stored stays readable, the log goes on by itself.
#[test]
fn a_full_disk_refuses_new_data_and_nothing_else() {
    let fs = SimFileSystem::new(4);
    fs.set_capacity(5 * options().segment_bytes);
    let (log, _) = open(&fs, 0);
    runtime().block_on(async {
        let mut consumer = log.subscribe(usize::MAX);
        let mut stored = Vec::new();
        let refused = loop {
            let n = stored.len() as u64;
            match log.append(frame(n)).await {
                Ok(durable) => stored.push(expected(durable.offset, n)),
                Err(error) => break error,
            }
            assert!(n < 1_000, "the disk must fill up");
        };
        assert!(matches!(refused, LogError::DiskFull { .. }), "{refused}");
        assert_eq!(Refusal::from(refused).retry_after_ms, Some(1_000));
        assert!(log.stats().disk_full);
        for frame in &stored {
            assert_eq!(consumer.recv().await.as_ref(), Some(frame));
        }
        log.release(stored[stored.len() / 2].offset);
        let n = stored.len() as u64;
        let offset = loop {
            match log.append(frame(n)).await {
                Ok(durable) => break durable.offset,
                Err(error) => assert!(matches!(error, LogError::DiskFull { .. }), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(offset, stored[stored.len() - 1].offset.next());
        assert_eq!(consumer.recv().await, Some(expected(offset, n)));
        log.close().await.unwrap();
    });
}

#[test]
fn a_log_opens_on_a_full_disk_and_serves_reads() {
    let fs = SimFileSystem::new(5);
    let frames = written(&fs, 30, true);
    fs.set_capacity(0);
    let (log, recovered) = open(&fs, 0);
    assert_eq!(all(recovered), frames);
    runtime().block_on(async {
        // The spare of the last run would do, but the disk is below its limit once `min_free_bytes` counts.
        log.close().await.unwrap();
        let options = LogOptions { min_free_bytes: 1, ..options() };
        let (log, _) = try_open(&fs, options, 0).unwrap();
        assert!(matches!(log.append(frame(1)).await, Err(LogError::DiskFull { .. })));
        log.close().await.unwrap();
    });
}

/// Scenario: spares are kept, then something else fills the disk.
/// Guarantee: all but one are given back before anything is refused.
#[test]
fn a_full_disk_gets_spares_back() {
    let fs = SimFileSystem::new(5);
    written(&fs, 60, true);
    let (log, _) = open(&fs, 60);
    runtime().block_on(async {
        log.release(LogOffset(60));
        while log.stats().segments > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        log.close().await.unwrap();
    });
    assert_eq!(files_named(&fs, "spare").len(), options().max_spares);
    let used = fs.files(Path::new(DIR)).iter().filter_map(|path| fs.contents(path)).map(|file| file.len() as u64).sum();
    fs.set_capacity(used);
    let (log, _) = try_open(&fs, LogOptions { min_free_bytes: 1, ..options() }, 60).unwrap();
    runtime().block_on(async {
        log.append(frame(60)).await.unwrap();
        log.close().await.unwrap();
    });
}

/// Scenario: nobody consumes.
/// Guarantee: the log stops committing at the consumer's limit, then refuses; it goes on when frames are taken.
#[test]
fn a_slow_consumer_stops_the_log_with_bounded_memory() {
    let fs = SimFileSystem::new(6);
    let options = LogOptions { queue_bytes: 4_000, ..options() };
    let (log, _) = try_open(&fs, options, 0).unwrap();
    runtime().block_on(async {
        let mut consumer = log.subscribe(1_000);
        let (accepted, refused): (Vec<_>, Vec<_>) = {
            let tasks: Vec<_> = (0..100)
                .map(|n| {
                    let log = log.clone();
                    tokio::spawn(async move { log.append(frame(n)).await })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(50)).await;
            let stats = log.stats();
            assert!(stats.queued_bytes <= 4_000 && stats.undelivered_bytes <= 1_000 + 2_048 + 512, "{stats:?}");
            let mut taken = 0;
            let mut outcomes = Vec::new();
            for task in tasks {
                while !task.is_finished() {
                    let next = tokio::time::timeout(Duration::from_millis(5), consumer.recv()).await;
                    taken += usize::from(next.is_ok_and(|frame| frame.is_some()));
                }
                outcomes.push(task.await.unwrap());
            }
            assert!(taken > 0);
            outcomes.into_iter().partition(Result::is_ok)
        };
        assert!(!accepted.is_empty());
        assert!(!refused.is_empty());
        for error in refused.into_iter().filter_map(Result::err) {
            assert_eq!(error.class(), ErrorClass::Overload, "{error}");
        }
        log.close().await.unwrap();
    });
}
