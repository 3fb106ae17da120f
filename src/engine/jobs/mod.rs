//! Background work with stored tokens: what an app does for each person once per period.
//!
//! Replicas share the work. A person's turns in one job never overlap, and each ends with a result
//! or is tried again. A job hears once that a grant has ended.

mod work;

use std::time::Duration;

use futures_util::future::BoxFuture;
use uuid::Uuid;

pub use self::work::{Outcome, Progress, run_jobs, run_now, work_off};
use crate::engine::db;
use crate::engine::state::Engine;
use crate::engine::user_data::{DataError, Reader};

/// Something that is done for each person with a grant, once per period.
pub trait Job: 'static {
    /// In the database and on the command line. A job that gets another name begins anew.
    const NAME: &'static str;
    /// Time from one turn of a person to the next. Turns are spread over it.
    const EVERY: Duration;

    /// One turn of one person. Must not mind being repeated, because a server may die in between.
    fn person(
        engine: &Engine,
        user_id: Uuid,
        grant: Grant<'_>,
    ) -> impl Future<Output = Result<(), Later>> + Send;
}

/// What the app may still read of a person.
pub enum Grant<'a> {
    /// Their data, read anew, on a lane that neither waits for pages nor holds them up.
    Live(&'a Reader<'a>),
    /// Nothing: Matrica or the person has ended it, or they are signed out and have not allowed work
    /// while they are away. Told once. The person may have deleted their account.
    Gone,
}

/// The turn did not work out, and is tried again. The reason must not hold data of a person, because
/// the log and `jobs status` show it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Later(String);

impl Later {
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl From<db::Error> for Later {
    fn from(error: db::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<DataError> for Later {
    fn from(error: DataError) -> Self {
        Self::new(match error {
            DataError::Reconnect => "the grant has ended",
            DataError::NotAsked => "MATRICA_SCOPES lacks the scope",
            DataError::NotShared => "the person does not share it",
            DataError::Rejected => "Matrica rejects the question",
            DataError::Unavailable => "Matrica does not answer",
            DataError::Limited(_) => "the person causes too many calls",
            DataError::Database => "the database does not answer",
        })
    }
}

/// One turn of a job whose type is forgotten.
type RunPerson = for<'a> fn(&'a Engine, Uuid, Grant<'a>) -> BoxFuture<'a, Result<(), Later>>;

/// A [`Job`] in the list of an app.
#[derive(Clone, Copy)]
pub struct AnyJob {
    pub name: &'static str,
    pub every: Duration,
    person: RunPerson,
}

impl AnyJob {
    pub const fn of<J: Job>() -> Self {
        Self {
            name: J::NAME,
            every: J::EVERY,
            person: |engine, user_id, grant| Box::pin(J::person(engine, user_id, grant)),
        }
    }
}
