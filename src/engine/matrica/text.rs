//! Cleans foreign text. Bounds its length, and drops characters that hide or reorder others.

use serde_json::Value;
use url::Url;

/// Longest name, in characters.
pub(super) const NAME_MAX: usize = 100;
/// Longest address, in characters.
pub(super) const ADDRESS_MAX: usize = 200;
/// Longest network symbol, in characters.
pub(super) const NETWORK_MAX: usize = 32;
/// Longest URL, in bytes.
const URL_MAX: usize = 2048;
/// Longest id of anything at the provider, in bytes.
const ID_MAX: usize = 200;
/// Longest decimal number, in characters.
const DECIMAL_MAX: usize = 100;
/// Largest whole number up to which a float is exact.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A label of at most `max` characters. `None` if nothing visible is left.
pub(super) fn label(text: &str, max: usize) -> Option<String> {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .filter(|c| !is_hidden(*c))
        .take(max)
        .collect();
    let clean = clean.trim();
    clean.contains(is_visible).then(|| clean.to_owned())
}

/// Whether a text has no control or hidden characters.
pub fn is_plain(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() && !is_hidden(c))
}

/// A field as a label. `None` if it is missing, of another type, or blank.
pub(super) fn field(object: &Value, name: &str, max: usize) -> Option<String> {
    label(object.get(name)?.as_str()?, max)
}

/// A field as an id, which is text without blanks or a whole number.
pub(super) fn id(object: &Value, name: &str) -> Option<String> {
    let id = match object.get(name)? {
        Value::String(id) => id.clone(),
        Value::Number(id) if id.is_u64() => id.to_string(),
        _ => return None,
    };
    let usable =
        !id.is_empty() && id.len() <= ID_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
    usable.then_some(id)
}

/// A field as a decimal number, digit for digit, because amounts do not fit a float.
pub(super) fn decimal(object: &Value, name: &str) -> Option<String> {
    let text = match object.get(name)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) if number.as_f64()?.abs() <= EXACT_MAX => number.to_string(),
        _ => return None,
    };
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (text.len() <= DECIMAL_MAX && is_number(whole) && is_number(fraction)).then_some(text)
}

/// A field as an `https` URL that a page may point to.
pub(super) fn url(object: &Value, name: &str) -> Option<String> {
    let url = Url::parse(object.get(name)?.as_str()?).ok()?;
    (url.scheme() == "https" && url.as_str().len() <= URL_MAX).then(|| url.into())
}

/// The joiner, the Hangul fillers and the empty Braille cell are invisible, like white space.
fn is_visible(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(
            c,
            '\u{200D}' | '\u{115F}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{FFA0}'
        )
}

/// Bidirectional controls, line separators, zero-width characters other than the joiner that emoji
/// need, soft hyphens, tags, annotation marks and the byte order mark.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{180E}' | '\u{2028}' | '\u{2029}' | '\u{200B}' | '\u{200C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}
