//! Opening, ordering, replay, release, recycling, closing.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{InspectLine, InspectSummary, Next, inspect};

#[test]
fn frames_come_back_as_they_were_appended() {
    let fs = SimFileSystem::new(1);
    let frames = written(&fs, 100, true);
    assert!(log_files(&fs).len() > 3, "several segments");
    let (log, recovered) = open(&fs, 0);
    assert_eq!((recovered.first, recovered.last), (Some(LogOffset(1)), LogOffset(100)));
    assert_eq!(recovered.damage, []);
    assert_eq!(log.durable(), LogOffset(100));
    assert_eq!(all(recovered), frames);
}

#[test]
fn after_a_clean_close_numbers_go_on_without_a_gap() {
    let fs = SimFileSystem::new(1);
    written(&fs, 10, true);
    let (log, _) = open(&fs, 0);
    let next = runtime().block_on(log.append(frame(10))).unwrap().offset;
    assert_eq!(next, LogOffset(11));
}

#[test]
fn replay_starts_exactly_behind_the_offset_asked_for() {
    let fs = SimFileSystem::new(2);
    let frames = written(&fs, 80, true);
    for from in 0..=frames.len() {
        let (log, recovered) = open(&fs, from as u64);
        assert_eq!(all(recovered), frames[from..], "from {from}");
        drop(log);
        fs.kill();
    }
}

#[test]
fn the_consumer_gets_every_frame_once_and_in_order() {
    let fs = SimFileSystem::new(3);
    let (log, _) = open(&fs, 0);
    runtime().block_on(async {
        let outcomes = append_all(&log, 0..50).await;
        let mut consumer = log.subscribe(1 << 20);
        let mut frames: Vec<Frame> = outcomes.into_iter().map(|(n, done)| expected(done.unwrap().offset, n)).collect();
        frames.sort_by_key(|frame| frame.offset);
        for frame in frames {
            assert_eq!(consumer.recv().await, Some(frame));
        }
        assert!(consumer.try_recv().is_none());
        assert!(matches!(consumer.blocking_recv(Duration::from_millis(1)), Next::Idle));
        log.close().await.unwrap();
        assert!(matches!(consumer.blocking_recv(Duration::from_secs(5)), Next::Ended));
    });
}

#[test]
fn a_new_subscription_ends_the_former() {
    let fs = SimFileSystem::new(3);
    let (log, _) = open(&fs, 0);
    runtime().block_on(async {
        let mut old = log.subscribe(1 << 20);
        log.append(frame(0)).await.unwrap();
        let mut new = log.subscribe(1 << 20);
        assert_eq!(old.recv().await, None);
        drop(old);
        assert_eq!(new.recv().await.map(|frame| frame.offset), Some(LogOffset(1)));
    });
}

/// Guarantee: commits share syncs under load, and a lone append does not wait for company.
#[test]
fn appends_at_once_share_syncs_and_a_lone_one_does_not_wait() {
    let fs = SimFileSystem::new(4);
    let options = LogOptions { segment_bytes: 1 << 20, commit_bytes: 1 << 20, commit_interval_ms: 10_000, ..options() };
    let (log, _) = try_open(&fs, options, 0).unwrap();
    runtime().block_on(async {
        let lone = tokio::time::timeout(Duration::from_secs(5), log.append(frame(0))).await;
        assert!(lone.is_ok(), "a lone append waited for the interval");
    });
    let fs = SimFileSystem::new(4);
    let options = LogOptions { segment_bytes: 1 << 20, commit_bytes: 1 << 20, ..super::options() };
    let (log, _) = try_open(&fs, options, 0).unwrap();
    runtime().block_on(async {
        // The consumer is full after one frame, so that all others come while nothing is committed.
        let mut consumer = log.subscribe(1);
        log.append(frame(0)).await.unwrap();
        let others = append_all(&log, 1..500);
        let release = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(consumer.recv().await.is_some());
        };
        tokio::join!(others, release);
        let stats = log.stats();
        assert_eq!((stats.frames, stats.commits), (500, 2), "{stats:?}");
    });
}

