//! Domain names in the linked wallets.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Paging, text,
    wallets::{ADDRESS_MAX, NETWORK_MAX},
};

/// Longest domain name, in characters (RFC 1035 allows 253 for one that DNS knows).
const DOMAIN_MAX: usize = 255;

/// Which domains: those that fit every field that is set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DomainQuery {
    /// `sol`, `eth` and so on.
    pub extension: Option<String>,
    pub network: Option<String>,
    pub paging: Paging,
}

/// A domain name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Domain {
    /// The whole name, `ada.sol`.
    pub name: String,
    /// What stands after the dot.
    pub extension: Option<String>,
    /// The address of the wallet that owns it.
    pub owner: Option<String>,
    pub network: Option<String>,
}

impl DomainQuery {
    pub(super) fn filters(&self) -> Vec<(&'static str, String)> {
        super::set([("extension", &self.extension), ("networkSymbol", &self.network)])
    }
}

/// None without a name.
pub(super) fn read(entry: &Value) -> Option<Domain> {
    let wallet = entry.get("ownerWallet").unwrap_or(&Value::Null);
    Some(Domain {
        name: text::field(entry, "key", DOMAIN_MAX).or_else(|| text::field(entry, "name", DOMAIN_MAX))?,
        extension: text::field(entry, "extension", NETWORK_MAX),
        owner: text::field(wallet, "id", ADDRESS_MAX),
        network: text::field(wallet, "networkSymbol", NETWORK_MAX),
    })
}
