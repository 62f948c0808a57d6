//! Merging large segments without decoding them: everything that readers, other engines and checks look at is as before.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use daymark_model::{LogOffset, TenantId, TimeRange, UnixNanos};

use super::samples::{INDEX_PAGE_ROWS, START, Scene, bodies, logs, publish, spans, trace};
use crate::reader::Segment;
use crate::{
    BodyQuery, CompactOptions, Filter, ReadSpec, Reader, RowChoice, SegmentOptions, Table, TableName, VerifyOptions,
};

/// Not a multiple of the rows of a page of the index.
const ROWS: u64 = 1_220;

/// Segments of any size are copied.
fn options() -> CompactOptions {
    let segment = SegmentOptions { index_page_rows: INDEX_PAGE_ROWS, ..SegmentOptions::default() };
    CompactOptions { fan_in: 2, splice_bytes: 0, segment, ..CompactOptions::default() }
}

/// Lines of segment `number`, one a microsecond.
fn lines(number: u64) -> RecordBatch {
    let lines: Vec<String> = (0..ROWS).map(|row| format!("word{number} of line{row} at shop{}", row / 1_200)).collect();
    let rows: Vec<(&str, u64)> =
        lines.iter().zip(0..).map(|(line, row)| (line.as_str(), (number * ROWS + row) * 1_000)).collect();
    logs(number * ROWS + 1, &rows)
}

async fn three(scene: &Scene) -> Table {
    let table = scene.table(TableName::Logs);
    for number in 0..3 {
        publish(&table, lines(number), (number + 1) * ROWS).await;
    }
    table
}

async fn merge(table: &Table) -> Segment {
    table.compact(&options(), &mut HashSet::new()).await.unwrap().unwrap();
    let snapshot = table.snapshot().await.unwrap();
    assert_eq!(snapshot.segments.len(), 1);
    Segment::new(table.clone(), Arc::clone(&snapshot.segments[0]))
}

fn file(scene: &Scene, path: &str) -> PathBuf {
    scene.dir.path().join("tables/default/logs").join(path)
}

