//! Traces that wait for what is stored of them: which to look up, and what becomes of them.
//!
//! Where it sits: a late span of a forgotten trace makes it wait; [`crate::late`] looks it up while the stitcher goes on.
//!
//! Invariants:
//! - what was found counts only for traces that were asked for and have not gone on without it: an answer that comes too
//!   late changes nothing;
//! - waiting traces hold at most about a quarter of the stitcher's room.

use daymark_model::TraceId;

use super::trace::SpanFacts;
use super::{Stitcher, get_mut};
use crate::columns::TraceRow;
use crate::keyed::IdMap;

/// So many traces may wait however small the room is.
const MIN_WAITING: usize = 1_024;

/// What a trace that comes back finds in the store.
pub(crate) enum Stored {
    /// All its spans: they were handed to [`Stitcher::restore`].
    Spans,
    /// Its row alone: the spans are too many, or not all of them could be read.
    Row(Box<TraceRow>),
    /// Whether there is anything cannot be read.
    Unknown,
}

impl Stitcher {
    /// Traces that wait for their stored part cannot be forgotten: when they take a quarter of the room, they wait no
    /// longer.
    pub(super) fn give_up_when_crowded(&mut self) {
        let waiting = self.wanted.iter().chain(self.asked.keys());
        let held = waiting.filter_map(|id| self.young.get(id).or_else(|| self.old.get(id)));
        let (traces, spans) = held.fold((0, 0), |(traces, spans), trace| (traces + 1, spans + trace.spans().len()));
        let most = (self.limits.max_traces / 4).max(MIN_WAITING);
        if traces > most || spans > (self.limits.max_spans / 4).max(1) {
            tracing::warn!(traces, spans, "too many traces wait for their stored spans: they go on without them");
            self.give_up(&IdMap::default());
        }
    }

    /// How many traces wait for their stored part.
    pub(crate) fn waiting(&self) -> usize {
        self.wanted.len() + self.asked.len()
    }

    /// Up to `most` traces to look up, followed by [`Stitcher::found`] or [`Stitcher::not_found`]. An earlier question
    /// without an answer is void.
    pub(crate) fn ask(&mut self, most: usize) -> Vec<TraceId> {
        self.not_found();
        let ids: Vec<TraceId> = self.wanted.drain(..most.min(self.wanted.len())).collect();
        self.asked.extend(ids.iter().map(|id| (*id, ())));
        ids
    }

    /// Takes back a stored span of a trace that was asked for. Called in the order of offsets, before
    /// [`Stitcher::found`].
    pub(crate) fn restore(&mut self, id: &TraceId, facts: &SpanFacts<'_>) {
        if !self.asked.contains_key(id) {
            return;
        }
        if let Some(trace) = get_mut(&mut self.young, &mut self.old, id) {
            trace.restore(facts);
            self.young_spans += 1;
        }
    }

    /// The traces that were asked for are looked up: those without a stored row are new. Those of `later` have to be
    /// asked for again.
    pub(crate) fn found(&mut self, found: &IdMap<TraceId, Stored>, later: &[TraceId]) {
        for id in later {
            if self.asked.remove(id).is_some() {
                self.wanted.push(*id);
            }
        }
        for id in std::mem::take(&mut self.asked).into_keys() {
            let Some(trace) = get_mut(&mut self.young, &mut self.old, &id) else { continue };
            match found.get(&id) {
                None => trace.add_base(None, &mut self.names),
                Some(Stored::Spans) => trace.restored(),
                Some(Stored::Row(row)) => trace.add_base(Some(row), &mut self.names),
                Some(Stored::Unknown) => trace.go_on_without_base(),
            }
            self.counted += 1;
        }
    }

    /// The traces that were asked for could not be looked up: they are to be asked for again.
    pub(crate) fn not_found(&mut self) {
        self.wanted.extend(std::mem::take(&mut self.asked).into_keys());
    }

    /// No trace waits any longer: they go on as `truncated`, with their row where it is in `known`. Says how many.
    pub(crate) fn give_up(&mut self, known: &IdMap<TraceId, Stored>) -> usize {
        self.not_found();
        let waiting = std::mem::take(&mut self.wanted);
        for id in &waiting {
            let Some(trace) = get_mut(&mut self.young, &mut self.old, id) else { continue };
            match known.get(id) {
                Some(Stored::Row(row)) => trace.add_base(Some(row), &mut self.names),
                _ => trace.go_on_without_base(),
            }
            self.counted += 1;
        }
        waiting.len()
    }

    /// Largest number of spans of a trace that is looked at.
    pub(crate) fn max_spans_per_trace(&self) -> usize {
        self.limits.max_spans_per_trace
    }

    /// Spans that one look into the store may bring back.
    pub(crate) fn max_restored(&self) -> usize {
        (self.limits.max_spans / 4).max(1)
    }
}
