//! Commits: offsets never go back, removes hit live segments, races lose nothing, other readers see the same.

use daymark_model::{LogOffset, TenantId};
use proptest::prelude::*;

use super::samples::{Scene, logs, publish, traces};
use crate::{Commit, SegmentFile, SegmentMeta, SegmentOptions, StoreError, TableName, write_segment};

async fn segment(scene: &Scene, name: TableName) -> SegmentFile {
    let batch = if name == TableName::Traces { traces(&[(1, 1, 1)]) } else { logs(1, &[("hello", 0)]) };
    write_segment(&scene.table(name), vec![batch], SegmentOptions::default()).await.unwrap()
}

#[tokio::test]
async fn a_commit_is_seen_by_every_reader_and_after_reopening() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    assert_eq!(table.snapshot().await.unwrap().version, None);
    let elsewhere = scene.other().table(&TenantId::default(), TableName::Logs);
    for consumed in 1..=3 {
        publish(&table, logs(consumed, &[("hello world", consumed)]), consumed).await;
        let seen = elsewhere.snapshot().await.unwrap();
        assert_eq!(
            (seen.version, seen.consumed, seen.segments.len()),
            (Some(consumed - 1), LogOffset(consumed), consumed as usize)
        );
    }
    assert_eq!(scene.store.tenants().await.unwrap(), [TenantId::default()]);
    let reopened = scene.other().table(&TenantId::default(), TableName::Logs).snapshot().await.unwrap();
    let ours = table.snapshot().await.unwrap();
    assert_eq!(reopened.segments, ours.segments);
    let last: &SegmentMeta = ours.segments.iter().max_by_key(|segment| segment.offsets).unwrap();
    assert_eq!((last.rows, last.offsets), (1, (LogOffset(3), LogOffset(3))));
    assert_eq!(last.column_bounds()["body"].0, "hello world");
}

#[tokio::test]
async fn a_log_offset_is_consumed_once() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    publish(&table, logs(1, &[("a", 0)]), 5).await;
    for again in [5, 4] {
        let commit = Commit::publish(vec![segment(&scene, TableName::Logs).await], LogOffset(again));
        let error = table.commit(commit).await.unwrap_err();
        assert!(matches!(error, StoreError::AlreadyConsumed { current: LogOffset(5), .. }), "{error}");
    }
    assert_eq!(table.snapshot().await.unwrap().segments.len(), 1);

    // Rows of traces are versions: the same offset may come again, an older one may not.
    let traces = scene.table(TableName::Traces);
    for (consumed, accepted) in [(5, true), (5, true), (4, false)] {
        let commit = Commit::publish(vec![segment(&scene, TableName::Traces).await], LogOffset(consumed));
        assert_eq!(traces.commit(commit).await.is_ok(), accepted);
    }
}

#[tokio::test]
async fn what_is_removed_was_live_and_what_is_added_was_not() {
    let scene = Scene::new();
    let table = scene.table(TableName::Logs);
    let file = segment(&scene, TableName::Logs).await;
    let path = file.meta().path.clone();
    table.commit(Commit::publish(vec![file.clone()], LogOffset(1))).await.unwrap();
    let again = table.commit(Commit::publish(vec![file.clone()], LogOffset(2))).await;
    assert!(matches!(again, Err(StoreError::AlreadyLive { .. })));
    let replace = |consumed| Commit { remove: vec![path.clone()], ..Commit::publish(Vec::new(), LogOffset(consumed)) };
    table.commit(replace(2)).await.unwrap();
    let twice = table.commit(replace(3)).await;
    assert!(matches!(twice, Err(StoreError::NotLive { .. })));
    let undead = table.commit(Commit::publish(vec![file], LogOffset(3))).await;
    assert!(matches!(undead, Err(StoreError::AlreadyLive { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_lose_no_commit_and_publish_none_twice() {
    let scene = Scene::new();
    let writers = (0..4).map(|writer| {
        // Each has a store of its own, as a process of its own would.
        let table = scene.other().table(&TenantId::default(), TableName::Logs);
        tokio::spawn(async move {
            for consumed in 1..=10 {
                let batch = logs(consumed, &[("x", 0)]);
                let file = write_segment(&table, vec![batch], SegmentOptions::default()).await.unwrap();
                let commit =
                    Commit { writer: format!("writer-{writer}"), ..Commit::publish(vec![file], LogOffset(consumed)) };
                table.commit(commit).await.unwrap();
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    let snapshot = scene.table(TableName::Logs).snapshot().await.unwrap();
    assert_eq!((snapshot.version, snapshot.segments.len()), (Some(39), 40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_writers_with_one_offset_one_is_refused() {
    let scene = Scene::new();
    for consumed in 1..=10 {
        let commits = [scene.other(), scene.other()].map(|store| {
            let table = store.table(&TenantId::default(), TableName::Logs);
            tokio::spawn(async move {
                let batch = logs(consumed, &[("x", 0)]);
                let file = write_segment(&table, vec![batch], SegmentOptions::default()).await.unwrap();
                table.commit(Commit::publish(vec![file], LogOffset(consumed))).await
            })
        });
        let results: Vec<_> = futures::future::join_all(commits).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert!(results.iter().any(|result| matches!(result, Err(StoreError::AlreadyConsumed { .. }))));
    }
}

#[tokio::test]
async fn rows_of_another_schema_are_refused() {
    let scene = Scene::new();
    let wrong =
        write_segment(&scene.table(TableName::Spans), vec![logs(1, &[("a", 0)])], SegmentOptions::default()).await;
    assert!(matches!(wrong, Err(StoreError::WrongSchema { .. })));
    let empty = write_segment(&scene.table(TableName::Logs), Vec::new(), SegmentOptions::default()).await;
    assert!(matches!(empty, Err(StoreError::EmptySegment)));
}

#[derive(Clone, Debug)]
enum Step {
    Add,
    Remove(usize),
    Reopen,
    Checkpoint,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Add),
        2 => (0..10_usize).prop_map(Step::Remove),
        1 => Just(Step::Reopen),
        1 => Just(Step::Checkpoint),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the order of commits, checkpoints and restarts, a snapshot is the sum of the commits.
    #[test]
    fn a_snapshot_is_the_sum_of_its_commits(steps in prop::collection::vec(step(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let scene = Scene::new();
            let mut table = scene.table(TableName::Logs);
            let (mut live, mut consumed) = (Vec::<String>::new(), 0);
            for step in steps {
                match step {
                    Step::Add => {
                        consumed += 1;
                        let file = segment(&scene, TableName::Logs).await;
                        live.push(file.meta().path.clone());
                        table.commit(Commit::publish(vec![file], LogOffset(consumed))).await.unwrap();
                    }
                    Step::Remove(which) if !live.is_empty() => {
                        consumed += 1;
                        let remove = vec![live.remove(which % live.len())];
                        let commit = Commit { remove, ..Commit::publish(Vec::new(), LogOffset(consumed)) };
                        table.commit(commit).await.unwrap();
                    }
                    Step::Remove(_) => {}
                    Step::Reopen => table = scene.other().table(&TenantId::default(), TableName::Logs),
                    Step::Checkpoint => table.checkpoint().await.unwrap(),
                }
                let snapshot = table.snapshot().await.unwrap();
                let mut paths: Vec<String> = snapshot.segments.iter().map(|s| s.path.clone()).collect();
                paths.sort();
                live.sort();
                assert_eq!((&paths, snapshot.consumed), (&live, LogOffset(consumed)));
            }
        });
    }
}
