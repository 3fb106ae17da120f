//! Every mistake in the configuration is found before the server starts, and named without its
//! value.

use std::{collections::BTreeMap, fs::Permissions, os::unix::fs::PermissionsExt};

use matrica_starter::{
    app::App,
    engine::{
        Application as _,
        config::{Config, Source},
        seal::Keyring,
    },
};
use secrecy::ExposeSecret;

use crate::support::{Folder, process, settings};

fn good() -> BTreeMap<String, String> {
    settings(
        "http://localhost:3000",
        "http://localhost:3001",
        "postgres://app:db-canary@localhost/app",
    )
}

fn with(overrides: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut settings = good();
    for (name, value) in overrides {
        settings.insert((*name).to_owned(), (*value).to_owned());
    }
    settings
}

fn mistakes(settings: &BTreeMap<String, String>) -> String {
    Config::from_source(Source::new(settings), App::config)
        .map_or_else(|error| error.to_string(), |_| String::new())
}

#[test]
fn a_mistake_names_its_variable_and_the_rule_and_never_the_value() {
    let key = Keyring::generate("k1").expose_secret().to_owned();
    let twice = format!("{key},{key}");
    let renamed = format!("{key},{}", key.replace("k1:", "k2:"));
    let bad = [
        ("PUBLIC_URL", "http://app.canary", "https://"),
        ("PUBLIC_URL", "https://app.test/canary", "origin"),
        ("PUBLIC_URL", "canary", "URL"),
        ("LISTEN_ADDR", "canary", "address and a port"),
        ("PORT", "canary", "number"),
        ("PORT", "0", "number"),
        ("KEEP_ALIVE_TIMEOUT", "canary", "duration"),
        ("KEEP_ALIVE_TIMEOUT", "2h", "between"),
        ("APP_NAME", &"canary".repeat(11), "60 visible characters"),
        ("APP_NAME", "ca\nnary", "60 visible characters"),
        ("SUPPORT_URL", "canary", "URL"),
        ("SUPPORT_URL", "mailto:canary", "an e-mail address"),
        ("SUPPORT_URL", "javascript:canary()", "https URL"),
        ("PRIVACY_URL", "mailto:canary@example.com", "https URL"),
        (
            "TERMS_URL",
            "https://canary:secret@example.com/",
            "user name or password",
        ),
        ("AUTH_CHECK_KEY", "canary", "at least 32 characters"),
        ("MATRICA_CLIENT_ID", "canary ", "ends in white space"),
        ("MATRICA_CLIENT_SECRET", "canary\n", "ends in white space"),
        ("MATRICA_CLIENT_SECRET", "\"canary\"", "in quotes"),
        ("PUBLIC_URL", "'https://canary.test'", "in quotes"),
        ("DATABASE_URL", "mysql://canary", "postgres://"),
        (
            "DATABASE_URL",
            "postgres://app:canary@db.test/app",
            "sslmode=verify-full",
        ),
        (
            "DATABASE_URL",
            "postgres://app:canary@db.test/app?sslmode=require",
            "sslmode=verify-full",
        ),
        ("DATABASE_TLS", "canary", "verify-full or insecure"),
        ("DATABASE_MAX_CONNECTIONS", "0", "number from 1"),
        ("MATRICA_CLIENT_ID", "canary with spaces", "printable"),
        ("MATRICA_CLIENT_TYPE", "canary", "private or public"),
        ("MATRICA_CLIENT_SECRET", "", "required"),
        ("MATRICA_CLIENT_SECRET", "<canary>", "placeholder"),
        ("MATRICA_SCOPES", "wallets canary", "must contain profile"),
        ("MATRICA_SCOPES", "profile \"canary\"", "scope names"),
        (
            "MATRICA_TOKEN_ENDPOINT",
            "http://api.canary/token",
            "https://",
        ),
        (
            "MATRICA_TOKEN_ENDPOINT",
            "https://user:canary@api.test/token",
            "user",
        ),
        ("MATRICA_USER_API", "ftp://api.canary", "https://"),
        ("MATRICA_REVOCATION_ENDPOINT", "canary", "URL"),
        ("TOKEN_KEYS", "canary", "id:base64"),
        ("TOKEN_KEYS", "k1:canary!", "base64"),
        ("TOKEN_KEYS", "k1:Y2FuYXJ5", "32 bytes"),
        (
            "TOKEN_KEYS",
            "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "not random",
        ),
        (
            "TOKEN_KEYS",
            "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "not random",
        ),
        (
            "TOKEN_KEYS",
            "k1:Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZS1vaw==",
            "32 bytes",
        ),
        (
            "TOKEN_KEYS",
            "k1:Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZSAxMjM=",
            "not random",
        ),
        ("TOKEN_KEYS", &twice, "repeats"),
        ("TOKEN_KEYS", &renamed, "repeats"),
        ("SESSION_IDLE_TIMEOUT", "canary", "duration"),
        ("SESSION_IDLE_TIMEOUT", "60d", "longer than"),
        ("SESSION_ABSOLUTE_TIMEOUT", "500d", "between"),
        ("KEEP_GRANTS", "canary", "true or false"),
        ("REMOTE_IMAGES", "canary", "on or off"),
        ("LOG_FORMAT", "canary", "json or pretty"),
        ("RATE_LIMIT", "canary", "on or off"),
        ("TRUSTED_PROXY_HOPS", "-1", "number"),
        ("DRAIN_DELAY", "canary", "duration"),
        ("DRAIN_DELAY", "6m", "at most"),
        ("METRICS_ADDR", "canary", "address"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "canary", "URL"),
    ];
    for (name, value, rule) in bad {
        let text = mistakes(&with(&[(name, value)]));
        assert!(
            text.contains(&format!("\n  {name} ")) && text.contains(rule),
            "{name}={value}: {text:?}"
        );
        assert!(!text.contains("canary") && !text.contains(&key), "{text}");
        assert!(
            text.starts_with("the configuration has 1 mistake:"),
            "{text}"
        );
    }
}

