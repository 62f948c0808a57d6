//! A metric nobody sent: the answer is empty, and says why.

use std::collections::BTreeSet;

use daymark_model::{Receipt, TenantId, TimeRange, edits};
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
    let letters = |name: &str| name.chars().collect::<Vec<char>>();
    let asked = letters(metric);
    let mut similar: Vec<(usize, &String)> = names.iter().map(|name| (edits(&asked, &letters(name)), name)).collect();
    similar.sort();
    let is_close = |(edits, name): &(usize, &String)| {
        *edits <= metric.len().min(name.len()) / 2 || name.contains(metric) || metric.contains(name.as_str())
    };
    let close: Vec<&str> = similar.iter().filter(|one| is_close(one)).map(|(_, name)| name.as_str()).collect();
    let hint = match close.as_slice() {
        [] => "GET /api/v1/metrics lists those there are".to_owned(),
        close => format!("similar: {}", close[..close.len().min(MAX_SIMILAR)].join(", ")),
    };
    format!("no metric named {metric:?} in this range; {hint}")
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
    }
}
