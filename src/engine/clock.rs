//! The one door to the process's clock. Everything stored is judged by the database's clock instead.

use time::OffsetDateTime;

/// The time now, for what never reaches the database: the age of a login attempt in its cookie.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the door that the lint points to"
)]
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
