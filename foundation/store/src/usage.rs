//! How much disk each table takes, how fast it grows, what retention will free, and when the disk is full.
//!
//! Where it sits: the collector answers `/api/v1/storage` with it; `daymark store usage` reads a data directory by itself.
//!
//! The reckoning: a segment's bytes are spread evenly over the time of its rows. What the newest hours took is what the
//! next ones will take; what grows older than its table keeps goes. The ingest log and unpublished rows are bounded
//! by other options and not part of it.
//!
//! Invariant: everything follows from the tables' snapshots; nothing is remembered between two looks.

use std::sync::Arc;

use daymark_model::{TenantId, UnixNanos};
use serde::{Deserialize, Serialize};

use crate::segment::SegmentMeta;
use crate::{Snapshot, Store, StoreError, Table, TableName};

const HOUR_NS: u64 = 3_600_000_000_000;
/// Growth is that of the newest hours, this many at most.
const GROWTH_HOURS: u64 = 24;
/// How far ahead a full disk is looked for, hours.
const HORIZON_HOURS: u64 = 366 * 24;
/// Up to here hour by hour, then day by day.
const FINE_HOURS: u64 = 7 * 24;

/// One table of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableUsage {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub table: TableName,
    /// Published segments.
    pub segments: u64,
    /// Their rows.
    pub rows: u64,
    /// Parquet files.
    pub data_bytes: u64,
    /// Indexes.
    pub index_bytes: u64,
    /// Time of the oldest row.
    pub oldest: Option<UnixNanos>,
    /// Time of the newest row.
    pub newest: Option<UnixNanos>,
    /// How long rows are kept, hours.
    pub kept_hours: u64,
    /// Bytes that an hour of the newest day takes.
    pub bytes_per_hour: u64,
    /// Bytes that retention frees within the next 24 hours.
    pub freed_in_24h_bytes: u64,
}

/// Room on the disk of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpace {
    /// Bytes that can still be written.
    pub free_bytes: u64,
    /// Bytes that are kept free: below, new data is refused.
    pub reserved_bytes: u64,
}

/// All tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// When it was reckoned.
    pub at: UnixNanos,
    /// By tenant and table; tables without a segment are left out.
    pub tables: Vec<TableUsage>,
    /// Room left, where that is known.
    pub disk: Option<DiskSpace>,
    /// In how many hours new data will be refused for lack of room at this rate; `None` if not within a year.
    pub full_in_hours: Option<u64>,
}

impl Store {
    /// What the tables take now. `kept_hours` tells how long rows are kept.
    ///
    /// # Errors
    /// When tenants or tables cannot be read.
    pub async fn usage(
        &self,
        kept_hours: impl Fn(&TenantId, TableName) -> u64,
        disk: Option<DiskSpace>,
    ) -> Result<Usage, StoreError> {
        let at = self.shared.options.clock.now();
        let (mut tables, mut forecasts) = (Vec::new(), Vec::new());
        for tenant in self.tenants().await? {
            for table in TableName::ALL {
                let segments = self.newest(&self.table(&tenant, table)).await?.segments;
                if segments.is_empty() {
                    continue;
                }
                let kept = kept_hours(&tenant, table);
                let usage = of_table(&tenant, table, &segments, kept, at);
                forecasts.push(Forecast::new(&segments, usage.bytes_per_hour, kept));
                tables.push(usage);
            }
        }
        let full_in_hours = disk.and_then(|disk| full_in_hours(&forecasts, disk, at));
        Ok(Usage { at, tables, disk, full_in_hours })
    }
}

impl Store {
    /// The table as it is now; one in an object store as it was seen last, because asking costs a request.
    async fn newest(&self, table: &Table) -> Result<Snapshot, StoreError> {
        let known = table.known_snapshot();
        if !self.is_local() && known.version.is_some() {
            return Ok(known);
        }
        table.snapshot().await
    }
}

fn bytes_of(segment: &SegmentMeta) -> u64 {
    segment.bytes + segment.index.as_ref().map_or(0, |index| index.bytes)
}

fn of_table(
    tenant: &TenantId,
    table: TableName,
    segments: &[Arc<SegmentMeta>],
    kept_hours: u64,
    now: UnixNanos,
) -> TableUsage {
    let oldest = segments.iter().map(|segment| segment.time.0).min();
    let age_ns = now.0.saturating_sub(oldest.unwrap_or(now).0);
    let window_ns = age_ns.clamp(HOUR_NS, GROWTH_HOURS * HOUR_NS);
    let grown: u64 = segments.iter().map(|segment| share(segment, now.minus(window_ns), now)).sum();
    let kept_ns = kept_hours.saturating_mul(HOUR_NS);
    let expired = |segment: &&Arc<SegmentMeta>| segment.time.1.plus(kept_ns) < now.plus(24 * HOUR_NS);
    TableUsage {
        tenant: tenant.clone(),
        table,
        segments: segments.len() as u64,
        rows: segments.iter().map(|segment| segment.rows).sum(),
        data_bytes: segments.iter().map(|segment| segment.bytes).sum(),
        index_bytes: segments.iter().filter_map(|segment| segment.index.as_ref()).map(|index| index.bytes).sum(),
        oldest,
        newest: segments.iter().map(|segment| segment.time.1).max(),
        kept_hours,
        bytes_per_hour: per_hour(grown, window_ns),
        freed_in_24h_bytes: segments.iter().filter(expired).map(|segment| bytes_of(segment)).sum(),
    }
}

