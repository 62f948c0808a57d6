//! What is known of one trace: the summary that becomes its row, and what is needed to count each span once.

use std::sync::Arc;

use daymark_model::{LogOffset, SpanId, TraceId, UnixNanos};

use crate::columns::TraceRow;
use crate::keyed::IdMap;

/// Caps of the lists inside a trace's summary; further entries are left out of the row.
const MAX_SERVICES: usize = 64;
const MAX_CORRELATIONS: usize = 16;
const MAX_ORPHANS: usize = 64;
/// Up to here the span ids of a trace are searched one by one, beyond by a map.
const LINEAR_SPANS: usize = 24;

/// A span as the stitcher sees it.
pub(crate) struct SpanFacts<'a> {
    pub(crate) offset: LogOffset,
    pub(crate) span_id: SpanId,
    pub(crate) parent: Option<SpanId>,
    pub(crate) start: UnixNanos,
    pub(crate) end: UnixNanos,
    pub(crate) error: bool,
    pub(crate) service: &'a Arc<str>,
    pub(crate) name: &'a str,
    pub(crate) correlation: Option<&'a str>,
}

/// The root span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) service: Arc<str>,
    pub(crate) name: Box<str>,
    pub(crate) start: UnixNanos,
}

/// Whether the stored summary of an older part of the trace must be added first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// Everything is here.
    Here,
    /// A row of this trace may be in the store; until it is added, this summary must not be shown.
    Wanted,
}

/// Running summary of one trace.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) base: Base,
    /// Spans were counted since the last emission.
    pub(crate) dirty: bool,
    /// Waits to become idle: in the stitcher's queue, span ids at hand.
    pub(crate) open: bool,
    /// Milliseconds of the collector's clock when the last span came, and when the trace was opened.
    pub(crate) touched_ms: u64,
    pub(crate) opened_ms: u64,
    /// Newest offset counted.
    pub(crate) version: LogOffset,
    start: UnixNanos,
    end: UnixNanos,
    span_count: u64,
    error_count: u64,
    root: Option<Root>,
    services: Vec<Arc<str>>,
    correlations: Vec<Box<str>>,
    spans: Vec<(SpanId, Option<SpanId>)>,
    index: Option<Box<IdMap<SpanId, ()>>>,
    /// Parents not seen when the span ids were forgotten.
    orphans: Vec<SpanId>,
    /// Span ids were forgotten: a parent that is not among the remembered ones may be there.
    forgot: bool,
}

impl Trace {
    pub(crate) fn new(base: Base, now_ms: u64) -> Trace {
        Trace {
            base,
            dirty: false,
            open: false,
            touched_ms: now_ms,
            opened_ms: now_ms,
            version: LogOffset(0),
            start: UnixNanos(u64::MAX),
            end: UnixNanos(0),
            span_count: 0,
            error_count: 0,
            root: None,
            services: Vec::new(),
            correlations: Vec::new(),
            spans: Vec::new(),
            index: None,
            orphans: Vec::new(),
            forgot: base == Base::Wanted,
        }
    }

    /// Counts a span unless it was counted before; says whether it was counted.
    pub(crate) fn count(&mut self, span: &SpanFacts<'_>, max_spans: usize) -> bool {
        if !self.remember(span.span_id, span.parent, max_spans) {
            return false;
        }
        self.dirty = true;
        self.version = self.version.max(span.offset);
        self.start = self.start.min(span.start);
        self.end = self.end.max(span.end);
        self.span_count += 1;
        self.error_count += u64::from(span.error);
        if span.parent.is_none() && self.root.as_ref().is_none_or(|root| span.start < root.start) {
            self.root = Some(Root { service: Arc::clone(span.service), name: span.name.into(), start: span.start });
        }
        if self.services.len() < MAX_SERVICES && !self.services.iter().any(|known| known == span.service) {
            self.services.push(Arc::clone(span.service));
        }
        if let Some(value) = span.correlation {
            self.correlate(value);
        }
        true
    }

