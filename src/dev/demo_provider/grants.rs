//! What the provider remembers of consents: codes, token families and the tokens in them.

use std::{collections::HashMap, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    people::Person,
    settings::Settings,
    values::{challenge_of, is_verifier, random_code, random_token},
    wire::OAuthError,
};

/// Expired codes and dead tokens are swept once in this many new codes.
const SWEEP_INTERVAL: u64 = 4_096;

/// What a person said yes to.
#[derive(Clone)]
pub(super) struct Consent {
    pub(super) client_id: String,
    pub(super) scope: String,
    pub(super) person: &'static Person,
}

/// An authorization code's bindings (RFC 6749, section 4.1.2; RFC 7636, section 4.4).
#[expect(
    clippy::struct_field_names,
    reason = "OAuth parameters keep their RFC names"
)]
pub(super) struct Code {
    pub(super) consent: Consent,
    pub(super) redirect_uri: String,
    pub(super) code_challenge: String,
}

struct StoredCode {
    code: Code,
    expires_at: Instant,
    redeemed_as: Option<FamilyId>,
}

type FamilyId = u64;

struct AccessToken {
    family: FamilyId,
    scope: String,
    expires_at: Instant,
}

struct RefreshToken {
    family: FamilyId,
    /// When it was rotated, and into what.
    rotated: Option<(Instant, String)>,
}

/// A family is all tokens that descend from one code; removing it kills them all.
#[derive(Default)]
pub(super) struct Grants {
    codes: HashMap<String, StoredCode>,
    families: HashMap<FamilyId, Consent>,
    access_tokens: HashMap<String, AccessToken>,
    refresh_tokens: HashMap<String, RefreshToken>,
    codes_issued: u64,
    families_opened: FamilyId,
    pub(super) counts: Counts,
}

/// How refresh tokens were used.
#[derive(Default, Serialize)]
pub(super) struct Counts {
    /// Answered with tokens.
    refreshes: u64,
    /// Of those, with the successor of a token that was rotated before.
    reused_in_grace: u64,
    /// Refused because they were rotated before.
    reused: u64,
}

impl Grants {
    pub(super) fn issue_code(&mut self, settings: &Settings, code: Code) -> String {
        self.codes_issued += 1;
        if self.codes_issued.is_multiple_of(SWEEP_INTERVAL) {
            self.sweep();
        }
        let value = random_code();
        let expires_at = Instant::now() + Duration::from_millis(settings.code_lifetime_ms);
        self.codes.insert(
            value.clone(),
            StoredCode {
                code,
                expires_at,
                redeemed_as: None,
            },
        );
        value
    }

    /// The answer to a code exchange. A second one revokes what the first one got (RFC 6749, section 4.1.2).
    pub(super) fn redeem(
        &mut self,
        settings: &Settings,
        client_id: &str,
        code: &str,
        redirect_uri: &str,
        code_verifier: &str,
    ) -> Result<Value, OAuthError> {
        let stored = self
            .codes
            .get_mut(code)
            .ok_or_else(|| OAuthError::invalid_grant("The code is unknown"))?;
        if stored.code.consent.client_id != client_id {
            return Err(OAuthError::invalid_grant(
                "The code was issued to another client",
            ));
        }
        if let Some(family) = stored.redeemed_as {
            self.families.remove(&family);
            return Err(OAuthError::invalid_grant(
                "The code was already used; its tokens are revoked",
            ));
        }
        if stored.expires_at <= Instant::now() {
            return Err(OAuthError::invalid_grant("The code has expired"));
        }
        if stored.code.redirect_uri != redirect_uri {
            return Err(OAuthError::invalid_grant(
                "The redirect_uri is not the one the code was issued for",
            ));
        }
        if !is_verifier(code_verifier) || challenge_of(code_verifier) != stored.code.code_challenge
        {
            return Err(OAuthError::invalid_grant(
                "The code_verifier does not match",
            ));
        }
        self.families_opened += 1;
        let family = self.families_opened;
        stored.redeemed_as = Some(family);
        self.families.insert(family, stored.code.consent.clone());
        let refresh_token = self.new_refresh_token(family);
        self.answer(settings, family, &refresh_token)
    }

