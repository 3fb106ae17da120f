//! Every refusal of a sign-in is caused over HTTP, named in the log, answered with its page, and
//! changes nothing.

use std::collections::HashMap;

use matrica_starter::engine::{
    clock,
    oauth::{CodeVerifier, OAuthClient, OAuthState, calls::ProviderCalls, transport::Tls},
    session::SessionId,
    sign_in::{
        Intent, Refusal, ReturnTo, SignInNotice,
        attempt::{Attempt, AttemptCookies},
    },
};
use reqwest::{Method, header::HeaderMap};
use serde_json::json;
use strum::IntoEnumIterator as _;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::explain::assert_explained;
use crate::support::{Answer, Browser, Other, TestApp, logs};

/// Causes one refusal. Returns the answer of the callback, and the browser.
#[expect(clippy::too_many_lines, reason = "one arm for each refusal")]
async fn cause(error: Refusal, app: &TestApp, other: &Other) -> (Answer, Browser) {
    let mut browser = app.browser();
    let provider = &app.provider;
    let answer = match error {
        Refusal::DuplicateParameter => {
            let callback = browser.start_and_consent(provider, "ada").await;
            browser.get(&format!("{callback}&state=again")).await
        }
        Refusal::CodeAndError => {
            let callback = browser.start_and_consent(provider, "ada").await;
            browser
                .get(&format!("{callback}&error=access_denied"))
                .await
        }
        Refusal::MalformedParameter => browser.get("/auth/callback?code=%00&state=x").await,
        Refusal::NotANavigation => {
            let callback = browser.start_and_consent(provider, "ada").await;
            let request = browser.request(Method::GET, &callback);
            let mut request = request.build().unwrap();
            request
                .headers_mut()
                .insert("sec-fetch-dest", "iframe".parse().unwrap());
            #[expect(clippy::disallowed_methods, reason = "an embedding browser, not ours")]
            let response = reqwest::Client::new().execute(request).await.unwrap();
            Answer::read(response).await
        }
        Refusal::MissingCode => {
            let callback = browser.start_and_consent(provider, "ada").await;
            let state = callback.split("state=").nth(1).unwrap();
            browser
                .get(&format!("/auth/callback?access_token=x&state={state}"))
                .await
        }
        Refusal::MissingState => {
            let callback = browser.start_and_consent(provider, "ada").await;
            browser.get(callback.split("&state=").next().unwrap()).await
        }
        Refusal::NoAttempt => {
            let callback = browser.start_and_consent(provider, "ada").await;
            browser = app.browser();
            browser.start("/account").await;
            browser.get(&callback).await
        }
        Refusal::UnreadableAttempt => {
            let callback = browser.start_and_consent(provider, "ada").await;
            let (name, value) = browser.cookies.pop_first().unwrap();
            let flipped = if value.ends_with('A') { 'Q' } else { 'A' };
            browser
                .cookies
                .insert(name, format!("{}{flipped}", &value[..value.len() - 1]));
            browser.get(&callback).await
        }
        Refusal::StateMismatch => {
            let (planted, asked) = colliding_states();
            plant(app, &mut browser, planted, clock::now());
            browser
                .get(&format!("/auth/callback?code=x&state={}", exposed(&asked)))
                .await
        }
        Refusal::AttemptExpired => {
            let state = OAuthState::generate();
            let text = exposed(&state);
            plant(
                app,
                &mut browser,
                state,
                clock::now() - Duration::seconds(601),
            );
            browser
                .get(&format!("/auth/callback?code=x&state={text}"))
                .await
        }
        Refusal::AlreadyUsed => {
            let callback = browser.start_and_consent(provider, "ada").await;
            let cookies = browser.cookies.clone();
            provider.fault("token", json!({ "status": 503 })).await;
            browser.get(&callback).await;
            provider.mend().await;
            app.sql("update login_attempts set burnt_at = now() - interval '1 minute'")
                .await;
            browser.cookies = cookies;
            browser.get(&callback).await
        }
        Refusal::Denied => browser.sign_in(provider, "deny").await,
        Refusal::DeniedWithoutState => {
            provider.set(json!({ "deny_with_state": false })).await;
            browser.sign_in(provider, "denier").await
        }
        Refusal::ProviderError => {
            let callback = browser.start_and_consent(provider, "ada").await;
            let state = callback.split("state=").nth(1).unwrap();
            let foreign =
                "error=server_error&error_description=%3Cscript%3Epwned&error_uri=javascript:1";
            browser
                .get(&format!("/auth/callback?{foreign}&state={state}"))
                .await
        }
        Refusal::RequestRefused => {
            let callback = browser.start_and_consent(provider, "ada").await;
            let state = callback.split("state=").nth(1).unwrap();
            let refusal = "error=invalid_scope&error_description=pwned";
            browser
                .get(&format!("/auth/callback?{refusal}&state={state}"))
                .await
        }
        Refusal::CodeRefused => {
            provider.set(json!({ "code_lifetime_ms": 0 })).await;
            browser.sign_in(provider, "ada").await
        }
        Refusal::Misconfigured => {
            let refusal = json!({ "status": 401, "body": r#"{"error":"invalid_client"}"# });
            provider.fault("token", refusal).await;
            browser.sign_in(provider, "ada").await
        }
        Refusal::ProviderUnavailable => {
            provider.fault("token", json!({ "status": 503 })).await;
            browser.sign_in(provider, "ada").await
        }
        Refusal::ProviderUnreadable => {
            provider
                .fault("token", json!({ "status": 200, "body": "<html>" }))
                .await;
            browser.sign_in(provider, "ada").await
        }
        Refusal::ProfileNotGranted => {
            provider.set(json!({ "granted_scope": "wallets" })).await;
            browser.sign_in(provider, "ada").await
        }
        Refusal::NoUserId => {
            provider
                .set(json!({ "profile_shape": "without_id", "v1_has_id": false }))
                .await;
            browser.sign_in(provider, "ada").await
        }
        Refusal::SwitchedAccount => {
            browser = app.signed_in("collector").await;
            browser.sign_in(provider, "ada").await
        }
        Refusal::Disabled => {
            app.signed_in("ada").await;
            app.sql("update users set disabled_at = now()").await;
            browser.sign_in(provider, "ada").await
        }
        Refusal::OtherProvider => {
            let callback = browser.start_and_consent(provider, "ada").await;
            let callback = callback.replace("/auth/callback?", "/auth/callback/discord?");
            browser.get(&callback).await
        }
        Refusal::OtherIssuer | Refusal::NotLinked => {
            let start = browser.post("/auth/login/discord", &[]).await;
            browser.get(&other.consent(start.location(), "ada")).await
        }
        Refusal::LinkedElsewhere => {
            browser = app.signed_in("collector").await;
            link(&mut browser, other, "ada").await;
            browser = app.signed_in("ada").await;
            link(&mut browser, other, "ada").await
        }
        Refusal::OtherLinked => {
            browser = app.signed_in("ada").await;
            link(&mut browser, other, "ada").await;
            link(&mut browser, other, "other").await
        }
        Refusal::Unavailable => {
            let callback = browser.start_and_consent(provider, "ada").await;
            app.engine.db.close();
            browser.get(&callback).await
        }
    };
    (answer, browser)
}

/// Links an account of the other provider. Returns the answer of the callback.
async fn link(browser: &mut Browser, other: &Other, person: &str) -> Answer {
    let start = browser.post("/settings/link/discord", &[]).await;
    browser.get(&other.consent(start.location(), person)).await
}

/// Puts an attempt into a browser, as `POST /auth/login` would have done at that time.
fn plant(app: &TestApp, browser: &mut Browser, state: OAuthState, issued_at: OffsetDateTime) {
    let code_verifier = CodeVerifier::generate();
    let attempt = Attempt {
        state,
        code_verifier,
        return_to: ReturnTo::home(),
        issued_at,
        user_id: None,
        provider: None,
        intent: Intent::SignIn,
        session: SessionId::generate(),
    };
    let line = AttemptCookies::new(&app.engine)
        .start(&attempt, &HeaderMap::new(), issued_at)
        .pop()
        .unwrap();
    let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
    browser
        .cookies
        .insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
}

/// `state` as text. It is legible in the authorization URL only.
fn exposed(state: &OAuthState) -> String {
    let matrica = matrica_starter::engine::config::MatricaSettings {
        client_id: String::new(),
        client_secret: None,
        scopes: Vec::new(),
        authorization_endpoint: "https://provider.test/".parse().unwrap(),
        token_endpoint: "https://provider.test/".parse().unwrap(),
        revocation_endpoint: None,
        user_api: "https://provider.test/".parse().unwrap(),
        user_api_v1: None,
    };
    let (tls, calls) = (Tls::new().unwrap(), ProviderCalls::unseen());
    let provider = OAuthClient::new(matrica.into(), String::new(), &tls, &calls).unwrap();
    let url = provider.authorization_url(state, &CodeVerifier::generate());
    url.query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned()
}

/// Two states whose cookies have the same name. Its 32 bits take some 10,000 tries.
fn colliding_states() -> (OAuthState, OAuthState) {
    let mut seen: HashMap<[u8; 4], OAuthState> = HashMap::new();
    loop {
        let state = OAuthState::generate();
        let name = state.hash()[..4].try_into().unwrap();
        if let Some(other) = seen.insert(name, state.clone()) {
            return (other, state);
        }
    }
}

/// A refusal leaves no session and no grant, and ends at a page that helps.
async fn check(error: Refusal) {
    let (app, other) = TestApp::with_other(|settings| {
        settings.client.issuer = Some("https://other.test".to_owned());
    })
    .await;
    let iss = (error != Refusal::OtherIssuer).then(|| "https://other.test".to_owned());
    other.habits().iss = iss;
    let (answer, mut browser) = cause(error, &app, &other).await;
    let links = matches!(error, Refusal::LinkedElsewhere | Refusal::OtherLinked);
    let had_session = links || error == Refusal::SwitchedAccount;
    let logged = logs::field(answer.header("x-request-id"), "reason");
    assert_eq!(logged.as_deref(), Some(error.name()));
    assert_eq!(
        browser.session().is_some(),
        had_session,
        "{error:?}: no session comes of a refusal"
    );
    assert_eq!(answer.header("cache-control"), "no-store, no-transform");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    if !links && !matches!(error, Refusal::Disabled | Refusal::SwitchedAccount) {
        assert_eq!(
            app.count("select count(*) from sessions").await,
            0,
            "{error:?}"
        );
        assert_eq!(
            app.count("select count(*) from grants").await,
            0,
            "{error:?}"
        );
    }
    let Some(slug) = error.notice().map(SignInNotice::slug) else {
        assert_eq!(answer.status, 400);
        for reference in ["src=", "http:", "https:", "//", "url("] {
            assert!(
                !answer.body.contains(reference),
                "{error:?}: a page under this address refers to nothing"
            );
        }
        assert!(answer.body.contains("href=\"/login\""));
        let (_, reference) = answer.body.split_once("Reference: <code>").unwrap();
        let (reference, _) = reference.split_once('<').unwrap();
        assert_explained(&app.database, reference, error).await;
        return;
    };
    let location = answer.location();
    if links {
        assert!(
            location.starts_with(&format!("/settings?e={slug}&")),
            "{location}"
        );
    }
    let answer = if links {
        answer
    } else {
        answer.assert_refused(slug)
    };
    let page = browser.get(answer.location()).await.assert_status(200);
    assert!(page.body.contains("role=\"alert\""), "{error:?}");
    let reference = answer
        .location()
        .split("ref=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    assert!(
        page.body.contains(reference),
        "{error:?}: the page shows the reference"
    );
    assert_explained(&app.database, reference, error).await;
    assert!(
        !page.body.contains("pwned") && !page.body.contains("javascript:"),
        "{error:?}: {}",
        page.body
    );
}

/// One test for each refusal. A variant without a line here does not compile in `cause`, or fails
/// in the last test.
macro_rules! refusals {
    ($($name:ident: $error:ident),* $(,)?) => {
        $(#[tokio::test] async fn $name() { check(Refusal::$error).await; })*

        #[test]
        fn every_refusal_has_a_test() {
            let tested = [$(Refusal::$error),*];
            for error in Refusal::iter() {
                assert!(tested.contains(&error), "{error:?} has no test");
            }
        }
    };
}

refusals! {
    a_parameter_given_twice_is_refused: DuplicateParameter,
    a_code_together_with_an_error_is_refused: CodeAndError,
    impossible_characters_are_refused: MalformedParameter,
    a_callback_in_a_frame_is_refused: NotANavigation,
    a_callback_without_a_code_is_refused_whatever_else_it_brings: MissingCode,
    a_callback_without_state_is_refused: MissingState,
    a_callback_in_another_browser_is_refused: NoAttempt,
    a_flipped_byte_in_the_cookie_is_refused: UnreadableAttempt,
    another_state_than_the_sealed_one_is_refused: StateMismatch,
    an_attempt_older_than_ten_minutes_is_refused: AttemptExpired,
    an_attempt_is_good_for_one_callback: AlreadyUsed,
    declining_ends_the_attempt: Denied,
    declining_without_state_changes_nothing: DeniedWithoutState,
    an_error_of_the_provider_is_not_repeated_in_its_words: ProviderError,
    a_request_that_the_provider_refuses_is_our_own_mistake: RequestRefused,
    a_code_that_the_provider_refuses_means_starting_again: CodeRefused,
    our_own_misconfiguration_is_called_that: Misconfigured,
    a_provider_that_is_down_is_called_that: ProviderUnavailable,
    a_nonsensical_token_answer_is_refused: ProviderUnreadable,
    without_the_profile_scope_nobody_is_signed_in: ProfileNotGranted,
    without_a_user_id_nobody_is_signed_in: NoUserId,
    coming_back_as_somebody_else_never_switches_silently: SwitchedAccount,
    somebody_locked_out_stays_out: Disabled,
    an_answer_of_another_provider_is_not_taken: OtherProvider,
    an_answer_of_another_issuer_is_not_taken: OtherIssuer,
    an_account_that_nobody_has_linked_signs_nobody_in: NotLinked,
    an_account_that_is_linked_elsewhere_is_not_moved: LinkedElsewhere,
    a_linked_account_is_not_replaced_silently: OtherLinked,
    without_the_database_nobody_is_signed_in: Unavailable,
}

#[tokio::test]
async fn coming_back_as_somebody_else_after_the_session_ended_does_not_speak_of_it() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("collector").await;
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    app.sql("delete from sessions").await;
    let answer = browser.get(&callback).await.assert_refused("other-account");
    let page = browser.get(answer.location()).await.assert_status(200);
    assert!(
        !page.body.contains("still signed in with the first one")
            && page.body.contains("action=\"/auth/login\"")
    );
}

#[test]
fn names_of_refusals_are_unique_and_read_back() {
    for error in Refusal::iter() {
        assert_eq!(error.name().parse(), Ok(error));
    }
}

#[tokio::test]
async fn clocks_of_replicas_may_differ_by_a_minute_and_no_more() {
    // An attempt that counts goes on to the exchange, where this code is refused.
    for (seconds, reason) in [
        (58, "code_refused"),
        (62, "attempt_expired"),
        (-598, "code_refused"),
        (-601, "attempt_expired"),
    ] {
        let app = TestApp::spawn().await;
        let mut browser = app.browser();
        let state = OAuthState::generate();
        let text = exposed(&state);
        plant(
            &app,
            &mut browser,
            state,
            clock::now() + Duration::seconds(seconds),
        );
        let answer = browser
            .get(&format!("/auth/callback?code=x&state={text}"))
            .await;
        assert_eq!(
            logs::field(answer.header("x-request-id"), "reason").as_deref(),
            Some(reason),
            "{seconds}"
        );
    }
}

#[tokio::test]
async fn a_clock_that_jumps_ends_attempts_and_breaks_no_page() {
    let app = TestApp::spawn().await;
    let now = clock::now();
    let far = [
        now - Duration::hours(1),
        now + Duration::hours(1),
        // Beyond 32 bits of seconds.
        OffsetDateTime::from_unix_timestamp(1 << 32).unwrap(),
        OffsetDateTime::UNIX_EPOCH,
        PrimitiveDateTime::MIN.assume_utc(),
        PrimitiveDateTime::MAX.assume_utc(),
    ];
    for issued_at in far {
        let mut browser = app.browser();
        let state = OAuthState::generate();
        let text = exposed(&state);
        plant(&app, &mut browser, state, issued_at);
        let callback = format!("/auth/callback?code=x&state={text}");
        let answer = browser.get(&callback).await.assert_refused("expired");
        let reason = logs::field(answer.header("x-request-id"), "reason");
        assert_eq!(reason.as_deref(), Some("attempt_expired"), "{issued_at}");
        // The dead attempt is in the way of no new one.
        let next = browser.sign_in(&app.provider, "ada").await;
        next.assert_redirect("/account");
    }
}

#[tokio::test]
async fn expired_used_foreign_and_altered_attempts_look_the_same() {
    let mut pages = Vec::new();
    for error in [
        Refusal::NoAttempt,
        Refusal::UnreadableAttempt,
        Refusal::AttemptExpired,
        Refusal::AlreadyUsed,
    ] {
        let (app, other) = TestApp::with_other(|_| {}).await;
        let (answer, _) = cause(error, &app, &other).await;
        let location = answer.location().to_owned();
        let reference = location
            .split("ref=")
            .nth(1)
            .unwrap()
            .split('&')
            .next()
            .unwrap()
            .to_owned();
        let page = app
            .browser()
            .get(location.split("&return_to").next().unwrap())
            .await;
        let body = page.body.replace(&reference, "REFERENCE");
        pages.push(body.replace(&app.provider.url, "PROVIDER"));
    }
    assert!(pages.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn nobody_can_put_words_on_the_sign_in_page() {
    let app = TestApp::spawn().await;
    for query in [
        "e=%3Cscript%3E",
        "e=provider&ref=call-555-0100",
        "e=provider&ref=%3Cb%3E",
        "e=a&e=b",
        "e=expired&ref=",
    ] {
        let page = app
            .browser()
            .get(&format!("/login?{query}"))
            .await
            .assert_status(200);
        assert!(
            !page.body.contains("<script")
                && !page.body.contains("555-0100")
                && !page.body.contains("<b>"),
            "{query}"
        );
    }
}
