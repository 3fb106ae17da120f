//! The gate. A handler that takes `Holds<Gate>` runs only for people who satisfy the gate's rule.

mod holdings;

use std::collections::BTreeMap;
use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use uuid::Uuid;

use self::holdings::{BalanceHeld, DomainHeld, NftsHeld, Wanted};
use crate::engine::error::Failure;
use crate::engine::matrica::{
    DiscordQuery, EmailQuery, ROLES_MAX, Resource, Role, RolesQuery, TelegramQuery, TwitterQuery,
};
use crate::engine::rule::{Linked, Rule};
use crate::engine::session::CurrentUser;
use crate::engine::state::Engine;
use crate::engine::user_data::{DataError, Reader};

/// A named gate of the app.
pub trait Gate: Send + Sync {
    /// A rule of this name in `GATES_FILE` replaces the one of the code.
    const NAME: &'static str;

    fn rule() -> Rule;
}

/// Whether a person satisfies a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Yes,
    /// The part of the rule that is missing.
    No(Rule),
    /// Not known, and why. The scope is the one that the answer needs.
    NoAnswer(DataError, &'static str),
}

impl Verdict {
    /// Fails closed. The failure names the missing part.
    pub fn require(self) -> Result<(), Failure> {
        match self {
            Self::Yes => Ok(()),
            Self::No(missing) => Err(Failure::NotHeld(missing)),
            Self::NoAnswer(error, scope) => Err(error.into_failure(scope)),
        }
    }

    /// Whether the rule is met, for background work. A person who does not share what it asks
    /// for does not meet it. An error means that the answer is not known now.
    pub fn decided(self) -> Result<bool, DataError> {
        match self {
            Self::Yes => Ok(true),
            Self::No(_) | Self::NoAnswer(DataError::NotShared, _) => Ok(false),
            Self::NoAnswer(error, _) => Err(error),
        }
    }
}

/// Proof that the user satisfies the rule of the gate, according to data at most 1 minute old.
///
/// Fails closed. Without a sign-in it rejects like [`CurrentUser`]. It rejects with 403 if the rule
/// is not met or a scope that decides is not granted, and with 503 if Matrica does not answer.
pub struct Holds<G> {
    pub user: CurrentUser,
    /// The rule that was checked.
    pub rule: Rule,
    gate: PhantomData<G>,
}

impl<G: Gate> FromRequestParts<Engine> for Holds<G> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, engine: &Engine) -> Result<Self, Failure> {
        let user =
            <CurrentUser as FromRequestParts<Engine>>::from_request_parts(parts, engine).await?;
        let rule = rule::<G>(engine);
        check(engine, user.user_id, &rule).await.require()?;
        Ok(Self {
            user,
            rule,
            gate: PhantomData,
        })
    }
}

/// The rule of a gate, from `GATES_FILE` or from the code.
pub fn rule<G: Gate>(engine: &Engine) -> Rule {
    let configured = engine.config.gates.get(G::NAME).cloned();
    configured.unwrap_or_else(G::rule)
}

/// Whether the person satisfies the rule, according to data at most 1 minute old.
///
/// Pages, parts of pages and background work ask here. "No" needs complete answers.
pub async fn check(engine: &Engine, user_id: Uuid, rule: &Rule) -> Verdict {
    check_with(&engine.reader(user_id), rule).await
}

/// The same with a reader of one's own, such as that of a [`Job`](crate::engine::jobs::Job).
pub async fn check_with(reader: &Reader<'_>, rule: &Rule) -> Verdict {
    evaluate(reader, rule).await
}

