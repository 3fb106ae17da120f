//! What holds after every fault, however the request itself has ended.

use std::{collections::BTreeMap, time::Duration};

use data_encoding::HEXLOWER;
use futures_util::future::join_all;
use uuid::Uuid;

use super::{Answer, Browser, CLIENT_SECRET, TestApp, eventually, eventually_within, logs};

/// Longest time until a server is as it was before the fault.
const RECOVERY: Duration = Duration::from_secs(10);

/// Everything that could hold a secret in clear, one text for each row.
const STORED: &str = "select count(*) from (
    select stored::text as row from grants stored union all select stored::text from sessions stored
    union all select stored::text from revocations stored union all select stored::text from users stored
    union all select stored::text from login_attempts stored union all select stored::text from job_turns stored
) as everything, unnest($1::text[]) as secret where position(secret in row) > 0";

/// The state before a fault, and a person who has nothing to do with it.
pub struct Invariants {
    pub bystander: Browser,
    /// Connections at the provider that may be left without a row here. A login replaces one without
    /// revoking it, and an answer that was lost leaves one.
    pub orphans: i64,
    /// Refresh tokens that may be sent although the provider has replaced them.
    pub reused: u64,
    user_id: Uuid,
    grant: Option<(Uuid, i64)>,
    generations: BTreeMap<Uuid, i64>,
    tasks: usize,
    secrets: Vec<String>,
}

impl Invariants {
    /// Signs the bystander in. `app` may be a replica.
    pub async fn before(app: &TestApp) -> Self {
        let mut bystander = Browser::new(&app.settings["PUBLIC_URL"]);
        let callback = bystander
            .start_and_consent(&app.provider, "collector")
            .await
            .replace(&app.settings["PUBLIC_URL"], &app.url);
        bystander.get(&callback).await.assert_redirect("/account");
        let secrets = [
            CLIENT_SECRET,
            &app.settings["TOKEN_KEYS"][5..],
            bystander.session().unwrap(),
        ];
        let newest = "select user_id from sessions order by created_at desc limit 1";
        let newest = sqlx::query_scalar(newest).fetch_one(&app.database.pool);
        let user_id = newest.await.unwrap();
        Self {
            orphans: 0,
            reused: 0,
            user_id,
            grant: grant(app, user_id).await,
            generations: generations(app).await,
            tasks: app.engine.tasks.tracker.len(),
            secrets: secrets.map(str::to_owned).to_vec(),
            bystander,
        }
    }

