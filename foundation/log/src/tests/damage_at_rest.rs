//! Single cases of damage with an exact outcome.

use super::*;
use crate::frame::{self, Placement, Seed};
use crate::segment::{FORMAT_VERSION, SegmentHeader};
use crate::{DamageReason, LogError};

fn placement(position: u64, payload: &[u8], salt: u64) -> Placement {
    let seed = Seed::of_salt(salt);
    Placement { seed, position, sequence: 2, synced: 1, payload_crc: crc32c::crc32c(payload) }
}

/// Scenario: a payload holds the bytes of frames, right in every field but the salt, at every alignment; the header of
/// the frame around them is damaged, so that the search for the next frame runs through them.
/// Guarantee: none of them is taken for a frame.
#[test]
fn a_forged_frame_in_a_payload_is_never_returned() {
    let fs = SimFileSystem::new(12);
    let mut forged = Vec::new();
    for _ in 0..8 {
        let position = FRAMES_START + 104 + forged.len() as u64;
        frame::encode(&frame(7), &placement(position, &frame(7).payload, 0), &mut forged);
        forged.push(0);
    }
    let evil = NewFrame { payload: forged.into(), ..frame(0) };
    let after = runtime().block_on(async {
        let (log, _) = open(&fs, 0);
        log.append(evil).await.unwrap();
        let after = log.append(frame(1)).await.unwrap().offset;
        log.close().await.unwrap();
        after
    });
    fs.damage(&log_files(&fs)[0], |bytes| bytes[FRAMES_START as usize + 9] ^= 0xff);
    let (_log, recovered) = open(&fs, 0);
    assert_eq!(recovered.damage.len(), 1);
    assert_eq!((recovered.damage[0].reason, recovered.damage[0].frames_lost), (DamageReason::Header, Some(1)));
    assert_eq!(all(recovered), [expected(after, 1)]);
}

/// Scenario: an intact frame of the same segment is found at another place.
/// Guarantee: it is not taken for a frame there.
#[test]
fn a_frame_counts_only_where_it_was_written() {
    let fs = SimFileSystem::new(13);
    let frames = written(&fs, 5, false);
    let file = log_files(&fs).remove(0);
    fs.damage(&file, |bytes| {
        let start = FRAMES_START as usize;
        let copy = bytes[start..start + 1024].to_vec();
        bytes[start + 2048..start + 2048 + 1024].copy_from_slice(&copy);
    });
    let (_log, recovered) = open(&fs, 0);
    assert_eq!(all(recovered), frames);
}

#[test]
fn damaged_bytes_are_copied_to_quarantine() {
    let fs = SimFileSystem::new(14);
    written(&fs, 10, true);
    let file = log_files(&fs).remove(0);
    let at = FRAMES_START as usize;
    fs.damage(&file, |bytes| bytes[at + 20] ^= 4);
    let damaged = fs.contents(&file).unwrap();
    let (_log, recovered) = open(&fs, 0);
    let [damage] = &recovered.damage[..] else { panic!("{:?}", recovered.damage) };
    assert!(damage.reason.is_alarming());
    let copy = fs.contents(damage.quarantined.as_ref().unwrap()).unwrap();
    assert_eq!(copy, damaged[at..at + damage.bytes as usize]);
}

#[test]
fn one_damaged_header_copy_costs_nothing_and_two_cost_one_segment() {
    let fs = SimFileSystem::new(15);
    let frames = written(&fs, 60, true);
    let files = log_files(&fs);
    fs.damage(&files[1], |bytes| bytes[..4096].fill(0xee));
    let (log, recovered) = open(&fs, 0);
    assert_eq!(all(recovered), frames);
    drop(log);
    fs.kill();
    fs.damage(&files[1], |bytes| bytes[4096..8192].fill(0xee));
    let (_log, recovered) = open(&fs, 0);
    let [damage] = &recovered.damage[..] else { panic!("{:?}", recovered.damage) };
    assert_eq!((damage.reason, &damage.file), (DamageReason::SegmentHeader, &files[1]));
    let found = all(recovered);
    assert!(found.iter().all(|frame| frames.contains(frame)));
    assert!(found.len() > frames.len() / 2);
}

/// Scenario: both headers of the newest segment are gone, and with them all that says which offsets it held.
/// Guarantee: none of those is used again.
#[test]
fn no_offset_of_a_lost_newest_segment_is_used_again() {
    let fs = SimFileSystem::new(16);
    let frames = written(&fs, 60, false);
    let newest = log_files(&fs).pop().unwrap();
    fs.damage(&newest, |bytes| bytes[..8192].fill(0));
    let (log, _) = open(&fs, 0);
    let offset = runtime().block_on(log.append(frame(0))).unwrap().offset;
    assert!(offset > frames[frames.len() - 1].offset);
}

#[test]
fn a_missing_segment_is_reported() {
    let fs = SimFileSystem::new(17);
    written(&fs, 60, true);
    let missing = log_files(&fs).remove(1);
    fs.boot().remove(&missing).unwrap();
    let (_log, recovered) = open(&fs, 0);
    let reasons: Vec<_> = recovered.damage.iter().map(|damage| (damage.reason, damage.file.clone())).collect();
    assert_eq!(reasons, [(DamageReason::MissingSegment, missing)]);
}

#[test]
fn an_unreadable_block_costs_only_the_frames_on_it() {
    let fs = SimFileSystem::new(18);
    let frames = written(&fs, 60, true);
    let file = log_files(&fs).remove(1);
    fs.make_unreadable(&file, FRAMES_START);
    let (_log, recovered) = open(&fs, 0);
    assert!(!recovered.damage.is_empty());
    let found = all(recovered);
    assert!(found.len() > frames.len() / 2 && found.iter().all(|frame| frames.contains(frame)));
}

#[test]
fn an_unknown_format_version_is_a_named_error() {
    let fs = SimFileSystem::new(19);
    written(&fs, 3, true);
    let file = log_files(&fs).remove(0);
    let header = SegmentHeader { id: 1, salt: 2, first: 1, previous: Default::default() };
    let mut bytes = header.encode();
    for copy in [0, 4096] {
        bytes[copy + 8] = 9;
    }
    // Also with a checksum that this version cannot confirm.
    fs.damage(&file, |old| old[..bytes.len()].copy_from_slice(&bytes));
    match try_open(&fs, options(), 0) {
        Err(LogError::UnknownVersion { file: named, found: 9, supported: FORMAT_VERSION }) => assert_eq!(named, file),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}
