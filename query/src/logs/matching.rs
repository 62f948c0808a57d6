//! Decides whether a row of `logs` matches a parsed search.

use std::collections::BTreeSet;

use arrow::array::{Array, FixedSizeBinaryArray, MapArray, RecordBatch, StringArray};
use daymark_store::body::words_of;

use super::syntax::{Expr, Field, Pattern, Test};
use crate::QueryError;
use crate::rows::{entry, ids, maps, strings, text};

impl Field {
    fn columns(&self) -> &'static [&'static str] {
        match self {
            Field::Service => &["service_name"],
            Field::Severity => &["severity"],
            Field::Event => &["event_name"],
            Field::Scope => &["scope_name"],
            Field::CorrelationId => &["correlation_id"],
            Field::TraceId => &["trace_id"],
            Field::SpanId => &["span_id"],
            Field::Attribute(_) => &["attributes", "resource_attributes"],
        }
    }
}

/// Adds the columns that `expr` looks at.
pub(crate) fn columns_of(expr: &Expr, columns: &mut BTreeSet<&'static str>) {
    match expr {
        Expr::All => {}
        Expr::Body(_) => {
            columns.insert("body");
        }
        Expr::Field(field, _) => columns.extend(field.columns()),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| columns_of(part, columns)),
        Expr::Not(inner) => columns_of(inner, columns),
    }
}

/// The attributes that the search looks for.
pub(crate) fn attributes_of<'e>(expr: &'e Expr, keys: &mut Vec<&'e str>) {
    match expr {
        Expr::Field(Field::Attribute(key), _) => keys.push(key),
        Expr::All | Expr::Body(_) | Expr::Field(..) => {}
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| attributes_of(part, keys)),
        Expr::Not(inner) => attributes_of(inner, keys),
    }
}

/// A search bound to the columns of one batch.
pub(crate) enum Matcher<'a> {
    All,
    Body(&'a StringArray, &'a Pattern),
    Text(&'a StringArray, &'a Test),
    Id(&'a FixedSizeBinaryArray, &'a Test),
    Attribute(&'a MapArray, &'a MapArray, &'a str, &'a Test),
    And(Vec<Matcher<'a>>),
    Or(Vec<Matcher<'a>>),
    Not(Box<Matcher<'a>>),
}

impl<'a> Matcher<'a> {
    pub(crate) fn bind(expr: &'a Expr, batch: &'a RecordBatch) -> Result<Matcher<'a>, QueryError> {
        let bind_all =
            |parts: &'a [Expr]| parts.iter().map(|part| Matcher::bind(part, batch)).collect::<Result<Vec<_>, _>>();
        Ok(match expr {
            Expr::All => Matcher::All,
            Expr::Body(pattern) => Matcher::Body(strings(batch, "body")?, pattern),
            Expr::Field(Field::Attribute(key), test) => {
                Matcher::Attribute(maps(batch, "attributes")?, maps(batch, "resource_attributes")?, key, test)
            }
            Expr::Field(field @ (Field::TraceId | Field::SpanId), test) => {
                Matcher::Id(ids(batch, field.columns()[0])?, test)
            }
            Expr::Field(field, test) => Matcher::Text(strings(batch, field.columns()[0])?, test),
            Expr::And(parts) => Matcher::And(bind_all(parts)?),
            Expr::Or(parts) => Matcher::Or(bind_all(parts)?),
            Expr::Not(inner) => Matcher::Not(Box::new(Matcher::bind(inner, batch)?)),
        })
    }

    pub(crate) fn matches(&self, row: usize) -> bool {
        match self {
            Matcher::All => true,
            Matcher::Body(bodies, pattern) => pattern.matches(bodies.value(row)),
            Matcher::Text(column, test) => test.holds(text(column, row)),
            Matcher::Id(column, Test::IsBytes(wanted)) => !column.is_null(row) && column.value(row) == wanted,
            Matcher::Id(column, _) => !column.is_null(row),
            Matcher::Attribute(own, resource, key, test) => {
                test.holds(entry(own, row, key).or_else(|| entry(resource, row, key)))
            }
            Matcher::And(parts) => parts.iter().all(|part| part.matches(row)),
            Matcher::Or(parts) => parts.iter().any(|part| part.matches(row)),
            Matcher::Not(inner) => !inner.matches(row),
        }
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (_, None) | (Test::IsBytes(_), _) => false,
            (Test::Present, Some(_)) => true,
            (Test::Is(wanted), Some(value)) => value == wanted,
            (Test::StartsWith(prefix), Some(value)) => value.starts_with(prefix.as_str()),
        }
    }
}

impl Pattern {
    /// Whether the tokens stand one after the other in `body`.
    pub(crate) fn matches(&self, body: &str) -> bool {
        let words = words_of(body);
        words.windows(self.tokens.len().max(1)).any(|run| self.matches_run(run))
    }

    fn matches_run(&self, run: &[String]) -> bool {
        let last = self.tokens.len().saturating_sub(1);
        run.iter().zip(&self.tokens).enumerate().all(|(at, (word, wanted))| {
            if self.open_end && at == last { word.starts_with(wanted.as_str()) } else { word == wanted }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::parse;
    use super::*;

    fn check(search: &str, body: &str, expected: bool) {
        let Expr::Body(pattern) = parse(search).unwrap() else { panic!("{search} is no body pattern") };
        assert_eq!(pattern.matches(body), expected, "{search:?} in {body:?}");
    }

    #[test]
    fn words_match_whole_tokens_in_any_case() {
        check("timeout", "Connection TIMEOUT after 3 s", true);
        check("time", "Connection timeout", false);
        check("time*", "Connection timeout", true);
        check("out*", "Connection timeout", false);
        check("timeout", "a_timeout_b", true);
        check("ÜBER", "über allem", true);
        check("x", "", false);
    }

    #[test]
    fn phrases_match_consecutive_tokens() {
        check("\"payment failed\"", "the payment: failed", true);
        check("\"payment failed\"", "payment has failed", false);
        check("\"a b\"", "a a b", true);
        check("10.0.0.1", "from 10.0.0.1:443", true);
        check("10.0.0.1", "from 10.0.0.11", false);
        check("/api/ca*", "GET /api/cart", true);
    }
}