/// Bytes of a segment that fall into a stretch of time, spread evenly over the time of its rows.
fn share(segment: &SegmentMeta, from: UnixNanos, to: UnixNanos) -> u64 {
    let (first, last) = (segment.time.0.0, segment.time.1.0.max(segment.time.0.0));
    let whole = last - first + 1;
    let inside = (last.min(to.0) + 1).saturating_sub(first.max(from.0));
    scaled(bytes_of(segment), inside.min(whole), whole)
}

fn per_hour(bytes: u64, window_ns: u64) -> u64 {
    scaled(bytes, HOUR_NS, window_ns.max(1))
}

fn scaled(bytes: u64, part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(part) / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}

/// One table's future.
struct Forecast {
    /// Times after which segments may go, ascending, with the bytes of all up to there.
    ends: Vec<(u64, u64)>,
    bytes_per_hour: u64,
    kept_hours: u64,
}

impl Forecast {
    fn new(segments: &[Arc<SegmentMeta>], bytes_per_hour: u64, kept_hours: u64) -> Forecast {
        let mut ends: Vec<(u64, u64)> = segments.iter().map(|segment| (segment.time.1.0, bytes_of(segment))).collect();
        ends.sort_unstable();
        let mut sum = 0;
        for (_, bytes) in &mut ends {
            sum += *bytes;
            *bytes = sum;
        }
        Forecast { ends, bytes_per_hour, kept_hours }
    }

    /// How many bytes more the table takes after `hours`.
    fn grown_after(&self, hours: u64, now: UnixNanos) -> i128 {
        let added = u128::from(self.bytes_per_hour) * u128::from(hours.min(self.kept_hours));
        let cut = now.plus(hours.saturating_mul(HOUR_NS)).minus(self.kept_hours.saturating_mul(HOUR_NS)).0;
        let gone = self.ends.partition_point(|(end, _)| *end < cut);
        let freed = gone.checked_sub(1).map_or(0, |last| self.ends[last].1);
        i128::try_from(added).unwrap_or(i128::MAX) - i128::from(freed)
    }
}

fn full_in_hours(tables: &[Forecast], disk: DiskSpace, now: UnixNanos) -> Option<u64> {
    let room = i128::from(disk.free_bytes.saturating_sub(disk.reserved_bytes));
    let days = (FINE_HOURS / 24 + 1..=HORIZON_HOURS / 24).map(|day| day * 24);
    (0..=FINE_HOURS)
        .chain(days)
        .find(|hours| tables.iter().map(|table| table.grown_after(*hours, now)).sum::<i128>() >= room)
}

#[cfg(test)]
mod tests {
    use daymark_model::LogOffset;
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixNanos = UnixNanos::from_seconds(1_800_000_000);

    /// A segment from `old` to `new` hours ago.
    fn segment(old: u64, new: u64, bytes: u64) -> Arc<SegmentMeta> {
        Arc::new(SegmentMeta {
            path: String::new(),
            rows: 10,
            bytes,
            time: (NOW.minus(old * HOUR_NS), NOW.minus(new * HOUR_NS)),
            offsets: (LogOffset(0), LogOffset(0)),
            index: None,
            tally: None,
            modified_ms: 0,
            checksums: [].into(),
            stats: "{}".into(),
        })
    }

    fn full(segments: &[Arc<SegmentMeta>], kept_hours: u64, free_bytes: u64) -> Option<u64> {
        let usage = of_table(&TenantId::default(), TableName::Logs, segments, kept_hours, NOW);
        let forecast = Forecast::new(segments, usage.bytes_per_hour, kept_hours);
        full_in_hours(&[forecast], DiskSpace { free_bytes, reserved_bytes: 100 }, NOW)
    }

    #[test]
    fn growth_is_that_of_the_newest_day() {
        let usage = |segments: &[Arc<SegmentMeta>]| of_table(&TenantId::default(), TableName::Logs, segments, 48, NOW);
        assert_eq!(usage(&[segment(24, 0, 2_400)]).bytes_per_hour, 100);
        assert_eq!(usage(&[segment(48, 24, 99_999), segment(24, 0, 2_400)]).bytes_per_hour, 100);
        let young = usage(&[segment(2, 0, 2_000)]);
        assert_eq!((young.bytes_per_hour, young.freed_in_24h_bytes), (1_000, 0), "two hours old");
        assert_eq!(usage(&[segment(47, 30, 700), segment(24, 0, 1)]).freed_in_24h_bytes, 700);
    }

    #[test]
    fn a_disk_is_full_when_growth_outruns_retention() {
        let steady: Vec<_> = (0..10).map(|hour| segment(hour + 1, hour, 1_000)).collect();
        assert_eq!(full(&steady, 10, 100_000), None, "what comes in goes out");
        let hours = full(&steady, 1_000, 20_100).unwrap();
        assert!((19..=22).contains(&hours), "20 more hours at 1,000 bytes: {hours}");
        assert_eq!(full(&steady, 10, 50), Some(0), "the reserve is used already");
    }

    proptest! {
        /// More room never fills sooner, and longer retention never later.
        #[test]
        fn the_forecast_is_monotonic(
            sizes in proptest::collection::vec(1_u64..100_000, 1..40),
            free in 0_u64..3_000_000,
            more in 0_u64..3_000_000,
            kept in 1_u64..500,
            longer in 0_u64..500,
        ) {
            let hours = |full: Option<u64>| full.unwrap_or(u64::MAX);
            let segments: Vec<_> = sizes.iter().zip(0..).map(|(bytes, hour)| segment(hour + 1, hour, *bytes)).collect();
            prop_assert!(hours(full(&segments, kept, free + more)) >= hours(full(&segments, kept, free)));
            prop_assert!(hours(full(&segments, kept + longer, free)) <= hours(full(&segments, kept, free)));
        }
    }
}
