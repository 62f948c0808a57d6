//! Attributes as JSON with their OTLP types, from the text map and its type string.

use arrow::array::{MapArray, StringArray};
use serde_json::{Map, Number, Value};

use crate::rows::entries;

/// Integers beyond this lose digits in JavaScript, so they travel as text.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The attributes of one row. A type character that is missing or unknown leaves the text as it is stored.
pub(crate) fn attributes_json(map: &MapArray, types: &StringArray, row: usize) -> Map<String, Value> {
    let mut kinds = types.value(row).bytes();
    entries(map, row).map(|(key, text)| (key.to_owned(), typed(text, kinds.next()))).collect()
}

fn typed(text: &str, kind: Option<u8>) -> Value {
    let parsed = match kind {
        Some(b'i') => text.parse::<i64>().ok().filter(|n| n.unsigned_abs() <= MAX_SAFE_INTEGER).map(Value::from),
        // NaN and infinities have no JSON number and stay text.
        Some(b'd') => text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        Some(b'b') => text.parse::<bool>().ok().map(Value::Bool),
        // An attribute without a value.
        Some(b'j') if text.is_empty() => Some(Value::Null),
        Some(b'j') => serde_json::from_str(text).ok(),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_keep_their_type() {
        let cases = [
            ("200", b's', json!("200")),
            ("200", b'i', json!(200)),
            ("9007199254740993", b'i', json!("9007199254740993")),
            ("-3", b'i', json!(-3)),
            ("0.5", b'd', json!(0.5)),
            ("NaN", b'd', json!("NaN")),
            ("true", b'b', json!(true)),
            ("AAE=", b'y', json!("AAE=")),
            ("[1,\"a\"]", b'j', json!([1, "a"])),
            ("", b'j', Value::Null),
            ("{broken", b'j', json!("{broken")),
        ];
        for (text, kind, expected) in cases {
            assert_eq!(typed(text, Some(kind)), expected, "{text} as {}", kind as char);
        }
    }
}
