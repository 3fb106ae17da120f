//! Every sentence that people read about sign-in, scopes and failures.

pub mod errors;
pub mod scopes;
pub mod sign_in;
