//! The subcommands of `keys`: making a key, looking at what is sealed by which, and changing from one to the next.

use std::{
    fs::OpenOptions,
    io::{IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::{ExposeSecret as _, SecretString};

use super::block_on;
use crate::engine::{
    config::{KeySettings, Source},
    db::{
        self,
        keys::{KeyUse, count_by_key, first_rows_of_key},
    },
    seal::{self, Keyring, Purpose, Sealer},
    vault::rotation,
};

/// Rows of each key that `status` tries to open.
const SAMPLE: i64 = 5;
/// Between two lines of progress when nobody watches a bar.
const PROGRESS_PAUSE: Duration = Duration::from_secs(5);

/// A database of ours and the keys to it.
struct Opened {
    connection: sqlx::PgConnection,
    sealer: Sealer,
}

/// Reads the settings and connects.
async fn open() -> anyhow::Result<Opened> {
    let variables = Source::environment();
    let settings = KeySettings::from_source(Source::new(&variables))?;
    let connection = db::connect(&settings.database)
        .await
        .map_err(db::Error::from);
    Ok(Opened {
        connection: connection.context("DATABASE_URL leads to no database that answers")?,
        sealer: settings.token_keys.sealer(Purpose::Tokens),
    })
}

/// `keys status`
pub fn status() -> anyhow::Result<()> {
    block_on(async {
        let Opened {
            mut connection,
            sealer,
        } = open().await?;
        let uses = count_by_key(&mut connection).await?;
        print_uses(&sealer, &uses);
        let mut wrong = Vec::new();
        for id in sealer.key_ids() {
            let rows =
                first_rows_of_key(&mut connection, &seal::envelope_prefix(id), SAMPLE).await?;
            if rows.iter().any(|row| !rotation::opens(&sealer, row)) {
                wrong.push(id);
            }
        }
        let unknown: Vec<&str> = uses
            .iter()
            .filter(|uses| !is_known(&sealer, uses))
            .map(name)
            .collect();
        if !unknown.is_empty() {
            bail!(
                "stored tokens need keys that TOKEN_KEYS lacks: {}",
                unknown.join(", ")
            );
        }
        if !wrong.is_empty() {
            bail!(
                "stored tokens do not open: another key has the name {}, or they were altered",
                wrong.join(", ")
            );
        }
        Ok(())
    })
}

/// `keys rotate`
pub fn rotate() -> anyhow::Result<()> {
    block_on(async {
        let Opened {
            mut connection,
            sealer,
        } = open().await?;
        let active = sealer.active_key();
        let is_old = |uses: &&KeyUse| uses.key_id.as_deref() != Some(active);
        let old: i64 = count_by_key(&mut connection)
            .await?
            .iter()
            .filter(is_old)
            .map(tokens)
            .sum();
        let mut progress = Progress::new(old);
        let rotating = rotation::rotate(&mut connection, &sealer, |rows| progress.add(rows));
        let rotated = tokio::select! {
            rotated = rotating => rotated?,
            _ = tokio::signal::ctrl_c() => bail!("stopped; what is done is done, and running it again does the rest"),
        };
        progress.finish();
        println!("{} row(s) sealed anew by {active}.", rotated.resealed);
        let uses = count_by_key(&mut connection).await?;
        print_uses(&sealer, &uses);
        if rotated.unopenable > 0 {
            bail!(
                "{} row(s) do not open and were left as they are",
                rotated.unopenable
            );
        }
        if uses.iter().any(|uses| is_old(&uses)) {
            bail!(
                "a server still seals by another key: give every server the new TOKEN_KEYS, then run this again"
            );
        }
        Ok(())
    })
}

/// `keys forget`
pub fn forget(id: &str) -> anyhow::Result<()> {
    block_on(async {
        let Opened {
            mut connection,
            sealer,
        } = open().await?;
        if sealer.active_key() == id {
            bail!(
                "{id} is the key that seals: put another one first in TOKEN_KEYS, then run `keys rotate`"
            );
        }
        let uses = count_by_key(&mut connection).await?;
        if let Some(needed) = uses.iter().find(|uses| uses.key_id.as_deref() == Some(id)) {
            bail!(
                "{} stored token(s) need {id}: run `keys rotate` first",
                tokens(needed)
            );
        }
        if !sealer.key_ids().any(|known| known == id) {
            bail!("there is no key {id} in TOKEN_KEYS, and no stored token needs one");
        }
        println!(
            "No stored token needs {id}. Once every server seals by another key, take it out of TOKEN_KEYS."
        );
        Ok(())
    })
}

fn tokens(uses: &KeyUse) -> i64 {
    uses.grants + uses.revocations
}

fn name(uses: &KeyUse) -> &str {
    uses.key_id.as_deref().unwrap_or("(unreadable)")
}

fn is_known(sealer: &Sealer, uses: &KeyUse) -> bool {
    uses.key_id
        .as_deref()
        .is_some_and(|id| sealer.key_ids().any(|known| known == id))
}

fn print_uses(sealer: &Sealer, uses: &[KeyUse]) {
    let line = |id: &str, uses: Option<&KeyUse>, note: &str| {
        let (grants, revocations) = uses.map_or((0, 0), |uses| (uses.grants, uses.revocations));
        println!("{id:<16}  {grants:>10}  {revocations:>12}  {note}");
    };
    println!("{:<16}  {:>10}  {:>12}", "key", "tokens", "to be revoked");
    for id in sealer.key_ids() {
        let found = uses.iter().find(|uses| uses.key_id.as_deref() == Some(id));
        let note = match found {
            _ if id == sealer.active_key() => "seals and opens",
            Some(_) => "opens",
            None => "needed by no stored token",
        };
        line(id, found, note);
    }
    for unknown in uses.iter().filter(|uses| !is_known(sealer, uses)) {
        line(name(unknown), Some(unknown), "NOT IN TOKEN_KEYS");
    }
}

/// A bar where somebody watches, and a line now and then elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    done: u64,
    about: u64,
    said: Instant,
}

impl Progress {
    /// A row has one or two tokens, mostly two.
    fn new(tokens: i64) -> Self {
        let about = u64::try_from(tokens).unwrap_or_default().div_ceil(2);
        let style = ProgressStyle::with_template("{bar:40} {pos} of about {len} rows, {eta} left");
        let bar = std::io::stderr()
            .is_terminal()
            .then(|| ProgressBar::new(about));
        let bar =
            bar.map(|bar| bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())));
        Self {
            bar,
            done: 0,
            about,
            said: Instant::now(),
        }
    }

    fn add(&mut self, rows: usize) {
        self.done += rows as u64;
        match &self.bar {
            Some(bar) => bar.set_position(self.done),
            None if self.said.elapsed() >= PROGRESS_PAUSE => {
                self.said = Instant::now();
                eprintln!("{} of about {} rows", self.done, self.about);
            }
            None => {}
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `keys generate`
pub fn generate(id: &str, out: Option<&Path>) -> anyhow::Result<()> {
    match out {
        None => println!("{}", new_key(id)?.expose_secret()),
        Some(path) if write_key(id, path)? => {
            println!(
                "Wrote a new key to {0}. Set TOKEN_KEYS_FILE={0}.",
                path.display()
            );
        }
        Some(path) => println!("{} is there already and was left as it is.", path.display()),
    }
    Ok(())
}

/// Writes a new key to a file that only its owner can read; `false` if there is a file already. The file appears with
/// its content or not at all: an empty one would be taken for a key from then on.
pub(crate) fn write_key(id: &str, path: &Path) -> anyhow::Result<bool> {
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
    // Unlike a rename, a link never replaces what is there.
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
