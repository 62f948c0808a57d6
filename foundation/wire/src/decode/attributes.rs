//! Attribute values and lists of them, borrowed from the payload.

/// Deepest nesting of arrays and key-value lists. Below what prost's limit of 100 messages allows everywhere.
pub const VALUE_DEPTH_MAX: u32 = 30;

/// An attribute value or a log body.
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
        let _ = out;
        todo!()
    }

    /// Appends the value as JSON: bytes as base64 strings, `NaN` and infinities as strings.
    pub fn write_json(&self, out: &mut String) {
        let _ = out;
        todo!()
    }

    /// The elements of an array; nothing for other values.
    pub fn items(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        std::iter::empty()
    }

    /// The entries of a key-value list; nothing for other values.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        std::iter::empty()
    }
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
