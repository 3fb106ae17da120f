//! The last questions: what a revocation and a refusal by the person do.

use super::walk::Walk;
use crate::engine::oauth::{Outcome, TokenSet};

const DECLINE: &str = "Last visit. Decline this time.";

impl Walk<'_> {
    pub(super) async fn revoke(&mut self, live: &TokenSet) -> anyhow::Result<()> {
        let question = "Does the revocation endpoint take the form of RFC 7009?";
        let ended = "Does a revoked refresh token end everything?";
        let Some(refresh_token) = &live.refresh_token else {
            self.note(9, question, None, "There is no refresh token.");
            return Ok(());
        };
        match self.oauth.revoke(refresh_token, "refresh_token").await {
            Ok(true) => self.note(
                9,
                question,
                true,
                "Yes, with `token` and `token_type_hint`.",
            ),
            Ok(false) => {
                let answer = "It knows no such token, or MATRICA_REVOCATION_ENDPOINT is off.";
                self.note(9, question, false, answer);
            }
            Err(error) => self.note(9, question, false, format!("No. {error}.")),
        }
        let access = self.profiles.opens(&live.access_token).await;
        let refreshes = self.refresh(refresh_token, &live.scope).await?.is_some();
        let answer = match (refreshes, access) {
            (true, _) => "No. It still refreshes.",
            (false, Some(true)) => {
                "It refreshes no more, but the access token still opens the profile."
            }
            (false, _) => "Yes. Neither token works any more.",
        };
        self.note(10, ended, !refreshes, answer);
        Ok(())
    }

    pub(super) async fn decline(&mut self) -> anyhow::Result<()> {
        let question = "Does a refusal by the person come back with state?";
        let visit = self.visits.ask(self.oauth, DECLINE).await?;
        match visit.outcome {
            Outcome::Code(_) => self.note(11, question, None, "You allowed it."),
            Outcome::Error(error) => {
                let with = if visit.with_state { "with" } else { "without" };
                let answer = format!("It comes {with} state, as {}.", error.name());
                self.note(11, question, visit.with_state, answer);
            }
        }
        Ok(())
    }
}
