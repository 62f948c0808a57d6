//! Lengths of time as people write them: `300ms`, `5m`, `30d`.

/// Units, longest suffix first so that `ms` is not read as `m` and `s`.
const UNITS: [(&str, u64); 7] = [
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Nanoseconds of a whole number and a unit.
///
/// # Errors
/// A sentence that says what is expected.
pub(crate) fn parse_nanos(text: &str) -> Result<u64, String> {
    let expected = || format!("{text:?} is not a length of time like \"300ms\", \"5m\" or \"30d\"");
    let (suffix, unit) = UNITS.iter().find(|(suffix, _)| text.ends_with(suffix)).ok_or_else(expected)?;
    let number = &text[..text.len() - suffix.len()];
    if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit()) {
        return Err(expected());
    }
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(*unit)).ok_or_else(expected)
}

/// Whole seconds of a length of time.
///
/// # Errors
/// As [`parse_nanos`], or when it is not a whole number of seconds.
pub(crate) fn parse_seconds(text: &str) -> Result<u64, String> {
    let nanos = parse_nanos(text)?;
    if nanos % 1_000_000_000 != 0 {
        return Err(format!("{text:?} is not a whole number of seconds"));
    }
    Ok(nanos / 1_000_000_000)
}

/// The shortest text for a number of seconds: `1h`, `90m`, `45s`.
pub(crate) fn format_seconds(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    let fitting = units.iter().find(|(_, unit)| seconds > 0 && seconds.is_multiple_of(*unit));
    fitting.map_or_else(|| format!("{seconds}s"), |(suffix, unit)| format!("{}{suffix}", seconds / unit))
}

/// A number of seconds for people, rounded down: `45 s`, `12 min`, `30 h`, `8 d`.
pub(crate) fn about_seconds(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        assert_eq!(parse_nanos("300ms"), Ok(300_000_000));
        assert_eq!(parse_seconds("5m"), Ok(300));
        assert_eq!(parse_seconds("30d"), Ok(2_592_000));
        for bad in ["", "5", "m", "-5m", "5 m", "1.5h", "99999999999999999999d", "999999999999d"] {
            assert!(parse_nanos(bad).is_err(), "{bad}");
        }
        assert!(parse_seconds("300ms").is_err());
    }

    #[test]
    fn seconds_print_in_the_largest_whole_unit() {
        let printed = [259_200, 3_600, 5_400, 45, 0].map(format_seconds);
        assert_eq!(printed, ["3d", "1h", "90m", "45s", "0s"]);
        let about = [0, 119, 120, 725, 7_200, 172_799, 172_800, 2_592_000].map(about_seconds);
        assert_eq!(about, ["0 s", "119 s", "2 min", "12 min", "2 h", "47 h", "2 d", "30 d"]);
    }
}
