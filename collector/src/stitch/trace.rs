//! One trace in memory: its spans, each once, and the row they make.
//!
//! The row is a function of the set of spans: of their order, batches and repeats nothing is left in it but `version`.

use std::sync::Arc;

use daymark_model::{LogOffset, TraceId, UnixNanos};
use daymark_trace::{Analysis, Span};

use super::edges::{SETTLED, WRITTEN};
use super::names::Names;
use crate::columns::{ServiceFigures, TraceRow};
use crate::keyed::IdMap;

/// Caps of the lists inside a row; the further entries, in the order of their text, are left out.
const MAX_SERVICES: usize = 64;
const MAX_CORRELATIONS: usize = 16;
/// Up to here the spans of a trace are searched one by one, beyond by a map.
const LINEAR_SPANS: usize = 24;

/// State of a trace of which not all spans were looked at together.
pub(crate) const TRUNCATED: &str = "truncated";

/// A span as the stitcher takes it.
pub(crate) struct SpanFacts<'a> {
    pub(crate) offset: LogOffset,
    /// The `traces` table holds its frame: it changes no row.
    pub(crate) written: bool,
    pub(crate) span: Span,
    pub(crate) name: &'a str,
    pub(crate) correlation: Option<&'a str>,
}

/// The root span: the earliest without a parent.
#[derive(Clone, Debug)]
struct Root {
    service: u16,
    name: Box<str>,
    start: u64,
    id: u64,
}

/// Whether what is stored of the trace must be found first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// Everything is here.
    Here,
    /// A row of this trace may be in the store; until its spans are here, this trace must not be shown.
    Wanted,
}

/// Spans that were counted and are not among those looked at: beyond the cap, or stored and not read again.
#[derive(Clone, Debug)]
struct Beyond {
    spans: u64,
    errors: u64,
    start: u64,
    end: u64,
    services: Vec<Arc<str>>,
}

/// One trace.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) base: Base,
    /// Spans were counted since the last emission.
    pub(crate) dirty: bool,
    /// Edges do not reflect all spans.
    pub(crate) unsettled: bool,
    /// Waits to become idle: in the stitcher's queue.
    pub(crate) open: bool,
    /// Milliseconds of the collector's clock when the last span came, and when the trace was opened.
    pub(crate) touched_ms: u64,
    pub(crate) opened_ms: u64,
    /// Newest offset counted.
    pub(crate) version: LogOffset,
    /// Offset of the first span that is here because it came, not because it was read from the store.
    since: LogOffset,
    spans: Vec<Span>,
    index: Option<Box<IdMap<u64, u32>>>,
    root: Option<Root>,
    /// Sorted.
    correlations: Vec<Box<str>>,
    beyond: Option<Box<Beyond>>,
}

impl Trace {
    pub(crate) fn new(base: Base, now_ms: u64, since: LogOffset) -> Trace {
        Trace {
            base,
            dirty: false,
            unsettled: false,
            open: false,
            touched_ms: now_ms,
            opened_ms: now_ms,
            version: LogOffset(0),
            since,
            spans: Vec::new(),
            index: None,
            root: None,
            correlations: Vec::new(),
            beyond: None,
        }
    }

    /// The spans looked at.
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Counts a span unless it was counted before; says whether it was counted.
    pub(crate) fn count(&mut self, facts: &SpanFacts<'_>, max_spans: usize, names: &Names) -> bool {
        let span = &Span { marks: facts.span.marks | if facts.written { WRITTEN } else { 0 }, ..facts.span };
        if self.position(span.id).is_some() {
            return false;
        }
        if self.spans.len() < max_spans {
            self.push(*span);
            self.unsettled |= span.marks & SETTLED == 0;
        } else {
            self.count_beyond(span, names);
        }
        self.dirty |= !facts.written;
        self.version = self.version.max(facts.offset);
        self.learn(span, facts.name, facts.correlation);
        true
    }

