//! Decimal numbers as text, digit for digit, because amounts do not fit a float.

use serde_json::{Number, Value};

/// Longest decimal number, in characters.
const DECIMAL_MAX: usize = 100;
/// Most significant digits of a float that is surely the number that was written.
const EXACT_DIGITS: usize = 15;

/// A field as a decimal number without exponent.
pub fn decimal(object: &Value, name: &str) -> Option<String> {
    match object.get(name)? {
        Value::String(text) => plain(text.trim()),
        Value::Number(number) => exact(number),
        _ => None,
    }
}

fn exact(number: &Number) -> Option<String> {
    let text = number.to_string();
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let is_exact = !number.is_f64() || digits.trim_matches('0').len() <= EXACT_DIGITS;
    plain(&text).filter(|_| is_exact)
}

/// Writes an exponent out.
fn plain(text: &str) -> Option<String> {
    if text.len() > DECIMAL_MAX {
        return None;
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole)
        || !is_number(fraction)
        || !is_number(exponent.trim_start_matches(['+', '-']))
    {
        return None;
    }
    let exponent: isize = exponent.parse().ok()?;
    if exponent == 0 {
        return Some(format!("{sign}{mantissa}"));
    }
    if exponent.unsigned_abs() > DECIMAL_MAX {
        return None;
    }
    let fraction = mantissa
        .split_once('.')
        .map_or("", |(_, fraction)| fraction);
    let all = format!("{whole}{fraction}");
    let point = isize::try_from(whole.len()).ok()? + exponent;
    let before = usize::try_from(point.max(0)).ok()?;
    let zeros = usize::try_from((-point).max(0)).ok()?;
    let padded = format!("{all:0<before$}");
    let (whole, fraction) = padded.split_at(before);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = format!("{}{fraction}", "0".repeat(zeros));
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let text = format!("{sign}{whole}{point}{fraction}");
    (text.len() <= DECIMAL_MAX).then_some(text)
}
