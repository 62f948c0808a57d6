//! Bounds what planning walks: operators, since each may stand inside the next and planning is recursive, and tables,
//! since a join has the columns of all of them.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::visit_relations;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::{SqlError, SqlOptions};

/// Checks a statement before it is planned. What cannot be parsed passes: planning says why.
///
/// # Errors
/// [`SqlError::Limit`].
pub(crate) fn check_depth(text: &str, options: &SqlOptions) -> Result<(), SqlError> {
    let dialect = GenericDialect {};
    let Ok(tokens) = Tokenizer::new(&dialect, text).tokenize() else { return Ok(()) };
    let operators = tokens.iter().filter(|token| is_operator(token)).count();
    if operators > options.max_operators {
        return Err(too_many("operators", "max_operators", options.max_operators));
    }
    let Ok(statements) = DFParser::parse_sql(text) else { return Ok(()) };
    let mut tables = 0;
    for statement in &statements {
        if let Statement::Statement(statement) = statement {
            let _ = visit_relations(statement.as_ref(), |_| {
                tables += 1;
                ControlFlow::<()>::Continue(())
            });
        }
    }
    if tables > options.max_tables {
        return Err(too_many("tables", "max_tables", options.max_tables));
    }
    Ok(())
}

fn too_many(what: &str, option: &'static str, limit: usize) -> SqlError {
    let what = format!("the statement has too many {what}");
    SqlError::Limit { what, option, limit: limit as u64, advice: "use IN (..) for many values, or several statements" }
}

/// Whether the token takes what is before it or after it as its argument.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) if word.quote_style.is_none() => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::SIMILAR
                | Keyword::BETWEEN
                | Keyword::AT
                | Keyword::COLLATE
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
        ),
        Token::Word(_)
        | Token::Whitespace(_)
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::Comma
        | Token::LParen
        | Token::RParen
        | Token::RBracket
        | Token::SemiColon
        | Token::EOF => false,
        _ => true,
    }
}
