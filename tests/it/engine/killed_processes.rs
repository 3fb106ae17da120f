//! A process that dies or is told to stop at each step of a refresh, and of a way out.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{
    Answer, Browser, Invariants, Process, TestApp, Wire, assert_page, eventually,
};

/// Steps that are tried side by side, each with a process of its own.
const AT_ONCE: usize = 3;

const LEASE: &str = "set lease_owner = $3, lease_until = now()";
const STORE: &str = "lease_until = null, unanswered = 0";
/// Moves tokens to the queue of revocations.
const QUEUE: &str = "with gone as (";

/// Where the process stands still, in the order of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Leased,
    /// The provider has rotated the token, and its answer is under way.
    Rotated,
    BeforeTheCommit,
    Committed,
    /// The new access token is in use.
    Used,
}

const STEPS: [Step; 5] = [
    Step::Leased,
    Step::Rotated,
    Step::BeforeTheCommit,
    Step::Committed,
    Step::Used,
];

impl Step {
    /// The provider has replaced the token, and the new one is lost with the process.
    fn loses_the_token(self) -> bool {
        matches!(self, Self::Rotated | Self::BeforeTheCommit)
    }
}

/// A process with a wire to its database, and Ada, who is signed in.
struct Standing {
    app: TestApp,
    invariants: Invariants,
    process: Process,
    wire: Wire,
    browser: Browser,
}

impl Standing {
    async fn new() -> Self {
        let app = TestApp::without_cache(&[]).await;
        let invariants = Invariants::before(&app).await;
        let browser = app.signed_in("ada").await;
        let wire = Wire::to(&app.database.url).await;
        let mut settings: BTreeMap<_, _> = app.settings.clone();
        settings.insert("DATABASE_URL".to_owned(), wire.url.clone());
        let process = Process::start(&settings).await;
        // Its workers ask similar questions when it starts.
        wire.quiet().await;
        Self {
            app,
            invariants,
            process,
            wire,
            browser,
        }
    }

    /// Sends a request to the process. `None` if it dies before the end of its answer: the head of a
    /// slow page is sent first.
    fn request(&self, method: &Method, path: &str) -> JoinHandle<Option<Answer>> {
        let url = format!("{}{path}", self.process.url);
        let form = [("confirm", "yes")];
        let mut request = self.browser.request(method.clone(), &url);
        if *method == Method::POST {
            request = request.form(&form);
        }
        tokio::spawn(async move {
            let answer = Answer::read(request.send().await.ok()?).await;
            let whole = answer.status != 200 || answer.body.contains("</html>");
            whole.then_some(answer)
        })
    }

    /// A page whose refresh stands still.
    async fn refreshing(&self, step: Step, delay_ms: u64) -> JoinHandle<Option<Answer>> {
        let expired = self
            .app
            .sql("update grants set access_expires_at = now() from users where users.id = user_id and display_name like 'Ada%'")
            .await;
        assert_eq!(expired, 1);
        let slow = json!({ "delay_ms": delay_ms });
        match step {
            Step::Leased => self.wire.hold_after(LEASE),
            Step::Rotated => self.app.provider.fault("refresh", slow).await,
            Step::BeforeTheCommit => self.wire.hold_before(STORE),
            Step::Committed => self.wire.hold_after(STORE),
            Step::Used => self.app.provider.fault("wallets", slow).await,
        }
        let page = self.request(&Method::GET, "/account");
        match step {
            Step::Rotated => self.app.provider.called("refresh", 1).await,
            Step::Used => self.app.provider.called("wallets", 1).await,
            _ => self.wire.holds().await,
        }
        if step == Step::Leased {
            let leased = "select count(*) from grants where lease_until > now()";
            self.app.becomes(leased, 1).await;
        }
        if step == Step::Committed {
            self.app
                .becomes("select max(generation) from grants", 2)
                .await;
        }
        page
    }
}

