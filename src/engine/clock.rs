//! The only access to the process's clock. Stored times use the database's clock.

use time::OffsetDateTime;

/// For times that never reach the database, such as the age of a login attempt.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the door that the lint points to"
)]
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
