//! Background work with stored tokens, on the example of the club: nobody stays a member whose grant
//! is gone.

use std::{
    process::Output,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use matrica_starter::{
    app::{App, club::Membership},
    engine::{
        AnyJob, Application as _, DataError, Engine, Grant, Job, Later, Rule,
        db::sweep,
        gate,
        jobs::{Progress, run_now, work_off},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{ALL_SCOPES, Browser, Process, TestApp, eventually_within, process};

const MEMBERS: &str = "select count(*) from club_members";
const DUE: &str = "select count(*) from job_turns where due_at <= now()";
const TO_COME: &str = "select count(*) from job_turns where due_at > now()";
const TOLD: &str = "select count(*) from job_turns where due_at is null";

fn club() -> AnyJob {
    AnyJob::of::<Membership>()
}

fn progress(done: u64, told_gone: u64, later: u64) -> Progress {
    Progress {
        done,
        told_gone,
        later,
    }
}

/// One run for everybody, as `jobs run` does it.
async fn run(app: &TestApp) -> Progress {
    run_now(&app.engine, club(), |_, _| {}).await.unwrap()
}

/// Works off what is due by itself.
async fn due(app: &TestApp) -> Progress {
    work_off(&app.engine, club(), 0, |_, _| {}).await.unwrap()
}

async fn allow(browser: &mut Browser) {
    browser
        .post("/settings/away", &[("away", "yes")])
        .await
        .assert_redirect("/settings?done=away");
}

/// The app with two people, of whom Ada is a member.
async fn with_members() -> (TestApp, Browser) {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let ada = app.signed_in("ada").await;
    app.signed_in("newcomer").await;
    assert_eq!(run(&app).await, progress(2, 0, 0));
    assert_eq!(app.count(MEMBERS).await, 1);
    assert_eq!(app.count(TO_COME).await, 2);
    (app, ada)
}

#[tokio::test]
async fn members_are_those_who_hold_one_and_the_next_turn_is_a_day_later() {
    let (app, mut ada) = with_members().await;
    let soon = "select count(*) from job_turns where due_at not between now() + interval '22 hours' and now() + interval '26 hours'";
    assert_eq!(app.count(soon).await, 0);
    ada.get("/holders").await.assert_status(200);
    ada.get("/settings")
        .await
        .assert_status(200)
        .assert_contains("been a member of the club since");
    let export: Value = serde_json::from_str(&ada.get("/settings/export").await.body).unwrap();
    assert!(export["app"]["member_since"].is_string(), "{export}");
    assert_eq!(export["background_work"][0]["job"], "club-membership");
    // The next night Ada has sold it.
    app.provider
        .fault("nfts", json!({ "status": 200, "body": "[]" }))
        .await;
    assert_eq!(due(&app).await, progress(0, 0, 0));
    app.sql("update job_turns set due_at = now() - interval '3 days'")
        .await;
    // Three missed nights are one turn.
    assert_eq!(due(&app).await, progress(2, 0, 0));
    assert_eq!(app.count(MEMBERS).await, 0);
    assert_eq!(app.count(TO_COME).await, 2);
}

#[tokio::test]
async fn nobody_stays_a_member_whose_grant_is_gone() {
    for way in [
        "/auth/logout",
        "/settings/disconnect",
        "/settings/delete",
        "withdrawn",
        "expired",
        "locked",
        "idle",
    ] {
        let (app, mut ada) = with_members().await;
        match way {
            "withdrawn" => {
                app.provider.withdraw("ada").await;
                app.sql("update grants set access_expires_at = now()").await;
                app.sql("update job_turns set due_at = now()").await;
            }
            "expired" => {
                app.sql(
                    "update grants set access_expires_at = now(), refresh_token = null
                         where user_id in (select user_id from club_members)",
                )
                .await;
                app.sql("update job_turns set due_at = now() where user_id in (select user_id from club_members)")
                    .await;
            }
            "locked" => {
                app.sql("update users set disabled_at = now() where display_name like 'Ada%'")
                    .await;
            }
            "idle" => {
                app.sql(
                    "update sessions set last_seen_at = now() - interval '25 hours'
                         where user_id in (select user_id from club_members)",
                )
                .await;
                app.sql("update job_turns set due_at = now() where user_id in (select user_id from club_members)")
                    .await;
            }
            path => {
                ada.post(path, &[("confirm", "yes")]).await;
            }
        }
        let told = due(&app).await;
        assert_eq!(told.told_gone, 1, "{way}: {told:?}");
        assert_eq!(app.count(MEMBERS).await, 0, "{way}");
        let kept = i64::from(way != "/settings/delete");
        assert_eq!(app.count(TOLD).await, kept, "{way}");
        // Once only.
        assert_eq!(due(&app).await, Progress::default(), "{way}");
        assert_eq!(run(&app).await.told_gone, 0, "{way}");
        app.sql("delete from grants").await;
        assert_eq!(due(&app).await.told_gone, 1, "{way}: only the newcomer's");
    }
}

#[tokio::test]
async fn whoever_comes_back_is_a_member_again() {
    let (app, mut ada) = with_members().await;
    ada.post("/auth/logout", &[]).await;
    due(&app).await;
    assert_eq!(app.count(MEMBERS).await, 0);
    app.signed_in("ada").await;
    assert_eq!(due(&app).await, progress(1, 0, 0));
    assert_eq!(app.count(MEMBERS).await, 1);
}

#[tokio::test]
async fn whoever_allows_it_is_checked_while_away_until_they_stop_it() {
    let (app, mut ada) = with_members().await;
    let page = ada.get("/settings").await.assert_status(200);
    assert!(
        !page.body.contains(r#"value="yes" checked"#),
        "off at first"
    );
    allow(&mut ada).await;
    ada.get("/settings?done=away")
        .await
        .assert_contains(r#"value="yes" checked"#)
        .assert_contains("We keep checking while you&#39;re signed out.");
    ada.post("/auth/logout", &[]).await;
    assert_eq!(app.count("select count(*) from grants").await, 2);
    assert_eq!(run(&app).await, progress(2, 0, 0));
    assert_eq!(app.count(MEMBERS).await, 1);
    app.sql("delete from sessions").await;
    // The sweeper leaves the tokens alone, however long the person is away.
    app.sql("update users set last_login_at = now() - interval '90 days'")
        .await;
    app.sql("update grants set access_issued_at = now() - interval '90 days', access_expires_at = now()")
        .await;
    let session = app.engine.config.session;
    let swept = sweep::unused_grants(&app.engine.db, Uuid::nil(), 10, session, 60.0);
    assert_eq!(swept.await.unwrap().queued, 1, "the newcomer's");
    assert_eq!(app.count("select count(*) from grants").await, 1);
    let mut ada = app.signed_in("ada").await;
    ada.post("/settings/away", &[])
        .await
        .assert_redirect("/settings?done=not-away");
    ada.post("/auth/logout", &[]).await;
    assert_eq!(due(&app).await, progress(0, 2, 0));
    assert_eq!(app.count(MEMBERS).await, 0);
}

#[tokio::test]
async fn an_outage_changes_nobodys_membership_and_is_over_with_the_outage() {
    let (app, mut ada) = with_members().await;
    app.provider.fault("nfts", json!({ "status": 503 })).await;
    assert_eq!(run(&app).await, progress(0, 0, 2));
    assert_eq!(app.count(MEMBERS).await, 1);
    let reason = "select max(last_error) from job_turns where failures = 1 and due_at < now() + interval '1 minute'";
    assert_eq!(app.text(reason).await, "Matrica does not answer");
    app.provider.mend().await;
    assert_eq!(run(&app).await, progress(2, 0, 0));
    assert_eq!(app.text("select max(last_error) from job_turns").await, "");
    // Neither does an outage of the token endpoint.
    app.sql("update grants set access_expires_at = now()").await;
    app.provider
        .fault("refresh", json!({ "status": 503 }))
        .await;
    assert_eq!(run(&app).await, progress(0, 0, 2));
    assert_eq!(app.count(MEMBERS).await, 1);
    ada.get("/holders").await;
}

#[tokio::test]
async fn an_open_circuit_breaker_of_the_jobs_holds_up_no_page() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut browsers = Vec::new();
    for person in ["ada", "newcomer", "collector", "empty"] {
        browsers.push(app.signed_in(person).await);
    }
    // Enough failures of enough people to open the circuit breaker of the jobs.
    app.provider.fault("nfts", json!({ "status": 503 })).await;
    for _ in 0..5 {
        assert_eq!(run(&app).await, progress(0, 0, 4));
    }
    let calls = app.provider.calls("nfts").await;
    assert!(calls < 20, "the breaker has opened: {calls}");
    app.provider.mend().await;
    let page = browsers[0].get("/account/nfts").await.assert_status(200);
    assert!(page.body.contains("Paper Otter"), "pages still ask");
}

#[tokio::test]
async fn an_open_circuit_breaker_of_the_pages_holds_up_no_job() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    app.provider.fault("nfts", json!({ "status": 503 })).await;
    for person in ["ada", "newcomer", "collector", "empty"] {
        let mut browser = app.signed_in(person).await;
        for _ in 0..4 {
            browser.get("/account/nfts").await;
        }
    }
    app.provider.mend().await;
    let before = app.provider.calls("nfts").await;
    app.signed_in("ada")
        .await
        .get("/holders")
        .await
        .assert_status(503);
    assert_eq!(app.provider.calls("nfts").await, before, "no page asks");
    assert_eq!(run(&app).await, progress(4, 0, 0));
}

#[tokio::test]
async fn what_a_job_reads_is_not_in_the_cache_of_the_pages() {
    let (app, mut ada) = with_members().await;
    let before = app.provider.calls("nfts").await;
    ada.get("/holders").await.assert_status(200);
    assert_eq!(app.provider.calls("nfts").await, before + 1);
}

static AT_ONCE: AtomicU64 = AtomicU64::new(0);
static TURNS: AtomicU64 = AtomicU64::new(0);

/// Fails if two turns of it overlap. There is one person, so that none may.
enum Alone {}

impl Job for Alone {
    const NAME: &'static str = "alone";
    const EVERY: Duration = Duration::from_hours(1);

    async fn person(_: &Engine, _: Uuid, _: Grant<'_>) -> Result<(), Later> {
        assert_eq!(AT_ONCE.fetch_add(1, Ordering::SeqCst), 0, "two at once");
        tokio::time::sleep(Duration::from_millis(300)).await;
        AT_ONCE.fetch_sub(1, Ordering::SeqCst);
        TURNS.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn turns_of_one_person_never_overlap_and_one_that_is_overtaken_is_followed_by_another() {
    let app = TestApp::spawn().await;
    let replica = app.replica().await;
    let mut ada = app.signed_in("ada").await;
    let job = AnyJob::of::<Alone>();
    let both = async |from: &TestApp| run_now(&from.engine, job, |_, _| {}).await.unwrap();
    let disconnects = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ada.post("/settings/disconnect", &[]).await;
    };
    let (first, second, ()) = tokio::join!(both(&app), both(&replica), disconnects);
    let turns = [
        first.turns() + second.turns(),
        first.told_gone + second.told_gone,
    ];
    // Whoever came second may have left before the turn that the end of the grant makes.
    let rest = work_off(&app.engine, job, 0, |_, _| {}).await.unwrap();
    let turns = [turns[0] + rest.turns(), turns[1] + rest.told_gone];
    assert_eq!(turns[1], 1, "told once");
    assert_eq!(TURNS.load(Ordering::SeqCst), turns[0]);
    assert_eq!(app.count(DUE).await, 0);
}

#[tokio::test]
async fn a_turn_whose_server_died_is_taken_again() {
    let (app, _) = with_members().await;
    app.sql("update job_turns set due_at = now(), claim = gen_random_uuid(), claimed_until = now() + interval '1 minute'")
        .await;
    assert_eq!(due(&app).await, Progress::default(), "others work on them");
    app.sql("update job_turns set claimed_until = now() - interval '1 second'")
        .await;
    assert_eq!(due(&app).await, progress(2, 0, 0));
}

#[tokio::test]
async fn people_who_were_there_before_the_job_are_spread_over_its_period() {
    let app = TestApp::spawn().await;
    app.sql("insert into users (id, display_name) select gen_random_uuid(), 'P' || n from generate_series(1, 2500) as n")
        .await;
    app.sql("insert into grants (user_id, id, generation, access_token, scope, access_issued_at, access_expires_at)
             select id, gen_random_uuid(), 1, '\\x00', 'profile', now(), now() from users")
        .await;
    let stop = app.engine.tasks.shutdown.clone();
    let runner = tokio::spawn(matrica_starter::engine::jobs::run_jobs(
        app.engine.clone(),
        club(),
    ));
    app.becomes("select count(*) from job_turns", 2_500).await;
    stop.cancel();
    runner.await.unwrap();
    // A quarter of the day has a quarter of the people, more or less.
    let quarter = "select count(*) from job_turns where due_at < now() + interval '6 hours'";
    let quarter = app.count(quarter).await;
    assert!((500..750).contains(&quarter), "{quarter} of 2500");
}

#[tokio::test]
async fn a_server_with_the_wrong_keys_tells_no_job_anything() {
    let (app, _) = with_members().await;
    let key = matrica_starter::engine::seal::Keyring::generate("k9");
    let key = secrecy::ExposeSecret::expose_secret(&key).to_owned();
    let wrong = app.replica_with(&[("TOKEN_KEYS", &key)]).await;
    app.sql("update job_turns set due_at = now()").await;
    assert_eq!(due(&wrong).await, Progress::default());
    assert_eq!(app.count(MEMBERS).await, 1);
}

#[tokio::test]
async fn a_server_runs_the_jobs_of_the_app_by_itself() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut settings = app.settings.clone();
    let port = process::free_port();
    settings.insert("LISTEN_ADDR".to_owned(), format!("127.0.0.1:{port}"));
    let _server = Process::start_with_jobs(&settings).await;
    // Grants from before that have their turn within a day.
    app.becomes("select count(*) from jobs", 1).await;
    let mut ada = app.signed_in("ada").await;
    let limit = Duration::from_secs(20);
    eventually_within(limit, "Ada is a member", async || {
        app.count(MEMBERS).await == 1
    })
    .await;
    ada.post("/auth/logout", &[]).await;
    eventually_within(limit, "Ada is no member", async || {
        app.count(MEMBERS).await == 0
    })
    .await;
}

/// `jobs …`
async fn jobs(app: &TestApp, arguments: &[&str]) -> Output {
    let mut command = process::command(&app.settings);
    command.arg("jobs").args(arguments);
    let running = tokio::task::spawn_blocking(move || command.output());
    running.await.unwrap().unwrap()
}

#[tokio::test]
async fn an_operator_runs_a_job_at_once_and_sees_how_all_are() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let said = |output: &Output| {
        let (out, err) = (&output.stdout, &output.stderr);
        format!(
            "{}{}",
            String::from_utf8_lossy(out),
            String::from_utf8_lossy(err)
        )
    };
    let fresh = said(&jobs(&app, &["status"]).await);
    assert!(fresh.contains("no server has run it yet"), "{fresh}");
    app.signed_in("ada").await;
    app.signed_in("newcomer").await;
    let run = jobs(&app, &["run", "club-membership"]).await;
    assert!(run.status.success(), "{}", said(&run));
    assert!(
        said(&run).contains("2 people checked, 0 told"),
        "{}",
        said(&run)
    );
    assert_eq!(app.count(MEMBERS).await, 1);
    let status = said(&jobs(&app, &["status"]).await);
    assert!(status.contains("club-membership"), "{status}");
    assert!(status.contains("24h         2         0"), "{status}");
    app.provider.fault("nfts", json!({ "status": 503 })).await;
    let run = jobs(&app, &["run", "club-membership"]).await;
    assert!(!run.status.success());
    assert!(
        said(&run).contains("2 people are tried again later"),
        "{}",
        said(&run)
    );
    let status = said(&jobs(&app, &["status"]).await);
    assert!(
        status.contains("for example: Matrica does not answer"),
        "{status}"
    );
    let unknown = jobs(&app, &["run", "membership"]).await;
    assert!(!unknown.status.success());
    let known = App::jobs()[0].name;
    assert!(said(&unknown).contains(known), "{}", said(&unknown));
}

#[tokio::test]
async fn nobody_is_asked_where_all_grants_are_kept() {
    let app = TestApp::with(&[ALL_SCOPES, ("KEEP_GRANTS", "true")]).await;
    let mut ada = app.signed_in("ada").await;
    let page = ada.get("/settings").await.assert_status(200);
    assert!(!page.body.contains("/settings/away"), "{}", page.body);
    ada.post("/auth/logout", &[]).await;
    assert_eq!(run(&app).await, progress(1, 0, 0));
}

#[tokio::test]
async fn an_outage_is_no_no_even_beside_something_that_is_not_shared() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    app.provider
        .set(json!({ "granted_scope": "profile nfts" }))
        .await;
    app.signed_in("ada").await;
    app.provider.fault("nfts", json!({ "status": 503 })).await;
    let role = Rule::Role {
        guild: "1".to_owned(),
        role: "2".to_owned(),
        name: "Captain".to_owned(),
    };
    let nfts = Rule::Nfts {
        collection: "3".to_owned(),
        name: "Otters".to_owned(),
        at_least: 1,
    };
    for rules in [[role.clone(), nfts.clone()], [nfts, role]] {
        let verdict = gate::check(&app.engine, app.user_id().await, &Rule::Any(rules.into())).await;
        assert_eq!(verdict.decided(), Err(DataError::Unavailable));
    }
}
