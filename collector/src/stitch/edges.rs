//! Edges of the service graph: calls between services, counted in windows of one minute.
//!
//! Where it sits: the stitcher hands it the analysis of a trace whenever it writes it down. What it has counted is a
//! function of the set of spans counted so far, for each trace the sum of
//! - one call for each server or consumer span whose parent is a client or producer span, at the callee's start, with
//!   the callee's duration; it failed when either span did;
//! - one call for each client or producer span without such a child that names its callee, at its own start.
//!
//! Spans that were counted before are marked [`SETTLED`]; what is added is the difference to them. A callee that comes
//! after its caller was taken for a call to a name is counted, and the call to the name is taken back by a fragment with
//! negative counts. So order, batches, repeats and restarts do not change the sums.
//!
//! Invariants:
//! - each seal takes and empties the fragments: readers sum them;
//! - at most `max_edges` fragments are in memory; further calls go to the edge `_overflow` of their minute.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use daymark_model::{LogOffset, UnixNanos};
use daymark_sketch::Sketch;
use daymark_trace::{Analysis, Span};

use super::names::{Names, OVERFLOW};
use crate::columns::{EdgeColumns, EdgeRow};
use crate::keyed::IdMap;

/// The edges of the trace reflect this span.
pub(crate) const SETTLED: u8 = Span::FREE_MARK;
/// The span calls a database.
pub(crate) const DATABASE: u8 = Span::FREE_MARK << 1;
/// The row of the trace in the table counts the span.
pub(crate) const WRITTEN: u8 = Span::FREE_MARK << 2;

const WINDOW_NS: u64 = 60_000_000_000;
/// Hot reads may see edges so old: well within the 2 s that rows have until they can be queried.
const MAX_LIVE_AGE: Duration = Duration::from_secs(1);

const CONNECTIONS: [&str; 3] = ["rpc", "messaging", "database"];
/// The callee is known by an attribute of the caller only.
const NAMED: u8 = 4;
/// Calls that are taken back.
const BACK: u8 = 8;

/// Rows of fragments, and first and last of their minutes.
pub(crate) type Fragments = (RecordBatch, (UnixNanos, UnixNanos));

/// Caller and callee, the minute, and the bits above beside the place in [`CONNECTIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    minute: u32,
    ends: u32,
    bits: u32,
}

#[derive(Debug, Default)]
struct Calls {
    calls: u64,
    errors: u64,
    durations: Sketch,
}

/// Fragments built for hot reads.
struct Live {
    changes: u64,
    through: LogOffset,
    built: Instant,
    took: Duration,
    batch: Option<RecordBatch>,
}

/// The edges of one tenant since the last seal.
pub(crate) struct Edges {
    max: usize,
    open: IdMap<Key, Calls>,
    bytes: usize,
    /// For each span of the trace at hand whether it has a callee, and one that is settled.
    callees: Vec<(bool, bool)>,
    live: Option<Live>,
}

impl Edges {
    pub(crate) fn new(max: usize) -> Edges {
        Edges { max: max.max(1), open: IdMap::default(), bytes: 0, callees: Vec::new(), live: None }
    }

    /// Fragments that a seal would write.
    pub(crate) fn rows(&self) -> usize {
        self.open.len()
    }

