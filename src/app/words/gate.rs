//! The words for the rules of gates.

use std::borrow::Cow;

use crate::engine::Rule;
use crate::engine::rule::Linked;

/// Title and text for a person who does not satisfy a rule.
pub fn refusal(missing: &Rule) -> (Cow<'static, str>, Cow<'static, str>) {
    let (title, text) = match missing {
        Rule::Nfts {
            name, at_least: 1, ..
        } => (
            format!("This page is for holders of {name}"),
            format!(
                "None of the NFTs in your linked wallets is from {name}. If you own one, link the \
                 wallet that holds it to your Matrica account, then check again."
            ),
        ),
        Rule::Role { name, .. } => (
            format!("This page is for people with the role {name}"),
            format!(
                "Your Discord account doesn't have the role {name}. Once you have it, check again."
            ),
        ),
        Rule::People(_) => (
            "This page is for invited people".to_owned(),
            "You're not on its list. If you should be, ask the people who run this site."
                .to_owned(),
        ),
        Rule::Not(_) => (
            "This page isn't open to you".to_owned(),
            format!("It opens only if {}.", condition(missing)),
        ),
        rule => (
            "This page isn't open to you yet".to_owned(),
            format!(
                "It opens if {}. If you have that in a wallet or an account that isn't linked yet, \
                 link it to your Matrica account, then check again.",
                condition(rule)
            ),
        ),
    };
    (title.into(), text.into())
}

/// The rule as the end of a sentence: "if …".
pub fn condition(rule: &Rule) -> String {
    clause(rule, true)
}

/// The rule, or its opposite.
fn clause(rule: &Rule, is: bool) -> String {
    let have = if is { "you have" } else { "you don't have" };
    match rule {
        Rule::Nfts {
            name, at_least: 1, ..
        } if is => format!("you have an NFT of {name}"),
        Rule::Nfts {
            name, at_least: 1, ..
        } => format!("you have no NFT of {name}"),
        Rule::Nfts { name, at_least, .. } if is => format!("you have {at_least} NFTs of {name}"),
        Rule::Nfts { name, at_least, .. } => {
            format!("you have fewer than {at_least} NFTs of {name}")
        }
        Rule::Nft { name, .. } => format!("{have} the NFT {name}"),
        Rule::Balance { name, at_least, .. } => {
            let amount = if is { "at least" } else { "less than" };
            format!("you have {amount} {} {name}", at_least.0.to_plain_string())
        }
        Rule::Role { name, .. } => format!("{have} the Discord role {name}"),
        Rule::Domain { ending } => format!("{have} a domain that ends in .{ending}"),
        Rule::Linked(account) => format!("{have} {}", linked(*account)),
        Rule::People(_) if is => "you're on its list".to_owned(),
        Rule::People(_) => "you're not on its list".to_owned(),
        Rule::Not(rule) => clause(rule, !is),
        Rule::Any(rules) => clauses(rules, is, if is { " or " } else { " and " }),
        Rule::All(rules) => clauses(rules, is, if is { " and " } else { " or " }),
    }
}

/// "a, b or c". A list inside a list says where it begins and ends.
fn clauses(rules: &[Rule], is: bool, last: &str) -> String {
    let one = |rule: &Rule| match rule {
        Rule::Any(rules) | Rule::All(rules) if rules.len() > 1 => {
            format!("({})", clause(rule, is))
        }
        rule => clause(rule, is),
    };
    let mut all: Vec<String> = rules.iter().map(one).collect();
    let end = all.pop().unwrap_or_default();
    if all.is_empty() {
        end
    } else {
        format!("{}{last}{end}", all.join(", "))
    }
}

fn linked(account: Linked) -> &'static str {
    match account {
        Linked::Discord => "a linked Discord account",
        Linked::Email => "an e-mail address at Matrica",
        Linked::Telegram => "a linked Telegram account",
        Linked::Twitter => "a linked X account",
    }
}
