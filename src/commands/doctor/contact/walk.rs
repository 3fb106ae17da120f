//! The questions in their order. Each uses what the one before has left.

use std::time::Instant;

use anyhow::{Context as _, bail};

use super::Reply;
use super::profile::Profiles;
use super::received::Received;
use super::visits::{Visit, Visits};
use crate::commands::doctor::reach::ANSWER_TIMEOUT;
use crate::engine::config::MatricaSettings;
use crate::engine::oauth::breaker::Caller;
use crate::engine::oauth::transport::{ClientError, Tls};
use crate::engine::oauth::{
    AuthorizationCode, CodeVerifier, FailedTokenRequest, OAuthClient, Outcome, Token, TokenError,
    TokenSet,
};

const ALLOW: &str = "Sign in and allow everything.";

pub struct Walk<'a> {
    pub(super) oauth: &'a OAuthClient,
    pub(super) visits: Visits,
    pub(super) profiles: Profiles<'a>,
    received: Received,
    pub answers: Vec<Reply>,
}

impl<'a> Walk<'a> {
    pub fn new(
        settings: &'a MatricaSettings,
        oauth: &'a OAuthClient,
        visits: Visits,
        tls: &Tls,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            oauth,
            visits,
            profiles: Profiles::new(settings, tls)?,
            received: Received::default(),
            answers: Vec::new(),
        })
    }

    /// Answers what it can. The tokens are revoked in the end, also if it breaks off.
    pub async fn walk(&mut self) -> anyhow::Result<()> {
        let walked = self.steps().await;
        self.received.revoke(self.oauth).await;
        self.visits.end().await;
        walked
    }

    async fn steps(&mut self) -> anyhow::Result<()> {
        let tokens = self.sign_in_with_wrong_verifier().await?;
        self.note_tokens(&tokens);
        self.look_at_profile(&tokens).await;
        let live = self.rotate(&tokens).await?;
        let live = match live {
            Some(live) => live,
            None => self.sign_in().await?,
        };
        self.revoke(&live).await?;
        self.decline().await
    }

    pub(super) fn note(
        &mut self,
        assumption: u8,
        question: &'static str,
        confirmed: impl Into<Option<bool>>,
        answer: impl Into<String>,
    ) {
        let (confirmed, answer) = (confirmed.into(), answer.into());
        self.answers.push(Reply {
            assumption,
            question,
            answer,
            confirmed,
        });
    }

    async fn sign_in(&mut self) -> anyhow::Result<TokenSet> {
        let (code, verifier) = self.code().await?;
        let tokens = self.exchange(&code, &verifier).await;
        tokens.context("the code was refused. `doctor` checks the credentials")
    }

    async fn code(&mut self) -> anyhow::Result<(AuthorizationCode, CodeVerifier)> {
        let Visit {
            outcome,
            code_verifier,
            with_state,
        } = self.visits.ask(self.oauth, ALLOW).await?;
        match outcome {
            _ if !with_state => bail!("the callback had no state. No sign-in can work without it"),
            Outcome::Code(code) => Ok((code, code_verifier)),
            Outcome::Error(error) => bail!("the provider refused: {}", error.name()),
        }
    }

    async fn exchange(
        &mut self,
        code: &AuthorizationCode,
        code_verifier: &CodeVerifier,
    ) -> Result<TokenSet, TokenError> {
        let slot = self.oauth.reserve_exchange(Caller::new("doctor")).await?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let exchanged = slot.exchange(code, code_verifier, deadline).await;
        self.keep(exchanged)
    }

    pub(super) async fn refresh(
        &mut self,
        refresh_token: &Token,
        scope: &[String],
    ) -> anyhow::Result<Option<TokenSet>> {
        let slot = self.oauth.reserve_refresh(Caller::new("doctor")).await?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let refreshed = slot.refresh(refresh_token, scope, deadline).await;
        match self.keep(refreshed) {
            Ok(tokens) => Ok(Some(tokens)),
            Err(error) if is_refusal(&error) => Ok(None),
            Err(error) => Err(error).context("a refresh failed"),
        }
    }

    /// Keeps the tokens of an answer for the end, also if it cannot be used.
    fn keep(
        &mut self,
        answer: Result<TokenSet, FailedTokenRequest>,
    ) -> Result<TokenSet, TokenError> {
        match answer {
            Ok(tokens) => {
                self.received.add(tokens.clone());
                Ok(tokens)
            }
            Err(FailedTokenRequest { error, stray }) => {
                if let Some(tokens) = stray {
                    self.received.add(tokens);
                }
                Err(error)
            }
        }
    }

    /// PKCE, and what a refused try leaves of a code.
    async fn sign_in_with_wrong_verifier(&mut self) -> anyhow::Result<TokenSet> {
        const QUESTION: &str = "Does the token endpoint check the code verifier (PKCE)?";
        let (code, code_verifier) = self.code().await?;
        match self.exchange(&code, &CodeVerifier::generate()).await {
            Ok(tokens) => {
                self.note(
                    1,
                    QUESTION,
                    false,
                    "No. It took a code with another verifier.",
                );
                self.note(
                    2,
                    "Is a refusal `invalid_grant`?",
                    None,
                    "Nothing was refused.",
                );
                return Ok(tokens);
            }
            Err(error) if is_refusal(&error) => {
                self.note(
                    1,
                    QUESTION,
                    true,
                    "Yes. It refused a code with another verifier.",
                );
                let by_name = error == TokenError::InvalidGrant;
                self.note(
                    2,
                    "Is a refusal `invalid_grant`?",
                    by_name,
                    format!("It says: {error}."),
                );
            }
            Err(error) => {
                return Err(error).context("the token endpoint did not answer as it should");
            }
        }
        let question = "Does a code still work after a refused try?";
        match self.exchange(&code, &code_verifier).await {
            Ok(tokens) => {
                self.note(3, question, false, "Yes, with the right verifier.");
                Ok(tokens)
            }
            Err(error) if is_refusal(&error) => {
                self.note(3, question, true, "No, it is used up.");
                self.sign_in().await
            }
            Err(error) => Err(error).context("the code could not be exchanged"),
        }
    }

    fn note_tokens(&mut self, tokens: &TokenSet) {
        let has_refresh_token = tokens.refresh_token.is_some();
        let refresh_token = if has_refresh_token { "a" } else { "no" };
        let (seconds, scope) = (tokens.expires_in.as_secs(), tokens.scope.join(" "));
        self.note(
            4,
            "What does a token answer have?",
            has_refresh_token && seconds > 0,
            format!(
                "{refresh_token} refresh token, {seconds} s for the access token, scope: {scope}."
            ),
        );
    }

    async fn look_at_profile(&mut self, tokens: &TokenSet) {
        let shape = self.profiles.shape(&tokens.access_token).await;
        let shape_question = "What shape does the profile have?";
        let id_question = "Where is the id of the person?";
        let Some(shape) = shape else {
            self.note(5, shape_question, None, "The user API gave no profile.");
            self.note(6, id_question, None, "The user API gave no profile.");
            return;
        };
        self.note(5, shape_question, shape.v2.is_object(), shape.describe());
        let sources = shape.id_sources();
        let answer = match &*sources {
            [] => "Nowhere. Nobody can sign in.".to_owned(),
            sources => format!("In {}.", sources.join(" and ")),
        };
        self.note(6, id_question, !sources.is_empty(), answer);
    }

    /// Rotation and reuse. Returns tokens that still work.
    async fn rotate(&mut self, tokens: &TokenSet) -> anyhow::Result<Option<TokenSet>> {
        let question = "Is a refresh token replaced when it is used (rotation)?";
        let reuse = "Does a replaced refresh token end the connection (reuse detection)?";
        let Some(first) = &tokens.refresh_token else {
            self.note(7, question, None, "There is no refresh token.");
            self.note(8, reuse, None, "There is no refresh token.");
            return Ok(Some(tokens.clone()));
        };
        let Some(mut refreshed) = self.refresh(first, &tokens.scope).await? else {
            bail!("the provider refused a refresh token that was never used");
        };
        let is_new = |token: &Token| token.expose() != first.expose();
        let Some(second) = refreshed.refresh_token.clone().filter(is_new) else {
            self.note(7, question, false, "No. The same one works again.");
            self.note(
                8,
                reuse,
                None,
                "Nothing is replaced, so it does not matter.",
            );
            refreshed.refresh_token = Some(first.clone());
            return Ok(Some(refreshed));
        };
        self.note(7, question, true, "Yes. A refresh brings another one.");
        if let Some(mut again) = self.refresh(first, &tokens.scope).await? {
            self.note(
                8,
                reuse,
                false,
                "No. The replaced one still works, at least for a while.",
            );
            again.refresh_token.get_or_insert_with(|| first.clone());
            return Ok(Some(again));
        }
        let survivor = self.refresh(&second, &tokens.scope).await?;
        let (confirmed, answer) = match survivor {
            Some(_) => (
                false,
                "No. The replaced one is refused, and the newer one goes on working.",
            ),
            None => (true, "Yes. The newer one is refused as well."),
        };
        self.note(8, reuse, confirmed, answer);
        Ok(survivor.map(|mut survivor| {
            survivor.refresh_token.get_or_insert(second);
            survivor
        }))
    }
}

/// Whether the provider has refused the code or token, by whatever words.
fn is_refusal(error: &TokenError) -> bool {
    matches!(
        error,
        TokenError::InvalidGrant
            | TokenError::Unclear { .. }
            | TokenError::Misconfigured {
                code: "invalid_request"
            }
    )
}
