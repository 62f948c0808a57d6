//! Ids compared in upper case: what a filter compares an id column with is written as the column is shown.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

const ID_COLUMNS: [&str; 5] = ["trace_id", "span_id", "parent_span_id", "exemplar_trace_id", "exemplar_span_id"];
/// Digits of a span's and of a trace's id.
const ID_LENGTHS: [usize; 2] = [16, 32];

/// The plan with such literals in lower case. Only in filters: elsewhere a literal names a column of the answer.
pub(crate) fn lower_case_ids(plan: LogicalPlan) -> Result<LogicalPlan> {
    let of_node = |node: LogicalPlan| match node {
        LogicalPlan::Filter(_) => node.map_expressions(|expr| expr.transform_up(of_comparison)),
        other => Ok(Transformed::no(other)),
    };
    Ok(plan.transform_down_with_subqueries(of_node)?.data)
}

fn of_comparison(expr: Expr) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Eq | Operator::NotEq), right })
            if is_id(&left) || is_id(&right) =>
        {
            let (left, right) = (Box::new(lower(*left)), Box::new(lower(*right)));
            Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::InList(InList { expr, list, negated }) if is_id(&expr) => {
            let list = list.into_iter().map(lower).collect();
            Transformed::yes(Expr::InList(InList { expr, list, negated }))
        }
        other => Transformed::no(other),
    })
}

fn is_id(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if ID_COLUMNS.contains(&column.name()))
}

fn lower(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), metadata) if is_hex(&text) => {
            Expr::Literal(ScalarValue::Utf8(Some(text.to_ascii_lowercase())), metadata)
        }
        other => other,
    }
}

fn is_hex(text: &str) -> bool {
    ID_LENGTHS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
