//! What fails in turn.

use std::time::Duration;

use serde_json::json;

use crate::site::Site;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    RefusedRefreshes,
    LostAnswers,
    SlowUserApi,
    FailingUserApi,
    CutConnections,
    LockedSessions,
}

impl Fault {
    const ALL: [Self; 6] = [
        Self::RefusedRefreshes,
        Self::CutConnections,
        Self::LostAnswers,
        Self::LockedSessions,
        Self::SlowUserApi,
        Self::FailingUserApi,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::RefusedRefreshes => "refreshes answer 503",
            Self::LostAnswers => "answers of the token endpoint are lost",
            Self::SlowUserApi => "the user API takes 3 s",
            Self::FailingUserApi => "the user API answers 503",
            Self::CutConnections => "connections to the database are cut",
            Self::LockedSessions => "the table of sessions is locked",
        }
    }

    /// The fault of a moment. A period begins without one, so that the first one is like the others.
    pub fn at(elapsed: Duration, period: Duration, lasts: Duration) -> Option<Self> {
        let number = usize::try_from(elapsed.as_secs() / period.as_secs()).unwrap();
        let second = elapsed.as_secs() % period.as_secs();
        let fails =
            second >= period.as_secs() - lasts.as_secs() - 10 && second < period.as_secs() - 10;
        fails.then(|| Self::ALL[number % Self::ALL.len()])
    }

    pub async fn begin(self, site: &Site) {
        let lost = json!({ "close": "after_processing", "probability": 0.2 });
        let faults = match self {
            Self::RefusedRefreshes => [("refresh", json!({ "status": 503 }))].to_vec(),
            Self::LostAnswers => [("token", lost.clone()), ("refresh", lost)].to_vec(),
            Self::SlowUserApi => [("nfts", json!({ "delay_ms": 3_000 }))].to_vec(),
            Self::FailingUserApi => [("nfts", json!({ "status": 503 }))].to_vec(),
            Self::CutConnections | Self::LockedSessions => Vec::new(),
        };
        for (endpoint, fault) in faults {
            site.provider.fault(endpoint, fault).await;
        }
    }

    /// Once per second while it lasts.
    pub async fn strike(self, site: &Site) {
        let statement = match self {
            Self::CutConnections => {
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where application_name = 'matrica-starter'"
            }
            Self::LockedSessions => {
                "do $$ begin lock table sessions in access exclusive mode; perform pg_sleep(0.5); end $$"
            }
            _ => return,
        };
        sqlx::query(statement).execute(&site.pool).await.unwrap();
    }

    pub async fn end(self, site: &Site) {
        site.provider.mend().await;
    }
}