    /// A text that must be neither in the database nor in the log.
    pub fn secret(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    /// Asserts all of it.
    pub async fn after(&mut self, app: &TestApp) {
        self.rows(app).await;
        self.provider(app).await;
        self.server(app).await;
        self.no_secret(app).await;
        // People who are not involved notice nothing.
        let page = format!("{}/settings", app.url);
        self.bystander.get(&page).await.assert_status(200);
        assert_eq!(grant(app, self.user_id).await, self.grant, "the bystander");
    }

    async fn rows(&mut self, app: &TestApp) {
        for (what, violations) in [
            (
                "one grant for each person and provider",
                "select count(*) from (select from grants group by user_id, provider having count(*) > 1) as twice",
            ),
            (
                "no session without an active person",
                "select count(*) from sessions left join users on users.id = user_id where users.id is null or disabled_at is not null",
            ),
            (
                "no session that the provider has not vouched for",
                "select count(*) from sessions where not exists (select from identities where identities.user_id = sessions.user_id)",
            ),
            (
                "new tokens come from the owner of a lease",
                "select count(*) from grants where generation > 1 and lease_owner is null",
            ),
            (
                "a lease ends within 20 s",
                "select count(*) from grants where lease_until > now() + interval '20 seconds'",
            ),
            (
                "a token is in one table",
                "select count(*) from grants join revocations on grant_id = id",
            ),
        ] {
            assert_eq!(app.count(violations).await, 0, "{what}");
        }
        let now = generations(app).await;
        for (grant, generation) in &self.generations {
            let newer = now.get(grant).is_none_or(|now| now >= generation);
            assert!(newer, "the generation of {grant} fell");
        }
        self.generations = now;
    }

    /// No code and no refresh token is sent twice, and no token is left at the provider.
    async fn provider(&self, app: &TestApp) {
        let attempts = app.count("select count(*) from login_attempts").await;
        let exchanges = app.provider.calls("token").await;
        assert!(
            i64::try_from(exchanges).unwrap() <= attempts,
            "{exchanges} codes were sent for {attempts} attempts"
        );
        let reused = app.provider.get("tokens").await["reused"].as_u64();
        assert!(reused.unwrap() <= self.reused, "a dead token was sent");
        eventually_within(RECOVERY, "no token is left behind", async || {
            let families = app.provider.get("tokens").await["families"].as_i64();
            let kept = app
                .count(
                    "select (select count(*) from only grants) + (select count(*) from revocations)",
                )
                .await;
            families.unwrap() <= kept + self.orphans
        })
        .await;
    }

    /// No transaction is left open, the whole pool works, and no task is left.
    async fn server(&self, app: &TestApp) {
        eventually_within(RECOVERY, "no open transaction", async || {
            app.open_transactions().await == 0
        })
        .await;
        let connections = app.engine.config.database.max_connections;
        eventually_within(RECOVERY, "the pool is whole", async || {
            let calls = (0..connections).map(async |_| {
                let pid = "select pg_backend_pid() from pg_sleep(0.1)";
                let pid = sqlx::query_scalar::<_, i32>(pid);
                pid.fetch_one(&app.engine.db).await.ok()
            });
            let pids: Option<Vec<i32>> = join_all(calls).await.into_iter().collect();
            pids.is_some_and(|mut pids| {
                pids.sort_unstable();
                pids.dedup();
                pids.len() == connections as usize
            })
        })
        .await;
        eventually_within(RECOVERY, "no task is left", async || {
            app.engine.tasks.tracker.len() <= self.tasks
        })
        .await;
        let alive = format!("{}/healthz", app.url);
        app.browser().get(&alive).await.assert_status(200);
        // An answer of a moment ago may still count.
        let ready = format!("{}/readyz", app.url);
        eventually("ready", async || {
            app.browser().get(&ready).await.status == 200
        })
        .await;
    }

    async fn no_secret(&self, app: &TestApp) {
        let hex = |secret: &String| HEXLOWER.encode(secret.as_bytes());
        let texts: Vec<String> = self.secrets.iter().map(hex).collect();
        let texts = [self.secrets.clone(), texts].concat();
        let stored = sqlx::query_scalar::<_, i64>(STORED).bind(&texts);
        let stored = stored.fetch_one(&app.database.pool).await.unwrap();
        assert_eq!(stored, 0, "a secret lies in the database");
        for secret in &self.secrets {
            assert!(!logs::contain(secret), "a secret is in the log");
        }
    }
}

async fn grant(app: &TestApp, user_id: Uuid) -> Option<(Uuid, i64)> {
    let grant = "select id, generation from only grants where user_id = $1";
    let grant = sqlx::query_as(grant).bind(user_id);
    grant.fetch_optional(&app.database.pool).await.unwrap()
}

async fn generations(app: &TestApp) -> BTreeMap<Uuid, i64> {
    let rows = sqlx::query_as::<_, (Uuid, i64)>("select id, generation from grants");
    let rows = rows.fetch_all(&app.database.pool).await.unwrap();
    rows.into_iter().collect()
}

/// A failed request ends in a page with every security header, and never with the status 500.
#[track_caller]
pub fn assert_page(answer: &Answer) {
    assert_ne!(answer.status, 500, "{}", answer.body);
    for (header, value) in [
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
    ] {
        let found = answer.header(header);
        assert!(found.starts_with(value), "{header}: {found:?}");
    }
    if answer.status >= 500 {
        assert!(answer.header("content-type").starts_with("text/html"));
        assert!(answer.body.contains("</html>"), "{}", answer.body);
    }
    if answer.status == 503 {
        assert!(!answer.header("retry-after").is_empty());
    }
}
