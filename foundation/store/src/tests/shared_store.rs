//! Tables in an object store that other machines write, too: whose offsets count, what arrives late, what is away.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use daymark_guard::ManualClock;
use daymark_model::{LogOffset, TenantId, TimeRange};
use object_store::{ObjectStore, ObjectStoreExt, PutMode};

use super::samples::{START, logs};
use crate::remote::tests::{Fate, Fateful, over};
use crate::{
    Access, CollectorId, Commit, CompactOptions, ReadSpec, Reader, SegmentOptions, Store, StoreError, StoreOptions,
    Table, TableName, VerifyOptions, write_segment,
};

/// A process on the store: a collector with an id, or a reader.
async fn process(store: &Arc<Fateful>, id: Option<(&str, bool)>) -> Arc<Store> {
    let collector = id.map(|(id, take_over)| CollectorId { id: id.to_owned(), take_over });
    let clock = Arc::new(ManualClock::at(START));
    let options = StoreOptions { clock, collector, ..StoreOptions::default() };
    let objects: Arc<dyn ObjectStore> = Arc::new(over(store));
    let access = if id.is_some() { Access::Write } else { Access::Read };
    Arc::new(Store::open_objects(objects, "s3://telemetry", access, options).await.unwrap())
}

fn table(store: &Arc<Store>) -> Table {
    store.table(&TenantId::default(), TableName::Logs)
}

/// Publishes one row that came after offset `after` with offset `through`.
async fn publish(table: &Table, after: u64, through: u64) -> Result<u64, StoreError> {
    let batch = logs(through, &[(&format!("row {through}"), through)]);
    let segment = write_segment(table, vec![batch], SegmentOptions::default()).await?;
    let after = Some(LogOffset(after));
    table.commit(Commit { after, ..Commit::publish(vec![segment], LogOffset(through)) }).await
}

async fn rows(store: &Arc<Store>) -> usize {
    let reader = Reader::new(Arc::clone(store), None);
    let mut view = reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
    let read = view.read(&ReadSpec::default()).await.unwrap();
    assert!(view.receipt.complete, "{:?}", view.receipt);
    read.iter().map(|batch| batch.num_rows()).sum()
}

/// Scenario: a collector is restarted on its table, and another takes it over. Guarantee: what each start writes into the
/// table's log is no damage.
#[tokio::test]
async fn a_table_that_was_claimed_and_taken_over_verifies() {
    let objects = Fateful::meets(&[]);
    for (id, take_over, after) in [("a", false, 0), ("a", false, 10), ("b", true, 20)] {
        let collector = process(&objects, Some((id, take_over))).await;
        table(&collector).claim().await.unwrap();
        publish(&table(&collector), after, after + 10).await.unwrap();
    }
    let verified = table(&process(&objects, None).await).verify(&VerifyOptions::default()).await.unwrap();
    assert_eq!((verified.damage, verified.rows, verified.consumed), (Vec::new(), 3, LogOffset(30)));
}

#[tokio::test]
async fn a_table_of_another_collector_is_left_alone_until_it_is_taken_over() {
    let objects = Fateful::meets(&[]);
    let first = process(&objects, Some(("a", false))).await;
    publish(&table(&first), 0, 10).await.unwrap();
    publish(&table(&first), 10, 20).await.unwrap();

    let second = process(&objects, Some(("b", false))).await;
    assert!(table(&second).durable_snapshot().await.unwrap().foreign);
    let error = publish(&table(&second), 0, 5).await.unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }) && error.to_string().contains("--take-over"), "{error}");
    assert!(!table(&process(&objects, None).await).snapshot().await.unwrap().foreign, "readers have no part in it");

    let heir = process(&objects, Some(("b", true))).await;
    let held = table(&heir).durable_snapshot().await.unwrap();
    assert_eq!((held.consumed, held.foreign), (LogOffset(20), false));
    publish(&table(&heir), 20, 30).await.unwrap();
    let error = publish(&table(&first), 20, 25).await.unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "the first one lives on: {error}");
    let again = process(&objects, Some(("b", false))).await;
    publish(&table(&again), 30, 40).await.unwrap();
    assert_eq!(rows(&again).await, 4);
}

