//! `Rule`: what opens a gate. [Examples](../../docs/gates.md).

use bigdecimal::BigDecimal;
use serde::{Deserialize, Deserializer, de};
use uuid::Uuid;

/// Most conditions in one rule. Each may cost a call to Matrica.
const CONDITIONS_MAX: usize = 20;
/// Most rules inside each other.
const DEPTH_MAX: usize = 5;
/// Longest amount, in characters.
const AMOUNT_MAX: usize = 100;

/// A condition about a person. Only ids decide. `name` is what people call the thing, because names
/// are not unique.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// NFTs of a collection, by Matrica's id of the collection. Different mint addresses count.
    /// Needs the scope `nfts`.
    Nfts {
        collection: String,
        name: String,
        #[serde(default = "one")]
        at_least: u32,
    },
    /// One NFT, by its mint address. Needs the scope `nfts`.
    Nft {
        id: String,
        name: String,
    },
    /// An amount of a fungible token in all linked wallets together, staked amounts included. Needs
    /// the scope `wallets`.
    Balance {
        token: String,
        name: String,
        at_least: Amount,
    },
    /// A role in a Discord community, by the ids of both. Needs the scope `roles`.
    Role {
        guild: String,
        role: String,
        name: String,
    },
    /// A domain name below this one, such as `sol`. Needs the scope `domains`.
    Domain {
        ending: String,
    },
    /// A linked account. Needs its scope.
    Linked(Linked),
    /// These people, by their ids in this app.
    People(Vec<Uuid>),
    Any(Vec<Rule>),
    All(Vec<Rule>),
    Not(Box<Rule>),
}

/// An account that a person can link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Linked {
    Discord,
    Email,
    Telegram,
    Twitter,
}

/// A positive decimal number, in the unit of Matrica's answers. Text or a whole number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Amount(pub BigDecimal);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Whole(u64),
            Text(String),
        }
        let written = Written::deserialize(deserializer)
            .map_err(|_| de::Error::custom("an amount is a whole number, or text like \"0.5\""))?;
        let text = match written {
            Written::Whole(number) => number.to_string(),
            Written::Text(text) => text,
        };
        let digits = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        let plain = text.len() <= AMOUNT_MAX && text.bytes().all(digits);
        let positive = text.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
        let amount = text.parse().ok().filter(|_| plain && positive);
        let amount = amount.ok_or_else(|| de::Error::custom("an amount is a number above 0"))?;
        Ok(Self(amount))
    }
}

fn one() -> u32 {
    1
}

impl Rule {
    /// What is wrong with the rule, as the end of a sentence.
    pub fn mistake(&self) -> Option<String> {
        if self.depth() > DEPTH_MAX {
            return Some(format!("has more than {DEPTH_MAX} rules inside each other"));
        }
        let mut conditions = Vec::new();
        self.collect(&mut conditions);
        if conditions.len() > CONDITIONS_MAX {
            return Some(format!("has more than {CONDITIONS_MAX} conditions"));
        }
        let own = conditions.into_iter().find_map(Self::own_mistake);
        own.map(str::to_owned)
    }

    /// The scopes that the conditions need.
    pub fn scopes(&self) -> Vec<&'static str> {
        let mut conditions = Vec::new();
        self.collect(&mut conditions);
        conditions.into_iter().filter_map(Self::scope).collect()
    }

    /// The scope that this condition needs.
    pub fn scope(&self) -> Option<&'static str> {
        match self {
            Self::Nfts { .. } | Self::Nft { .. } => Some("nfts"),
            Self::Balance { .. } => Some("wallets"),
            Self::Role { .. } => Some("roles"),
            Self::Domain { .. } => Some("domains"),
            Self::Linked(Linked::Discord) => Some("socials.discord"),
            Self::Linked(Linked::Email) => Some("email"),
            Self::Linked(Linked::Telegram) => Some("socials.telegram"),
            Self::Linked(Linked::Twitter) => Some("socials.twitter"),
            Self::People(_) | Self::Any(_) | Self::All(_) | Self::Not(_) => None,
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::Any(rules) | Self::All(rules) => {
                1 + rules.iter().map(Self::depth).max().unwrap_or_default()
            }
            Self::Not(rule) => 1 + rule.depth(),
            _ => 1,
        }
    }

    /// The conditions, and the empty lists of rules.
    fn collect<'a>(&'a self, conditions: &mut Vec<&'a Self>) {
        match self {
            Self::Any(rules) | Self::All(rules) if !rules.is_empty() => {
                for rule in rules {
                    rule.collect(conditions);
                }
            }
            Self::Not(rule) => rule.collect(conditions),
            condition => conditions.push(condition),
        }
    }

    fn own_mistake(&self) -> Option<&'static str> {
        let texts: &[&str] = match self {
            Self::Any(_) | Self::All(_) => return Some("has an empty list of rules"),
            Self::People(people) if people.is_empty() => {
                return Some("has an empty list of people");
            }
            Self::Nfts { at_least: 0, .. } => return Some("has an `at_least` of 0"),
            Self::Nfts {
                collection, name, ..
            } => &[collection, name],
            Self::Nft { id, name } => &[id, name],
            Self::Balance { token, name, .. } => &[token, name],
            Self::Role { guild, role, name } => &[guild, role, name],
            Self::Domain { ending } if ending.starts_with('.') => {
                return Some("has a domain ending that begins with a dot. Write it without");
            }
            Self::Domain { ending } => &[ending],
            Self::Linked(_) | Self::People(_) | Self::Not(_) => &[],
        };
        let is_empty = texts.iter().any(|text| text.trim().is_empty());
        is_empty.then_some("has an empty id or name")
    }
}
