//! Foreign text made fit to show and to store: bounded, one line, no characters that reorder or hide others.

use url::Url;

/// A label of at most `max` characters. None when nothing visible is left.
pub(super) fn label(text: &str, max: usize) -> Option<String> {
    let clean: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !is_hidden(*c)).take(max).collect();
    let clean = clean.trim();
    clean.contains(is_visible).then(|| clean.to_owned())
}

/// A URL that a page may point to: `https` and nothing else.
pub(super) fn https_url(text: &str, max: usize) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https")?;
    (url.as_str().len() <= max).then(|| url.into())
}

/// Something other than blanks: the joiner and the Hangul fillers are letters of no width.
fn is_visible(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '\u{200D}' | '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}')
}

/// Bidirectional controls, line separators, zero-width characters other than the joiner that emoji need, soft hyphens
/// and the byte order mark.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{2028}' | '\u{2029}' | '\u{200B}' | '\u{200C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}
