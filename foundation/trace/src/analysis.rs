//! [`Analysis`]: everything known about one trace, in vectors that the next trace uses again.

use crate::Span;
use crate::clocks::Clocks;
use crate::path::Times;
use crate::tree::{NONE, Tree};

/// Times of one service in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceTimes {
    /// Number of the service.
    pub service: u16,
    /// Sum of the self times of its spans, nanoseconds.
    pub self_ns: u64,
    /// Its part of the critical path, nanoseconds.
    pub critical_ns: u64,
    /// The correction of its clocks that is furthest from none, nanoseconds.
    pub offset_ns: i64,
}

/// The analysis of one trace at a time.
#[derive(Debug, Default)]
pub struct Analysis {
    spans: Vec<Span>,
    tree: Tree,
    clocks: Clocks,
    intervals: Vec<(i64, i64)>,
    times: Times,
    services: Vec<ServiceTimes>,
}

impl Analysis {
    /// Looks at the spans of a trace, in any order. Ids should be unique: of equal ones, the first by start is the
    /// parent of the children of both.
    pub fn of(&mut self, spans: &[Span]) -> &Analysis {
        self.spans.clear();
        self.spans.extend_from_slice(spans);
        self.spans.sort_unstable_by_key(|span| (span.id, span.start));
        self.tree.build(&self.spans);
        self.clocks.correct(&self.spans, &self.tree);
        self.intervals.clear();
        for (at, span) in self.spans.iter().enumerate() {
            let start = span.start_ns().saturating_add(self.clocks.offset(at)).max(0);
            self.intervals.push((start, start.saturating_add(span.duration_ns())));
        }
        self.times.measure(&self.tree, &self.intervals);
        self.add_up();
        self
    }

    fn add_up(&mut self) {
        self.services.clear();
        for (at, span) in self.spans.iter().enumerate() {
            self.services.push(ServiceTimes {
                service: span.service,
                self_ns: self.times.self_ns[at],
                critical_ns: self.times.critical_ns[at],
                offset_ns: self.clocks.offset(at),
            });
        }
        self.services.sort_unstable_by_key(|times| times.service);
        self.services.dedup_by(|next, sum| {
            let same = next.service == sum.service;
            if same {
                sum.self_ns = sum.self_ns.saturating_add(next.self_ns);
                sum.critical_ns = sum.critical_ns.saturating_add(next.critical_ns);
                sum.offset_ns = [sum.offset_ns, next.offset_ns].into_iter().max_by_key(further).unwrap_or(0);
            }
            same
        });
    }

    /// The spans by id; positions below are places in this list.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Where the span of that id is.
    pub fn find(&self, id: u64) -> Option<usize> {
        self.spans.binary_search_by_key(&id, |span| span.id).ok()
    }

    /// The parent of a span; none for roots, orphans, self-parents, and where a cycle was cut.
    pub fn parent(&self, at: usize) -> Option<usize> {
        Some(self.tree.parent[at]).filter(|parent| *parent != NONE).map(|parent| parent as usize)
    }

    /// The earliest span without a parent.
    pub fn root(&self) -> Option<usize> {
        self.tree.order.first().map(|first| *first as usize).filter(|first| self.spans[*first].parent == 0)
    }

    /// Spans that name a parent which is not there.
    pub fn orphans(&self) -> usize {
        self.tree.orphans
    }

    /// Some clock was corrected, or spans contradict each other so that it cannot be.
    pub fn is_skewed(&self) -> bool {
        self.clocks.contradicted || self.largest_offset_ns() != 0
    }

    /// The correction that is furthest from none, nanoseconds.
    pub fn largest_offset_ns(&self) -> i64 {
        self.clocks.largest()
    }

    /// What was added to the times of a span, nanoseconds.
    pub fn offset_ns(&self, at: usize) -> i64 {
        self.clocks.offset(at)
    }

    /// Corrected start and end of a span, Unix nanoseconds.
    pub fn interval(&self, at: usize) -> (u64, u64) {
        let (start, end) = self.intervals[at];
        (start as u64, end as u64)
    }

    /// Corrected start of the first and end of the last span; none without spans.
    pub fn extent(&self) -> Option<(u64, u64)> {
        let start = self.intervals.iter().map(|interval| interval.0).min()?;
        let end = self.intervals.iter().map(|interval| interval.1).max()?;
        Some((start as u64, end as u64))
    }

    /// Duration of a span less the time in which its children ran, nanoseconds.
    pub fn self_ns(&self, at: usize) -> u64 {
        self.times.self_ns[at]
    }

    /// Part of the critical path that is the span's own, nanoseconds; 0 off the path. The path is that of the first
    /// root, or, in a trace without one, of the first span without a known parent.
    pub fn critical_ns(&self, at: usize) -> u64 {
        self.times.critical_ns[at]
    }

    /// Sums by service, in the order of their numbers.
    pub fn services(&self) -> &[ServiceTimes] {
        &self.services
    }
}

/// Order of corrections that does not depend on the order of spans.
fn further(offset_ns: &i64) -> (u64, i64) {
    (offset_ns.unsigned_abs(), *offset_ns)
}
