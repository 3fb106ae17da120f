//! What holds for every input from outside. The fuzz targets call these functions, and so does
//! `tests/it/engine/properties.rs`, with the stored inputs and with random ones.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};
use bigdecimal::BigDecimal;
use matrica_starter::engine::matrica::paging::TAKE_MAX;
use matrica_starter::engine::matrica::pictures::PictureRule;
use matrica_starter::engine::matrica::{
    Page, Paging, accounts, balances, decimal, domains, identity, is_plain, nfts, profile, wallets,
};
use matrica_starter::engine::oauth::transport::parse_retry_after;
use matrica_starter::engine::oauth::{
    self, CallbackParameters, CodeVerifier, OAuthState, Outcome, TokenError, json,
};
use matrica_starter::engine::seal::{Keyring, OpenError, Purpose, Sealer, key_id};
use matrica_starter::engine::session::SessionId;
use matrica_starter::engine::session::cookies::{self, CookieNames};
use matrica_starter::engine::sign_in::attempt::{Attempt, AttemptCookies};
use matrica_starter::engine::sign_in::{Intent, Refusal, ReturnTo};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;

/// Panics if the input breaks a promise.
pub type Check = fn(&[u8]);

/// Every check by the name of its fuzz target.
pub const ALL: [(&str, Check); 8] = [
    ("callback", callback),
    ("return_to", return_to),
    ("cookie", cookie),
    ("attempt_cookie", attempt_cookie),
    ("envelope", envelope),
    ("token_answer", token_answer),
    ("user_api", user_api),
    ("retry_after", retry_after),
];

/// Two keys, of which the first seals.
const KEYS: &str = "k1:+8zCKapUddXn//waJBEpjIhAOEQuQL+tATKj/3sc7AA=,\
                    k2:2W4PUOXMZWeyCrYxzmKbQ6KcVzP0RF5m0pJOe8A1hUo=";

/// The server refuses a request with more header lines.
const LINES_MAX: usize = 100;

/// Longest text that a page or the database gets from one field, in bytes. Each hidden character of
/// an identifier of 200 is escaped to 9.
const FIELD_MAX: usize = 2_048;

/// The query of the callback. Parameters that are let through have the grammar of RFC 6749.
pub fn callback(input: &[u8]) {
    let query = String::from_utf8_lossy(input);
    let Ok(parameters) = CallbackParameters::parse(&query) else {
        return;
    };
    let is_printable = |text: &str| text.bytes().all(|byte| (0x20..=0x7E).contains(&byte));
    if let Some(state) = &parameters.state {
        assert!(query.contains("state") || query.contains('%'));
        assert_eq!(state.hash().len(), 32);
    }
    assert!(parameters.iss.as_deref().is_none_or(is_printable));
    match parameters.outcome {
        // A name of ours, never the provider's text.
        Outcome::Error(error) => assert!(
            error
                .name()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_')
        ),
        Outcome::Code(_) => {
            let names = ["code=", "error="].map(|name| query.contains(name));
            assert!(names[0] || query.contains('%'), "a code out of nothing");
        }
    }
}

/// `return_to`. For a URL parser the target is on the same origin, and its second check agrees.
pub fn return_to(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let target = ReturnTo::parse(&text);
    let target = target.as_str();
    assert!(target == text || target == "/", "{target:?} of {text:?}");
    assert_eq!(ReturnTo::parse(target).as_str(), target);
    assert!(HeaderValue::from_str(target).is_ok());
    for base in ["https://club.example/a/b?c", "http://127.0.0.1:3000/"] {
        let base = Url::parse(base).unwrap();
        let url = base.join(target).unwrap();
        assert_eq!(url.origin(), base.origin(), "{target:?}");
        assert!(url.username().is_empty() && url.password().is_none());
        assert!(!url.path().starts_with("//") && !url.path().starts_with("/auth/"));
        // As a browser that decodes once more, and one that reads `\` as `/`.
        let decoded = percent_encoding::percent_decode_str(target).decode_utf8_lossy();
        let path = decoded.split('?').next().unwrap_or_default();
        assert!(
            !path.starts_with("//") && !path.contains('\\'),
            "{target:?}"
        );
    }
}

