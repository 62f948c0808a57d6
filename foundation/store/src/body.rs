//! Words of log bodies: one rule for writers, readers and `match(body, ..)`.
//!
//! The body is lower-cased character by character; a word is then a longest run of letters and digits (Unicode). Nothing
//! else is indexed or matched. [`BodyQuery::matches`] is the definition; the text index only chooses rows to look at.

use std::ops::Range;

/// What a body must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyQuery {
    /// Every body.
    Everything,
    /// This word (lower-cased).
    Word(String),
    /// A word that begins so (lower-cased).
    Prefix(String),
    /// These words, one right after the other.
    Phrase(Vec<String>),
    /// All of them.
    All(Vec<BodyQuery>),
    /// At least one of them.
    Any(Vec<BodyQuery>),
    /// Not that.
    Not(Box<BodyQuery>),
}

impl BodyQuery {
    /// All words of `text`, in any order. Text without a word matches every body.
    pub fn words(text: &str) -> BodyQuery {
        let mut words: Vec<BodyQuery> = words_of(text).into_iter().map(BodyQuery::Word).collect();
        match words.len() {
            0 => BodyQuery::Everything,
            1 => words.remove(0),
            _ => BodyQuery::All(words),
        }
    }

    /// The words of `text` as a phrase. Text without a word matches every body.
    pub fn phrase(text: &str) -> BodyQuery {
        let mut words = words_of(text);
        match words.len() {
            0 => BodyQuery::Everything,
            1 => BodyQuery::Word(words.remove(0)),
            _ => BodyQuery::Phrase(words),
        }
    }

    /// Words that begin with the last word of `text`, together with its other words.
    pub fn prefix(text: &str) -> BodyQuery {
        let mut words = words_of(text);
        match words.pop() {
            None => BodyQuery::Everything,
            Some(last) if words.is_empty() => BodyQuery::Prefix(last),
            Some(last) => {
                let mut parts: Vec<BodyQuery> = words.into_iter().map(BodyQuery::Word).collect();
                parts.push(BodyQuery::Prefix(last));
                BodyQuery::All(parts)
            }
        }
    }

    /// Whether `body` matches: the definition, which the index only speeds up.
    pub fn matches(&self, body: &str) -> bool {
        self.matcher().matches(body)
    }

    /// For many bodies.
    pub fn matcher(&self) -> BodyMatcher<'_> {
        BodyMatcher { query: self, lower: String::new(), spans: Vec::new() }
    }

    fn holds(&self, words: &Words<'_>) -> bool {
        match self {
            BodyQuery::Everything => true,
            BodyQuery::Word(wanted) => words.iter().any(|word| word == wanted),
            BodyQuery::Prefix(prefix) => words.iter().any(|word| word.starts_with(prefix.as_str())),
            BodyQuery::Phrase(phrase) => {
                let runs = words.spans.windows(phrase.len().max(1));
                runs.into_iter().any(|run| run.iter().zip(phrase).all(|(span, word)| words.at(span) == word))
            }
            BodyQuery::All(parts) => parts.iter().all(|part| part.holds(words)),
            BodyQuery::Any(parts) => parts.iter().any(|part| part.holds(words)),
            BodyQuery::Not(part) => !part.holds(words),
        }
    }
}

/// Decides many bodies without an allocation for each.
pub struct BodyMatcher<'q> {
    query: &'q BodyQuery,
    lower: String,
    spans: Vec<Range<usize>>,
}

impl BodyMatcher<'_> {
    /// As [`BodyQuery::matches`].
    pub fn matches(&mut self, body: &str) -> bool {
        let lower = lower_case(body, &mut self.lower);
        let start = lower.as_ptr() as usize;
        self.spans.clear();
        each_word(lower, |word, _| {
            let at = word.as_ptr() as usize - start;
            self.spans.push(at..at + word.len());
        });
        self.query.holds(&Words { lower, spans: &self.spans })
    }
}

struct Words<'b> {
    lower: &'b str,
    spans: &'b [Range<usize>],
}

impl<'b> Words<'b> {
    fn at(&self, span: &Range<usize>) -> &'b str {
        &self.lower[span.clone()]
    }

    fn iter(&self) -> impl Iterator<Item = &'b str> {
        self.spans.iter().map(|span| self.at(span))
    }
}

/// The words of a text, in order.
pub fn words_of(text: &str) -> Vec<String> {
    let mut lower = String::new();
    let mut words = Vec::new();
    each_word(lower_case(text, &mut lower), |word, _| words.push(word.to_owned()));
    words
}

/// Lower-cases `text` into `scratch`.
pub(crate) fn lower_case<'s>(text: &str, scratch: &'s mut String) -> &'s str {
    scratch.clear();
    if text.is_ascii() {
        scratch.push_str(text);
        scratch.make_ascii_lowercase();
    } else {
        // Not `str::to_lowercase`, which looks at neighbours (final sigma): a prefix must stay a prefix.
        scratch.extend(text.chars().flat_map(char::to_lowercase));
    }
    scratch
}

