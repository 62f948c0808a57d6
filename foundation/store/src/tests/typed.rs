//! What is written with typed columns and read again is the same, whatever the attributes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use daymark_model::{LogOffset, TenantId, TimeRange};
use proptest::prelude::*;

use super::samples::{START, Scene, long_column, longs, micros, rows as rows_of, texts};
use crate::schema::attributes_of;
use crate::typed::{Layout, MAP, TypedColumn, columns_of, needed};
use crate::{
    Commit, CompactOptions, Filter, ReadSpec, Reader, SegmentOptions, TableName, TypedOptions, attributes_builder,
    write_segment,
};

/// (key, value as text, OTLP type)
type Attribute = (String, String, char);

fn attribute() -> impl Strategy<Value = Attribute> {
    let key = prop_oneof![
        6 => "[abc]",
        1 => Just("with space".to_owned()),
        1 => Just("A".to_owned()),
        1 => Just(String::new()),
    ];
    let value = prop_oneof![
        3 => "[a-z0-9]{0,5}".prop_map(|text| (text, 's')),
        2 => any::<i64>().prop_map(|value| (value.to_string(), 'i')),
        1 => (-3_i64..3).prop_map(|value| (value.to_string(), 'i')),
        1 => prop::sample::select(vec!["007", "+1", "-0", "", "9223372036854775808", "x"]).prop_map(|text| (text.to_owned(), 'i')),
        2 => any::<f64>().prop_map(|value| (format!("{value:?}"), 'd')),
        1 => prop::sample::select(vec!["\"NaN\"", "\"-Infinity\"", "NaN", "1", "1e3", "-0.0", "0.10"]).prop_map(|text| (text.to_owned(), 'd')),
        2 => any::<bool>().prop_map(|value| (value.to_string(), 'b')),
        1 => Just(("TRUE".to_owned(), 'b')),
        1 => Just(("[1,2]".to_owned(), 'j')),
        1 => Just(("AAE=".to_owned(), 'y')),
    ];
    (key, value).prop_map(|(key, (value, kind))| (key, value, kind))
}

/// The attributes of every row in order of arrival, each row's in any order.
fn sorted(batches: &[RecordBatch]) -> Vec<Vec<Attribute>> {
    let mut rows = BTreeMap::new();
    for batch in batches {
        let arrival = long_column(batch, "log_offset");
        let (keys, values, offsets, types) = attributes_of(batch).unwrap();
        for row in 0..batch.num_rows() {
            let entries = offsets[row] as usize..offsets[row + 1] as usize;
            assert_eq!(entries.len(), types.value(row).len(), "a type for each");
            let entries = entries.zip(types.value(row).chars());
            let mut all: Vec<Attribute> = entries
                .map(|(entry, kind)| (keys.value(entry).to_owned(), values.value(entry).to_owned(), kind))
                .collect();
            all.sort();
            rows.insert(arrival[row], all);
        }
    }
    rows.into_values().collect()
}