/// The `Cookie` header, one line of the input per header line.
pub fn cookie(input: &[u8]) {
    for secure in [true, false] {
        let names = CookieNames::new(secure);
        let mut headers = HeaderMap::new();
        for line in input.split(|byte| *byte == b'\n').take(LINES_MAX) {
            if let Ok(line) = HeaderValue::from_bytes(line) {
                headers.append(header::COOKIE, line);
            }
        }
        let surplus = cookies::clean_request(&mut headers, &names);
        let lines: Vec<_> = headers.get_all(header::COOKIE).iter().cloned().collect();
        assert!(lines.len() <= 1, "every parser reads one line");
        let line = lines.first().map_or("", |line| line.to_str().unwrap());
        let pairs: Vec<&str> = line.split("; ").filter(|pair| !pair.is_empty()).collect();
        let name_of = |pair: &&str| pair.split('=').next().unwrap_or_default().to_owned();
        let ours =
            |name: &String| *name == names.session || name.starts_with(&names.attempt_prefix);
        let mut our_names: Vec<String> = pairs.iter().map(name_of).filter(ours).collect();
        let count = our_names.len();
        our_names.sort_unstable();
        our_names.dedup();
        assert_eq!(our_names.len(), count, "one of ours twice: {line:?}");
        assert!(count <= 17, "{line:?}");
        assert!(
            surplus
                .iter()
                .all(|name| name.starts_with(&names.attempt_prefix))
        );
        for name in surplus {
            assert!(HeaderValue::from_str(&name).is_ok());
            assert!(!our_names.contains(&name));
        }
        // A second pass changes nothing.
        let again = headers.clone();
        assert!(cookies::clean_request(&mut headers, &names).is_empty());
        assert_eq!(headers, again);
    }
}

/// The cookie of a login attempt. Only the value that was sealed opens, under its own name.
pub fn attempt_cookie(input: &[u8]) {
    let (names, sealer) = (CookieNames::new(true), sealer(Purpose::LoginAttempt));
    let attempts = AttemptCookies {
        names: &names,
        sealer: &sealer,
        client_id: "client",
        redirect_uri: "https://club.example/auth/callback".to_owned(),
    };
    let now = OffsetDateTime::UNIX_EPOCH;
    let text = String::from_utf8_lossy(input);
    let attempt = Attempt {
        state: OAuthState::generate(),
        code_verifier: CodeVerifier::generate(),
        return_to: ReturnTo::parse(&text),
        issued_at: now,
        user_id: None,
        provider: Some(text.to_string()),
        intent: Intent::SignIn,
        session: SessionId::generate(),
    };
    let lines = attempts.start(&attempt, &HeaderMap::new(), now);
    let cookie = lines[0].to_str().unwrap().split(';').next().unwrap();
    let open = |cookie: &[u8]| {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_bytes(cookie).ok()?);
        Some(attempts.open(&attempt.state, &headers, now))
    };
    let opened = open(cookie.as_bytes()).unwrap().ok().unwrap();
    assert_eq!(opened.return_to, attempt.return_to);
    assert_eq!(opened.provider, attempt.provider);
    // The input in place of the value, and the value with one byte of it changed.
    let (name, value) = cookie.split_once('=').unwrap();
    let foreign = open(&[name.as_bytes(), b"=", input].concat());
    assert!(!matches!(foreign, Some(Ok(_))), "a foreign value opens");
    if let [place @ .., new] = input
        && let Some(place) = place.first()
    {
        let mut value = value.as_bytes().to_vec();
        let place = usize::from(*place) % value.len();
        // The last character of unpadded base64 has bits to spare, which no decoder may ignore.
        if value[place] != *new {
            value[place] = *new;
            let changed = open(&[name.as_bytes(), b"=", &value].concat());
            let is_refused = matches!(
                changed,
                None | Some(Err(Refusal::NoAttempt | Refusal::UnreadableAttempt))
            );
            assert!(is_refused, "a changed value opens");
        }
    }
}

