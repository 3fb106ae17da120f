//! `explain`: why a sign-in failed, by the reference of its page or by the name of its refusal.

mod refusals;

use anyhow::{Context as _, bail};
use strum::IntoEnumIterator as _;

use super::block_on;
use crate::app::page::rfc3339;
use crate::engine::config::{Database, Source};
use crate::engine::db;
use crate::engine::db::attempts::{self, Record, SIGNED_IN};
use crate::engine::random::is_reference;
use crate::engine::sign_in::{Refusal, SignInNotice};
use crate::engine::workers::ATTEMPT_DAYS;

/// Minutes before and after an attempt whose other attempts are counted. Long enough to tell an
/// outage from one person's problem.
const NEIGHBOUR_MINUTES: i32 = 10;
/// Age in seconds after which an attempt without an outcome gets none any more. A sign-in takes 15
/// seconds at most.
const UNFINISHED_AFTER: f64 = 60.0;

/// `explain`. The name of a refusal needs no database.
pub fn explain(what: &str) -> anyhow::Result<()> {
    let what = what.trim();
    let reference = what.to_ascii_lowercase();
    if is_reference(&reference) {
        return block_on(explain_reference(&reference));
    }
    // `misconfigured` is both. With `?e=` it is what the address of the page says.
    let slug = what.strip_prefix("?e=");
    if slug.is_none()
        && let Ok(refusal) = what.parse::<Refusal>()
    {
        print!("{}", about(refusal));
        return Ok(());
    }
    let name = slug.unwrap_or(what);
    let Ok(notice) = name.parse::<SignInNotice>() else {
        bail!(
            "this is neither a reference nor the name of a refusal. A reference has 10 letters and \
             digits and stands on the error page. The refusals are: {}",
            names(Refusal::iter())
        );
    };
    let behind = Refusal::iter().filter(|refusal| refusal.notice() == Some(notice));
    if behind.clone().next().is_none() {
        println!(
            "{name} is a notice of the sign-in page about an action that needs a fresh sign-in."
        );
        return Ok(());
    }
    println!(
        "{name} is the notice that people see. It stands for: {}\n",
        names(behind.clone())
    );
    behind.for_each(|refusal| println!("{}", about(refusal)));
    Ok(())
}

async fn explain_reference(reference: &str) -> anyhow::Result<()> {
    let variables = Source::environment();
    let database = Database::from_source(Source::new(&variables))?;
    let connection = db::connect(&database).await;
    let mut connection = connection.context("DATABASE_URL leads to no database that answers")?;
    let records = attempts::records(&mut connection, reference, NEIGHBOUR_MINUTES).await?;
    if records.is_empty() {
        print!("{}", unknown(reference));
    }
    for record in &records {
        print!("{}", timeline(reference, record));
    }
    Ok(())
}

fn timeline(reference: &str, record: &Record) -> String {
    let outcome = record.outcome.as_deref();
    let step = |name: &str, took: Option<i32>, until: &str| match took {
        Some(took) => format!("  {name:<12} {took:>6} ms  {until}\n"),
        None => format!("  {name:<12}      –     not measured\n"),
    };
    [
        format!("Sign-in {reference}\n\n"),
        format!("  the callback was accepted {} ago, ", age(record.age)),
        format!("at {}\n", rfc3339(record.burnt_at)),
        step(
            "exchange_ms",
            record.exchange_ms,
            "until the token endpoint had answered",
        ),
        step(
            "profile_ms",
            record.profile_ms,
            "then until the profile was read",
        ),
        step(
            "store_ms",
            record.store_ms,
            "for storing person, tokens and session",
        ),
        format!("  outcome      {}\n\n", outcome.unwrap_or("none")),
        meaning(outcome, record.age),
        format!(
            "\nIn the {NEIGHBOUR_MINUTES} minutes before and after, {} other attempt(s) ended in the \
             same way, and {} signed in.\n",
            record.alike, record.signed_in
        ),
        format!(
            "No status or text of the provider is stored. Search the log for reference={reference}. \
             That line has a request_id, and all lines of this request_id belong to the attempt.\n"
        ),
    ]
    .concat()
}

fn meaning(outcome: Option<&str>, age: f64) -> String {
    let text = match outcome.map(|outcome| (outcome, outcome.parse::<Refusal>())) {
        Some((SIGNED_IN, _)) => {
            "The sign-in succeeded. If the person saw a refusal with this reference, the same \
             callback came a second time, by a reload or the back button."
        }
        Some((_, Ok(refusal))) => return about(refusal),
        Some((_, Err(_))) => {
            "This release does not know that outcome. A newer one beside it has written it."
        }
        None if age < UNFINISHED_AFTER => "The sign-in is under way.",
        None => {
            "The server has written no outcome. It was killed, or lost the database, after the \
             callback was accepted. The code is used up, and the person has to start again."
        }
    };
    format!("{text}\n")
}

fn about(refusal: Refusal) -> String {
    let text = refusals::explain(refusal);
    let (name, meaning) = (refusal.name(), text.meaning);
    let (cause, remedy) = (text.cause, text.remedy);
    format!("{name}: {meaning}\nCause: {cause}\nWhat to do: {remedy}\n")
}

fn unknown(reference: &str) -> String {
    format!(
        "No sign-in with the reference {reference} is stored. It is one of these:
  * A request. Every error page, and every callback that was refused before its attempt was used,
    shows the id of its request. Search the log for request_id={reference}.
    A line login_failed has the reason, which `explain` explains by name. Requests that a rate limit
    refuses have no line of their own.
  * A sign-in that was started and never came back, or whose callback the database has not taken.
    Search the log for reference={reference}.
  * A sign-in of more than {ATTEMPT_DAYS} days ago. Attempts are deleted then, and only logs are left.
"
    )
}

fn names(refusals: impl Iterator<Item = Refusal>) -> String {
    let names: Vec<&str> = refusals.map(Refusal::name).collect();
    names.join(", ")
}

/// In the largest whole unit.
fn age(seconds: f64) -> String {
    let units = [(86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes")];
    let unit = units
        .into_iter()
        .find(|(length, _)| seconds >= 2.0 * length);
    let (length, name) = unit.unwrap_or((1.0, "seconds"));
    format!("{:.0} {name}", (seconds / length).floor().max(0.0))
}