/// Log records with these attributes.
fn attributed_logs(offset: u64, of: &[Vec<Attribute>]) -> RecordBatch {
    let mut map = attributes_builder(of.len());
    let mut types = Vec::new();
    for row in of {
        for (key, value, _) in row {
            map.keys().append_value(key);
            map.values().append_value(value);
        }
        map.append(true).unwrap();
        types.push(row.iter().map(|(.., kind)| kind).collect::<String>());
    }
    let nanos: Vec<u64> = (0..of.len() as u64).map(|row| START.0 + offset + row).collect();
    let types: ArrayRef = Arc::new(StringArray::from(types));
    rows_of(
        TableName::Logs,
        &[
            ("time", micros(&nanos)),
            ("time_unix_nano", longs(&nanos)),
            ("body", texts(&vec!["said"; of.len()])),
            ("attributes", Arc::new(map.finish())),
            ("attribute_types", types),
            ("log_offset", longs(&nanos.iter().map(|nanos| nanos - START.0 + 1).collect::<Vec<_>>())),
        ],
    )
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn read(scene: &Scene) -> Vec<RecordBatch> {
    let reader = Reader::new(scene.store.clone(), None);
    let mut view = reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
    view.read(&ReadSpec::default()).await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn attributes_come_back_with_value_and_type_whatever_they_are(
        files in prop::collection::vec(prop::collection::vec(prop::collection::vec(attribute(), 0..6), 1..30), 1..4),
        min_rows in 1..6_usize,
        max_columns in 0..6_usize,
        splice: bool,
    ) {
        let typed = TypedOptions { min_share_per_mille: 10, min_rows, max_columns };
        let options = SegmentOptions { typed, page_rows: 8, ..SegmentOptions::default() };
        runtime().block_on(async {
            let scene = Scene::new();
            let table = scene.table(TableName::Logs);
            let mut offset = 0;
            for rows in &files {
                let batch = attributed_logs(offset, rows);
                let file = write_segment(&table, vec![batch], options.clone()).await.unwrap();
                offset += rows.len() as u64;
                table.commit(Commit::publish(vec![file], LogOffset(offset))).await.unwrap();
            }
            let mut expected: Vec<Vec<Attribute>> = files.concat();
            expected.iter_mut().for_each(|row| row.sort());
            assert_eq!(sorted(&read(&scene).await), expected);
            let compaction = CompactOptions {
                fan_in: 1,
                splice_bytes: if splice { 0 } else { u64::MAX },
                segment: options,
                ..CompactOptions::default()
            };
            table.compact(&compaction, &mut Default::default()).await.unwrap();
            assert_eq!(table.known_snapshot().segments.len(), 1, "merged");
            assert_eq!(sorted(&read(&scene).await), expected, "merged");
            let known = table.known_snapshot().typed;
            assert!(known.len() <= max_columns, "{known:?}");
        });
    }
}

fn routes_and_users(count: usize) -> Vec<Vec<Attribute>> {
    let row = |n: usize| {
        let user = match n % 2 {
            0 => ("user".to_owned(), n.to_string(), 'i'),
            _ => ("user".to_owned(), format!("u{n}"), 's'),
        };
        let mut row = vec![("http.route".to_owned(), format!("/r{}", n % 3), 's'), user];
        row.extend((n == 7).then(|| ("rare".to_owned(), "x".to_owned(), 's')));
        row
    };
    (0..count).map(row).collect()
}

#[test]
fn a_frequent_attribute_gets_a_column_for_each_of_its_types_and_a_rare_one_none() {
    runtime().block_on(async {
        let scene = Scene::new();
        let table = scene.table(TableName::Logs);
        let file = write_segment(&table, vec![attributed_logs(0, &routes_and_users(400))], SegmentOptions::default())
            .await
            .unwrap();
        table.commit(Commit::publish(vec![file], LogOffset(400))).await.unwrap();
        let known: Vec<String> = table.known_snapshot().typed.keys().cloned().collect();
        assert_eq!(known, ["attr_int:user", "attr_string:http.route", "attr_string:user"]);
        let stats = table.known_snapshot().segments[0].column_bounds();
        assert_eq!(stats["attr_int:user"], (0.into(), 398.into()), "engines prune by them");
        let again = crate::Store::open_local_with(scene.dir.path(), Default::default()).unwrap();
        let reopened = again.table(&TenantId::default(), TableName::Logs).snapshot().await.unwrap();
        assert_eq!(reopened.typed.len(), 3);
    });
}

#[test]
fn a_test_of_one_attribute_reads_no_other_column_of_attributes() {
    let wanted = Schema::new(vec![Field::new(MAP, crate::attributes_type(), false)]);
    let there: Vec<Field> =
        ["attr_int:a", "attr_string:a", "attr_string:b"].map(|name| TypedColumn::parse(name).unwrap().field()).into();
    let there = Schema::new([vec![wanted.field(0).clone()], there].concat());
    assert_eq!(needed(&wanted, &there, Some(&["a".to_owned()])), [1, 2]);
    assert_eq!(needed(&wanted, &there, None), [1, 2, 3]);
    assert_eq!(needed(&Schema::empty(), &there, None), [0; 0]);
    runtime().block_on(async {
        let scene = Scene::new();
        let table = scene.table(TableName::Logs);
        let file = write_segment(&table, vec![attributed_logs(0, &routes_and_users(400))], SegmentOptions::default())
            .await
            .unwrap();
        table.commit(Commit::publish(vec![file], LogOffset(400))).await.unwrap();
        let filter = Filter::new(&[MAP], |batch| {
            let map = batch[MAP].as_map();
            let keys = map.keys().as_string::<i32>();
            assert!(keys.iter().flatten().all(|key| key == "user" || key == "rare"), "no other is read");
            Ok((0..batch.num_rows()).map(|row| Some(map.value_length(row) > 0)).collect())
        });
        let reader = Reader::new(scene.store.clone(), None);
        let mut view = reader.view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
        let read = view.read(&ReadSpec::columns(&["body"]).filter(filter.of_attribute("user"))).await.unwrap();
        assert_eq!(read.iter().map(|batch| batch.num_rows()).sum::<usize>(), 400);
    });
}

#[test]
fn spellings_that_engines_take_for_one_name_get_one_column() {
    let of = |key: &str| vec![(key.to_owned(), "v".to_owned(), 's')];
    let batch = attributed_logs(0, &[of("userId"), of("userid"), of("userId")]);
    let options = TypedOptions { min_rows: 1, ..TypedOptions::default() };
    let layout = Layout::choose(TableName::Logs, &batch, &[], &BTreeMap::new(), &options);
    assert_eq!(layout.into_columns().iter().map(|column| column.key.as_str()).collect::<Vec<_>>(), ["userId"]);
    let known = columns_of(["attr_string:USERID"].into_iter());
    let layout = Layout::choose(TableName::Logs, &batch, &[], &known, &options);
    assert_eq!(layout.into_columns(), []);
}
