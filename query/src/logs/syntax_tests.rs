//! Tests of the search language: text in, expression or error out.

use super::*;

/// The expression in one unambiguous line.
fn shown(expr: &Expr) -> String {
    let list = |all: &[Expr]| all.iter().map(shown).collect::<Vec<_>>().join(" ");
    match expr {
        Expr::All => "*".into(),
        Expr::Body(pattern) => format!("{}{}", pattern.tokens.join("+"), if pattern.open_end { "*" } else { "" }),
        Expr::Field(field, test) => format!("{field:?}={test:?}"),
        Expr::And(all) => format!("(and {})", list(all)),
        Expr::Or(any) => format!("(or {})", list(any)),
        Expr::Not(inner) => format!("(not {})", shown(inner)),
    }
}

fn check(text: &str, expected: &str) {
    let got = parse(text).map_or_else(|error| format!("error {error}"), |expr| shown(&expr));
    assert_eq!(got, expected, "search {text:?}");
}

#[test]
fn words_phrases_and_operators() {
    check("", "*");
    check("  *  ", "*");
    check("Timeout", "timeout");
    check("connection refused", "(and connection refused)");
    check("a AND b", "(and a b)");
    check("a b OR c d", "(or (and a b) (and c d))");
    check("a (b OR c)", "(and a (or b c))");
    check("-a b", "(and (not a) b)");
    check("a NOT b", "(and a (not b))");
    check("NOT (a OR -b)", "(not (or a (not b)))");
    check("+a -b", "(and a (not b))");
    check("\"Payment Failed\"", "payment+failed");
    check("10.0.0.1", "10+0+0+1");
    check("time-out", "time+out");
    check("pay*", "pay*");
    check("/api/*", "api");
    check("or and not", "(and or and not)");
    check("ORDER", "order");
    check("ünï", "ünï");
    check("12:30:05", "12+30+05");
    check("http://cart/x", "http+cart+x");
}

#[test]
fn fields() {
    check("service:cart", "Service=Is(\"cart\")");
    check("level:error", "Severity=Is(\"ERROR\")");
    check("http.route:\"/api/cart items\"", "Attribute(\"http.route\")=Is(\"/api/cart items\")");
    check("user:ab*", "Attribute(\"user\")=StartsWith(\"ab\")");
    check("user:*", "Attribute(\"user\")=Present");
    check("user:a:b", "Attribute(\"user\")=Is(\"a:b\")");
    check("-event:order.placed x", "(and (not Event=Is(\"order.placed\")) x)");
    check("body:\"a b\"", "a+b");
    check(
        "trace_id:00000000000000000000000000000001",
        &format!("TraceId={:?}", {
            let mut id = vec![0_u8; 15];
            id.push(1);
            Test::IsBytes(id)
        }),
    );
}

#[test]
fn what_it_does_not_know_is_an_error_with_a_position() {
    check("a )", "error at character 3: \")\" without \"(\"");
    check("(a", "error at character 3: \")\" is missing");
    check("\"a", "error at character 3: the closing quote is missing");
    check("a OR", "error at character 5: a word, phrase or field is missing here");
    check("status:>500", "error at character 8: ranges are not supported; use equality or prefix*");
    check("user:", "error at character 6: a value is missing after user:");
    check("user:(a b)", "error at character 6: write (user:a OR user:b)");
    check("a*b", "error at character 3: \"*\" stands only at the end of a word");
    check("!!", "error at character 1: \"!!\" holds no letter or digit to search for");
    check("trace_id:zz", "error at character 10: expected 32 hex digits, got \"zz\"");
    check(&"(".repeat(100), "error at character 33: nested deeper than 32");
}

proptest::proptest! {
    #[test]
    fn any_text_parses_or_fails_without_panic(text in "[ab\"() :*\\\\-]{0,40}|\\PC{0,40}") {
        let _ = parse(&text);
    }
}
