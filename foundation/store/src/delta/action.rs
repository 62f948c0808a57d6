//! The actions of a commit file, as JSON lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use daymark_model::{LogOffset, UnixNanos};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::segment::{CHECKSUM_BLOCK_BYTES, IndexMeta, SegmentMeta};
use crate::typed::{TypedColumn, columns_of};
use crate::{StoreError, TableName, Tally};

/// Writes of newer versions may add kinds of actions; what is none of these is left alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Action {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) meta_data: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) add: Option<Add>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remove: Option<Remove>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) txn: Option<Txn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commit_info: Option<CommitInfo>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Protocol {
    pub(crate) min_reader_version: i64,
    pub(crate) min_writer_version: i64,
}

impl Protocol {
    pub(crate) const OURS: Protocol = Protocol { min_reader_version: 1, min_writer_version: 2 };
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) id: String,
    pub(crate) format: Format,
    pub(crate) schema_string: String,
    pub(crate) partition_columns: Vec<String>,
    pub(crate) configuration: BTreeMap<String, Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_time: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Format {
    pub(crate) provider: String,
    #[serde(default)]
    pub(crate) options: BTreeMap<String, Option<String>>,
}

impl Metadata {
    /// For a new table.
    pub(crate) fn new(table: TableName, id: String, created_ms: i64) -> Metadata {
        Metadata {
            id,
            format: Format { provider: "parquet".to_owned(), options: BTreeMap::new() },
            schema_string: delta_schema(&table.schema()).to_string(),
            partition_columns: Vec::new(),
            configuration: BTreeMap::new(),
            created_time: Some(created_ms),
        }
    }

    /// Its columns of attributes, by their names in lower case.
    pub(crate) fn typed(&self) -> BTreeMap<String, TypedColumn> {
        let schema: Value = serde_json::from_str(&self.schema_string).unwrap_or_default();
        let fields = schema["fields"].as_array().map_or(&[][..], Vec::as_slice);
        columns_of(fields.iter().filter_map(|field| field["name"].as_str()))
    }

    /// With the columns of `table` and the columns `typed` of attributes that it lacks, after its own; columns that are written no more, and those that may be
    /// null by now, stay and may be null from here on. None when nothing changes. What is in the table already has null in
    /// the new columns.
    pub(crate) fn evolved<'t>(
        &self,
        table: TableName,
        typed: impl Iterator<Item = &'t TypedColumn>,
    ) -> Option<Metadata> {
        let mut schema: Value = serde_json::from_str(&self.schema_string).ok()?;
        let fields = schema.get_mut("fields")?.as_array_mut()?;
        let of_attributes = typed.map(|column| (column.field().name().to_ascii_lowercase(), Arc::new(column.field())));
        let of_attributes: BTreeMap<String, Arc<Field>> = of_attributes.collect();
        let known = |name: &String| fields.iter().any(|there| is_named(there, name));
        let of_attributes = of_attributes.into_iter().filter(|(name, _)| !known(name)).map(|(_, field)| field);
        let own = table.schema();
        let mut ours =
            delta_schema(&Schema::new(own.fields().iter().cloned().chain(of_attributes).collect::<Vec<_>>()));
        let mut added = std::mem::take(ours.get_mut("fields")?.as_array_mut()?);
        let mut changed = false;
        for field in fields.iter_mut().filter(|field| field["nullable"] == false) {
            let same = added.iter().find(|ours| ours["name"] == field["name"]);
            if same.is_none_or(|ours| ours["nullable"] == true) {
                field["nullable"] = true.into();
                changed = true;
            }
        }
        added.retain(|field| !fields.iter().any(|there| there["name"] == field["name"]));
        if added.is_empty() && !changed {
            return None;
        }
        fields.extend(added);
        Some(Metadata { schema_string: schema.to_string(), ..self.clone() })
    }
}

