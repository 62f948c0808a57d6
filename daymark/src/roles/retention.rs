//! How long rows are kept: days for spans, logs and traces, days by the width of windows for metrics, and a file of exceptions.
//!
//! A line of the file is `TENANT TABLE HOURS`; `*` as the tenant means every tenant that has no line of its own. Empty
//! lines and those that begin with `#` are skipped. A second line of the same tenant and table is a mistake.

use anyhow::{Context as _, anyhow, ensure};
use daymark_collector::Retention;
use daymark_model::TenantId;
use daymark_store::TableName;

use crate::cli::RetentionArgs;

/// Longest that can be asked for: a hundred years.
const MAX_HOURS: u64 = 876_000;
/// A longer file is not ours.
const MAX_BYTES: u64 = 16 << 20;

/// The retention of a collector.
///
/// # Errors
/// When the file cannot be read or a line is wrong, with file and line.
pub(crate) fn read(args: &RetentionArgs) -> anyhow::Result<Retention> {
    let RetentionArgs { retention_days, retention_file, retention_check_s, metrics } = args;
    let hours = retention_days * 24;
    let mut retention = Retention {
        spans_hours: hours,
        logs_hours: hours,
        traces_hours: hours,
        metrics_10s_hours: metrics.metrics_10s_days * 24,
        metrics_1m_hours: metrics.metrics_1m_days * 24,
        metrics_1h_hours: metrics.metrics_1h_days * 24,
        metrics_1d_hours: metrics.metrics_1d_days * 24,
        check_interval_s: *retention_check_s,
        ..Retention::default()
    };
    let Some(file) = retention_file else { return Ok(retention) };
    let shown = file.display();
    let bytes = std::fs::metadata(file).with_context(|| format!("retention file {shown}"))?.len();
    ensure!(bytes <= MAX_BYTES, "retention file {shown}: {bytes} bytes, the limit is {MAX_BYTES}");
    let text = std::fs::read_to_string(file).with_context(|| format!("retention file {shown}"))?;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        set(&mut retention, line).map_err(|error| anyhow!("retention file {shown}, line {number}: {error}"))?;
    }
    Ok(retention)
}

fn set(retention: &mut Retention, line: &str) -> anyhow::Result<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [tenant, table, hours] = words[..] else { return Err(anyhow!("expected TENANT TABLE HOURS, found {line:?}")) };
    let known = || {
        let tables = TableName::ALL.into_iter().filter(|table| *table != TableName::Series);
        tables.map(TableName::as_str).collect::<Vec<_>>().join(", ")
    };
    let table = TableName::parse(table).with_context(|| format!("unknown table {table:?}; known: {}", known()))?;
    ensure!(table != TableName::Series, "series is kept as long as the metrics that refer to it; known: {}", known());
    let hours = hours.parse().ok().filter(|hours| (1..=MAX_HOURS).contains(hours));
    let hours: u64 = hours.with_context(|| format!("hours must be a number from 1 to {MAX_HOURS}"))?;
    let tenant = if tenant == "*" { None } else { Some(TenantId::parse(tenant)?) };
    let of = tenant.as_ref().map_or("every tenant", TenantId::as_str).to_owned();
    let before = retention.exceptions.insert((tenant, table), hours);
    ensure!(before.is_none(), "{table} of {of} has a line already");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::cli::data::MetricRetention;

    fn args(retention_days: u64, retention_file: Option<PathBuf>) -> RetentionArgs {
        let metrics =
            MetricRetention { metrics_10s_days: 1, metrics_1m_days: 2, metrics_1h_days: 3, metrics_1d_days: 4 };
        RetentionArgs { retention_days, retention_file, retention_check_s: 300, metrics }
    }

    fn retention(text: &str) -> anyhow::Result<Retention> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(&args(7, Some(file.path().to_owned())))
    }

    #[test]
    fn a_tenants_line_goes_before_everybodys_and_that_before_the_default() {
        let kept = retention("# exceptions\n* logs 72\n\nacme logs 720\nacme metrics_1m 24\n").unwrap();
        let hours = |tenant: &str, table| kept.hours_of(&TenantId::parse(tenant).unwrap(), table);
        assert_eq!((hours("acme", TableName::Logs), hours("other", TableName::Logs)), (720, 72));
        assert_eq!((hours("acme", TableName::Spans), hours("acme", TableName::Metrics1m)), (168, 24));
        let plain = read(&args(2, None)).unwrap();
        let of = |table| plain.hours_of(&TenantId::default(), table);
        assert_eq!((of(TableName::Traces), of(TableName::Metrics1d)), (48, 96));
    }

    #[test]
    fn series_are_kept_as_long_as_the_metrics_of_their_tenant() {
        let kept = retention("* metrics_1d 960\nacme metrics_1m 9600\n").unwrap();
        let hours = |tenant: &str| kept.hours_of(&TenantId::parse(tenant).unwrap(), TableName::Series);
        assert_eq!((hours("acme"), hours("other")), (9_624, 984));
    }

    #[test]
    fn a_wrong_line_is_named_with_what_was_expected() {
        let check = |text: &str, expected: &str| {
            let said = retention(text).unwrap_err().to_string();
            assert!(said.contains(expected), "{text:?}: {said}");
        };
        check("* logs 72\n* log 72", "line 2: unknown table \"log\"; known: spans, logs, traces");
        check("* logs", "line 1: expected TENANT TABLE HOURS");
        check("* logs 0", "hours must be a number from 1 to 876000");
        check("* series 72", "series is kept as long as the metrics that refer to it");
        check("Acme logs 1", "tenant \"Acme\"");
        check("* logs 1\n* logs 2", "line 2: logs of every tenant has a line already");
    }
}
