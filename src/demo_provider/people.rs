//! The people one can sign in as, each an account that real applications stumble over.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use serde_json::{Value, json};

use super::{
    endpoint::Endpoint,
    generate::{NETWORKS, domain, nfts, token, uuid, wallet},
};

/// How many people the crowd has.
const CROWD: u32 = 1_000_000;

pub(super) struct Person {
    pub(super) key: &'static str,
    pub(super) name: &'static str,
    /// What they have, for people to choose by.
    pub(super) line: &'static str,
    /// Name and line together.
    pub(super) summary: String,
    /// The user object, with the nested profile or `null` in it. Outer and inner id differ.
    pub(super) user: Value,
    pub(super) always_denies: bool,
    pub(super) wallets: Vec<Value>,
    pub(super) nfts: Vec<Value>,
    pub(super) tokens: Vec<Value>,
    pub(super) domains: Vec<Value>,
    email: Value,
    twitter: Value,
    discord: Value,
    telegram: Value,
    roles: Value,
}

impl Person {
    /// A resource that is one value: its name in the answer, and the value.
    pub(super) fn field(&self, resource: Endpoint) -> (&'static str, &Value) {
        match resource {
            Endpoint::Email => ("email", &self.email),
            Endpoint::Twitter => ("twitter", &self.twitter),
            Endpoint::Discord => ("discord", &self.discord),
            Endpoint::Telegram => ("telegram", &self.telegram),
            _ => ("roles", &self.roles),
        }
    }
}

pub(super) static PEOPLE: LazyLock<[Person; 5]> = LazyLock::new(|| [ada(), collector(), empty(), newcomer(), denier()]);

/// The person with this key: one of the list, or anybody of the crowd, `crowd-0` to `crowd-999999`, whom load tests need.
pub(super) fn find(key: &str) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.key == key).or_else(|| {
        let number: u32 = key.strip_prefix("crowd-")?.parse().ok().filter(|number| *number < CROWD)?;
        (key == format!("crowd-{number}")).then(|| somebody(number))
    })
}

/// Made when first asked for, and kept for good.
fn somebody(number: u32) -> &'static Person {
    static MADE: LazyLock<Mutex<HashMap<u32, &'static Person>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(number).or_insert_with(|| {
        let key: &'static str = format!("crowd-{number}").leak();
        let name: &'static str = format!("Crowd {number}").leak();
        let person = nobody(key, name, "one of many", &profile(key, name));
        Box::leak(Box::new(Person { wallets: vec![wallet(key, 0, "SOL", &["SOL"])], ..person }))
    })
}

/// Somebody with a user object and nothing linked to it.
fn nobody(key: &'static str, name: &'static str, line: &'static str, profile: &Value) -> Person {
    Person {
        key,
        name,
        line,
        summary: format!("{name}: {line}"),
        user: json!({
            "id": uuid(&format!("user {key}")),
            "username": name.to_lowercase().replace(' ', "."),
            "isAdmin": false,
            "registered": true,
            "createdDate": "2023-05-04T09:30:00.000Z",
            "updatedDate": "2026-02-11T18:05:12.481Z",
            "profile": profile,
        }),
        always_denies: false,
        wallets: Vec::new(),
        nfts: Vec::new(),
        tokens: Vec::new(),
        domains: Vec::new(),
        email: Value::Null,
        twitter: Value::Null,
        discord: Value::Null,
        telegram: Value::Null,
        roles: Value::Null,
    }
}

fn profile(key: &str, name: &str) -> Value {
    json!({
        "id": uuid(&format!("profile {key}")),
        "name": name,
        "vanityURL": key,
        "about": "Lives in the demo provider",
        "website": "",
        "pfp": format!("https://example.com/people/{key}.png"),
        "banner": null,
        "pfpNFT": null,
    })
}

fn social(name: &str, external_id: &str, external_name: &str) -> Value {
    json!({ "name": name, "externalId": external_id, "externalName": external_name })
}

fn ada() -> Person {
    let wallets = vec![
        wallet("ada", 0, "SOL", &[]),
        wallet("ada", 1, "BTC", &["BTC"]),
        wallet("ada", 2, "ETH", &[]),
        wallet("ada", 3, "SOL", &["SOL"]),
        wallet("ada", 4, "ETH", &["ETH", "MATIC"]),
    ];
    let nfts = nfts("ada", &wallets, 12);
    let mut profile = profile("ada", "Ada Lindqvist");
    profile["banner"] = json!("https://example.com/people/ada-banner.png");
    profile["pfpNFT"] = json!({ "id": nfts[0]["id"], "collection": nfts[0]["collection"] });
    let line = "five wallets on three networks, socials, roles, 12 NFTs, tokens and domains";
    Person {
        tokens: vec![
            token(&wallets[3], "SOL", "Solana", "41.207315884", "100", "141.207315884"),
            token(&wallets[3], "KELP", "Kelp", "98765432109876543210.123456789", "0", "98765432109876543210.123456789"),
            token(&wallets[0], "USDX", "Demo Dollar", "250000.01", "0", "250000.01"),
            token(&wallets[4], "ETH", "Ether", "0.000000000000000001", "32", "32.000000000000000001"),
            token(&wallets[1], "BTC", "Bitcoin", "0.00000546", "0", "0.00000546"),
        ],
        domains: vec![domain(&wallets[3], "ada", "sol"), domain(&wallets[4], "lindqvist", "eth")],
        email: json!("ada@example.com"),
        twitter: social("Ada L.", "1389412345678901234", "ada_lindqvist"),
        discord: social("ada", "987654321098765432", "ada#0001"),
        telegram: social("Ada", "5012345678", "ada_l"),
        roles: json!([
            { "id": uuid("role holder"), "name": "Holder", "guildId": "801234567890123456" },
            { "id": uuid("role captain"), "name": "Captain <of> \"Night Ferries\"", "guildId": "801234567890123456" },
        ]),
        wallets,
        nfts,
        ..nobody("ada", "Ada Lindqvist", line, &profile)
    }
}

fn collector() -> Person {
    // The first wallet of each network is not the primary one; the second is.
    let owned = |index: usize| {
        let network = NETWORKS[index % NETWORKS.len()];
        let primary_on = if index / NETWORKS.len() == 1 { vec![network] } else { Vec::new() };
        wallet("collector", index, network, &primary_on)
    };
    let wallets: Vec<_> = (0..30).map(owned).collect();
    Person {
        nfts: nfts("collector", &wallets, 480),
        tokens: vec![token(&wallets[4], "SOL", "Solana", "7.5", "0", "7.5")],
        email: json!("joaquin@example.com"),
        wallets,
        ..nobody("collector", "Joaquín Ibáñez", "480 NFTs in 30 wallets", &profile("collector", "Joaquín Ibáñez"))
    }
}

fn empty() -> Person {
    nobody("empty", "Emre Boş", "signed up, has nothing at all, not even a profile", &Value::Null)
}

fn newcomer() -> Person {
    let mut profile = profile("newcomer", "");
    profile["vanityURL"] = Value::Null;
    profile["about"] = json!("");
    profile["pfp"] = json!("");
    Person {
        wallets: vec![wallet("newcomer", 0, "SOL", &[])],
        email: json!(""),
        roles: json!([]),
        ..nobody(
            "newcomer",
            "Nia Okafor",
            "registered a minute ago: empty profile, one wallet, primary nowhere",
            &profile,
        )
    }
}

fn denier() -> Person {
    let line = "always cancels: back to the application with access_denied";
    Person { always_denies: true, ..nobody("denier", "Max Neumann", line, &profile("denier", "Max Neumann")) }
}
