//! Domain names in the linked wallets.

use serde::Serialize;
use serde_json::Value;

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

/// `/domains` (scope `domains`).
impl Resource for DomainQuery {
    type Data = Page<Domain>;
    const SCOPE: &'static str = "domains";

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Page<Domain>, ApiError> {
        let filters = [
            ("extension", self.extension),
            ("networkSymbol", self.network),
        ];
        api.page("domains", token, &self.paging, filters, parse_domain)
            .await
    }
}

/// `None` without a name.
fn parse_domain(entry: &Value) -> Option<Domain> {
    let wallet = entry.get("ownerWallet").unwrap_or(&Value::Null);
    Some(Domain {
        name: text::field(entry, "key", DOMAIN_MAX)
            .or_else(|| text::field(entry, "name", DOMAIN_MAX))?,
        extension: text::field(entry, "extension", text::NETWORK_MAX),
        owner: text::field(wallet, "id", text::ADDRESS_MAX),
        network: text::field(wallet, "networkSymbol", text::NETWORK_MAX),
    })
}
