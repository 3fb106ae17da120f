//! The grants, which are authorization codes, token families and the tokens in them.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::people::Person;
use super::request::AuthorizationRequest;
use super::settings::Settings;
use super::values::{challenge_of, is_verifier, random_code, random_token};
use super::wire::{Fields, OAuthError};

/// Codes issued between two sweeps of expired codes and revoked tokens.
const SWEEP_INTERVAL: u64 = 4_096;

/// A person's consent to a request. The code is bound to it (RFC 6749 section 4.1.2 and RFC 7636
/// section 4.4).
#[derive(Clone)]
pub struct Consent {
    pub request: AuthorizationRequest,
    pub person: &'static Person,
}

struct Code {
    consent: Consent,
    expires_at: Instant,
    redeemed_as: Option<FamilyId>,
}

type FamilyId = u64;
type TokenResponse = Result<Value, OAuthError>;

struct AccessToken {
    family: FamilyId,
    scope: String,
    expires_at: Instant,
}

#[derive(Clone)]
struct RefreshToken {
    family: FamilyId,
    /// Time of the rotation, and the successor.
    rotated: Option<(Instant, String)>,
}

/// A family holds all tokens that descend from one code. Removing it revokes them all.
#[derive(Default)]
pub struct Grants {
    codes: HashMap<String, Code>,
    families: HashMap<FamilyId, Consent>,
    access_tokens: HashMap<String, AccessToken>,
    refresh_tokens: HashMap<String, RefreshToken>,
    codes_issued: u64,
    families_opened: FamilyId,
    pub counts: Counts,
}

#[derive(Default, Serialize)]
pub struct Counts {
    /// Successful refreshes.
    refreshes: u64,
    /// Successful refreshes with a rotated token, within its grace period.
    reused_in_grace: u64,
    /// Refreshes that were refused because the token was rotated.
    reused: u64,
}

impl Grants {
    pub fn issue_code(&mut self, settings: &Settings, consent: Consent) -> String {
        self.codes_issued += 1;
        if self.codes_issued.is_multiple_of(SWEEP_INTERVAL) {
            self.sweep();
        }
        let value = random_code();
        let code = Code {
            consent,
            expires_at: Instant::now() + Duration::from_millis(settings.code_lifetime_ms),
            redeemed_as: None,
        };
        self.codes.insert(value.clone(), code);
        value
    }

    /// The response to a code exchange. A second one revokes the tokens of the first (RFC 6749
    /// section 4.1.2).
    pub fn redeem(&mut self, settings: &Settings, client_id: &str, form: &Fields) -> TokenResponse {
        let value = form.require("code")?;
        let redirect_uri = form.require("redirect_uri")?;
        let code_verifier = form.require("code_verifier")?;
        let Some(code) = self.codes.get_mut(value) else {
            return refuse("The code is unknown");
        };
        let request = &code.consent.request;
        if request.client_id != client_id {
            return refuse("The code was issued to another client");
        }
        if let Some(family) = code.redeemed_as {
            self.families.remove(&family);
            return refuse("The code was already used; its tokens are revoked");
        }
        if code.expires_at <= Instant::now() {
            return refuse("The code has expired");
        }
        if request.redirect_uri != redirect_uri {
            return refuse("The redirect_uri is not the one the code was issued for");
        }
        if !is_verifier(code_verifier) || challenge_of(code_verifier) != request.code_challenge {
            return refuse("The code_verifier does not match");
        }
        let consent = code.consent.clone();
        let shared = self.families.iter().find(|(_, known)| {
            settings.one_family_per_person && known.person.key == consent.person.key
        });
        let family = shared.map_or(self.families_opened + 1, |(family, _)| *family);
        self.families_opened = self.families_opened.max(family);
        code.redeemed_as = Some(family);
        self.families.insert(family, consent);
        let refresh_token = self.new_refresh_token(family);
        self.token_response(settings, family, &refresh_token)
    }