    fn correlate(&mut self, value: &str) {
        if self.correlations.len() < MAX_CORRELATIONS && !self.correlations.iter().any(|known| &**known == value) {
            self.correlations.push(value.into());
        }
    }

    /// False when the span id is known.
    fn remember(&mut self, id: SpanId, parent: Option<SpanId>, max_spans: usize) -> bool {
        if let Some(index) = &mut self.index {
            if index.len() < max_spans {
                if index.insert(id, ()).is_some() {
                    return false;
                }
            } else if index.contains_key(&id) {
                return false;
            }
        } else if self.spans.iter().any(|(known, _)| *known == id) {
            return false;
        }
        if self.spans.len() < max_spans {
            self.spans.push((id, parent));
        } else {
            self.forgot = true;
        }
        if self.index.is_none() && self.spans.len() > LINEAR_SPANS {
            self.index = Some(Box::new(self.spans.iter().map(|(id, _)| (*id, ())).collect()));
        }
        true
    }

    fn knows(&self, id: SpanId) -> bool {
        match &self.index {
            Some(index) => index.contains_key(&id),
            None => self.spans.iter().any(|(known, _)| *known == id),
        }
    }

    /// Parents named by spans and not seen. Once ids were forgotten, an unseen parent may be among them and is trusted.
    fn missing_parents(&self) -> Vec<SpanId> {
        let still_orphans = self.orphans.iter().filter(|id| !self.knows(**id)).copied();
        let named = self.spans.iter().filter_map(|(_, parent)| *parent);
        let fresh = named.filter(|id| !self.forgot && !self.knows(*id));
        still_orphans.chain(fresh).take(MAX_ORPHANS).collect()
    }

    /// Frees the span ids of an idle trace; the summary stays for late spans.
    pub(crate) fn forget_spans(&mut self) {
        self.orphans = self.missing_parents();
        self.forgot = true;
        self.spans = Vec::new();
        self.index = None;
    }

    /// Adds the summary that was stored before; `self` holds only what came after.
    pub(crate) fn add_base(&mut self, row: Option<&TraceRow>) {
        self.base = Base::Here;
        let Some(row) = row else { return };
        self.version = self.version.max(row.version);
        self.start = self.start.min(row.start);
        self.end = self.end.max(row.start.plus(row.duration_ns));
        self.span_count += row.span_count;
        self.error_count += row.error_count;
        if let (Some(service), Some(name)) = (&row.root_service, &row.root_name)
            && self.root.as_ref().is_none_or(|root| row.start < root.start)
        {
            self.root = Some(Root { service: service.as_str().into(), name: name.as_str().into(), start: row.start });
        }
        for service in &row.services {
            if self.services.len() < MAX_SERVICES && !self.services.iter().any(|known| **known == **service) {
                self.services.push(service.as_str().into());
            }
        }
        row.correlation_ids.iter().for_each(|value| self.correlate(value));
    }

    /// The row of this trace as it stands; `through` is the newest offset applied.
    pub(crate) fn row(&self, trace_id: TraceId, through: LogOffset) -> TraceRow {
        let mut services: Vec<String> = self.services.iter().map(|s| s.to_string()).collect();
        services.sort_unstable();
        let mut correlation_ids: Vec<String> = self.correlations.iter().map(|c| c.to_string()).collect();
        correlation_ids.sort_unstable();
        TraceRow {
            trace_id,
            root_service: self.root.as_ref().map(|root| root.service.to_string()),
            root_name: self.root.as_ref().map(|root| root.name.to_string()),
            start: self.start,
            duration_ns: self.end.0.saturating_sub(self.start.0),
            span_count: self.span_count,
            error_count: self.error_count,
            services,
            correlation_ids,
            state: self.state().into(),
            version: self.version,
            log_offset: through,
        }
    }

    /// The worst thing known about the trace.
    fn state(&self) -> &'static str {
        let Some(root) = &self.root else { return "missing_root" };
        if !self.missing_parents().is_empty() {
            "missing_parents"
        } else if self.start < root.start {
            // A span that starts before the root was timed by another clock.
            "clock_skewed"
        } else {
            "complete"
        }
    }
}
