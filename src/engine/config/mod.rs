//! The settings, read once from the environment. All mistakes are reported together, without
//! values.

/// The struct if every field is `Some`. Evaluates all fields, so that no mistake hides another.
macro_rules! all_fields {
    ($settings:ident { $($field:ident: $value:expr,)+ }) => {
        match ($($value,)+) {
            ($(Some($field),)+) => Some($settings { $($field),+ }),
            _ => None,
        }
    };
}

mod gates;
mod matrica;
mod own;
mod readable;
mod rules;
mod site;
mod source;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

pub use self::gates::Gates;
pub use self::matrica::MatricaSettings;
pub use self::own::AppConfig;
pub use self::readable::{Readable, readable_file};
pub use self::rules::PublicUrl;
pub use self::site::Site;
pub use self::source::{ConfigError, Source};
use crate::engine::seal::Keyring;

/// The whole configuration. Each field's comment names its variable.
pub struct Config {
    /// `PUBLIC_URL`
    pub public_url: PublicUrl,
    /// `LISTEN_ADDR`, or `PORT` on every address
    pub listen_addr: SocketAddr,
    /// `KEEP_ALIVE_TIMEOUT`. Idle connections stay open this long.
    pub keep_alive_timeout: Duration,
    /// `DRAIN_DELAY`. How long connections are still accepted after the stop signal.
    pub drain_delay: Duration,
    /// `METRICS_ADDR`. Metrics are served there.
    pub metrics_addr: Option<SocketAddr>,
    /// `RATE_LIMIT`
    pub rate_limit: bool,
    /// `TRUSTED_PROXY_HOPS`. Entries of `X-Forwarded-For` to trust, counted from the right.
    pub trusted_proxy_hops: u8,
    /// `DATABASE_URL`, `DATABASE_TLS`, `DATABASE_MAX_CONNECTIONS`
    pub database: Database,
    /// `MATRICA_*`
    pub matrica: MatricaSettings,
    /// `TOKEN_KEYS`
    pub token_keys: Keyring,
    /// `SESSION_IDLE_TIMEOUT`, `SESSION_ABSOLUTE_TIMEOUT`
    pub session: SessionLifetime,
    /// `KEEP_GRANTS`. Keeps a person's tokens after their last sign-out.
    pub keep_grants: bool,
    /// `REMOTE_IMAGES`. Shows pictures from elsewhere instead of placeholders.
    pub remote_images: bool,
    /// `APP_NAME`, `SUPPORT_URL`, `PRIVACY_URL`, `TERMS_URL`
    pub site: Site,
    /// `GATES_FILE`
    pub gates: Gates,
    /// The app's own settings.
    pub app: AppConfig,
    /// `LOG_FORMAT`
    pub log_format: LogFormat,
    /// The names of the variables that are set.
    pub names: Vec<String>,
    /// Oddities that do not stop the start, one log line each.
    pub warnings: Vec<String>,
}

/// How to reach Postgres.
#[derive(Clone)]
pub struct Database {
    pub options: PgConnectOptions,
    pub max_connections: u32,
}

/// How long a session may live.
#[derive(Debug, Clone, Copy)]
pub struct SessionLifetime {
    /// Without a request.
    pub idle: Duration,
    /// Since signing in.
    pub absolute: Duration,
}

/// `LOG_FORMAT`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Pretty,
}

const DEFAULT_PORT: u16 = 3000;

