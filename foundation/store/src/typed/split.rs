//! Takes frequent attributes out of the map, into columns of their own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;

use super::{Kind, MAP, TYPES, TypedColumn, TypedOptions, can_name, has_typed_columns};
use crate::TableName;
use crate::schema::{attributes_builder, attributes_of};

/// The columns of one file.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Those of attributes, behind the table's own.
    columns: Vec<TypedColumn>,
    /// Position in `columns` by key.
    by_key: HashMap<String, [Option<usize>; Kind::ALL.len()]>,
    schema: SchemaRef,
}

impl Layout {
    /// Chooses by the first rows of the file, and takes `also`. `known` are the columns that the table has by now.
    pub(crate) fn choose(
        table: TableName,
        first: &RecordBatch,
        also: &[TypedColumn],
        known: &BTreeMap<String, TypedColumn>,
        options: &TypedOptions,
    ) -> Layout {
        let mut columns = Vec::new();
        if has_typed_columns(table) && options.max_columns > 0 {
            let mut chosen = frequent(first, options);
            let seen = chosen.iter().map(|(_, column)| column.clone()).collect::<HashSet<_>>();
            let after = chosen.len();
            let wanted = also.iter().filter(|column| !seen.contains(*column)).cloned().enumerate();
            chosen.extend(wanted.map(|(at, column)| (after + at, column)));
            let mut room = options.max_columns.saturating_sub(known.len());
            let mut names = HashSet::new();
            chosen.retain(|(_, column)| {
                let name = column.name().to_ascii_lowercase();
                let known = known.get(&name);
                let is_free = known.is_none_or(|known| known == column) && names.insert(name);
                let has_room = known.is_some() || room > 0;
                room -= usize::from(is_free && known.is_none() && has_room);
                is_free && has_room
            });
            chosen.sort_by_key(|(seen, _)| *seen);
            columns.extend(chosen.into_iter().map(|(_, column)| column));
        }
        Layout::of(table, &columns)
    }

    /// The table's own columns and these.
    pub(crate) fn of(table: TableName, columns: &[TypedColumn]) -> Layout {
        let columns = columns.to_vec();
        let mut by_key: HashMap<String, [Option<usize>; Kind::ALL.len()]> = HashMap::new();
        for (position, column) in columns.iter().enumerate() {
            by_key.entry(column.key.clone()).or_default()[column.kind as usize] = Some(position);
        }
        let own = table.schema();
        let fields = own.fields().iter().cloned().chain(columns.iter().map(|column| Arc::new(column.field())));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Layout { columns, by_key, schema }
    }

    /// The schema of the file.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns of attributes that the file has, in their order.
    pub(crate) fn columns(&self) -> &[TypedColumn] {
        &self.columns
    }

    /// As [`Layout::columns`].
    pub(crate) fn into_columns(self) -> Vec<TypedColumn> {
        self.columns
    }

    /// `batch`, which has the table's schema, with the schema of the file.
    ///
    /// # Errors
    /// When the columns of attributes are not what the table has.
    pub(crate) fn split(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        if self.columns.is_empty() {
            return Ok(batch.clone());
        }
        let (keys, values, offsets, types) = attributes_of(batch)?;
        let mut typed: Vec<Values> = self.columns.iter().map(|column| Values::of(column.kind)).collect();
        let mut rest = attributes_builder(batch.num_rows());
        let mut rest_types = StringBuilder::new();
        let mut row_types = String::new();
        for row in 0..batch.num_rows() {
            let entries = offsets[row] as usize..offsets[row + 1] as usize;
            let kinds = types.value(row).as_bytes();
            row_types.clear();
            // Rows are alike: what follows an attribute in one follows it in the next.
            let mut next = 0;
            for (at, entry) in entries.clone().enumerate() {
                let (key, value) = (keys.value(entry), values.value(entry));
                let kind = kinds.get(at).copied().filter(|_| kinds.len() == entries.len()).and_then(Kind::of);
                let position = kind.and_then(|kind| self.position(key, kind, next));
                if let Some(position) = position {
                    next = position + 1;
                    if typed[position].push(row, value) {
                        continue;
                    }
                }
                rest.keys().append_value(key);
                rest.values().append_value(value);
                row_types.extend(kinds.get(at).map(|&kind| char::from(kind)));
            }
            rest.append(true)?;
            rest_types.append_value(&row_types);
        }
        let replaced: [(&str, ArrayRef); 2] = [(MAP, Arc::new(rest.finish())), (TYPES, Arc::new(rest_types.finish()))];
        let own = batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, column)| {
            let new = replaced.iter().find(|(name, _)| *name == field.name().as_str());
            Arc::clone(new.map_or(column, |(_, new)| new))
        });
        let typed = typed.into_iter().map(|values| values.finish(batch.num_rows()));
        RecordBatch::try_new(Arc::clone(&self.schema), own.chain(typed).collect())
    }

    fn position(&self, key: &str, kind: Kind, next: usize) -> Option<usize> {
        match self.columns.get(next) {
            Some(column) if column.kind == kind && column.key == key => Some(next),
            _ => self.by_key.get(key)?[kind as usize],
        }
    }
}

