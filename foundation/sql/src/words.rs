//! The text that `match(body, ..)` takes: words, `"phrases"` and `prefix*`, all of which must be there.

use daymark_store::BodyQuery;

/// Reads the second argument of `match`.
///
/// # Errors
/// What is wrong with it: a quote that is not closed, or nothing to search for.
pub(crate) fn parse_words(text: &str) -> Result<BodyQuery, String> {
    let mut all = Vec::new();
    for (at, part) in text.split('"').enumerate() {
        // Every second part stands between quotes.
        if at % 2 == 1 {
            all.push(BodyQuery::phrase(part));
        } else {
            all.extend(part.split_whitespace().map(word));
        }
    }
    if text.matches('"').count() % 2 == 1 {
        return Err(format!("match: the closing quote is missing in {text:?}"));
    }
    let is_empty = |query: &BodyQuery| matches!(query, BodyQuery::Everything);
    if all.iter().all(is_empty) {
        return Err(format!("match: {text:?} holds no word to search for"));
    }
    all.retain(|query| !is_empty(query));
    Ok(if all.len() == 1 { all.swap_remove(0) } else { BodyQuery::All(all) })
}

fn word(word: &str) -> BodyQuery {
    match word.strip_suffix('*') {
        Some(start) if start.chars().all(char::is_alphanumeric) => BodyQuery::prefix(start),
        // `10.0.0.1` is the phrase of its parts.
        _ => BodyQuery::phrase(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_phrases_and_prefixes_must_all_match() {
        let body = "Connection to 10.0.0.1 refused by payment-service";
        for (text, expected) in [
            ("connection", true),
            ("CONNECTION refused", true),
            ("connection lost", false),
            ("\"connection to\" pay*", true),
            ("\"to connection\"", false),
            ("10.0.0.1", true),
            ("10.0.0.2", false),
            ("pay", false),
        ] {
            assert_eq!(parse_words(text).unwrap().matches(body), expected, "{text}");
        }
        assert!(parse_words("\"open").is_err());
        assert!(parse_words(" - ").is_err());
    }
}
