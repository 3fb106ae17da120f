//! `doctor --provider` tells providers apart by what they do, and prints no secret.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::{
    Provider, browser,
    process::{command, free_port},
    settings,
};

/// Longest wait for the next line of the program.
pub const WITHIN: Duration = Duration::from_secs(30);

/// A walk, and everything that it has printed.
struct Walk {
    answers: Vec<Value>,
    visits: usize,
    said: String,
}

impl Walk {
    /// The answer about an assumption, and whether that is confirmed.
    fn answer(&self, assumption: u64) -> (&str, Option<bool>) {
        let mut answers = self.answers.iter();
        let answer = answers.find(|answer| answer["assumption"] == assumption);
        let answer = answer.unwrap_or_else(|| panic!("no answer {assumption}: {}", self.said));
        let text = answer["answer"].as_str().unwrap();
        (text, answer["confirmed"].as_bool())
    }

    #[track_caller]
    fn assert(&self, assumption: u64, words: &str, confirmed: Option<bool>) {
        let (text, is) = self.answer(assumption);
        assert!(text.contains(words), "{assumption}: no {words:?} in {text}");
        assert_eq!(is, confirmed, "{assumption}: {text}");
    }
}

/// The program, the lines of its standard error, and a way to its standard input.
fn start(provider: &Provider, origin: &str, address: &str) -> (Child, UnboundedReceiver<String>) {
    start_with(provider, origin, &[("LISTEN_ADDR", address)])
}

