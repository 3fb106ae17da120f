//! Amounts for people, short to read and exact on demand. A float could not hold them, so they are
//! decimal numbers of any length.

use bigdecimal::{BigDecimal, RoundingMode, Zero};

/// Digits before the point that are written out. A longer number becomes a power of ten.
const WHOLE_MAX: i64 = 12;
/// Significant digits behind the point.
const FRACTION_MAX: i64 = 8;
/// Zeros behind the point that are written out. A smaller number becomes a power of ten.
const ZEROS_MAX: i64 = 8;
/// Digits of a number that is written as a power of ten.
const SIGNIFICANT: u64 = 4;
const MINUS: &str = "\u{2212}";
/// Begins a rounded number.
const ABOUT: &str = "≈\u{a0}";

/// An amount as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount {
    /// The short form. A mark says that it is rounded.
    pub short: String,
    /// The exponent, if `short` is multiplied by a power of ten.
    pub exponent: Option<i64>,
    /// All digits.
    pub exact: String,
}

impl Amount {
    pub fn new(number: &BigDecimal) -> Self {
        let sign = if *number < BigDecimal::zero() {
            MINUS
        } else {
            ""
        };
        let size = number.abs().normalized();
        let exact = format!("{sign}{}", written_out(&size));
        // The power of ten of the first digit.
        let first = if size.is_zero() {
            0
        } else {
            size.order_of_magnitude()
        };
        if (-ZEROS_MAX..WHOLE_MAX).contains(&first) {
            let zeros = (-first - 1).max(0);
            let rounded = size.with_scale_round(zeros + FRACTION_MAX, RoundingMode::HalfUp);
            let about = if rounded == size { "" } else { ABOUT };
            return Self {
                short: format!("{about}{sign}{}", written_out(&rounded)),
                exponent: None,
                exact,
            };
        }
        let rounded = size.with_prec(SIGNIFICANT);
        let about = if rounded == size { "" } else { ABOUT };
        let exponent = rounded.order_of_magnitude();
        let (digits, scale) = rounded.as_bigint_and_exponent();
        let mantissa = BigDecimal::new(digits, scale + exponent);
        Self {
            short: format!("{about}{sign}{}", written_out(&mantissa)),
            exponent: Some(exponent),
            exact,
        }
    }
}

/// All digits, with a comma between thousands.
fn written_out(size: &BigDecimal) -> String {
    let plain = size.normalized().to_plain_string();
    match plain.split_once('.') {
        Some((whole, fraction)) => format!("{}.{fraction}", grouped(whole)),
        None => grouped(&plain),
    }
}

/// With a comma between thousands.
pub fn grouped(whole: &str) -> String {
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Amount;

    #[test]
    fn amounts_are_short_to_read_and_no_digit_is_lost() {
        for (decimal, short, exponent, exact) in [
            ("0", "0", None, "0"),
            ("-0", "0", None, "0"),
            ("0.00", "0", None, "0"),
            ("007.50", "7.5", None, "7.5"),
            ("250000.01", "250,000.01", None, "250,000.01"),
            ("999999999999", "999,999,999,999", None, "999,999,999,999"),
            ("0.00000546", "0.00000546", None, "0.00000546"),
            ("41.207315884", "≈\u{a0}41.20731588", None, "41.207315884"),
            (
                "0.000123456789",
                "≈\u{a0}0.00012345679",
                None,
                "0.000123456789",
            ),
            (
                "-1234.00000000051",
                "≈\u{a0}\u{2212}1,234",
                None,
                "\u{2212}1,234.00000000051",
            ),
            (
                "0.000000000000000001",
                "1",
                Some(-18),
                "0.000000000000000001",
            ),
            (
                "-0.0000000012345",
                "≈\u{a0}\u{2212}1.235",
                Some(-9),
                "\u{2212}0.0000000012345",
            ),
            ("1000000000000", "1", Some(12), "1,000,000,000,000"),
            (
                "9999999999999.5",
                "≈\u{a0}1",
                Some(13),
                "9,999,999,999,999.5",
            ),
            (
                "98765432109876543210.123456789",
                "≈\u{a0}9.877",
                Some(19),
                "98,765,432,109,876,543,210.123456789",
            ),
        ] {
            let expected = Amount {
                short: short.to_owned(),
                exponent,
                exact: exact.to_owned(),
            };
            assert_eq!(
                Amount::new(&decimal.parse().unwrap()),
                expected,
                "{decimal}"
            );
        }
    }
}
