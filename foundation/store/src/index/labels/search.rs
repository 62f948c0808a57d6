//! Look-ups in label postings.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::rows::runs;
use super::{Label, LabelIndex, RowSet, Scope};
use crate::series::{LabelTest, LabelValues};

impl LabelIndex {
    /// Rows whose column is `value`.
    pub(crate) fn with_column(&self, column: &str, value: &str) -> RowSet {
        let mut rows = RowSet::none(self.rows);
        if let Some(label) = self.label(Scope::Column, column) {
            self.add_literal(label, value, &mut rows);
        }
        rows
    }

    /// Rows for which `test` holds: of the attribute, or of the resource's where the row has no such attribute; a row
    /// that has neither has the empty text.
    pub(crate) fn matching(&self, test: &LabelTest) -> RowSet {
        let [own, of_resource] = [Scope::Attribute, Scope::Resource].map(|scope| self.label(scope, test.key()));
        let mut rows = own.map_or_else(|| RowSet::none(self.rows), |label| self.accepted(label, test));
        let has_own = own.map(|label| self.having(label));
        if let Some(label) = of_resource {
            let mut accepted = self.accepted(label, test);
            has_own.iter().for_each(|has_own| accepted.and_not(has_own));
            rows.or(&accepted);
        }
        if test.accepts_text("") {
            let mut neither = RowSet::all(self.rows);
            has_own.iter().for_each(|has_own| neither.and_not(has_own));
            of_resource.iter().for_each(|label| neither.and_not(&self.having(label)));
            rows.or(&neither);
        }
        if test.is_negated() {
            let mut others = RowSet::all(self.rows);
            others.and_not(&rows);
            return others;
        }
        rows
    }

    /// Adds the attributes, or `only` one, that any of `rows` has, with their values.
    pub(crate) fn add_labels(&self, rows: &RowSet, only: Option<&str>, found: &mut LabelValues) {
        let is_wanted = |label: &&Label| label.scope != Scope::Column && only.is_none_or(|only| *only == *label.name);
        for label in self.labels.iter().filter(is_wanted) {
            let mut values = found.remove(&*label.name).unwrap_or_default();
            for at in label.values.clone() {
                let (value, postings) = self.value(at);
                if !values.contains(value) && runs(postings).any(|run| rows.has_any(&run)) {
                    values.insert(value.to_owned());
                }
            }
            if !values.is_empty() {
                found.insert(label.name.to_string(), values);
            }
        }
    }

    /// The first thing that `other` says otherwise about the same rows.
    pub(crate) fn disagreement(&self, other: &LabelIndex) -> Option<String> {
        let names = |index: &LabelIndex| -> BTreeSet<(Scope, String)> {
            index.labels.iter().map(|label| (label.scope, label.name.to_string())).collect()
        };
        if let Some((_, name)) = names(self).symmetric_difference(&names(other)).next() {
            return Some(format!("its labels are not those of the rows, from {name:?} on"));
        }
        let values = |index: &LabelIndex, label: &Label| -> Vec<(String, Vec<u8>)> {
            label
                .values
                .clone()
                .map(|at| index.value(at))
                .map(|(text, rows)| (text.to_owned(), rows.to_owned()))
                .collect()
        };
        for (label, theirs) in self.labels.iter().zip(&other.labels) {
            let (name, ours, theirs) = (&label.name, values(self, label), values(other, theirs));
            if let Some(((value, _), _)) = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs) {
                return Some(format!("values of {name:?} are on other rows, from {value:?} on"));
            }
            if ours.len() != theirs.len() {
                return Some(format!("{} values of {name:?}, not {}", theirs.len(), ours.len()));
            }
        }
        None
    }

    fn label(&self, scope: Scope, name: &str) -> Option<&Label> {
        let at = self.labels.binary_search_by(|label| (label.scope, &*label.name).cmp(&(scope, name))).ok()?;
        self.labels.get(at)
    }

    fn add_literal(&self, label: &Label, value: &str, rows: &mut RowSet) {
        let values = label.values.clone();
        let (mut low, mut high) = (values.start, values.end);
        while low < high {
            let middle = low.midpoint(high);
            match self.value(middle).0.cmp(value) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => {
                    runs(self.value(middle).1).for_each(|run| rows.insert(run));
                    return;
                }
            }
        }
    }

    /// Rows that have `label` with a value that `test` accepts.
    fn accepted(&self, label: &Label, test: &LabelTest) -> RowSet {
        let mut rows = RowSet::none(self.rows);
        match test.literals() {
            Some(literals) => literals.for_each(|value| self.add_literal(label, value, &mut rows)),
            None => {
                for at in label.values.clone() {
                    let (value, postings) = self.value(at);
                    if test.accepts_text(value) {
                        runs(postings).for_each(|run| rows.insert(run));
                    }
                }
            }
        }
        rows
    }

    /// Rows that have `label`.
    fn having(&self, label: &Label) -> RowSet {
        let mut rows = RowSet::none(self.rows);
        label.values.clone().for_each(|at| runs(self.value(at).1).for_each(|run| rows.insert(run)));
        rows
    }
}
