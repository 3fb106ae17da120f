//! Behaviour that Matrica's public documentation leaves open. Tests change it over `/control`.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const DEFAULT_EXPIRES_IN_SECONDS: u64 = 3_600;
const DEFAULT_CODE_LIFETIME_MS: u64 = 60_000;
const DEFAULT_LARGEST_TAKE: usize = 100;
/// Bounds of `largest_take`. With 0 a client would never reach the end of a list.
const LARGEST_TAKES: RangeInclusive<usize> = 1..=1_000;

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileShape {
    Nested,
    Flat,
    WithoutId,
    Null,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, set by name over JSON"
)]
pub struct Settings {
    pub rotation: bool,
    /// A second use of a rotated refresh token revokes its whole family.
    pub reuse_detection: bool,
    /// All tokens of a person are one family, so revoking one refresh token ends every login.
    pub one_family_per_person: bool,
    /// A rotated refresh token still returns its successor for this long.
    pub reuse_grace_ms: u64,
    /// Sent as it is. `null` leaves the field out.
    pub expires_in: Value,
    pub code_lifetime_ms: u64,
    pub profile_shape: ProfileShape,
    pub v1_has_id: bool,
    pub deny_with_state: bool,
    /// `null` grants the requested scope.
    pub granted_scope: Option<String>,
    pub scope_absent: bool,
    /// The response has no refresh token, and the presented one stays valid.
    pub refresh_token_absent: bool,
    /// Replaces fields of a successful token response. A `null` removes the field.
    pub token_overrides: Option<Map<String, Value>>,
    /// Upper bound of `take`. Clients must advance by the number of items received.
    pub largest_take: usize,
    pub pagination_headers: bool,
    /// If `false`, filters are ignored like any unknown parameter.
    pub filters: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rotation: true,
            reuse_detection: true,
            one_family_per_person: false,
            reuse_grace_ms: 0,
            expires_in: json!(DEFAULT_EXPIRES_IN_SECONDS),
            code_lifetime_ms: DEFAULT_CODE_LIFETIME_MS,
            profile_shape: ProfileShape::Nested,
            v1_has_id: true,
            deny_with_state: true,
            granted_scope: None,
            scope_absent: false,
            refresh_token_absent: false,
            token_overrides: None,
            largest_take: DEFAULT_LARGEST_TAKE,
            pagination_headers: true,
            filters: true,
        }
    }
}

impl Settings {
    /// These settings with the fields of `patch` replaced. An unknown field is an error, so that a
    /// test cannot misspell one.
    pub fn merged(&self, patch: Map<String, Value>) -> Result<Self, String> {
        let message = |error: serde_json::Error| error.to_string();
        let mut fields = serde_json::to_value(self).map_err(message)?;
        if let Value::Object(fields) = &mut fields {
            fields.extend(patch);
        }
        let merged: Self = serde_json::from_value(fields).map_err(message)?;
        if !LARGEST_TAKES.contains(&merged.largest_take) {
            let (least, most) = LARGEST_TAKES.into_inner();
            return Err(format!("largest_take must be between {least} and {most}"));
        }
        Ok(merged)
    }

    /// Lifetime of access tokens. The default applies if `expires_in` is not a number.
    pub fn access_token_lifetime(&self) -> Duration {
        let negative = || self.expires_in.as_i64().map(|_| 0);
        let seconds = self.expires_in.as_u64().or_else(negative);
        let seconds = seconds.unwrap_or(DEFAULT_EXPIRES_IN_SECONDS);
        // At most a year, because more could overflow an `Instant`.
        Duration::from_secs(seconds.min(365 * 86_400))
    }
}
