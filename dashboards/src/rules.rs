//! What a schema cannot say: unique ids, units that fit the function, affordable resolution, references that resolve.

use crate::definition::{Dashboard, Function, Panel, Threshold, Unit};
use crate::references::{Reference, SloLines, check_query};

/// Most points a line may have.
const MAX_POINTS: u64 = 2_000;
const STEP_S: u64 = 10;
const RANGE_S: std::ops::RangeInclusive<u64> = 300..=30 * 86_400;

/// A mistake at a JSON pointer.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) pointer: String,
    pub(crate) message: String,
}

/// Seconds of a text that matches the schema's pattern for lengths of time.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// What is wrong with a dashboard, and what could not be checked.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) wrong: Vec<Violation>,
    pub(crate) notes: Vec<Violation>,
}

/// Everything there is to say about a dashboard that fits the schema. `slos` is what references may name.
pub(crate) fn findings(dashboard: &Dashboard, slos: &SloLines) -> Findings {
    let mut found = Findings::default();
    check_times(dashboard, &mut found.wrong);
    for (i, panel) in dashboard.panels.iter().enumerate() {
        if dashboard.panels[..i].iter().any(|earlier| earlier.id == panel.id) {
            let message = format!("panel id {:?} is used twice", panel.id);
            found.wrong.push(Violation { pointer: format!("/panels/{i}/id"), message });
        }
        check_units(i, panel, &mut found.wrong);
        for (j, query) in panel.queries.iter().enumerate() {
            check_query(query, &format!("/panels/{i}/queries/{j}"), &mut found.wrong, &mut found.notes);
        }
        check_thresholds(i, panel, slos, &mut found);
    }
    found
}

fn check_times(dashboard: &Dashboard, found: &mut Vec<Violation>) {
    let mut wrong = |pointer: &str, message: String| found.push(Violation { pointer: pointer.to_owned(), message });
    let range_s = seconds(&dashboard.time_range).unwrap_or(0);
    let step_s = seconds(&dashboard.step).unwrap_or(0);
    if !RANGE_S.contains(&range_s) {
        wrong("/time_range", format!("time_range {:?} must be 5m to 30d", dashboard.time_range));
    }
    if step_s == 0 || !step_s.is_multiple_of(STEP_S) {
        wrong("/step", format!("step {:?} must be a multiple of 10s, the finest rollup", dashboard.step));
    } else if range_s / step_s > MAX_POINTS {
        let points = range_s / step_s;
        wrong("/step", format!("{points} points a line, at most {MAX_POINTS}: raise step or shorten time_range"));
    }
}

fn check_units(i: usize, panel: &Panel, found: &mut Vec<Violation>) {
    use Function::{Count, ErrorRatio, Rate};
    for (j, query) in panel.queries.iter().enumerate() {
        let expected = match query.function {
            ErrorRatio => Unit::Ratio,
            Rate => Unit::PerSecond,
            Count => Unit::Count,
            _ if matches!(panel.unit, Unit::Ratio | Unit::PerSecond) && query.metric.ends_with(".duration") => {
                Unit::Nanoseconds
            }
            _ => panel.unit,
        };
        if panel.unit != expected {
            let (unit, expected) = (panel.unit.as_str(), expected.as_str());
            let message = format!("the panel's unit is {unit:?}, this function answers in {expected:?}");
            found.push(Violation { pointer: format!("/panels/{i}/queries/{j}/fn"), message });
        }
    }
}

fn check_thresholds(i: usize, panel: &Panel, slos: &SloLines, found: &mut Findings) {
    for (j, threshold) in panel.thresholds.iter().enumerate() {
        let Threshold::Slo(reference) = threshold else { continue };
        let pointer = format!("/panels/{i}/thresholds/{j}");
        match slos.look_up(reference, &pointer) {
            Reference::Sound => {}
            Reference::Wrong(violation) => {
                found.wrong.push(violation);
                continue;
            }
            Reference::Unchecked(note) => {
                found.notes.push(note);
                continue;
            }
        }
        let is_time = reference.line == "latency";
        let fits = if is_time { panel.unit.seconds().is_some() } else { panel.unit == Unit::Ratio };
        if !fits {
            let expected = if is_time { "a unit of time" } else { "\"ratio\"" };
            let message =
                format!("line {:?} needs {expected}, the panel's unit is {:?}", reference.line, panel.unit.as_str());
            found.wrong.push(Violation { pointer: format!("{pointer}/slo"), message });
        }
    }
}
