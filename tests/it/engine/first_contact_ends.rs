//! What `doctor --provider` leaves behind, and which callbacks it takes.

use std::{
    io::{Read as _, Write as _},
    process::{Child, Command},
};

use serde_json::{Value, json};
use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};

use super::first_contact::{WITHIN, start_with};
use crate::support::{Answer, Provider, browser, eventually, process::free_port};

/// Longer than a burst of callbacks takes.
const SLOW_MS: u64 = 3_000;

/// A walk that is under way.
struct Walk {
    provider: Provider,
    callback: String,
    child: Child,
    errors: UnboundedReceiver<String>,
    said: String,
}

impl Walk {
    async fn start(behaviour: Value, faults: &[(&str, Value)], more: &[(&str, &str)]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let origin = format!("http://{address}");
        let callback = format!("{origin}/auth/callback");
        let provider = Provider::spawn(std::slice::from_ref(&callback)).await;
        provider.set(behaviour).await;
        for (endpoint, fault) in faults {
            provider.fault(endpoint, fault.clone()).await;
        }
        let more = [&[("LISTEN_ADDR", &*address)], more].concat();
        let (child, errors) = start_with(&provider, &origin, &more);
        Self {
            provider,
            callback,
            child,
            errors,
            said: String::new(),
        }
    }

    /// The callback of the next visit, and whether it is the one to decline. `None` at the end.
    async fn visit(&mut self) -> Option<(String, bool)> {
        let mut declines = false;
        while let Some(line) = timeout(WITHIN, self.errors.recv()).await.unwrap() {
            self.said.extend([line.as_str(), "\n"]);
            declines |= line.contains("Decline");
            if let Some(url) = line.trim().strip_prefix(&self.provider.url) {
                let url = format!("{}{url}", self.provider.url);
                let person = if declines { "deny" } else { "ada" };
                return Some((self.provider.consent(&url, person).await, declines));
            }
        }
        None
    }

    /// Follows every callback, until the program ends.
    async fn follow(&mut self) {
        while let Some((callback, _)) = self.visit().await {
            open(&callback).await;
        }
    }

    fn paste(&self, callback: &str) {
        writeln!(self.child.stdin.as_ref().unwrap(), "{callback}").unwrap();
    }

    /// Whether it has gone well, and its answers. Call it after the last visit.
    fn end(&mut self) -> (bool, Vec<Value>) {
        let mut printed = String::new();
        let mut output = self.child.stdout.take().unwrap();
        output.read_to_string(&mut printed).unwrap();
        let answers = serde_json::from_str(&printed).unwrap();
        (self.child.wait().unwrap().success(), answers)
    }

