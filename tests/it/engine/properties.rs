//! What every input from outside leads to. The checks are those of the fuzz targets in `tests/fuzz`.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use matrica_starter::engine::clock;
use matrica_starter::engine::matrica::decimal::decimal;
use matrica_starter::engine::matrica::wallets::parse_wallets;
use matrica_starter::engine::oauth::transport::parse_retry_after;
use matrica_starter::engine::oauth::{CallbackParameters, OAuthState, Outcome, parse_token_set};
use matrica_starter::engine::sign_in::ReturnTo;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::{collection::vec, test_runner::TestRunner};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded::byte_serialize;

#[path = "../../fuzz/checks.rs"]
mod checks;

/// Random inputs for each property.
const CASES: u32 = 512;

/// Bytes of a long input. A head of a request has at most 16 KiB, a token answer 64 KiB.
const LONG: usize = 64 * 1024;
/// What long inputs consist of.
const REPEATED: [&str; 12] = [
    "a",
    "&a=",
    "code=&",
    "%25",
    "/..",
    "__Host-sid;",
    "__Host-login-0a1b2c3d=a;",
    "[",
    "{\"id\":",
    "\\ud800",
    "1",
    " ",
];

/// Fragments that the parsers look for, of which the inputs are made.
const FRAGMENTS: [&str; 58] = [
    "code",
    "state",
    "error",
    "iss",
    "access_denied",
    "=",
    "&",
    "%",
    "%3D",
    "%00",
    "%FF",
    "+",
    "/",
    "//",
    "\\",
    "?",
    "#",
    "@",
    ":",
    ".",
    "..",
    "%2e",
    "%2F",
    "%5c",
    "%09",
    "auth",
    "login",
    "https://",
    "javascript:",
    "evil.test",
    " ",
    "; ",
    ";",
    "__Host-sid",
    "__Host-login-0a1b2c3d",
    "sid",
    "login-0a1b2c3d",
    "\n",
    "\t",
    "\0",
    "\"",
    "é",
    "\u{202E}",
    "{\"access_token\":\"a\",\"token_type\":\"bearer\"",
    ",\"expires_in\":",
    ",\"refresh_token\":",
    ",\"scope\":",
    "{\"error\":\"invalid_grant\"",
    "}",
    "[",
    "]",
    "null",
    "1e999",
    "-1",
    "\"1e18\"",
    "\\ud800",
    "120",
    "Sun, 06 Nov 1994 08:49:37 GMT",
];

/// Names that the user API and the token endpoint use.
const KEYS: [&str; 30] = [
    "id",
    "name",
    "profile",
    "username",
    "vanityURL",
    "pfp",
    "banner",
    "pfpNFT",
    "collection",
    "wallets",
    "networkSymbol",
    "primaryWalletOn",
    "nfts",
    "image",
    "status",
    "inscriptionNumber",
    "ownerId",
    "tokens",
    "tokenId",
    "token",
    "amount",
    "totalAmount",
    "domains",
    "key",
    "extension",
    "ownerWallet",
    "externalId",
    "roles",
    "email",
    "guildId",
];

/// Fields of a token answer.
const ANSWER_KEYS: [&str; 6] = [
    "access_token",
    "refresh_token",
    "token_type",
    "expires_in",
    "scope",
    "error",
];

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Fragments and random bytes in any order.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let fragment = select(&FRAGMENTS[..]).prop_map(|fragment| fragment.as_bytes().to_vec());
    let piece = prop_oneof![4 => fragment, 1 => vec(any::<u8>(), 0..8)];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A JSON value without others in it.
fn leaf() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 7] = [
        "",
        " ",
        "\u{202E}evil",
        "0xAbC",
        "bearer",
        "profile wallets email",
        "invalid_grant",
    ];
    let text = prop_oneof![
        any::<String>(),
        "[0-9]{1,40}(\\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?",
        "https?://[a-z]{1,8}/[!-~]{0,20}",
        select(&WORDS[..]).prop_map(str::to_owned),
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ]
}

/// JSON with the names that the parsers look for.
fn document() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 64, 6, |inner| {
        let object = vec((select(&KEYS[..]), inner.clone()), 0..8);
        let object = object.prop_map(|fields| {
            let fields = fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value));
            fields.collect::<Value>()
        });
        prop_oneof![vec(inner, 0..6).prop_map(Value::from), object]
    })
}

#[test]
fn stored_inputs_of_the_fuzz_targets_stay_fixed() {
    for (name, check) in checks::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fuzz/corpus")
            .join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut count = 0;
        for file in files {
            let path = file.unwrap().path();
            checks::timed(&path, check, &fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 0, "no inputs for {name}");
    }
}

#[test]
fn no_input_breaks_a_parser() {
    for (name, check) in checks::ALL {
        let mut runner = TestRunner::new(config());
        let check = |input: Vec<u8>| {
            checks::timed(name, check, &input);
            Ok(())
        };
        runner.run(&soup(), check).unwrap();
    }
}

