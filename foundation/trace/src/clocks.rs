//! Clock-skew correction, bounded by the parent: one offset for each clock of a trace.
//!
//! The clock of the first root is taken as right. A span on another clock than its parent bounds the offset between
//! the two: it starts no earlier than its parent (always), and, for a synchronous call, ends no later (when it is not
//! longer; a caller that failed may have given up, so then it only has to start before the caller's end). All bounds
//! between a clock and those before it are taken together. An offset of zero that is within them stays zero: no
//! correction without need. Otherwise a call that must fit is put in the middle of its room, anything else is moved no
//! further than to the nearest bound. When bounds contradict each other, those of starts alone decide; when these do,
//! too, nothing is moved and the contradiction is reported.
//!
//! Invariants: spans of one clock keep their distances, durations never change, a second correction changes nothing.

use crate::tree::{NONE, Tree};
use crate::{Kind, Span};

/// Resource attributes that name the clock of a span, most telling first: what runs on one machine has one clock.
/// Without any of them the service stands for it.
pub const CLOCK_KEYS: [&str; 4] = ["k8s.node.name", "host.id", "host.name", "service.instance.id"];

/// The number of a clock: a hash of its name. Two that fall together (1 in 65,536) are not corrected to each other.
pub fn clock_of(name: &str) -> u16 {
    // FNV-1a, folded: stable, so that stored and live spans agree; a sender gains nothing from collisions.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash ^ (hash >> 16) ^ (hash >> 32) ^ (hash >> 48)) as u16
}

/// Up to so many clocks they are searched one by one.
const LINEAR: usize = 16;
const ALL_CLOCKS: usize = 1 << 16;

/// What bounds the offset of one clock.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// From starts: no span starts before its parent.
    start: (i64, i64),
    /// From ends of synchronous calls.
    end: (i64, i64),
    /// A call that must fit gives the room; otherwise the nearest bound is taken.
    centred: bool,
}

const FREE: (i64, i64) = (i64::MIN, i64::MAX);

impl Bounds {
    const NONE: Bounds = Bounds { start: FREE, end: FREE, centred: false };

    fn offset(&self) -> i64 {
        let (low, high) = (self.start.0.max(self.end.0), self.start.1.min(self.end.1));
        if low > high {
            return nearest(self.start);
        }
        let between = self.centred && low != i64::MIN && high != i64::MAX;
        if between && !(low..=high).contains(&0) {
            low.saturating_add(high.saturating_sub(low) / 2)
        } else {
            nearest((low, high))
        }
    }
}

/// The offset within bounds that is nearest to none; none when they contradict each other.
fn nearest((low, high): (i64, i64)) -> i64 {
    if low > high { 0 } else { 0_i64.clamp(low, high) }
}

/// Offsets of the clocks of one trace.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    /// For each span the place of its clock in `known`.
    of_span: Vec<u32>,
    /// Clocks in the order in which they are met.
    known: Vec<u16>,
    offsets: Vec<i64>,
    /// Pairs of parent and child on different clocks, by the clock that was met later.
    crossings: Vec<(u32, u32, u32)>,
    places: Vec<u32>,
    /// A span still starts before its parent.
    pub(crate) contradicted: bool,
}

impl Clocks {
    /// Finds the offset of every clock.
    pub(crate) fn correct(&mut self, spans: &[Span], tree: &Tree) {
        self.contradicted = false;
        self.meet(spans, tree);
        self.offsets.clear();
        self.offsets.resize(self.known.len(), 0);
        if self.known.len() < 2 {
            return;
        }
        self.cross(tree);
        let mut next = 0;
        while let Some(&(clock, ..)) = self.crossings.get(next) {
            let mut bounds = Bounds::NONE;
            while let Some(&(_, parent, child)) = self.crossings.get(next).filter(|crossing| crossing.0 == clock) {
                self.bound(&mut bounds, clock, (parent, &spans[parent as usize]), (child, &spans[child as usize]));
                next += 1;
            }
            self.offsets[clock as usize] = bounds.offset();
        }
        let early = |&(_, parent, child): &(u32, u32, u32)| {
            let start = |at: u32| spans[at as usize].start_ns().saturating_add(self.offset(at as usize));
            start(child) < start(parent)
        };
        self.contradicted = self.crossings.iter().any(early);
    }

