//! `jobs`: running one at once, and the state of all.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::serve::require_current_schema;
use super::{block_on, log_configuration};
use crate::app::App;
use crate::app::page::rfc3339;
use crate::engine::config::{Config, Database, Source};
use crate::engine::db::jobs::{self, JobStatus};
use crate::engine::http::log;
use crate::engine::jobs::run_now;
use crate::engine::{Application as _, application, db};

/// Longest wait for turns and refreshes at the end.
const DRAIN_MAX: Duration = Duration::from_secs(75);
/// Pause between two lines of progress.
const PROGRESS_PAUSE: Duration = Duration::from_secs(5);

/// `jobs run`
pub fn run(name: &str) -> anyhow::Result<()> {
    let Some(job) = App::jobs().into_iter().find(|job| job.name == name) else {
        bail!("there is no job {name}. {}", known());
    };
    let variables = Source::environment();
    let config = Config::from_source(Source::new(&variables), App::config)?;
    let _log = log::init(config.log_format);
    log_configuration(&config);
    block_on(async {
        require_current_schema(&config.database, &config.matrica.provider()).await?;
        let engine = application::engine::<App>(config)
            .context("no certificate authorities are installed")?;
        engine.vault.check_keys().await;
        if let Some(problem) = engine.vault.key_problem() {
            bail!(problem);
        }
        let mut next_line = Instant::now() + PROGRESS_PAUSE;
        let work = run_now(&engine, job, |so_far, due| {
            if Instant::now() >= next_line {
                next_line = Instant::now() + PROGRESS_PAUSE;
                eprintln!("{} of {due} people", so_far.turns());
            }
        });
        let finished = tokio::select! {
            finished = work => Some(finished),
            _ = tokio::signal::ctrl_c() => None,
        };
        // A refresh that is under way must store its tokens.
        engine.tasks.shutdown.cancel();
        engine.tasks.tracker.close();
        let _ = tokio::time::timeout(DRAIN_MAX, engine.tasks.tracker.wait()).await;
        let Some(finished) = finished.transpose()? else {
            bail!("stopped; the rest is due, and running servers do it");
        };
        println!(
            "{} people checked, {} told that their grant has ended.",
            finished.done, finished.told_gone
        );
        if finished.later > 0 {
            bail!(
                "{} people are tried again later: `jobs status` says why",
                finished.later
            );
        }
        Ok(())
    })
}

/// `jobs status`. Needs the database settings only.
pub fn status() -> anyhow::Result<()> {
    let variables = Source::environment();
    let database = Database::from_source(Source::new(&variables))?;
    block_on(async {
        let connection = db::connect(&database).await;
        let mut connection =
            connection.context("DATABASE_URL leads to no database that answers")?;
        let stored = jobs::status(&mut connection).await?;
        println!(
            "{:<24}  {:>8}  {:>8}  {:>8}  {:>8}  {:>8}  last done",
            "job", "every", "people", "due", "late", "failing"
        );
        for job in App::jobs() {
            let every = span(job.every.as_secs());
            match stored.iter().find(|stored| stored.job == job.name) {
                Some(status) => print(status, &every),
                None => println!("{:<24}  {every:>8}  no server has run it yet", job.name),
            }
        }
        let has_code = |status: &&JobStatus| App::jobs().iter().any(|job| job.name == status.job);
        for status in stored.iter().filter(|status| !has_code(status)) {
            print(status, "no code");
        }
        Ok(())
    })
}

fn print(status: &JobStatus, every: &str) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time that has passed"
    )]
    let late = span(status.lag as u64);
    let last_done = status.last_done.map_or("never".to_owned(), rfc3339);
    println!(
        "{:<24}  {every:>8}  {:>8}  {:>8}  {late:>8}  {:>8}  {last_done}",
        status.job, status.people, status.due, status.failing
    );
    if let Some(reason) = &status.reason {
        println!("{:<24}  for example: {reason}", "");
    }
}

/// Seconds, in their largest whole unit.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn known() -> String {
    let names: Vec<&str> = App::jobs().iter().map(|job| job.name).collect();
    if names.is_empty() {
        "This app has none.".to_owned()
    } else {
        format!("This app has: {}", names.join(", "))
    }
}