/// Whether a column of a Delta schema has this name, given in lower case: engines may not tell the cases apart.
fn is_named(column: &Value, name: &str) -> bool {
    column["name"].as_str().is_some_and(|there| there.eq_ignore_ascii_case(name))
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Add {
    pub(crate) path: String,
    pub(crate) partition_values: BTreeMap<String, Option<String>>,
    pub(crate) size: i64,
    pub(crate) modification_time: i64,
    pub(crate) data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stats: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remove {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) deletion_timestamp: Option<i64>,
    pub(crate) data_change: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Txn {
    pub(crate) app_id: String,
    pub(crate) version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_updated: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommitInfo {
    #[serde(default)]
    pub(crate) timestamp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) operation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) engine_info: Option<String>,
    /// Actions that follow in a commit of ours: shows a file that was cut between two lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) daymark_actions: Option<usize>,
    /// Tells a commit of ours from every other, when the answer to its put was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) daymark_commit: Option<String>,
}

/// The text of a commit file.
pub(crate) fn encode_commit(actions: &[Action], timestamp_ms: i64, id: String) -> Result<String, StoreError> {
    let info = CommitInfo {
        timestamp: timestamp_ms,
        operation: Some("WRITE".to_owned()),
        engine_info: Some(concat!("daymark/", env!("CARGO_PKG_VERSION")).to_owned()),
        daymark_actions: Some(actions.len()),
        daymark_commit: Some(id),
    };
    let info = Action { commit_info: Some(info), ..Action::default() };
    let mut text = String::new();
    for action in std::iter::once(&info).chain(actions) {
        let line = serde_json::to_string(action)
            .map_err(|error| StoreError::Background(format!("encoding a commit: {error}")))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// Reads a commit file.
///
/// # Errors
/// What is wrong, when it is empty or not whole.
pub(crate) fn decode_commit(text: &[u8]) -> Result<Vec<Action>, String> {
    if text.is_empty() {
        return Err("the file is empty".to_owned());
    }
    let mut actions = Vec::new();
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let action = serde_json::from_slice(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        actions.push(action);
    }
    let promised = actions.iter().find_map(|action: &Action| action.commit_info.as_ref()?.daymark_actions);
    match promised {
        Some(promised) if promised + 1 != actions.len() => {
            Err(format!("{} of {promised} actions are there", actions.len().saturating_sub(1)))
        }
        _ if actions.is_empty() => Err("the file has no actions".to_owned()),
        _ => Ok(actions),
    }
}

const TAG_TIME: &str = "daymark.time";
const TAG_OFFSETS: &str = "daymark.offsets";
const TAG_INDEX: &str = "daymark.index";
const TAG_TALLY: &str = "daymark.tally";
const TAG_CHECKSUMS: &str = "daymark.crc32c";

/// `<block bytes>:<8 hex digits a block>`.
fn checksums_text(checksums: &[u32]) -> String {
    checksums.iter().fold(format!("{CHECKSUM_BLOCK_BYTES}:"), |text, checksum| text + &format!("{checksum:08x}"))
}

/// None for another size of blocks: then the file has no checksums.
fn checksums_of(text: &str) -> Option<Arc<[u32]>> {
    let (block, digits) = text.split_once(':')?;
    if block.parse() != Ok(CHECKSUM_BLOCK_BYTES) || digits.len() % 8 != 0 || !digits.is_ascii() {
        return None;
    }
    (0..digits.len()).step_by(8).map(|at| u32::from_str_radix(&digits[at..at + 8], 16).ok()).collect()
}

fn pair(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// The `add` that publishes a segment.
pub(crate) fn add_of(segment: &SegmentMeta) -> Add {
    let mut tags = BTreeMap::new();
    tags.insert(TAG_TIME.to_owned(), Some(format!("{}-{}", segment.time.0.0, segment.time.1.0)));
    tags.insert(TAG_OFFSETS.to_owned(), Some(format!("{}-{}", segment.offsets.0, segment.offsets.1)));
    if !segment.checksums.is_empty() {
        tags.insert(TAG_CHECKSUMS.to_owned(), Some(checksums_text(&segment.checksums)));
    }
    let index = segment.index.as_ref().map(|index| format!("{}:{}:{}", index.path, index.bytes, index.rows_per_page));
    tags.extend(index.map(|text| (TAG_INDEX.to_owned(), Some(text))));
    tags.extend(segment.tally.map(|tally| (TAG_TALLY.to_owned(), Some(format!("{}-{}", tally.values, tally.totals)))));
    Add {
        path: segment.path.clone(),
        partition_values: BTreeMap::new(),
        size: segment.bytes as i64,
        modification_time: segment.modified_ms,
        data_change: true,
        stats: Some(segment.stats.to_string()),
        tags: Some(tags),
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_records: u64,
    min_values: BTreeMap<String, Value>,
    max_values: BTreeMap<String, Value>,
}

/// The segment an `add` publishes. Other writers know no tags: then times come from the statistics, and a segment
/// without either covers all of time.
pub(crate) fn segment_of(add: Add, table: TableName) -> SegmentMeta {
    let stats_text = add.stats.unwrap_or_default();
    let stats: Stats = serde_json::from_str(&stats_text).unwrap_or_default();
    let tags = add.tags.unwrap_or_default();
    let tag = |name: &str| tags.get(name).and_then(|value| value.as_deref());
    let time = tag(TAG_TIME).and_then(pair).or_else(|| {
        let nanos = |values: &BTreeMap<String, Value>| values.get(table.nanos_column())?.as_u64();
        Some((nanos(&stats.min_values)?, nanos(&stats.max_values)?))
    });
    let (first, last) = time.unwrap_or((0, u64::MAX));
    let (first_offset, last_offset) = tag(TAG_OFFSETS).and_then(pair).unwrap_or((0, 0));
    let index = tag(TAG_INDEX).and_then(|text| {
        let mut parts = text.splitn(3, ':');
        let path = parts.next()?.to_owned();
        let bytes = parts.next()?.parse().ok()?;
        let rows_per_page = parts.next()?.parse().ok().filter(|&rows: &u32| rows > 0)?;
        Some(IndexMeta { path, bytes, rows_per_page })
    });
    SegmentMeta {
        path: percent_decode(&add.path),
        rows: stats.num_records,
        bytes: add.size.max(0) as u64,
        time: (UnixNanos(first), UnixNanos(last)),
        offsets: (LogOffset(first_offset), LogOffset(last_offset)),
        index,
        tally: tag(TAG_TALLY).and_then(pair).map(|(values, totals)| Tally { values, totals }),
        modified_ms: add.modification_time,
        checksums: tag(TAG_CHECKSUMS).and_then(checksums_of).unwrap_or_default(),
        stats: stats_text.into(),
    }
}

/// Paths in the log are percent-encoded URIs. Ours need no encoding; those of other writers may.
pub(crate) fn percent_decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = path.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| path.to_owned())
}

fn delta_type(data_type: &DataType) -> Value {
    match data_type {
        DataType::Int32 => json!("integer"),
        DataType::Boolean => json!("boolean"),
        DataType::Int64 => json!("long"),
        DataType::Float64 => json!("double"),
        DataType::Timestamp(..) => json!("timestamp"),
        DataType::Binary | DataType::FixedSizeBinary(_) => json!("binary"),
        DataType::List(item) => {
            json!({"type": "array", "elementType": delta_type(item.data_type()), "containsNull": item.is_nullable()})
        }
        DataType::Map(entry, _) => match entry.data_type() {
            DataType::Struct(fields) => json!({
                "type": "map",
                "keyType": delta_type(fields[0].data_type()),
                "valueType": delta_type(fields[1].data_type()),
                "valueContainsNull": fields[1].is_nullable(),
            }),
            _ => json!("string"),
        },
        // The schemas of `crate::schema` have no other type; a test goes through all of them.
        _ => json!("string"),
    }
}

fn delta_schema(schema: &Schema) -> Value {
    let field = |field: &Arc<Field>| {
        json!({
            "name": field.name(),
            "type": delta_type(field.data_type()),
            "nullable": field.is_nullable(),
            "metadata": {},
        })
    };
    json!({"type": "struct", "fields": schema.fields().iter().map(field).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_survives_its_add() {
        let segment = SegmentMeta {
            path: "01J.parquet".into(),
            rows: 7,
            bytes: 99,
            time: (UnixNanos(5), UnixNanos(1_700_000_000_123_456_789)),
            offsets: (LogOffset(3), LogOffset(9)),
            index: Some(IndexMeta { path: "_idx/01J.idx".into(), bytes: 12, rows_per_page: 1024 }),
            tally: Some(Tally { values: 7, totals: 0 }),
            modified_ms: 17,
            checksums: [7, 0xffff_ffff].into(),
            stats: r#"{"numRecords":7}"#.into(),
        };
        assert_eq!(segment_of(add_of(&segment), TableName::Logs), segment);
    }

    #[test]
    fn a_commit_cut_anywhere_is_an_error() {
        let remove = Remove { path: "a".into(), deletion_timestamp: Some(1), data_change: true };
        let actions = vec![Action { remove: Some(remove), ..Action::default() }; 3];
        let text = encode_commit(&actions, 1, "id".into()).unwrap();
        assert_eq!(decode_commit(text.as_bytes()).unwrap().len(), 4);
        // Without the last newline the file is still whole.
        for cut in 0..text.len() - 1 {
            assert!(decode_commit(&text.as_bytes()[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn paths_of_other_writers_are_decoded() {
        assert_eq!(percent_decode("a%20b%2Fc.parquet"), "a b/c.parquet");
        assert_eq!(percent_decode("100%.parquet"), "100%.parquet");
    }
}