/// An envelope. Random bytes do not open, and a sealed one opens only whole and in its context.
pub fn envelope(input: &[u8]) {
    let sealer = sealer(Purpose::Tokens);
    let context: [&[u8]; 2] = [b"grants", input];
    let whole = sealer.seal(&context, input);
    assert_eq!(
        sealer.open(&context, &whole).unwrap().expose_secret(),
        input
    );
    assert_eq!(key_id(&whole), Some("k1"));
    assert!(sealer.open(&context, input).is_err(), "random bytes open");
    let _ = key_id(input);

    let other_contexts: [&[&[u8]]; 4] = [
        &[b"grants", input, b""],
        &[input, b"grants"],
        &[b"grants"],
        &[b"grant", b"s", input],
    ];
    for other in other_contexts {
        // An input may happen to be the same context.
        if other != context {
            assert_eq!(sealer.open(other, &whole).err(), Some(OpenError::Refused));
        }
    }
    let other_purpose = keyring().sealer(Purpose::LoginAttempt);
    assert!(other_purpose.open(&context, &whole).is_err());
    let place = input.iter().map(|byte| usize::from(*byte)).sum::<usize>() % whole.len();
    let mut changed = whole.clone();
    changed[place] ^= 1 << (input.len() % 8);
    assert!(sealer.open(&context, &changed).is_err(), "byte {place}");
    assert!(
        sealer.open(&context, &whole[..place]).is_err(),
        "cut at {place}"
    );
    changed.clone_from(&whole);
    changed.push(0);
    assert!(sealer.open(&context, &changed).is_err(), "one byte more");
}