    /// Correction of a span, nanoseconds to add to its times.
    pub(crate) fn offset(&self, span: usize) -> i64 {
        self.offsets[self.of_span[span] as usize]
    }

    /// The correction that is furthest from none.
    pub(crate) fn largest(&self) -> i64 {
        self.offsets.iter().copied().max_by_key(|offset| offset.unsigned_abs()).unwrap_or(0)
    }

    fn meet(&mut self, spans: &[Span], tree: &Tree) {
        for clock in self.known.drain(..) {
            if let Some(place) = self.places.get_mut(usize::from(clock)) {
                *place = NONE;
            }
        }
        self.of_span.clear();
        self.of_span.resize(spans.len(), NONE);
        for &at in &tree.order {
            let clock = spans[at as usize].clock;
            self.of_span[at as usize] = self.place(clock);
        }
    }

    fn place(&mut self, clock: u16) -> u32 {
        let known = match self.places.get(usize::from(clock)) {
            Some(place) => Some(*place).filter(|place| *place != NONE),
            None => self.known.iter().position(|known| *known == clock).map(|place| place as u32),
        };
        known.unwrap_or_else(|| {
            let place = self.known.len() as u32;
            self.known.push(clock);
            if self.known.len() > LINEAR && self.places.is_empty() {
                self.places.resize(ALL_CLOCKS, NONE);
                for (place, known) in (0..).zip(&self.known) {
                    self.places[usize::from(*known)] = place;
                }
            } else if let Some(slot) = self.places.get_mut(usize::from(clock)) {
                *slot = place;
            }
            place
        })
    }

    fn cross(&mut self, tree: &Tree) {
        self.crossings.clear();
        for &child in &tree.order {
            let parent = tree.parent[child as usize];
            if parent == NONE {
                continue;
            }
            let clocks = (self.of_span[parent as usize], self.of_span[child as usize]);
            if clocks.0 != clocks.1 {
                self.crossings.push((clocks.0.max(clocks.1), parent, child));
            }
        }
        self.crossings.sort_unstable();
    }

    /// Narrows the offset of `clock`, which timed one of the two; the other's clock is settled.
    fn bound(&self, bounds: &mut Bounds, clock: u32, parent: (u32, &Span), child: (u32, &Span)) {
        let moves_child = self.of_span[child.0 as usize] == clock;
        let settled = self.offset(if moves_child { parent.0 } else { child.0 } as usize);
        let (parent, child) = (parent.1, child.1);
        let end = |span: &Span| span.start_ns() + span.duration_ns();
        let starts = parent.start_ns() - child.start_ns();
        let synchronous = parent.kind != Kind::Producer && child.kind != Kind::Consumer;
        let fits = child.duration_ns() <= parent.duration_ns() && !parent.is_error();
        let ends = match (synchronous, fits) {
            (false, _) => None,
            (true, true) => Some(end(parent) - end(child)),
            (true, false) => Some(end(parent) - child.start_ns()),
        };
        if moves_child {
            bounds.start.0 = bounds.start.0.max(starts.saturating_add(settled));
        } else {
            bounds.start.1 = bounds.start.1.min(settled.saturating_sub(starts));
        }
        let Some(ends) = ends else { return };
        let (side, tighter) = if moves_child {
            let limit = ends.saturating_add(settled);
            let tighter = limit < bounds.end.1;
            (&mut bounds.end.1, tighter.then_some(limit))
        } else {
            let limit = settled.saturating_sub(ends);
            let tighter = limit > bounds.end.0;
            (&mut bounds.end.0, tighter.then_some(limit))
        };
        if let Some(limit) = tighter {
            *side = limit;
            bounds.centred = synchronous && fits;
        }
    }
}