/// Attributes that enough rows of `batch` have, the most frequent ones first, each with its place among all.
fn frequent(batch: &RecordBatch, options: &TypedOptions) -> Vec<(usize, TypedColumn)> {
    let Ok((keys, _, offsets, types)) = attributes_of(batch) else { return Vec::new() };
    let rows = batch.num_rows();
    let mut counts: HashMap<(&str, Kind), (usize, usize)> = HashMap::new();
    for row in 0..rows {
        let entries = offsets[row] as usize..offsets[row + 1] as usize;
        for (entry, &kind) in entries.zip(types.value(row).as_bytes()) {
            if let Some(kind) = Kind::of(kind) {
                let seen = counts.len();
                counts.entry((keys.value(entry), kind)).or_insert((0, seen)).0 += 1;
            }
        }
    }
    let share = rows * options.min_share_per_mille as usize / 1_000;
    let enough = share.max(options.min_rows).max(1);
    let mut chosen: Vec<(usize, usize, TypedColumn)> = counts
        .into_iter()
        .filter(|((key, _), (count, _))| *count >= enough && can_name(key))
        .map(|((key, kind), (count, seen))| (count, seen, TypedColumn { key: key.to_owned(), kind }))
        .collect();
    chosen.sort_by_key(|(count, seen, _)| (std::cmp::Reverse(*count), *seen));
    chosen.into_iter().map(|(_, seen, column)| (seen, column)).collect()
}

/// The values of one column, null where a row has none.
enum Values {
    String(StringBuilder),
    Int(Int64Builder),
    Double(Float64Builder, String),
    Bool(BooleanBuilder),
}

/// Appends nulls up to `row`, then the value. False when the row has one already.
macro_rules! put {
    ($builder:expr, $row:expr, $value:expr) => {{
        let there = arrow::array::ArrayBuilder::len($builder);
        if there > $row {
            return false;
        }
        (there..$row).for_each(|_| $builder.append_null());
        $builder.append_value($value);
        true
    }};
}

impl Values {
    fn of(kind: Kind) -> Values {
        match kind {
            Kind::String => Values::String(StringBuilder::new()),
            Kind::Int => Values::Int(Int64Builder::new()),
            Kind::Double => Values::Double(Float64Builder::new(), String::new()),
            Kind::Bool => Values::Bool(BooleanBuilder::new()),
        }
    }

    /// Takes the value of `row`; false when it has to stay in the map.
    fn push(&mut self, row: usize, text: &str) -> bool {
        match self {
            Values::String(values) => put!(values, row, text),
            Values::Int(values) => match text.parse::<i64>() {
                Ok(value) if is_plain_integer(text) => put!(values, row, value),
                _ => false,
            },
            Values::Double(values, scratch) => {
                let Ok(value) = text.parse::<f64>() else { return false };
                scratch.clear();
                super::restore::write_double(value, scratch);
                match value.is_finite() && scratch == text {
                    true => put!(values, row, value),
                    false => false,
                }
            }
            Values::Bool(values) => match text {
                "true" => put!(values, row, true),
                "false" => put!(values, row, false),
                _ => false,
            },
        }
    }

    fn finish(self, rows: usize) -> ArrayRef {
        macro_rules! end {
            ($builder:expr) => {{
                let mut builder = $builder;
                (arrow::array::ArrayBuilder::len(&builder)..rows).for_each(|_| builder.append_null());
                Arc::new(builder.finish())
            }};
        }
        match self {
            Values::String(values) => end!(values),
            Values::Int(values) => end!(values),
            Values::Double(values, _) => end!(values),
            Values::Bool(values) => end!(values),
        }
    }
}

/// Whether the number is written as it would be written again: no sign or zero too many.
fn is_plain_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !text.starts_with('+') && (digits == "0" && digits.len() == text.len() || !digits.starts_with('0'))
}
