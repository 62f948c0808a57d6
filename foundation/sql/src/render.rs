//! Writes the rows of an answer as JSON, CSV or a table.

use std::io::Write as _;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::util::pretty::pretty_format_batches_with_options;
use daymark_model::Receipt;
use serde_json::{Value, json};

use crate::bounded::Bounds;
use crate::cells;
use crate::size::largest_cell;
use crate::{Format, SqlError};

/// The rows as text, at most `max_bytes`. Stops when the statement is stopped.
pub(crate) fn render(
    schema: &Schema,
    batches: &[RecordBatch],
    format: Format,
    receipt: &Receipt,
    max_bytes: usize,
    bounds: &Bounds,
) -> Result<Vec<u8>, SqlError> {
    let too_large = || SqlError::Limit {
        what: "the answer is too large".to_owned(),
        option: "max_answer_bytes",
        limit: max_bytes as u64,
        advice: "select fewer columns or rows",
    };
    if format == Format::Table && padded_bytes(batches) > max_bytes {
        return Err(too_large());
    }
    let mut out = Capped { text: Vec::new(), max_bytes, bounds };
    let written = match format {
        Format::Json => write_json(&mut out, schema, batches, receipt),
        Format::Csv => write_csv(&mut out, schema, batches),
        Format::Table => write_table(&mut out, schema, batches),
    };
    bounds.check_stopped()?;
    match written {
        Ok(()) => Ok(out.text),
        Err(ArrowError::IoError(..)) => Err(too_large()),
        Err(error) => Err(SqlError::Engine(error.to_string())),
    }
}

/// A table pads every cell to the widest of its column, so that one large cell costs its size in every row.
fn padded_bytes(batches: &[RecordBatch]) -> usize {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let columns = batches.first().map_or(0, RecordBatch::num_columns);
    let widest = |at: usize| batches.iter().map(|batch| largest_cell(batch.column(at), 0)).max().unwrap_or(0);
    (0..columns).map(widest).fold(0, usize::saturating_add).saturating_mul(rows)
}

/// Grows to `max_bytes` and not beyond, and not after the statement was stopped.
struct Capped<'b> {
    text: Vec<u8>,
    max_bytes: usize,
    bounds: &'b Bounds,
}

impl std::io::Write for Capped<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bounds.check_stopped().is_err() {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        if self.text.len() + bytes.len() > self.max_bytes {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn write_json(
    out: &mut Capped<'_>,
    schema: &Schema,
    batches: &[RecordBatch],
    receipt: &Receipt,
) -> Result<(), ArrowError> {
    let columns: Vec<Value> = schema
        .fields()
        .iter()
        .map(|field| json!({ "name": field.name(), "type": field.data_type().to_string() }))
        .collect();
    write!(out, "{{\"columns\":{},\"rows\":[", Value::Array(columns))?;
    let mut separator = "";
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| cells::json(column, row));
            let cells = cells.collect::<Result<Vec<Value>, _>>()?;
            write!(out, "{separator}{}", Value::Array(cells))?;
            separator = ",";
        }
    }
    write!(out, "],\"receipt\":{}}}", json!(receipt))?;
    Ok(())
}

/// RFC 4180 with a header line; NULL is an empty field, an empty text is `""`.
fn write_csv(out: &mut Capped<'_>, schema: &Schema, batches: &[RecordBatch]) -> Result<(), ArrowError> {
    let names: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    writeln!(out, "{}", names.join(","))?;
    for batch in batches {
        for row in 0..batch.num_rows() {
            for (at, column) in batch.columns().iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                if column.is_null(row) {
                    write!(out, "{comma}")?;
                } else {
                    write!(out, "{comma}{}", quoted(&cells::text(column, row)?))?;
                }
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn quoted(field: &str) -> String {
    if field.is_empty() || field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn write_table(out: &mut Capped<'_>, schema: &Schema, batches: &[RecordBatch]) -> Result<(), ArrowError> {
    let empty = [RecordBatch::new_empty(schema.clone().into())];
    let batches = if batches.is_empty() { &empty } else { batches };
    let table = pretty_format_batches_with_options(batches, &cells::format_options())?;
    writeln!(out, "{table}")?;
    Ok(())
}
