//! Stitch: spans of one trace become one row of the `traces` table, and their calls edges of the service graph.
//!
//! Where it sits: the applier feeds it every span; hot reads ask for the traces that changed since their last row;
//! seals take a row of every changed trace, and the edges of every trace, so that the published tables reflect exactly
//! the offsets they have consumed and replay needs nothing but the log and the published spans.
//!
//! Invariants:
//! - a row is a complete summary of the spans it counts: of two rows of a trace the one with the larger `version`
//!   counts;
//! - a span is counted once, also when it is repeated long after its trace was forgotten;
//! - at most about `max_traces` traces and `max_stitched_spans` spans are in memory. The forgotten traces are in a
//!   rotating bloom filter; when a late span may belong to one, its spans are read from the store before the trace is
//!   shown or written again, so that its row is what it would have been in one piece. A trace that goes on without
//!   them is `truncated`, never anything better.

mod bloom;
mod edges;
mod names;
mod target;
mod trace;
mod waiting;

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use daymark_model::{LogOffset, TraceId};
use daymark_trace::Analysis;

use self::bloom::RotatingBloom;
pub(crate) use self::edges::{DATABASE, SETTLED};
use self::edges::{Edges, Fragments};
pub(crate) use self::names::Names;
pub(crate) use self::target::target;
use self::trace::{Base, Trace};
pub(crate) use self::trace::{SpanFacts, TRUNCATED};
pub(crate) use self::waiting::Stored;
use crate::columns::TraceColumns;
use crate::keyed::IdMap;

/// Ids in each half of the bloom filter of forgotten traces.
const FORGOTTEN_IDS: usize = 1 << 20;
/// How long a trace waits for its stored part before it is looked at again, milliseconds.
const WANTED_RETRY_MS: u64 = 500;

/// Limits of the stitcher, from [`crate::CollectorOptions`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct StitchLimits {
    pub(crate) idle_ms: u64,
    pub(crate) max_age_ms: u64,
    pub(crate) max_traces: usize,
    /// Of all traces in memory.
    pub(crate) max_spans: usize,
    pub(crate) max_spans_per_trace: usize,
    pub(crate) max_edges: usize,
}

/// The traces of one tenant.
pub(crate) struct Stitcher {
    limits: StitchLimits,
    pub(crate) names: Names,
    young: IdMap<TraceId, Trace>,
    old: IdMap<TraceId, Trace>,
    /// Spans of the young traces, about.
    young_spans: usize,
    /// Open traces, by when to look at them next (milliseconds).
    due: VecDeque<(u64, TraceId)>,
    changed: usize,
    /// Spans counted so far.
    counted: u64,
    /// Traces whose stored part must be found before they are shown or written.
    wanted: Vec<TraceId>,
    /// Those of them that are being looked up.
    asked: IdMap<TraceId, ()>,
    forgotten: RotatingBloom,
    edges: Edges,
    analysis: Analysis,
}

impl Stitcher {
    pub(crate) fn new(limits: StitchLimits) -> Stitcher {
        Stitcher {
            limits,
            names: Names::new(),
            young: IdMap::default(),
            old: IdMap::default(),
            young_spans: 0,
            due: VecDeque::new(),
            changed: 0,
            counted: 0,
            wanted: Vec::new(),
            asked: IdMap::default(),
            forgotten: RotatingBloom::new(FORGOTTEN_IDS),
            edges: Edges::new(limits.max_edges),
            analysis: Analysis::default(),
        }
    }

    /// A row of this trace is in the store and nothing of it in memory: told at start.
    pub(crate) fn stored_before(&mut self, id: &TraceId) {
        self.forgotten.add(id);
    }

    /// Traces that changed since their last row.
    pub(crate) fn changed(&self) -> usize {
        self.changed
    }

    /// Counts one span. It is marked [`SETTLED`] when the `edges` table holds its frame.
    pub(crate) fn count(&mut self, id: TraceId, facts: &SpanFacts<'_>, now_ms: u64) {
        if !self.young.contains_key(&id) {
            let trace = self.old.remove(&id).unwrap_or_else(|| {
                let base = if self.forgotten.maybe_has(&id) { Base::Wanted } else { Base::Here };
                if base == Base::Wanted {
                    self.wanted.push(id);
                }
                Trace::new(base, now_ms, facts.offset)
            });
            self.young_spans += trace.spans().len();
            self.young.insert(id, trace);
        }
        let Some(trace) = self.young.get_mut(&id) else { return };
        let was_changed = trace.dirty;
        trace.touched_ms = now_ms;
        if trace.count(facts, self.limits.max_spans_per_trace, &self.names) {
            self.young_spans += 1;
            self.counted += 1;
            self.changed += usize::from(trace.dirty && !was_changed);
        }
        if !trace.open {
            trace.open = true;
            trace.opened_ms = now_ms;
            self.due.push_back((now_ms + self.limits.idle_ms, id));
        }
    }

