//! Checks that need no network: the variables, the files of secrets, and what browsers will see.

use std::time::Duration;

use super::report::Finding;
use crate::engine::config::{Config, ConfigError, PublicUrl, Readable, readable_file};
use crate::engine::session::SessionId;
use crate::engine::session::cookies::CookieNames;
use crate::engine::sign_in::CALLBACK_PATH;

const CONFIGURATION: &str = "configuration";

pub fn check(config: &Result<Config, ConfigError>, readable: &Readable) -> Vec<Finding> {
    let mut findings = configuration(config);
    let warnings = match config {
        Ok(config) => &config.warnings,
        Err(error) => &error.warnings,
    };
    findings.push(secret_files(warnings));
    findings.extend(match &readable.public_url {
        Some(public_url) => browser(public_url, readable),
        None => ["redirect URI", "cookies", "proxy"]
            .map(|check| Finding::skipped(check, "PUBLIC_URL"))
            .into(),
    });
    findings
}

/// One finding for each mistake, and for each warning that is no mistake.
fn configuration(config: &Result<Config, ConfigError>) -> Vec<Finding> {
    let problems = config.as_ref().err().map(ConfigError::problems);
    let problems = problems.into_iter().flatten();
    let mut findings: Vec<Finding> = problems
        .map(|(name, rule)| {
            let remedy = format!("Set {name} as docs/configuration.md describes.");
            Finding::wrong(CONFIGURATION, format!("{name} {rule}"), remedy)
        })
        .collect();
    if let Ok(config) = config {
        let detail = format!("complete, {} variables are set", config.names.len());
        findings.push(Finding::right(CONFIGURATION, detail));
    }
    let warnings = match config {
        Ok(config) => &config.warnings,
        Err(error) => &error.warnings,
    };
    let warnings = warnings.iter().filter(|it| readable_file(it).is_none());
    findings.extend(warnings.map(|warning| {
        Finding::unknown(
            CONFIGURATION,
            format!("warning: {warning}"),
            "Correct it, or leave it if it is meant so.",
        )
    }));
    findings
}

/// Files that every user can change are mistakes of the configuration.
fn secret_files(warnings: &[String]) -> Finding {
    let readable: Vec<&str> = warnings.iter().filter_map(|it| readable_file(it)).collect();
    if readable.is_empty() {
        return Finding::right("secret files", "no other user can read one");
    }
    Finding::wrong(
        "secret files",
        format!("every user can read the file of {}", readable.join(", ")),
        "Run chmod 600 on it. Its owner must be the user of the server.",
    )
}

fn browser(public_url: &PublicUrl, readable: &Readable) -> Vec<Finding> {
    let redirect_uri = format!("{}{CALLBACK_PATH}", public_url.origin);
    let absolute = readable.session.map_or(Duration::ZERO, |it| it.absolute);
    let names = CookieNames::new(public_url.secure);
    let cookie = names.session(SessionId::generate(), absolute);
    let cookie = cookie.to_str().unwrap_or_default();
    let (_, attributes) = cookie.split_once("; ").unwrap_or_default();
    let cookies = Finding::right("cookies", format!("{}=…; {attributes}", names.session));
    let proxy = match (public_url.secure, readable.trusted_proxy_hops) {
        (_, None) => Finding::skipped("proxy", "TRUSTED_PROXY_HOPS"),
        (true, Some(0)) => Finding::right(
            "proxy",
            "TRUSTED_PROXY_HOPS is 0, so X-Forwarded-For is ignored",
        )
        .hint(
            "A proxy must end TLS for an https PUBLIC_URL. If it sends X-Forwarded-For, set \
             TRUSTED_PROXY_HOPS=1. Otherwise all people share one rate limit.",
        ),
        (_, Some(hops)) => Finding::right("proxy", format!("TRUSTED_PROXY_HOPS is {hops}")),
    };
    vec![
        Finding::right("redirect URI", redirect_uri).hint("Register it at Matrica to the letter."),
        if public_url.secure {
            cookies
        } else {
            cookies.hint("Without Secure, for development on this machine only.")
        },
        proxy,
    ]
}
