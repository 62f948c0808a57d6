use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use proptest::prelude::*;

use super::*;
use crate::attributes_builder;
use crate::index::pack::pack;
use crate::series::{LabelValues, MatchOp, Matcher};

type Pairs = Vec<(&'static str, &'static str)>;

/// Attributes and those of the resource, of rows of metric `m`, `n`, `m`, ...
fn batch(rows: &[(Pairs, Pairs)]) -> RecordBatch {
    let map = |of: fn(&(Pairs, Pairs)) -> &Pairs| {
        let mut map = attributes_builder(rows.len());
        for row in rows {
            for (key, value) in of(row) {
                map.keys().append_value(key);
                map.values().append_value(value);
            }
            map.append(true).unwrap();
        }
        std::sync::Arc::new(map.finish()) as ArrayRef
    };
    let texts = |of: fn(usize) -> &'static str| {
        std::sync::Arc::new((0..rows.len()).map(|row| Some(of(row))).collect::<StringArray>()) as ArrayRef
    };
    RecordBatch::try_from_iter([
        ("metric", texts(|row| ["m", "n"][row % 2])),
        ("service_name", texts(|_| "shop")),
        ("attributes", map(|row| &row.0)),
        ("resource_attributes", map(|row| &row.1)),
    ])
    .unwrap()
}

fn built(rows: &[(Pairs, Pairs)]) -> Bytes {
    let mut builder = LabelBuilder::default();
    for part in rows.chunks(3) {
        builder.add(&batch(part)).unwrap();
    }
    builder.finish().unwrap().into()
}

fn opened(rows: &[(Pairs, Pairs)]) -> LabelIndex {
    LabelIndex::open(&built(rows), rows.len() as u64).unwrap()
}

fn some_rows() -> Vec<(Pairs, Pairs)> {
    vec![
        (vec![("code", "200"), ("route", "/cart")], vec![("host", "a")]),
        (vec![("code", "500")], vec![("host", "b"), ("code", "resource")]),
        (vec![], vec![("host", "a"), ("code", "resource")]),
        (vec![("code", "")], vec![]),
        (vec![("route", "/cartä")], vec![("code", "")]),
        (vec![("code", "first"), ("code", "200")], vec![]),
    ]
}

fn check(op: MatchOp, key: &str, value: &str, expected: &[u32]) {
    let index = opened(&some_rows());
    let test = Matcher { key: key.to_owned(), op, value: value.to_owned() }.compiled().unwrap();
    let rows = index.matching(&test);
    let found: Vec<u32> = (0..index.rows()).filter(|row| rows.contains(*row)).collect();
    assert_eq!(found, expected, "{key} {op:?} {value:?}");
}

#[test]
fn rows_match_by_their_own_attribute_or_that_of_the_resource() {
    use MatchOp::{Equal, Matches, NotEqual, NotMatches};
    check(Equal, "code", "200", &[0, 5]);
    check(Equal, "code", "first", &[]);
    check(Equal, "code", "resource", &[2]);
    check(NotEqual, "code", "resource", &[0, 1, 3, 4, 5]);
    check(Equal, "code", "", &[3, 4]);
    check(NotEqual, "code", "", &[0, 1, 2, 5]);
    check(Equal, "route", "", &[1, 2, 3, 5]);
    check(Equal, "none", "", &[0, 1, 2, 3, 4, 5]);
    check(Equal, "none", "x", &[]);
    check(Matches, "code", "[25]00", &[0, 1, 5]);
    check(Matches, "code", "200|resource|", &[0, 2, 3, 4, 5]);
    check(NotMatches, "code", "200|resource|", &[1]);
    check(Matches, "route", "/cart.", &[4]);
    check(NotMatches, "host", ".+", &[3, 4, 5]);
}

