use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daymark_guard::{Clock, ManualClock};
use daymark_model::{TenantId, UnixNanos};

use super::*;

fn letter(time: u64, content: &[u8]) -> DeadLetter {
    DeadLetter {
        time: UnixNanos(time),
        tenant: TenantId::parse("acme").unwrap(),
        path: "/v1/traces".into(),
        content_type: "application/json".into(),
        content_encoding: "gzip".into(),
        reason: "malformed".into(),
        message: "cannot decode: \u{1b}[31m".into(),
        content: Bytes::copy_from_slice(content),
    }
}

fn start(dir: &Path, adjust: impl FnOnce(&mut DeadLetterOptions)) -> (DeadLetters, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(UnixNanos::from_seconds(1_700_000_000)));
    let mut options = DeadLetterOptions::new(dir.join("dead-letters"));
    adjust(&mut options);
    (DeadLetters::start(options, Arc::clone(&clock) as Arc<dyn Clock>).unwrap(), clock)
}

fn settled(letters: &DeadLetters, sent: u64) -> DeadLetterCounts {
    for _ in 0..2_000 {
        let counts = letters.counts();
        if counts.kept + counts.dropped == sent {
            return counts;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("not all letters have an outcome: {:?}", letters.counts());
}

fn files(dir: &Path) -> Vec<DeadLetterFile> {
    DeadLetterFile::all(&dir.join("dead-letters")).unwrap()
}

/// Guarantee: what was handed over is found again whole, oldest first; any flipped bit and any cut is told.
#[test]
fn a_dead_letter_comes_back_whole_or_is_named_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let (letters, clock) = start(dir.path(), |_| {});
    let now = clock.now().0;
    let sent = [letter(now, b"\x0a\xff"), letter(now + 5, b""), letter(now + 5, b"garbage")];
    sent.iter().for_each(|letter| letters.keep(letter.clone()));
    assert_eq!(settled(&letters, 3), DeadLetterCounts { kept: 3, ..DeadLetterCounts::default() });
    let found: Vec<_> = files(dir.path()).iter().map(|file| DeadLetter::read(&file.path).unwrap()).collect();
    assert_eq!(found, sent);
    let whole = std::fs::read(&files(dir.path())[0].path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        assert!(DeadLetter::decode(flipped).is_err(), "bit of byte {at}");
        assert!(DeadLetter::decode(whole[..at].to_vec()).is_err(), "cut at {at}");
    }
}

/// Scenario: far more letters than the area may hold, large ones, old ones, a restart. Guarantee: the area never exceeds
/// its bytes, the newest stay, every letter is counted.
#[test]
fn the_area_never_exceeds_its_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let (letters, clock) = start(dir.path(), |options| options.max_bytes = 64 << 10);
    let now = clock.now().0;
    letters.keep(letter(now, &[7; 17 << 10]));
    assert_eq!(settled(&letters, 1).dropped, 1, "larger than a quarter of the area");
    for at in 1..=40 {
        letters.keep(letter(now + at, &[7; 5_000]));
        settled(&letters, 1 + at);
        let held: u64 = files(dir.path()).iter().map(DeadLetterFile::taken).sum();
        assert!(held <= 64 << 10, "{held}");
    }
    assert_eq!(letters.counts(), DeadLetterCounts { kept: 40, dropped: 1, expired: 32 });
    let times = |dir: &Path| -> Vec<u64> {
        files(dir).iter().map(|file| DeadLetter::read(&file.path).unwrap().time.0 - now).collect()
    };
    assert_eq!(times(dir.path()), (33..=40).collect::<Vec<_>>(), "the newest stay");
    drop(letters);

    let (letters, clock) = start(dir.path(), |options| {
        options.max_bytes = 64 << 10;
        options.max_age_ms = 1_000;
    });
    letters.keep(letter(now + 41, b"x"));
    settled(&letters, 1);
    assert_eq!(times(dir.path()), (34..=41).collect::<Vec<_>>(), "a restart counts what is there");
    clock.set(UnixNanos(now + 2_000_000_000));
    letters.keep(letter(now + 2_000_000_000, b"y"));
    settled(&letters, 2);
    letters.keep(letter(now + 2_000_000_001, b"z"));
    settled(&letters, 3);
    assert_eq!(times(dir.path()), [2_000_000_000, 2_000_000_001], "the old ones are gone");
}

/// Scenario: the disk refuses, and more comes than may wait. Guarantee: handing over never blocks, and all are counted.
#[test]
fn a_disk_that_refuses_costs_letters_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (letters, clock) = start(dir.path(), |options| (options.queue_letters, options.queue_bytes) = (2, 100));
    std::fs::remove_dir_all(dir.path().join("dead-letters")).unwrap();
    std::fs::write(dir.path().join("dead-letters"), "in the way").unwrap();
    for at in 0..500 {
        letters.keep(letter(clock.now().0 + at, &[7; 60]));
    }
    assert_eq!(settled(&letters, 500).dropped, 500);
}
