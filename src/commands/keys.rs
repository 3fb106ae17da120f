//! `keys`: making a key, finding out which keys are in use, and rotating to the next one.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgConnection;

use super::block_on;
use crate::engine::config::{KeySettings, Source};
use crate::engine::db;
use crate::engine::db::keys::{KeyUse, count_by_key, first_rows_of_key};
use crate::engine::seal::{self, Keyring, Purpose, Sealer};
use crate::engine::vault::rotation;

/// Rows of each key that `status` tries to open.
const SAMPLE: i64 = 5;
/// A rotation that takes longer than this reports its progress.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);
/// Pause between two lines of progress.
const PROGRESS_PAUSE: Duration = Duration::from_secs(5);
/// A queued revocation is tried 8 times and then dropped.
const REVOCATIONS_DRAIN: &str = "They are gone within about 15 hours while a server runs.";

/// Reads the settings and connects.
async fn connect() -> anyhow::Result<(PgConnection, Sealer)> {
    let variables = Source::environment();
    let settings = KeySettings::from_source(Source::new(&variables))?;
    let connection = db::connect(&settings.database).await;
    let connection = connection.context("DATABASE_URL leads to no database that answers")?;
    Ok((connection, settings.token_keys.sealer(Purpose::Tokens)))
}

/// `keys status`
pub fn status() -> anyhow::Result<()> {
    block_on(async {
        let (mut connection, sealer) = connect().await?;
        let uses = count_by_key(&mut connection).await?;
        print_uses(&sealer, &uses);
        match problem(&mut connection, &sealer, &uses).await? {
            Some(problem) => bail!(problem),
            None => Ok(()),
        }
    })
}

/// What is wrong with `TOKEN_KEYS`. Opens a sample of the rows of each key.
pub async fn problem(
    connection: &mut PgConnection,
    sealer: &Sealer,
    uses: &[KeyUse],
) -> Result<Option<String>, db::Error> {
    let unknown = uses.iter().filter(|uses| !is_known(sealer, uses));
    let unknown: Vec<&str> = unknown.map(KeyUse::name).collect();
    if !unknown.is_empty() {
        let keys = unknown.join(", ");
        return Ok(Some(format!(
            "stored tokens need keys that TOKEN_KEYS lacks: {keys}"
        )));
    }
    let mut wrong = Vec::new();
    for id in sealer.key_ids() {
        let rows = first_rows_of_key(connection, &seal::envelope_prefix(id), SAMPLE).await?;
        if rows.iter().any(|row| !rotation::opens(sealer, row)) {
            wrong.push(id);
        }
    }
    let keys = wrong.join(", ");
    Ok((!wrong.is_empty()).then(|| {
        format!("stored tokens do not open: another key has the name {keys}, or they were altered")
    }))
}

/// `keys rotate`
pub fn rotate() -> anyhow::Result<()> {
    block_on(async {
        let (mut connection, sealer) = connect().await?;
        let active = sealer.active_key();
        let is_old = |uses: &&KeyUse| !uses.is_of(active);
        let uses = count_by_key(&mut connection).await?;
        let old: i64 = uses.iter().filter(is_old).map(|uses| uses.grants).sum();
        // Most grants have two tokens.
        let (about, mut done) = ((old + 1) / 2, 0);
        let mut next_line = Instant::now() + PROGRESS_AFTER;
        let progress = |rows| {
            done += rows;
            if Instant::now() >= next_line {
                next_line = Instant::now() + PROGRESS_PAUSE;
                eprintln!("{done} of about {about} rows");
            }
        };
        let rotated = tokio::select! {
            rotated = rotation::rotate(&mut connection, &sealer, progress) => rotated?,
            _ = tokio::signal::ctrl_c() => bail!("stopped; nothing is lost, and running it again does the rest"),
        };
        println!("{} row(s) sealed anew by {active}.", rotated.resealed);
        let uses = count_by_key(&mut connection).await?;
        print_uses(&sealer, &uses);
        let waiting: i64 = uses
            .iter()
            .filter(is_old)
            .map(|uses| uses.revocations)
            .sum();
        if waiting > 0 {
            println!("{waiting} token(s) under other keys wait to be revoked. {REVOCATIONS_DRAIN}");
        }
        let unopenable = rotated.unopenable;
        if unopenable > 0 {
            bail!("{unopenable} row(s) do not open and were left as they are");
        }
        if uses.iter().filter(is_old).any(|uses| uses.grants > 0) {
            bail!(
                "a server still seals by another key: give every server the new TOKEN_KEYS, then run this again"
            );
        }
        Ok(())
    })
}

