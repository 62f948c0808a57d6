//! Decimal text as integers, so that `14.4 × 0.001` compares exactly.
//!
//! Invariants:
//! - nothing here converts through a float, except [`Decimal::to_f64`], which is for people;
//! - the limits on digits make every product in [`Threshold::is_exceeded_by`] fit 128 bits (see there).

use std::fmt;

/// Most digits after the point.
const MAX_SCALE: u32 = 6;
/// Most digits in all.
const MAX_DIGITS: usize = 9;

/// A non-negative decimal number: `units / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    units: u64,
    scale: u32,
}

impl Decimal {
    /// Parses digits with at most one point: at most 9 digits in all, 6 of them after the point.
    ///
    /// # Errors
    /// A sentence that says what is wrong with `text`.
    pub fn parse(text: &str) -> Result<Decimal, String> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = || whole.chars().chain(fraction.chars());
        if whole.is_empty() || (text.contains('.') && fraction.is_empty()) || !digits().all(|c| c.is_ascii_digit()) {
            return Err(format!("{text:?} is not a decimal number like \"99.9\""));
        }
        if fraction.len() > MAX_SCALE as usize || digits().count() > MAX_DIGITS {
            return Err(format!(
                "{text:?} has more than {MAX_DIGITS} digits, or more than {MAX_SCALE} after the point"
            ));
        }
        let units = digits().fold(0, |units, digit| units * 10 + u64::from(digit as u8 - b'0'));
        Ok(Decimal { units, scale: fraction.len() as u32 })
    }

    /// The error budget of a target in percent: `(100 - target) / 100`. None unless `0 < target < 100`.
    pub fn budget_of_percent(self) -> Option<Decimal> {
        let hundred = 100 * 10_u64.pow(self.scale);
        let allowed = self.units > 0 && self.units < hundred;
        allowed.then(|| Decimal { units: hundred - self.units, scale: self.scale + 2 })
    }

    /// Whether the number is at least one.
    pub fn is_at_least_one(self) -> bool {
        self.units >= 10_u64.pow(self.scale)
    }

    /// The nearest float: for people and charts, never for a decision.
    pub fn to_f64(self) -> f64 {
        self.units as f64 / 10_f64.powi(self.scale as i32)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, u128::from(self.units), self.scale)
    }
}

/// A ratio of bad to total events: the product of a burn-rate factor and an error budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    units: u128,
    scale: u32,
}

impl Threshold {
    /// `factor × budget`, exactly.
    pub fn new(factor: Decimal, budget: Decimal) -> Threshold {
        Threshold { units: u128::from(factor.units) * u128::from(budget.units), scale: factor.scale + budget.scale }
    }

    /// Whether `bad / total` is strictly greater. False when there are no events.
    ///
    /// The left side is below 2^64 · 10^14 < 2^111, the right side below 2^64 · 10^18 < 2^124: neither overflows.
    pub fn is_exceeded_by(self, bad: u64, total: u64) -> bool {
        u128::from(bad) * 10_u128.pow(self.scale) > u128::from(total) * self.units
    }

    /// Whether no ratio can exceed it, because a ratio is at most one.
    pub fn is_unreachable(self) -> bool {
        self.units >= 10_u128.pow(self.scale)
    }

    /// The nearest float, for people and charts.
    pub fn to_f64(self) -> f64 {
        self.units as f64 / 10_f64.powi(self.scale as i32)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.units, self.scale)
    }
}

fn write_decimal(f: &mut fmt::Formatter<'_>, units: u128, scale: u32) -> fmt::Result {
    let one = 10_u128.pow(scale);
    let fraction = format!("{:0width$}", units % one, width = scale as usize);
    let fraction = fraction.trim_end_matches('0');
    match (scale, fraction) {
        (0, _) | (_, "") => write!(f, "{}", units / one),
        (_, fraction) => write!(f, "{}.{fraction}", units / one),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn the_budget_of_a_target_is_exact() {
        let check = |target: &str, budget: &str| {
            assert_eq!(decimal(target).budget_of_percent().map(|b| b.to_string()).as_deref(), Some(budget));
        };
        check("99.9", "0.001");
        check("99.99", "0.0001");
        check("95", "0.05");
        check("99.95", "0.0005");
        assert_eq!(decimal("100").budget_of_percent(), None);
        assert_eq!(decimal("0").budget_of_percent(), None);
        assert_eq!(decimal("100.5").budget_of_percent(), None);
    }

    #[test]
    fn equality_does_not_exceed() {
        let threshold = Threshold::new(decimal("14.4"), decimal("0.001"));
        assert_eq!(threshold.to_string(), "0.0144");
        assert!(!threshold.is_exceeded_by(144, 10_000));
        assert!(threshold.is_exceeded_by(145, 10_000));
        assert!(threshold.is_exceeded_by(144, 9_999));
        assert!(!threshold.is_exceeded_by(0, 0));
    }

    #[test]
    fn the_widest_numbers_do_not_overflow() {
        let widest = Threshold::new(decimal("999999999"), decimal("0.999999"));
        assert!(!widest.is_exceeded_by(u64::MAX, u64::MAX));
        let budget = decimal("99.999999").budget_of_percent().unwrap();
        let narrowest = Threshold::new(decimal("0.000001"), budget);
        assert!(narrowest.is_exceeded_by(u64::MAX, u64::MAX));
    }

    #[test]
    fn text_that_is_not_a_number_is_refused() {
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "99,9", "99.9%", "1.2.3", "0.0000001", "1234567890", "٩"] {
            assert!(Decimal::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_product_compares_as_the_rationals_do(
            factor in 1_u64..100_000, budget in 1_u64..100_000, total in 1_u64..1_000_000, share in 0.0_f64..1.0,
        ) {
            let text = |units: u64| format!("{}.{:04}", units / 10_000, units % 10_000);
            let threshold = Threshold::new(decimal(&text(factor)), decimal(&text(budget)));
            let bad = (total as f64 * share) as u64;
            let exceeded = u128::from(bad) * 100_000_000 > u128::from(total) * u128::from(factor) * u128::from(budget);
            prop_assert_eq!(threshold.is_exceeded_by(bad, total), exceeded);
        }
    }
}
