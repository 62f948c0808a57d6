//! Columns are only ever added: what an older version wrote reads as null in the new ones, everywhere.

use std::collections::{BTreeMap, HashSet};
use std::fs;

use arrow::array::{Array, RecordBatch};
use daymark_model::{LogOffset, TenantId, TimeRange};
use object_store::ObjectStoreExt;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::samples::{START, Scene, bodies, logs, publish, rows, texts};
use crate::delta::decode_commit;
use crate::segment::SegmentMeta;
use crate::ulid::new_ulid;
use crate::{Commit, CompactOptions, Filter, ReadSpec, Reader, SegmentFile, Table, TableName};

/// How many columns the first version requires.
const REQUIRED: [(TableName, usize); 5] = [
    (TableName::Spans, 14),
    (TableName::Logs, 13),
    (TableName::Traces, 11),
    (TableName::Metrics10s, 14),
    (TableName::Metrics1m, 14),
];

/// Publishes `batch` as a version without the columns `lacking` would have.
pub(super) async fn publish_old(table: &Table, batch: &RecordBatch, lacking: &HashSet<String>, consumed: u64) {
    let schema = batch.schema();
    let kept = (0..batch.num_columns()).filter(|&at| !lacking.contains(schema.field(at).name()));
    let old = batch.project(&kept.collect::<Vec<_>>()).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), old.schema(), None).unwrap();
    writer.write(&old).unwrap();
    let bytes = writer.into_inner().unwrap();
    let meta = SegmentMeta {
        path: format!("{}.parquet", new_ulid(START)),
        rows: batch.num_rows() as u64,
        bytes: bytes.len() as u64,
        time: (START, START.plus(1_000)),
        offsets: (LogOffset(consumed), LogOffset(consumed)),
        index: None,
        tally: None,
        modified_ms: 0,
        checksums: [].into(),
        stats: format!(r#"{{"numRecords":{}}}"#, batch.num_rows()).into(),
    };
    table.shared().objects.put(&table.path_of(&meta.path), bytes.into()).await.unwrap();
    table.commit(Commit::publish(vec![SegmentFile { meta, typed: Vec::new() }], LogOffset(consumed))).await.unwrap();
}

/// Two rows with a value in each column that may be null and is a text.
fn given(offset: u64, bodies: &[(&str, u64)], value: &str) -> RecordBatch {
    let plain = logs(offset, bodies);
    let kept = ["body", "time", "time_unix_nano", "log_offset"].map(|name| (name, plain[name].clone()));
    let optional = ["event_name", "correlation_id", "scope_name"].map(|name| (name, texts(&vec![value; bodies.len()])));
    rows(TableName::Logs, &kept.into_iter().chain(optional).collect::<Vec<_>>())
}

/// Body to values of the columns that a version lacked.
async fn values(scene: &Scene, spec: &ReadSpec) -> BTreeMap<String, Vec<Option<String>>> {
    let reader = Reader::new(scene.other(), None);
    let mut view = reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
    let mut found = BTreeMap::new();
    for batch in view.read(spec).await.unwrap() {
        let text = |name: &str, row: usize| {
            let column = batch.column_by_name(name)?;
            let column = arrow::array::cast::as_string_array(column);
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        for (row, body) in bodies(std::slice::from_ref(&batch)).into_iter().enumerate() {
            let of = ["event_name", "correlation_id", "scope_name"].map(|name| text(name, row));
            found.insert(body, of.to_vec());
        }
    }
    assert!(view.receipt.complete, "{:?}", view.receipt);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Scenario: one segment was written without some of the columns, one with all.
    /// Guarantee: reads, filters on an absent column and compaction give null for it, and lose nothing.
    #[test]
    fn rows_of_an_older_version_are_null_in_added_columns(
        lacking in prop::collection::hash_set(prop::sample::select(vec!["event_name", "correlation_id", "scope_name"]), 1..4),
    ) {
        let lacking: HashSet<String> = lacking.into_iter().map(str::to_owned).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let scene = Scene::new();
            let table = scene.table(TableName::Logs);
            publish_old(&table, &given(1, &[("old", 1), ("older", 2)], "x"), &lacking, 1).await;
            publish(&table, given(3, &[("new", 3)], "x"), 3).await;
            let seen = |name: &str| (!lacking.contains(name)).then(|| "x".to_owned());
            let old: Vec<_> = ["event_name", "correlation_id", "scope_name"].map(seen).to_vec();
            let new = vec![Some("x".to_owned()); 3];
            let expected =
                BTreeMap::from([("old".to_owned(), old.clone()), ("older".to_owned(), old), ("new".to_owned(), new)]);
            assert_eq!(values(&scene, &ReadSpec::default()).await, expected);
            let some = ReadSpec::columns(&["body", "scope_name", "event_name", "correlation_id"]);
            assert_eq!(values(&scene, &some).await, expected);
            for name in &lacking {
                let filtered = values(&scene, &some.clone().filter(Filter::text(name, "x"))).await;
                assert_eq!(filtered.keys().collect::<Vec<_>>(), ["new"], "{name}");
                let only = Reader::new(scene.other(), None);
                let mut view = only.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
                let column = view.read(&ReadSpec::columns(&[name.as_str()])).await.unwrap();
                assert_eq!(column.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
                assert!(column.iter().all(|batch| batch.num_columns() == 1));
            }
            let compact = CompactOptions { fan_in: 2, splice_bytes: 0, ..CompactOptions::default() };
            assert_eq!(table.compact(&compact, &mut HashSet::new()).await.unwrap().map(|done| done.rows), Some(3));
            assert_eq!(values(&scene, &ReadSpec::default()).await, expected);
        });
    }
}

/// Scenario: the table was made by a version with fewer columns.
/// Guarantee: the first commit of this version declares the new ones, so that other readers see them; once.
#[tokio::test]
async fn the_first_commit_of_a_new_version_declares_its_columns() {
    let scene = Scene::new();
    publish(&scene.table(TableName::Logs), logs(1, &[("a", 0)]), 1).await;
    let commit = |version: u64| scene.dir.path().join(format!("tables/default/logs/_delta_log/{version:020}.json"));
    let text = fs::read_to_string(commit(0)).unwrap();
    let field = r#"{\"metadata\":{},\"name\":\"scope_name\",\"nullable\":true,\"type\":\"string\"},"#;
    assert!(text.contains(field), "{text}");
    fs::write(commit(0), text.replace(field, "")).unwrap();

    let table = scene.other().table(&TenantId::default(), TableName::Logs);
    publish(&table, logs(2, &[("b", 0)]), 2).await;
    publish(&table, logs(3, &[("c", 0)]), 3).await;
    let metadata = |version| {
        let actions = decode_commit(&fs::read(commit(version)).unwrap()).unwrap();
        actions.into_iter().find_map(|action| action.meta_data)
    };
    let (first, second) = (metadata(0).unwrap(), metadata(1).unwrap());
    assert_eq!(first.id, second.id);
    assert!(!first.schema_string.contains("scope_name") && second.schema_string.contains("scope_name"));
    assert_eq!(metadata(2), None);
}

#[test]
fn added_columns_may_be_null() {
    for (table, required) in REQUIRED {
        let schema = table.schema();
        let names: Vec<_> = schema.fields().iter().filter(|field| !field.is_nullable()).map(|f| f.name()).collect();
        assert_eq!(names.len(), required, "a column that is added to {table} must be optional; required: {names:?}");
    }
}
