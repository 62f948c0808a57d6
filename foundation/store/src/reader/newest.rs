//! skeleton
use arrow::array::RecordBatch;

use super::{ReadSpec, View};
use crate::{BodyQuery, StoreError};

impl View {
    /// The newest `limit` rows that pass the filters of `spec` and match `query` (whose words are verified on the body), newest first.
    ///
    /// # Errors
    /// As [`View::read`].
    pub async fn newest(
        &mut self,
        spec: &ReadSpec,
        query: Option<&BodyQuery>,
        limit: usize,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let _ = (spec, query, limit);
        todo!()
    }
}
