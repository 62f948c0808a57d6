//! `daymark store usage`: what the tables of a data directory take, and when the disk is full.

use std::fmt::Write as _;

use daymark_guard::{FileSystem as _, RealFileSystem};
use daymark_log::LogOptions;
use daymark_store::{Access, DiskSpace, Usage};

use super::select;
use crate::cli::store_command::UsageArgs;
use crate::commands::output;
use crate::roles::retention;

/// Prints a line a table and the forecast.
///
/// # Errors
/// When the directory holds no tables, or they cannot be read.
pub(super) async fn run(args: UsageArgs) -> anyhow::Result<()> {
    let UsageArgs { selection, retention } = args;
    let (store, _) = select(&selection, Access::Read).await?;
    let kept = retention::read(&retention)?;
    let reserved_bytes = LogOptions::default().min_free_bytes;
    // Tables in an object store do not fill our disk.
    let free = if store.is_local() { RealFileSystem.free_bytes(&selection.data_dir).ok() } else { None };
    let disk = free.map(|free_bytes| DiskSpace { free_bytes, reserved_bytes });
    let mut usage = store.usage(|tenant, table| kept.hours_of(tenant, table), disk).await?;
    // The disk and the forecast are those of all tables.
    usage.tables.retain(|table| {
        selection.tenant.as_ref().is_none_or(|tenant| *tenant == table.tenant)
            && selection.table.is_none_or(|name| name == table.table)
    });
    let text = if selection.json { format!("{}\n", serde_json::to_string_pretty(&usage)?) } else { shown(&usage) };
    Ok(output::print(&text)?)
}

fn shown(usage: &Usage) -> String {
    let mut text = format!(
        "{:<20} {:<12} {:>8} {:>12} {:>14} {:>14} {:>12} {:>14} {:>6}\n",
        "tenant", "table", "segments", "rows", "data bytes", "index bytes", "bytes/hour", "freed in 24 h", "kept h"
    );
    for table in &usage.tables {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{:<20} {:<12} {:>8} {:>12} {:>14} {:>14} {:>12} {:>14} {:>6}",
            table.tenant.as_str(),
            table.table.as_str(),
            table.segments,
            table.rows,
            table.data_bytes,
            table.index_bytes,
            table.bytes_per_hour,
            table.freed_in_24h_bytes,
            table.kept_hours
        );
    }
    let total: u64 = usage.tables.iter().map(|table| table.data_bytes + table.index_bytes).sum();
    let _ = write!(text, "{total} bytes in these tables");
    if let Some(disk) = usage.disk {
        let _ = write!(text, ", {} bytes free, {} of them kept in reserve", disk.free_bytes, disk.reserved_bytes);
    }
    match (usage.full_in_hours, usage.disk) {
        (Some(hours), _) => {
            let _ = writeln!(text, "; at this rate new data is refused in {hours} hours");
        }
        (None, Some(_)) => text.push_str("; at this rate the disk is not full within a year\n"),
        (None, None) => text.push_str("; how much room is left is not known\n"),
    }
    text
}

#[cfg(test)]
mod tests {
    use daymark_model::{TenantId, UnixNanos};
    use daymark_store::{TableName, TableUsage};

    use super::*;

    #[test]
    fn the_forecast_is_the_last_line() {
        let table = TableUsage {
            tenant: TenantId::default(),
            table: TableName::Logs,
            segments: 3,
            rows: 40,
            data_bytes: 500,
            index_bytes: 60,
            oldest: None,
            newest: None,
            kept_hours: 168,
            bytes_per_hour: 7,
            freed_in_24h_bytes: 0,
        };
        let disk = Some(DiskSpace { free_bytes: 100, reserved_bytes: 30 });
        let mut usage = Usage { at: UnixNanos(0), tables: vec![table], disk, full_in_hours: Some(10) };
        let text = shown(&usage);
        assert!(text.lines().nth(1).unwrap().starts_with("default              logs"), "{text}");
        let last = "560 bytes in these tables, 100 bytes free, 30 of them kept in reserve; at this rate new data is refused in 10 hours";
        assert_eq!(text.lines().last(), Some(last));
        usage.full_in_hours = None;
        assert!(shown(&usage).ends_with("is not full within a year\n"));
        usage.disk = None;
        assert!(shown(&usage).ends_with("560 bytes in these tables; how much room is left is not known\n"));
    }
}
