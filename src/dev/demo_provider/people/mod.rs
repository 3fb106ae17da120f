//! The people one can sign in as, each an account that real applications stumble over.

mod mallory;
mod whale;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

use serde_json::{Value, json};

use super::{
    account::{Account, social},
    generate::{NETWORKS, domain, token, uuid, wallet},
    list::List,
    nfts::Nfts,
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
    pub(super) always_denies: bool,
    make_account: fn(&Self) -> Account,
    account: OnceLock<Account>,
}

impl Person {
    fn new(
        key: &'static str,
        name: &'static str,
        line: &'static str,
        make_account: fn(&Self) -> Account,
    ) -> Self {
        let summary = format!("{name}: {line}");
        Self {
            key,
            name,
            line,
            summary,
            always_denies: false,
            make_account,
            account: OnceLock::new(),
        }
    }

    /// Made when first asked for, so that a start does not pay for people nobody signs in as.
    pub(super) fn account(&self) -> &Account {
        self.account.get_or_init(|| (self.make_account)(self))
    }
}

pub(super) static PEOPLE: LazyLock<[Person; 7]> = LazyLock::new(|| {
    let everything = "five wallets on three networks, socials, roles, 12 NFTs, tokens and domains";
    let little = "registered a minute ago: empty profile, one wallet, primary nowhere";
    let denies = "always cancels: back to the application with access_denied";
    let very_much = "2,000 wallets, 100,000 NFTs, and a lot of everything else";
    let hostile =
        "hostile in every field: markup, script links, reordered text, wrong types, odd amounts";
    [
        Person::new("ada", "Ada Lindqvist", everything, ada),
        Person::new(
            "collector",
            "Joaquín Ibáñez",
            "480 NFTs in 30 wallets",
            collector,
        ),
        Person::new(
            "empty",
            "Emre Boş",
            "signed up, has nothing at all, not even a profile",
            empty,
        ),
        Person::new("newcomer", "Nia Okafor", little, newcomer),
        Person {
            always_denies: true,
            ..Person::new("denier", "Max Neumann", denies, Account::bare)
        },
        Person::new("whale", "Wanda Walsund", very_much, whale::account),
        Person::new("mallory", "Mallory", hostile, mallory::account),
    ]
});

/// The person with this key: one of the list, or anybody of the crowd, `crowd-0` to `crowd-999999`, whom load tests need.
pub(super) fn find(key: &str) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.key == key).or_else(|| {
        let number: u32 = key
            .strip_prefix("crowd-")?
            .parse()
            .ok()
            .filter(|number| *number < CROWD)?;
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
        Box::leak(Box::new(Person::new(key, name, "one of many", |person| {
            Account {
                wallets: Arc::new([wallet(person.key, 0, "SOL", &["SOL"])]),
                ..Account::bare(person)
            }
        })))
    })
}

fn ada(person: &Person) -> Account {
    let wallets = Arc::new([
        wallet("ada", 0, "SOL", &[]),
        wallet("ada", 1, "BTC", &["BTC"]),
        wallet("ada", 2, "ETH", &[]),
        wallet("ada", 3, "SOL", &["SOL"]),
        wallet("ada", 4, "ETH", &["ETH", "MATIC"]),
    ]);
    let nfts = Nfts {
        owner: "ada",
        wallets: wallets.clone(),
        count: 12,
    };
    let shown = nfts.make(0);
    let mut account = Account {
        nfts: List::Nfts(nfts),
        tokens: List::Kept(vec![
            token(
                &wallets[3],
                "SOL",
                "Solana",
                "41.207315884",
                "100",
                "141.207315884",
            ),
            token(
                &wallets[3],
                "KELP",
                "Kelp",
                "98765432109876543210.123456789",
                "0",
                "98765432109876543210.123456789",
            ),
            token(
                &wallets[0],
                "USDX",
                "Demo Dollar",
                "250000.01",
                "0",
                "250000.01",
            ),
            token(
                &wallets[4],
                "ETH",
                "Ether",
                "0.000000000000000001",
                "32",
                "32.000000000000000001",
            ),
            token(
                &wallets[1],
                "BTC",
                "Bitcoin",
                "0.00000546",
                "0",
                "0.00000546",
            ),
        ]),
        domains: List::Kept(vec![
            domain(&wallets[3], "ada", "sol"),
            domain(&wallets[4], "lindqvist", "eth"),
        ]),
        email: json!("ada@example.com"),
        twitter: social("Ada L.", "1389412345678901234", "ada_lindqvist"),
        discord: social("ada", "987654321098765432", "ada#0001"),
        telegram: social("Ada", "5012345678", "ada_l"),
        roles: json!([
            { "id": uuid("role holder"), "name": "Holder", "guildId": "801234567890123456" },
            { "id": uuid("role captain"), "name": "Captain <of> \"Night Ferries\"", "guildId": "801234567890123456" },
        ]),
        wallets,
        ..Account::bare(person)
    };
    account.user["profile"]["banner"] = json!("https://example.com/people/ada-banner.png");
    account.user["profile"]["pfpNFT"] =
        json!({ "id": shown["id"], "collection": shown["collection"] });
    account
}

fn collector(person: &Person) -> Account {
    // The first wallet of each network is not the primary one; the second is.
    let owned = |index: usize| {
        let network = NETWORKS[index % NETWORKS.len()];
        let primary_on = if index / NETWORKS.len() == 1 {
            vec![network]
        } else {
            Vec::new()
        };
        wallet("collector", index, network, &primary_on)
    };
    let wallets: Arc<[_]> = (0..30).map(owned).collect();
    Account {
        nfts: List::Nfts(Nfts {
            owner: "collector",
            wallets: wallets.clone(),
            count: 480,
        }),
        tokens: List::Kept(vec![token(&wallets[4], "SOL", "Solana", "7.5", "0", "7.5")]),
        email: json!("joaquin@example.com"),
        wallets,
        ..Account::bare(person)
    }
}

fn empty(person: &Person) -> Account {
    let mut account = Account::bare(person);
    account.user["profile"] = Value::Null;
    account
}

fn newcomer(person: &Person) -> Account {
    let mut account = Account {
        wallets: Arc::new([wallet("newcomer", 0, "SOL", &[])]),
        email: json!(""),
        roles: json!([]),
        ..Account::bare(person)
    };
    for (field, unset) in [
        ("name", json!("")),
        ("vanityURL", Value::Null),
        ("about", json!("")),
        ("pfp", json!("")),
    ] {
        account.user["profile"][field] = unset;
    }
    account
}
