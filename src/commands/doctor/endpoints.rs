//! The provider: its hosts, the credentials, and one harmless request to each endpoint.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Client, RequestBuilder};
use url::Url;

use super::reach::{ANSWER_TIMEOUT, Host};
use super::report::Finding;
use crate::engine::config::{MatricaSettings, Readable};
use crate::engine::oauth::breaker::Caller;
use crate::engine::oauth::calls::ProviderCalls;
use crate::engine::oauth::transport::{self, Tls};
use crate::engine::oauth::{
    CallbackParameters, CodeVerifier, OAuthClient, OAuthState, Outcome, TokenError,
};
use crate::engine::random;
use crate::engine::sign_in::CALLBACK_PATH;

const AUTHORIZATION: &str = "authorization request";
const CREDENTIALS: &str = "client id and secret";
const REVOCATION: &str = "revocation endpoint";
const USER_API: &str = "user API";
const USER_API_V1: &str = "user API version 1";
/// Random bytes of a token or code that nobody has issued.
const MADE_UP_BYTES: usize = 16;

pub async fn check(readable: &Readable) -> Vec<Finding> {
    let client = Tls::new().and_then(|tls| Ok((transport::client(&tls, 0, Duration::ZERO)?, tls)));
    let Ok((client, tls)) = client else {
        return vec![Finding::wrong(
            "certificate authorities",
            "none are installed, so no certificate can be checked",
            "Install the package ca-certificates, or set SSL_CERT_FILE.",
        )];
    };
    let hosts = Host::of(&readable.endpoints);
    let reached = join_all(hosts.iter().map(|host| host.check(&client))).await;
    let failed = |url: &Url| {
        let mut both = hosts.iter().zip(&reached);
        let (_, found) = both.find(|(host, _)| host.leads_to(url))?;
        let failed = found.iter().find(|found| found.has_failed());
        // A wrong clock keeps no request from being answered.
        failed.filter(|found| !found.check.starts_with("clock"))
    };
    let mut findings = match &readable.matrica {
        Some(settings) => {
            let redirect_uri = readable.public_url.as_ref();
            let redirect_uri = redirect_uri.map_or(String::new(), |it| it.origin.clone());
            let redirect_uri = format!("{redirect_uri}{CALLBACK_PATH}");
            let probe = Probe {
                client: &client,
                tls: &tls,
                settings,
                redirect_uri,
            };
            probe.all(failed).await
        }
        None => [
            AUTHORIZATION,
            CREDENTIALS,
            REVOCATION,
            USER_API,
            USER_API_V1,
        ]
        .map(|check| Finding::skipped(check, "configuration"))
        .into(),
    };
    let mut all: Vec<Finding> = reached.into_iter().flatten().collect();
    all.append(&mut findings);
    all
}

struct Probe<'a> {
    client: &'a Client,
    tls: &'a Tls,
    settings: &'a MatricaSettings,
    redirect_uri: String,
}

