//! Attribute values as JSON text.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::attributes::{VALUE_DEPTH_MAX, Value};

/// Appends `value`. Writing to a `String` cannot fail, so results of `write!` are dropped.
pub(super) fn write(value: Value<'_>, out: &mut String, depth: u32) {
    match value {
        Value::Empty => out.push_str("null"),
        Value::Str(text) => write_string(text, out),
        Value::Bool(value) => _ = write!(out, "{value}"),
        Value::Int(value) => _ = write!(out, "{value}"),
        Value::Double(value) => write_double(value, out),
        Value::Bytes(bytes) => {
            out.push('"');
            BASE64.encode_string(bytes, out);
            out.push('"');
        }
        // Only a value that no walk has validated can be nested that deep.
        Value::Array(_) | Value::KvList(_) if depth > VALUE_DEPTH_MAX => out.push_str("null"),
        Value::Array(_) => {
            out.push('[');
            for (i, item) in value.items().enumerate() {
                separate(i, out);
                write(item, out, depth + 1);
            }
            out.push(']');
        }
        Value::KvList(_) => {
            out.push('{');
            for (i, (key, item)) in value.entries().enumerate() {
                separate(i, out);
                write_string(key, out);
                out.push(':');
                write(item, out, depth + 1);
            }
            out.push('}');
        }
    }
}

fn separate(index: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
}

fn write_double(value: f64, out: &mut String) {
    if value.is_nan() {
        out.push_str("\"NaN\"");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    } else {
        _ = write!(out, "{value:?}");
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => _ = write!(out, "\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out.push('"');
}