async fn evaluate(reader: &Reader<'_>, rule: &Rule) -> Verdict {
    let is_met = match rule {
        Rule::Any(rules) | Rule::All(rules) => {
            let is_any = matches!(rule, Rule::Any(_));
            return evaluate_list(reader, rules, is_any).await;
        }
        Rule::Not(inner) => {
            return match Box::pin(evaluate(reader, inner)).await {
                Verdict::Yes => Verdict::No(rule.clone()),
                Verdict::No(_) => Verdict::Yes,
                // Otherwise hiding something would open the gate.
                no_answer @ Verdict::NoAnswer(..) => no_answer,
            };
        }
        Rule::Nfts {
            collection,
            at_least,
            ..
        } => {
            let wanted = Wanted::Collection(collection.clone());
            holds(reader, NftsHeld(wanted, *at_least)).await
        }
        Rule::Nft { id, .. } => holds(reader, NftsHeld(Wanted::Id(id.clone()), 1)).await,
        Rule::Balance {
            token, at_least, ..
        } => holds(reader, BalanceHeld(token.clone(), at_least.clone())).await,
        Rule::Domain { ending } => holds(reader, DomainHeld(ending.to_ascii_lowercase())).await,
        Rule::Role { guild, role, .. } => has_role(reader, guild, role).await,
        Rule::Linked(Linked::Discord) => has_linked(reader, DiscordQuery).await,
        Rule::Linked(Linked::Email) => has_linked(reader, EmailQuery).await,
        Rule::Linked(Linked::Telegram) => has_linked(reader, TelegramQuery).await,
        Rule::Linked(Linked::Twitter) => has_linked(reader, TwitterQuery).await,
        Rule::People(people) => Ok(people.contains(&reader.user_id())),
    };
    match is_met {
        Ok(true) => Verdict::Yes,
        Ok(false) => Verdict::No(rule.clone()),
        Err(error) => Verdict::NoAnswer(error, rule.scope().unwrap_or_default()),
    }
}

/// `any` of the rules, or all of them. Asks at the same time, so that an answer that never comes
/// holds up no yes.
async fn evaluate_list(reader: &Reader<'_>, rules: &[Rule], is_any: bool) -> Verdict {
    let ask = async |(place, rule)| (place, Box::pin(evaluate(reader, rule)).await);
    let mut answers: FuturesUnordered<_> = rules.iter().enumerate().map(ask).collect();
    // In the order of the rules, so that the page reads the same each time.
    let (mut missing, mut unknown) = (BTreeMap::new(), BTreeMap::new());
    while let Some((place, verdict)) = answers.next().await {
        match verdict {
            Verdict::Yes if is_any => return Verdict::Yes,
            Verdict::Yes => {}
            Verdict::No(rule) => {
                missing.insert(place, rule);
            }
            no_answer @ Verdict::NoAnswer(..) => {
                unknown.insert(place, no_answer);
            }
        }
    }
    // What may come later decides before what the person keeps to themselves, because a job takes the
    // latter for a no.
    let may_come =
        |verdict: &&Verdict| !matches!(verdict, Verdict::NoAnswer(DataError::NotShared, _));
    let later = unknown.values().find(may_come).cloned();
    let unknown = later.or(unknown.into_values().next());
    match unknown {
        Some(no_answer) if is_any || missing.is_empty() => no_answer,
        None if missing.is_empty() => Verdict::Yes,
        _ => {
            let mut missing: Vec<Rule> = missing.into_values().collect();
            Verdict::No(match missing.len() {
                1 => missing.remove(0),
                _ if is_any => Rule::Any(missing),
                _ => Rule::All(missing),
            })
        }
    }
}

async fn holds(reader: &Reader<'_>, held: impl Resource<Data = bool>) -> Result<bool, DataError> {
    Ok(*reader.get(held).await?.current()?)
}

async fn has_linked<T>(
    reader: &Reader<'_>,
    account: impl Resource<Data = Option<T>>,
) -> Result<bool, DataError> {
    Ok(reader.get(account).await?.current()?.is_some())
}

async fn has_role(reader: &Reader<'_>, guild: &str, role: &str) -> Result<bool, DataError> {
    let roles = reader.get(RolesQuery).await?.current()?;
    let is_it = |held: &Role| held.id == role && held.guild_id.as_deref() == Some(guild);
    let held = roles.iter().any(is_it);
    // The list may be cut off, so the role may be among those that were not read.
    if !held && roles.len() >= ROLES_MAX {
        Err(DataError::Unavailable)
    } else {
        Ok(held)
    }
}