fn flip_byte(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn only(rows: Range<u64>) -> RowChoice {
    RowChoice::Ranges([rows].into())
}

async fn damage(table: &Table) -> Vec<crate::Finding> {
    table.verify(&VerifyOptions::default()).await.unwrap().damage
}

#[tokio::test]
async fn a_merger_of_copies_has_rows_pages_bounds_and_index_of_its_inputs() {
    let scene = Scene::new();
    let table = three(&scene).await;
    let inputs = table.snapshot().await.unwrap().segments;
    let bytes: u64 = inputs.iter().map(|input| input.bytes).sum();
    let merged = merge(&scene.other().table(&TenantId::default(), TableName::Logs)).await;
    let meta = merged.meta();
    assert_eq!((meta.rows, meta.offsets), (3 * ROWS, (LogOffset(1), LogOffset(3 * ROWS))));
    assert_eq!(meta.column_bounds()["log_offset"], (1.into(), (3 * ROWS).into()));
    assert!(meta.bytes <= bytes);
    assert_eq!(merged.footer().await.unwrap().num_row_groups(), 9, "copied as they are");

    let expected: Vec<String> = (0..3).flat_map(|number| bodies(&[lines(number)])).collect();
    assert_eq!(bodies(&merged.read(&ReadSpec::default()).await.unwrap()), expected, "rows in their order");

    // The last page of the index of each input has 20 rows.
    let word = |word: &str| BodyQuery::Word(word.to_owned());
    let found = merged.search(&word("word1")).await;
    assert_eq!((found.rows, found.damage), (only(ROWS..2 * ROWS), None));
    let found = merged.search(&word("shop1")).await.rows;
    let last_pages = [1_200..1_220, 2_420..2_440, 3_640..3_660].to_vec();
    assert_eq!(found, RowChoice::Ranges(last_pages), "the pages of each part begin with it");
    assert_eq!(merged.search(&word("nowhere")).await.rows, RowChoice::NONE);

    let at = |row: u64| UnixNanos(START.0 + row * 1_000);
    let pages = merged.pages_in(TimeRange { start: at(ROWS + 10), end: at(ROWS + 11) }).await.unwrap();
    assert_eq!(pages, only(ROWS..ROWS + 64), "times of pages");
    assert_eq!(damage(&table).await, Vec::new());
}

#[tokio::test]
async fn copies_of_copies_stay_whole() {
    let scene = Scene::new();
    let table = three(&scene).await;
    merge(&table).await;
    publish(&table, lines(3), 4 * ROWS).await;
    let merged = merge(&table).await;
    assert_eq!(merged.footer().await.unwrap().num_row_groups(), 12);
    let found = merged.search(&BodyQuery::Word("word3".into())).await;
    assert_eq!((found.rows, found.damage), (only(3 * ROWS..4 * ROWS), None));
    assert_eq!(damage(&table).await, Vec::new());
}

#[tokio::test]
async fn bloom_filters_still_tell_where_a_trace_is_not() {
    let scene = Scene::new();
    let table = scene.table(TableName::Spans);
    for number in 0..3_u64 {
        let of: Vec<(u64, u64)> = (0..500).map(|span| (number, number * 500 + span)).collect();
        publish(&table, spans(number + 1, &of), number + 1).await;
    }
    let merged = merge(&table).await;
    for number in 0..3 {
        let rows = number * 500..(number + 1) * 500;
        assert_eq!(merged.bloom("trace_id", &trace(number).0).await.unwrap(), only(rows));
        let spec = ReadSpec { filters: vec![Filter::trace_id(trace(number))], ..ReadSpec::default() };
        let read: usize = merged.read(&spec).await.unwrap().iter().map(RecordBatch::num_rows).sum();
        assert_eq!(read, 500);
    }
    assert_eq!(damage(&table).await, Vec::new());
}

#[tokio::test]
async fn damage_is_not_copied() {
    let scene = Scene::new();
    let table = three(&scene).await;
    let victim = table.snapshot().await.unwrap().segments[1].path.clone();
    flip_byte(&file(&scene, &victim), 1_000);
    let table = scene.other().table(&TenantId::default(), TableName::Logs);
    let mut skip = HashSet::new();
    assert_eq!(table.compact(&options(), &mut skip).await.unwrap(), None);
    assert_eq!(skip, HashSet::from([victim]));
    assert_eq!(table.compact(&options(), &mut skip).await.unwrap().unwrap().segments, 2, "the others are merged");
}

#[tokio::test]
async fn a_damaged_or_missing_index_is_built_anew_for_the_merger() {
    let scene = Scene::new();
    let table = three(&scene).await;
    let without = SegmentOptions { index: false, ..SegmentOptions::default() };
    let plain = crate::write_segment(&table, vec![lines(3)], without).await.unwrap();
    table.commit(crate::Commit::publish(vec![plain], LogOffset(4 * ROWS))).await.unwrap();
    let index = table.snapshot().await.unwrap().segments[1].index.clone().unwrap();
    flip_byte(&file(&scene, &index.path), index.bytes as usize - 1);
    let table = scene.other().table(&TenantId::default(), TableName::Logs);
    let merged = merge(&table).await;
    for number in 0..4 {
        let found = merged.search(&BodyQuery::Word(format!("word{number}"))).await;
        assert_eq!(found.damage, None);
        assert_eq!(found.rows, only(number * ROWS..(number + 1) * ROWS));
    }
    assert_eq!(damage(&table).await, Vec::new());
}

/// Scenario: a file of an index is gone, one is cut. Guarantees: the merger has a whole one.
#[tokio::test]
async fn an_index_that_cannot_be_read_does_not_stop_the_merger() {
    let scene = Scene::new();
    let table = three(&scene).await;
    let segments = table.snapshot().await.unwrap().segments;
    let path = |at: usize| file(&scene, &segments[at].index.as_ref().unwrap().path);
    std::fs::remove_file(path(0)).unwrap();
    let whole = std::fs::read(path(2)).unwrap();
    std::fs::write(path(2), &whole[..whole.len() / 2]).unwrap();
    let merged = merge(&table).await;
    let found = merged.search(&BodyQuery::Word("word2".into())).await;
    assert_eq!((found.rows, found.damage), (only(2 * ROWS..3 * ROWS), None));
    assert_eq!(damage(&table).await, Vec::new());
}

/// Scenario: a segment is gone, another is cut, while their footers are in memory. Guarantees: they do not stop the others.
#[tokio::test]
async fn segments_that_are_gone_or_cut_are_left_alone() {
    let scene = Scene::new();
    let table = three(&scene).await;
    publish(&table, lines(3), 4 * ROWS).await;
    let segments = table.snapshot().await.unwrap().segments;
    for segment in segments.iter() {
        Segment::new(table.clone(), Arc::clone(segment)).footer().await.unwrap();
    }
    std::fs::remove_file(file(&scene, &segments[0].path)).unwrap();
    let whole = std::fs::read(file(&scene, &segments[2].path)).unwrap();
    std::fs::write(file(&scene, &segments[2].path), &whole[..whole.len() / 2]).unwrap();
    let mut skip = HashSet::new();
    while skip.len() < 2 {
        assert_eq!(table.compact(&options(), &mut skip).await.unwrap(), None);
    }
    assert_eq!(skip, HashSet::from([segments[0].path.clone(), segments[2].path.clone()]));
    assert_eq!(table.compact(&options(), &mut skip).await.unwrap().unwrap().segments, 2, "the others are merged");
}

/// Scenario: a large segment among small ones. Guarantees: the small ones become one row group, the large one is left.
#[tokio::test]
async fn small_segments_are_merged_among_themselves_first() {
    let scene = Scene::new();
    let table = three(&scene).await;
    for number in 0..3 {
        let offset = 3 * ROWS + number;
        publish(&table, logs(offset + 1, &[("small", offset * 1_000)]), offset + 1).await;
    }
    let large = table.snapshot().await.unwrap().segments.iter().map(|segment| segment.bytes).max().unwrap();
    let options = CompactOptions { splice_bytes: large / 6, ..options() };
    let done = table.compact(&options, &mut HashSet::new()).await.unwrap().unwrap();
    assert_eq!((done.segments, done.rows), (3, 3));
    let done = table.compact(&options, &mut HashSet::new()).await.unwrap().unwrap();
    assert_eq!((done.segments, done.rows), (4, 3 * ROWS + 3));
    let reader = Reader::new(scene.other(), None);
    let mut view = reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
    let found = view.newest(&ReadSpec::default(), Some(&BodyQuery::Word("small".into())), 10).await.unwrap();
    assert_eq!(bodies(&found), ["small"; 3]);
}
