//! Stitch: spans of one trace become one row of the `traces` table.
//!
//! Where it sits: the applier feeds it every span; hot reads ask for the traces that changed since their last row;
//! seals take a row of every changed trace, so that a published `traces` table reflects exactly the offsets it has
//! consumed and replay needs nothing but the log.
//!
//! Invariants:
//! - a row is a complete summary: of two rows of a trace the one with the larger `version` counts;
//! - a span is counted once while its trace is open (span ids are kept until the trace is idle);
//! - at most about `max_traces` traces are in memory. The forgotten ones are in a rotating bloom filter; when a late
//!   span may belong to one, its stored row is added before the trace is shown or written again.

mod bloom;
mod trace;

use std::collections::VecDeque;

use arrow::error::ArrowError;
use daymark_model::{LogOffset, TraceId};

use self::bloom::RotatingBloom;
pub(crate) use self::trace::SpanFacts;
use self::trace::{Base, Trace};
use crate::columns::{TraceColumns, TraceRow};
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
    pub(crate) max_spans: usize,
}

/// The traces of one tenant.
pub(crate) struct Stitcher {
    limits: StitchLimits,
    young: IdMap<TraceId, Trace>,
    old: IdMap<TraceId, Trace>,
    /// Open traces, by when to look at them next (milliseconds).
    due: VecDeque<(u64, TraceId)>,
    changed: usize,
    wanted: Vec<TraceId>,
    forgotten: RotatingBloom,
}

impl Stitcher {
    pub(crate) fn new(limits: StitchLimits) -> Stitcher {
        Stitcher {
            limits,
            young: IdMap::default(),
            old: IdMap::default(),
            due: VecDeque::new(),
            changed: 0,
            wanted: Vec::new(),
            forgotten: RotatingBloom::new(FORGOTTEN_IDS),
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

    /// Counts one span.
    pub(crate) fn count(&mut self, id: TraceId, span: &SpanFacts<'_>, now_ms: u64) {
        if !self.young.contains_key(&id) {
            let trace = self.old.remove(&id).unwrap_or_else(|| {
                let base = if self.forgotten.maybe_has(&id) { Base::Wanted } else { Base::Here };
                if base == Base::Wanted {
                    self.wanted.push(id);
                }
                Trace::new(base, now_ms)
            });
            self.young.insert(id, trace);
        }
        let Some(trace) = self.young.get_mut(&id) else { return };
        let was_changed = trace.dirty;
        trace.touched_ms = now_ms;
        if trace.count(span, self.limits.max_spans) && !was_changed {
            self.changed += 1;
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
            } else if idle_at <= now_ms {
                self.changed -= usize::from(emit(id, trace, through, rows)?);
                trace.open = false;
                trace.forget_spans();
            } else if aged_at <= now_ms {
                self.changed -= usize::from(emit(id, trace, through, rows)?);
                trace.opened_ms = now_ms;
                self.due.push_back((now_ms + limits.idle_ms, id));
            } else {
                self.due.push_back((idle_at.min(aged_at), id));
            }
        }
        Ok(())
    }

    /// Writes a row of every changed trace. Stored parts must have been added: see [`Stitcher::wanted`].
    ///
    /// # Errors
    /// When a row does not fit the columns: a mistake in this crate.
    pub(crate) fn emit_changed(&mut self, through: LogOffset, rows: &mut TraceColumns) -> Result<(), ArrowError> {
        if self.changed == 0 {
            return Ok(());
        }
        for (id, trace) in self.young.iter_mut().chain(self.old.iter_mut()) {
            self.changed -= usize::from(emit(*id, trace, through, rows)?);
        }
        Ok(())
    }

    /// Rows of the changed traces as they stand now, without marking them as written.
    pub(crate) fn provisional(&self, through: LogOffset) -> impl Iterator<Item = TraceRow> {
        let traces = self.young.iter().chain(self.old.iter());
        traces
            .filter(|(_, trace)| trace.dirty && trace.base == Base::Here)
            .map(move |(id, trace)| trace.row(*id, through))
    }

    /// Forgets the traces longest without spans when there are too many. Called between frames only, so that a version
    /// of a trace has one content.
    ///
    /// # Errors
    /// When a row does not fit the columns: a mistake in this crate.
    pub(crate) fn make_room(&mut self, through: LogOffset, rows: &mut TraceColumns) -> Result<(), ArrowError> {
        if self.young.len() < self.limits.max_traces / 2 {
            return Ok(());
        }
        let leaving = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        for (id, mut trace) in leaving {
            if trace.base == Base::Wanted {
                self.young.insert(id, trace);
                continue;
            }
            self.changed -= usize::from(emit(id, &mut trace, through, rows)?);
            self.forgotten.add(&id);
        }
        Ok(())
    }

    /// Traces whose stored row must be found before they are shown or written.
    pub(crate) fn wanted(&self) -> &[TraceId] {
        &self.wanted
    }

    /// Adds the newest stored row of each wanted trace; those without one are new traces.
    pub(crate) fn add_bases(&mut self, found: &IdMap<TraceId, TraceRow>) {
        for id in std::mem::take(&mut self.wanted) {
            if let Some(trace) = get_mut(&mut self.young, &mut self.old, &id) {
                trace.add_base(found.get(&id));
            }
        }
    }
}

fn get_mut<'m>(
    young: &'m mut IdMap<TraceId, Trace>,
    old: &'m mut IdMap<TraceId, Trace>,
    id: &TraceId,
) -> Option<&'m mut Trace> {
    young.get_mut(id).or_else(|| old.get_mut(id))
}

/// Says whether there was something to write.
fn emit(id: TraceId, trace: &mut Trace, through: LogOffset, rows: &mut TraceColumns) -> Result<bool, ArrowError> {
    if !trace.dirty || trace.base == Base::Wanted {
        return Ok(false);
    }
    rows.push(&trace.row(id, through))?;
    trace.dirty = false;
    Ok(true)
}

#[cfg(test)]
mod tests;
