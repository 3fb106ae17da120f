//! Stands in for the data pages and the API of an app that was made without them, so that the tests
//! of the engine still have pages that read the data of a person.

use axum::{Json, extract::State, routing::get};
use matrica_starter::engine::{
    CurrentUser, DataError, Engine, Failure, Resource as _,
    http::{Access, Route},
    matrica::{ProfileQuery, WalletsQuery},
};
use serde_json::{Value, json};

/// The routes with stand-ins for those that are missing.
pub fn add(mut routes: Vec<Route>) -> Vec<Route> {
    for route in [
        Route::new("/account", Access::SignedIn, get(account)),
        Route::new("/account/nfts", Access::SignedIn, get(account)),
        Route::new("/account/wallets", Access::SignedIn, get(account)),
        Route::new("/account/tokens", Access::SignedIn, get(account)),
        Route::new("/account/domains", Access::SignedIn, get(account)),
        Route::new("/api/me", Access::SignedIn, get(me)),
        Route::new("/api/wallets", Access::SignedIn, get(wallets)),
    ] {
        if !routes.iter().any(|known| known.path == route.path) {
            routes.push(route);
        }
    }
    routes
}

/// The words of the account page that tests look for.
async fn account(State(engine): State<Engine>, user: CurrentUser) -> String {
    let reader = engine.reader(user.user_id);
    let (_, wallets) = tokio::join!(reader.get(ProfileQuery), reader.get(WalletsQuery));
    let wallets = match wallets {
        Ok(wallets) => {
            let mut wallets = wallets.data.wallets.iter();
            let is_primary = wallets.any(|wallet| wallet.primary_on.iter().any(|on| on == "SOL"));
            if is_primary { "Primary on Solana" } else { "" }
        }
        Err(DataError::Reconnect) => "no longer connected to your Matrica account",
        Err(DataError::NotShared) => "You didn't share your wallets with us",
        Err(_) => "We can't show your wallets right now",
    };
    format!("{}\n{wallets}", user.display_name)
}

async fn me(State(engine): State<Engine>, user: CurrentUser) -> Json<Value> {
    let profile = engine.reader(user.user_id).get(ProfileQuery).await;
    Json(json!({ "user_id": user.user_id, "name": user.display_name, "profile": profile.is_ok() }))
}

async fn wallets(State(engine): State<Engine>, user: CurrentUser) -> Result<Json<Value>, Failure> {
    let wallets = engine.reader(user.user_id).get(WalletsQuery).await;
    let wallets = wallets.map_err(|error| error.into_failure(WalletsQuery::SCOPE))?;
    let (stale, age) = (wallets.stale, wallets.age().as_secs());
    Ok(Json(
        json!({ "items": wallets.data.wallets, "stale": stale, "age_seconds": age }),
    ))
}
