//! Checkpoints: the state of a table as one Parquet file, so that readers need not replay every commit.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::json::{LineDelimitedWriter, ReaderBuilder};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::json;

use super::action::{Action, Metadata, Protocol, Remove, Txn, add_of};
use super::log::{LogDir, checkpoint_path};
use super::state::State;
use crate::StoreError;
use crate::segment::SegmentMeta;

/// What a checkpoint holds; cheap to take while the table is locked.
pub(crate) struct CheckpointContent {
    pub(crate) version: u64,
    metadata: Metadata,
    live: Vec<Arc<SegmentMeta>>,
    tombstones: Vec<(String, i64)>,
    txns: Vec<(String, i64)>,
}

impl CheckpointContent {
    /// `None` while the table does not exist.
    pub(crate) fn of(state: &State) -> Option<CheckpointContent> {
        Some(CheckpointContent {
            version: state.version?,
            metadata: state.metadata.clone()?,
            live: state.live.values().cloned().collect(),
            tombstones: state.tombstones.iter().map(|(path, ms)| (path.clone(), *ms)).collect(),
            txns: state.txns.iter().map(|(app, version)| (app.clone(), *version)).collect(),
        })
    }

    fn actions(self) -> Vec<Action> {
        let mut actions = vec![
            Action { protocol: Some(Protocol::OURS), ..Action::default() },
            Action { meta_data: Some(self.metadata), ..Action::default() },
        ];
        for (app_id, version) in self.txns {
            actions.push(Action { txn: Some(Txn { app_id, version, last_updated: None }), ..Action::default() });
        }
        for segment in &self.live {
            actions.push(Action { add: Some(add_of(segment)), ..Action::default() });
        }
        for (path, ms) in self.tombstones {
            let remove = Remove { path, deletion_timestamp: Some(ms), data_change: false };
            actions.push(Action { remove: Some(remove), ..Action::default() });
        }
        actions
    }
}

/// Writes the checkpoint, then the hint that names it.
pub(crate) async fn write_checkpoint(log: &LogDir, content: CheckpointContent) -> Result<(), StoreError> {
    let version = content.version;
    let path = checkpoint_path(&log.table, version);
    let (size, bytes) = tokio::task::spawn_blocking(move || {
        let actions = content.actions();
        encode(&actions).map(|bytes| (actions.len(), bytes))
    })
    .await
    .map_err(|error| StoreError::background(&error))?
    .map_err(|error| StoreError::parquet(path.as_ref(), error))?;
    log.objects.put(&path, bytes.into()).await?;
    let hint = json!({ "version": version, "size": size }).to_string();
    let hint_path = log.table.clone().join("_delta_log").join("_last_checkpoint");
    log.objects.put(&hint_path, hint.into()).await?;
    Ok(())
}

fn encode(actions: &[Action]) -> parquet::errors::Result<Vec<u8>> {
    let schema = Arc::new(schema());
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(1024).build_decoder()?;
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1)?);
    let properties = WriterProperties::builder().set_compression(zstd).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
    for chunk in actions.chunks(1024) {
        decoder.serialize(chunk)?;
        if let Some(batch) = decoder.flush()? {
            writer.write(&batch)?;
        }
    }
    writer.into_inner()
}

/// Reads the actions of a checkpoint.
pub(crate) async fn read_checkpoint(objects: &Arc<dyn ObjectStore>, path: &Path) -> Result<Vec<Action>, StoreError> {
    let bytes = objects.get(path).await?.bytes().await?;
    let at = path.to_string();
    tokio::task::spawn_blocking(move || decode(bytes).map_err(|error| StoreError::parquet(&at, error)))
        .await
        .map_err(|error| StoreError::background(&error))?
}

fn decode(bytes: Bytes) -> parquet::errors::Result<Vec<Action>> {
    let mut actions = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
        let mut lines = LineDelimitedWriter::new(Vec::new());
        lines.write_batches(&[&batch?])?;
        lines.finish()?;
        for line in lines.into_inner().split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let action = serde_json::from_slice(line)
                .map_err(|error| parquet::errors::ParquetError::General(format!("checkpoint row: {error}")))?;
            actions.push(action);
        }
    }
    match actions.iter().any(|action: &Action| action.meta_data.is_some()) {
        true => Ok(actions),
        false => Err(parquet::errors::ParquetError::General("checkpoint without metaData".to_owned())),
    }
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn long(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

fn flag(name: &str) -> Field {
    Field::new(name, DataType::Boolean, true)
}

fn map(name: &str) -> Field {
    let entry = Fields::from(vec![Field::new("key", DataType::Utf8, false), text("value")]);
    Field::new(name, DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false), true)
}

fn group(name: &str, fields: Vec<Field>) -> Field {
    Field::new(name, DataType::Struct(fields.into()), true)
}

/// The checkpoint schema of the Delta protocol, for the actions we use.
fn schema() -> Schema {
    let names = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
    let format = group("format", vec![text("provider"), map("options")]);
    let integer = |name| Field::new(name, DataType::Int32, true);
    Schema::new(vec![
        group("txn", vec![text("appId"), long("version"), long("lastUpdated")]),
        group(
            "add",
            vec![
                text("path"),
                map("partitionValues"),
                long("size"),
                long("modificationTime"),
                flag("dataChange"),
                text("stats"),
                map("tags"),
            ],
        ),
        group("remove", vec![text("path"), long("deletionTimestamp"), flag("dataChange")]),
        group(
            "metaData",
            vec![
                text("id"),
                format,
                text("schemaString"),
                Field::new("partitionColumns", names, true),
                map("configuration"),
                long("createdTime"),
            ],
        ),
        group("protocol", vec![integer("minReaderVersion"), integer("minWriterVersion")]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TableName;

    #[test]
    fn a_checkpoint_reads_back_as_its_actions() {
        let mut state = State { version: Some(3), ..State::default() };
        state.metadata = Some(Metadata::new(TableName::Logs, "id".into(), 5));
        state.tombstones.insert("gone.parquet".into(), 77);
        state.txns.insert("app".into(), 12);
        let actions = CheckpointContent::of(&state).unwrap().actions();
        let bytes = encode(&actions).unwrap();
        let read = decode(bytes.into()).unwrap();
        let text = |actions: &[Action]| actions.iter().map(|a| json!(a)).collect::<Vec<_>>();
        assert_eq!(text(&read), text(&actions));
    }
}
