//! Whether the database is ready for this server. Strangers may ask.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::Db;
use super::schema::{self, Schema};

/// How long an answer counts. A single connection serves all who ask.
const ANSWER_COUNTS: Duration = Duration::from_millis(250);

/// The last answer, and when it came. Locked during a query, so that others wait for its answer.
#[derive(Default)]
pub struct Readiness(Mutex<Option<(Instant, Result<(), &'static str>)>>);

impl Readiness {
    /// Asks with a connection of `health_db`, unless there is an answer. The error is for operators.
    pub async fn check(&self, db: &Db, health_db: &Db) -> Result<(), &'static str> {
        let mut last = self.0.lock().await;
        if let Some((asked, answer)) = *last
            && asked.elapsed() < ANSWER_COUNTS
        {
            return answer;
        }
        let answer = match schema::check(health_db).await {
            Ok(Schema::Current) => Ok(()),
            Ok(Schema::ReadOnly) => {
                // The address may lead to another server by now.
                db.renew();
                health_db.renew();
                Err("the database is read-only")
            }
            Ok(_) => Err("the schema does not match"),
            Err(_) => Err("the database does not answer"),
        };
        *last = Some((Instant::now(), answer));
        answer
    }
}
