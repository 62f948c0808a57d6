//! The same log on the machine's own file system.

use super::*;

#[test]
fn frames_survive_a_restart_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        LogOptions { segment_bytes: 256 << 10, min_free_bytes: 0, ..LogOptions::new(dir.path().join("a/log")) };
    let runtime = runtime();
    let (log, recovered) = IngestLog::open(options.clone(), real(), LogOffset(0)).unwrap();
    assert_eq!((recovered.first, recovered.last), (None, LogOffset(0)));
    let frames: Vec<Frame> = runtime.block_on(async {
        let _consumer = log.subscribe(usize::MAX);
        let outcomes = append_all(&log, 0..2_000).await;
        let mut frames: Vec<Frame> = outcomes.into_iter().map(|(n, done)| expected(done.unwrap().offset, n)).collect();
        frames.sort_by_key(|frame| frame.offset);
        assert!(log.stats().fsync_p99_us > 0);
        assert!(matches!(IngestLog::open(options.clone(), real(), LogOffset(0)), Err(LogError::Locked { .. })));
        log.close().await.unwrap();
        frames
    });
    let (log, recovered) = IngestLog::open(options, real(), LogOffset(1_000)).unwrap();
    assert_eq!(recovered.damage, []);
    assert_eq!(all(recovered), frames[1_000..]);
    runtime.block_on(log.close()).unwrap();
}
