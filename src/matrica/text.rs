//! Foreign text made fit to show and to store: bounded, one line, no characters that reorder or hide others.

use url::Url;

/// A label of at most `max` characters. None when nothing visible is left.
pub(super) fn label(text: &str, max: usize) -> Option<String> {
    let clean: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !is_hidden(*c)).take(max).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

/// A URL that a page may point to: `https` and nothing else.
pub(super) fn https_url(text: &str, max: usize) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https")?;
    (url.as_str().len() <= max).then(|| url.into())
}

/// Bidirectional controls, zero-width characters other than the joiner that emoji need, and the byte order mark.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200B}' | '\u{200C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}
