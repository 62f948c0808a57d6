//! Power loss and kill at every moment.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// Appends in rounds until the machine stops; returns what was acknowledged.
fn append_until_stopped(fs: &SimFileSystem, log: IngestLog, first: u64, rounds: u64) -> Vec<Frame> {
    runtime().block_on(async {
        let _consumer = log.subscribe(usize::MAX);
        let mut acknowledged = Vec::new();
        for round in 0..rounds {
            for (n, outcome) in append_all(&log, (0..3).map(|i| first + round * 3 + i)).await {
                acknowledged.extend(outcome.map(|durable| expected(durable.offset, n)).ok());
            }
            if fs.has_stopped() {
                break;
            }
        }
        acknowledged
    })
}

/// Scenario: the machine loses power at the `stop_after`th change of the disk, in each of several lives.
/// Guarantee: every acknowledged frame is read back unchanged, in order, once; offsets grow over all lives.
fn check_crashes(seed: u64, stop_after: u64, lives: u64) {
    let fs = SimFileSystem::new(seed);
    let mut obligations: Vec<Frame> = Vec::new();
    for life in 0..lives {
        let Ok((log, recovered)) = try_open(&fs, options(), 0) else {
            // Only a machine that stopped may refuse.
            panic!("open failed in life {life}");
        };
        let alarming: Vec<_> = recovered.damage.iter().filter(|damage| damage.reason.is_alarming()).collect();
        assert!(alarming.is_empty(), "a crash is no damage: {alarming:?}");
        let found = all(recovered);
        assert!(found.windows(2).all(|pair| pair[0].offset < pair[1].offset));
        for frame in &obligations {
            assert!(found.contains(frame), "seed {seed}: acknowledged frame {} is gone", frame.offset);
        }
        // What was not acknowledged may be there too, but only as it was sent.
        for frame in &found {
            assert_eq!(*frame, expected(frame.offset, frame.received.0 / 1_000));
        }
        let newest = found.last().map_or(0, |frame| frame.offset.0);
        obligations = found;
        fs.stop_after(stop_after);
        let acknowledged = append_until_stopped(&fs, log, life * 1_000, 12);
        assert!(acknowledged.iter().all(|frame| frame.offset.0 > newest), "an offset was used twice");
        obligations.extend(acknowledged);
        fs.crash();
    }
}

#[test]
fn acknowledged_frames_survive_loss_of_unsynced_writes() {
    for seed in 0..5 {
        for stop_after in 0..90 {
            check_crashes(seed * 1_000 + stop_after, stop_after, 2);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn acknowledged_frames_survive_many_crashes(seed: u64, stop_after in 1_u64..120, lives in 2_u64..6) {
        check_crashes(seed, stop_after, lives);
    }
}

/// Scenario: the process is killed, so the page cache survives.
/// Guarantee: nothing acknowledged is lost and no tail is reported.
#[test]
fn a_kill_loses_nothing_and_reports_nothing() {
    let fs = SimFileSystem::new(1);
    let frames = written(&fs, 60, false);
    let (_log, recovered) = open(&fs, 0);
    assert_eq!(recovered.damage, []);
    assert_eq!(all(recovered), frames);
}

/// Scenario: the last frame of an open segment is cut at every length.
/// Guarantee: all others are read; the tail is reported as torn, which is no alarm, or is not there at all.
#[test]
fn a_torn_tail_is_cut() {
    let fs = SimFileSystem::new(2);
    let frames = written(&fs, 6, false);
    let file = log_files(&fs).pop().unwrap();
    let whole = fs.contents(&file).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let start = (0..end).rev().find(|at| whole[*at..].starts_with(b"DMFR")).unwrap();
    for cut in start..end {
        fs.damage(&file, |bytes| {
            bytes.copy_from_slice(&whole);
            bytes[cut..].fill(0);
        });
        let (log, recovered) = open(&fs, 0);
        assert!(recovered.damage.iter().all(|damage| !damage.reason.is_alarming()), "{:?}", recovered.damage);
        assert_eq!(recovered.damage.len(), usize::from(cut > start));
        assert_eq!(all(recovered), frames[..frames.len() - 1], "cut at {cut}");
        drop(log);
        fs.kill();
    }
}

/// Scenario: a sync fails, and the kernel then believes pages clean that never reached the disk; the process restarts,
/// reads those frames, and the power goes.
/// Guarantee: what the restart gave out as durable is durable.
#[test]
fn frames_read_after_a_failed_sync_are_made_durable_again() {
    for seed in 0..40 {
        let fs = SimFileSystem::new(seed);
        let mut known = written(&fs, 3, false);
        let (log, _) = open(&fs, 0);
        runtime().block_on(async {
            known.push(expected(log.append(frame(3)).await.unwrap().offset, 3));
            // The keeper may sync as well; wait until it has nothing to do.
            while log.stats().bytes < 3 * options().segment_bytes {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            fs.fail_sync_after(0);
            assert!(matches!(log.append(frame(4)).await, Err(LogError::Poisoned { .. })));
        });
        fs.kill();
        let (_log, recovered) = open(&fs, 0);
        let given_out = all(recovered);
        assert!(given_out.starts_with(&known));
        fs.crash();
        let (_log, recovered) = open(&fs, 0);
        assert_eq!(all(recovered), given_out, "seed {seed}");
    }
}