    /// The living families and access tokens at the provider.
    async fn alive(&self) -> (u64, u64) {
        let tokens = self.provider.get("tokens").await;
        let count = |name: &str| tokens[name].as_u64().unwrap();
        (count("families"), count("access_tokens"))
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// The status and the page.
async fn open(callback: &str) -> (u16, String) {
    let answer = browser::client().get(callback).send().await.unwrap();
    let answer = Answer::read(answer).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn a_walk_that_breaks_off_revokes_what_it_has_received() {
    let refused = json!({ "status": 400, "body": r#"{"error":"invalid_grant"}"# });
    let failed = json!({ "status": 503 });
    for fault in [refused, failed] {
        let mut walk = Walk::start(json!({}), &[("refresh", fault)], &[]).await;
        walk.follow().await;
        assert_eq!((walk.end().0, walk.alive().await), (false, (0, 0)));
        assert!(!walk.said.contains("could be revoked"), "{}", walk.said);
    }
}

#[tokio::test]
async fn tokens_of_an_answer_that_cannot_be_used_are_revoked() {
    let unusable = json!({ "token_overrides": { "token_type": "mac" } });
    let mut walk = Walk::start(unusable, &[], &[]).await;
    walk.follow().await;
    assert_eq!((walk.end().0, walk.alive().await), (false, (0, 0)));

    let body = r#"{"access_token":"canary","refresh_token":"bird","token_type":"mac"}"#;
    let unusable = json!({ "status": 200, "body": body });
    let mut walk = Walk::start(json!({}), &[("refresh", unusable)], &[]).await;
    walk.follow().await;
    assert_eq!((walk.end().0, walk.alive().await), (false, (0, 0)));
    // Two of the sign-in, and two of the refresh.
    assert_eq!(walk.provider.calls("revoke").await, 4);
}

#[tokio::test]
async fn an_access_token_without_a_refresh_token_is_revoked() {
    let alone = json!({ "refresh_token_absent": true });
    let mut walk = Walk::start(alone, &[], &[]).await;
    walk.follow().await;
    assert_eq!((walk.end().0, walk.alive().await.1), (true, 0));
}

#[tokio::test]
async fn a_walk_that_is_interrupted_revokes_its_tokens() {
    // The revocation that is part of the walk fails, so that tokens live at the last visit.
    let once = json!({ "status": 503, "times": 1 });
    let mut walk = Walk::start(json!({}), &[("revoke", once)], &[]).await;
    while let Some((callback, declines)) = walk.visit().await {
        if !declines {
            open(&callback).await;
            continue;
        }
        assert_eq!(walk.alive().await.0, 1);
        let id = walk.child.id().to_string();
        Command::new("kill")
            .args(["-s", "INT", &id])
            .status()
            .unwrap();
    }
    assert_eq!((walk.end().0, walk.alive().await), (false, (0, 0)));
    assert!(walk.said.contains("stopped"), "{}", walk.said);
}

#[tokio::test]
async fn tokens_that_cannot_be_revoked_are_told() {
    let off: &[_] = &[("MATRICA_REVOCATION_ENDPOINT", "off")];
    let failing: &[_] = &[("revoke", json!({ "status": 503 }))];
    for (faults, more, reason) in [
        (&[][..], off, "MATRICA_REVOCATION_ENDPOINT is off"),
        (failing, &[][..], "the provider is unavailable (status 503)"),
    ] {
        let mut walk = Walk::start(json!({}), faults, more).await;
        walk.follow().await;
        assert!(walk.end().0, "{}", walk.said);
        let line = format!("Not all tokens could be revoked: {reason}.");
        assert_eq!(walk.said.matches(&line).count(), 1, "{}", walk.said);
    }
}

#[tokio::test]
async fn a_callback_without_our_state_is_refused_and_the_walk_waits_on() {
    let mut walk = Walk::start(json!({}), &[], &[]).await;
    let other = "s".repeat(43);
    let mut last = String::new();
    while let Some((callback, declines)) = walk.visit().await {
        let strange = ["code=foreign", "error=access_denied", "code=a&code=b"];
        let strange = strange.map(|query| format!("{}?{query}", walk.callback));
        let foreign = strange.iter().map(|url| format!("{url}&state={other}"));
        for url in strange.iter().cloned().chain(foreign).chain([last]) {
            if !url.is_empty() {
                let (status, page) = open(&url).await;
                assert_eq!(status, 400, "{url}: {page}");
                assert!(page.contains("not the sign-in that doctor waits for"));
            }
        }
        assert!(open(&callback).await.0 == 200 || declines);
        last = callback;
    }
    let (success, answers) = walk.end();
    assert!(success, "{}", walk.said);
    // Two tries at the first visit, one at the second.
    assert_eq!(walk.provider.calls("token").await, 3);
    let answer = answers.last().unwrap();
    assert_eq!(
        (&answer["assumption"], &answer["confirmed"]),
        (&json!(11), &json!(true))
    );
}

#[tokio::test]
async fn a_callback_without_state_counts_only_if_it_is_pasted() {
    let mut walk = Walk::start(json!({ "deny_with_state": false }), &[], &[]).await;
    while let Some((callback, _)) = walk.visit().await {
        if open(&callback).await.0 == 400 {
            walk.paste(&callback);
        }
    }
    let (success, answers) = walk.end();
    assert!(success, "{}", walk.said);
    assert_eq!(
        answers.last().unwrap()["answer"],
        "It comes without state, as access_denied."
    );

    let mut walk = Walk::start(json!({}), &[], &[]).await;
    let (callback, _) = walk.visit().await.unwrap();
    let (without, _) = callback.split_once("&state=").unwrap();
    walk.paste(without);
    assert!(walk.visit().await.is_none());
    assert_eq!(walk.end(), (false, vec![]));
    assert!(
        walk.said.contains("the callback had no state"),
        "{}",
        walk.said
    );
    assert_eq!(walk.provider.calls("token").await, 0);
}

#[tokio::test]
async fn callbacks_that_come_faster_than_the_walk_takes_them_are_refused() {
    let slow = json!({ "delay_ms": SLOW_MS, "times": 1 });
    let mut walk = Walk::start(json!({}), &[("token", slow)], &[]).await;
    let (callback, _) = walk.visit().await.unwrap();
    assert_eq!(open(&callback).await.0, 200);
    eventually("the exchange", async || {
        walk.provider.calls("token").await > 0
    })
    .await;
    // The walk has taken the first one, and takes no other before the next visit.
    for _ in 0..16 {
        assert_eq!(open(&callback).await.0, 200);
    }
    assert_eq!(open(&callback).await.0, 503);
    walk.follow().await;
    assert!(walk.end().0, "{}", walk.said);
}
