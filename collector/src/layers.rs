//! The unpublished rows of one table, in layers: frozen chunks, generations being sealed, the last published one.
//!
//! Where it sits: builders freeze into it; hot reads read all layers; a seal moves what is frozen into a generation.
//!
//! Invariants:
//! - chunks are aligned to log offsets: a chunk holds all rows of the offsets it covers, or none of an offset;
//! - an answer to `after` holds exactly the rows with a larger offset, or is `Stale`;
//! - rows leave only when a commit that holds them is durable. The last published generation stays for a moment, so
//!   that readers with a snapshot just before it need not start over.

use std::collections::VecDeque;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use daymark_model::{LogOffset, TimeRange};

use crate::columns::{Extent, Waiting};
use crate::hot_batch::HotBatch;

/// Neighbouring chunks below this many rows are joined, so that frequent hot reads do not leave crumbs.
const SMALL_CHUNK_ROWS: usize = 8_192;

/// Rows of a stretch of the log.
#[derive(Clone)]
pub(crate) struct Chunk {
    pub(crate) rows: HotBatch,
    pub(crate) extent: Extent,
    /// Rows without a trace id that may still get one.
    pub(crate) waiting: Vec<Waiting>,
    /// Rows sum up several offsets (metric fragments): the chunk cannot be cut.
    pub(crate) whole: bool,
}

struct Generation {
    chunks: Vec<Chunk>,
    first: LogOffset,
    through: LogOffset,
}

/// The unpublished rows of one table.
pub(crate) struct Layers {
    frozen: Vec<Chunk>,
    frozen_bytes: usize,
    sealing: VecDeque<Generation>,
    published: Option<(Generation, u64)>,
    /// Rows up to here are dropped: they are in the table.
    floor: LogOffset,
}

/// The snapshot is too old: it must hold at least this offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stale(pub(crate) LogOffset);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The reader's snapshot is too old.
    Stale(LogOffset),
    /// A mistake in this crate.
    Broken(ArrowError),
}

impl From<Stale> for Unread {
    fn from(stale: Stale) -> Unread {
        Unread::Stale(stale.0)
    }
}

impl From<ArrowError> for Unread {
    fn from(error: ArrowError) -> Unread {
        Unread::Broken(error)
    }
}

impl Layers {
    /// For a table that holds everything up to `consumed`.
    pub(crate) fn new(consumed: LogOffset) -> Layers {
        Layers { frozen: Vec::new(), frozen_bytes: 0, sealing: VecDeque::new(), published: None, floor: consumed }
    }

    /// Adds the newest rows.
    ///
    /// # Errors
    /// When chunks of one table differ in their columns: a mistake in this crate.
    pub(crate) fn freeze(&mut self, chunk: Chunk) -> Result<(), ArrowError> {
        if let HotBatch::Built(batch) = &chunk.rows
            && batch.num_rows() == 0
        {
            return Ok(());
        }
        self.frozen_bytes += chunk.rows.size_bytes();
        let joined =
            self.frozen.pop_if(|last| !last.whole && last.rows.count().max(chunk.rows.count()) < SMALL_CHUNK_ROWS);
        self.frozen.push(match joined {
            Some(last) => join(last, chunk)?,
            None => chunk,
        });
        Ok(())
    }

    /// Rows frozen and not yet sealed.
    pub(crate) fn frozen_rows(&self) -> usize {
        self.frozen.iter().map(|chunk| chunk.rows.count()).sum()
    }

    /// Bytes of all frozen rows, about.
    pub(crate) fn frozen_bytes(&self) -> usize {
        self.frozen_bytes
    }

    /// Rows frozen or being sealed.
    pub(crate) fn unpublished_rows(&self) -> usize {
        let sealing = self.sealing.iter().flat_map(|generation| &generation.chunks);
        sealing.chain(&self.frozen).map(|chunk| chunk.rows.count()).sum()
    }

