//! skeleton
use arrow::array::RecordBatch;
use daymark_model::{Receipt, TenantId, TimeRange, TraceId};

use super::{ReadSpec, Reader, View};
use crate::StoreError;

impl Reader {
    /// All spans of a trace, each once (by span id), with all columns.
    ///
    /// # Errors
    /// As [`View::read`].
    pub async fn trace_spans(
        &self,
        tenant: &TenantId,
        trace: TraceId,
        range: TimeRange,
    ) -> Result<(RecordBatch, Receipt), StoreError> {
        let _ = (tenant, trace, range);
        todo!()
    }
}

impl View {
    /// The newest version of each trace that passes the filters of `spec`: filters apply to the newest version only.
    ///
    /// # Errors
    /// As [`View::read`].
    pub async fn newest_traces(&mut self, spec: &ReadSpec) -> Result<RecordBatch, StoreError> {
        let _ = spec;
        todo!()
    }
}