impl Config {
    /// Reads and checks everything. `app` reads the app's own settings. The error lists every
    /// mistake, not only the first.
    pub fn from_source<C: Send + Sync + 'static>(
        mut env: Source<'_>,
        app: fn(&mut Source<'_>) -> Option<C>,
    ) -> Result<Self, ConfigError> {
        let config = all_fields!(Config {
            public_url: env.required("PUBLIC_URL", rules::public_url),
            listen_addr: Some(parse_listen_addr(&mut env)),
            keep_alive_timeout: env.or_default("KEEP_ALIVE_TIMEOUT", "75s", rules::keep_alive),
            metrics_addr: Some(env.optional("METRICS_ADDR", rules::socket_addr)),
            drain_delay: env.or_default("DRAIN_DELAY", "5s", rules::drain_delay),
            rate_limit: env.or_default("RATE_LIMIT", "on", rules::on_off),
            trusted_proxy_hops: env.or_default("TRUSTED_PROXY_HOPS", "0", rules::hops),
            database: parse_database(&mut env),
            matrica: MatricaSettings::read(&mut env),
            token_keys: env.required_secret("TOKEN_KEYS", Keyring::parse),
            session: parse_session(&mut env),
            keep_grants: env.or_default("KEEP_GRANTS", "false", rules::boolean),
            remote_images: env.or_default("REMOTE_IMAGES", "on", rules::on_off),
            site: Some(Site::read(&mut env)),
            gates: Some(env.optional("GATES_FILE", Gates::read).unwrap_or_default()),
            app: app(&mut env).map(AppConfig::new),
            log_format: env.or_default("LOG_FORMAT", "json", rules::log_format),
            warnings: Some(check_the_rest(&mut env)),
            names: Some(env.names()),
        });
        let mut config = env.finish(config)?;
        let unasked = config.gates.warnings(&config.matrica.scopes);
        config.warnings.extend(unasked);
        Ok(config)
    }

    /// `redirect_uri`, byte for byte as it must be registered. Never derived from a request.
    pub fn redirect_uri(&self) -> String {
        format!("{}/auth/callback", self.public_url.origin)
    }
}

/// Where the server listens, for `healthcheck`.
pub fn listen_addr(mut env: Source<'_>) -> Result<SocketAddr, ConfigError> {
    let listen_addr = parse_listen_addr(&mut env);
    env.finish(Some(listen_addr))
}

/// The settings of the `keys` subcommands.
pub struct KeySettings {
    pub database: Database,
    pub token_keys: Keyring,
}

impl KeySettings {
    pub fn from_source(mut env: Source<'_>) -> Result<Self, ConfigError> {
        let settings = all_fields!(KeySettings {
            database: parse_database(&mut env),
            token_keys: env.required_secret("TOKEN_KEYS", Keyring::parse),
        });
        env.finish(settings)
    }
}

impl Database {
    /// The settings of `migrate`.
    pub fn from_source(mut env: Source<'_>) -> Result<Self, ConfigError> {
        let database = parse_database(&mut env);
        env.finish(database)
    }
}

/// Platforms set `PORT`, and expect the server on every address.
fn parse_listen_addr(env: &mut Source<'_>) -> SocketAddr {
    let port = env
        .optional("PORT", rules::port)
        .map(|port| (Ipv4Addr::UNSPECIFIED, port).into());
    let listen_addr = env.optional("LISTEN_ADDR", rules::socket_addr);
    let default = (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into();
    listen_addr.or(port).unwrap_or(default)
}

fn parse_database(env: &mut Source<'_>) -> Option<Database> {
    let insecure = env.or_default("DATABASE_TLS", "verify-full", rules::database_tls);
    let insecure = insecure.unwrap_or(false);
    all_fields!(Database {
        options: env.required_secret("DATABASE_URL", |url| rules::database_url(url, insecure)),
        max_connections: env.or_default("DATABASE_MAX_CONNECTIONS", "10", rules::connection_count),
    })
}

fn parse_session(env: &mut Source<'_>) -> Option<SessionLifetime> {
    let lifetime = all_fields!(SessionLifetime {
        idle: env.or_default("SESSION_IDLE_TIMEOUT", "24h", rules::lifetime),
        absolute: env.or_default("SESSION_ABSOLUTE_TIMEOUT", "30d", rules::lifetime),
    })?;
    if lifetime.idle > lifetime.absolute {
        env.problem(
            "SESSION_IDLE_TIMEOUT",
            "must not be longer than SESSION_ABSOLUTE_TIMEOUT",
        );
    }
    Some(lifetime)
}

/// Checks the variables that only other builds use. Returns the warnings.
fn check_the_rest(env: &mut Source<'_>) -> Vec<String> {
    let collector = env.optional("OTEL_EXPORTER_OTLP_ENDPOINT", rules::any_url);
    if collector.is_some() && !cfg!(feature = "otel") {
        env.warn(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but this build has no traces (docs/traces.md)"
                .into(),
        );
    }
    env.warn_of_unknown("MATRICA_")
}
