//! Self time and critical path.
//!
//! Self time of a span: its duration less the union of its children, clipped to it. Critical path of a trace: walk back
//! from the end of the root; the child that finished last is what the span waited for, before it the child that finished
//! last before that one started, and so on down (as in Jaeger and CRISP). A child that outlives its parent counts up to
//! the parent's end, one outside of it not at all. The parts of the path add up to the root's duration exactly.

use crate::tree::Tree;

/// Start and end.
type Interval = (i64, i64);

/// Times of the spans of one trace that are their own, and on the critical path.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) self_ns: Vec<u64>,
    pub(crate) critical_ns: Vec<u64>,
    /// What of a span the path may run through; empty intervals (end before start) are off the path.
    windows: Vec<Interval>,
    children: Vec<(Interval, u32)>,
}

const OFF: Interval = (1, 0);

impl Times {
    /// `intervals` are the spans' corrected times.
    pub(crate) fn measure(&mut self, tree: &Tree, intervals: &[Interval]) {
        let count = intervals.len();
        for column in [&mut self.self_ns, &mut self.critical_ns] {
            column.clear();
            column.resize(count, 0);
        }
        self.windows.clear();
        self.windows.resize(count, OFF);
        if let Some(&root) = tree.order.first() {
            self.windows[root as usize] = intervals[root as usize];
        }
        for &at in &tree.order {
            self.own(tree, intervals, at as usize);
            if self.windows[at as usize] != OFF {
                self.walk_back(tree, intervals, at as usize);
            }
        }
    }

    fn own(&mut self, tree: &Tree, intervals: &[Interval], at: usize) {
        let (start, end) = intervals[at];
        self.children.clear();
        self.children.extend(clipped(tree, intervals, at, (start, end)));
        self.children.sort_unstable();
        let (mut covered, mut until) = (0, start);
        for &((from, to), _) in &self.children {
            if to > until {
                covered += to - from.max(until);
                until = to;
            }
        }
        self.self_ns[at] = (end - start - covered) as u64;
    }

    fn walk_back(&mut self, tree: &Tree, intervals: &[Interval], at: usize) {
        let window = self.windows[at];
        self.children.clear();
        self.children.extend(clipped(tree, intervals, at, window));
        self.children.sort_unstable_by_key(|&((start, end), child)| std::cmp::Reverse((end, start, child)));
        let (mut until, mut own) = (window.1, 0);
        for &((start, end), child) in &self.children {
            if end <= until {
                own += until - end;
                until = start;
                self.windows[child as usize] = (start, end);
            }
        }
        self.critical_ns[at] = (own + until - window.0) as u64;
    }
}

/// Children with the part of them that lies in `window`.
fn clipped(tree: &Tree, intervals: &[Interval], at: usize, window: Interval) -> impl Iterator<Item = (Interval, u32)> {
    tree.children(at).filter_map(move |child| {
        let (start, end) = (intervals[child].0.max(window.0), intervals[child].1.min(window.1));
        (start <= end).then_some(((start, end), child as u32))
    })
}
