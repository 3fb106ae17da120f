//! The settings of the app, which the engine only carries.

use std::any::{Any, type_name};
use std::sync::Arc;

/// The app's own settings, of a type that the engine does not know.
pub struct AppConfig(Arc<dyn Any + Send + Sync>);

impl AppConfig {
    pub(super) fn new<C: Send + Sync + 'static>(config: C) -> Self {
        Self(Arc::new(config))
    }

    /// The settings.
    ///
    /// # Panics
    ///
    /// If `C` is not the `Config` of the app.
    #[expect(
        clippy::panic,
        reason = "a mistake in the code, which the first request finds"
    )]
    pub fn get<C: 'static>(&self) -> &C {
        match self.0.downcast_ref() {
            Some(config) => config,
            None => panic!("{} is not the config of this app", type_name::<C>()),
        }
    }
}