    /// Takes back a span that was counted before, at `offset`, and is settled. Called in the order of offsets.
    pub(crate) fn restore(&mut self, facts: &SpanFacts<'_>) {
        if facts.offset >= self.since {
            return;
        }
        self.version = self.version.max(facts.offset);
        let stored = Span { marks: facts.span.marks | SETTLED, ..facts.span };
        match self.position(stored.id) {
            // What came since is a repeat.
            Some(at) => self.spans[at] = stored,
            None => self.push(stored),
        }
        self.learn(&stored, facts.name, facts.correlation);
    }

    /// Everything stored was restored.
    pub(crate) fn restored(&mut self) {
        self.base = Base::Here;
        self.unsettled = self.spans.iter().any(|span| span.marks & SETTLED == 0);
    }

    /// Adds the row that was stored before; the spans it counts are not looked at again.
    pub(crate) fn add_base(&mut self, row: Option<&TraceRow>, names: &mut Names) {
        self.base = Base::Here;
        let Some(row) = row else { return };
        // What was replayed for the edges alone is in the row's counts.
        self.spans.retain(|span| span.marks & WRITTEN == 0);
        self.index = None;
        self.reindex();
        self.version = self.version.max(row.version);
        let beyond = self.beyond.get_or_insert_with(Beyond::nothing);
        beyond.spans += row.span_count;
        beyond.errors += row.error_count;
        beyond.start = beyond.start.min(row.raw_start.0);
        beyond.end = beyond.end.max(row.raw_start.0.saturating_add(row.raw_duration_ns));
        row.services.iter().for_each(|service| beyond.add_service(&Arc::from(service.as_str())));
        if let (Some(service), Some(name)) = (&row.root_service, &row.root_name) {
            let root =
                Root { service: names.number(service), name: name.as_str().into(), start: row.raw_start.0, id: 0 };
            self.take_root(root);
        }
        row.correlation_ids.iter().for_each(|value| self.correlate(value));
    }

    /// What is stored of it is not known: it goes on with the spans that are here, as truncated.
    pub(crate) fn go_on_without_base(&mut self) {
        self.base = Base::Here;
        self.beyond.get_or_insert_with(Beyond::nothing);
    }

    /// The edges reflect all spans.
    pub(crate) fn settle(&mut self) {
        self.spans.iter_mut().for_each(|span| span.marks |= SETTLED);
        self.unsettled = false;
    }

