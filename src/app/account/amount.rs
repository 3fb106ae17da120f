//! Amounts for people, short to read and exact on demand. A float could not hold them, so they are
//! decimal strings.

/// Digits before the point that are written out. Longer numbers become a power of ten.
const WHOLE_MAX: usize = 12;
/// Digits behind the point that are written out.
const FRACTION_MAX: usize = 4;
/// Digits of a number that is written as a power of ten.
const SIGNIFICANT: usize = 4;

/// An amount as it is shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Amount {
    /// The short form.
    pub short: String,
    /// The exponent, if `short` is multiplied by a power of ten.
    pub exponent: Option<usize>,
    /// All digits, when `short` does not hold them.
    pub exact: Option<String>,
}

impl Amount {
    /// Formats a decimal number without exponent.
    pub fn new(decimal: &str) -> Self {
        let (sign, digits) = decimal
            .strip_prefix('-')
            .map_or(("", decimal), |digits| ("\u{2212}", digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = (
            whole.trim_start_matches('0'),
            fraction.trim_end_matches('0'),
        );
        let exact = || Some(format!("{sign}{}{}", grouped(whole), point(fraction)));
        if whole.len() > WHOLE_MAX {
            let mantissa = format!(
                "{}{}",
                &whole[..1],
                point(whole[1..SIGNIFICANT].trim_end_matches('0'))
            );
            return Self {
                short: format!("{sign}{mantissa}"),
                exponent: Some(whole.len() - 1),
                exact: exact(),
            };
        }
        if fraction.len() <= FRACTION_MAX {
            return Self {
                short: format!("{sign}{}{}", grouped(whole), point(fraction)),
                exponent: None,
                exact: None,
            };
        }
        let cut = fraction[..FRACTION_MAX].trim_end_matches('0');
        let short = if whole.is_empty() && cut.is_empty() {
            format!(
                "{} {sign}0.{:0>FRACTION_MAX$}",
                if sign.is_empty() { "<" } else { ">" },
                1
            )
        } else {
            format!(
                "{sign}{}{}…",
                grouped(whole),
                point(&fraction[..FRACTION_MAX])
            )
        };
        Self {
            short,
            exponent: None,
            exact: exact(),
        }
    }
}

/// With a comma between thousands.
pub fn grouped(whole: &str) -> String {
    if whole.is_empty() {
        return "0".to_owned();
    }
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn point(fraction: &str) -> String {
    if fraction.is_empty() {
        String::new()
    } else {
        format!(".{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::Amount;

    #[test]
    fn amounts_are_short_to_read_and_no_digit_is_lost() {
        for (decimal, short, exponent, exact) in [
            ("0", "0", None, None),
            ("-0", "\u{2212}0", None, None),
            ("0.00", "0", None, None),
            ("007.50", "7.5", None, None),
            ("250000.01", "250,000.01", None, None),
            ("999999999999", "999,999,999,999", None, None),
            ("41.207315884", "41.2073…", None, Some("41.207315884")),
            (
                "-1234.00009",
                "\u{2212}1,234.0000…",
                None,
                Some("\u{2212}1,234.00009"),
            ),
            (
                "0.000000000000000001",
                "< 0.0001",
                None,
                Some("0.000000000000000001"),
            ),
            (
                "-0.00000001",
                "> \u{2212}0.0001",
                None,
                Some("\u{2212}0.00000001"),
            ),
            ("1000000000000", "1", Some(12), Some("1,000,000,000,000")),
            (
                "98765432109876543210.123456789",
                "9.876",
                Some(19),
                Some("98,765,432,109,876,543,210.123456789"),
            ),
        ] {
            let expected = Amount {
                short: short.to_owned(),
                exponent,
                exact: exact.map(str::to_owned),
            };
            assert_eq!(Amount::new(decimal), expected, "{decimal}");
        }
    }
}
