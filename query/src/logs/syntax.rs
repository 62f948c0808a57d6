//! The language of log searches: a strict, small relative of Lucene's.
//!
//! ```text
//! search  = or
//! or      = and ("OR" and)*
//! and     = unary (["AND"] unary)*
//! unary   = ("-" | "NOT" | "+") unary | "(" or ")" | [field ":"] value
//! value   = word | word "*" | "\"" phrase "\"" | "*"
//! ```
//! - A word matches a whole token of the body, whatever its case; a word with other characters inside
//!   (`10.0.0.1`, `user@host`) is a phrase of its tokens. `OR`, `AND` and `NOT` count only in capitals.
//! - A field is `service`, `severity`, `trace_id`, `span_id`, `correlation_id`, `event`, `scope`, `body`, or the key of
//!   an attribute (record first, then resource); its value matches exactly, `value*` by prefix, `*` when it is present.
//! - What Lucene has and this has not (ranges, fuzzy terms, inner wildcards) is an error, never a silent miss.

use daymark_model::{SpanId, TraceId};
use daymark_store::body::words_of;

/// Deepest nesting of parentheses and negations.
const MAX_DEPTH: usize = 32;

/// A search that cannot be understood, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {message}")]
pub(crate) struct SyntaxError {
    /// Position in the search text, in characters from 1.
    pub(crate) position: usize,
    pub(crate) message: String,
}

/// A parsed search.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    All,
    Body(Pattern),
    Field(Field, Test),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
}

/// Consecutive tokens of the body, lower-cased.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    pub(crate) tokens: Vec<String>,
    /// The last token needs to match only the beginning of one.
    pub(crate) open_end: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    Service,
    Severity,
    Event,
    Scope,
    CorrelationId,
    TraceId,
    SpanId,
    Attribute(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Present,
    Is(String),
    StartsWith(String),
    IsBytes(Vec<u8>),
}

