//! Words that were probably mistyped: the nearest one that exists.

/// Words longer than this have no nearest: definitions are written by people.
const MAX_CHARS: usize = 128;

/// The candidate that differs least from `word`, when at most a third of its letters differ, upper and lower case apart.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(MAX_CHARS + 1).flat_map(char::to_lowercase).collect();
    if word.len() > MAX_CHARS {
        return None;
    }
    let near = |candidate: &&str| {
        let edits = edits(&word, &candidate.to_lowercase().chars().collect::<Vec<_>>());
        (edits <= (word.len() / 3).max(1)).then_some(edits)
    };
    let mut found: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let Some(edits) = near(&candidate) else { continue };
        if found.is_none_or(|(least, _)| edits < least) {
            found = Some((edits, candidate));
        }
    }
    found.map(|(_, candidate)| candidate)
}

/// `: did you mean "X"?`, or nothing when no candidate is near.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |meant| format!(": did you mean {meant:?}?"))
}

/// Letters to insert, delete, replace or swap with their neighbour to make `a` of `b` (optimal string alignment).
pub fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_when_it_is_near() {
        let known = ["span.name", "span.kind", "status.code"];
        let check = |word: &str, expected: Option<&str>| assert_eq!(nearest(word, known), expected, "{word}");
        check("span.knd", Some("span.kind"));
        check("SPAN.KIND", Some("span.kind"));
        check("span_kind", Some("span.kind"));
        check("satus.code", Some("status.code"));
        check("span.nmae", Some("span.name"));
        check("http.route", None);
        check("", None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
        assert_eq!(did_you_mean("span.knd", known), ": did you mean \"span.kind\"?");
        assert_eq!(did_you_mean("http.route", known), "");
    }

    #[test]
    fn edits_are_counted() {
        let check = |a: &str, b: &str, expected: usize| {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(edits(&chars(a), &chars(b)), expected, "{a} {b}");
        };
        check("", "", 0);
        check("", "abc", 3);
        check("abc", "", 3);
        check("duratoin", "duration", 1);
        check("kitten", "sitting", 3);
    }
}
