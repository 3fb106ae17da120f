//! How the provider behaves where Matrica's public material leaves it open, and how a test changes that.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize, de::Error as _};
use serde_json::{Map, Value, json};

const DEFAULT_EXPIRES_IN_SECONDS: u64 = 3_600;
const DEFAULT_CODE_LIFETIME_MS: u64 = 60_000;
const DEFAULT_LARGEST_TAKE: usize = 100;
/// Bounds of `largest_take`. With none a client would never get on, and more than the highest is no page any more.
const LARGEST_TAKES: RangeInclusive<usize> = 1..=1_000;

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProfileShape {
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
pub(super) struct Settings {
    pub(super) rotation: bool,
    /// A rotated refresh token that comes back kills its whole family.
    pub(super) reuse_detection: bool,
    /// For this long a rotated refresh token still answers, with its successor.
    pub(super) reuse_grace_ms: u64,
    /// Sent as it is; `null` leaves the field out.
    pub(super) expires_in: Value,
    pub(super) code_lifetime_ms: u64,
    pub(super) profile_shape: ProfileShape,
    pub(super) v1_has_id: bool,
    pub(super) deny_with_state: bool,
    /// `null`: as requested.
    pub(super) granted_scope: Option<String>,
    pub(super) scope_absent: bool,
    /// The answer carries no refresh token, and the one presented stays valid.
    pub(super) refresh_token_absent: bool,
    /// Laid over the success answer of the token endpoint; a `null` removes the field.
    pub(super) token_overrides: Option<Map<String, Value>>,
    /// A larger `take` is cut down to this, which is why clients advance by what they received.
    pub(super) largest_take: usize,
    pub(super) pagination_headers: bool,
    /// Without, filters are ignored like any other parameter one has never heard of.
    pub(super) filters: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rotation: true,
            reuse_detection: true,
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
    /// These settings with the fields of `patch` replaced. An unknown field is an error, so that no test misspells one.
    pub(super) fn merged(&self, patch: Map<String, Value>) -> Result<Self, serde_json::Error> {
        let mut fields = serde_json::to_value(self)?;
        if let Value::Object(fields) = &mut fields {
            fields.extend(patch);
        }
        let merged: Self = serde_json::from_value(fields)?;
        if !LARGEST_TAKES.contains(&merged.largest_take) {
            let (least, most) = LARGEST_TAKES.into_inner();
            return Err(serde_json::Error::custom(format!(
                "largest_take must be between {least} and {most}"
            )));
        }
        Ok(merged)
    }

    /// How long access tokens really live: what `expires_in` says if that is a number, else the default.
    pub(super) fn access_token_lifetime(&self) -> Duration {
        let seconds = match &self.expires_in {
            Value::Number(number) => number.as_u64().or_else(|| number.as_i64().map(|_| 0)),
            _ => None,
        };
        // A year is forever here, and keeps an absurd value from overflowing an `Instant`.
        Duration::from_secs(
            seconds
                .unwrap_or(DEFAULT_EXPIRES_IN_SECONDS)
                .min(365 * 86_400),
        )
    }
}