#[test]
fn all_mistakes_are_reported_together() {
    let text = mistakes(&BTreeMap::new());
    for name in [
        "PUBLIC_URL",
        "DATABASE_URL",
        "MATRICA_CLIENT_ID",
        "MATRICA_CLIENT_SECRET",
        "TOKEN_KEYS",
    ] {
        assert!(
            text.contains(&format!("\n  {name} is required")),
            "{name} is missing in {text}"
        );
    }
    assert!(text.starts_with("the configuration has 5 mistakes:"));
}

#[test]
fn one_mistake_hides_no_other() {
    let text = mistakes(&with(&[
        ("DATABASE_TLS", "canary"),
        ("DATABASE_URL", "mysql://canary"),
        ("DATABASE_MAX_CONNECTIONS", "canary"),
        ("MATRICA_CLIENT_TYPE", "canary"),
        ("MATRICA_SCOPES", "canary"),
        ("SESSION_IDLE_TIMEOUT", "canary"),
        ("SESSION_ABSOLUTE_TIMEOUT", "canary"),
    ]));
    assert!(
        text.starts_with("the configuration has 7 mistakes:"),
        "{text}"
    );
}

#[test]
fn good_settings_are_taken_as_they_are() {
    for overrides in [
        vec![],
        vec![("PUBLIC_URL", "https://app.test/")],
        vec![("PUBLIC_URL", "http://127.0.0.1:8080")],
        vec![("PUBLIC_URL", "http://[::1]:8080")],
        vec![
            ("MATRICA_CLIENT_TYPE", "public"),
            ("MATRICA_CLIENT_SECRET", ""),
        ],
        vec![
            ("MATRICA_REVOCATION_ENDPOINT", "off"),
            ("MATRICA_USER_API_V1", "off"),
        ],
        vec![
            ("DATABASE_URL", "postgres://app:x@db.test/app"),
            ("DATABASE_TLS", "insecure"),
        ],
        vec![(
            "DATABASE_URL",
            "postgres://app:x@db.test/app?sslmode=verify-full",
        )],
        vec![("DATABASE_URL", "postgres:///app?host=/run/postgresql")],
    ] {
        assert_eq!(mistakes(&with(&overrides)), "", "{overrides:?}");
    }
    let config = Config::from_source(
        Source::new(&with(&[("PUBLIC_URL", "https://app.test")])),
        App::config,
    )
    .unwrap();
    assert_eq!(config.redirect_uri(), "https://app.test/auth/callback");
}

#[test]
fn a_public_application_must_not_have_a_secret() {
    let text = mistakes(&with(&[("MATRICA_CLIENT_TYPE", "public")]));
    assert!(
        text.contains("MATRICA_CLIENT_SECRET must not be set"),
        "{text}"
    );
}

