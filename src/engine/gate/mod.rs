//! The gate. A handler that takes `Holds<Gate>` runs only for people who satisfy the gate's rule.

mod holdings;

use std::marker::PhantomData;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use uuid::Uuid;

use self::holdings::{BalanceHeld, DomainHeld, NftsHeld, Wanted};
use crate::engine::error::Failure;
use crate::engine::matrica::{
    DiscordQuery, EmailQuery, ROLES_MAX, RolesQuery, TelegramQuery, TwitterQuery,
};
use crate::engine::rule::{Linked, Rule};
use crate::engine::session::CurrentUser;
use crate::engine::state::Engine;
use crate::engine::user_data::{DataError, Reader};

/// Budget for all conditions of a rule.
const RULE_BUDGET: Duration = Duration::from_secs(12);

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
    let reader = engine.reader(user_id);
    let verdict = evaluate(&reader, user_id, rule);
    let in_time = tokio::time::timeout(RULE_BUDGET, verdict).await;
    in_time.unwrap_or(Verdict::NoAnswer(DataError::Unavailable, ""))
}

/// One yes satisfies `any`, and one no decides `all`, even if other answers are missing. A missing
/// answer is no reason for `not`.
async fn evaluate(reader: &Reader<'_>, user_id: Uuid, rule: &Rule) -> Verdict {
    match rule {
        Rule::Any(rules) => {
            let (mut missing, mut unknown) = (Vec::new(), None);
            for rule in rules {
                match Box::pin(evaluate(reader, user_id, rule)).await {
                    Verdict::Yes => return Verdict::Yes,
                    Verdict::No(rule) => missing.push(rule),
                    no_answer @ Verdict::NoAnswer(..) => {
                        unknown.get_or_insert(no_answer);
                    }
                }
            }
            unknown.unwrap_or_else(|| Verdict::No(one_or(missing, Rule::Any)))
        }
        Rule::All(rules) => {
            let (mut missing, mut unknown) = (Vec::new(), None);
            for rule in rules {
                match Box::pin(evaluate(reader, user_id, rule)).await {
                    Verdict::Yes => {}
                    Verdict::No(rule) => missing.push(rule),
                    no_answer @ Verdict::NoAnswer(..) => {
                        unknown.get_or_insert(no_answer);
                    }
                }
            }
            if missing.is_empty() {
                unknown.unwrap_or(Verdict::Yes)
            } else {
                Verdict::No(one_or(missing, Rule::All))
            }
        }
        Rule::Not(inner) => match Box::pin(evaluate(reader, user_id, inner)).await {
            Verdict::Yes => Verdict::No(rule.clone()),
            Verdict::No(_) => Verdict::Yes,
            no_answer @ Verdict::NoAnswer(..) => no_answer,
        },
        Rule::People(people) if people.contains(&user_id) => Verdict::Yes,
        Rule::People(_) => Verdict::No(rule.clone()),
        condition => match Box::pin(is_met(reader, condition)).await {
            Ok(true) => Verdict::Yes,
            Ok(false) => Verdict::No(rule.clone()),
            Err(error) => Verdict::NoAnswer(error, condition.scope().unwrap_or_default()),
        },
    }
}

fn one_or(mut rules: Vec<Rule>, many: fn(Vec<Rule>) -> Rule) -> Rule {
    match rules.pop() {
        Some(rule) if rules.is_empty() => rule,
        last => {
            rules.extend(last);
            many(rules)
        }
    }
}

/// Whether one condition about data of Matrica is met.
async fn is_met(reader: &Reader<'_>, condition: &Rule) -> Result<bool, DataError> {
    match condition {
        Rule::Nfts {
            collection,
            at_least,
            ..
        } => {
            let wanted = Wanted::Collection(collection.clone());
            let held = NftsHeld(wanted, *at_least);
            Ok(*reader.get(held).await?.current()?)
        }
        Rule::Nft { id, .. } => {
            let held = NftsHeld(Wanted::Id(id.clone()), 1);
            Ok(*reader.get(held).await?.current()?)
        }
        Rule::Balance {
            token, at_least, ..
        } => {
            let held = BalanceHeld(token.clone(), at_least.clone());
            Ok(*reader.get(held).await?.current()?)
        }
        Rule::Domain { ending } => {
            let held = DomainHeld(ending.to_ascii_lowercase());
            Ok(*reader.get(held).await?.current()?)
        }
        Rule::Role { guild, role, .. } => has_role(reader, guild, role).await,
        Rule::Linked(Linked::Discord) => Ok(reader.get(DiscordQuery).await?.current()?.is_some()),
        Rule::Linked(Linked::Email) => Ok(reader.get(EmailQuery).await?.current()?.is_some()),
        Rule::Linked(Linked::Telegram) => Ok(reader.get(TelegramQuery).await?.current()?.is_some()),
        Rule::Linked(Linked::Twitter) => Ok(reader.get(TwitterQuery).await?.current()?.is_some()),
        Rule::People(_) | Rule::Any(_) | Rule::All(_) | Rule::Not(_) => Err(DataError::Rejected),
    }
}

async fn has_role(reader: &Reader<'_>, guild: &str, role: &str) -> Result<bool, DataError> {
    let roles = reader.get(RolesQuery).await?.current()?;
    let is_it = |held: &crate::engine::matrica::Role| {
        held.id == role && held.guild_id.as_deref() == Some(guild)
    };
    let held = roles.iter().any(is_it);
    // The list may be cut off, so the role may be among those that were not read.
    if !held && roles.len() >= ROLES_MAX {
        Err(DataError::Unavailable)
    } else {
        Ok(held)
    }
}
