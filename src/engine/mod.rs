//! The engine: sign-in, token vault, sessions, user data and the server around them. An app leaves
//! it alone and updates it as a whole.

pub mod application;
pub mod clock;
pub mod config;
pub mod db;
pub mod endings;
pub mod error;
pub mod extract;
pub mod form;
pub mod gate;
pub mod http;
pub mod jobs;
pub mod limits;
pub mod linked;
pub mod matrica;
pub mod metrics;
pub mod mistake;
pub mod notifier;
pub mod oauth;
pub mod random;
pub mod rule;
pub mod seal;
pub mod session;
pub mod sign_in;
pub mod single_flight;
pub mod spans;
pub mod state;
pub mod tasks;
pub mod user_data;
pub mod vault;
pub mod workers;

pub use self::application::Application;
pub use self::error::Failure;
pub use self::extract::FreshSignIn;
pub use self::form::{FieldReader, Fields, Form, Refused};
pub use self::gate::{Gate, Holds, Verdict};
pub use self::jobs::{AnyJob, Grant, Job, Later};
pub use self::matrica::Resource;
pub use self::mistake::Mistake;
pub use self::rule::Rule;
pub use self::session::CurrentUser;
pub use self::state::Engine;
pub use self::user_data::{Cached, DataError, Reader};
