//! Networks and addresses as people read them, and the sites that show more about them.

/// Where people change their Matrica account and link wallets.
pub const MATRICA_SETTINGS: &str = "https://matrica.io/settings";
/// The page of a person at Matrica, before their name there.
const MATRICA_PERSON: &str = "https://matrica.io/user/";
/// A Discord community, before its id.
const DISCORD_COMMUNITY: &str = "https://discord.com/channels/";

/// Characters of an address that stay visible at each end when it is shortened.
const SHORT_ENDS: usize = 5;
/// Longest name or address in a link, in characters.
const LINKED_MAX: usize = 128;
/// Length of a Bitcoin transaction's id, which begins the id of an inscription.
const TRANSACTION_ID: usize = 64;

/// A network that we know.
struct KnownNetwork {
    symbol: &'static str,
    name: &'static str,
    /// The shape and colour in the style sheet.
    mark: &'static str,
    /// The explorer's page of an address, before the address.
    explorer: &'static str,
}

const NETWORKS: [KnownNetwork; 4] = [
    KnownNetwork {
        symbol: "SOL",
        name: "Solana",
        mark: "sol",
        explorer: "https://solscan.io/account/",
    },
    KnownNetwork {
        symbol: "ETH",
        name: "Ethereum",
        mark: "eth",
        explorer: "https://etherscan.io/address/",
    },
    KnownNetwork {
        symbol: "BTC",
        name: "Bitcoin",
        mark: "btc",
        explorer: "https://mempool.space/address/",
    },
    KnownNetwork {
        symbol: "MATIC",
        name: "Polygon",
        mark: "matic",
        explorer: "https://polygonscan.com/address/",
    },
];
/// The explorer's page of an inscription, before its id.
const INSCRIPTION: &str = "https://ordinals.com/inscription/";

fn known(symbol: &str) -> Option<&'static KnownNetwork> {
    NETWORKS.iter().find(|network| network.symbol == symbol)
}

/// The symbols of the networks that we know.
pub fn network_symbols() -> Vec<&'static str> {
    NETWORKS.iter().map(|network| network.symbol).collect()
}

/// The name of a network. Unknown ones go by their symbol.
pub fn network_name(symbol: &str) -> &str {
    known(symbol).map_or(symbol, |network| network.name)
}

/// A network with its mark in the style sheet.
pub struct Network {
    pub name: String,
    pub mark: &'static str,
}

impl Network {
    pub fn new(symbol: &str) -> Self {
        Self {
            name: network_name(symbol).to_owned(),
            mark: known(symbol).map_or("other", |network| network.mark),
        }
    }
}

/// An address with its short form.
pub struct Address {
    pub short: String,
    pub full: String,
    /// The explorer's page about it.
    pub explorer: Option<String>,
}

impl Address {
    /// An address on a network, given by its symbol.
    pub fn on(network: Option<&str>, full: &str) -> Self {
        let network = network.and_then(known);
        Self {
            explorer: network.and_then(|network| link(network.explorer, full)),
            ..Self::new(full)
        }
    }

    /// The mint address of an NFT, or the id of an inscription.
    pub fn of_nft(network: Option<&str>, id: &str) -> Self {
        if network == Some("BTC") && id.len() > TRANSACTION_ID {
            return Self {
                explorer: link(INSCRIPTION, id),
                ..Self::new(id)
            };
        }
        Self::on(network, id)
    }

    pub fn new(full: &str) -> Self {
        let characters: Vec<char> = full.chars().collect();
        let short = if characters.len() <= 2 * SHORT_ENDS + 1 {
            full.to_owned()
        } else {
            let start = characters.iter().take(SHORT_ENDS);
            let end = characters.iter().skip(characters.len() - SHORT_ENDS);
            start.chain(&['…']).chain(end).collect()
        };
        Self {
            short,
            full: full.to_owned(),
            explorer: None,
        }
    }
}

/// The page of a person at Matrica.
pub fn matrica_page(vanity_url: &str) -> Option<String> {
    link(MATRICA_PERSON, vanity_url)
}

/// A Discord community, for its members.
pub fn community_page(guild_id: &str) -> Option<String> {
    let is_id = guild_id.bytes().all(|byte| byte.is_ascii_digit());
    link(DISCORD_COMMUNITY, guild_id).filter(|_| is_id)
}

/// `None` for anything but letters, digits, `-`, `_` and `.`, because others could lead elsewhere.
fn link(base: &str, end: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = (1..=LINKED_MAX).contains(&end.len())
        && end.bytes().all(is_plain)
        && end.bytes().any(|byte| byte.is_ascii_alphanumeric());
    fits.then(|| format!("{base}{end}"))
}

#[cfg(test)]
mod tests {
    use super::{Address, community_page, matrica_page};

    #[test]
    fn only_plain_names_and_addresses_lead_to_other_sites() {
        let explorer = |network, full| Address::on(network, full).explorer;
        let known = explorer(Some("SOL"), "XrPDgmJf").unwrap();
        assert_eq!(known, "https://solscan.io/account/XrPDgmJf");
        for hostile in ["", "..", "a/b", "a?b", "a#b", "a%2fb", "@evil", "\u{202e}a"] {
            assert_eq!(explorer(Some("SOL"), hostile), None, "{hostile}");
            assert_eq!(matrica_page(hostile), None, "{hostile}");
            assert_eq!(community_page(hostile), None, "{hostile}");
        }
        assert_eq!(explorer(Some("NEW"), "XrPDgmJf"), None);
        assert_eq!(explorer(None, "XrPDgmJf"), None);
        assert_eq!(community_page("javascript"), None);
    }

    #[test]
    fn an_inscription_leads_to_its_own_explorer() {
        let id = format!("{}i0", "a".repeat(64));
        let explorer = |id| Address::of_nft(Some("BTC"), id).explorer.unwrap();
        assert!(explorer(&id).starts_with("https://ordinals.com/"));
        assert!(explorer("bc1pabc").starts_with("https://mempool.space/"));
    }
}
