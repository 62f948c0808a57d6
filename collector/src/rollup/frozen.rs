//! Fragments taken for a commit. They are folded into rows by whoever needs them first, the sealer as a rule, so that the
//! applier goes on in the meantime.
//!
//! Invariants:
//! - nothing is added to them any more, so the rows do not depend on when they are folded;
//! - they are folded once; what they were folded from is freed then.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use daymark_model::{LogOffset, UnixNanos};
use daymark_store::Resolution;
use daymark_store::series::Adding;

use super::fold::{Fold, LEVELS, Levels};
use super::open::{Extras, Open};
use crate::columns::MetricSeries;

/// What an open fragment becomes in memory when it is folded, with its share of the series' text. Bytes.
pub(super) const ROW_BYTES: usize = 400;

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
    fragments: usize,
    size_bytes: usize,
    parts: Mutex<Option<Parts>>,
    folded: OnceLock<Folded>,
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
            fragments: parts.open.len(),
            size_bytes: size_bytes(&parts.open, &parts.extras),
            parts: Mutex::new(Some(parts)),
            folded: OnceLock::new(),
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

    /// Rows of one resolution; of coarse ones none before they are folded.
    pub(crate) fn rows(&self, level: usize) -> usize {
        let whole = if self.carries(level) { self.fragments } else { 0 };
        self.folded.get().map_or(whole, |folded| folded[level].as_ref().map_or(0, RecordBatch::num_rows))
    }

    /// Bytes of one resolution, about; the finest one stands for all before they are folded.
    pub(crate) fn size_bytes(&self, level: usize) -> usize {
        let whole = if self.carries(level) { self.size_bytes } else { 0 };
        self.folded.get().map_or(whole, |folded| folded[level].as_ref().map_or(0, RecordBatch::get_array_memory_size))
    }

    fn carries(&self, level: usize) -> bool {
        self.levels().next() == Some(level)
    }

    /// The rows of one resolution, sorted by metric, series and time. Folds them, or waits for whoever does.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn batch(&self, level: usize) -> Result<RecordBatch, ArrowError> {
        let missing = || ArrowError::InvalidArgumentError(format!("fragments have no rows of resolution {level}"));
        if let Some(folded) = self.folded.get() {
            return folded[level].clone().ok_or_else(missing);
        }
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Parts { chains, open, extras }) = &*parts {
            let chains = chains.iter().map(|Chain { series, adding, newest }| Chain {
                series: &**series,
                adding: *adding,
                newest: *newest,
            });
            let folded = fold(chains.collect(), (open, extras), self.levels, self.through)?;
            let _ = self.folded.set(folded);
            *parts = None;
        }
        self.folded.get().and_then(|folded| folded[level].clone()).ok_or_else(missing)
    }
}

/// Bytes of the rows that fragments become, about.
pub(super) fn size_bytes(open: &[Open], extras: &Extras) -> usize {
    extras.bytes + ROW_BYTES * open.len()
}

/// The rows of the resolutions in `levels`, newest offset counted `through`. Sorted by metric, series and time.
pub(super) fn fold(
    mut chains: Vec<Chain<&MetricSeries>>,
    (open, extras): (&[Open], &Extras),
    levels: Levels,
    through: LogOffset,
) -> Result<Folded, ArrowError> {
    if chains.is_empty() {
        return Ok(Folded::default());
    }
    let rank = |series: &MetricSeries| series.id as i64;
    chains.sort_unstable_by(|a, b| (&a.series.metric, rank(a.series)).cmp(&(&b.series.metric, rank(b.series))));
    let mut fold = Fold::new(levels, through);
    let mut fragments: Vec<&Open> = Vec::new();
    for Chain { series, adding, newest } in chains {
        fragments.clear();
        let mut at = newest;
        while let Some(open) = open.get(at as usize) {
            fragments.push(open);
            at = open.before;
        }
        fragments.sort_unstable_by_key(|open| open.rank());
        fold.add(series, adding, fragments.iter().map(|open| open.fragment(extras)))?;
    }
    fold.finish()
}
