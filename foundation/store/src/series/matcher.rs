//! Matchers: conditions on the labels of series.

use std::collections::BTreeSet;

use regex::RegexBuilder;

use super::Series;
use crate::StoreError;

/// Memory that a compiled pattern may take, bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// How an attribute is compared. An absent attribute is the empty text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOp {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// The whole value matches a regular expression.
    Matches,
    /// It does not.
    NotMatches,
}

/// A condition on a data point's or, if that has no such key, its resource's attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// Attribute key.
    pub key: String,
    /// Comparison.
    pub op: MatchOp,
    /// Text form of the value, or a regular expression.
    pub value: String,
}

impl Matcher {
    /// What it tests.
    ///
    /// # Errors
    /// [`StoreError::WrongCondition`] for a pattern that is wrong or too large.
    pub(crate) fn compiled(&self) -> Result<LabelTest, StoreError> {
        let is_negated = matches!(self.op, MatchOp::NotEqual | MatchOp::NotMatches);
        let values = match self.op {
            MatchOp::Equal | MatchOp::NotEqual => Values::OneOf(BTreeSet::from([self.value.clone()])),
            MatchOp::Matches | MatchOp::NotMatches => match alternatives(&self.value) {
                Some(values) => Values::OneOf(values),
                None => Values::Pattern(self.pattern()?),
            },
        };
        Ok(LabelTest { key: self.key.clone(), is_negated, values })
    }

    fn pattern(&self) -> Result<regex::Regex, StoreError> {
        let compiled = |pattern: &str| RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build();
        // By itself first: `)|(` would be right inside the group, and mean something else.
        let whole = compiled(&self.value).and_then(|_| compiled(&format!("^(?s:{})$", self.value)));
        whole.map_err(|error| StoreError::WrongCondition {
            condition: format!("{} =~ {:?}", self.key, self.value),
            reason: error.to_string(),
        })
    }
}

/// The values that a pattern of nothing but alternatives stands for: they are looked up, not searched for.
fn alternatives(pattern: &str) -> Option<BTreeSet<String>> {
    let is_plain = |c: char| !r"\.+*?()[]{}^$".contains(c);
    pattern.chars().all(is_plain).then(|| pattern.split('|').map(str::to_owned).collect())
}

/// A compiled [`Matcher`].
#[derive(Clone, Debug)]
pub(crate) struct LabelTest {
    key: String,
    is_negated: bool,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    OneOf(BTreeSet<String>),
    Pattern(regex::Regex),
}

impl LabelTest {
    /// The attribute.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Whether the values that [`LabelTest::accepts_text`] tells are those that must not be.
    pub(crate) fn is_negated(&self) -> bool {
        self.is_negated
    }

    /// Whether it names this value.
    pub(crate) fn accepts_text(&self, value: &str) -> bool {
        match &self.values {
            Values::OneOf(values) => values.contains(value),
            Values::Pattern(pattern) => pattern.is_match(value),
        }
    }

    /// The values that it names, when these are few and known.
    pub(crate) fn literals(&self) -> Option<impl Iterator<Item = &str>> {
        match &self.values {
            Values::OneOf(values) => Some(values.iter().map(String::as_str)),
            Values::Pattern(_) => None,
        }
    }

    /// Whether `series` meets it.
    pub(crate) fn holds(&self, series: &Series) -> bool {
        let value = series.attributes.get(&self.key).or_else(|| series.resource_attributes.get(&self.key));
        self.accepts_text(value.map_or("", String::as_str)) != self.is_negated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(op: MatchOp, pattern: &str, value: &str, expected: bool) {
        let test = Matcher { key: "k".to_owned(), op, value: pattern.to_owned() }.compiled().unwrap();
        assert_eq!(test.accepts_text(value) != test.is_negated(), expected, "{op:?} {pattern:?} {value:?}");
    }

    #[test]
    fn values_are_compared_whole() {
        use MatchOp::{Equal, Matches, NotEqual, NotMatches};
        check(Equal, "a.c", "a.c", true);
        check(Equal, "a.c", "abc", false);
        check(NotEqual, "a", "", true);
        check(Matches, "a.c", "abc", true);
        check(Matches, "a.c", "xabc", false);
        check(Matches, "a.c", "a\nc", true);
        check(Matches, "a|b", "b", true);
        check(Matches, "a|b", "ab", false);
        check(Matches, "a|", "", true);
        check(Matches, "ab?|c", "a", true);
        check(Matches, "ab?|c", "xc", false);
        check(NotMatches, "a|b", "b", false);
        check(NotMatches, ".+", "", true);
    }

    #[test]
    fn a_pattern_that_cannot_be_used_is_a_named_error() {
        for pattern in ["(", ")|(", r"\w{1000}{1000}"] {
            let matcher = Matcher { key: "k".to_owned(), op: MatchOp::Matches, value: pattern.to_owned() };
            assert!(matches!(matcher.compiled(), Err(StoreError::WrongCondition { .. })), "{pattern}");
        }
    }
}