#[test]
fn long_inputs_take_no_longer_than_their_length() {
    for (name, check) in checks::ALL {
        for fragment in REPEATED {
            let input = fragment.repeat(LONG / fragment.len());
            checks::timed((name, fragment), check, input.as_bytes());
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_document_of_the_user_api_is_read_or_refused(document in document()) {
        checks::user_api(document.to_string().as_bytes());
    }

    #[test]
    fn every_document_of_the_token_endpoint_is_read_or_refused(
        fields in vec((select(&ANSWER_KEYS[..]), prop_oneof![leaf(), document()]), 0..6),
        is_usable in any::<bool>(),
    ) {
        let mut answer: Value = fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        if is_usable {
            answer["access_token"] = json!("a-token");
            answer["refresh_token"] = Value::Null;
            answer["token_type"] = json!("Bearer");
        }
        checks::token_answer(answer.to_string().as_bytes());
    }

    #[test]
    fn a_lifetime_in_any_form_is_read_and_bounded(seconds in prop_oneof![any::<i64>(), 0..10_000_i64]) {
        for form in [json!(seconds), json!(seconds.to_string()), json!(format!("{seconds}.0"))] {
            let answer = json!({ "access_token": "a", "token_type": "bearer", "expires_in": form });
            let sent = std::time::Instant::now();
            let tokens = parse_token_set(answer.to_string().as_bytes(), &[], Duration::ZERO, sent);
            let expected = seconds.clamp(0, 30 * 24 * 3_600);
            let expected = Duration::from_secs(expected.try_into().unwrap());
            prop_assert_eq!(tokens.ok().unwrap().expires_in, expected, "{}", form);
        }
    }

    #[test]
    fn a_code_and_a_state_come_out_as_they_went_in(code in "[ -~]{1,500}", state in "[A-Za-z0-9_-]{43}") {
        let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
        let query = format!("a=b&state={state}&code={}&iss=x", encode(&code));
        let parameters = CallbackParameters::parse(&query).ok().unwrap();
        let sent = OAuthState::parse(&state).unwrap();
        prop_assert!(parameters.state.unwrap().matches(&sent));
        let Outcome::Code(read) = parameters.outcome else {
            return Err(TestCaseError::fail("no code"));
        };
        let plain = CallbackParameters::parse(&format!("code={}", encode(&code))).ok().unwrap();
        let Outcome::Code(again) = plain.outcome else {
            return Err(TestCaseError::fail("no code"));
        };
        prop_assert_eq!(read.hash(), again.hash());
        let hash: [u8; 32] = Sha256::digest(code.as_bytes()).into();
        prop_assert_eq!(read.hash(), hash);
    }

    #[test]
    fn a_path_of_ours_is_kept_and_what_leaves_the_site_is_not(
        path in "(/[a-z0-9_-]{1,12}){1,4}(\\?[a-z]{1,5}=[a-z0-9%/:.@]{0,20})?",
        host in "[a-z]{1,10}\\.test",
        before in select(&["//", "/\\", "\\\\", "https://", "https:", "///", "/\t/", "//a@", "http:\\\\", "/%2f", "/%5c", "/.//", "/..//"][..]),
    ) {
        let is_ours = !["/auth", "/login", "/logout"].iter().any(|act| {
            path.strip_prefix(act).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        });
        if is_ours {
            let kept = ReturnTo::parse(&path);
            prop_assert_eq!(kept.as_str(), &path);
        }
        for foreign in [format!("{before}{host}"), format!("{before}{host}{path}")] {
            let target = ReturnTo::parse(&foreign);
            prop_assert_eq!(target.as_str(), "/", "of {:?}", foreign);
        }
    }

    #[test]
    fn an_amount_is_the_number_that_was_sent(
        sign in select(&["", "-"][..]),
        whole in "[0-9]{1,30}",
        fraction in "(\\.[0-9]{1,30})?",
        exponent in prop_oneof![Just(String::new()), (-40..40_i32).prop_map(|e| format!("e{e}"))],
    ) {
        let text = format!("{sign}{whole}{fraction}{exponent}");
        let answer = json!({ "amount": text });
        let amount = decimal(&answer, "amount");
        prop_assert!(amount.is_some() || text.len() > 60, "{} is not read", text);
        if let Some(amount) = amount {
            checks::check_amount(&answer["amount"], &amount);
        }
    }

    #[test]
    fn a_whole_number_of_any_size_is_an_amount(number in any::<u64>(), negative in any::<i64>()) {
        let answer = json!({ "amount": number, "negative": negative });
        prop_assert_eq!(decimal(&answer, "amount"), Some(number.to_string()));
        prop_assert_eq!(decimal(&answer, "negative"), Some(negative.to_string()));
    }

    #[test]
    fn wallets_come_out_as_they_went_in(addresses in vec("[1-9A-HJ-NP-Za-km-z]{1,200}", 0..20), wrapped in any::<bool>()) {
        let list = addresses.iter().map(|id| json!({ "id": id, "networkSymbol": "SOL" }));
        let list: Value = list.collect();
        let answer = if wrapped { json!({ "wallets": list }) } else { list };
        let read = parse_wallets(&answer, "wallets").unwrap();
        let read: Vec<String> = read.wallets.into_iter().map(|wallet| wallet.address).collect();
        prop_assert_eq!(read, addresses);
    }

    #[test]
    fn a_retry_after_in_seconds_and_as_a_date_is_the_same_pause(seconds in 1..100_000_u64) {
        prop_assert_eq!(parse_retry_after(&format!(" {seconds} ")), Some(Duration::from_secs(seconds)));
        let date = httpdate::fmt_http_date(SystemTime::from(clock::now()) + Duration::from_secs(seconds));
        let pause = parse_retry_after(&date).unwrap();
        let late = Duration::from_secs(30);
        prop_assert!(pause <= Duration::from_secs(seconds) && pause + late >= Duration::from_secs(seconds));
    }
}
