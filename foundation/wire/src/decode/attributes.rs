//! Attribute values and lists of them, borrowed from the payload.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::json_text;
use super::wire::{Field, Fields, Parse};
use crate::Problem;

/// Deepest nesting of arrays and key-value lists. Below what prost's limit of 100 messages allows everywhere.
pub const VALUE_DEPTH_MAX: u32 = 30;

/// An attribute value or a log body.
///
/// The tag is a whole word, so that a copy is three word moves: copying a byte-sized tag stalled 15 % of the walk.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value, which OTLP allows.
    Empty,
    /// A string.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Raw `ArrayValue` message: see [`Value::items`].
    Array(&'a [u8]),
    /// Raw `KeyValueList` message: see [`Value::entries`].
    KvList(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Kind of the value in the tables' `*_types` columns: `s`tring, `i`nteger, `d`ouble, `b`oolean, b`y`tes, or
    /// `j`: JSON (arrays, lists and empty values).
    pub fn type_char(&self) -> char {
        match self {
            Value::Str(_) => 's',
            Value::Int(_) => 'i',
            Value::Double(_) => 'd',
            Value::Bool(_) => 'b',
            Value::Bytes(_) => 'y',
            Value::Empty | Value::Array(_) | Value::KvList(_) => 'j',
        }
    }

    /// Appends the text form: strings as they are, bytes as base64, the rest as JSON.
    pub fn write_text(&self, out: &mut String) {
        match self {
            Value::Str(text) => out.push_str(text),
            Value::Bytes(bytes) => BASE64.encode_string(bytes, out),
            other => other.write_json(out),
        }
    }

    /// Appends the value as JSON: bytes as base64 strings, `NaN` and infinities as strings.
    pub fn write_json(&self, out: &mut String) {
        json_text::write(*self, out, 0);
    }

    /// The elements of an array; nothing for other values.
    pub fn items(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let message = if let Value::Array(message) = self { message } else { &[][..] };
        elements(message).map_while(|element| any_value(element, Nesting::Trusted).ok())
    }

    /// The entries of a key-value list; nothing for other values.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        let message = if let Value::KvList(message) = self { message } else { &[][..] };
        elements(message).map_while(|element| key_value(element, Nesting::Trusted).ok())
    }
}

/// The repeated field 1 of an `ArrayValue` or `KeyValueList`.
fn elements(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut fields = Fields::of(message);
    std::iter::from_fn(move || {
        loop {
            let field = fields.next().ok()??;
            if field.number == 1 {
                return field.bytes("values").ok();
            }
        }
    })
}

/// Attributes of an item, validated, in the order of the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KeyValues<'s, 'a>(pub(super) &'s [(&'a str, Value<'a>)]);

impl<'s, 'a> KeyValues<'s, 'a> {
    /// All attributes, in the order of the wire.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, Value<'a>)> + use<'s, 'a> {
        self.0.iter().copied()
    }

    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, value)| *value)
    }

    /// Number of attributes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An attribute as the scratch lists hold it.
pub(super) type Attribute<'a> = (&'a str, Value<'a>);

/// How to treat arrays and lists inside a value.
#[derive(Clone, Copy)]
pub(super) enum Nesting {
    /// Validate them; the value itself lies this many arrays and lists deep.
    Depth(u32),
    /// They were validated before.
    Trusted,
}

/// Parses the attribute in `field` and adds it to `list`, of which the part from `start` on belongs to this item.
pub(super) fn push<'a>(
    list: &mut Vec<Attribute<'a>>,
    start: usize,
    field: &Field<'a>,
    name: &str,
    limit: usize,
) -> Parse<()> {
    let index = list.len() - start;
    if index >= limit {
        return Err(field.fault(name, Problem::ListTooLong { limit }));
    }
    list.push(key_value(field.bytes(name)?, Nesting::Depth(0)).map_err(|fault| fault.within(name, index))?);
    Ok(())
}

/// Most attributes of all the events, links or exemplars of one item together.
const NESTED_MAX: usize = 65_536;

/// As [`push`], for a list that the events, links or exemplars of one item share.
pub(super) fn push_nested<'a>(list: &mut Vec<Attribute<'a>>, start: usize, field: &Field<'a>, name: &str) -> Parse<()> {
    push(list, start, field, name, NESTED_MAX - start)
}

pub(super) fn key_value(message: &[u8], nesting: Nesting) -> Parse<Attribute<'_>> {
    let mut fields = Fields::of(message);
    let (mut key, mut value) = ("", None);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => key = field.text("key")?,
            2 => {
                let parsed = any_value(field.bytes("value")?, nesting).map_err(|fault| fault.inside("value"))?;
                if value.replace(parsed).is_some() {
                    return Err(field.fault("value", Problem::Repeated));
                }
            }
            3 => _ = field.varint("key_strindex")?,
            _ => {}
        }
    }
    Ok((key, value.unwrap_or(Value::Empty)))
}

pub(super) fn any_value(message: &[u8], nesting: Nesting) -> Parse<Value<'_>> {
    let mut fields = Fields::of(message);
    let mut value = None;
    while let Some(field) = fields.next()? {
        let parsed = match field.number {
            1 => Value::Str(field.text("string_value")?),
            2 => Value::Bool(field.varint("bool_value")? != 0),
            3 => Value::Int(field.varint("int_value")? as i64),
            4 => Value::Double(field.double("double_value")?),
            5 => Value::Array(nested(&field, "array_value", nesting, |element, inner| {
                any_value(element, inner).map(|_| ())
            })?),
            6 => Value::KvList(nested(&field, "kvlist_value", nesting, |element, inner| {
                key_value(element, inner).map(|_| ())
            })?),
            7 => Value::Bytes(field.bytes("bytes_value")?),
            8 => {
                // An index into a string table, which only profiles have: here it points nowhere.
                field.varint("string_value_strindex")?;
                Value::Empty
            }
            _ => continue,
        };
        if value.replace(parsed).is_some() {
            return Err(field.fault("value", Problem::Repeated));
        }
    }
    Ok(value.unwrap_or(Value::Empty))
}

/// The message in `field`, after each of its elements has passed `check`.
fn nested<'a>(
    field: &Field<'a>,
    name: &str,
    nesting: Nesting,
    check: impl Fn(&'a [u8], Nesting) -> Parse<()>,
) -> Parse<&'a [u8]> {
    let message = field.bytes(name)?;
    let Nesting::Depth(depth) = nesting else { return Ok(message) };
    if depth >= VALUE_DEPTH_MAX {
        return Err(field.fault(name, Problem::Depth { limit: VALUE_DEPTH_MAX }));
    }
    let mut fields = Fields::of(message);
    let mut index = 0;
    while let Some(element) = fields.next()? {
        if element.number == 1 {
            check(element.bytes("values")?, Nesting::Depth(depth + 1)).map_err(|fault| fault.within(name, index))?;
            index += 1;
        }
    }
    Ok(message)
}
