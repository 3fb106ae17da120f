//! The seam between engine and app: another app than ours runs on the same engine.

use axum::{extract::State, response::Response, routing::get};
use matrica_starter::{
    app::error_page,
    engine::{
        AnyJob, Application, CurrentUser, Engine,
        application::{self, export, router},
        config::{Config, Source},
        db::{self, Db},
        http::{Access, FailedRequest, Route, server},
    },
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::TestApp;

enum Otters {}

struct OttersConfig {
    pond: u16,
}

impl Application for Otters {
    type Config = OttersConfig;

    fn config(env: &mut Source<'_>) -> Option<OttersConfig> {
        let pond = env.required("OTTER_POND", |text| {
            text.parse().map_err(|_| "must be a number".to_owned())
        });
        Some(OttersConfig { pond: pond? })
    }

    fn routes() -> Vec<Route> {
        vec![Route::new("/pond", Access::SignedIn, get(pond))]
    }

    fn jobs() -> Vec<AnyJob> {
        Vec::new()
    }

    fn error_page(failed: &FailedRequest<'_>) -> Response {
        error_page::render(failed)
    }

    async fn export(_: &Db, user_id: Uuid) -> Result<Map<String, Value>, db::Error> {
        Ok(Map::from_iter([("otter_of".to_owned(), json!(user_id))]))
    }
}

async fn pond(State(engine): State<Engine>, user: CurrentUser) -> String {
    let pond = engine.config.app.get::<OttersConfig>().pond;
    format!("{} swims in {pond}", user.display_name)
}

#[tokio::test]
async fn another_app_has_its_own_settings_routes_and_export() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    let mut settings = app.settings.clone();
    settings.insert("OTTER_POND".to_owned(), "7".to_owned());
    let config = Config::from_source(Source::new(&settings), Otters::config).unwrap();
    let engine = application::engine::<Otters>(config).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(server::serve(
        listener,
        router::<Otters>(engine.clone()),
        engine.clone(),
        CancellationToken::new().cancelled_owned(),
    ));

    let answer = browser.get(&format!("{url}/pond")).await.assert_status(200);
    assert_eq!(answer.body, "Ada Lindqvist swims in 7");
    let absent = browser.get(&format!("{url}/account")).await;
    absent.assert_status(404);

    let user_id = app.user_id().await;
    let stored = export::<Otters>(&engine, user_id).await.unwrap();
    assert_eq!(stored["app"]["otter_of"], json!(user_id));
    assert_eq!(stored["account"]["display_name"], "Ada Lindqvist");
}

#[tokio::test]
async fn mistakes_in_an_apps_own_variables_are_named_with_the_others() {
    let app = TestApp::spawn().await;
    let mut settings = app.settings.clone();
    settings.insert("OTTER_POND".to_owned(), "deep".to_owned());
    settings.insert("PUBLIC_URL".to_owned(), "nowhere".to_owned());
    let error = Config::from_source(Source::new(&settings), Otters::config);
    let error = error.map(drop).unwrap_err().to_string();
    assert!(error.contains("2 mistakes"), "{error}");
    assert!(error.contains("OTTER_POND must be a number"), "{error}");
    assert!(error.contains("PUBLIC_URL"), "{error}");
}
