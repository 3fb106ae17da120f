//! Working off the turns that are due.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{AnyJob, Grant, Later};
use crate::engine::db;
use crate::engine::db::jobs::{self, Turn};
use crate::engine::state::Engine;
use crate::engine::user_data::cache::UserDataCache;
use crate::engine::user_data::{Reader, UserData};
use crate::engine::vault::VaultError;

/// Pause when nothing is due. Also how late a new grant is noticed.
const POLL: Duration = Duration::from_secs(5);
/// People at once, in one job on one server.
const BATCH: i64 = 8;
/// Shortest time for one batch, so that a backlog is worked off at 8 people per second.
const BATCH_TIME: Duration = Duration::from_secs(1);
/// Longest turn.
const TURN_MAX: Duration = Duration::from_mins(1);
/// How long a claim lasts. It expires by itself if its server dies.
const LEASE: Duration = Duration::from_mins(2);
const _: () = assert!(
    LEASE.as_secs() > TURN_MAX.as_secs() + 2 * 5,
    "a claim outlives its turn"
);
/// Pause after the first failed try. Doubles with each further one, up to the period of the job.
const BACK_OFF: Duration = Duration::from_mins(1);
const BACK_OFF_MAX: Duration = Duration::from_hours(1);
/// Turns move by up to this share of the period, so that they do not bunch.
const JITTER: f64 = 0.05;
/// People whose turns one statement enters or makes due.
const ENTER_BATCH: i64 = 1_000;

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The job did its work with a live grant.
    Done,
    /// The job knows that there is no grant any more.
    ToldGone,
    /// To be tried again.
    Later,
}

/// Turns that were worked off.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub told_gone: u64,
    pub later: u64,
}

impl Progress {
    fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Done => &mut self.done,
            Outcome::ToldGone => &mut self.told_gone,
            Outcome::Later => &mut self.later,
        } += 1;
    }

    pub fn turns(&self) -> u64 {
        self.done + self.told_gone + self.later
    }
}

/// Runs one job until shutdown.
pub async fn run_jobs(engine: Engine, job: AnyJob) {
    let shutdown = engine.tasks.shutdown.clone();
    let working = async {
        while enter_everybody(&engine, job).await.is_err() {
            sleep(POLL).await;
        }
        loop {
            match batch(&engine, job).await {
                Ok(turns) if !turns.is_empty() => {}
                _ => sleep(POLL).await,
            }
        }
    };
    shutdown.run_until_cancelled(working).await;
}

/// Makes every turn due now, and works them off. Calls `progress` after each batch, with the number
/// of turns that were due.
pub async fn run_now(
    engine: &Engine,
    job: AnyJob,
    progress: impl FnMut(Progress, u64),
) -> Result<Progress, db::Error> {
    enter_everybody(engine, job).await?;
    let mut after = Uuid::nil();
    while let Some(last) = jobs::make_due(&engine.db, job.name, after, ENTER_BATCH).await? {
        after = last;
    }
    let due = jobs::count_due(&engine.db, job.name).await?;
    work_off(engine, job, due, progress).await
}

/// Works until every due turn is done, or claimed by another worker.
pub async fn work_off(
    engine: &Engine,
    job: AnyJob,
    due: u64,
    mut progress: impl FnMut(Progress, u64),
) -> Result<Progress, db::Error> {
    let mut so_far = Progress::default();
    loop {
        let outcomes = batch(engine, job).await?;
        if outcomes.is_empty() {
            return Ok(so_far);
        }
        for outcome in outcomes {
            so_far.count(outcome);
        }
        progress(so_far, due);
    }
}

/// Announces the job, and gives a turn to everybody who has a grant and none yet.
async fn enter_everybody(engine: &Engine, job: AnyJob) -> Result<(), db::Error> {
    jobs::announce(&engine.db, job.name).await?;
    let mut after = Uuid::nil();
    while let Some(last) = jobs::enter(&engine.db, job.name, after, ENTER_BATCH, job.every).await? {
        after = last;
    }
    Ok(())
}

