//! Fragments taken for a commit. The sealer folds them into rows while it writes them, so that the applier goes on in the
//! meantime and no more than a few thousand rows of the finest resolution are spelled out; a hot read folds them for itself.
//!
//! Invariants:
//! - nothing is added to them any more, so the rows do not depend on when they are folded, nor on who does it;
//! - coarse rows are kept once they are there; until then they are counted as one a series and resolution.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use daymark_model::{LogOffset, UnixNanos};
use daymark_store::Resolution;
use daymark_store::series::Adding;

use super::fold::{Fold, LEVELS, Levels};
use super::open::{Extras, Open};
use crate::columns::MetricSeries;

/// Rows of the finest resolution that are spelled out at once.
const BATCH_ROWS: usize = 8_000;
/// What the coarse rows of a series take, about: one of each coarse resolution. Bytes.
const COARSE_BYTES: usize = 250 * (LEVELS - 1);

/// A series and its newest fragment.
pub(super) struct Chain<S> {
    pub(super) series: S,
    pub(super) adding: Adding,
    pub(super) newest: u32,
}

/// Rows of each resolution that was asked for.
pub(super) type Folded = [Option<RecordBatch>; LEVELS];

/// Fragments of all resolutions in `levels`, which are to be published together.
pub(crate) struct Frozen {
    levels: Levels,
    through: LogOffset,
    /// First and last 10 s window.
    windows: (UnixNanos, UnixNanos),
    size_bytes: usize,
    parts: Parts,
    /// Rows of the finest of `levels`, once a hot read asked for them.
    finest: OnceLock<RecordBatch>,
    /// Rows of the others, once the finest are written or a hot read asked for them.
    coarse: OnceLock<Folded>,
    /// Held while a hot read folds, so that others wait for it.
    folding: Mutex<()>,
}

/// What the rows are folded from.
pub(super) struct Parts {
    pub(super) chains: Vec<Chain<Arc<MetricSeries>>>,
    pub(super) open: Vec<Open>,
    pub(super) extras: Extras,
}

impl Frozen {
    /// `None` when there is nothing to publish. `through` is the newest offset counted.
    pub(super) fn new(parts: Parts, levels: Levels, through: LogOffset) -> Option<Frozen> {
        let first = parts.open.iter().map(|open| open.window).min()?;
        let last = parts.open.iter().map(|open| open.window).max()?;
        Some(Frozen {
            levels,
            through,
            windows: (UnixNanos(first), UnixNanos(last)),
            size_bytes: size_bytes(&parts.open, &parts.extras, parts.chains.len()),
            parts,
            finest: OnceLock::new(),
            coarse: OnceLock::new(),
            folding: Mutex::new(()),
        })
    }

    /// The resolutions that have rows, by position.
    pub(crate) fn levels(&self) -> impl Iterator<Item = usize> {
        self.levels.into_iter().enumerate().filter_map(|(level, wanted)| wanted.then_some(level))
    }

    /// The first and the last window of one resolution.
    pub(crate) fn time(&self, level: usize) -> (UnixNanos, UnixNanos) {
        let window = Resolution::ALL[level].window_ns();
        (self.windows.0.window(window), self.windows.1.window(window))
    }

    fn is_finest(&self, level: usize) -> bool {
        self.levels().next() == Some(level)
    }

    fn built(&self, level: usize) -> Option<&RecordBatch> {
        if self.is_finest(level) { self.finest.get() } else { self.coarse.get()?[level].as_ref() }
    }

    /// The rows of a coarse resolution, if they are folded already.
    pub(crate) fn coarse_rows(&self, level: usize) -> Option<RecordBatch> {
        self.coarse.get()?[level].clone()
    }

    /// Rows of one resolution, about; of coarse ones none before they are folded.
    pub(crate) fn rows(&self, level: usize) -> usize {
        let whole = if self.is_finest(level) { self.parts.open.len() } else { 0 };
        self.built(level).map_or(whole, RecordBatch::num_rows)
    }

    /// Bytes of one resolution, about; the fragments count for the finest.
    pub(crate) fn size_bytes(&self, level: usize) -> usize {
        let fragments = if self.is_finest(level) { self.size_bytes } else { 0 };
        fragments + self.built(level).map_or(0, RecordBatch::get_array_memory_size)
    }

