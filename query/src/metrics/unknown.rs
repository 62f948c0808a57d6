//! A metric nobody sent: the answer is empty, and says why.

use std::collections::BTreeSet;

use daymark_model::{Receipt, TenantId, TimeRange};
use daymark_store::TableName;

use crate::QueryError;
use crate::router::App;
use crate::rows::strings;
use crate::scan::{self, Wanted};

/// Names that are proposed.
const MAX_SIMILAR: usize = 3;

/// Warns when no series in the range has the name. Dashboards may ask before the first data comes: no error.
pub(crate) async fn warn_if_unknown(
    app: &App,
    tenant: &TenantId,
    metric: &str,
    table: TableName,
    range: TimeRange,
    receipt: &mut Receipt,
) -> Result<(), QueryError> {
    let mut view = app.view(tenant, table, range).await?;
    let batches = scan::rows(&mut view, Wanted { columns: vec!["metric"], ..Wanted::default() }).await?;
    let mut names = BTreeSet::new();
    for batch in &batches {
        let column = strings(batch, "metric")?;
        let mut previous = None;
        for name in column.iter().flatten().filter(|name| previous.replace(*name) != Some(*name)) {
            names.insert(name.to_owned());
        }
    }
    if !names.contains(metric) {
        receipt.warn(unknown(metric, &names));
    }
    Ok(())
}

fn unknown(metric: &str, names: &BTreeSet<String>) -> String {
    let mut similar: Vec<(usize, &String)> = names.iter().map(|name| (distance(metric, name), name)).collect();
    similar.sort();
    let is_close = |(distance, name): &(usize, &String)| {
        *distance <= metric.len().min(name.len()) / 2 || name.contains(metric) || metric.contains(name.as_str())
    };
    let close: Vec<&str> = similar.iter().filter(|one| is_close(one)).map(|(_, name)| name.as_str()).collect();
    let hint = match close.as_slice() {
        [] => "GET /api/v1/metrics lists those there are".to_owned(),
        close => format!("similar: {}", close[..close.len().min(MAX_SIMILAR)].join(", ")),
    };
    format!("no metric named {metric:?} in this range; {hint}")
}

/// Letters to insert, delete or change to make one text of the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in to.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(metric: &str, says: &str) {
        let names = ["http.server.duration", "http.server.size", "queue.depth"].map(str::to_owned).into();
        assert_eq!(unknown(metric, &names), format!("no metric named {metric:?} in this range; {says}"));
    }

    #[test]
    fn similar_names_are_proposed() {
        check("http.server.durations", "similar: http.server.duration, http.server.size");
        check("queue", "similar: queue.depth");
        check("queue_depth", "similar: queue.depth");
        check("x", "GET /api/v1/metrics lists those there are");
        assert_eq!([distance("", "ab"), distance("ab", "ab"), distance("kitten", "sitting")], [2, 0, 3]);
    }
}
