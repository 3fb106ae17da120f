//! Whether `TOKEN_KEYS` open the stored tokens.

use std::time::Duration;

use tokio::time::timeout;

use super::database::failed;
use super::report::Finding;
use crate::commands::keys::problem;
use crate::engine::config::{Database, Readable};
use crate::engine::db::keys::count_by_key;
use crate::engine::db::{self, Error};
use crate::engine::seal::{Purpose, Sealer};

/// Longest wait for counting the tokens, which reads two tables as a whole.
const TIMEOUT: Duration = Duration::from_secs(30);
const KEYS: &str = "keys";

/// `ready` says whether the tables are there.
pub async fn check(readable: &Readable, ready: bool) -> Finding {
    let (Some(settings), true) = (&readable.database, ready) else {
        return Finding::skipped(KEYS, "database or migrations");
    };
    let Some(token_keys) = &readable.token_keys else {
        return Finding::skipped(KEYS, "TOKEN_KEYS");
    };
    let sealer = token_keys.sealer(Purpose::Tokens);
    match timeout(TIMEOUT, look(settings, &sealer)).await {
        Ok(Ok((tokens, None))) => Finding::right(
            KEYS,
            format!("TOKEN_KEYS has the keys of all {tokens} stored tokens, and a sample opens"),
        ),
        Ok(Ok((_, Some(problem)))) => Finding::wrong(
            KEYS,
            problem,
            "Give every server the same TOKEN_KEYS, with every key that `keys status` names. People \
             whose key is lost sign in again once.",
        ),
        Ok(Err(error)) => failed(KEYS, error),
        Err(_) => Finding::unknown(
            KEYS,
            format!("counting takes more than {} s", TIMEOUT.as_secs()),
            "Run `keys status`.",
        ),
    }
}

/// The number of stored tokens, and what is wrong with the keys.
async fn look(settings: &Database, sealer: &Sealer) -> Result<(i64, Option<String>), Error> {
    let mut connection = db::connect(settings).await?;
    let uses = count_by_key(&mut connection).await?;
    let tokens = uses.iter().map(|uses| uses.grants + uses.revocations).sum();
    Ok((tokens, problem(&mut connection, sealer, &uses).await?))
}