/// An answer of the token endpoint, as a success and as a failure.
pub fn token_answer(input: &[u8]) {
    let requested = ["profile", "wallets"].map(str::to_owned);
    let hour = Duration::from_hours(1);
    let sent = Instant::now();
    if let Ok(tokens) = oauth::parse_token_set(input, &requested, hour, sent) {
        let tokens_of = [Some(&tokens.access_token), tokens.refresh_token.as_ref()];
        for token in tokens_of.into_iter().flatten() {
            let token = token.expose();
            assert!(!token.is_empty() && token.len() <= 8 * 1024);
            assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        assert!(tokens.scope.iter().all(|scope| requested.contains(scope)));
        assert!(tokens.expires_in <= Duration::from_hours(24 * 30));
        assert!(sent.checked_add(tokens.expires_in).is_some());
        assert!(
            json::is_document(input),
            "tokens from something that is no document"
        );
    }
    let text = String::from_utf8_lossy(input).to_ascii_lowercase();
    for status in [302, 400, 401, 403, 429, 500, 503] {
        let error = oauth::classify(status, None, input);
        let ends = error == TokenError::InvalidGrant;
        // An escape can spell any word.
        let says_so = [
            "invalid", "expired", "revoked", "unknown", "not ", "already",
        ]
        .iter()
        .any(|word| text.contains(word));
        assert!(
            !ends || (matches!(status, 400 | 401) && (says_so || text.contains('\\'))),
            "{text}"
        );
        assert!(error.to_string().is_ascii(), "foreign text in {error}");
    }
}

/// A body of the user API, read as every resource.
pub fn user_api(input: &[u8]) {
    let Ok(answer) = json::parse::<Value>(input) else {
        return;
    };
    let pictures = PictureRule {
        on: true,
        demo: None,
    };
    let profile = profile::parse_profile(&answer, &pictures);
    if let Ok(profile) = &profile {
        for url in [&profile.picture_url, &profile.banner_url]
            .into_iter()
            .flatten()
        {
            assert_eq!(Url::parse(url).unwrap().scheme(), "https");
        }
    }
    check_texts(&profile);
    if let Ok(wallets) = wallets::parse_wallets(&answer, "wallets") {
        assert!(wallets.wallets.len() <= 1_000);
        check_texts::<_, ()>(&Ok(wallets));
    }
    for key in ["twitter", "discord", "telegram"] {
        check_texts(&accounts::parse_social(&answer, key));
    }
    check_texts(&accounts::parse_email(&answer, "email"));
    check_texts(&accounts::parse_roles(&answer, "roles"));
    if let Some(identity) = identity::parse_identity(&answer, &Value::Null) {
        assert!(
            identity
                .main()
                .is_some_and(|subject| !subject.id.is_empty() && subject.id.len() <= 128)
        );
        assert!(is_plain(&identity.display_name) && !identity.display_name.trim().is_empty());
    }
    check_page(&answer, "nfts", |entry| nfts::parse_nft(entry, &pictures));
    check_page(&answer, "tokens", balances::parse_balance);
    check_page(&answer, "domains", domains::parse_domain);
    if let Value::Object(fields) = &answer {
        for name in fields.keys() {
            if let Some(amount) = decimal::decimal(&answer, name) {
                check_amount(&fields[name], &amount);
            }
        }
    }
}

/// A page is at most as long as asked, and says so if an item was left out.
fn check_page<T: Serialize>(answer: &Value, key: &str, item: impl Fn(&Value) -> Option<T>) {
    for (skip, take) in [(0, 1), (1, TAKE_MAX), (100_000_000, 2)] {
        let asked = Paging {
            skip,
            ..Paging::first(take)
        };
        let page = Page::parse(&(answer.clone(), HeaderMap::new()), key, &asked, &item);
        if let Ok(page) = &page {
            assert!(page.items.len() as u64 <= page.received && page.received <= u64::from(take));
            assert_eq!(page.complete, page.items.len() as u64 == page.received);
            assert!(page.next().is_none_or(|next| next > skip));
        }
        check_texts(&page.map(|page| page.items));
    }
}

/// Every text that is read can be shown: bounded, and without characters that hide others.
fn check_texts<T: Serialize, E>(read: &Result<T, E>) {
    fn check(value: &Value) {
        match value {
            Value::String(text) => {
                assert!(text.len() <= FIELD_MAX, "{} bytes", text.len());
                assert!(!text.chars().any(char::is_control), "{text:?}");
            }
            Value::Array(values) => values.iter().for_each(check),
            Value::Object(fields) => fields.values().for_each(check),
            _ => {}
        }
    }
    if let Ok(read) = read {
        check(&json!(read));
    }
}

/// An amount is the number that was sent, digit for digit.
pub fn check_amount(sent: &Value, amount: &str) {
    let digits = amount.strip_prefix('-').unwrap_or(amount);
    assert!(digits.len() <= 100 && !digits.starts_with('.') && !digits.ends_with('.'));
    assert!(
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.'),
        "{amount}"
    );
    let sent = match sent {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    let (sent, read): (BigDecimal, BigDecimal) = (sent.parse().unwrap(), amount.parse().unwrap());
    assert_eq!(sent, read, "{amount}");
}

/// `Retry-After`. The same to every caller, so that no pause overflows.
pub fn retry_after(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Some(pause) = parse_retry_after(&text) else {
        return;
    };
    assert_eq!(
        text.trim().parse().ok().map_or(pause, Duration::from_secs),
        pause
    );
    // As the callers bound it.
    let bounded = pause.clamp(Duration::from_secs(1), Duration::from_mins(15));
    assert!(bounded.mul_f64(1.1) < Duration::from_mins(17));
}

fn keyring() -> Keyring {
    Keyring::parse(&KEYS.into()).unwrap()
}

fn sealer(purpose: Purpose) -> Sealer {
    keyring().sealer(purpose)
}

/// How long one input of 64 KiB may take on a busy machine. Linear checks take a tenth of it.
pub const TIME_MAX: Duration = Duration::from_secs(5);

/// Runs a check and measures it.
pub fn timed(name: impl Debug, check: Check, input: &[u8]) {
    let start = Instant::now();
    check(input);
    let took = start.elapsed();
    assert!(
        took < TIME_MAX,
        "{name:?} took {took:?} for {} bytes",
        input.len()
    );
}
