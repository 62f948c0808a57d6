//! The newest rows first, reading no further than needed.

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::Int64Type;

use super::segment::PageTimes;
use super::{ReadSpec, RowChoice, Segment, View};
use crate::{BodyQuery, StoreError, TableName};

/// Pages read together at most: growing steps read few pages for frequent rows and do not crawl for rare ones.
const MAX_STEP_PAGES: usize = 128;

impl View {
    /// The newest `limit` rows that pass the filters of `spec` and whose body matches `query`, newest first, in one
    /// batch. Of rows with equal times those that arrived later come first.
    ///
    /// # Errors
    /// As [`View::read`].
    pub async fn newest(
        &mut self,
        spec: &ReadSpec,
        query: Option<&BodyQuery>,
        limit: usize,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let mut spec = self.narrowed(spec, query);
        spec.limit = None;
        let wanted = spec.columns.clone();
        if let Some(columns) = &mut spec.columns {
            columns.push(self.table.nanos_column().to_owned());
        }
        let mut best = Newest { table: self.table, limit, batches: Vec::new(), times: Vec::new() };
        for batch in &self.hot {
            best.add(spec.apply(batch)?)?;
        }
        let mut segments = self.segments.clone();
        segments.sort_by_key(|segment| std::cmp::Reverse((segment.meta().time.1, segment.meta().path.clone())));
        for segment in segments {
            if best.is_newer_than(segment.meta().time.1.0) {
                break;
            }
            self.newest_of(&segment, &spec, query, &mut best).await?;
        }
        best.finish(wanted.as_deref())
    }

    /// Reads the pages of one segment, newest first, until no older one can matter.
    async fn newest_of(
        &mut self,
        segment: &Segment,
        spec: &ReadSpec,
        query: Option<&BodyQuery>,
        best: &mut Newest,
    ) -> Result<(), StoreError> {
        let Some(rows) = self.choose(segment, spec, query).await? else { return Ok(()) };
        let mut pages: Vec<PageTimes> = match segment.page_times().await {
            Ok(pages) => pages,
            Err(error) => return self.unreadable(segment, error),
        };
        pages.retain(|page| !rows.intersect(&RowChoice::from_ranges(vec![page.rows.clone()])).is_empty());
        pages.sort_by_key(|page| std::cmp::Reverse((page.last, page.rows.start)));
        let mut step = 1;
        let mut rest = pages.as_slice();
        while let Some(newest) = rest.first()
            && !best.is_newer_than(newest.last.0)
        {
            let (now, later) = rest.split_at(step.min(rest.len()));
            let chosen = RowChoice::from_ranges(now.iter().map(|page| page.rows.clone()).collect());
            let read = self.read_rows(segment, spec, chosen.intersect(&rows)).await?;
            let Some(batches) = read else { return Ok(()) };
            batches.into_iter().try_for_each(|batch| best.add(batch))?;
            rest = later;
            step = (step * 2).min(MAX_STEP_PAGES);
        }
        Ok(())
    }
}

/// Rows found so far.
struct Newest {
    table: TableName,
    limit: usize,
    batches: Vec<RecordBatch>,
    times: Vec<i64>,
}

impl Newest {
    fn add(&mut self, batch: RecordBatch) -> Result<(), StoreError> {
        if batch.num_rows() > 0 {
            self.times.extend(times(&batch, self.table)?.iter().copied());
            self.batches.push(batch);
        }
        Ok(())
    }

    /// Whether rows with times up to `nanos` can no longer be among the newest.
    fn is_newer_than(&mut self, nanos: u64) -> bool {
        if self.limit == 0 {
            return true;
        }
        if self.times.len() < self.limit {
            return false;
        }
        let (_, last, _) = self.times.select_nth_unstable_by(self.limit - 1, |a, b| b.cmp(a));
        let last = *last;
        self.times.truncate(self.limit);
        last.max(0) as u64 > nanos
    }

    fn finish(self, wanted: Option<&[String]>) -> Result<Vec<RecordBatch>, StoreError> {
        let Some(first) = self.batches.first() else { return Ok(Vec::new()) };
        let all = concat_batches(first.schema_ref(), &self.batches)?;
        let times = times(&all, self.table)?;
        let offsets = all.column_by_name("log_offset").and_then(|offsets| offsets.as_primitive_opt::<Int64Type>());
        let offset = |row: u32| offsets.map_or(0, |offsets| offsets.value(row as usize));
        let mut rows: Vec<u32> = (0..all.num_rows() as u32).collect();
        rows.sort_by_key(|&row| std::cmp::Reverse((times[row as usize], offset(row))));
        rows.truncate(self.limit);
        let mut sorted = take_record_batch(&all, &UInt32Array::from(rows))?;
        if let Some(wanted) = wanted
            && let Ok(extra) = sorted.schema_ref().index_of(self.table.nanos_column())
            && !wanted.iter().any(|column| column == self.table.nanos_column())
        {
            sorted.remove_column(extra);
        }
        Ok(vec![sorted])
    }
}

fn times(batch: &RecordBatch, table: TableName) -> Result<&[i64], StoreError> {
    let column = batch.column_by_name(table.nanos_column()).and_then(|times| times.as_primitive_opt::<Int64Type>());
    let times = column.filter(|times| times.null_count() == 0).ok_or_else(|| StoreError::WrongSchema {
        table: table.as_str(),
        reason: format!("no column {} of whole numbers", table.nanos_column()),
    })?;
    Ok(times.values())
}
