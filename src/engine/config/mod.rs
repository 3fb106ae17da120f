//! Every setting, read once from the environment; all mistakes are reported together, by name and never by value.

mod rules;
mod source;

use std::{net::SocketAddr, time::Duration};

use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use strum::EnumString;
use url::Url;

pub use self::rules::PublicUrl;
pub use self::source::{ConfigError, Source};
use crate::engine::seal::Keyring;

/// The whole configuration. Each field's comment names its variable.
pub struct Config {
    /// `PUBLIC_URL`
    pub public_url: PublicUrl,
    /// `LISTEN_ADDR`
    pub listen_addr: SocketAddr,
    /// `DATABASE_URL`, `DATABASE_TLS`, `DATABASE_MAX_CONNECTIONS`
    pub database: Database,
    /// `MATRICA_*`
    pub matrica: Matrica,
    /// `TOKEN_KEYS`
    pub token_keys: Keyring,
    /// `SESSION_IDLE_TIMEOUT`, `SESSION_ABSOLUTE_TIMEOUT`
    pub session: SessionLifetime,
    /// `KEEP_GRANTS`: keep the tokens when somebody's last session ends by signing out.
    pub keep_grants: bool,
    /// `REMOTE_IMAGES`: show pictures from elsewhere; otherwise placeholders.
    pub remote_images: bool,
    /// `LOG_FORMAT`
    pub log_format: LogFormat,
    /// Things worth a line in the log that do not stop the start.
    pub warnings: Vec<String>,
}

/// How to reach Postgres.
#[derive(Clone)]
pub struct Database {
    pub options: PgConnectOptions,
    pub max_connections: u32,
}

/// Matrica Connect: who we are there, what we ask for, where it listens.
#[derive(Clone)]
pub struct Matrica {
    /// `MATRICA_CLIENT_ID`
    pub client_id: String,
    /// `MATRICA_CLIENT_SECRET`; none for a public application (`MATRICA_CLIENT_TYPE`).
    pub client_secret: Option<SecretString>,
    /// `MATRICA_SCOPES`, in the order given.
    pub scopes: Vec<String>,
    /// `MATRICA_AUTHORIZATION_ENDPOINT`
    pub authorization_endpoint: Url,
    /// `MATRICA_TOKEN_ENDPOINT`
    pub token_endpoint: Url,
    /// `MATRICA_REVOCATION_ENDPOINT`; `off` is none.
    pub revocation_endpoint: Option<Url>,
    /// `MATRICA_USER_API`
    pub user_api: Url,
    /// `MATRICA_USER_API_V1`; `off` is none.
    pub user_api_v1: Option<Url>,
}

impl Matrica {
    /// Whether the app asks for this scope.
    pub fn asks_for(&self, scope: &str) -> bool {
        self.scopes.iter().any(|asked| asked == scope)
    }
}

/// How long a session may live.
#[derive(Debug, Clone, Copy)]
pub struct SessionLifetime {
    /// Without any request.
    pub idle: Duration,
    /// Since signing in, whatever happens.
    pub absolute: Duration,
}

/// `LOG_FORMAT`
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum LogFormat {
    Json,
    Pretty,
}

