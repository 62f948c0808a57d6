//! A table of many files: what a commit and an open cost is printed (`--nocapture`), that they work is asserted.

use std::time::Instant;

use daymark_model::{LogOffset, TenantId};

use super::samples::{START, Scene};
use crate::{Commit, SegmentFile, SegmentMeta, TableName};

fn unwritten(number: u64) -> SegmentFile {
    let stats = r#"{"numRecords":1000,"minValues":{"body":"a"},"maxValues":{"body":"b"},"nullCount":{"body":0}}"#;
    let meta = SegmentMeta {
        path: format!("{number:026}.parquet"),
        rows: 1000,
        bytes: 1000,
        time: (START, START),
        offsets: (LogOffset(number), LogOffset(number)),
        index: None,
        tally: None,
        modified_ms: 0,
        checksums: [].into(),
        stats: stats.into(),
    };
    SegmentFile { meta, typed: Vec::new() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_1500_files_takes_commits_and_opens_without_a_checkpoint() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    let first = (0..1500).map(unwritten).collect();
    table.commit(Commit::publish(first, LogOffset(1))).await.unwrap();
    let mut took_us = Vec::new();
    for number in 1500..1600 {
        let begun = Instant::now();
        table.commit(Commit::publish(vec![unwritten(number)], LogOffset(number))).await.unwrap();
        took_us.push(begun.elapsed().as_micros());
    }
    took_us.sort_unstable();
    println!("durable commit at 1500 files: p50 {} us, p99 {} us", took_us[50], took_us[98]);
    let begun = Instant::now();
    let reopened = scene.other().table(&TenantId::default(), TableName::Logs).snapshot().await.unwrap();
    println!("open without checkpoint {} ms", begun.elapsed().as_millis());
    assert_eq!(reopened.segments.len(), 1600);
}
