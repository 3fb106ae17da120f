//! Cleans foreign text. Bounds the length of a label, and drops characters that hide or reorder
//! others. An identifier is never shortened, so that it never becomes another one.

use serde_json::Value;
use url::Url;

/// Longest name, in characters.
pub(super) const NAME_MAX: usize = 100;
/// Longest address, in characters.
pub(super) const ADDRESS_MAX: usize = 200;
/// Longest network symbol, in characters.
pub(super) const NETWORK_MAX: usize = 32;
/// In place of a character that could not be read, so the identifier is not known.
const REPLACEMENT: char = '\u{FFFD}';
/// Begins the flag of a region.
const BLACK_FLAG: char = '\u{1F3F4}';
/// Longest URL, in bytes.
const URL_MAX: usize = 2048;
/// Schemes of addresses of pictures. `data:` URLs are left out, because they are too long.
const PICTURE_SCHEMES: [&str; 4] = ["https", "http", "ipfs", "ar"];
/// Longest id of anything at the provider, in bytes.
const ID_MAX: usize = 200;

/// A label of at most `max` characters. `None` if nothing visible is left.
pub(super) fn label(text: &str, max: usize) -> Option<String> {
    let mut in_flag = false;
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .filter(|c| {
            in_flag = *c == BLACK_FLAG || (in_flag && is_tag(*c));
            in_flag || !is_hidden(*c)
        })
        .take(max)
        .collect();
    let clean = clean.trim();
    clean.contains(is_visible).then(|| clean.to_owned())
}

/// An identifier of at most `max` characters, never shortened. A character that cannot be seen is
/// escaped (`\u{200b}`), so that it never looks like another identifier.
pub(super) fn whole(text: &str, max: usize) -> Option<String> {
    let last = text.chars().count().checked_sub(1)?;
    if last >= max || text.trim().is_empty() || text.contains(REPLACEMENT) {
        return None;
    }
    let mut escaped = String::with_capacity(text.len());
    for (index, c) in text.chars().enumerate() {
        let is_inner_space = c == ' ' && index != 0 && index != last;
        if is_inner_space || is_seen(c) {
            escaped.push(c);
        } else {
            escaped.extend(c.escape_unicode());
        }
    }
    Some(escaped)
}

/// Whether a character of an identifier shows. The backslash does not, because escapes begin with
/// it.
fn is_seen(c: char) -> bool {
    let joins = matches!(c, '\u{FE00}'..='\u{FE0F}');
    c != '\\' && is_visible(c) && !c.is_control() && !is_hidden(c) && !joins
}

/// A field as an identifier.
pub(super) fn identifier(object: &Value, name: &str, max: usize) -> Option<String> {
    whole(object.get(name)?.as_str()?, max)
}

/// Whether two identifiers are the same. Hexadecimal ones come in either case.
pub(super) fn is_same(left: &str, right: &str) -> bool {
    left == right || (left.starts_with("0x") && left.eq_ignore_ascii_case(right))
}

/// Whether a field fits a filter. An absent field cannot be checked. Symbols come in either case.
pub(super) fn fits(asked: Option<&str>, found: Option<&str>) -> bool {
    let (Some(asked), Some(found)) = (asked, found) else {
        return true;
    };
    let is_symbol = asked.len() <= NETWORK_MAX;
    is_same(asked, found) || (is_symbol && asked.eq_ignore_ascii_case(found))
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

/// A field as the address of a picture, also one that no page shows, such as `ipfs://`.
pub(super) fn picture(object: &Value, name: &str) -> Option<String> {
    let address = object.get(name)?.as_str()?;
    let url = Url::parse(address).ok()?;
    let is_address = PICTURE_SCHEMES.contains(&url.scheme()) && address.len() <= URL_MAX;
    is_address.then(|| url.into())
}

/// The joiners, the Hangul fillers and the empty Braille cell are invisible, like white space.
fn is_visible(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(
            c,
            '\u{200C}'
                | '\u{200D}'
                | '\u{115F}'
                | '\u{1160}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{FFA0}'
        )
}

/// Whether this is a tag, with which the flags of regions are spelt after a black flag.
fn is_tag(c: char) -> bool {
    matches!(c, '\u{E0020}'..='\u{E007F}')
}

/// Bidirectional controls, line separators, zero-width characters other than the joiners that emoji
/// and some scripts need, soft hyphens, tags, annotation marks and the byte order mark.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{180E}' | '\u{2028}' | '\u{2029}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}
