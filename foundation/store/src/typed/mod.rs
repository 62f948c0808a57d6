//! Typed attribute columns: an attribute that many rows of a file have gets a column of its own type there.
//!
//! Where it sits: between rows, which have all attributes in the map `attributes` and their OTLP types in
//! `attribute_types`, and Parquet files: [`Layout`] takes frequent attributes out of the map when a segment is written,
//! [`restore`] puts them back when it is read. Other engines see the columns (`docs/formats/tables.md`).
//!
//! Invariants:
//! - what is written and read again has the same attributes, each with its value and type as text; only their order within a
//!   row may change;
//! - a value that its column would not give back as the same text stays in the map, as do further values of a key in one
//!   row: no row is refused for its attributes;
//! - a key with values of several types has a column for each frequent one.

mod restore;
mod split;

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Schema};

pub(crate) use restore::restore;
pub(crate) use split::Layout;

use crate::TableName;

/// The map of a row's own attributes.
pub(crate) const MAP: &str = "attributes";
/// A character for each entry of [`MAP`]: its OTLP type.
pub(crate) const TYPES: &str = "attribute_types";
/// Longest key that gets a column, bytes.
const MAX_KEY_BYTES: usize = 128;

/// Which attributes get a column in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedOptions {
    /// Share of a file's first rows that have the attribute, at least, in thousandths.
    pub min_share_per_mille: u32,
    /// So many of them, at least.
    pub min_rows: usize,
    /// Columns that a table has at most, over its life; attributes beyond stay in the map.
    pub max_columns: usize,
}

impl Default for TypedOptions {
    fn default() -> TypedOptions {
        TypedOptions { min_share_per_mille: 10, min_rows: 100, max_columns: 200 }
    }
}

/// OTLP types with columns of their own; bytes, arrays and lists stay in the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    String,
    Int,
    Double,
    Bool,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::String, Kind::Int, Kind::Double, Kind::Bool];

    /// By the character in [`TYPES`].
    fn of(character: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.character() as u8 == character)
    }

    fn character(self) -> char {
        match self {
            Kind::String => 's',
            Kind::Int => 'i',
            Kind::Double => 'd',
            Kind::Bool => 'b',
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Kind::String => "attr_string:",
            Kind::Int => "attr_int:",
            Kind::Double => "attr_double:",
            Kind::Bool => "attr_bool:",
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Kind::String => DataType::Utf8,
            Kind::Int => DataType::Int64,
            Kind::Double => DataType::Float64,
            Kind::Bool => DataType::Boolean,
        }
    }
}

/// The column of an attribute: `attr_int:http.response.status_code`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TypedColumn {
    pub(crate) key: String,
    pub(crate) kind: Kind,
}

impl TypedColumn {
    /// `None` for a column that is not of an attribute.
    pub(crate) fn parse(name: &str) -> Option<TypedColumn> {
        Kind::ALL.into_iter().find_map(|kind| {
            let key = name.strip_prefix(kind.prefix())?;
            Some(TypedColumn { key: key.to_owned(), kind })
        })
    }

    fn name(&self) -> String {
        format!("{}{}", self.kind.prefix(), self.key)
    }

    pub(crate) fn field(&self) -> Field {
        Field::new(self.name(), self.kind.data_type(), true)
    }
}

/// Whether a column can be named after `key`: engines have little patience with other characters.
fn can_name(key: &str) -> bool {
    let good =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b':' | b'@' | b'#');
    (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(good)
}

/// The columns of attributes in `schema`, by their names in lower case: some engines do not tell the cases apart.
pub(crate) fn columns_of<'s>(names: impl Iterator<Item = &'s str>) -> BTreeMap<String, TypedColumn> {
    names.filter_map(|name| Some((name.to_ascii_lowercase(), TypedColumn::parse(name)?))).collect()
}

/// Whether rows of `table` have attributes of their own, many and alike.
pub(crate) fn has_typed_columns(table: TableName) -> bool {
    matches!(table, TableName::Spans | TableName::Logs)
}

/// Columns of attributes that `there`, the schema of a file, has, as far as an answer with columns `wanted` needs them;
/// `keys` are the only attributes asked for, if there is such a choice.
pub(crate) fn needed(wanted: &Schema, there: &Schema, keys: Option<&[String]>) -> Vec<usize> {
    if [MAP, TYPES].iter().all(|column| wanted.column_with_name(column).is_none()) {
        return Vec::new();
    }
    let asked = |column: &TypedColumn| keys.is_none_or(|keys| keys.contains(&column.key));
    let typed = |(position, field): (usize, &std::sync::Arc<Field>)| {
        TypedColumn::parse(field.name()).filter(asked).map(|_| position)
    };
    there.fields().iter().enumerate().filter_map(typed).collect()
}
