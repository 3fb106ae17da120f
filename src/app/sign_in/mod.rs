//! Signing in and out: the sign-in page, the callback, the sign-out.

pub mod callback;
pub mod page;
pub mod sign_out;