/// Variables that are checked and have no effect yet.
const NOT_YET_USED: [&str; 4] = [
    "METRICS_ADDR",
    "RATE_LIMIT",
    "TRUSTED_PROXY_HOPS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
/// Every `MATRICA_*` variable there is; another one is probably a typing mistake.
const MATRICA_VARIABLES: [&str; 9] = [
    "MATRICA_CLIENT_ID",
    "MATRICA_CLIENT_SECRET",
    "MATRICA_CLIENT_TYPE",
    "MATRICA_SCOPES",
    "MATRICA_AUTHORIZATION_ENDPOINT",
    "MATRICA_TOKEN_ENDPOINT",
    "MATRICA_REVOCATION_ENDPOINT",
    "MATRICA_USER_API",
    "MATRICA_USER_API_V1",
];

impl Config {
    /// Reads and checks everything. The error lists every mistake, not only the first.
    pub fn from_source(source: Source<'_>) -> Result<Self, ConfigError> {
        let mut env = source;
        let public_url = env.required("PUBLIC_URL", rules::public_url);
        let listen_addr = env.or_default("LISTEN_ADDR", "127.0.0.1:3000", rules::socket_addr);
        let database = read_database(&mut env);
        let matrica = read_matrica(&mut env);
        let token_keys = env.required_secret("TOKEN_KEYS", Keyring::parse);
        let session = read_session(&mut env);
        let keep_grants = env.or_default("KEEP_GRANTS", "false", rules::boolean);
        let remote_images = env.or_default("REMOTE_IMAGES", "on", rules::on_off);
        let log_format = env.or_default("LOG_FORMAT", "json", rules::log_format);
        check_not_yet_used(&mut env);
        let warnings = warnings(&env);

        let read = || {
            Some(Self {
                public_url: public_url?,
                listen_addr: listen_addr?,
                database: database?,
                matrica: matrica?,
                token_keys: token_keys?,
                session: session?,
                keep_grants: keep_grants?,
                remote_images: remote_images?,
                log_format: log_format?,
                warnings,
            })
        };
        if env.is_clean() {
            read().ok_or_else(|| env.into_error())
        } else {
            Err(env.into_error())
        }
    }

    /// `redirect_uri`, byte for byte as it must be registered: from the configuration, never from a request.
    pub fn redirect_uri(&self) -> String {
        format!("{}/auth/callback", self.public_url.origin)
    }
}

/// What managing keys needs: the database, and the keys themselves.
pub struct KeySettings {
    pub database: Database,
    pub token_keys: Keyring,
}

impl KeySettings {
    /// These settings alone, for `keys`.
    pub fn from_source(source: Source<'_>) -> Result<Self, ConfigError> {
        let mut env = source;
        let (database, token_keys) = (
            read_database(&mut env),
            env.required_secret("TOKEN_KEYS", Keyring::parse),
        );
        let settings = database.zip(token_keys).map(|(database, token_keys)| Self {
            database,
            token_keys,
        });
        settings.ok_or_else(|| env.into_error())
    }
}

impl Database {
    /// The database settings alone, for `migrate`.
    pub fn from_source(source: Source<'_>) -> Result<Self, ConfigError> {
        let mut env = source;
        read_database(&mut env).ok_or_else(|| env.into_error())
    }
}

fn read_database(env: &mut Source<'_>) -> Option<Database> {
    let insecure = env.or_default("DATABASE_TLS", "verify-full", rules::database_tls);
    let options = env.required_secret("DATABASE_URL", |url| {
        rules::database_url(url, insecure.unwrap_or(false))
    });
    let max_connections = env.or_default("DATABASE_MAX_CONNECTIONS", "10", rules::connection_count);
    Some(Database {
        options: options?,
        max_connections: max_connections?,
    })
}

fn read_matrica(env: &mut Source<'_>) -> Option<Matrica> {
    let client_id = env.required("MATRICA_CLIENT_ID", rules::client_id);
    let public = env.or_default("MATRICA_CLIENT_TYPE", "private", rules::client_type);
    let client_secret = match public {
        // Without its secret a private application would silently become a public one.
        Some(false) => env
            .required_secret("MATRICA_CLIENT_SECRET", rules::client_secret)
            .map(Some),
        Some(true) if env.is_set("MATRICA_CLIENT_SECRET") => {
            env.problem(
                "MATRICA_CLIENT_SECRET",
                "must not be set when MATRICA_CLIENT_TYPE=public",
            );
            None
        }
        Some(true) => Some(None),
        None => None,
    };
    let scopes = env.or_default("MATRICA_SCOPES", "profile wallets nfts", rules::scopes);
    let authorization_endpoint = env.or_default(
        "MATRICA_AUTHORIZATION_ENDPOINT",
        "https://matrica.io/oauth2",
        rules::endpoint,
    );
    let token_endpoint = env.or_default(
        "MATRICA_TOKEN_ENDPOINT",
        "https://api.matrica.io/oauth2/token",
        rules::endpoint,
    );
    let revocation_endpoint = env.or_default(
        "MATRICA_REVOCATION_ENDPOINT",
        "https://api.matrica.io/oauth2/token/revoke",
        rules::endpoint_or_off,
    );
    let user_api = env.or_default(
        "MATRICA_USER_API",
        "https://api.matrica.io/oauth2/v2/user",
        rules::endpoint,
    );
    let user_api_v1 = env.or_default(
        "MATRICA_USER_API_V1",
        "https://api.matrica.io/oauth2/user",
        rules::endpoint_or_off,
    );
    Some(Matrica {
        client_id: client_id?,
        client_secret: client_secret?,
        scopes: scopes?,
        authorization_endpoint: authorization_endpoint?,
        token_endpoint: token_endpoint?,
        revocation_endpoint: revocation_endpoint?,
        user_api: user_api?,
        user_api_v1: user_api_v1?,
    })
}

fn read_session(env: &mut Source<'_>) -> Option<SessionLifetime> {
    let idle = env.or_default("SESSION_IDLE_TIMEOUT", "24h", rules::lifetime);
    let absolute = env.or_default("SESSION_ABSOLUTE_TIMEOUT", "30d", rules::lifetime);
    let (idle, absolute) = (idle?, absolute?);
    if idle > absolute {
        env.problem(
            "SESSION_IDLE_TIMEOUT",
            "must not be longer than SESSION_ABSOLUTE_TIMEOUT",
        );
    }
    Some(SessionLifetime { idle, absolute })
}

fn check_not_yet_used(env: &mut Source<'_>) {
    env.optional("METRICS_ADDR", rules::socket_addr);
    env.optional("RATE_LIMIT", rules::on_off);
    env.optional("TRUSTED_PROXY_HOPS", rules::hops);
    env.optional("OTEL_EXPORTER_OTLP_ENDPOINT", rules::any_url);
}

/// Things worth saying that do not stop the start.
pub fn warnings(env: &Source<'_>) -> Vec<String> {
    let unused = NOT_YET_USED
        .into_iter()
        .filter(|name| env.is_set(name))
        .map(|name| format!("{name} is set, but this version does not use it yet"));
    let unknown = env
        .names()
        .filter(|name| name.starts_with("MATRICA_"))
        .filter(|name| !MATRICA_VARIABLES.contains(&name.trim_end_matches("_FILE")))
        .map(|name| format!("{name} is not a variable of this server: a typing mistake?"));
    unused.chain(unknown).collect()
}