#[test]
fn a_secret_may_come_from_a_file_but_not_from_two_places() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = directory.join(format!("secret-{}", std::process::id()));
    std::fs::write(&file, "from-file\n").unwrap();
    let mode = |mode| std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    mode(0o600);
    let path = file.to_str().unwrap();
    let settings = with(&[
        ("MATRICA_CLIENT_SECRET", ""),
        ("MATRICA_CLIENT_SECRET_FILE", path),
    ]);
    let config = Config::from_source(Source::new(&settings), App::config).unwrap();
    assert_eq!(
        config.matrica.client_secret.unwrap().expose_secret(),
        "from-file"
    );
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    mode(0o644);
    let config = Config::from_source(Source::new(&settings), App::config).unwrap();
    let readable = "MATRICA_CLIENT_SECRET_FILE names a file that every user can read";
    assert_eq!(config.warnings, [readable]);
    mode(0o602);
    let writable = mistakes(&settings);
    assert!(
        writable.contains("MATRICA_CLIENT_SECRET_FILE names a file that every user can change"),
        "{writable}"
    );
    let twice = mistakes(&with(&[("MATRICA_CLIENT_SECRET_FILE", path)]));
    assert!(
        twice.contains("MATRICA_CLIENT_SECRET is set twice"),
        "{twice}"
    );
    let missing = mistakes(&with(&[
        ("TOKEN_KEYS", ""),
        ("TOKEN_KEYS_FILE", "/nonexistent/canary"),
    ]));
    assert!(
        missing.contains("TOKEN_KEYS_FILE names a file that cannot be read")
            && !missing.contains("canary")
    );
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_misspelled_variable_is_pointed_out() {
    let settings = with(&[("MATRICA_CLIENT_SECRT", "canary")]);
    let warnings = Config::from_source(Source::new(&settings), App::config)
        .unwrap()
        .warnings
        .join("\n");
    assert!(warnings.contains("MATRICA_CLIENT_SECRT"), "{warnings}");
    assert!(!warnings.contains("canary"));
}

#[test]
fn a_collector_that_gets_no_traces_is_pointed_out() {
    let collector = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://canary:4318");
    let settings = with(&[collector]);
    let config = Config::from_source(Source::new(&settings), App::config).unwrap();
    let warnings = config.warnings.join("\n");
    let is_warned = warnings.contains("OTEL_EXPORTER_OTLP_ENDPOINT is set, but this build has no");
    assert_eq!(is_warned, !cfg!(feature = "otel"), "{warnings}");
    assert!(!warnings.contains("canary"));
}

#[test]
fn serve_check_lists_the_mistakes_or_the_redirect_uri() {
    let bad = process::command(&with(&[("PUBLIC_URL", "canary"), ("TOKEN_KEYS", "")]))
        .args(["serve", "--check"])
        .output()
        .unwrap();
    let text = String::from_utf8(bad.stderr).unwrap();
    assert!(
        !bad.status.success() && text.contains("2 mistakes") && !text.contains("canary"),
        "{text}"
    );
    let good = process::command(&good())
        .args(["serve", "--check"])
        .output()
        .unwrap();
    let text = String::from_utf8(good.stdout).unwrap();
    assert!(
        good.status.success() && text.contains("http://localhost:3000/auth/callback"),
        "{text}"
    );
}

#[test]
fn a_generated_key_is_accepted_and_a_file_of_keys_is_never_overwritten() {
    let output = process::command(&BTreeMap::new())
        .args(["keys", "generate", "--id", "2026-11"])
        .output()
        .unwrap();
    let key = String::from_utf8(output.stdout).unwrap();
    assert_eq!(mistakes(&with(&[("TOKEN_KEYS", key.trim())])), "");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("keys-{}", std::process::id()));
    let generate = || {
        process::command(&BTreeMap::new())
            .args(["keys", "generate", "--out"])
            .arg(&file)
            .output()
            .unwrap()
    };
    assert!(generate().status.success());
    let first = std::fs::read_to_string(&file).unwrap();
    assert!(generate().status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    std::fs::remove_file(file).unwrap();
    let bad = process::command(&BTreeMap::new())
        .args(["keys", "generate", "--id", "no spaces"])
        .output()
        .unwrap();
    assert!(!bad.status.success() && bad.stdout.is_empty());
    let left = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("bad-{}", std::process::id()));
    let bad = process::command(&BTreeMap::new())
        .args(["keys", "generate", "--id", "a,b", "--out"])
        .arg(&left)
        .output();
    assert!(
        !bad.unwrap().status.success() && !left.exists(),
        "no empty file is left to be taken for a key"
    );
}

#[test]
fn a_port_listens_on_every_address_and_a_listen_address_wins() {
    let listens = |overrides: &[(&str, &str)]| {
        let settings = with(overrides);
        let config = Config::from_source(Source::new(&settings), App::config).unwrap();
        config.listen_addr.to_string()
    };
    let none = ("LISTEN_ADDR", "");
    assert_eq!(listens(&[none]), "127.0.0.1:3000");
    assert_eq!(listens(&[none, ("PORT", "8080")]), "0.0.0.0:8080");
    let both = [("LISTEN_ADDR", "127.0.0.1:4000"), ("PORT", "8080")];
    assert_eq!(listens(&both), "127.0.0.1:4000");
}

