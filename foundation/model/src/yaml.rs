//! What a YAML reader says, in the words of the author of a definition.
//!
//! Text to text: the reader itself is not known here.

use crate::spelling::did_you_mean;

/// What the reader says, by how it begins, and what it means.
const MEANINGS: [(&str, &str); 8] = [
    ("expected string scalar", "expected a text"),
    ("expected mapping start", "expected a mapping: lines of `key: value`"),
    ("expected sequence start", "expected a list: lines that begin with `- `"),
    ("invalid u64", "expected a whole number, 0 or more"),
    ("invalid float", "expected a number"),
    ("invalid bool", "expected true or false"),
    ("multiple YAML documents", "a second YAML document begins here: put each into a file of its own"),
    ("unexpected end of input", "the file ends here, but a value or a closing bracket is missing"),
];
/// How many of [`MEANINGS`] are about one value, whose key is worth naming.
const ABOUT_A_VALUE: usize = 6;

/// The reason why a YAML file was refused, from the reader's message and the place in `text` it points to, line and
/// column from 1.
pub fn yaml_reason(message: &str, text: &str, line: u64, column: u64) -> String {
    if let Some(rest) = message.strip_prefix("duplicate mapping key: ") {
        let key = rest.split_once(", set Duplicate").map_or(rest, |(key, _)| key);
        return format!("the key {key:?} is written twice: keep one of them");
    }
    if message.starts_with("tabs disallowed") {
        return "YAML is indented with spaces, here is a tab".to_owned();
    }
    if let Some(place) = MEANINGS.iter().position(|(begin, _)| message.starts_with(begin)) {
        let meaning = MEANINGS[place].1;
        let key = key_before(text, line, column).filter(|_| place < ABOUT_A_VALUE);
        return key.map_or_else(|| meaning.to_owned(), |key| format!("{key}: {meaning}"));
    }
    for what in ["unknown field", "unknown variant"] {
        if let Some(suggestion) = message.strip_prefix(what).and_then(suggestion) {
            return format!("{message}{suggestion}");
        }
    }
    message.to_owned()
}

/// The key whose value stands at a place: `key` of `  - key: VALUE` and of `{ a: 1, key: VALUE }`.
fn key_before(text: &str, line: u64, column: u64) -> Option<&str> {
    let line = text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let until = line.char_indices().nth(usize::try_from(column).ok()?.checked_sub(1)?).map_or(line.len(), |(at, _)| at);
    let key = line[..until].trim_end().strip_suffix(':')?;
    let key = key.rsplit(|c: char| !(c.is_alphanumeric() || "._-".contains(c))).next()?;
    Some(key).filter(|key| !key.is_empty())
}

/// Of the rest of a message like `` `wrong`, expected one of right, left ``.
fn suggestion(rest: &str) -> Option<String> {
    let (wrong, expected) = rest.trim_start().strip_prefix('`')?.split_once('`')?;
    let (_, known) = expected.split_once("expected ")?;
    let known = known.strip_prefix("one of ").unwrap_or(known);
    Some(did_you_mean(wrong, known.split([',', ' ', '`']).filter(|word| !word.is_empty() && *word != "or")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readers_message_becomes_advice() {
        // The value is at the `^`.
        let check = |message: &str, text: &str, expected: &str| {
            let column = text.chars().position(|c| c == '^').map_or(1, |at| at as u64 + 1);
            assert_eq!(yaml_reason(message, &format!("a: b\n{}", text.replace('^', "")), 2, column), expected);
        };
        let twice = "duplicate mapping key: window, set DuplicateKeyPolicy in Options if acceptable";
        check(twice, "^window: 30d", "the key \"window\" is written twice: keep one of them");
        check("expected string scalar", "id: ^[a]", "id: expected a text");
        check("expected string scalar", "  - severity: ^{}", "severity: expected a text");
        check("expected mapping start", "^5", "expected a mapping: lines of `key: value`");
        check(
            "invalid u64",
            "guards: { x: 1, min_bad_events: ^-1 }",
            "min_bad_events: expected a whole number, 0 or more",
        );
        check(
            "unknown field `lng`, expected one of name, severity, long, short",
            "",
            "unknown field `lng`, expected one of name, severity, long, short: did you mean \"long\"?",
        );
        check(
            "unknown variant `Page`, expected `ticket` or `page`",
            "",
            "unknown variant `Page`, expected `ticket` or `page`: did you mean \"page\"?",
        );
        check("unknown field `zzz`, expected one of a", "", "unknown field `zzz`, expected one of a");
        check("missing field `sli`", "", "missing field `sli`");
    }
}
