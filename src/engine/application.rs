//! `Application`: all that the engine takes from an app.

use axum::Router;
use axum::response::Response;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::engine::config::{Config, Source};
use crate::engine::db::{self, Db};
use crate::engine::http::{self, FailedRequest, Route};
use crate::engine::jobs::AnyJob;
use crate::engine::linked::ProviderSettings;
use crate::engine::oauth::transport::ClientError;
use crate::engine::state::Engine;

/// An app on this engine.
pub trait Application: 'static {
    /// The app's own settings. Handlers find them in `engine.config.app`.
    type Config: Send + Sync + 'static;

    /// Reads the app's own variables. Their mistakes are reported together with all others.
    fn config(env: &mut Source<'_>) -> Option<Self::Config>;

    /// Every route.
    fn routes() -> Vec<Route>;

    /// Providers beside Matrica whose accounts people can link.
    fn providers(_: &Self::Config) -> Vec<ProviderSettings> {
        Vec::new()
    }

    /// Background work.
    fn jobs() -> Vec<AnyJob>;

    /// The body of a failed response, with its headers.
    fn error_page(failed: &FailedRequest<'_>) -> Response;

    /// What the app's own tables hold about a person, for the person's export.
    fn export(
        db: &Db,
        user_id: Uuid,
    ) -> impl Future<Output = Result<Map<String, Value>, db::Error>> + Send;
}

/// The engine of an app. Connects to nothing yet. Fails if no certificate authority is installed.
pub fn engine<A: Application>(config: Config) -> Result<Engine, ClientError> {
    let providers = A::providers(config.app.get());
    Engine::new(config, providers)
}

/// The app as one service.
pub fn router<A: Application>(engine: Engine) -> Router {
    http::router(engine, A::routes(), A::error_page)
}

/// Everything that is stored about a person, without tokens. One JSON object, in which `app` is the
/// app's part.
pub async fn export<A: Application>(engine: &Engine, user_id: Uuid) -> Result<Value, db::Error> {
    let mut stored = db::export::find(&engine.db, user_id).await?;
    let own = A::export(&engine.db, user_id).await?;
    if let Some(stored) = stored.as_object_mut() {
        stored.insert("app".to_owned(), own.into());
    }
    Ok(stored)
}