#[test]
fn a_frame_larger_than_a_segment_gets_one_of_its_own() {
    let fs = SimFileSystem::new(5);
    let (log, _) = open(&fs, 0);
    let large = NewFrame { payload: Bytes::from(vec![9; 40 << 10]), ..frame(1) };
    let too_large = NewFrame { payload: Bytes::from(vec![9; (64 << 10) + 1]), ..frame(1) };
    runtime().block_on(async {
        log.append(frame(0)).await.unwrap();
        log.append(large.clone()).await.unwrap();
        log.append(frame(2)).await.unwrap();
        assert!(matches!(log.append(too_large).await, Err(LogError::TooLarge { .. })));
        log.close().await.unwrap();
    });
    let (_log, recovered) = open(&fs, 0);
    let frames = all(recovered);
    assert_eq!(frames, [expected(LogOffset(1), 0), Frame::new(LogOffset(2), large), expected(LogOffset(3), 2)]);
}

/// Guarantee: only whole released segments go, the newest never, and the numbers go on.
#[test]
fn released_segments_go_and_numbers_go_on() {
    let fs = SimFileSystem::new(6);
    let frames = written(&fs, 100, true);
    let before = log_files(&fs).len();
    let (log, _) = open(&fs, 100);
    let half = LogOffset(50);
    runtime().block_on(async {
        log.release(half);
        while log.stats().segments > before as u64 / 2 + 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        log.close().await.unwrap();
    });
    let (log, recovered) = open(&fs, 50);
    assert_eq!(recovered.damage, []);
    assert_eq!(all(recovered), frames[50..]);
    runtime().block_on(async {
        log.release(LogOffset(100));
        while log.stats().segments > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        log.close().await.unwrap();
    });
    let (log, _) = open(&fs, 0);
    let next = runtime().block_on(log.append(frame(0))).unwrap().offset;
    assert_eq!(next, LogOffset(101));
}

/// Scenario: many segments are released at once, then as much is written again, also by the next run.
/// Guarantee: as many as `max_spares` are used again, so that none is zeroed.
#[test]
fn segments_released_at_once_are_used_again() {
    let fs = SimFileSystem::new(7);
    let frames = written(&fs, 100, true);
    assert!(log_files(&fs).len() > 5, "{:?}", log_files(&fs));
    let (log, _) = open(&fs, 100);
    runtime().block_on(async {
        log.release(LogOffset(100));
        while log.stats().segments > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        log.close().await.unwrap();
    });
    let spares = files_named(&fs, "spare");
    assert_eq!(spares.len(), options().max_spares);
    let (log, _) = open(&fs, 100);
    runtime().block_on(async {
        let _consumer = log.subscribe(usize::MAX);
        for n in 100.. {
            log.append(frame(n)).await.unwrap();
            if log.stats().segments == 3 {
                break;
            }
        }
        log.close().await.unwrap();
    });
    let left = files_named(&fs, "spare");
    assert_eq!(left, spares[options().max_spares - left.len()..], "one was zeroed");
    assert_eq!(left.len(), 1);
    let (_log, recovered) = open(&fs, 100);
    assert_eq!(recovered.damage, []);
    assert!(all(recovered).len() > frames.len() / 10);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    /// Scenario: segments are released and recycled while the log is written, then power is lost.
    /// Guarantee: what was not released is there; nothing of the old content of a recycled file comes back.
    #[test]
    fn recycled_segments_never_show_their_past(seed: u64, stop_after in 20_u64..400, lag in 1_u64..40) {
        let fs = SimFileSystem::new(seed);
        let mut released = 0;
        let mut kept: Vec<Frame> = Vec::new();
        for life in 0..3_u64 {
            let (log, recovered) = open(&fs, released);
            prop_assert!(recovered.damage.iter().all(|damage| !damage.reason.is_alarming()), "{:?}", recovered.damage);
            let found = all(recovered);
            for frame in &found {
                prop_assert!(frame.offset.0 > released);
                prop_assert_eq!(frame, &expected(frame.offset, frame.received.0 / 1_000));
            }
            prop_assert!(found.windows(2).all(|pair| pair[0].offset < pair[1].offset));
            for frame in kept.iter().filter(|frame| frame.offset.0 > released) {
                prop_assert!(found.contains(frame));
            }
            kept = found;
            fs.stop_after(stop_after);
            runtime().block_on(async {
                let _consumer = log.subscribe(usize::MAX);
                for n in life * 1_000..life * 1_000 + 150 {
                    let Ok(durable) = log.append(frame(n)).await else { break };
                    kept.push(expected(durable.offset, n));
                    released = released.max(durable.offset.0.saturating_sub(lag));
                    log.release(LogOffset(released));
                }
            });
            fs.crash();
        }
    }
}