/// One batch. Takes at least [`BATCH_TIME`], unless it is not full. The turns are tracked tasks,
/// which the drain at shutdown lets end.
async fn batch(engine: &Engine, job: AnyJob) -> Result<Vec<Outcome>, db::Error> {
    // A server with the wrong keys must not tell that grants have ended.
    if engine.vault.key_problem().is_some() {
        return Ok(Vec::new());
    }
    let (lifetime, keep) = (engine.config.session, engine.config.keep_grants);
    let turns = jobs::claim(&engine.db, job.name, BATCH, LEASE, lifetime, keep).await?;
    let is_full = i64::try_from(turns.len()) == Ok(BATCH);
    let turns = turns.into_iter().map(|turn| {
        let work = take_turn(engine.clone(), job, turn).in_current_span();
        engine.tasks.tracker.spawn(work)
    });
    let pace = if is_full { BATCH_TIME } else { Duration::ZERO };
    let (outcomes, ()) = tokio::join!(join_all(turns), sleep(pace));
    // A turn that panicked keeps its claim until that expires.
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or(Outcome::Later))
        .collect())
}

async fn take_turn(engine: Engine, job: AnyJob, mut turn: Turn) -> Outcome {
    let result = timeout(TURN_MAX, work(&engine, job, &mut turn)).await;
    let result = result.unwrap_or_else(|_| Err(Later::new("it takes too long")));
    let (name, user_id) = (job.name, turn.user_id);
    let (outcome, ended) = match result {
        Ok(outcome) => {
            if outcome == Outcome::ToldGone {
                tracing::info!(event = "job_grant_gone", job = name, %user_id, "a job knows that a grant has ended");
            }
            let next = (outcome == Outcome::Done).then(|| next_turn(job.every));
            (outcome, jobs::finish(&engine.db, name, turn, next).await)
        }
        Err(reason) => {
            tracing::warn!(event = "job_later", job = name, %user_id, failures = turn.failures + 1, %reason, "a turn is tried again");
            let (pause, reason) = (back_off(turn.failures, job.every), reason.to_string());
            let postponed = jobs::postpone(&engine.db, name, turn, &reason, pause).await;
            (Outcome::Later, postponed)
        }
    };
    match ended {
        Ok(()) => outcome,
        // The claim expires, and the turn is taken again.
        Err(_) => Outcome::Later,
    }
}

/// Calls the job, with a live grant or with none. While that is not known the job is not called.
async fn work(engine: &Engine, job: AnyJob, turn: &mut Turn) -> Result<Outcome, Later> {
    if !has_grant(engine, job, turn).await? {
        (job.person)(engine, turn.user_id, Grant::Gone).await?;
        return Ok(Outcome::ToldGone);
    }
    let data = UserData {
        cache: UserDataCache::default(),
        ..engine.background.clone()
    };
    let reader = Reader::new(&data, turn.user_id);
    (job.person)(engine, turn.user_id, Grant::Live(&reader)).await?;
    Ok(Outcome::Done)
}

/// Asking for the token may end the grant, which makes another turn due. This one takes its place,
/// so that the end is told once.
async fn has_grant(engine: &Engine, job: AnyJob, turn: &mut Turn) -> Result<bool, Later> {
    while turn.may_look {
        let token = engine.vault.access_token(turn.user_id).await;
        match token {
            Ok(_) => return Ok(true),
            Err(VaultError::NoGrant) => {}
            // The grant stays, and may work again.
            Err(error) => return Err(Later::new(error.to_string())),
        }
        let revision = jobs::revision(&engine.db, job.name, *turn).await?;
        if revision == Some(turn.revision) {
            break;
        }
        turn.revision = revision.ok_or_else(|| Later::new("the claim has expired"))?;
    }
    Ok(false)
}

/// A period, a little shorter or longer.
fn next_turn(every: Duration) -> Duration {
    every.mul_f64(1.0 + JITTER * (2.0 * rand::random::<f64>() - 1.0))
}

/// Exponential backoff with jitter, at most an hour and at most the period.
fn back_off(failures: i32, every: Duration) -> Duration {
    let doublings = u32::try_from(failures).unwrap_or_default().min(16);
    let pause = BACK_OFF.saturating_mul(1 << doublings);
    pause
        .min(BACK_OFF_MAX)
        .min(every)
        .mul_f64(0.5 + rand::random::<f64>() / 2.0)
}