    /// The answer to a refresh, with rotation, grace and reuse detection as the settings say.
    pub(super) fn refresh(
        &mut self,
        settings: &Settings,
        client_id: &str,
        presented: &str,
    ) -> Result<Value, OAuthError> {
        let unknown = || OAuthError::invalid_grant("The refresh token is unknown or revoked");
        let token = self.refresh_tokens.get(presented).ok_or_else(unknown)?;
        let family = token.family;
        if self
            .families
            .get(&family)
            .is_none_or(|consent| consent.client_id != client_id)
        {
            return Err(unknown());
        }
        if let Some((rotated_at, successor)) = &token.rotated {
            if rotated_at.elapsed() < Duration::from_millis(settings.reuse_grace_ms) {
                let successor = successor.clone();
                self.counts.refreshes += 1;
                self.counts.reused_in_grace += 1;
                return self.answer(settings, family, &successor);
            }
            self.counts.reused += 1;
            if settings.reuse_detection {
                self.families.remove(&family);
            }
            return Err(OAuthError::invalid_grant(
                "The refresh token was already used",
            ));
        }
        self.counts.refreshes += 1;
        if !settings.rotation || settings.refresh_token_absent {
            return self.answer(settings, family, presented);
        }
        let successor = self.new_refresh_token(family);
        if let Some(token) = self.refresh_tokens.get_mut(presented) {
            token.rotated = Some((Instant::now(), successor.clone()));
        }
        self.answer(settings, family, &successor)
    }

    /// RFC 7009: a refresh token takes its family along, an access token only itself, an unknown one nothing.
    pub(super) fn revoke(&mut self, client_id: &str, token: &str) -> Result<(), OAuthError> {
        let refresh = self.refresh_tokens.get(token).map(|token| token.family);
        let access = self.access_tokens.get(token).map(|token| token.family);
        let Some(consent) = refresh
            .or(access)
            .and_then(|family| self.families.get(&family))
        else {
            return Ok(());
        };
        if consent.client_id != client_id {
            return Err(OAuthError::invalid_grant(
                "The token was issued to another client",
            ));
        }
        match refresh {
            Some(family) => drop(self.families.remove(&family)),
            None => drop(self.access_tokens.remove(token)),
        }
        Ok(())
    }

    /// Withdrawn consent: everything this person granted ends.
    pub(super) fn revoke_person(&mut self, person: &Person) {
        self.families
            .retain(|_, consent| consent.person.key != person.key);
        self.codes
            .retain(|_, stored| stored.code.consent.person.key != person.key);
    }

    /// Whose live access token this is, and with which scope.
    pub(super) fn open(&self, access_token: &str) -> Option<(&'static Person, &str)> {
        let token = self
            .access_tokens
            .get(access_token)
            .filter(|token| token.expires_at > Instant::now())?;
        Some((self.families.get(&token.family)?.person, &token.scope))
    }

    pub(super) fn live_families(&self) -> usize {
        self.families.len()
    }

    pub(super) fn live_access_tokens(&self) -> usize {
        self.access_tokens
            .keys()
            .filter(|token| self.open(token).is_some())
            .count()
    }

    fn new_refresh_token(&mut self, family: FamilyId) -> String {
        let token = random_token();
        self.refresh_tokens.insert(
            token.clone(),
            RefreshToken {
                family,
                rotated: None,
            },
        );
        token
    }

    fn answer(
        &mut self,
        settings: &Settings,
        family: FamilyId,
        refresh_token: &str,
    ) -> Result<Value, OAuthError> {
        let consent = self
            .families
            .get(&family)
            .ok_or_else(|| OAuthError::invalid_grant("The consent has ended"))?;
        let scope = settings
            .granted_scope
            .clone()
            .unwrap_or_else(|| consent.scope.clone());
        let access_token = random_token();
        let mut answer = Map::new();
        answer.insert("access_token".into(), json!(access_token));
        answer.insert("token_type".into(), json!("Bearer"));
        if !settings.refresh_token_absent {
            answer.insert("refresh_token".into(), json!(refresh_token));
        }
        if !settings.scope_absent {
            answer.insert("scope".into(), json!(scope));
        }
        answer.insert("expires_in".into(), settings.expires_in.clone());
        answer.extend(settings.token_overrides.clone().unwrap_or_default());
        answer.retain(|_, value| !value.is_null());
        let expires_at = Instant::now() + settings.access_token_lifetime();
        self.access_tokens.insert(
            access_token,
            AccessToken {
                family,
                scope,
                expires_at,
            },
        );
        Ok(Value::Object(answer))
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        self.codes.retain(|_, stored| stored.expires_at > now);
        self.access_tokens
            .retain(|_, token| token.expires_at > now && self.families.contains_key(&token.family));
        self.refresh_tokens
            .retain(|_, token| self.families.contains_key(&token.family));
    }
}