pub fn start_with(
    provider: &Provider,
    origin: &str,
    more: &[(&str, &str)],
) -> (Child, UnboundedReceiver<String>) {
    let mut settings = settings(origin, &provider.url, "postgres://x@127.0.0.1:1/x");
    let more = more
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    settings.extend(more);
    let mut command = command(&settings);
    command.args(["doctor", "--provider", "--json"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let errors = BufReader::new(child.stderr.take().unwrap());
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for line in errors.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    (child, receiver)
}

/// Walks with a provider that behaves like this. With `by_hand` the callbacks are pasted.
async fn walk(behaviour: Value, by_hand: bool) -> Walk {
    walk_with(behaviour, by_hand, json!([])).await
}

/// The same with faults of the token endpoint.
async fn walk_with(behaviour: Value, by_hand: bool, faults: Value) -> Walk {
    let address = format!("127.0.0.1:{}", free_port());
    let origin = format!("http://{address}");
    let provider = Provider::spawn(&[format!("{origin}/auth/callback")]).await;
    provider.set(behaviour).await;
    provider.fault("token", faults).await;
    let (mut child, mut errors) = start(&provider, &origin, &address);
    let (mut visits, mut declines, mut callbacks) = (0, false, Vec::new());
    while let Some(line) = tokio::time::timeout(WITHIN, errors.recv()).await.unwrap() {
        declines |= line.contains("Decline");
        let Some(url) = line.trim().strip_prefix(&provider.url) else {
            continue;
        };
        visits += 1;
        let person = if declines { "deny" } else { "ada" };
        let callback = provider
            .consent(&format!("{}{url}", provider.url), person)
            .await;
        if by_hand {
            let mut input = child.stdin.as_ref().unwrap();
            writeln!(input, "{callback}").unwrap();
        } else {
            // A browser that comes twice, as after a reload.
            for _ in 0..2 {
                let answer = browser::client().get(&callback).send().await;
                assert!(answer.is_ok_and(|answer| answer.status() == 200) || declines);
            }
        }
        callbacks.push(callback);
    }
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    let tokens = provider.get("tokens").await;
    assert_eq!(tokens["families"], 0, "{tokens}");
    // Codes and the data of the person.
    let codes = callbacks.iter().filter_map(|it| it.split_once("code="));
    let codes = codes.map(|(_, rest)| rest.split('&').next().unwrap().to_owned());
    for secret in codes.chain(["Ada", "ada-", crate::support::CLIENT_SECRET].map(str::to_owned)) {
        assert!(!said.contains(&secret), "{secret} in {said}");
    }
    Walk {
        answers: serde_json::from_str(&said).unwrap(),
        visits,
        said,
    }
}

#[tokio::test]
async fn a_strict_provider_confirms_what_is_assumed() {
    let walk = walk(json!({ "code_lifetime_ms": 60_000 }), false).await;
    walk.assert(1, "refused a code with another verifier", Some(true));
    walk.assert(2, "refused the grant", Some(true));
    walk.assert(4, "a refresh token, 3600 s", Some(true));
    walk.assert(5, "Nested.", Some(true));
    walk.assert(6, "v2.", Some(true));
    walk.assert(7, "Yes", Some(true));
    walk.assert(8, "The newer one is refused as well", Some(true));
    walk.assert(9, "Yes", Some(true));
    walk.assert(10, "Neither token works", Some(true));
    walk.assert(11, "with state, as access_denied", Some(true));
    assert_eq!((walk.answers.len(), walk.visits), (11, 3));
}

#[tokio::test]
async fn a_lenient_provider_gives_other_answers() {
    let lenient = json!({
        "rotation": false, "deny_with_state": false, "profile_shape": "without_id", "v1_has_id": false,
    });
    let lenient = walk(lenient, true).await;
    lenient.assert(1, "refused", Some(true));
    lenient.assert(6, "Nowhere", Some(false));
    lenient.assert(7, "The same one works again", Some(false));
    lenient.assert(8, "does not matter", None);
    lenient.assert(9, "Yes", Some(true));
    lenient.assert(11, "without state, as access_denied", Some(false));
    assert_eq!(lenient.visits, 2);

    let grace = json!({ "reuse_grace_ms": 60_000, "profile_shape": "flat" });
    let grace = walk(grace, false).await;
    grace.assert(5, "Flat.", Some(true));
    grace.assert(7, "Yes", Some(true));
    grace.assert(8, "still works", Some(false));

    let no_detection = walk(json!({ "reuse_detection": false }), false).await;
    no_detection.assert(8, "the newer one goes on working", Some(false));
    assert_eq!(no_detection.visits, 2);
}

#[tokio::test]
async fn a_code_that_is_used_up_costs_a_visit_and_one_that_is_not_checked_is_told() {
    let refused = json!({ "status": 400, "body": r#"{"error":"invalid_grant"}"#, "times": 2 });
    let used_up = walk_with(json!({}), false, refused).await;
    used_up.assert(1, "refused", Some(true));
    used_up.assert(3, "used up", Some(true));
    assert_eq!(used_up.visits, 4);

    let body = r#"{"access_token":"canary","token_type":"Bearer"}"#;
    let careless = json!({ "status": 200, "body": body, "times": 1 });
    let careless = walk_with(json!({}), false, careless).await;
    careless.assert(1, "It took a code with another verifier", Some(false));
    careless.assert(4, "no refresh token", Some(false));
    careless.assert(5, "no profile", None);
    careless.assert(7, "no refresh token", None);
    assert!(!careless.said.contains("canary"), "{}", careless.said);
}

#[tokio::test]
async fn a_walk_that_cannot_go_on_says_why() {
    let address = format!("127.0.0.1:{}", free_port());
    let origin = format!("http://{address}");
    let provider = Provider::spawn(&[format!("{origin}/auth/callback")]).await;
    let taken = std::net::TcpListener::bind(&address).unwrap();
    let (child, _errors) = start(&provider, &origin, &address);
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    assert_eq!(output.await.unwrap().status.code(), Some(1));
    drop(taken);

    let (child, mut errors) = start(&provider, &origin, &address);
    let mut said = String::new();
    while let Some(line) = tokio::time::timeout(WITHIN, errors.recv()).await.unwrap() {
        said.extend([line.as_str(), "\n"]);
        if let Some(url) = line.trim().strip_prefix(&provider.url) {
            let url = format!("{}{url}", provider.url);
            let callback = provider.consent(&url, "deny").await;
            browser::client().get(&callback).send().await.unwrap();
        }
    }
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    let output = output.await.unwrap();
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(1), &b"[]\n"[..])
    );
    assert!(
        said.contains("the provider refused: access_denied"),
        "{said}"
    );
}