    /// Writes a row of every trace that is idle or open for too long.
    ///
    /// # Errors
    /// When a row does not fit the columns: a mistake in this crate.
    pub(crate) fn emit_due(
        &mut self,
        now_ms: u64,
        through: LogOffset,
        rows: &mut TraceColumns,
    ) -> Result<(), ArrowError> {
        while self.due.front().is_some_and(|(due_ms, _)| *due_ms <= now_ms) {
            let Some((_, id)) = self.due.pop_front() else { break };
            let limits = self.limits;
            let Some(trace) = get_mut(&mut self.young, &mut self.old, &id) else { continue };
            let (idle_at, aged_at) = (trace.touched_ms + limits.idle_ms, trace.opened_ms + limits.max_age_ms);
            if trace.base == Base::Wanted {
                self.due.push_back((now_ms + WANTED_RETRY_MS, id));
                continue;
            }
            let mut emitting = Emitting { analysis: &mut self.analysis, edges: &mut self.edges, names: &self.names };
            if idle_at <= now_ms {
                self.changed -= usize::from(emitting.emit(id, trace, through, rows)?);
                trace.open = false;
            } else if aged_at <= now_ms {
                self.changed -= usize::from(emitting.emit(id, trace, through, rows)?);
                trace.opened_ms = now_ms;
                self.due.push_back((now_ms + limits.idle_ms, id));
            } else {
                self.due.push_back((idle_at.min(aged_at), id));
            }
        }
        Ok(())
    }

    /// Writes a row of every changed trace. Stored parts must have been added: see [`Stitcher::waiting`].
    ///
    /// # Errors
    /// When a row does not fit the columns: a mistake in this crate.
    pub(crate) fn emit_changed(&mut self, through: LogOffset, rows: &mut TraceColumns) -> Result<(), ArrowError> {
        if self.changed == 0 {
            return Ok(());
        }
        let mut emitting = Emitting { analysis: &mut self.analysis, edges: &mut self.edges, names: &self.names };
        for (id, trace) in self.young.iter_mut().chain(self.old.iter_mut()) {
            self.changed -= usize::from(emitting.emit(*id, trace, through, rows)?);
        }
        Ok(())
    }

    /// Writes the rows of the changed traces as they stand now, without marking them as written.
    ///
    /// # Errors
    /// When a row does not fit the columns: a mistake in this crate.
    pub(crate) fn provisional(&mut self, through: LogOffset, rows: &mut TraceColumns) -> Result<(), ArrowError> {
        for (id, trace) in self.young.iter().chain(self.old.iter()) {
            if trace.dirty && trace.base == Base::Here {
                let analysis = self.analysis.of(trace.spans());
                rows.push(&trace.row(*id, analysis, &self.names, through))?;
            }
        }
        Ok(())
    }

    /// Forgets the traces longest without spans when there are too many. Called between frames only, so that a version
    /// of a trace has one content.
    ///
    /// # Errors
    /// When a row does not fit the columns: a mistake in this crate.
    pub(crate) fn make_room(&mut self, through: LogOffset, rows: &mut TraceColumns) -> Result<(), ArrowError> {
        let limits = self.limits;
        if self.young.len() < limits.max_traces / 2 && self.young_spans < (limits.max_spans / 2).max(1) {
            return Ok(());
        }
        self.give_up_when_crowded();
        let leaving = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        self.young_spans = 0;
        for (id, mut trace) in leaving {
            if trace.base == Base::Wanted {
                self.young_spans += trace.spans().len();
                self.young.insert(id, trace);
                continue;
            }
            let mut emitting = Emitting { analysis: &mut self.analysis, edges: &mut self.edges, names: &self.names };
            self.changed -= usize::from(emitting.emit(id, &mut trace, through, rows)?);
            self.forgotten.add(&id);
        }
        Ok(())
    }

    /// Fragments of edges that a seal would write, and their bytes, about.
    pub(crate) fn edge_rows(&self) -> (usize, usize) {
        (self.edges.rows(), self.edges.size_bytes())
    }

    /// The edges of all traces for a seal, with the times they span; none are left. Stored parts must have been added.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn take_edges(&mut self, through: LogOffset) -> Result<Option<Fragments>, ArrowError> {
        for trace in self.young.values_mut().chain(self.old.values_mut()) {
            if trace.unsettled && trace.base == Base::Here {
                self.edges.add(self.analysis.of(trace.spans()));
                trace.settle();
            }
        }
        let fragments = self.edges.fragments(&self.names, through)?;
        self.edges.clear();
        Ok(fragments)
    }

    /// The edges of all traces as they stand now, and the offset they reflect.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn live_edges(&mut self, through: LogOffset) -> Result<(LogOffset, Option<RecordBatch>), ArrowError> {
        let Stitcher { edges, names, analysis, young, old, counted, .. } = self;
        edges.live(names, through, *counted, |unsettled| {
            for trace in young.values().chain(old.values()) {
                if trace.unsettled && trace.base == Base::Here {
                    unsettled.add(analysis.of(trace.spans()));
                }
            }
        })
    }
}

fn get_mut<'m>(
    young: &'m mut IdMap<TraceId, Trace>,
    old: &'m mut IdMap<TraceId, Trace>,
    id: &TraceId,
) -> Option<&'m mut Trace> {
    young.get_mut(id).or_else(|| old.get_mut(id))
}

/// What an emission needs beside the trace.
struct Emitting<'s> {
    analysis: &'s mut Analysis,
    edges: &'s mut Edges,
    names: &'s Names,
}

impl Emitting<'_> {
    /// Writes what changed. Says whether there was a row to write.
    fn emit(
        &mut self,
        id: TraceId,
        trace: &mut Trace,
        through: LogOffset,
        rows: &mut TraceColumns,
    ) -> Result<bool, ArrowError> {
        if trace.base == Base::Wanted || !(trace.dirty || trace.unsettled) {
            return Ok(false);
        }
        let analysis = self.analysis.of(trace.spans());
        if trace.unsettled {
            self.edges.add(analysis);
            trace.settle();
        }
        if !trace.dirty {
            return Ok(false);
        }
        rows.push(&trace.row(id, analysis, self.names, through))?;
        trace.dirty = false;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