impl Probe<'_> {
    /// Every request at once. `failed` says what makes an endpoint unreachable.
    async fn all<'a>(&self, failed: impl Fn(&Url) -> Option<&'a Finding>) -> Vec<Finding> {
        let settings = self.settings;
        let skip = |check: &str, url: &Url| {
            let failed = failed(url)?;
            Some(Finding::skipped(check, &failed.check))
        };
        let revocation = async {
            match &settings.revocation_endpoint {
                Some(url) => unless(skip(REVOCATION, url), self.revocation(url)).await,
                None => Finding::right(REVOCATION, "off, so tokens are not revoked"),
            }
        };
        let user_api = self.user_api(USER_API, "MATRICA_USER_API", &settings.user_api);
        let user_api_v1 = async {
            match &settings.user_api_v1 {
                Some(url) => {
                    let probe = self.user_api(USER_API_V1, "MATRICA_USER_API_V1", url);
                    unless(skip(USER_API_V1, url), probe).await
                }
                None => Finding::right(USER_API_V1, "off"),
            }
        };
        let found = tokio::join!(
            unless(
                skip(AUTHORIZATION, &settings.authorization_endpoint),
                self.authorization()
            ),
            unless(
                skip(CREDENTIALS, &settings.token_endpoint),
                self.credentials()
            ),
            revocation,
            unless(skip(USER_API, &settings.user_api), user_api),
            user_api_v1,
        );
        <[Finding; 5]>::from(found).into()
    }

    fn oauth(&self) -> Option<OAuthClient> {
        let settings = self.settings.clone().into();
        let calls = ProviderCalls::unseen();
        OAuthClient::new(settings, self.redirect_uri.clone(), self.tls, &calls).ok()
    }

    /// A request that no person answers. Most providers refuse a wrong one at once.
    async fn authorization(&self) -> Finding {
        let Some(oauth) = self.oauth() else {
            return Finding::unknown(AUTHORIZATION, "no HTTP client", "");
        };
        let url = oauth.authorization_url(&OAuthState::generate(), &CodeVerifier::generate());
        match status(self.client.get(url)).await {
            Some(status @ 200..400) => {
                Finding::right(AUTHORIZATION, format!("accepted (status {status})")).hint(
                    "Some providers look at the redirect URI and the scopes only at a sign-in.",
                )
            }
            Some(404 | 405) => Finding::wrong(
                AUTHORIZATION,
                "there is no such page",
                "Correct MATRICA_AUTHORIZATION_ENDPOINT.",
            ),
            Some(status @ (403 | 429)) => Finding::unknown(
                AUTHORIZATION,
                format!("refused (status {status}), perhaps because a program asks"),
                "Open the sign-in in a browser.",
            ),
            Some(status @ 400..500) => Finding::wrong(
                AUTHORIZATION,
                format!("refused (status {status})"),
                format!(
                    "Register {} to the letter, and compare MATRICA_CLIENT_ID and MATRICA_SCOPES \
                     with the registration.",
                    self.redirect_uri
                ),
            ),
            status => unavailable(AUTHORIZATION, status, "MATRICA_AUTHORIZATION_ENDPOINT"),
        }
    }

    /// The provider looks at the credentials before it looks at the code.
    async fn credentials(&self) -> Finding {
        let query = format!("code=doctor-{}", random::token::<MADE_UP_BYTES>());
        let code = CallbackParameters::parse(&query).map(|parameters| parameters.outcome);
        let (Some(oauth), Ok(Outcome::Code(code))) = (self.oauth(), code) else {
            return Finding::unknown(CREDENTIALS, "no HTTP client", "");
        };
        let Ok(slot) = oauth.reserve_exchange(Caller::new(CREDENTIALS)).await else {
            return Finding::unknown(CREDENTIALS, "no HTTP client", "");
        };
        let (verifier, deadline) = (CodeVerifier::generate(), Instant::now() + ANSWER_TIMEOUT);
        match slot.exchange(&code, &verifier, deadline).await {
            Ok(_) => Finding::wrong(
                CREDENTIALS,
                "the token endpoint gave tokens for a code that we made up",
                "Correct MATRICA_TOKEN_ENDPOINT. This is no OAuth server to trust.",
            ),
            Err(failed) => judge_exchange(&failed.error, self.settings.client_secret.is_some()),
        }
    }

    /// Without credentials, which the token endpoint has checked.
    async fn revocation(&self, url: &Url) -> Finding {
        let form = [("token", random::token::<MADE_UP_BYTES>())];
        let found = status(self.client.post(url.clone()).form(&form)).await;
        let wrong = |detail: String| {
            Finding::wrong(
                REVOCATION,
                detail,
                "Correct MATRICA_REVOCATION_ENDPOINT. `off` if the provider has none, and then \
                 tokens live on after a sign-out.",
            )
        };
        match found {
            Some(200..300 | 400..=403 | 422) => Finding::right(REVOCATION, "answers")
                .hint("Whether it revokes a token only `doctor --provider` shows."),
            Some(status @ (300..400 | 404 | 405 | 410)) => wrong(format!("status {status}")),
            status => unavailable(REVOCATION, status, "MATRICA_REVOCATION_ENDPOINT"),
        }
    }

    /// A token that nobody has issued must be refused.
    async fn user_api(&self, check: &str, name: &str, base: &Url) -> Finding {
        let mut url = base.clone();
        url.set_path(&format!("{}/profile", base.path().trim_end_matches('/')));
        let token = random::token::<MADE_UP_BYTES>();
        let found = status(self.client.get(url).bearer_auth(token)).await;
        match found {
            Some(400 | 401 | 403) => Finding::right(check, "answers, and refuses a made-up token"),
            Some(status @ (200..400 | 404 | 405 | 410)) => Finding::wrong(
                check,
                format!("status {status} for a made-up token, so this is another page"),
                format!("Correct {name}. `/profile` is added to it."),
            ),
            status => unavailable(check, status, name),
        }
    }
}

/// The finding of `probe`, unless there is one already.
async fn unless(skipped: Option<Finding>, probe: impl Future<Output = Finding>) -> Finding {
    match skipped {
        Some(skipped) => skipped,
        None => probe.await,
    }
}

/// `None` without an answer in time.
async fn status(request: RequestBuilder) -> Option<u16> {
    let response = request.timeout(ANSWER_TIMEOUT).send().await;
    Some(response.ok()?.status().as_u16())
}

fn unavailable(check: &str, status: Option<u16>, name: &str) -> Finding {
    let detail = match status {
        Some(status) => format!("unavailable (status {status})"),
        None => format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
    };
    let remedy = format!("Try again later. If it stays, compare {name} with the documentation.");
    Finding::wrong(check, detail, remedy)
}

fn judge_exchange(error: &TokenError, has_secret: bool) -> Finding {
    let detail = error.to_string();
    let both = if has_secret {
        "Compare MATRICA_CLIENT_ID and MATRICA_CLIENT_SECRET with the dashboard. A secret may have \
         been changed there."
    } else {
        "Compare MATRICA_CLIENT_ID with the dashboard. If the application is private there, set \
         MATRICA_CLIENT_TYPE=private and its secret."
    };
    let endpoint = "Compare MATRICA_TOKEN_ENDPOINT with the documentation, and look for a proxy or \
                    firewall that answers instead.";
    match error {
        TokenError::InvalidGrant => Finding::right(
            CREDENTIALS,
            "accepted. A made-up code was refused, as it must be",
        ),
        TokenError::Misconfigured {
            code: "invalid_client" | "unauthorized_client",
        }
        | TokenError::Unclear { status: 401 } => Finding::wrong(CREDENTIALS, detail, both),
        TokenError::Unclear { .. } | TokenError::Misconfigured { .. } => {
            let remedy = "The provider does not say whether it was the code or the credentials. \
                          Try a sign-in.";
            Finding::unknown(CREDENTIALS, detail, remedy)
        }
        TokenError::Unavailable { .. } | TokenError::Lost => {
            Finding::wrong(CREDENTIALS, detail, format!("Try again later. {endpoint}"))
        }
        TokenError::NotSent
        | TokenError::NotAdmitted(_)
        | TokenError::Local
        | TokenError::Unexpected { .. }
        | TokenError::Unreadable(_) => Finding::wrong(CREDENTIALS, detail, endpoint),
    }
}
