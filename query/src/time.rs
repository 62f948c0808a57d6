//! Times as text: RFC 3339, or a number whose size tells its unit.

use chrono::{DateTime, SecondsFormat};
use daymark_model::UnixNanos;

/// Reads RFC 3339, or digits as unix seconds, milliseconds, microseconds or nanoseconds by their size
/// (seconds up to the year 5138).
pub(crate) fn parse_time(text: &str) -> Option<UnixNanos> {
    if let Ok(number) = text.parse::<u64>() {
        let unit_ns = match number.checked_ilog10().unwrap_or(0) {
            0..=10 => 1_000_000_000,
            11..=13 => 1_000_000,
            14..=16 => 1_000,
            _ => 1,
        };
        return number.checked_mul(unit_ns).map(UnixNanos);
    }
    let nanos = DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt()?;
    u64::try_from(nanos).ok().map(UnixNanos)
}

/// RFC 3339 in UTC, with as many digits of a second as needed (0, 3, 6 or 9).
pub(crate) fn format_time(nanos: i64) -> String {
    DateTime::from_timestamp_nanos(nanos).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_number_tells_its_unit() {
        let expected = Some(UnixNanos(1_700_000_000_000_000_000));
        for text in [
            "1700000000",
            "1700000000000",
            "1700000000000000",
            "1700000000000000000",
            "2023-11-14T22:13:20Z",
            "2023-11-14T23:13:20+01:00",
        ] {
            assert_eq!(parse_time(text), expected, "{text}");
        }
        for text in ["", "now", "-5", "2023-11-14", "1e9"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(format_time(1_700_000_000_123_456_789), "2023-11-14T22:13:20.123456789Z");
        assert_eq!(format_time(1_700_000_000_000_000_000), "2023-11-14T22:13:20Z");
    }
}
