//! Compaction: merges small segments of a stretch of time into few large ones, the newest stretch first.
//!
//! Invariants:
//! - the same rows are in the table before and after, in one commit that takes out the inputs and adds their merger;
//! - two compactors cannot both merge a segment: the second one's commit finds its inputs gone and changes nothing;
//! - rows keep their order of arrival, and are copied, never changed, those of large segments without being decoded
//!   ([`copy`]); those of metric tables and `series` are sorted
//!   by series, and the ones of one series and window become one ([`join`]), which stands for the same data points ([`Tally`]).

mod copy;
mod join;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use daymark_guard::fault::{self, Step};
use daymark_model::{Classify, ErrorClass, UnixNanos};
use futures::{StreamExt, TryStreamExt};

use super::Table;
use super::commit::Change;
use crate::reader::Segment;
use crate::segment::{SegmentFile, SegmentMeta, write_segment_with};
use crate::series::has_text;
use crate::typed::TypedColumn;
use crate::{ReadSpec, SegmentOptions, StoreError, TableName, Tally};

use copy::Plan;
use join::{Input, Join};

/// What is merged, and how far.
#[derive(Clone, Debug)]
pub struct CompactOptions {
    /// Segments of like size that gather before they are merged. A row is so rewritten once per power of this.
    pub fan_in: usize,
    /// Most segments of one merger.
    pub max_inputs: usize,
    /// Most segments of one merger of a metric table or of `series`: they are read side by side, and each takes a few MiB.
    pub max_sorted_inputs: usize,
    /// A merger holds no more compressed bytes than this; larger segments are left alone.
    pub max_bytes: u64,
    /// Only segments that end in the same stretch of this length are merged, so that retention still drops whole ones.
    pub window_ns: u64,
    /// A segment whose row groups take so many bytes or more, on average, is copied as it is, compressed; smaller ones are
    /// decoded and written again.
    pub splice_bytes: u64,
    /// How the merger is written.
    pub segment: SegmentOptions,
}

/// Windows of a metric table that a stretch spans at least.
const MIN_WINDOWS: u64 = 168;

impl Default for CompactOptions {
    fn default() -> CompactOptions {
        CompactOptions {
            fan_in: 8,
            max_inputs: 64,
            max_sorted_inputs: 16,
            max_bytes: 64 << 20,
            window_ns: 6 * 3_600_000_000_000,
            splice_bytes: 1 << 20,
            segment: SegmentOptions { zstd_level: 3, ..SegmentOptions::default() },
        }
    }
}

impl CompactOptions {
    /// These options for `table`: coarse windows are few, and their segments are merged over longer stretches.
    #[must_use]
    pub fn for_table(&self, table: TableName) -> CompactOptions {
        let windows_ns = table.window_ns().unwrap_or(0).saturating_mul(MIN_WINDOWS);
        let max_inputs = match table.is_sorted_by_series() {
            true => self.max_inputs.min(self.max_sorted_inputs.max(self.fan_in)),
            false => self.max_inputs,
        };
        CompactOptions { window_ns: self.window_ns.max(windows_ns), max_inputs, ..self.clone() }
    }

    /// How the merger of `inputs` of `table` is written: segments of logs that gave up their index do not get one by being
    /// merged; those of series give none up, only an older version wrote them without.
    fn segment_of(&self, table: TableName, inputs: &[Arc<SegmentMeta>]) -> SegmentOptions {
        let had = table == TableName::Series || inputs.iter().any(|input| input.index.is_some());
        let index = self.segment.index && had;
        SegmentOptions { index, ..self.segment.clone() }
    }
}

/// What one merger did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Segments merged into one.
    pub segments: usize,
    /// Their rows.
    pub rows: u64,
    /// Rows of the merger: fewer where fragments of one window became one.
    pub rows_after: u64,
    /// Their compressed bytes, indexes included.
    pub bytes_before: u64,
    /// Bytes of the merger, index included.
    pub bytes_after: u64,
}

