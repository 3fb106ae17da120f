//! The people to sign in as, each with an account that real applications stumble over.

mod large;

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use super::account::Account;
use super::generate::wallet;

/// How many people the crowd has.
const CROWD: u32 = 1_000_000;

pub struct Person {
    pub key: &'static str,
    pub name: &'static str,
    /// What they have, to choose by.
    pub line: &'static str,
    pub always_denies: bool,
    make_account: fn(&Self) -> Account,
    account: OnceLock<Account>,
}

impl Person {
    const fn new(
        key: &'static str,
        name: &'static str,
        line: &'static str,
        make_account: fn(&Self) -> Account,
    ) -> Self {
        Self {
            key,
            name,
            line,
            always_denies: false,
            make_account,
            account: OnceLock::new(),
        }
    }

    const fn always_denying(mut self) -> Self {
        self.always_denies = true;
        self
    }

    /// Made on first use, so that a start does not pay for accounts that are not signed in to.
    pub fn account(&self) -> &Account {
        self.account.get_or_init(|| (self.make_account)(self))
    }
}

pub static PEOPLE: [Person; 7] = [
    Person::new(
        "ada",
        "Ada Lindqvist",
        "five wallets on three networks, socials, roles, 12 NFTs, tokens and domains",
        |_| Account::from_json(include_str!("ada.json")),
    ),
    Person::new(
        "collector",
        "Joaquín Ibáñez",
        "480 NFTs in 30 wallets",
        |_| large::collector(),
    ),
    Person::new(
        "empty",
        "Emre Boş",
        "signed up, has nothing at all, not even a profile",
        |_| Account::from_json(include_str!("empty.json")),
    ),
    Person::new(
        "newcomer",
        "Nia Okafor",
        "registered a minute ago: empty profile, one wallet, primary nowhere",
        |_| Account::from_json(include_str!("newcomer.json")),
    ),
    Person::new(
        "denier",
        "Max Neumann",
        "always cancels: back to the application with access_denied",
        |person| Account::bare(person.key, person.name),
    )
    .always_denying(),
    Person::new(
        "whale",
        "Wanda Walsund",
        "2,000 wallets, 100,000 NFTs, and a lot of everything else",
        |_| large::whale(),
    ),
    Person::new(
        "mallory",
        "Mallory",
        "hostile in every field: markup, script links, reordered text, wrong types, odd amounts",
        |_| Account::from_json(include_str!("mallory.json")),
    ),
];

/// The person with this key, one of [`PEOPLE`] or of the crowd that load tests need (`crowd-0` to
/// `crowd-999999`).
pub fn find(key: &str) -> Option<&'static Person> {
    let person = PEOPLE.iter().find(|person| person.key == key);
    person.or_else(|| crowd_member(key.strip_prefix("crowd-")?))
}

/// Made on first use, and never freed.
fn crowd_member(number: &str) -> Option<&'static Person> {
    static MADE: LazyLock<Mutex<HashMap<u32, &'static Person>>> = LazyLock::new(Mutex::default);
    let parsed: u32 = number.parse().ok()?;
    if parsed >= CROWD || parsed.to_string() != number {
        return None;
    }
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let person = made.entry(parsed).or_insert_with(|| {
        let key = format!("crowd-{number}").leak();
        let name = format!("Crowd {number}").leak();
        let person = Person::new(key, name, "one of many", |person| Account {
            wallets: vec![wallet(person.key, 0, "SOL", &["SOL"])],
            ..Account::bare(person.key, person.name)
        });
        Box::leak(Box::new(person))
    });
    Some(*person)
}
