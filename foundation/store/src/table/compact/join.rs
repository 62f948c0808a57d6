//! Merges sorted segments of the metric tables and of `series` into sorted rows, and makes one row of those that belong
//! together.
//!
//! Where it sits: compaction of these tables reads its inputs through it.
//!
//! Invariants:
//! - rows that stay apart are copied as they are; rows of one series and window become one by [`Fragment::join`], which
//!   carries the newest log offset of them; of equal `series` rows the newest stays;
//! - memory holds a few batches an input and one of the output.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::Int64Type;
use daymark_model::LogOffset;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::series::{Fragment, FragmentColumns, FragmentRows, SeriesHead};
use crate::{StoreError, TableName};

/// Rows of a batch that is handed out, about.
const BATCH_ROWS: usize = 8192;

/// Batches of inputs held for one batch of the output, beyond two an input: where many rows become one, it ends early.
const MORE_SOURCES: usize = 8;

/// A stream of the batches of one segment.
pub(super) type Input = BoxStream<'static, Result<RecordBatch, StoreError>>;

/// Inputs under way.
pub(super) struct Join {
    table: TableName,
    inputs: Vec<Cursor>,
    /// Inputs at a row of the metric `metric`, by series and time.
    heap: BinaryHeap<Reverse<(i64, i64, usize)>>,
    metric: String,
    out: Output,
    /// Rows of the window at hand.
    window: Vec<Row>,
    /// Rows read.
    pub(super) rows: u64,
}

/// One input at one of its rows.
struct Cursor {
    input: Input,
    batch: Option<Batch>,
    row: usize,
    /// Its batch among the sources of the output, once a row of it was picked.
    source: Option<usize>,
}

struct Batch {
    record: Arc<Source>,
    metric: StringArray,
    id: Int64Array,
    time: Int64Array,
}

/// A batch of an input, with its columns found once.
struct Source {
    record: RecordBatch,
    /// Of metric tables.
    rows: Option<FragmentRows>,
    offsets: Int64Array,
}

/// Rows of the next batch: where each comes from.
#[derive(Default)]
struct Output {
    sources: Vec<Arc<Source>>,
    /// Source and row; a source of `usize::MAX` is `joined`.
    picks: Vec<(usize, usize)>,
    joined: FragmentColumns,
}

const JOINED: usize = usize::MAX;

/// A row that waits for others of its series and window.
struct Row {
    source: usize,
    row: usize,
}

impl Join {
    /// # Errors
    /// The first error of an input.
    pub(super) async fn new(table: TableName, inputs: Vec<Input>) -> Result<Join, StoreError> {
        let cursor = |input| Cursor { input, batch: None, row: 0, source: None };
        let mut inputs: Vec<Cursor> = inputs.into_iter().map(cursor).collect();
        for input in &mut inputs {
            input.next_batch(table).await?;
        }
        let (heap, metric) = (BinaryHeap::new(), String::new());
        Ok(Join { table, inputs, heap, metric, out: Output::default(), window: Vec::new(), rows: 0 })
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// The first error of an input; a column of another type.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        let most_sources = 2 * self.inputs.len() + MORE_SOURCES;
        while self.out.picks.len() < BATCH_ROWS && (self.out.picks.is_empty() || self.out.sources.len() < most_sources)
        {
            if self.heap.is_empty() && !self.next_metric() {
                break;
            }
            self.take_window().await?;
        }
        for input in &mut self.inputs {
            input.source = None;
        }
        self.out.finish()
    }

    /// Turns to the first metric that any input has left.
    fn next_metric(&mut self) -> bool {
        let first = self.inputs.iter().filter_map(Cursor::metric).min();
        let Some(first) = first.map(str::to_owned) else { return false };
        self.metric = first;
        for (at, input) in self.inputs.iter().enumerate() {
            if input.metric() == Some(self.metric.as_str()) {
                self.heap.extend(input.key().map(|(id, time)| Reverse((id, time, at))));
            }
        }
        true
    }

    /// Takes all rows of the first series and window.
    async fn take_window(&mut self) -> Result<(), StoreError> {
        let mut rows = std::mem::take(&mut self.window);
        rows.clear();
        let mut first = None;
        while let Some(&Reverse((id, time, at))) = self.heap.peek() {
            if *first.get_or_insert((id, time)) != (id, time) {
                break;
            }
            self.heap.pop();
            let input = &mut self.inputs[at];
            loop {
                rows.push(input.pick(&mut self.out));
                self.rows += 1;
                input.step(self.table).await?;
                if input.key() != Some((id, time)) || input.metric() != Some(self.metric.as_str()) {
                    break;
                }
            }
            if input.metric() == Some(self.metric.as_str()) {
                self.heap.extend(input.key().map(|(id, time)| Reverse((id, time, at))));
            }
        }
        match (rows.len(), self.table) {
            (..2, _) => self.out.picks.extend(rows.iter().map(|row| (row.source, row.row))),
            (_, TableName::Series) => self.out.keep_newest(&rows),
            _ => self.out.join(&rows)?,
        }
        self.window = rows;
        Ok(())
    }
}