    /// The frozen chunks, to fill in what was learned since.
    pub(crate) fn frozen_mut(&mut self) -> &mut Vec<Chunk> {
        &mut self.frozen
    }

    /// Turns what is frozen into a generation; `through` is the offset its commit will consume. `None` when nothing is.
    pub(crate) fn seal(&mut self, pending: Option<LogOffset>, through: LogOffset) -> Option<Vec<HotBatch>> {
        let chunks = std::mem::take(&mut self.frozen);
        self.frozen_bytes = 0;
        let first = chunks.iter().map(|chunk| chunk.extent.first).min()?;
        let first = pending.map_or(first, |pending| pending.min(first));
        let batches = chunks.iter().map(|chunk| chunk.rows.clone()).collect();
        self.sealing.push_back(Generation { chunks, first, through });
        Some(batches)
    }

    /// The oldest generation is in the table now. It is kept for a moment unless it takes more than `keep_bytes`.
    pub(crate) fn published(&mut self, now_ms: u64, keep_bytes: usize) {
        if let Some(mut generation) = self.sealing.pop_front() {
            self.drop_published();
            generation.chunks.iter_mut().for_each(|chunk| chunk.rows.settle());
            let bytes: usize = generation.chunks.iter().map(|chunk| chunk.rows.size_bytes()).sum();
            self.published = Some((generation, now_ms));
            if bytes > keep_bytes {
                self.drop_published();
            }
        }
    }

    /// Drops the last published generation when it is older than `keep_ms`.
    pub(crate) fn expire(&mut self, now_ms: u64, keep_ms: u64) {
        if self.published.as_ref().is_some_and(|(_, at_ms)| at_ms + keep_ms <= now_ms) {
            self.drop_published();
        }
    }

    fn drop_published(&mut self) {
        if let Some((generation, _)) = self.published.take() {
            self.floor = self.floor.max(generation.through);
        }
    }

    /// First offset of what is being sealed.
    pub(crate) fn first_sealing(&self) -> Option<LogOffset> {
        self.sealing.front().map(|generation| generation.first)
    }

    /// All rows after `after` that may lie in `time`, oldest first.
    ///
    /// # Errors
    /// [`Stale`] when rows after `after` were dropped or cannot be told apart.
    pub(crate) fn read(&self, after: LogOffset, time: TimeRange) -> Result<Vec<HotBatch>, Unread> {
        if after < self.floor {
            return Err(Stale(self.newest_published()).into());
        }
        let published = self.published.iter().flat_map(|(generation, _)| &generation.chunks);
        let sealing = self.sealing.iter().flat_map(|generation| &generation.chunks);
        let mut batches = Vec::new();
        for chunk in published.chain(sealing).chain(&self.frozen) {
            if chunk.extent.last <= after || !time.overlaps(chunk.extent.time.0, chunk.extent.time.1) {
                continue;
            }
            if after < chunk.extent.first {
                batches.push(chunk.rows.clone());
            } else if chunk.whole {
                return Err(Stale(chunk.extent.last).into());
            } else {
                batches.push(rows_after(&chunk.rows.batch()?, after).into());
            }
        }
        Ok(batches)
    }

    /// Newest first: all chunks in memory.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Chunk> {
        let published = self.published.iter().flat_map(|(generation, _)| &generation.chunks);
        let sealing = self.sealing.iter().flat_map(|generation| &generation.chunks);
        let oldest_first: Vec<&Chunk> = published.chain(sealing).chain(&self.frozen).collect();
        oldest_first.into_iter().rev()
    }

    fn newest_published(&self) -> LogOffset {
        self.published.as_ref().map_or(self.floor, |(generation, _)| generation.through)
    }
}

