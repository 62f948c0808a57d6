//! Building the label postings of a segment, batch by batch.

use std::collections::HashMap;

use arrow::array::{AsArray, MapArray, RecordBatch, StringArray};

use super::rows::{RunWriter, put_varint};
use super::{
    LABELS_SECTION, LabelIndex, MAX_LABELS, MAX_TEXT_BYTES, ROWS_PER_PAGE, ROWS_SECTION, Scope, VALUES_SECTION,
};
use crate::StoreError;
use crate::index::build::WordHasher;
use crate::index::pack::pack;

/// Postings that grow row by row.
pub(crate) struct LabelBuilder {
    rows: u32,
    labels: Vec<Label>,
    /// Position of each label, by scope.
    names: [HashMap<Box<str>, usize, WordHasher>; 3],
    hasher: WordHasher,
    text_bytes: usize,
    /// Labels and values of the row at hand.
    row: Vec<(usize, u32)>,
    /// It would be larger than a reader takes: the segment gets none.
    is_too_large: bool,
}

struct Label {
    scope: Scope,
    name: Box<str>,
    values: HashMap<Box<str>, u32, WordHasher>,
    rows: Vec<RunWriter>,
    /// The last row that has it, counted from 1.
    last_row: u32,
}

impl Default for LabelBuilder {
    fn default() -> LabelBuilder {
        let hasher = WordHasher::new();
        LabelBuilder {
            rows: 0,
            labels: Vec::new(),
            names: std::array::from_fn(|_| HashMap::with_hasher(hasher.clone())),
            hasher,
            text_bytes: 0,
            row: Vec::new(),
            is_too_large: false,
        }
    }
}

impl LabelBuilder {
    /// The next rows of the table `series`.
    ///
    /// # Errors
    /// When a column is not there.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        let wrong = |name: &str| StoreError::WrongSchema { table: "series", reason: format!("no column {name}") };
        let mut columns: Vec<(&str, &StringArray)> = Vec::new();
        let mut maps: Vec<(Scope, Entries<'_>)> = Vec::new();
        for scope in Scope::ALL {
            for &name in scope.columns() {
                let column = batch.column_by_name(name).ok_or_else(|| wrong(name))?;
                match scope {
                    Scope::Column => columns.push((name, column.as_string_opt().ok_or_else(|| wrong(name))?)),
                    _ => {
                        let map = column.as_map_opt().and_then(Entries::of);
                        maps.push((scope, map.ok_or_else(|| wrong(name))?));
                    }
                }
            }
        }
        for row in 0..batch.num_rows() {
            if self.is_too_large || self.rows == u32::MAX {
                self.is_too_large = true;
                return Ok(());
            }
            for (name, column) in &columns {
                self.note(Scope::Column, name, column.value(row));
            }
            for (scope, map) in &maps {
                for (name, value) in map.of_row(row) {
                    self.note(*scope, name, value);
                }
            }
            self.end_row();
        }
        Ok(())
    }

    /// Notes a label of the row at hand. Of a name that occurs twice the last value counts, as for readers of rows.
    fn note(&mut self, scope: Scope, name: &str, value: &str) {
        let names = &mut self.names[scope as usize];
        let at = match names.get(name) {
            Some(&at) => at,
            None => {
                let (values, rows) = (HashMap::with_hasher(self.hasher.clone()), Vec::new());
                names.insert(name.into(), self.labels.len());
                self.text_bytes += name.len();
                self.labels.push(Label { scope, name: name.into(), values, rows, last_row: 0 });
                self.labels.len() - 1
            }
        };
        let label = &mut self.labels[at];
        let value = match label.values.get(value) {
            Some(&slot) => slot,
            None => {
                let slot = label.rows.len() as u32;
                self.text_bytes += value.len();
                label.values.insert(value.into(), slot);
                label.rows.push(RunWriter::default());
                slot
            }
        };
        let is_first = label.last_row != self.rows + 1;
        label.last_row = self.rows + 1;
        match self.row.iter_mut().find(|(label, _)| !is_first && *label == at) {
            Some(before) => before.1 = value,
            None => self.row.push((at, value)),
        }
        self.is_too_large |= self.text_bytes > MAX_TEXT_BYTES || self.labels.len() > MAX_LABELS;
    }

    fn end_row(&mut self) {
        for (label, value) in self.row.drain(..) {
            self.labels[label].rows[value as usize].push(self.rows);
        }
        self.rows += 1;
    }

    /// Packs it; `None` when it is larger than a reader takes: such a segment is scanned.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        if self.is_too_large {
            return None;
        }
        self.labels.sort_unstable_by(|a, b| (a.scope, &a.name).cmp(&(b.scope, &b.name)));
        let (mut labels, mut values, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let mut lists: HashMap<Vec<u8>, u64, WordHasher> = HashMap::with_hasher(self.hasher);
        put_varint(&mut labels, self.labels.len() as u64);
        for label in self.labels {
            // What a name that occurs twice in a row had first may be a value of no row.
            let mut postings: Vec<Vec<u8>> = label.rows.into_iter().map(RunWriter::finish).collect();
            let mut sorted: Vec<(Box<str>, u32)> = label.values.into_iter().collect();
            sorted.retain(|(_, slot)| !postings[*slot as usize].is_empty());
            sorted.sort_unstable();
            labels.push(label.scope as u8);
            put_text(&mut labels, &label.name);
            put_varint(&mut labels, sorted.len() as u64);
            let mut before: &str = "";
            for (value, slot) in &sorted {
                let runs = std::mem::take(&mut postings[*slot as usize]);
                let next = lists.len() as u64;
                let list = *lists.entry(runs).or_insert_with_key(|runs| {
                    put_varint(&mut rows, runs.len() as u64);
                    rows.extend(runs);
                    next
                });
                let shared = before.bytes().zip(value.bytes()).take_while(|(a, b)| a == b).count();
                put_varint(&mut values, shared as u64);
                put_varint(&mut values, (value.len() - shared) as u64);
                values.extend(&value.as_bytes()[shared..]);
                put_varint(&mut values, list);
                before = value;
            }
        }
        let sections = [(LABELS_SECTION, labels), (VALUES_SECTION, values), (ROWS_SECTION, rows)];
        let packed = pack(u64::from(self.rows), ROWS_PER_PAGE, &sections.map(|(name, bytes)| (name.to_owned(), bytes)));
        (packed.len() as u64 <= LabelIndex::MAX_FILE_BYTES).then_some(packed)
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_varint(bytes, text.len() as u64);
    bytes.extend(text.as_bytes());
}

/// Keys and values of a map column.
struct Entries<'b> {
    offsets: &'b [i32],
    keys: &'b StringArray,
    values: &'b StringArray,
}

impl<'b> Entries<'b> {
    fn of(map: &'b MapArray) -> Option<Entries<'b>> {
        let (keys, values) = (map.keys().as_string_opt()?, map.values().as_string_opt()?);
        Some(Entries { offsets: map.value_offsets(), keys, values })
    }

    fn of_row(&self, row: usize) -> impl Iterator<Item = (&'b str, &'b str)> {
        let (keys, values) = (self.keys, self.values);
        (self.offsets[row] as usize..self.offsets[row + 1] as usize).map(|at| (keys.value(at), values.value(at)))
    }
}
