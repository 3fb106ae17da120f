//! Who runs this site.

use super::{Source, rules};

/// Who runs this site. Each may be absent.
#[derive(Debug, Clone, Default)]
pub struct Site {
    pub name: Option<String>,
    /// A page, or a `mailto:` address.
    pub support: Option<String>,
    pub privacy: Option<String>,
    pub terms: Option<String>,
}

impl Site {
    pub(super) fn read(env: &mut Source<'_>) -> Self {
        Self {
            name: env.optional("APP_NAME", rules::app_name),
            support: env.optional("SUPPORT_URL", rules::support_url),
            privacy: env.optional("PRIVACY_URL", rules::page_url),
            terms: env.optional("TERMS_URL", rules::page_url),
        }
    }
}
