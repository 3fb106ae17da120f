//! Domain names in the linked wallets.

use serde::Serialize;
use serde_json::Value;

use super::paging::TAKE_MAX;
use super::{ApiError, Page, Paging, Resource, UserApi, text};
use crate::engine::oauth::Token;

/// Longest domain name, in characters. RFC 1035 allows 253 in the DNS.
const DOMAIN_MAX: usize = 255;

/// Selects the domains that match every field that is set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DomainQuery {
    /// `sol` or `eth`, for example.
    pub extension: Option<String>,
    pub network: Option<String>,
    pub paging: Paging,
}

/// A domain name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Domain {
    /// The whole name, `ada.sol`.
    pub name: String,
    /// The part after the dot.
    pub extension: Option<String>,
    /// The address of the wallet that owns it.
    pub owner: Option<String>,
    pub network: Option<String>,
}

impl DomainQuery {
    pub fn all() -> Self {
        Self {
            extension: None,
            network: None,
            paging: Paging::first(TAKE_MAX),
        }
    }

    /// One page, as the provider filters it.
    pub async fn page(self, api: &UserApi, token: &Token) -> Result<Page<Domain>, ApiError> {
        let filters = [
            ("extension", self.extension),
            ("networkSymbol", self.network),
        ];
        let page = api.page("domains", token, &self.paging, filters, parse_domain);
        page.await
    }
}

/// `/domains` (scope `domains`).
impl Resource for DomainQuery {
    type Data = Page<Domain>;
    const SCOPE: &'static str = "domains";

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Page<Domain>, ApiError> {
        let (extension, network) = (self.extension.clone(), self.network.clone());
        self.page(api, token).await?.readable()?.filtered(|domain| {
            text::fits(extension.as_deref(), domain.extension.as_deref())
                && text::fits(network.as_deref(), domain.network.as_deref())
        })
    }
}

/// `None` without a name.
pub fn parse_domain(entry: &Value) -> Option<Domain> {
    let wallet = entry.get("ownerWallet").unwrap_or(&Value::Null);
    Some(Domain {
        name: match entry.get("key") {
            Some(Value::String(key)) if !key.trim().is_empty() => text::whole(key, DOMAIN_MAX)?,
            _ => text::identifier(entry, "name", DOMAIN_MAX)?,
        },
        extension: text::identifier(entry, "extension", text::NETWORK_MAX),
        owner: text::identifier(wallet, "id", text::ADDRESS_MAX),
        network: text::identifier(wallet, "networkSymbol", text::NETWORK_MAX),
    })
}