/// Where a word is looked up in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WordKind {
    /// In the term dictionary.
    Term,
    /// In the page's bloom filter: numbers and ids, which would fill the dictionary with terms used once.
    IdLike,
}

const SEPARATOR: u8 = 0;
const DIGIT: u8 = 1;
const HEX_LETTER: u8 = 2;
const OTHER: u8 = 4;

/// Longest word in the term dictionary, bytes. Longer ones are id-like.
pub(crate) const MAX_TERM_BYTES: usize = 64;
/// Hex digits from which a word with a digit in it counts as an id.
const MIN_HEX_ID: usize = 6;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [SEPARATOR; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' => HEX_LETTER,
            b'g'..=b'z' => OTHER,
            _ => SEPARATOR,
        };
        byte += 1;
    }
    table
}

fn kind_of(first: u8, seen: u8, len: usize) -> WordKind {
    let hex_id = seen & OTHER == 0 && seen & DIGIT != 0 && len >= MIN_HEX_ID;
    if first == DIGIT || hex_id || len > MAX_TERM_BYTES { WordKind::IdLike } else { WordKind::Term }
}

/// Calls `found` with each word of lower-cased text.
pub(crate) fn each_word<'t>(lower: &'t str, mut found: impl FnMut(&'t str, WordKind)) {
    if !lower.is_ascii() {
        for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            found(word, word_kind(word));
        }
        return;
    }
    let bytes = lower.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let first = CLASSES[usize::from(bytes[at])];
        if first == SEPARATOR {
            at += 1;
            continue;
        }
        let start = at;
        let mut seen = 0;
        while at < bytes.len() {
            let class = CLASSES[usize::from(bytes[at])];
            if class == SEPARATOR {
                break;
            }
            seen |= class;
            at += 1;
        }
        found(&lower[start..at], kind_of(first, seen, at - start));
    }
}

/// The kind of a lower-cased word.
pub(crate) fn word_kind(word: &str) -> WordKind {
    let class = |byte: u8| if byte.is_ascii() { CLASSES[usize::from(byte)] } else { OTHER };
    let seen = word.bytes().fold(0, |seen, byte| seen | class(byte));
    kind_of(word.bytes().next().map_or(SEPARATOR, class), seen, word.len())
}

/// What the term dictionary holds of a long word, so that prefixes find it.
pub(crate) fn term_part(word: &str) -> &str {
    &word[..word.floor_char_boundary(MAX_TERM_BYTES)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let check = |text: &str, expected: &[&str]| assert_eq!(words_of(text), expected, "{text}");
        check("", &[]);
        check("GET /api/v1/Orders?id=42", &["get", "api", "v1", "orders", "id", "42"]);
        check("Größe: ÄÖÜ_Straße", &["größe", "äöü", "straße"]);
        check("日本語 テスト", &["日本語", "テスト"]);
        check("--x--", &["x"]);
    }

    #[test]
    fn id_like_words_stay_out_of_the_dictionary() {
        let check = |word: &str, kind| assert_eq!(word_kind(word), kind, "{word}");
        check("timeout", WordKind::Term);
        check("decade", WordKind::Term);
        check("deca1e", WordKind::IdLike);
        check("beef1", WordKind::Term);
        check("5xx", WordKind::IdLike);
        check("v1", WordKind::Term);
        check("0af7651916cd43dd8448eb211c80319c", WordKind::IdLike);
        check(&"x".repeat(65), WordKind::IdLike);
        check("größe1", WordKind::Term);
    }

    #[test]
    fn queries_match_by_words() {
        let body = "Payment 4711 declined: card expired";
        let check = |query: BodyQuery, expected| assert_eq!(query.matches(body), expected, "{query:?}");
        check(BodyQuery::words("declined PAYMENT"), true);
        check(BodyQuery::words("decline"), false);
        check(BodyQuery::prefix("decl"), true);
        check(BodyQuery::phrase("card expired"), true);
        check(BodyQuery::phrase("expired card"), false);
        check(BodyQuery::Not(Box::new(BodyQuery::words("refund"))), true);
        check(BodyQuery::Any(vec![BodyQuery::words("refund"), BodyQuery::words("4711")]), true);
        check(BodyQuery::words("  :: "), true);
    }

    proptest! {
        #[test]
        fn both_ways_to_split_agree(text in "[a-zA-Z0-9 ._äß\u{130}日-]{0,80}") {
            let mut lower = String::new();
            let lowered = lower_case(&text, &mut lower);
            let expected: Vec<&str> =
                lowered.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
            let mut found = Vec::new();
            each_word(lowered, |word, kind| { assert_eq!(kind, word_kind(word)); found.push(word) });
            prop_assert_eq!(found, expected);
        }
    }
}
