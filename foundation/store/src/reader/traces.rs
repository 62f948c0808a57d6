//! Traces: each span once, each trace in its newest version.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};
use daymark_model::{Receipt, TenantId, TimeRange, TraceId};

use super::{Filter, ReadSpec, Reader, View};
use crate::{StoreError, TableName};

impl Reader {
    /// All spans of a trace, each once (clients without a stamp may have sent some twice), by start time, with all
    /// columns.
    ///
    /// # Errors
    /// As [`View::read`].
    pub async fn trace_spans(
        &self,
        tenant: &TenantId,
        trace: TraceId,
        range: TimeRange,
    ) -> Result<(RecordBatch, Receipt), StoreError> {
        let mut view = self.view(tenant, TableName::Spans, range).await?;
        let read = view.read(&ReadSpec::default().filter(Filter::trace_id(trace))).await?;
        let spans = concat(&TableName::Spans.schema(), &read)?;
        let ids = spans.column_by_name("span_id").and_then(|ids| ids.as_fixed_size_binary_opt());
        let starts = spans.column_by_name("start_time_unix_nano").and_then(|s| s.as_primitive_opt::<Int64Type>());
        let (Some(ids), Some(starts)) = (ids, starts) else { return Err(wrong(TableName::Spans)) };
        let mut seen = std::collections::HashSet::new();
        let mut rows: Vec<u32> =
            (0..ids.len()).filter(|&row| seen.insert(ids.value(row))).map(|row| row as u32).collect();
        rows.sort_by_key(|&row| starts.value(row as usize));
        let spans = take_record_batch(&spans, &UInt32Array::from(rows))?;
        Ok((spans, view.receipt))
    }
}

impl View {
    /// The newest version of each trace that passes the filters of `spec`, in no order. The filters, and the view's
    /// range, apply to the newest version only.
    ///
    /// # Errors
    /// As [`View::read`].
    pub async fn newest_traces(&mut self, spec: &ReadSpec) -> Result<RecordBatch, StoreError> {
        let columns = spec.columns.clone().map(|mut columns| {
            columns.extend(["trace_id", "version", self.table.nanos_column()].map(str::to_owned));
            columns.extend(spec.filters.iter().flat_map(|filter| filter.columns().to_owned()));
            columns
        });
        let by_id = spec.filters.iter().find(|filter| filter.columns() == ["trace_id"]).cloned();
        let every_version = ReadSpec { columns, filters: by_id.into_iter().collect(), ..ReadSpec::default() };
        let mut read = Vec::new();
        for segment in self.segments.clone() {
            // Rows are narrowed to the range only after the newest version is chosen: an older one must not stand in.
            let Some(rows) = self.choose(&segment, &every_version, None).await? else { continue };
            read.extend(self.read_rows(&segment, &every_version, rows).await?.unwrap_or_default());
        }
        for batch in &self.hot {
            read.push(every_version.apply(batch)?);
        }
        let schema = read.first().map_or_else(|| self.table.schema(), RecordBatch::schema);
        let all = concat(&schema, &read)?;
        let rows = newest_versions(&all)?;
        let newest = take_record_batch(&all, &UInt32Array::from(rows))?;
        self.narrowed(spec, None).apply(&newest)
    }
}

/// Rows with the highest version of their trace; of equal versions the last.
fn newest_versions(traces: &RecordBatch) -> Result<Vec<u32>, StoreError> {
    let ids = traces.column_by_name("trace_id").and_then(|ids| ids.as_fixed_size_binary_opt());
    let versions = traces.column_by_name("version").and_then(|versions| versions.as_primitive_opt::<Int64Type>());
    let (Some(ids), Some(versions)) = (ids, versions) else { return Err(wrong(TableName::Traces)) };
    let mut newest: HashMap<&[u8], u32> = HashMap::with_capacity(ids.len());
    for row in 0..ids.len() {
        let kept = newest.entry(ids.value(row)).or_insert(row as u32);
        if versions.value(row) >= versions.value(*kept as usize) {
            *kept = row as u32;
        }
    }
    let mut rows: Vec<u32> = newest.into_values().collect();
    rows.sort_unstable();
    Ok(rows)
}

fn concat(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch, StoreError> {
    // Files and hot rows may differ in schema metadata, never in columns.
    let schema = batches.first().map_or_else(|| schema.clone(), RecordBatch::schema);
    Ok(concat_batches(&schema, batches)?)
}

fn wrong(table: TableName) -> StoreError {
    StoreError::WrongSchema { table: table.as_str(), reason: "id, time or version columns are missing".to_owned() }
}