    /// The rows of one resolution, sorted by metric, series and time. Folds them, or waits for whoever does.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn batch(&self, level: usize) -> Result<RecordBatch, ArrowError> {
        if let Some(built) = self.built(level) {
            return Ok(built.clone());
        }
        let _folding = self.folding.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = self.built(level) {
            return Ok(built.clone());
        }
        let mut wanted = self.levels;
        let missing = || ArrowError::InvalidArgumentError(format!("fragments have no rows of resolution {level}"));
        if self.is_finest(level) {
            wanted = [false; LEVELS];
            wanted[level] = true;
            let folded = fold(self.parts.by_series(), (&self.parts.open, &self.parts.extras), wanted, self.through)?;
            let built = folded.into_iter().flatten().next().ok_or_else(missing)?;
            return Ok(self.finest.get_or_init(|| built).clone());
        }
        self.levels().take(1).for_each(|finest| wanted[finest] = false);
        let folded = fold(self.parts.by_series(), (&self.parts.open, &self.parts.extras), wanted, self.through)?;
        self.coarse.get_or_init(|| folded)[level].clone().ok_or_else(missing)
    }

    /// The rows of one resolution as [`Frozen::batch`] has them, a few thousand at a time.
    pub(crate) fn batches(&self, level: usize) -> Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + '_> {
        if !self.is_finest(level) || self.built(level).is_some() {
            return Box::new(std::iter::once_with(move || self.batch(level)));
        }
        let fold = Fold::new(self.levels, self.through);
        let series = self.parts.by_series().into_iter();
        let mut writing = Some(Writing { frozen: self, finest: level, series, fold, fragments: Vec::new() });
        Box::new(std::iter::from_fn(move || match writing.as_mut()?.next_rows() {
            Ok(Some(rows)) => Some(Ok(rows)),
            Ok(None) => writing.take()?.finish().transpose(),
            Err(error) => {
                writing = None;
                Some(Err(error))
            }
        }))
    }
}

/// Folds all resolutions, and hands out the rows of the finest as they come.
struct Writing<'f> {
    frozen: &'f Frozen,
    finest: usize,
    series: std::vec::IntoIter<Chain<&'f MetricSeries>>,
    fold: Fold,
    fragments: Vec<&'f Open>,
}

impl<'f> Writing<'f> {
    /// `None` when there are too few left for a batch.
    fn next_rows(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let Parts { open, extras, .. } = &self.frozen.parts;
        for chain in self.series.by_ref() {
            fold_series(&chain, (open, extras), &mut self.fragments, &mut self.fold)?;
            if self.fold.rows(self.finest) >= BATCH_ROWS {
                return self.fold.take_rows(self.finest);
            }
        }
        Ok(None)
    }

    /// The last rows.
    fn finish(self) -> Result<Option<RecordBatch>, ArrowError> {
        let mut folded = self.fold.finish()?;
        let last = folded[self.finest].take().filter(|rows| rows.num_rows() > 0);
        // A hot read may have been first.
        let _ = self.frozen.coarse.set(folded);
        Ok(last)
    }
}

impl Parts {
    fn by_series(&self) -> Vec<Chain<&MetricSeries>> {
        let chains = self.chains.iter().map(|Chain { series, adding, newest }| Chain {
            series: &**series,
            adding: *adding,
            newest: *newest,
        });
        sorted(chains.collect())
    }
}

/// Bytes that the fragments of so many series take, with the coarse rows they become.
pub(super) fn size_bytes(open: &[Open], extras: &Extras, series: usize) -> usize {
    size_of_val(open) + extras.size_bytes() + COARSE_BYTES * series
}

/// By metric and series, as the tables are.
pub(super) fn sorted(mut chains: Vec<Chain<&MetricSeries>>) -> Vec<Chain<&MetricSeries>> {
    let rank = |series: &MetricSeries| series.id as i64;
    chains.sort_unstable_by(|a, b| (&a.series.metric, rank(a.series)).cmp(&(&b.series.metric, rank(b.series))));
    chains
}

/// The rows of the resolutions in `levels`, newest offset counted `through`. Sorted by metric, series and time, if `chains`
/// are [`sorted`].
pub(super) fn fold(
    chains: Vec<Chain<&MetricSeries>>,
    fragments: (&[Open], &Extras),
    levels: Levels,
    through: LogOffset,
) -> Result<Folded, ArrowError> {
    if chains.is_empty() {
        return Ok(Folded::default());
    }
    let mut fold = Fold::new(levels, through);
    let mut room: Vec<&Open> = Vec::new();
    for chain in chains {
        fold_series(&chain, fragments, &mut room, &mut fold)?;
    }
    fold.finish()
}

/// Adds the fragments of one series to `fold`; `room` is used for them.
fn fold_series<'e>(
    chain: &Chain<&MetricSeries>,
    (open, extras): (&'e [Open], &'e Extras),
    room: &mut Vec<&'e Open>,
    fold: &mut Fold,
) -> Result<(), ArrowError> {
    room.clear();
    let mut at = chain.newest;
    while let Some(open) = open.get(at as usize) {
        room.push(open);
        at = open.before;
    }
    room.sort_unstable_by_key(|open| open.rank());
    fold.add(chain.series, chain.adding, room.iter().map(|open| open.fragment(extras)))
}
