//! The configuration of `dev`. The environment overrides it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::postgres::PrivatePostgres;
use super::{CLIENT_ID, DATA_DIR, DATABASE};
use crate::commands::keys;
use crate::engine::config::Source;
use crate::engine::random;

/// Every scope that the demo people have data for, so that no page is empty.
const SCOPES: &str =
    "profile wallets nfts email socials.twitter socials.discord socials.telegram roles domains";

#[derive(Clone, Copy)]
pub struct Ports {
    pub app: u16,
    pub provider: u16,
}

/// The settings of `dev`, overridden by `environment`.
pub fn with_environment(
    environment: &BTreeMap<String, String>,
    ports: Ports,
    postgres: Option<&PrivatePostgres>,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut settings = environment.clone();
    settings.retain(|_, value| !value.is_empty());
    let is_public = settings.get("MATRICA_CLIENT_TYPE").map(String::as_str) == Some("public");
    for (name, value) in defaults(ports, postgres)? {
        let is_unwanted_secret = is_public && name == "MATRICA_CLIENT_SECRET";
        if !is_unwanted_secret && !is_set(environment, name.trim_end_matches("_FILE")) {
            settings.insert(name.to_owned(), value);
        }
    }
    Ok(settings)
}

/// Whether the environment sets `name` or `name_FILE`.
pub fn is_set(environment: &BTreeMap<String, String>, name: &str) -> bool {
    Source::new(environment).is_set(name)
}

type Defaults = BTreeMap<&'static str, String>;

fn defaults(ports: Ports, postgres: Option<&PrivatePostgres>) -> anyhow::Result<Defaults> {
    let provider = format!("http://localhost:{}/oauth2", ports.provider);
    let mut settings = BTreeMap::from([
        ("PUBLIC_URL", format!("http://localhost:{}", ports.app)),
        ("MATRICA_CLIENT_ID", CLIENT_ID.to_owned()),
        ("MATRICA_CLIENT_SECRET", random::token::<32>()),
        ("MATRICA_SCOPES", SCOPES.to_owned()),
        ("MATRICA_AUTHORIZATION_ENDPOINT", provider.clone()),
        ("MATRICA_TOKEN_ENDPOINT", format!("{provider}/token")),
        (
            "MATRICA_REVOCATION_ENDPOINT",
            format!("{provider}/token/revoke"),
        ),
        ("MATRICA_USER_API", format!("{provider}/v2/user")),
        ("MATRICA_USER_API_V1", format!("{provider}/user")),
        ("TOKEN_KEYS_FILE", token_keys_file()?),
        ("LOG_FORMAT", "pretty".to_owned()),
        ("DRAIN_DELAY", "0s".to_owned()),
    ]);
    if let Some(postgres) = postgres {
        settings.insert("DATABASE_URL", postgres.url(DATABASE));
    }
    Ok(settings)
}

/// The key is kept between starts, like the database with the tokens that it seals.
fn token_keys_file() -> anyhow::Result<String> {
    let path = Path::new(DATA_DIR).join("token-keys");
    fs::create_dir_all(DATA_DIR).with_context(|| format!("cannot create {DATA_DIR}"))?;
    keys::write_key("dev", &path)?;
    path.to_str()
        .map(str::to_owned)
        .context("the path of this checkout is not Unicode")
}
