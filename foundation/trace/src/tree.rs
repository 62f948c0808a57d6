//! [`Tree`]: the spans of a trace by parent, cycles cut.

use crate::Span;

/// No span.
pub(crate) const NONE: u32 = u32::MAX;

/// Parents and children by position in the list of spans, which is sorted by id: the shape of a tree must not depend on
/// times, which clocks may have wrong.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) parent: Vec<u32>,
    /// Parents before their children, tree by tree, the first root's first.
    pub(crate) order: Vec<u32>,
    /// Spans that name a parent which is not there.
    pub(crate) orphans: usize,
    first_child: Vec<u32>,
    children: Vec<u32>,
    placed: Vec<u8>,
}

const NEW: u8 = 0;
const WALKED: u8 = 1;
const PLACED: u8 = 2;

impl Tree {
    /// Builds the tree of `spans`, sorted by id.
    pub(crate) fn build(&mut self, spans: &[Span]) {
        self.parent.clear();
        self.orphans = 0;
        for span in spans {
            let none = span.parent == 0 || span.parent == span.id;
            let found = if none { Some(NONE) } else { find(spans, span.parent) };
            self.orphans += usize::from(found.is_none());
            self.parent.push(found.unwrap_or(NONE));
        }
        self.list_children();
        self.order.clear();
        self.placed.clear();
        self.placed.resize(spans.len(), NEW);
        // The first root leads, or else the first of the other tops: orphans and self-parents.
        let tops = (0..spans.len()).filter(|at| self.parent[*at] == NONE);
        let lead = tops.min_by_key(|at| (spans[*at].parent != 0, spans[*at].start, *at));
        lead.into_iter().for_each(|lead| self.place(lead as u32));
        for top in (0..spans.len()).filter(|at| Some(*at) != lead) {
            if self.parent[top] == NONE {
                self.place(top as u32);
            }
        }
        if self.order.len() < spans.len() {
            self.cut_cycles();
        }
    }

    fn list_children(&mut self) {
        let count = self.parent.len();
        self.first_child.clear();
        self.first_child.resize(count + 2, 0);
        for &parent in self.parent.iter().filter(|parent| **parent != NONE) {
            self.first_child[parent as usize + 2] += 1;
        }
        for at in 2..self.first_child.len() {
            self.first_child[at] += self.first_child[at - 1];
        }
        self.children.clear();
        self.children.resize(self.first_child[count + 1] as usize, NONE);
        // Counting sort: `first_child[p + 1]` moves from the first to the end of the children of `p`.
        for (at, &parent) in (0..).zip(&self.parent) {
            if parent != NONE {
                let slot = &mut self.first_child[parent as usize + 1];
                self.children[*slot as usize] = at;
                *slot += 1;
            }
        }
    }

    /// The children of a span by id.
    pub(crate) fn children(&self, at: usize) -> impl Iterator<Item = usize> {
        let listed = &self.children[self.first_child[at] as usize..self.first_child[at + 1] as usize];
        listed.iter().filter(|child| **child != NONE).map(|child| *child as usize)
    }

    /// Takes the tree below `top` into the order.
    fn place(&mut self, top: u32) {
        let mut next = self.order.len();
        self.order.push(top);
        self.placed[top as usize] = PLACED;
        while let Some(&at) = self.order.get(next) {
            next += 1;
            for child in self.first_child[at as usize]..self.first_child[at as usize + 1] {
                let child = self.children[child as usize];
                if child != NONE {
                    self.placed[child as usize] = PLACED;
                    self.order.push(child);
                }
            }
        }
    }

    /// Every tree that is left hangs from one cycle: it is cut above the smallest id in it.
    fn cut_cycles(&mut self) {
        for from in 0..self.parent.len() {
            if self.placed[from] != NEW {
                continue;
            }
            let mut at = from;
            while self.placed[at] == NEW {
                self.placed[at] = WALKED;
                at = self.parent[at] as usize;
            }
            let mut first = at;
            let mut along = self.parent[at] as usize;
            while along != at {
                first = first.min(along);
                along = self.parent[along] as usize;
            }
            let above = self.parent[first] as usize;
            self.parent[first] = NONE;
            self.unlist(above, first as u32);
            self.place(first as u32);
        }
    }

    /// Takes `child` out of the children of `parent`.
    fn unlist(&mut self, parent: usize, child: u32) {
        let (start, end) = (self.first_child[parent] as usize, self.first_child[parent + 1] as usize);
        let listed = &mut self.children[start..end];
        if let Some(at) = listed.iter().position(|known| *known == child) {
            listed[at] = NONE;
        }
    }
}

/// The first span of that id.
fn find(spans: &[Span], id: u64) -> Option<u32> {
    let at = spans.partition_point(|span| span.id < id);
    spans.get(at).filter(|span| span.id == id).map(|_| at as u32)
}
