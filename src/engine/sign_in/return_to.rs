//! The target after a sign-in, a path of this origin. Prevents open redirects.

use std::fmt;

use url::Url;

/// Longest target, in bytes.
const RETURN_TO_MAX: usize = 512;
/// Percent-encodings of separators, dot segments, control characters and `%` itself.
const REFUSED_ENCODINGS: [&str; 8] = ["%2f", "%5c", "%2e", "%00", "%09", "%0a", "%0d", "%25"];
/// Paths that would loop or act.
const REFUSED_PATHS: [&str; 3] = ["/auth", "/login", "/logout"];
/// Any origin serves to check whether a browser would leave it.
const BASE: &str = "https://origin.invalid/";

/// A path with an optional query that stays on this origin in every browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// The target, or `/` if any check fails. The checked text is never normalised afterwards.
    pub fn parse(text: &str) -> Self {
        if is_local(text) {
            Self(text.to_owned())
        } else {
            Self::home()
        }
    }

    pub fn home() -> Self {
        Self("/".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the grammar first, because URL parsers and browsers disagree about the text after `/`. A
/// URL parser gives the second opinion.
fn is_local(text: &str) -> bool {
    let printable = text
        .bytes()
        .all(|byte| (0x21..=0x7E).contains(&byte) && byte != b'\\' && byte != b'#');
    if text.len() > RETURN_TO_MAX || !printable || !text.starts_with('/') || text.starts_with("//")
    {
        return false;
    }
    let path = text.split('?').next().unwrap_or_default();
    let lower = path.to_ascii_lowercase();
    let encoded = REFUSED_ENCODINGS
        .iter()
        .any(|encoding| lower.contains(encoding));
    if encoded || is_refused(path) {
        return false;
    }
    let Ok(base) = Url::parse(BASE) else {
        return false;
    };
    base.join(text).is_ok_and(|url| {
        url.origin() == base.origin()
            && url.username().is_empty()
            && url.password().is_none()
            && !url.path().starts_with("//")
            && !is_refused(url.path())
    })
}

fn is_refused(path: &str) -> bool {
    REFUSED_PATHS.iter().any(|refused| {
        path.strip_prefix(refused)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}
