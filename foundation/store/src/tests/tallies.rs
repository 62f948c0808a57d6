//! What the rows of metric tables stand for: told by each commit, kept by mergers, and held against what a collector knows.

use std::collections::HashSet;
use std::fs;

use async_trait::async_trait;
use daymark_model::{LogOffset, TenantId, UnixNanos};

use super::columns::publish_old;
use super::samples::{START, Scene, counters, publish};
use crate::{
    CollectorStatus, CompactOptions, HotError, HotRequest, HotRows, HotSource, Rows, Table, TableAccount, TableName,
    Tally, VerifyOptions,
};

const SECOND: u64 = 1_000_000_000;

fn values(values: u64) -> Option<Tally> {
    Some(Tally { values, totals: 0 })
}

async fn reopened(scene: &Scene) -> Option<Tally> {
    scene.other().table(&TenantId::default(), TableName::Metrics10s).snapshot().await.unwrap().tally()
}

async fn damage(scene: &Scene) -> Vec<String> {
    let table = scene.other().table(&TenantId::default(), TableName::Metrics10s);
    let verified = table.verify(&VerifyOptions::default()).await.unwrap();
    verified.damage.iter().map(ToString::to_string).collect()
}

/// Guarantees: the sum survives checkpoints, mergers that fold rows, and clean-up; retention says what it took.
#[tokio::test]
async fn rows_stand_for_the_same_data_points_after_a_merger() {
    let scene = Scene::new();
    let table = scene.table(TableName::Metrics10s);
    for number in 0..4 {
        publish(&table, counters(number + 1, &[(0, 7), (1, number)]), number + 1).await;
    }
    assert_eq!(table.snapshot().await.unwrap().tally(), values(4 * 7 + 6));
    table.checkpoint().await.unwrap();
    let compact = CompactOptions { fan_in: 2, ..CompactOptions::default() };
    let merged = table.compact(&compact, &mut HashSet::new()).await.unwrap().unwrap();
    assert_eq!((merged.rows, merged.rows_after), (8, 2));
    table.purge().await.unwrap();
    assert_eq!(reopened(&scene).await, values(34));
    assert_eq!(damage(&scene).await, [""; 0]);

    let retained = table.retain(UnixNanos(START.0 + 60 * SECOND)).await.unwrap();
    assert_eq!((retained.tally, reopened(&scene).await), (values(34), values(0)));
    assert_eq!(table.retain(UnixNanos(START.0 + 60 * SECOND)).await.unwrap().tally, values(0));
}

#[tokio::test]
async fn a_commit_that_counts_other_data_points_than_its_rows_is_found() {
    let scene = Scene::new();
    publish(&scene.table(TableName::Metrics10s), counters(1, &[(0, 7), (1, 8)]), 1).await;
    let commit = scene.dir.path().join("tables/default/metrics_10s/_delta_log/00000000000000000000.json");
    let text = fs::read_to_string(&commit).unwrap();
    assert!(text.contains(r#""daymark.tally":"15-0""#), "{text}");
    fs::write(&commit, text.replace("15-0", "14-1")).unwrap();
    let found = damage(&scene).await;
    let expected = "rows stand for 15 values and 0 totals, the commit says 14 values and 1 totals";
    assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
}

/// Guarantees: what cannot be known is not taken for zero; a deletion is told from a loss.
#[tokio::test]
async fn an_account_knows_what_a_table_held_and_that_rows_were_deleted() {
    let scene = Scene::new();
    let table = scene.table(TableName::Metrics10s);
    assert_eq!(TableAccount::open(&table.snapshot().await.unwrap()), TableAccount::empty());
    publish(&table, counters(1, &[(0, 7)]), 1).await;
    let opened = TableAccount::open(&table.snapshot().await.unwrap());
    assert_eq!((opened.opened, opened.deletions), (values(7), 0));
    for deletions in 1..=2 {
        publish(&table, counters(deletions + 1, &[(0, 5)]), deletions + 1).await;
        assert!(table.delete(&Rows::All, false).await.unwrap().rows > 0);
        table.purge().await.unwrap();
        let after = scene.other().table(&TenantId::default(), TableName::Metrics10s).snapshot().await.unwrap();
        assert_eq!((after.tally(), after.deletions), (values(0), deletions));
    }
    publish_old(&table, &counters(4, &[(0, 5)]), &["hist".to_owned()].into(), 4).await;
    assert_eq!(TableAccount::open(&table.snapshot().await.unwrap()).opened, None);
}

/// A collector whose windows under way are shown late.
struct Lagging(std::sync::atomic::AtomicU64);

#[async_trait]
impl HotSource for Lagging {
    async fn hot(&self, request: HotRequest) -> Result<HotRows, HotError> {
        let through = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if through == 2 {
            return Err(HotError::Stale { needed: request.after });
        }
        let batches = vec![counters(through, &[(0, through)])];
        Ok(HotRows { through: LogOffset(through), batches, behind: false })
    }

    async fn status(&self) -> Result<CollectorStatus, HotError> {
        Ok(CollectorStatus::default())
    }
}

#[tokio::test]
async fn what_is_not_published_counts_once_it_reflects_what_was_asked_for() {
    let scene = Scene::new();
    let table: Table = scene.table(TableName::Metrics10s);
    publish(&table, counters(1, &[(0, 100)]), 1).await;
    let hot = Lagging(1.into());
    assert_eq!(table.tally_received(LogOffset(4), &hot).await.unwrap(), (values(104), 0));
}
