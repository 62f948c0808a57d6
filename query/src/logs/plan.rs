//! Splits a search into what the body index can decide and what is left to look at row by row.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use daymark_store::{BodyQuery, Filter};

use super::matching::{Matcher, attributes_of, columns_of};
use super::syntax::{Expr, Pattern};

/// A search as the store understands it: rows match iff they match both.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SearchPlan {
    /// Decided by the index and the body column.
    pub(crate) body: BodyQuery,
    /// What more must hold; `None` when `body` says it all.
    pub(crate) rest: Option<Expr>,
}

impl SearchPlan {
    pub(crate) fn of(expr: Expr) -> SearchPlan {
        let parts = match expr {
            Expr::And(parts) => parts,
            single => vec![single],
        };
        let (mut body, mut rest) = (Vec::new(), Vec::new());
        for part in parts {
            match exact(&part) {
                Some(query) => body.push(query),
                None => {
                    body.push(necessary(&part));
                    rest.push(part);
                }
            }
        }
        body.retain(|query| *query != BodyQuery::Everything);
        let body = match body.len() {
            0 => BodyQuery::Everything,
            1 => body.swap_remove(0),
            _ => BodyQuery::All(body),
        };
        let rest = match rest.len() {
            0 => None,
            1 => Some(rest.swap_remove(0)),
            _ => Some(Expr::And(rest)),
        };
        SearchPlan { body, rest }
    }

    /// The row filter for `rest`.
    pub(crate) fn rest_filter(&self) -> Option<Filter> {
        self.rest.clone().map(expr_filter)
    }

    /// The row filter for `body`, for reads that do not verify it themselves.
    pub(crate) fn body_filter(&self) -> Option<Filter> {
        if self.body == BodyQuery::Everything {
            return None;
        }
        let query = self.body.clone();
        Some(Filter::new(&["body"], move |batch| {
            let bodies =
                crate::rows::strings(batch, "body").map_err(|error| ArrowError::SchemaError(error.to_string()))?;
            let mut matcher = query.matcher();
            Ok(bodies.iter().map(|body| body.map(|body| matcher.matches(body))).collect())
        }))
    }
}

fn expr_filter(expr: Expr) -> Filter {
    let mut columns = BTreeSet::new();
    columns_of(&expr, &mut columns);
    let columns: Vec<&str> = columns.into_iter().collect();
    let mut keys = Vec::new();
    attributes_of(&expr, &mut keys);
    let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    let expr = Arc::new(expr);
    let filter = Filter::new(&columns, move |batch: &RecordBatch| {
        let matcher = Matcher::bind(&expr, batch).map_err(|error| ArrowError::SchemaError(error.to_string()))?;
        Ok((0..batch.num_rows()).map(|row| Some(matcher.matches(row))).collect::<BooleanArray>())
    });
    keys.iter().fold(filter, |filter, key| filter.of_attribute(key))
}

/// The same question about the body alone, if it is one.
fn exact(expr: &Expr) -> Option<BodyQuery> {
    let all = |parts: &[Expr]| parts.iter().map(exact).collect::<Option<Vec<BodyQuery>>>();
    match expr {
        Expr::All => Some(BodyQuery::Everything),
        Expr::Body(Pattern { tokens, open_end }) => match (tokens.as_slice(), open_end) {
            ([word], false) => Some(BodyQuery::Word(word.clone())),
            ([start], true) => Some(BodyQuery::Prefix(start.clone())),
            (phrase, false) => Some(BodyQuery::Phrase(phrase.to_vec())),
            (_, true) => None,
        },
        Expr::Field(..) => None,
        Expr::And(parts) => all(parts).map(BodyQuery::All),
        Expr::Or(parts) => all(parts).map(BodyQuery::Any),
        Expr::Not(inner) => exact(inner).map(|query| BodyQuery::Not(Box::new(query))),
    }
}

/// A question about the body that every matching row answers with yes.
fn necessary(expr: &Expr) -> BodyQuery {
    if let Some(query) = exact(expr) {
        return query;
    }
    match expr {
        // A phrase whose last word is open.
        Expr::Body(Pattern { tokens, .. }) => match tokens.split_last() {
            Some((last, whole)) => {
                BodyQuery::All(vec![BodyQuery::Phrase(whole.to_vec()), BodyQuery::Prefix(last.clone())])
            }
            None => BodyQuery::Everything,
        },
        Expr::And(parts) => BodyQuery::All(parts.iter().map(necessary).collect()),
        Expr::Or(parts) => {
            let any: Vec<BodyQuery> = parts.iter().map(necessary).collect();
            if any.contains(&BodyQuery::Everything) { BodyQuery::Everything } else { BodyQuery::Any(any) }
        }
        Expr::All | Expr::Field(..) | Expr::Not(_) => BodyQuery::Everything,
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::parse;
    use super::*;

    fn check(search: &str, body: &str, has_rest: bool) {
        let plan = SearchPlan::of(parse(search).unwrap());
        assert_eq!((format!("{:?}", plan.body).as_str(), plan.rest.is_some()), (body, has_rest), "search {search:?}");
    }

    #[test]
    fn the_index_decides_all_it_can_and_never_more() {
        check("", "Everything", false);
        check("a", "Word(\"a\")", false);
        check("a b*", "All([Word(\"a\"), Prefix(\"b\")])", false);
        check("a -b", "All([Word(\"a\"), Not(Word(\"b\"))])", false);
        check("a service:s", "Word(\"a\")", true);
        check("service:s", "Everything", true);
        check("a OR service:s", "Everything", true);
        check(
            "(a service:s) OR (b user:u)",
            "Any([All([Word(\"a\"), Everything]), All([Word(\"b\"), Everything])])",
            true,
        );
        check("-(a service:s)", "Everything", true);
        check("x.y*", "All([Phrase([\"x\"]), Prefix(\"y\")])", true);
    }
}