impl Table {
    /// Merges one group of segments, if there is one that has gathered. Paths in `skip` are left alone; a damaged
    /// segment is added to it, so that it does not stop the others.
    ///
    /// # Errors
    /// As [`Table::commit`]; the table is unchanged then. What was written is deleted as an orphan later.
    pub async fn compact(
        &self,
        options: &CompactOptions,
        skip: &mut HashSet<String>,
    ) -> Result<Option<Compacted>, StoreError> {
        let snapshot = self.snapshot().await?;
        let now = self.inner.shared.options.clock.now();
        let inputs = loop {
            let chosen = choose(&snapshot.segments, options, skip, now);
            let Some(inputs) = chosen else { return Ok(None) };
            let mut usable = true;
            for input in &inputs {
                // Reads the footer, which is needed anyhow: a damaged file is told by name.
                match has_text(&Segment::new(self.clone(), Arc::clone(input))).await {
                    Ok(true) if TableName::METRICS.contains(&self.inner.name) => {
                        // Written by an older version, which had other columns: kept as it is until it is too old.
                        skip.insert(input.path.clone());
                        usable = false;
                    }
                    Ok(_) => {}
                    Err(error) => return self.leave_alone(&input.path, error, skip),
                }
            }
            if usable {
                break inputs;
            }
        };
        let plan = copy::plan(self, inputs, options).await?;
        let inputs = match &plan {
            Plan::Splice(inputs) | Plan::Rewrite(inputs) => inputs.clone(),
        };
        let rows: u64 = inputs.iter().map(|input| input.rows).sum();
        let typed = self.typed_columns(&inputs).await?;
        let segment = options.segment_of(self.inner.name, &inputs);
        let written = match plan {
            Plan::Splice(_) => copy::splice(self, &inputs, &typed, &segment).await.map(|merger| (merger, rows)),
            Plan::Rewrite(_) => self.rewrite(&inputs, typed, segment).await,
        };
        let (merger, read) = match written {
            Ok(written) => written,
            Err(StoreError::Compaction { path, source }) => return self.leave_alone(&path, *source, skip),
            Err(error) => return Err(error),
        };
        let is_whole = merger.meta.rows == rows || self.inner.name.is_sorted_by_series() && merger.meta.rows < rows;
        if read != rows || !is_whole {
            let reason = format!("{} rows written, {read} read of {rows}", merger.meta.rows);
            return Err(StoreError::Background(format!("compaction of {}: {reason}", self.inner.log.table)));
        }
        self.keeps_tally(&inputs, &merger.meta)?;
        let done = Compacted {
            segments: inputs.len(),
            rows,
            rows_after: merger.meta.rows,
            bytes_before: inputs.iter().map(|input| bytes(input)).sum(),
            bytes_after: bytes(&merger.meta),
        };
        let remove = inputs.iter().map(|input| input.path.clone()).collect();
        let files =
            |input: &Arc<SegmentMeta>| [Some(input.path.clone()), input.index.as_ref().map(|index| index.path.clone())];
        let gone = inputs.iter().flat_map(files).flatten().map(|path| self.path_of(&path).to_string()).collect();
        fault::reach(Step::CompactBeforeCommit);
        match self.apply_change(Change { add: vec![merger], remove, ..Change::default() }).await {
            Ok(_) => {
                fault::reach(Step::CompactAfterCommit);
                // Nobody will look for them again.
                self.inner.shared.cache.forget(&gone);
                Ok(Some(done))
            }
            // Retention or another compactor was first.
            Err(StoreError::NotLive { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a merger of metric rows stands for the same data points as its inputs.
    fn keeps_tally(&self, inputs: &[Arc<SegmentMeta>], merger: &SegmentMeta) -> Result<(), StoreError> {
        let before = inputs.iter().try_fold(Tally::default(), |sum, input| Some(sum.plus(input.tally?)));
        match (before, merger.tally) {
            (Some(before), Some(after)) if before != after => {
                let reason = format!("the merger stands for {after:?}, its inputs for {before:?}");
                Err(StoreError::Background(format!("compaction of {}: {reason}", self.inner.log.table)))
            }
            _ => Ok(()),
        }
    }

    /// The merger of `inputs`, decoded and written again, and the rows that were read.
    async fn rewrite(
        &self,
        inputs: &[Arc<SegmentMeta>],
        typed: Vec<TypedColumn>,
        options: SegmentOptions,
    ) -> Result<(SegmentFile, u64), StoreError> {
        let rows: u64 = inputs.iter().map(|input| input.rows).sum();
        let (batches, read) = match self.inner.name.is_sorted_by_series() {
            true => self.joined(inputs).await?,
            false => (futures::stream::iter(self.streams(inputs)).flatten().boxed(), Arc::new(AtomicU64::new(rows))),
        };
        let merger = write_segment_with(self, rows as usize, batches, options, typed).await?;
        Ok((merger, read.load(Relaxed)))
    }

    /// The columns of attributes that any of the inputs has, each once.
    async fn typed_columns(&self, inputs: &[Arc<SegmentMeta>]) -> Result<Vec<TypedColumn>, StoreError> {
        let mut columns: Vec<TypedColumn> = Vec::new();
        for input in inputs {
            let there = Segment::new(self.clone(), Arc::clone(input)).typed_columns().await?;
            let new: Vec<TypedColumn> = there.into_iter().filter(|column| !columns.contains(column)).collect();
            columns.extend(new);
        }
        Ok(columns)
    }

    /// The rows of each input, in file order.
    fn streams(&self, inputs: &[Arc<SegmentMeta>]) -> Vec<Input> {
        let stream = |input: &Arc<SegmentMeta>| {
            let (segment, path) = (Segment::new(self.clone(), Arc::clone(input)), input.path.clone());
            let named = move |error| StoreError::Compaction { path: path.clone(), source: Box::new(error) };
            let rows = async move { segment.stream(&ReadSpec::default()).await };
            futures::stream::once(rows).try_flatten().map_err(named).boxed()
        };
        inputs.iter().map(stream).collect()
    }

    /// The rows of all inputs, sorted and joined, and how many were read so far.
    async fn joined(&self, inputs: &[Arc<SegmentMeta>]) -> Result<(Input, Arc<AtomicU64>), StoreError> {
        let read = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&read);
        let join = Join::new(self.inner.name, self.streams(inputs)).await?;
        let batches = futures::stream::try_unfold(join, move |mut join| {
            let counter = Arc::clone(&counter);
            async move {
                let batch = join.next().await?;
                counter.store(join.rows, Relaxed);
                Ok::<_, StoreError>(batch.map(|batch| (batch, join)))
            }
        });
        Ok((batches.boxed(), read))
    }

    fn leave_alone(
        &self,
        path: &str,
        error: StoreError,
        skip: &mut HashSet<String>,
    ) -> Result<Option<Compacted>, StoreError> {
        // What a store elsewhere does not answer it may answer later; what a local file does not hold is gone.
        let may_pass = match self.inner.shared.remote.is_some() {
            true => error.may_pass() && !error.is_absent(),
            false => error.class() != ErrorClass::Corrupt && !matches!(error, StoreError::Object(_)),
        };
        if may_pass {
            return Err(error);
        }
        tracing::warn!(table = %self.inner.log.table, segment = path, %error, "damaged segment is not compacted");
        skip.insert(path.to_owned());
        Ok(None)
    }
}

fn bytes(segment: &SegmentMeta) -> u64 {
    segment.bytes + segment.index.as_ref().map_or(0, |index| index.bytes)
}

/// The group to merge next, in order of arrival: of the newest stretch of time that has one, the one of the smallest
/// segments. A stretch that is over needs only two segments, so that it ends in few.
fn choose(
    segments: &[Arc<SegmentMeta>],
    options: &CompactOptions,
    skip: &HashSet<String>,
    now: UnixNanos,
) -> Option<Vec<Arc<SegmentMeta>>> {
    let window_of = |time: UnixNanos| time.0 / options.window_ns.max(1);
    let mut windows: BTreeMap<u64, Vec<&Arc<SegmentMeta>>> = BTreeMap::new();
    for segment in segments {
        if bytes(segment) <= options.max_bytes / 2 && !skip.contains(&segment.path) {
            windows.entry(window_of(segment.time.1)).or_default().push(segment);
        }
    }
    // Rows ahead of the clock do not make the present a stretch that is over.
    let newest = segments.iter().map(|segment| window_of(segment.time.1)).max()?.min(window_of(now));
    let mut chosen = windows.into_iter().rev().find_map(|(window, mut small)| {
        small.sort_by_key(|segment| (tier(segment, options), segment.offsets, segment.path.clone()));
        match window >= newest {
            true => small.chunk_by(|a, b| tier(a, options) == tier(b, options)).find_map(|like| {
                let like = fitting(like, options);
                (like.len() >= options.fan_in.max(2)).then_some(like)
            }),
            false => Some(fitting(&small, options)).filter(|rest| rest.len() >= 2),
        }
    })?;
    chosen.sort_by_key(|segment| (segment.offsets, segment.path.clone()));
    Some(chosen)
}

/// The first ones that make one merger.
fn fitting(segments: &[&Arc<SegmentMeta>], options: &CompactOptions) -> Vec<Arc<SegmentMeta>> {
    let mut total = 0;
    let fits = segments.iter().take(options.max_inputs.max(2)).take_while(|segment| {
        total += bytes(segment);
        total <= options.max_bytes
    });
    fits.map(|segment| Arc::clone(segment)).collect()
}

/// Segments of one tier differ in size by less than the fan-in.
fn tier(segment: &SegmentMeta, options: &CompactOptions) -> u32 {
    const SMALLEST: u64 = 256 << 10;
    (bytes(segment) / SMALLEST).max(1).ilog(options.fan_in.max(2) as u64)
}

#[cfg(test)]
mod tests {
    use daymark_model::LogOffset;

    use super::*;

    const WINDOW: u64 = 1_000;

    fn segment(number: u64, time: u64, bytes: u64) -> Arc<SegmentMeta> {
        Arc::new(SegmentMeta {
            path: format!("{number:03}.parquet"),
            rows: 10,
            bytes,
            time: (UnixNanos(time), UnixNanos(time)),
            offsets: (LogOffset(number), LogOffset(number)),
            index: None,
            tally: None,
            modified_ms: 0,
            checksums: [].into(),
            stats: "{}".into(),
        })
    }

    fn chosen(segments: &[Arc<SegmentMeta>], skip: &[&str]) -> Vec<String> {
        let options = CompactOptions { fan_in: 3, window_ns: WINDOW, max_bytes: 10 << 20, ..CompactOptions::default() };
        let skip = skip.iter().map(|&path| path.to_owned()).collect();
        let found = choose(segments, &options, &skip, UnixNanos(5_500)).unwrap_or_default();
        found.iter().map(|segment| segment.path.trim_end_matches(".parquet").to_owned()).collect()
    }

    #[test]
    fn the_newest_stretch_waits_for_enough_of_like_size() {
        let two = [segment(1, 5_100, 1_000), segment(2, 5_200, 1_000)];
        assert!(chosen(&two, &[]).is_empty());
        let three = [segment(1, 5_100, 1_000), segment(2, 5_200, 1_000), segment(3, 5_300, 2_000)];
        assert_eq!(chosen(&three, &[]), ["001", "002", "003"]);
        let unlike = [segment(1, 5_100, 1_000), segment(2, 5_200, 1_000), segment(3, 5_300, 4 << 20)];
        assert!(chosen(&unlike, &[]).is_empty());
        assert!(chosen(&three, &["002.parquet"]).is_empty());
    }

    #[test]
    fn a_stretch_that_is_over_ends_in_few() {
        let segments = [segment(1, 4_100, 1_000), segment(2, 4_200, 2 << 20), segment(3, 5_300, 2_000)];
        assert_eq!(chosen(&segments, &[]), ["001", "002"]);
        let newest_first = [
            segment(1, 3_100, 9),
            segment(2, 3_100, 9),
            segment(3, 4_100, 9),
            segment(4, 4_100, 9),
            segment(5, 5_000, 9),
        ];
        assert_eq!(chosen(&newest_first, &[]), ["003", "004"]);
    }

    #[test]
    fn rows_ahead_of_the_clock_do_not_end_the_present() {
        let segments = [segment(1, 5_100, 1_000), segment(2, 5_200, 1_000), segment(3, 99_000, 1_000)];
        assert!(chosen(&segments, &[]).is_empty());
    }

    #[test]
    fn a_merger_stays_below_its_limit() {
        let large: Vec<_> =
            (1..=4).map(|number| segment(number, 4_100, 4 << 20)).chain([segment(9, 5_000, 1)]).collect();
        assert_eq!(chosen(&large, &[]), ["001", "002"]);
        let done = [segment(1, 4_100, 6 << 20), segment(2, 4_200, 6 << 20), segment(3, 5_000, 1)];
        assert!(chosen(&done, &[]).is_empty());
    }
}