    /// The response to a refresh, with rotation, grace and reuse detection by the settings.
    pub fn refresh(
        &mut self,
        settings: &Settings,
        client_id: &str,
        presented: &str,
    ) -> TokenResponse {
        let is_live = |token: &&RefreshToken| {
            let consent = self.families.get(&token.family);
            consent.is_some_and(|consent| consent.request.client_id == client_id)
        };
        let token = self.refresh_tokens.get(presented).filter(is_live);
        let Some(RefreshToken { family, rotated }) = token.cloned() else {
            return refuse("The refresh token is unknown or revoked");
        };
        if let Some((rotated_at, successor)) = rotated {
            if rotated_at.elapsed() < Duration::from_millis(settings.reuse_grace_ms) {
                self.counts.refreshes += 1;
                self.counts.reused_in_grace += 1;
                return self.token_response(settings, family, &successor);
            }
            self.counts.reused += 1;
            if settings.reuse_detection {
                self.families.remove(&family);
            }
            return refuse("The refresh token was already used");
        }
        self.counts.refreshes += 1;
        if !settings.rotation || settings.refresh_token_absent {
            return self.token_response(settings, family, presented);
        }
        let successor = self.new_refresh_token(family);
        if let Some(token) = self.refresh_tokens.get_mut(presented) {
            token.rotated = Some((Instant::now(), successor.clone()));
        }
        self.token_response(settings, family, &successor)
    }

    /// Revokes the whole family of a refresh token, but of an access token only the token itself
    /// (RFC 7009 section 2.1). An unknown token is no error (RFC 7009 section 2.2).
    pub fn revoke(&mut self, client_id: &str, token: &str) -> Result<(), OAuthError> {
        let refresh = self.refresh_tokens.get(token).map(|token| token.family);
        let access = self.access_tokens.get(token).map(|token| token.family);
        let Some(consent) = refresh
            .or(access)
            .and_then(|family| self.families.get(&family))
        else {
            return Ok(());
        };
        if consent.request.client_id != client_id {
            return refuse("The token was issued to another client");
        }
        match refresh {
            Some(family) => drop(self.families.remove(&family)),
            None => drop(self.access_tokens.remove(token)),
        }
        Ok(())
    }

    /// Withdraws everything that a person has consented to.
    pub fn revoke_person(&mut self, person: &Person) {
        let other = |consent: &Consent| consent.person.key != person.key;
        self.families.retain(|_, consent| other(consent));
        self.codes.retain(|_, code| other(&code.consent));
    }

    /// The person and the scope of a live access token.
    pub fn open(&self, access_token: &str) -> Option<(&'static Person, &str)> {
        let token = self.access_tokens.get(access_token)?;
        let consent = self.families.get(&token.family)?;
        (token.expires_at > Instant::now()).then_some((consent.person, &token.scope))
    }

    pub fn live_families(&self) -> usize {
        self.families.len()
    }

    /// The grants of a person that have not ended.
    pub fn live_grants(&self, person: &Person) -> usize {
        let consents = self.families.values();
        consents
            .filter(|consent| consent.person.key == person.key)
            .count()
    }

    pub fn live_access_tokens(&self) -> usize {
        let tokens = self.access_tokens.keys();
        tokens.filter(|token| self.open(token).is_some()).count()
    }

    fn new_refresh_token(&mut self, family: FamilyId) -> String {
        let value = random_token();
        let token = RefreshToken {
            family,
            rotated: None,
        };
        self.refresh_tokens.insert(value.clone(), token);
        value
    }

    fn token_response(
        &mut self,
        settings: &Settings,
        family: FamilyId,
        refresh_token: &str,
    ) -> TokenResponse {
        let Some(consent) = self.families.get(&family) else {
            return refuse("The consent has ended");
        };
        let granted = settings.granted_scope.as_ref();
        let scope = granted.unwrap_or(&consent.request.scope).clone();
        let access_token = random_token();
        let mut response = json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "refresh_token": (!settings.refresh_token_absent).then_some(refresh_token),
            "scope": (!settings.scope_absent).then_some(&scope),
            "expires_in": settings.expires_in,
        });
        if let Value::Object(fields) = &mut response {
            fields.extend(settings.token_overrides.clone().unwrap_or_default());
            fields.retain(|_, value| !value.is_null());
        }
        let token = AccessToken {
            family,
            scope,
            expires_at: Instant::now() + settings.access_token_lifetime(),
        };
        self.access_tokens.insert(access_token, token);
        Ok(response)
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        self.codes.retain(|_, code| code.expires_at > now);
        self.access_tokens
            .retain(|_, token| token.expires_at > now && self.families.contains_key(&token.family));
        self.refresh_tokens
            .retain(|_, token| self.families.contains_key(&token.family));
    }
}

fn refuse<T>(description: &str) -> Result<T, OAuthError> {
    Err(OAuthError::new("invalid_grant", description))
}