#[test]
fn an_unknown_scope_is_warned_of() {
    let settings = with(&[("MATRICA_SCOPES", "profile walets")]);
    let config = Config::from_source(Source::new(&settings), App::config).unwrap();
    assert!(
        config
            .warnings
            .iter()
            .any(|warning| warning.contains("walets")),
        "{:?}",
        config.warnings
    );
}

#[test]
fn a_file_for_a_variable_that_takes_none_is_named() {
    let settings = with(&[
        ("PUBLIC_URL_FILE", "/run/url"),
        ("MATRICA_SCOPES_FILE", "/run/scopes"),
        ("SESSION_IDLE_TIMEOUT_FILE", "/run/idle"),
        ("SOMETHING_ELSE_FILE", "/run/other"),
    ]);
    let warnings = Config::from_source(Source::new(&settings), App::config)
        .unwrap()
        .warnings;
    for name in ["PUBLIC_URL", "MATRICA_SCOPES", "SESSION_IDLE_TIMEOUT"] {
        let words =
            format!("{name}_FILE is ignored. Only secrets are read from a file: set {name} itself");
        assert!(warnings.contains(&words), "{warnings:?}");
    }
    assert!(
        !warnings
            .iter()
            .any(|warning| warning.contains("SOMETHING_ELSE"))
    );
}

#[test]
fn a_mistake_in_the_gates_is_found_before_the_start() {
    let folder = Folder::new();
    let nested = format!(
        "[a]\n{}linked = \"email\"{}",
        "not = { ".repeat(6),
        " }".repeat(6)
    );
    let many = format!("[a]\nany = [{}]", "{ linked = \"email\" },".repeat(21));
    let nfts = |rest: &str| format!("[a]\nnfts = {{ collection = \"c\", name = \"C\"{rest} }}");
    let bad = [
        ("[a", "is no list of rules"),
        ("[a]\nnfts = 3", "is no list of rules"),
        ("[a]\nheld = { id = \"c\" }", "unknown variant `held`"),
        (
            "[a]\nnfts = { collection = \"c\" }",
            "missing field `name` at line 2",
        ),
        (&nfts(", atleast = 3"), "unexpected keys in table: atleast"),
        (&nfts(", at_least = 0"), "`at_least` of 0"),
        (&nfts(", at_least = -1"), "is no list of rules"),
        (
            "[a]\nnfts = { collection = \" \", name = \"C\" }",
            "empty id or name",
        ),
        ("[A]\nlinked = \"email\"", "lower-case letters"),
        ("[a]\nlinked = \"phone\"", "unknown variant `phone`"),
        ("[a]\nany = []", "empty list of rules"),
        ("[a]\npeople = []", "empty list of people"),
        ("[a]\npeople = [\"ada\"]", "is no list of rules"),
        ("[a]\ndomain = { ending = \".sol\" }", "begins with a dot"),
        (
            "[a]\nbalance = { token = \"t\", name = \"T\", at_least = 0.5 }",
            "text like",
        ),
        (
            "[a]\nbalance = { token = \"t\", name = \"T\", at_least = \"1e9\" }",
            "a number above 0",
        ),
        (
            "[a]\nbalance = { token = \"t\", name = \"T\", at_least = \"0\" }",
            "a number above 0",
        ),
        (
            "[a]\nlinked = \"email\"\nnot = { linked = \"email\" }",
            "is no list of rules",
        ),
        (&nested, "more than 5 rules inside each other"),
        (&many, "more than 20 conditions"),
    ];
    for (text, rule) in bad {
        let file = folder.path().join("gates.toml");
        std::fs::write(&file, text).unwrap();
        let message = mistakes(&with(&[("GATES_FILE", file.to_str().unwrap())]));
        assert!(message.contains("GATES_FILE"), "{text}: {message}");
        assert!(message.contains(rule), "{text}: {message}");
    }
    let message = mistakes(&with(&[("GATES_FILE", "/nowhere/gates.toml")]));
    assert!(
        message.contains("GATES_FILE names a file that cannot be read"),
        "{message}"
    );
}

/// Every rule in TOML, as the docs show it.
#[test]
fn the_gates_of_the_docs_are_accepted() {
    let docs = include_str!("../../../docs/gates.md");
    let (_, rest) = docs.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let folder = Folder::new();
    let file = folder.path().join("gates.toml");
    std::fs::write(&file, text).unwrap();
    let settings = with(&[("GATES_FILE", file.to_str().unwrap())]);
    assert_eq!(mistakes(&settings), "");
    for kind in [
        "nfts", "nft", "balance", "role", "domain", "linked", "people", "any", "all", "not",
    ] {
        assert!(text.contains(&format!("{kind} = ")), "{kind}");
    }
}
