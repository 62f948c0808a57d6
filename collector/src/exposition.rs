//! The collector's own figures in the Prometheus text format, for `GET /metrics`.
//!
//! No tenant is named: whoever may scrape a collector need not know its tenants. Figures by tenant are in
//! `/api/v1/storage` and `/api/v1/ledger`.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use daymark_log::LogStats;
use daymark_model::UnixNanos;
use daymark_store::{CollectorStatus, HotSource, Usage};

use crate::CollectorHandle;

pub(crate) async fn text(handle: &CollectorHandle) -> String {
    let (status, usage) = (handle.status().await.ok(), handle.storage().await.ok());
    let (now, log, failed_seals) = handle.figures();
    Exposition::default().of_log(&log, failed_seals).of_status(status.as_ref(), now).of_usage(usage.as_ref()).0
}

/// The text so far.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    /// One gauge: name, what it tells, and its samples with their labels.
    fn gauge<V: Display>(
        mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) -> Exposition {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP daymark_{name} {help}\n# TYPE daymark_{name} gauge");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "daymark_{name}{labels} {value}");
        }
        self
    }

    fn one<V: Display>(self, name: &str, help: &str, value: V) -> Exposition {
        self.gauge(name, help, [(String::new(), value)])
    }

    fn of_log(self, log: &LogStats, failed_seals: u32) -> Exposition {
        let fsync = [("0.5", log.fsync_p50_us), ("0.99", log.fsync_p99_us)];
        let fsync = fsync.map(|(quantile, us)| (format!("{{quantile=\"{quantile}\"}}"), us as f64 / 1e6));
        self.one("log_bytes", "Bytes of the ingest log on disk.", log.bytes)
            .one("log_segments", "Segments of the ingest log.", log.segments)
            .one("log_queued_bytes", "Bytes that wait to become durable.", log.queued_bytes)
            .one("log_undelivered_bytes", "Durable bytes that wait to be applied.", log.undelivered_bytes)
            .gauge("log_fsync_seconds", "Time of the newest data syncs.", fsync)
            .one("disk_full", "1 while new data is refused for lack of room.", u8::from(log.disk_full))
            .one("seal_failed_attempts", "Failed attempts of the seal under way.", failed_seals)
    }

    fn of_status(self, status: Option<&CollectorStatus>, now: UnixNanos) -> Exposition {
        let Some(status) = status else { return self };
        let lag = now.0.saturating_sub(status.watermark.0) as f64 / 1e9;
        let silent = status.agents.iter().filter(|agent| agent.silent).count();
        self.one("log_durable_offset", "Newest durable log offset.", status.durable)
            .one("log_applied_offset", "Newest log offset that can be read.", status.applied)
            .one("hot_rows", "Rows in memory that are not yet published.", status.hot_rows)
            .one("watermark_lag_seconds", "How far the slowest tenant's watermark is behind now.", lag)
            .one("agents", "Agents that are followed.", status.agents.len())
            .one("agents_silent", "Agents not heard of lately.", silent)
    }

    fn of_usage(self, usage: Option<&Usage>) -> Exposition {
        let Some(usage) = usage else { return self };
        let mut by_table: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for table in &usage.tables {
            let sums = by_table.entry(table.table.as_str()).or_default();
            *sums = (sums.0 + table.data_bytes + table.index_bytes, sums.1 + table.bytes_per_hour);
        }
        let labels = |table: &str| format!("{{table=\"{table}\"}}");
        let bytes = by_table.iter().map(|(table, (bytes, _))| (labels(table), *bytes));
        let growth = by_table.iter().map(|(table, (_, growth))| (labels(table), *growth));
        let text = self.gauge("table_bytes", "Bytes of published segments and their indexes.", bytes).gauge(
            "table_bytes_per_hour",
            "Growth over the newest day.",
            growth,
        );
        let free = usage.disk.map(|disk| (String::new(), disk.free_bytes));
        let full = usage.full_in_hours.map(|hours| (String::new(), hours));
        text.gauge("disk_free_bytes", "Bytes that can still be written.", free).gauge(
            "disk_full_in_hours",
            "Hours until new data is refused at this rate; absent if not within a year.",
            full,
        )
    }
}

#[cfg(test)]
mod tests {
    use daymark_model::{LogOffset, TenantId};
    use daymark_store::{DiskSpace, TableName, TableUsage};

    use super::*;

    #[test]
    fn figures_are_summed_over_tenants_and_name_none() {
        let table = |tenant: &str| TableUsage {
            tenant: TenantId::parse(tenant).unwrap(),
            table: TableName::Logs,
            segments: 1,
            rows: 1,
            data_bytes: 100,
            index_bytes: 10,
            oldest: None,
            newest: None,
            kept_hours: 1,
            bytes_per_hour: 5,
            freed_in_24h_bytes: 0,
        };
        let disk = Some(DiskSpace { free_bytes: 7, reserved_bytes: 1 });
        let usage = Usage { at: UnixNanos(0), tables: vec![table("acme"), table("other")], disk, full_in_hours: None };
        let status = CollectorStatus {
            watermark: UnixNanos::from_seconds(8),
            applied: LogOffset(3),
            ..CollectorStatus::default()
        };
        let log = LogStats { fsync_p99_us: 1_500, ..LogStats::default() };
        let text = Exposition::default()
            .of_log(&log, 2)
            .of_status(Some(&status), UnixNanos::from_seconds(10))
            .of_usage(Some(&usage))
            .0;
        for line in [
            "daymark_table_bytes{table=\"logs\"} 220",
            "daymark_table_bytes_per_hour{table=\"logs\"} 10",
            "daymark_log_fsync_seconds{quantile=\"0.99\"} 0.0015",
            "daymark_log_applied_offset 3",
            "daymark_watermark_lag_seconds 2",
            "daymark_seal_failed_attempts 2",
            "daymark_disk_free_bytes 7",
            "# TYPE daymark_disk_full_in_hours gauge",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("acme") && !text.contains("daymark_disk_full_in_hours 0"), "{text}");
    }
}
