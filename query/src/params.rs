//! Query parameters, read strictly: an unknown or repeated one is an error that names it.

use axum::extract::{FromRequestParts, Query};
use daymark_guard::Clock;
use daymark_model::{TimeRange, UnixNanos};
use http::request::Parts;

use crate::QueryError;
use crate::time::parse_time;

const DEFAULT_RANGE_NS: u64 = 3_600_000_000_000;

/// The parameters of a request in their order, keys repeatable.
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = QueryError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Params, QueryError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| QueryError::parameter("query string", rejection.body_text()))?;
        // An empty value means "not set": forms send empty fields.
        Ok(Params(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect()))
    }
}

impl Params {
    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    /// Refuses parameters outside `known` and those in `single` that come twice.
    pub(crate) fn check(&self, single: &[&str], repeatable: &[&str]) -> Result<(), QueryError> {
        for (position, (key, _)) in self.0.iter().enumerate() {
            let is_single = single.contains(&key.as_str());
            if !is_single && !repeatable.contains(&key.as_str()) {
                let known = [single, repeatable].concat().join(", ");
                return Err(QueryError::parameter(key, format!("unknown parameter {key:?}; known: {known}")));
            }
            if is_single && self.0[..position].iter().any(|(earlier, _)| earlier == key) {
                return Err(QueryError::parameter(key, format!("parameter {key:?} is given twice")));
            }
        }
        Ok(())
    }

    pub(crate) fn one(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// `key=value` texts of a repeatable parameter.
    pub(crate) fn pairs(&self, key: &'static str) -> Result<Vec<(String, String)>, QueryError> {
        self.all(key)
            .map(|text| match text.split_once('=') {
                Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
                _ => Err(QueryError::parameter(key, format!("expected name=value, got {text:?}"))),
            })
            .collect()
    }

    pub(crate) fn number<N: std::str::FromStr>(&self, key: &'static str) -> Result<Option<N>, QueryError> {
        let parse = |text: &str| {
            text.parse::<N>().map_err(|_| {
                QueryError::parameter(key, format!("expected a number that is not negative, got {text:?}"))
            })
        };
        self.one(key).map(parse).transpose()
    }

    pub(crate) fn flag(&self, key: &'static str) -> Result<Option<bool>, QueryError> {
        match self.one(key) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(QueryError::parameter(key, format!("expected true or false, got {other:?}"))),
        }
    }

    pub(crate) fn id<Id: std::str::FromStr>(&self, key: &'static str) -> Result<Option<Id>, QueryError>
    where
        Id::Err: std::fmt::Display,
    {
        self.one(key)
            .map(|text| text.parse().map_err(|e: Id::Err| QueryError::parameter(key, e.to_string())))
            .transpose()
    }

    /// `limit`, at most `max_rows`.
    pub(crate) fn limit(&self, default: usize, max_rows: usize) -> Result<usize, QueryError> {
        let limit = self.number::<usize>("limit")?.unwrap_or(default);
        if limit > max_rows {
            return Err(QueryError::parameter(
                "limit",
                format!("limit {limit} is above {max_rows} (option query.max_rows)"),
            ));
        }
        Ok(limit)
    }

    /// As [`Params::range`]; the bounds may also be called `start` and `end` by other names.
    pub(crate) fn range_or(
        &self,
        from: &'static str,
        to: &'static str,
        clock: &dyn Clock,
    ) -> Result<TimeRange, QueryError> {
        for (name, other) in [("start", from), ("end", to)].into_iter().filter(|(name, other)| name != other) {
            if self.one(name).is_some() && self.one(other).is_some() {
                return Err(QueryError::parameter(
                    other,
                    format!("{other} is another name of {name}: give one of them"),
                ));
            }
        }
        let end = self.time(to)?.or(self.time("end")?).unwrap_or_else(|| clock.now());
        let start = self.time(from)?.or(self.time("start")?).unwrap_or_else(|| end.minus(DEFAULT_RANGE_NS));
        if start >= end {
            return Err(QueryError::parameter(from, format!("{from} must lie before {to}")));
        }
        Ok(TimeRange { start, end })
    }

    /// `start` and `end`; by default the hour before now.
    pub(crate) fn range(&self, clock: &dyn Clock) -> Result<TimeRange, QueryError> {
        self.range_or("start", "end", clock)
    }

    fn time(&self, key: &'static str) -> Result<Option<UnixNanos>, QueryError> {
        let parse = |text: &str| {
            parse_time(text)
                .ok_or_else(|| QueryError::parameter(key, format!("expected RFC 3339 or a unix time, got {text:?}")))
        };
        self.one(key).map(parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use daymark_guard::ManualClock;

    use super::*;

    fn message(result: Result<(), QueryError>) -> String {
        result.err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let params = Params::of(&[("service", "a"), ("servcie", "b")]);
        assert!(message(params.check(&["service"], &[])).contains("\"servcie\""));
        let params = Params::of(&[("service", "a"), ("service", "b")]);
        assert!(message(params.check(&["service"], &[])).contains("twice"));
        assert!(params.check(&[], &["service"]).is_ok());
        assert!(Params::of(&[("attribute", "novalue")]).pairs("attribute").is_err());
        assert!(Params::of(&[("limit", "11")]).limit(5, 10).is_err());
        assert!(Params::of(&[("errors", "maybe")]).flag("errors").is_err());
    }

    #[test]
    fn the_default_range_is_the_last_hour() {
        let clock = ManualClock::at(UnixNanos::from_seconds(10_000));
        let range = Params::of(&[]).range(&clock).unwrap();
        assert_eq!((range.start.seconds(), range.end.seconds()), (6_400, 10_000));
        assert!(Params::of(&[("start", "10001")]).range(&clock).is_err());
    }
}