/// `keys check`
pub fn check(id: &str) -> anyhow::Result<()> {
    block_on(async {
        let (mut connection, sealer) = connect().await?;
        if sealer.active_key() == id {
            bail!(
                "{id} is the key that seals: put another one first in TOKEN_KEYS, then run `keys rotate`"
            );
        }
        let known = sealer.key_ids().any(|known| known == id);
        let uses = count_by_key(&mut connection).await?;
        let uses = uses.iter().find(|uses| uses.is_of(id));
        match uses.map_or((0, 0), |uses| (uses.grants, uses.revocations)) {
            (0, 0) if known => println!(
                "No stored token needs {id}. Once every server seals by another key, take it out of TOKEN_KEYS."
            ),
            (0, 0) => bail!("there is no key {id} in TOKEN_KEYS, and no stored token needs one"),
            (0, revocations) => bail!(
                "{revocations} token(s) that wait to be revoked need {id}. {REVOCATIONS_DRAIN}"
            ),
            (grants, _) => bail!("{grants} stored token(s) need {id}: run `keys rotate` first"),
        }
        Ok(())
    })
}

fn is_known(sealer: &Sealer, uses: &KeyUse) -> bool {
    sealer.key_ids().any(|id| uses.is_of(id))
}

fn print_uses(sealer: &Sealer, uses: &[KeyUse]) {
    let line = |id: &str, uses: Option<&KeyUse>, note: &str| {
        let (grants, revocations) = uses.map_or((0, 0), |uses| (uses.grants, uses.revocations));
        println!("{id:<16}  {grants:>10}  {revocations:>12}  {note}");
    };
    println!("{:<16}  {:>10}  {:>12}", "key", "tokens", "to be revoked");
    for id in sealer.key_ids() {
        let found = uses.iter().find(|uses| uses.is_of(id));
        let note = match found {
            _ if id == sealer.active_key() => "seals and opens",
            Some(_) => "opens",
            None => "needed by no stored token",
        };
        line(id, found, note);
    }
    for unknown in uses.iter().filter(|uses| !is_known(sealer, uses)) {
        line(unknown.name(), Some(unknown), "NOT IN TOKEN_KEYS");
    }
}

/// `keys generate`
pub fn generate(id: &str, out: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = out else {
        println!("{}", new_key(id)?.expose_secret());
        return Ok(());
    };
    let (written, path) = (write_key(id, path)?, path.display());
    if written {
        println!("Wrote a new key to {path}. Set TOKEN_KEYS_FILE={path}.");
    } else {
        println!("{path} exists and was left as it is.");
    }
    Ok(())
}

/// Writes a new key to a file that only its owner can read. Returns `false` if the file exists.
///
/// The file appears with its content or not at all, because an empty one would be read as a key.
pub fn write_key(id: &str, path: &Path) -> anyhow::Result<bool> {
    let key = new_key(id)?;
    let unfinished = path.with_extension(format!("{}.unfinished", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .with_context(|| format!("cannot write {}", unfinished.display()))?;
    writeln!(file, "{}", key.expose_secret())?;
    file.sync_all()?;
    // Unlike a rename, a link never replaces an existing file.
    let linked = std::fs::hard_link(&unfinished, path);
    std::fs::remove_file(&unfinished)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}

fn new_key(id: &str) -> anyhow::Result<SecretString> {
    if !seal::is_key_id(id) {
        bail!("--id must be 1 to 16 letters, digits, - or _");
    }
    Ok(Keyring::generate(id))
}
