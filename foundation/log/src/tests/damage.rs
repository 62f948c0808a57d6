//! Damage between runs: any flipped bit, misdirected blocks, forged frames, lost headers and files.

use proptest::prelude::*;

use super::*;

/// A closed log of a few segments, and what is in it.
fn closed_log() -> (SimFileSystem, Vec<Frame>) {
    let fs = SimFileSystem::new(11);
    let frames = written(&fs, 40, true);
    (fs, frames)
}

/// Opens a damaged log: nothing wrong comes back, at most `may_lose` frames are gone, and if any is, it is reported
/// and as many are said to be lost. New frames are accepted, with a larger offset.
fn check_contained(fs: &SimFileSystem, frames: &[Frame], may_lose: usize) {
    let (log, recovered) = open(fs, 0);
    let damage = recovered.damage.clone();
    let found = all(recovered);
    for frame in &found {
        assert!(frames.contains(frame), "frame {} was never written so", frame.offset);
    }
    let lost = frames.len() - found.len();
    assert!(lost <= may_lose, "{lost} frames lost: {damage:?}");
    assert!(lost == 0 || !damage.is_empty(), "{lost} frames lost and nothing reported");
    let said: Option<u64> = damage.iter().map(|damage| damage.frames_lost).sum();
    if let Some(said) = said {
        assert_eq!(said, lost as u64, "{damage:?}");
    }
    let offset = runtime().block_on(log.append(frame(500))).unwrap().offset;
    assert!(offset > frames[frames.len() - 1].offset, "an offset was used twice");
    drop(log);
    fs.kill();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_single_flipped_bit_costs_at_most_its_frame(file: prop::sample::Index, bit: prop::sample::Index) {
        let (fs, frames) = closed_log();
        let files = log_files(&fs);
        fs.damage(&files[file.index(files.len())], |bytes| {
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        });
        check_contained(&fs, &frames, 1);
    }

    #[test]
    fn a_misdirected_block_costs_only_the_frames_it_hits(
        from_file: prop::sample::Index, to_file: prop::sample::Index,
        from: prop::sample::Index, to: prop::sample::Index,
    ) {
        const BLOCK: usize = 512;
        let (fs, frames) = closed_log();
        let files = log_files(&fs);
        let source = fs.contents(&files[from_file.index(files.len())]).unwrap();
        let from = from.index(source.len() / BLOCK) * BLOCK;
        let mut may_lose = 0;
        fs.damage(&files[to_file.index(files.len())], |bytes| {
            let to = to.index(bytes.len() / BLOCK) * BLOCK;
            // Every frame takes at least 104 bytes.
            may_lose = BLOCK / 104 + 2;
            bytes[to..to + BLOCK].copy_from_slice(&source[from..from + BLOCK]);
        });
        check_contained(&fs, &frames, may_lose);
    }

    #[test]
    fn garbage_anywhere_neither_panics_nor_returns_as_data(
        file: prop::sample::Index, at: prop::sample::Index, garbage in prop::collection::vec(any::<u8>(), 1..6_000),
    ) {
        let (fs, frames) = closed_log();
        let files = log_files(&fs);
        fs.damage(&files[file.index(files.len())], |bytes| {
            let at = at.index(bytes.len());
            let len = garbage.len().min(bytes.len() - at);
            bytes[at..at + len].copy_from_slice(&garbage[..len]);
        });
        check_contained(&fs, &frames, frames.len());
    }
}