    /// Bytes held, about.
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes + self.open.len() * (size_of::<(Key, Calls)>() + 100)
    }

    /// Counts what the spans of a trace that are not settled add to its edges.
    pub(crate) fn add(&mut self, trace: &Analysis) {
        let spans = trace.spans();
        let settled = |span: &Span| span.marks & SETTLED != 0;
        self.callees.clear();
        self.callees.resize(spans.len(), (false, false));
        for callee in spans.iter().filter(|span| span.kind.is_called() && span.parent != 0) {
            // By id, not by the tree, which may have been cut: the edge must not depend on other spans.
            let Some(at) = trace.find(callee.parent).filter(|at| spans[*at].kind.calls()) else { continue };
            let caller = &spans[at];
            self.callees[at].0 = true;
            self.callees[at].1 |= settled(callee);
            if !(settled(callee) && settled(caller)) {
                let failed = callee.is_error() || caller.is_error();
                self.count(key(callee.start, caller.service, callee.service, connection(caller)), failed, callee);
            }
        }
        for (at, caller) in spans.iter().enumerate().filter(|(_, span)| span.kind.calls() && span.peer != 0) {
            let (has_callee, knew_callee) = self.callees[at];
            let named = key(caller.start, caller.service, caller.peer, connection(caller) | NAMED);
            if !has_callee && !settled(caller) {
                self.count(named, caller.is_error(), caller);
            } else if has_callee && settled(caller) && !knew_callee {
                self.count(Key { bits: named.bits | u32::from(BACK), ..named }, caller.is_error(), caller);
            }
        }
    }

    fn count(&mut self, key: Key, failed: bool, span: &Span) {
        let overflows = self.open.len() >= self.max && !self.open.contains_key(&key);
        let key = if overflows { Key { ends: ends(OVERFLOW, OVERFLOW), ..key } } else { key };
        let calls = self.open.entry(key).or_default();
        calls.calls += 1;
        calls.errors += u64::from(failed);
        let before = calls.durations.memory_bytes();
        calls.durations.record(span.duration);
        self.bytes = (self.bytes + calls.durations.memory_bytes()).saturating_sub(before);
    }

    /// Adds the fragments of another, which are of spans that are not settled yet.
    fn merge(&mut self, other: &Edges) {
        for (key, theirs) in &other.open {
            let calls = self.open.entry(*key).or_default();
            calls.calls += theirs.calls;
            calls.errors += theirs.errors;
            calls.durations.merge(&theirs.durations);
        }
    }

    /// The fragments as rows, newest offset counted `through`, with the times they span.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn fragments(&self, names: &Names, through: LogOffset) -> Result<Option<Fragments>, ArrowError> {
        let mut keys: Vec<&Key> = self.open.keys().collect();
        keys.sort_unstable_by_key(|key| (names.name(caller(key)), names.name(callee(key)), key.minute, key.bits));
        let start = |key: &Key| UnixNanos(u64::from(key.minute) * WINDOW_NS);
        let (Some(first), Some(last)) = (keys.iter().map(|k| start(k)).min(), keys.iter().map(|k| start(k)).max())
        else {
            return Ok(None);
        };
        let mut rows = EdgeColumns::new();
        for key in keys {
            let calls = &self.open[key];
            rows.push(&EdgeRow {
                caller: names.name(caller(key)),
                callee: names.name(callee(key)),
                callee_kind: if key.bits & u32::from(NAMED) == 0 { "service" } else { "peer" },
                connection: CONNECTIONS[(key.bits & 3) as usize % CONNECTIONS.len()],
                window: start(key),
                takes_back: key.bits & u32::from(BACK) != 0,
                calls: calls.calls,
                errors: calls.errors,
                durations: &calls.durations,
                log_offset: through,
            });
        }
        Ok(Some((rows.finish()?, (first, last))))
    }

    /// The fragments for a hot read together with those of `unsettled` traces, and the offset they reflect. `changes`
    /// grows with each span. They are built again only when spans came, and then at most for a tenth of the time.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn live(
        &mut self,
        names: &Names,
        through: LogOffset,
        changes: u64,
        unsettled: impl FnOnce(&mut Edges),
    ) -> Result<(LogOffset, Option<RecordBatch>), ArrowError> {
        if let Some(live) = &self.live {
            if live.changes == changes {
                return Ok((through, live.batch.clone()));
            }
            if live.built.elapsed() < (live.took * 10).min(MAX_LIVE_AGE) {
                return Ok((live.through, live.batch.clone()));
            }
        }
        let built = Instant::now();
        let mut all = Edges::new(self.max);
        unsettled(&mut all);
        all.merge(self);
        let batch = all.fragments(names, through)?.map(|(batch, _)| batch);
        self.live = Some(Live { changes, through, built, took: built.elapsed(), batch: batch.clone() });
        Ok((through, batch))
    }

    /// The fragments are sealed.
    pub(crate) fn clear(&mut self) {
        self.open = IdMap::default();
        self.bytes = 0;
        self.live = None;
    }
}

fn connection(caller: &Span) -> u8 {
    if caller.kind == daymark_trace::Kind::Producer { 1 } else { 2 * u8::from(caller.marks & DATABASE != 0) }
}

fn ends(caller: u16, callee: u16) -> u32 {
    u32::from(caller) << 16 | u32::from(callee)
}

fn key(start: u64, caller: u16, callee: u16, bits: u8) -> Key {
    Key { minute: (start / WINDOW_NS) as u32, ends: ends(caller, callee), bits: bits.into() }
}

fn caller(key: &Key) -> u16 {
    (key.ends >> 16) as u16
}

fn callee(key: &Key) -> u16 {
    key.ends as u16
}
