//! Unpublished rows: built, or to be folded from fragments when somebody reads them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use crate::rollup::Frozen;

/// Rows of one table; cheap to clone.
#[derive(Clone)]
pub(crate) enum HotBatch {
    Built(RecordBatch),
    /// The rows of one resolution, by its position.
    Folded(Arc<Frozen>, usize),
}

impl HotBatch {
    /// How many, as far as it is known.
    pub(crate) fn count(&self) -> usize {
        match self {
            HotBatch::Built(batch) => batch.num_rows(),
            HotBatch::Folded(frozen, level) => frozen.rows(*level),
        }
    }

    /// Bytes held, about.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            HotBatch::Built(batch) => batch.get_array_memory_size(),
            HotBatch::Folded(frozen, level) => frozen.size_bytes(*level),
        }
    }

    /// Lets go of what coarse rows were folded from.
    pub(crate) fn settle(&mut self) {
        if let HotBatch::Folded(frozen, level) = self
            && let Some(batch) = frozen.coarse_rows(*level)
        {
            *self = HotBatch::Built(batch);
        }
    }

    /// The rows as they are written: a few thousand at a time, where they have to be folded first.
    pub(crate) fn batches(&self) -> Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + '_> {
        match self {
            HotBatch::Built(batch) => Box::new(std::iter::once(Ok(batch.clone()))),
            HotBatch::Folded(frozen, level) => frozen.batches(*level),
        }
    }

    /// The rows themselves. Folding takes about a microsecond a row, so no lock of [`crate::core`] should be held.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn batch(&self) -> Result<RecordBatch, ArrowError> {
        match self {
            HotBatch::Built(batch) => Ok(batch.clone()),
            HotBatch::Folded(frozen, level) => frozen.batch(*level),
        }
    }
}

impl From<RecordBatch> for HotBatch {
    fn from(batch: RecordBatch) -> HotBatch {
        HotBatch::Built(batch)
    }
}