#[test]
fn labels_are_those_of_the_rows_asked_for() {
    let index = opened(&some_rows());
    let labels = |rows: &[u32], only: Option<&str>| {
        let (mut set, mut found) = (RowSet::none(6), LabelValues::new());
        rows.iter().for_each(|&row| set.insert(row..row + 1));
        index.add_labels(&set, only, &mut found);
        found
            .into_iter()
            .map(|(name, values)| format!("{name}={}", values.into_iter().collect::<Vec<_>>().join(",")))
            .collect::<Vec<_>>()
    };
    assert_eq!(labels(&[0, 1], None), ["code=200,500,resource", "host=a,b", "route=/cart"]);
    assert_eq!(labels(&[3, 4, 5], None), ["code=,200", "route=/cartä"]);
    assert_eq!(labels(&[0, 4], Some("route")), ["route=/cart,/cartä"]);
    assert!(labels(&[], None).is_empty() && labels(&[0], Some("metric")).is_empty());
    let shop = index.with_column("service_name", "shop");
    assert_eq!((shop.count(), index.with_column("metric", "x").count()), (6, 0));
}

#[test]
fn any_flipped_bit_and_any_cut_is_an_error() {
    let file = built(&some_rows());
    for bit in 0..file.len() * 8 {
        let mut damaged = file.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(LabelIndex::open(&damaged.into(), 6).is_err(), "bit {bit}");
    }
    assert!((0..file.len()).all(|cut| LabelIndex::open(&file.slice(..cut), 6).is_err()));
    assert!(LabelIndex::open(&file, 7).is_err(), "of another segment");
}

#[test]
fn an_index_of_other_rows_is_told() {
    let of = |change: fn(&mut Vec<(Pairs, Pairs)>)| {
        let mut rows = some_rows();
        change(&mut rows);
        opened(&some_rows()).disagreement(&opened(&rows)).unwrap_or_default()
    };
    assert_eq!(of(|_| {}), "");
    assert!(of(|rows| rows[0].0[0].1 = "500").contains("\"code\""));
    assert!(of(|rows| rows[1].1[0].1 = "c").contains("\"host\""));
    assert!(of(|rows| rows[2].0.push(("new", "x"))).contains("\"new\""));
    assert!(of(|rows| rows.swap(1, 2)).contains("values of"));
}

#[test]
fn a_segment_with_more_text_than_readers_take_has_no_index() {
    let long: &'static str = Box::leak("x".repeat(MAX_TEXT_BYTES + 1).into_boxed_str());
    let mut builder = LabelBuilder::default();
    builder.add(&batch(&[(vec![("k", long)], vec![])])).unwrap();
    assert!(builder.finish().is_none());
}

/// What somebody could write who knows the checksums.
fn hostile(sections: BTreeMap<&str, Vec<u8>>) -> Result<LabelIndex, String> {
    let sections: Vec<_> = sections.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    LabelIndex::open(&pack(64, ROWS_PER_PAGE, &sections).into(), 64)
}

proptest! {
    #[test]
    fn sections_of_any_bytes_end_in_an_error_or_in_an_index_that_answers(
        labels in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..24),
        values in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..48),
        rows in prop::collection::vec(any::<u8>(), 0..24),
        sound in any::<bool>(),
    ) {
        let (one_label, two_lists) = (vec![1, 1, 1, b'k', 2], vec![1, 0, 2, 9, 7]);
        let (labels, rows) = if sound { (one_label, two_lists) } else { (labels, rows) };
        if let Ok(index) = hostile(BTreeMap::from([("labels", labels), ("values", values), ("rows", rows)])) {
            let mut found = LabelValues::new();
            index.add_labels(&RowSet::all(64), None, &mut found);
            for op in [MatchOp::Equal, MatchOp::NotMatches] {
                let test = Matcher { key: "k".to_owned(), op, value: "a".to_owned() }.compiled().unwrap();
                prop_assert!(index.matching(&test).count() <= 64);
            }
        }
    }
}

#[test]
fn text_that_grows_beyond_all_bounds_is_refused() {
    // A first value of 1 MiB, and then many that repeat it and add a byte.
    let mut values = Vec::new();
    let long = 1_usize << 20;
    rows::put_varint(&mut values, 0);
    rows::put_varint(&mut values, long as u64);
    values.extend(std::iter::repeat_n(b'a', long));
    values.push(0);
    for last in 0x20..0x70 {
        rows::put_varint(&mut values, long as u64);
        values.extend([1, last, 0]);
    }
    let refused =
        hostile(BTreeMap::from([("labels", vec![1, 1, 1, b'k', 81]), ("values", values), ("rows", vec![1, 0])]));
    assert!(refused.unwrap_err().contains("more than"));
}
