//! Columns that a file or a collector does not have, because an older version wrote it; and those of a newer one.
//!
//! Invariants:
//! - a schema changes by added columns only, and an added column may be null ([`crate::TableName::schema`]);
//! - rows written before a column was added have null in it, whoever reads them: queries, SQL, compaction;
//! - a column that this version does not know is left out.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::TableName;

/// The schema of an answer with `columns`, in schema order, each once; all of them for `None`.
///
/// # Errors
/// When the table has no such column.
pub(super) fn schema_of(table: TableName, columns: Option<&[String]>) -> Result<SchemaRef, ArrowError> {
    let schema = table.schema();
    let Some(columns) = columns else { return Ok(schema) };
    let mut positions = columns.iter().map(|column| schema.index_of(column)).collect::<Result<Vec<_>, _>>()?;
    positions.sort_unstable();
    positions.dedup();
    Ok(Arc::new(schema.project(&positions)?))
}

/// Names in `wanted` that `there` has. Where rows must be counted and it has none of them, `instead` stands in.
pub(super) fn present(wanted: &Schema, there: &Schema, instead: &str) -> Vec<String> {
    let has = |name: &&String| there.column_with_name(name).is_some();
    let mut names: Vec<String> = wanted.fields().iter().map(|field| field.name()).filter(has).cloned().collect();
    if names.is_empty() && !wanted.fields().is_empty() {
        names.push(instead.to_owned());
    }
    names
}

/// `batch` with the columns of `schema`: absent ones are null, others are left out.
///
/// # Errors
/// When an absent column must not be null.
pub(super) fn conform(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let fits = batch.num_columns() == schema.fields().len()
        && batch.schema_ref().fields().iter().zip(schema.fields()).all(|(there, wanted)| there.name() == wanted.name());
    if fits {
        return Ok(batch);
    }
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => Ok(Arc::clone(column)),
        None if field.is_nullable() => Ok(new_null_array(field.data_type(), batch.num_rows())),
        None => Err(ArrowError::SchemaError(format!("no column {}", field.name()))),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}
