//! A process that dies or is told to stop at each step of a login. The person signs in at another one,
//! and no code is sent twice.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Answer, Browser, Invariants, Process, TestApp, Wire, assert_page};

/// Steps that are tried side by side, each with a process of its own.
const AT_ONCE: usize = 3;

const BURN: &str = "insert into login_attempts";
const STORE: &str = "from store_login_2";
const SESSION: &str = "from sessions join users";

/// Where the process stands still, in the order of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The callback has arrived, and the session of the browser is looked up.
    Arrived,
    BeforeTheBurn,
    Burnt,
    /// The provider has used the code up, and its answer is under way.
    Exchanged,
    /// The process has tokens and asks for the profile.
    Identifying,
    BeforeTheCommit,
    Committed,
}

const STEPS: [Step; 7] = [
    Step::Arrived,
    Step::BeforeTheBurn,
    Step::Burnt,
    Step::Exchanged,
    Step::Identifying,
    Step::BeforeTheCommit,
    Step::Committed,
];

impl Step {
    async fn hold(self, app: &TestApp, wire: &Wire) {
        let slow = json!({ "delay_ms": 3_000 });
        match self {
            Self::Arrived => wire.hold_after(SESSION),
            Self::BeforeTheBurn => wire.hold_before(BURN),
            Self::Burnt => wire.hold_after(BURN),
            Self::Exchanged => app.provider.fault("token", slow).await,
            Self::Identifying => app.provider.fault("profile", slow).await,
            Self::BeforeTheCommit => wire.hold_before(STORE),
            Self::Committed => wire.hold_after(STORE),
        }
    }

    async fn reached(self, app: &TestApp, wire: &Wire, calls: u64) {
        match self {
            Self::Exchanged => app.provider.called("token", calls + 1).await,
            Self::Identifying => app.provider.called("profile", calls + 1).await,
            _ => wire.holds().await,
        }
        if self == Self::Burnt {
            let burnt = "select count(*) from login_attempts where outcome is null";
            app.becomes(burnt, 1).await;
        }
        if self == Self::Committed {
            app.becomes(
                "select count(*) from login_attempts where outcome = 'signed_in'",
                3,
            )
            .await;
        }
    }

    /// Codes that the process has sent by then.
    fn codes(self) -> u64 {
        u64::from(!matches!(
            self,
            Self::Arrived | Self::BeforeTheBurn | Self::Burnt
        ))
    }
}

/// A login that stands still at a step, in a process of its own.
struct Standing {
    app: TestApp,
    invariants: Invariants,
    process: Process,
    wire: Wire,
    browser: Browser,
    callback: String,
    answer: tokio::task::JoinHandle<Option<Answer>>,
    /// Codes that were sent before.
    codes: u64,
}

async fn standing(step: Step) -> Standing {
    let app = TestApp::spawn().await;
    let mut invariants = Invariants::before(&app).await;
    // Her last grant is replaced, and the tokens of a dead process stay at the provider.
    invariants.orphans = 2;
    let mut browser = app.signed_in("ada").await;
    if step != Step::Arrived {
        browser = app.browser();
    }
    let wire = Wire::to(&app.database.url).await;
    let mut settings: BTreeMap<_, _> = app.settings.clone();
    settings.insert("DATABASE_URL".to_owned(), wire.url.clone());
    let process = Process::start(&settings).await;
    // Its workers ask similar questions when it starts.
    wire.quiet().await;
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let codes = app.provider.calls("token").await;
    let profiles = app.provider.calls("profile").await;
    step.hold(&app, &wire).await;
    let request = browser.request(
        reqwest::Method::GET,
        &callback.replace(&app.url, &process.url),
    );
    let answer = tokio::spawn(async move { Some(Answer::read(request.send().await.ok()?).await) });
    let calls = if step == Step::Identifying {
        profiles
    } else {
        codes
    };
    step.reached(&app, &wire, calls).await;
    Standing {
        app,
        invariants,
        process,
        wire,
        browser,
        callback,
        answer,
        codes,
    }
}

async fn killed_at(step: Step) {
    let mut at = standing(step).await;
    at.process.signal("KILL");
    assert!(at.answer.await.unwrap().is_none(), "{step:?}");
    at.wire.mend();
    at.app.provider.mend().await;
    // Until then a reload waits for the dead process.
    at.app
        .sql("update login_attempts set burnt_at = burnt_at - interval '10 seconds'")
        .await;
    let replica = Process::start(&at.app.settings).await;
    let here = |target: &str| target.replace(&at.app.url, &replica.url);
    let reload = at.browser.get(&here(&at.callback)).await;
    assert_page(&reload);
    let sent = match step {
        // Nothing was used up.
        Step::Arrived | Step::BeforeTheBurn => {
            reload.assert_redirect("/account");
            1
        }
        Step::Committed => {
            reload.assert_redirect("/account");
            at.browser
                .get(&here(&format!("{}/settings", at.app.url)))
                .await
                .assert_status(200);
            1
        }
        _ => {
            reload.assert_refused("expired");
            step.codes()
        }
    };
    assert_eq!(
        at.app.provider.calls("token").await - at.codes,
        sent,
        "{step:?}"
    );
    at.invariants.after(&at.app).await;
    let callback = at.browser.start_and_consent(&at.app.provider, "ada").await;
    at.browser
        .get(&here(&callback))
        .await
        .assert_redirect("/account");
    at.invariants.orphans += 1;
    at.invariants.after(&at.app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_at_any_step_the_person_gets_a_page_and_signs_in() {
    for steps in STEPS.chunks(AT_ONCE) {
        join_all(steps.iter().copied().map(killed_at)).await;
    }
}

async fn stopped_at(step: Step) {
    let mut at = standing(step).await;
    at.process.signal("TERM");
    at.process.logged("stopping").await;
    at.wire.mend();
    let answer = at.answer.await.unwrap().expect("an answer");
    assert_page(&answer);
    let (status, log) = at.process.ended().await;
    assert!(status.success(), "{step:?}: {log}");
    at.app.provider.mend().await;
    if step == Step::Arrived {
        // It starts nothing any more, and leaves the code to another process.
        answer.assert_refused("busy");
        let codes = at.app.provider.calls("token").await;
        assert_eq!(codes, at.codes);
        at.browser
            .get(&at.callback)
            .await
            .assert_redirect("/account");
    } else {
        answer.assert_redirect("/account");
    }
    assert_eq!(
        at.app.provider.calls("token").await,
        at.codes + 1,
        "{step:?}"
    );
    at.invariants.after(&at.app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigterm_at_any_step_a_login_that_has_used_its_code_is_finished() {
    for steps in STEPS.chunks(AT_ONCE) {
        join_all(steps.iter().copied().map(stopped_at)).await;
    }
}