#[test]
fn offsets_that_others_know_are_not_given_out_again() {
    let fs = SimFileSystem::new(7);
    let (log, _) = open(&fs, 0);
    log.skip_to(LogOffset(500));
    runtime().block_on(async {
        assert_eq!(log.append(frame(0)).await.unwrap().offset, LogOffset(501));
        assert_eq!(log.append(frame(1)).await.unwrap().offset, LogOffset(502));
        log.close().await.unwrap();
    });
    let (_log, recovered) = open(&fs, 0);
    assert_eq!(recovered.damage, []);
    assert_eq!(all(recovered).len(), 2);
}

#[test]
fn only_one_process_writes() {
    let fs = SimFileSystem::new(7);
    let (log, _) = open(&fs, 0);
    assert!(matches!(try_open(&fs, options(), 0), Err(LogError::Locked { .. })));
    runtime().block_on(log.close()).unwrap();
    assert!(try_open(&fs, options(), 0).is_ok());
}

#[test]
fn a_closed_log_refuses() {
    let fs = SimFileSystem::new(8);
    let (log, _) = open(&fs, 0);
    let other = log.clone();
    runtime().block_on(async {
        log.close().await.unwrap();
        assert!(matches!(other.append(frame(0)).await, Err(LogError::Closed)));
    });
}

#[test]
fn inspection_shows_every_frame_and_all_damage() {
    let fs = SimFileSystem::new(9);
    let frames = written(&fs, 40, true);
    let file = log_files(&fs).remove(0);
    fs.damage(&file, |bytes| bytes[FRAMES_START as usize + 100] ^= 1);
    let lines: Vec<InspectLine> = inspect(fs.boot().as_ref(), Path::new(DIR)).unwrap().map(Result::unwrap).collect();
    let shown = |wanted: fn(&InspectLine) -> bool| lines.iter().filter(|line| wanted(line)).count();
    assert_eq!(shown(|line| matches!(line, InspectLine::Frame { .. })), frames.len() - 1);
    assert_eq!(shown(|line| matches!(line, InspectLine::Segment { .. })), log_files(&fs).len());
    assert_eq!(shown(|line| matches!(line, InspectLine::End { is_sealed: true, .. })), log_files(&fs).len());
    let damage: Vec<String> =
        lines.iter().filter(|line| matches!(line, InspectLine::Damage(_))).map(ToString::to_string).collect();
    assert_eq!(damage.len(), 1);
    assert!(damage[0].contains("at byte 8192") && damage[0].contains("1 frames lost"), "{damage:?}");
}

/// The sum of an inspection.
fn summed(fs: &SimFileSystem) -> InspectSummary {
    let mut summary = InspectSummary::default();
    inspect(fs.boot().as_ref(), Path::new(DIR)).unwrap().for_each(|line| summary.add(&line.unwrap()));
    summary
}

#[test]
fn a_summary_counts_damage_and_missing_segments() {
    let fs = SimFileSystem::new(10);
    let frames = written(&fs, 40, true);
    let files = log_files(&fs);
    let sound = summed(&fs);
    assert!(!sound.is_damaged(), "{sound}");
    assert_eq!((sound.frames, sound.segments), (frames.len() as u64, files.len() as u64));
    fs.damage(&files[0], |bytes| bytes[FRAMES_START as usize + 100] ^= 1);
    assert!(files.len() > 2, "{files:?}");
    fs.boot().remove(&files[1]).unwrap();
    let damaged = summed(&fs);
    assert!(damaged.is_damaged(), "{damaged}");
    assert_eq!((damaged.segments, damaged.damaged_ranges), (files.len() as u64 - 1, 2), "{damaged}");
    assert!(damaged.to_string().contains("; 2 damaged ranges of "), "{damaged}");
}