impl Cursor {
    async fn next_batch(&mut self, table: TableName) -> Result<(), StoreError> {
        (self.batch, self.row, self.source) = (None, 0, None);
        while let Some(record) = self.input.next().await.transpose()? {
            if record.num_rows() > 0 {
                self.batch = Some(Batch::of(table, record)?);
                break;
            }
        }
        Ok(())
    }

    async fn step(&mut self, table: TableName) -> Result<(), StoreError> {
        self.row += 1;
        let has_more = self.batch.as_ref().is_some_and(|batch| self.row < batch.record.record.num_rows());
        if has_more { Ok(()) } else { self.next_batch(table).await }
    }

    fn metric(&self) -> Option<&str> {
        Some(self.batch.as_ref()?.metric.value(self.row))
    }

    /// Series and window.
    fn key(&self) -> Option<(i64, i64)> {
        let batch = self.batch.as_ref()?;
        Some((batch.id.value(self.row), batch.time.value(self.row)))
    }

    fn pick(&mut self, out: &mut Output) -> Row {
        let source = *self.source.get_or_insert_with(|| {
            out.sources.extend(self.batch.as_ref().map(|batch| Arc::clone(&batch.record)));
            out.sources.len() - 1
        });
        Row { source, row: self.row }
    }
}

impl Batch {
    fn of(table: TableName, record: RecordBatch) -> Result<Batch, StoreError> {
        let find = || {
            let metric = record.column_by_name("metric")?.as_string_opt::<i32>()?.clone();
            let long = |name: &str| record.column_by_name(name)?.as_primitive_opt::<Int64Type>().cloned();
            Some((metric, long("series_id")?, long("time_unix_nano")?, long("log_offset")?))
        };
        let wrong = || StoreError::WrongSchema { table: table.as_str(), reason: "not a table of series".to_owned() };
        let (metric, id, time, offsets) = find().ok_or_else(wrong)?;
        let rows = if table == TableName::Series { None } else { Some(FragmentRows::of(&record)?) };
        Ok(Batch { record: Arc::new(Source { record, rows, offsets }), metric, id, time })
    }
}

impl Output {
    fn finish(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        if self.picks.is_empty() {
            return Ok(None);
        }
        let sources = std::mem::take(&mut self.sources);
        let joined = if self.joined.rows() > 0 { Some(self.joined.finish()?) } else { None };
        let mut picks = std::mem::take(&mut self.picks);
        picks.iter_mut().filter(|pick| pick.0 == JOINED).for_each(|pick| pick.0 = sources.len());
        let sources: Vec<&RecordBatch> = sources.iter().map(|source| &source.record).chain(&joined).collect();
        Ok(Some(interleave_record_batch(&sources, &picks)?))
    }

    fn offset(&self, row: &Row) -> u64 {
        self.sources[row.source].offsets.value(row.row).max(0) as u64
    }

    fn keep_newest(&mut self, rows: &[Row]) {
        let newest = rows.iter().max_by_key(|row| self.offset(row));
        self.picks.extend(newest.map(|row| (row.source, row.row)));
    }

    /// Joins rows of one series and window, as far as they say the same together.
    fn join(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let Some(first) = rows.first() else { return Ok(()) };
        let offset = LogOffset(rows.iter().map(|row| self.offset(row)).max().unwrap_or(0));
        let of = |row: &Row| Some((self.sources[row.source].rows.as_ref()?, row.row));
        let mut fragments: Vec<Fragment<'static>> = Vec::with_capacity(rows.len());
        for (rows, row) in rows.iter().filter_map(of) {
            fragments.push(rows.fragment(row)?);
        }
        fragments.sort_by_key(|fragment| (fragment.last_time, fragment.start, fragment.count));
        let source = Arc::clone(&self.sources[first.source]);
        let Some(rows) = &source.rows else { return Ok(()) };
        let (head, adding) = (rows.head(first.row), rows.adding(first.row));
        let mut pending: Option<Fragment<'static>> = None;
        for fragment in fragments {
            if let Some(before) = &mut pending
                && before.join(&fragment, adding)
            {
                continue;
            }
            if let Some(done) = pending.replace(fragment) {
                self.push(head, &done, offset)?;
            }
        }
        match pending {
            Some(done) => self.push(head, &done, offset),
            None => Ok(()),
        }
    }

    fn push(&mut self, head: SeriesHead<'_>, fragment: &Fragment<'_>, offset: LogOffset) -> Result<(), StoreError> {
        self.picks.push((JOINED, self.joined.rows()));
        Ok(self.joined.push(head, fragment, offset)?)
    }
}