/// Rows come in offset order, so those after an offset are a tail.
fn rows_after(batch: &RecordBatch, after: LogOffset) -> RecordBatch {
    let offsets = batch.column_by_name("log_offset").and_then(|column| column.as_primitive_opt::<Int64Type>());
    let at = offsets.map_or(0, |offsets| offsets.values().partition_point(|offset| *offset as u64 <= after.0));
    batch.slice(at, batch.num_rows() - at)
}

fn join(mut first: Chunk, second: Chunk) -> Result<Chunk, ArrowError> {
    let shift = first.rows.count() as u32;
    first.waiting.extend(second.waiting.iter().map(|wait| Waiting { row: wait.row + shift, ..*wait }));
    let batches = [first.rows.batch()?, second.rows.batch()?];
    first.rows = concat_batches(&batches[0].schema(), &batches)?.into();
    first.extent.join(&second.extent);
    Ok(first)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};
    use daymark_model::UnixNanos;

    use super::*;

    fn chunk(offsets: &[i64]) -> Chunk {
        let schema = Arc::new(Schema::new(vec![Field::new("log_offset", DataType::Int64, false)]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(offsets.to_vec()))]).unwrap();
        let mut extent = Extent::EMPTY;
        offsets.iter().for_each(|o| extent.add(LogOffset(*o as u64), UnixNanos(1), UnixNanos(1)));
        Chunk { rows: batch.into(), extent, waiting: Vec::new(), whole: false }
    }

    fn read(layers: &Layers, after: u64) -> Result<Vec<i64>, LogOffset> {
        let batches = layers.read(LogOffset(after), TimeRange::ALL).map_err(|unread| match unread {
            Unread::Stale(needed) => needed,
            Unread::Broken(error) => panic!("{error}"),
        })?;
        let values = |rows: &HotBatch| rows.batch().unwrap().column(0).as_primitive::<Int64Type>().values().to_vec();
        Ok(batches.iter().flat_map(values).collect())
    }

    #[test]
    fn every_layer_answers_exactly_the_rows_after_an_offset() {
        let mut layers = Layers::new(LogOffset(0));
        layers.freeze(chunk(&[1, 1, 2])).unwrap();
        layers.seal(None, LogOffset(2)).unwrap();
        layers.freeze(chunk(&[3, 4])).unwrap();
        layers.freeze(chunk(&[4, 5])).unwrap();
        assert_eq!(read(&layers, 0).unwrap(), [1, 1, 2, 3, 4, 4, 5]);
        assert_eq!(read(&layers, 1).unwrap(), [2, 3, 4, 4, 5]);
        layers.published(0, usize::MAX);
        assert_eq!(read(&layers, 0).unwrap(), [1, 1, 2, 3, 4, 4, 5], "a reader with the snapshot before");
        assert_eq!(read(&layers, 2).unwrap(), [3, 4, 4, 5]);
        layers.expire(5_000, 2_000);
        assert_eq!(read(&layers, 0), Err(LogOffset(2)));
        assert_eq!(read(&layers, 2).unwrap(), [3, 4, 4, 5]);
    }

    #[test]
    fn a_large_generation_leaves_memory_when_it_is_published() {
        let mut layers = Layers::new(LogOffset(0));
        layers.freeze(chunk(&[1, 2])).unwrap();
        layers.seal(None, LogOffset(2)).unwrap();
        layers.published(0, 0);
        assert_eq!(read(&layers, 0), Err(LogOffset(2)));
        assert_eq!(read(&layers, 2).unwrap(), [0_i64; 0]);
    }

    #[test]
    fn a_fragment_that_straddles_the_snapshot_is_stale_not_wrong() {
        let mut layers = Layers::new(LogOffset(0));
        let mut fragments = chunk(&[5, 5]);
        fragments.extent.first = LogOffset(1);
        fragments.whole = true;
        layers.freeze(fragments).unwrap();
        assert_eq!(read(&layers, 0).unwrap(), [5, 5]);
        assert_eq!(read(&layers, 3), Err(LogOffset(5)));
    }
}
