//! The coarsest resolution that answers a question exactly.

use daymark_model::{TenantId, TimeRange, UnixNanos};

use super::Resolution;
use crate::{Reader, StoreError, TableName};

/// Windows that a listing looks through, about.
const LISTED_WINDOWS: u64 = 720;

impl Resolution {
    /// The coarsest windows that fill steps of `step_ns` exactly and whose table holds everything since the start of
    /// `range`. A table that an older version did not write is taken from its second window on.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn coarsest(
        reader: &Reader,
        tenant: &TenantId,
        step_ns: u64,
        range: TimeRange,
    ) -> Result<Resolution, StoreError> {
        let fits = |resolution: &Resolution| step_ns.is_multiple_of(resolution.window_ns());
        let mut chosen = Resolution::TenSeconds;
        let mut finer = first_published(reader, tenant, chosen.table()).await?;
        for resolution in Resolution::ALL.into_iter().skip(1).filter(fits) {
            let first = first_published(reader, tenant, resolution.table()).await?;
            if !is_whole(first, finer, range.start, resolution.window_ns()) {
                break;
            }
            (chosen, finer) = (resolution, first.or(finer));
        }
        Ok(chosen)
    }

    /// Windows to look through for which series had data in `range`: coarse for long ranges.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn for_listing(reader: &Reader, tenant: &TenantId, range: TimeRange) -> Result<Resolution, StoreError> {
        let length_ns = range.end.0.saturating_sub(range.start.0);
        let fits = |resolution: &Resolution| length_ns / resolution.window_ns() <= LISTED_WINDOWS;
        let wanted = Resolution::ALL.into_iter().find(fits).unwrap_or(Resolution::OneDay);
        Resolution::coarsest(reader, tenant, wanted.window_ns(), range).await
    }

    /// `10s`, `1m`, `1h` or `1d`.
    pub fn name(self) -> &'static str {
        match self {
            Resolution::TenSeconds => "10s",
            Resolution::OneMinute => "1m",
            Resolution::OneHour => "1h",
            Resolution::OneDay => "1d",
        }
    }
}

async fn first_published(
    reader: &Reader,
    tenant: &TenantId,
    table: TableName,
) -> Result<Option<UnixNanos>, StoreError> {
    let snapshot = reader.table(tenant, table).snapshot().await?;
    Ok(snapshot.segments.iter().map(|segment| segment.time.0).min())
}

/// Whether a table that begins at `first` holds everything since `start`, given where the next finer one begins.
fn is_whole(first: Option<UnixNanos>, finer: Option<UnixNanos>, start: UnixNanos, window_ns: u64) -> bool {
    match (first, finer) {
        // Nothing is published yet: it is all in memory, where all resolutions are.
        (None, None) => true,
        (None, Some(_)) => false,
        // Retention may have dropped what the finer one had.
        (Some(_), None) => true,
        (Some(first), Some(finer)) => first <= finer.window(window_ns) || start >= first.plus(window_ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = Resolution::OneHour.window_ns();

    fn check(first: Option<u64>, finer: Option<u64>, start: u64, expected: bool) {
        let at = |minutes: u64| UnixNanos::from_seconds(minutes * 60);
        assert_eq!(is_whole(first.map(at), finer.map(at), at(start), HOUR), expected, "{first:?} {finer:?} {start}");
    }

    #[test]
    fn a_table_is_used_only_where_it_is_whole() {
        check(None, None, 0, true);
        check(None, Some(600), 0, false);
        check(Some(600), Some(605), 0, true);
        check(Some(600), None, 0, true);
        // The finer one began hours before: an older version wrote it alone.
        check(Some(600), Some(100), 0, false);
        check(Some(600), Some(100), 600, false);
        check(Some(600), Some(100), 660, true);
        // The finer one lost its oldest rows to retention.
        check(Some(600), Some(6_000), 0, true);
    }
}
