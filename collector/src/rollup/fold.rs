//! Folds the 10 s fragments of one series into the windows of every resolution.
//!
//! Invariants:
//! - every fragment is counted once in each resolution, whatever the order in which its points came;
//! - a coarse row is folded from the next finer ones, so distributions are merged once a level.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use daymark_model::LogOffset;
use daymark_store::series::{Adding, Fragment, FragmentColumns};
use daymark_store::{Resolution, TableName};

use super::frozen::Folded;
use crate::columns::MetricSeries;

/// Number of resolutions.
pub(super) const LEVELS: usize = Resolution::ALL.len();

/// Which resolutions something is for, the finest first.
pub(crate) type Levels = [bool; LEVELS];

/// Position of a metric table among the resolutions.
pub(crate) fn level(table: TableName) -> Option<usize> {
    TableName::METRICS.iter().position(|metrics| *metrics == table)
}

/// Rows of all wanted resolutions in the making.
pub(super) struct Fold {
    through: LogOffset,
    rows: [Option<FragmentColumns>; LEVELS],
}

impl Fold {
    pub(super) fn new(wanted: Levels, through: LogOffset) -> Fold {
        Fold { through, rows: wanted.map(|wanted| wanted.then(FragmentColumns::default)) }
    }

    /// Adds the fragments of one series, in order of time.
    pub(super) fn add<'e>(
        &mut self,
        series: &MetricSeries,
        adding: Adding,
        fragments: impl Iterator<Item = Fragment<'e>>,
    ) -> Result<(), ArrowError> {
        let coarsest = self.rows.iter().rposition(Option::is_some).unwrap_or(0);
        let mut pending: [Option<Fragment<'e>>; LEVELS] = Default::default();
        for fragment in fragments {
            self.take(series, adding, &mut pending, 0, coarsest, fragment)?;
        }
        for level in 0..=coarsest {
            if let Some(fragment) = pending[level].take() {
                self.pass(series, adding, &mut pending, level, coarsest, fragment)?;
            }
        }
        Ok(())
    }

    /// Joins `fragment` with the pending one of `level`, or puts it in its place.
    fn take<'e>(
        &mut self,
        series: &MetricSeries,
        adding: Adding,
        pending: &mut [Option<Fragment<'e>>; LEVELS],
        level: usize,
        coarsest: usize,
        mut fragment: Fragment<'e>,
    ) -> Result<(), ArrowError> {
        fragment.window = fragment.window.window(Resolution::ALL[level].window_ns());
        if let Some(before) = &mut pending[level]
            && before.window == fragment.window
            && before.join(&fragment, adding)
        {
            return Ok(());
        }
        match pending[level].replace(fragment) {
            Some(done) => self.pass(series, adding, pending, level, coarsest, done),
            None => Ok(()),
        }
    }

    /// A row of `level` is whole: it is written and becomes part of the next coarser one.
    fn pass<'e>(
        &mut self,
        series: &MetricSeries,
        adding: Adding,
        pending: &mut [Option<Fragment<'e>>; LEVELS],
        level: usize,
        coarsest: usize,
        fragment: Fragment<'e>,
    ) -> Result<(), ArrowError> {
        if let Some(rows) = &mut self.rows[level] {
            rows.push(series.head(), &fragment, self.through)?;
        }
        match level < coarsest {
            true => self.take(series, adding, pending, level + 1, coarsest, fragment),
            false => Ok(()),
        }
    }

    /// Rows of one resolution that were not taken yet.
    pub(super) fn rows(&self, level: usize) -> usize {
        self.rows[level].as_ref().map_or(0, FragmentColumns::rows)
    }

    /// Takes the rows of one resolution, if there are any.
    pub(super) fn take_rows(&mut self, level: usize) -> Result<Option<RecordBatch>, ArrowError> {
        self.rows[level].as_mut().filter(|rows| rows.rows() > 0).map(FragmentColumns::finish).transpose()
    }

    /// The rows, by resolution.
    pub(super) fn finish(self) -> Result<Folded, ArrowError> {
        let mut finished = Folded::default();
        for (rows, finished) in self.rows.into_iter().zip(&mut finished) {
            *finished = rows.map(|mut rows| rows.finish()).transpose()?;
        }
        Ok(finished)
    }
}