#[tokio::test]
async fn a_commit_of_an_earlier_run_that_arrives_late_doubles_nothing() {
    let objects = Fateful::meets(&[]);
    let earlier = process(&objects, Some(("a", false))).await;
    publish(&table(&earlier), 0, 10).await.unwrap();
    // The next run has read the table before the last commit of the earlier one arrives.
    let next = process(&objects, Some(("a", false))).await;
    assert_eq!(table(&next).durable_snapshot().await.unwrap().consumed, LogOffset(10));
    publish(&table(&earlier), 10, 20).await.unwrap();
    let error = publish(&table(&next), 10, 30).await.unwrap_err();
    assert!(matches!(error, StoreError::Overtaken { expected: LogOffset(10), current: LogOffset(20), .. }), "{error}");
    // Exactly what the earlier one has published: nothing is left to do.
    let error = publish(&table(&next), 10, 20).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyConsumed { .. }), "{error}");
    assert_eq!(rows(&next).await, 2);
}

#[tokio::test]
async fn after_a_claim_no_commit_of_an_earlier_run_can_arrive() {
    let objects = Fateful::meets(&[]);
    let earlier = process(&objects, Some(("a", false))).await;
    publish(&table(&earlier), 0, 10).await.unwrap();
    // The commit on its way: what the next put of the earlier run would write, where it would.
    let late = objects.inner.get(&"default/logs/_delta_log/00000000000000000000.json".into()).await.unwrap();
    let late = late.bytes().await.unwrap();
    let next = process(&objects, Some(("a", false))).await;
    let claimed = table(&next).claim().await.unwrap();
    assert_eq!((claimed.version, claimed.consumed, claimed.foreign), (Some(1), LogOffset(10), false));
    let path = "default/logs/_delta_log/00000000000000000001.json".into();
    let arrives = objects.inner.put_opts(&path, late.into(), PutMode::Create.into()).await;
    assert!(matches!(arrives, Err(object_store::Error::AlreadyExists { .. })));
    publish(&table(&next), 10, 20).await.unwrap();
    assert_eq!(rows(&next).await, 2);
    let heir = process(&objects, Some(("b", true))).await;
    table(&heir).claim().await.unwrap();
    let error = publish(&table(&next), 20, 30).await.unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "taken over before anything was written: {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_writer_and_compactors_behind_a_bad_network_lose_and_double_nothing() {
    let fates = [Fate::Done, Fate::AnswerLost, Fate::Done, Fate::SaidToExist, Fate::Conflict, Fate::Refused];
    let fates: Vec<Fate> = (0..600).map(|at| fates[(at * 7 + at / 5) % fates.len()]).collect();
    let objects = Fateful::meets(&[]);
    let writer = process(&objects, Some(("a", false))).await;
    objects.will_meet(&fates);
    let done = Arc::new(AtomicBool::new(false));
    let published = Arc::clone(&done);
    let publishing = tokio::spawn(async move {
        let mut held = 0;
        while held < 40 {
            match publish(&table(&writer), held, held + 1).await {
                Ok(_) | Err(StoreError::AlreadyConsumed { .. }) => held += 1,
                Err(StoreError::Object(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        published.store(true, Relaxed);
    });
    let compactors = [0, 1].map(|_| {
        let (objects, done) = (Arc::clone(&objects), Arc::clone(&done));
        tokio::spawn(async move {
            let store = process(&objects, None).await;
            let options = CompactOptions { fan_in: 3, ..CompactOptions::default() };
            // And for a while after everything is published.
            let mut rounds_left = 20;
            while rounds_left > 0 {
                rounds_left -= usize::from(done.load(Relaxed));
                match table(&store).compact(&options, &mut HashSet::new()).await {
                    Ok(_) | Err(StoreError::Object(_)) => {}
                    Err(error) => panic!("{error}"),
                }
                tokio::task::yield_now().await;
            }
        })
    });
    publishing.await.unwrap();
    for compactor in compactors {
        compactor.await.unwrap();
    }
    let reader = process(&objects, None).await;
    assert_eq!(rows(&reader).await, 40);
    assert!(table(&reader).snapshot().await.unwrap().segments.len() < 40, "something was merged");
}

#[tokio::test]
async fn while_the_store_is_away_answers_come_from_what_is_known_and_say_so() {
    let objects = Fateful::meets(&[]);
    let writer = process(&objects, Some(("a", false))).await;
    publish(&table(&writer), 0, 10).await.unwrap();
    let reader = Reader::new(process(&objects, None).await, None);
    let view = async || reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
    assert!(view().await.receipt.complete);
    objects.reads_fail.store(usize::MAX / 2, Relaxed);
    let mut answer = view().await;
    let said = answer.receipt.missing.join("; ");
    assert!(said.contains("rows of logs published after version 0") && said.contains("timed out"), "{said}");
    answer.read(&ReadSpec::default()).await.unwrap();
    assert!(answer.receipt.missing.len() > 1, "a segment out of reach is named, too: {:?}", answer.receipt);
    assert!(view().await.receipt.missing[0].contains("did not answer just now"));
}