async fn killed_at(step: Step, grace_ms: u64) {
    let mut at = Standing::new().await;
    at.app
        .provider
        .set(json!({ "reuse_grace_ms": grace_ms }))
        .await;
    let page = at.refreshing(step, 10_000).await;
    at.process.signal("KILL");
    assert!(page.await.unwrap().is_none(), "{step:?}");
    at.wire.mend();
    at.app.provider.mend().await;
    // Time passes, as far as the lease is concerned.
    at.app
        .sql("update grants set lease_until = lease_until - interval '20 seconds'")
        .await;
    let replica = Process::start(&at.app.settings).await;
    let account = format!("{}/account", replica.url);
    let page = at.browser.get(&account).await.assert_status(200);
    assert_page(&page);
    let ends = step.loses_the_token() && grace_ms == 0;
    page.assert_contains(if ends {
        "no longer connected to your Matrica account"
    } else {
        "Primary on Solana"
    });
    let refreshes = at.app.provider.calls("refresh").await;
    assert_eq!(
        refreshes,
        1 + u64::from(step.loses_the_token()),
        "{step:?} {grace_ms}"
    );
    at.invariants.reused = u64::from(ends);
    at.invariants.after(&at.app).await;
    if ends {
        let callback = at.browser.start_and_consent(&at.app.provider, "ada").await;
        let callback = callback.replace(&at.app.url, &replica.url);
        at.browser.get(&callback).await.assert_redirect("/account");
        at.browser
            .get(&account)
            .await
            .assert_contains("Primary on Solana");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_at_any_step_of_a_refresh_at_most_one_sign_in_is_needed() {
    let cases = STEPS.map(|step| [(step, 600_000), (step, 0)]);
    for cases in cases.as_flattened().chunks(AT_ONCE) {
        let cases = cases.iter().copied();
        join_all(cases.map(|(step, grace_ms)| killed_at(step, grace_ms))).await;
    }
}

async fn stopped_at(step: Step) {
    let mut at = Standing::new().await;
    let page = at.refreshing(step, 1_500).await;
    at.process.signal("TERM");
    at.process.logged("stopping").await;
    at.wire.mend();
    let page = page.await.unwrap().expect("an answer");
    assert_page(&page);
    page.assert_status(200);
    let (status, log) = at.process.ended().await;
    assert!(status.success(), "{step:?}: {log}");
    assert_eq!(at.app.provider.calls("refresh").await, 1, "{step:?}");
    let left = "select count(*) from grants where lease_until is not null";
    assert_eq!(at.app.count(left).await, 0, "{step:?}");
    // The process has stored the new tokens, even if its page did not wait for them.
    let page = at.browser.get("/account").await;
    page.assert_contains("Primary on Solana");
    assert_eq!(at.app.provider.calls("refresh").await, 1, "{step:?}");
    at.invariants.after(&at.app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigterm_at_any_step_a_refresh_is_finished() {
    for steps in STEPS.chunks(AT_ONCE) {
        join_all(steps.iter().copied().map(stopped_at)).await;
    }
}

async fn killed_on_the_way_out(way: &str, committed: bool) {
    let mut at = Standing::new().await;
    if committed {
        at.wire.hold_before("COMMIT");
    } else {
        at.wire.hold_after(QUEUE);
    }
    let answer = at.request(&Method::POST, way);
    at.wire.holds().await;
    at.process.signal("KILL");
    assert!(answer.await.unwrap().is_none(), "{way}");
    at.wire.mend();
    let grants = "select count(*) from grants";
    let signed_in = way == "/settings/disconnect" || !committed;
    at.app.becomes(grants, 2 - i64::from(committed)).await;
    // Without a notification a server hears of it within 5 s.
    let mut tab = at.browser.clone();
    eventually(way, async || {
        let settings = tab.get("/settings").await;
        (settings.status == 200) == signed_in
    })
    .await;
    // The rest is done by another process, or once more by the person.
    let form = [("confirm", "yes")];
    if signed_in {
        at.browser.post(way, &form).await.assert_status(303);
    }
    at.app.becomes(grants, 1).await;
    at.app.engine.vault.revoke_soon();
    at.app.becomes("select count(*) from revocations", 0).await;
    at.invariants.after(&at.app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_out_is_taken_as_a_whole_or_not_at_all_whenever_the_process_dies() {
    for committed in [false, true] {
        let ways = ["/auth/logout", "/settings/disconnect", "/settings/delete"];
        join_all(ways.map(|way| killed_on_the_way_out(way, committed))).await;
    }
}