    fn position(&self, id: u64) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&id).map(|at| *at as usize),
            None => self.spans.iter().position(|span| span.id == id),
        }
    }

    fn push(&mut self, span: Span) {
        if self.spans.len() == self.spans.capacity() {
            // Less slack than doubling: these vectors are most of the stitcher's memory.
            self.spans.reserve_exact(4 + self.spans.len() / 2);
        }
        if let Some(index) = &mut self.index {
            index.insert(span.id, self.spans.len() as u32);
        }
        self.spans.push(span);
        self.reindex();
    }

    fn reindex(&mut self) {
        if self.index.is_none() && self.spans.len() > LINEAR_SPANS {
            self.index = Some(Box::new((0..).zip(&self.spans).map(|(at, span)| (span.id, at)).collect()));
        }
    }

    fn count_beyond(&mut self, span: &Span, names: &Names) {
        let beyond = self.beyond.get_or_insert_with(Beyond::nothing);
        beyond.spans += 1;
        beyond.errors += u64::from(span.is_error());
        beyond.start = beyond.start.min(span.start);
        beyond.end = beyond.end.max(span.start.saturating_add(span.duration));
        beyond.add_service(names.name(span.service));
    }

    fn learn(&mut self, span: &Span, name: &str, correlation: Option<&str>) {
        if span.parent == 0 && self.root.as_ref().is_none_or(|root| (span.start, span.id) < (root.start, root.id)) {
            self.take_root(Root { service: span.service, name: name.into(), start: span.start, id: span.id });
        }
        if let Some(value) = correlation {
            self.correlate(value);
        }
    }

    fn take_root(&mut self, root: Root) {
        if self.root.as_ref().is_none_or(|known| (root.start, root.id) < (known.start, known.id)) {
            self.root = Some(root);
        }
    }

    /// Keeps the first few in the order of their text, so that it does not matter which came first.
    fn correlate(&mut self, value: &str) {
        if let Err(at) = self.correlations.binary_search_by(|known| (**known).cmp(value))
            && at < MAX_CORRELATIONS
        {
            self.correlations.truncate(MAX_CORRELATIONS - 1);
            self.correlations.insert(at, value.into());
        }
    }

    /// The row of this trace; `analysis` is that of its spans, `through` is the newest offset applied.
    pub(crate) fn row(&self, trace_id: TraceId, analysis: &Analysis, names: &Names, through: LogOffset) -> TraceRow {
        let beyond = self.beyond.as_deref();
        let of_spans = (self.spans.len() as u64, self.spans.iter().filter(|span| span.is_error()).count() as u64);
        let counted = beyond.map_or((0, 0), |beyond| (beyond.spans, beyond.errors));
        let raw = extent(self.spans.iter().map(|span| (span.start, span.start.saturating_add(span.duration))), beyond);
        let corrected = extent((0..analysis.spans().len()).map(|at| analysis.interval(at)), beyond);
        let (services, by_service) = self.services(analysis, names);
        TraceRow {
            trace_id,
            root_service: self.root.as_ref().map(|root| names.name(root.service).to_string()),
            root_name: self.root.as_ref().map(|root| root.name.to_string()),
            start: UnixNanos(corrected.0),
            duration_ns: corrected.1.saturating_sub(corrected.0),
            span_count: of_spans.0 + counted.0,
            error_count: of_spans.1 + counted.1,
            services,
            correlation_ids: self.correlations.iter().map(|value| value.to_string()).collect(),
            state: self.state(analysis).into(),
            raw_start: UnixNanos(raw.0),
            raw_duration_ns: raw.1.saturating_sub(raw.0),
            clock_offset_ns: Some(analysis.largest_offset_ns()).filter(|offset| *offset != 0),
            analysed_spans: of_spans.0,
            by_service,
            version: self.version,
            log_offset: through,
        }
    }

    fn services(&self, analysis: &Analysis, names: &Names) -> (Vec<String>, Vec<ServiceFigures>) {
        let mut services: Vec<(&str, ServiceFigures)> = Vec::with_capacity(analysis.services().len());
        for times in analysis.services() {
            let figures = ServiceFigures {
                self_ns: times.self_ns,
                critical_ns: times.critical_ns,
                clock_offset_ns: times.offset_ns,
            };
            services.push((&**names.name(times.service), figures));
        }
        for name in self.beyond.iter().flat_map(|beyond| &beyond.services) {
            if !services.iter().any(|(known, _)| **known == **name) {
                services.push((&**name, ServiceFigures::default()));
            }
        }
        services.sort_unstable_by_key(|(name, _)| *name);
        services.truncate(MAX_SERVICES);
        services.into_iter().map(|(name, figures)| (name.to_owned(), figures)).unzip()
    }

    /// The worst thing known about the trace.
    fn state(&self, analysis: &Analysis) -> &'static str {
        if self.beyond.is_some() {
            TRUNCATED
        } else if self.root.is_none() {
            "missing_root"
        } else if analysis.orphans() > 0 {
            "missing_parents"
        } else if analysis.is_skewed() || starts_before_root(analysis) {
            "clock_skewed"
        } else {
            "complete"
        }
    }
}

impl Beyond {
    fn nothing() -> Box<Beyond> {
        Box::new(Beyond { spans: 0, errors: 0, start: u64::MAX, end: 0, services: Vec::new() })
    }

    fn add_service(&mut self, name: &Arc<str>) {
        if self.services.len() < MAX_SERVICES && !self.services.contains(name) {
            self.services.push(Arc::clone(name));
        }
    }
}

/// On the root's own clock, which no correction can mend.
fn starts_before_root(analysis: &Analysis) -> bool {
    let root = analysis.root().map(|root| analysis.interval(root).0);
    root.is_some_and(|root| analysis.extent().is_some_and(|extent| extent.0 < root))
}

fn extent(spans: impl Iterator<Item = (u64, u64)>, beyond: Option<&Beyond>) -> (u64, u64) {
    let beyond = beyond.map(|beyond| (beyond.start, beyond.end));
    spans.chain(beyond).fold((u64::MAX, 0), |all, (start, end)| (all.0.min(start), all.1.max(end)))
}
