//! JSON from outside. One odd character must not spoil a whole answer, so a text that the strict
//! parser refuses is repaired and parsed once more.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// In place of a character that cannot be read.
const REPLACEMENT: char = '\u{FFFD}';
const BYTE_ORDER_MARK: char = '\u{FEFF}';
/// What may follow a backslash, beside `u` with four digits.
const ESCAPED: [char; 8] = ['"', '\\', '/', 'b', 'f', 'n', 'r', 't'];

/// Parses strictly, and then a repaired copy. Returns the error of the strict parser.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(body).or_else(|error| {
        let text = String::from_utf8_lossy(body);
        serde_json::from_str(&repaired(&text)).map_err(|_| error)
    })
}

/// Whether a body is a JSON object or list, as a provider's own refusals are.
pub fn is_document(body: &[u8]) -> bool {
    matches!(parse(body), Ok(Value::Object(_) | Value::Array(_)))
}

/// Drops a byte order mark. Replaces half of a surrogate pair, an unknown escape and a raw control
/// character in a string, and makes a number that is out of range null.
fn repaired(text: &str) -> String {
    let mut rest = text.trim_start_matches(BYTE_ORDER_MARK);
    let (mut repaired, mut in_string) = (String::with_capacity(rest.len()), false);
    while let Some(first) = rest.chars().next() {
        let (piece, length): (Cow<'_, str>, _) = match first {
            '"' => {
                in_string = !in_string;
                ("\"".into(), 1)
            }
            '\\' if in_string => escape(rest),
            '\0'..='\x1F' if in_string => (REPLACEMENT.to_string().into(), 1),
            '-' | '0'..='9' if !in_string => number(rest),
            other => (other.to_string().into(), other.len_utf8()),
        };
        repaired.push_str(&piece);
        rest = rest.get(length..).unwrap_or_default();
    }
    repaired
}

/// An escape sequence that can be read, and the length of the original.
fn escape(text: &str) -> (Cow<'_, str>, usize) {
    let unit = |start: usize| {
        let digits = text.get(start..start + 6)?.strip_prefix("\\u")?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
    };
    let start = |length| text.get(..length).unwrap_or_default();
    match (unit(0), unit(6)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (start(12).into(), 12),
        (Some(0xD800..=0xDFFF), _) => (REPLACEMENT.to_string().into(), 6),
        (Some(_), _) => (start(6).into(), 6),
        (None, _) => match start(2) {
            known if known.ends_with(ESCAPED) => (known.into(), 2),
            _ => (REPLACEMENT.to_string().into(), 1),
        },
    }
}

/// A number that can be read, or null, and the length of the original.
fn number(text: &str) -> (Cow<'_, str>, usize) {
    let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (number, _) = text.split_at(end);
    let readable = serde_json::from_str::<Value>(number).is_ok();
    (if readable { number } else { "null" }.into(), end)
}