/// Parses a search; an empty one matches all.
pub(crate) fn parse(text: &str) -> Result<Expr, SyntaxError> {
    let mut parser = Parser { chars: text.chars().collect(), at: 0, depth: 0 };
    parser.skip_space();
    if parser.at == parser.chars.len() {
        return Ok(Expr::All);
    }
    let expr = parser.or()?;
    match parser.peek() {
        None => Ok(expr),
        Some(')') => Err(parser.error("\")\" without \"(\"")),
        Some(other) => Err(parser.error(format!("unexpected {other:?}"))),
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

/// A value as written: unquoted ones may end in `*`.
struct Value {
    text: String,
    quoted: bool,
    star: bool,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError { position: self.at + 1, message: message.into() }
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// Takes `keyword` if it stands here as a word of its own.
    fn keyword(&mut self, keyword: &str) -> bool {
        let end = self.at + keyword.len();
        let here = self.chars.get(self.at..end).is_some_and(|chars| chars.iter().copied().eq(keyword.chars()));
        let ends = self.chars.get(end).is_none_or(|c| c.is_whitespace() || *c == '(' || *c == '"');
        if here && ends {
            self.at = end;
            self.skip_space();
        }
        here && ends
    }

    fn or(&mut self) -> Result<Expr, SyntaxError> {
        let mut any = vec![self.and()?];
        while self.keyword("OR") {
            any.push(self.and()?);
        }
        Ok(if any.len() == 1 { any.swap_remove(0) } else { Expr::Or(any) })
    }

    fn and(&mut self) -> Result<Expr, SyntaxError> {
        let mut all = vec![self.unary()?];
        loop {
            self.skip_space();
            let before = self.at;
            if self.peek().is_none_or(|c| c == ')') {
                break;
            }
            if self.keyword("OR") {
                self.at = before;
                break;
            }
            self.keyword("AND");
            all.push(self.unary()?);
        }
        Ok(if all.len() == 1 { all.swap_remove(0) } else { Expr::And(all) })
    }

    fn unary(&mut self) -> Result<Expr, SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH}")));
        }
        self.skip_space();
        let expr = match self.peek() {
            None => Err(self.error("a word, phrase or field is missing here")),
            Some('-') => {
                self.at += 1;
                self.negated()
            }
            Some('+') => {
                self.at += 1;
                self.unary()
            }
            Some('(') => self.group(),
            Some(')') => Err(self.error("a word, phrase or field is missing before \")\"")),
            Some(_) if self.keyword("NOT") => self.negated(),
            Some(_) if self.keyword("OR") || self.keyword("AND") => {
                Err(self.error("OR and AND stand between two terms; write them in lower case to search for the word"))
            }
            Some(_) => self.term(),
        };
        self.depth -= 1;
        expr
    }

    fn negated(&mut self) -> Result<Expr, SyntaxError> {
        Ok(Expr::Not(Box::new(self.unary()?)))
    }

    fn group(&mut self) -> Result<Expr, SyntaxError> {
        self.at += 1;
        let expr = self.or()?;
        self.skip_space();
        if self.peek() != Some(')') {
            return Err(self.error("\")\" is missing"));
        }
        self.at += 1;
        Ok(expr)
    }

    fn term(&mut self) -> Result<Expr, SyntaxError> {
        let start = self.at;
        let Some(name) = self.field_name() else {
            let value = self.value()?;
            return self.body(value, start);
        };
        let value_start = self.at;
        match self.peek() {
            Some('(') => return Err(self.error(format!("write ({name}:a OR {name}:b)"))),
            Some('>' | '<' | '[' | '{') => return Err(self.error("ranges are not supported; use equality or prefix*")),
            None => return Err(self.error(format!("a value is missing after {name}:"))),
            Some(c) if c.is_whitespace() => return Err(self.error(format!("a value is missing after {name}:"))),
            Some(_) => {}
        }
        let value = self.value()?;
        if matches!(name.as_str(), "body" | "message") {
            return self.body(value, value_start);
        }
        field_test(&name, value).map_err(|message| SyntaxError { position: value_start + 1, message })
    }

    /// `name:` when it stands here, but not the scheme of an address (`http://..`).
    fn field_name(&mut self) -> Option<String> {
        let rest = &self.chars[self.at..];
        let is_start = |c: &char| c.is_alphabetic() || *c == '_';
        rest.first().filter(|c| is_start(c))?;
        let length = rest.iter().position(|c| !(c.is_alphanumeric() || "_.-/@".contains(*c)))?;
        if rest[length] != ':' || rest.get(length + 1..length + 3) == Some(&['/', '/']) {
            return None;
        }
        self.at += length + 1;
        Some(rest[..length].iter().collect())
    }

    fn value(&mut self) -> Result<Value, SyntaxError> {
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let mut value = Value { text: String::new(), quoted: false, star: false };
        while let Some(c) = self.peek() {
            if c.is_whitespace() || matches!(c, '(' | ')' | '"') {
                break;
            }
            if value.star {
                return Err(self.error("\"*\" stands only at the end of a word"));
            }
            self.at += 1;
            match c {
                '*' => value.star = true,
                '\\' => match self.peek() {
                    Some(escaped) => {
                        value.text.push(escaped);
                        self.at += 1;
                    }
                    None => return Err(self.error("nothing follows \"\\\"")),
                },
                c => value.text.push(c),
            }
        }
        Ok(value)
    }

    fn quoted(&mut self) -> Result<Value, SyntaxError> {
        let mut value = Value { text: String::new(), quoted: true, star: false };
        self.at += 1;
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '"' => return Ok(value),
                '\\' if matches!(self.peek(), Some('"' | '\\')) => {
                    value.text.extend(self.peek());
                    self.at += 1;
                }
                c => value.text.push(c),
            }
        }
        Err(self.error("the closing quote is missing"))
    }

    fn body(&self, value: Value, start: usize) -> Result<Expr, SyntaxError> {
        let words = words_of(&value.text);
        match (words.is_empty(), value.star) {
            (true, true) if value.text.is_empty() => Ok(Expr::All),
            (true, _) => {
                let message = format!("{:?} holds no letter or digit to search for", value.text);
                Err(SyntaxError { position: start + 1, message })
            }
            // `/api/*`: the star stands after a separator, so the tokens before it are whole.
            (false, star) => {
                let open_end = star && value.text.ends_with(char::is_alphanumeric);
                Ok(Expr::Body(Pattern { tokens: words, open_end }))
            }
        }
    }
}

fn field_test(name: &str, value: Value) -> Result<Expr, String> {
    let field = match name {
        "service" | "service.name" | "service_name" => Field::Service,
        "severity" | "level" => Field::Severity,
        "event" | "event_name" | "event.name" => Field::Event,
        "scope" | "scope_name" => Field::Scope,
        "correlation_id" => Field::CorrelationId,
        "trace_id" => Field::TraceId,
        "span_id" => Field::SpanId,
        key => Field::Attribute(key.to_owned()),
    };
    if value.text.is_empty() && value.star && !value.quoted {
        return Ok(Expr::Field(field, Test::Present));
    }
    let id_bytes = match field {
        Field::TraceId => Some(value.text.parse::<TraceId>().map(|id| id.0.to_vec())),
        Field::SpanId => Some(value.text.parse::<SpanId>().map(|id| id.0.to_vec())),
        _ => None,
    };
    let test = match id_bytes {
        Some(_) if value.star => return Err(format!("{name} takes a whole id")),
        Some(bytes) => Test::IsBytes(bytes.map_err(|error| error.to_string())?),
        None => {
            let text = if field == Field::Severity { value.text.to_uppercase() } else { value.text };
            if value.star { Test::StartsWith(text) } else { Test::Is(text) }
        }
    };
    Ok(Expr::Field(field, test))
}

#[cfg(test)]
#[path = "syntax_tests.rs"]
mod tests;
