//! A provider beside Matrica, in the shapes that Discord and GitHub document.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use matrica_starter::engine::{
    linked::{ProviderSettings, UserInfo},
    oauth::ClientSettings,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use url::Url;

const ID: &str = "other-app";
const SECRET: &str = "oth:er&s3cret %";

/// Clones are the same provider.
#[derive(Clone)]
pub struct Other {
    pub url: String,
    state: Arc<Mutex<Habits>>,
}

/// How it behaves, and what it has seen.
#[derive(Default)]
pub struct Habits {
    /// Takes the secret in the header, and not in the body.
    pub basic: bool,
    /// Answers 200 with an `error`, as GitHub does.
    pub errors_with_200: bool,
    /// Sends no `expires_in` and no refresh token.
    pub endless: bool,
    /// `iss` in the authorization response.
    pub iss: Option<String>,
    /// The answer of the user endpoint, if it is not that of the person.
    pub user: Option<(u16, Value)>,
    /// The token endpoint answers this.
    pub token: Option<(u16, Value)>,
    pub revocation_takes: Duration,
    codes: BTreeMap<String, (String, BTreeMap<String, String>)>,
    /// Person by token.
    tokens: BTreeMap<String, String>,
    pub revoked: Vec<String>,
    pub refreshes: u32,
    /// The parameters of the last authorization request.
    pub asked: BTreeMap<String, String>,
    issued: u32,
}

impl Other {
    pub async fn spawn() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
        };
        let routes = Router::new()
            .route("/oauth2/authorize", get(authorize))
            .route("/api/oauth2/token", post(token))
            .route("/api/oauth2/token/revoke", post(revoke))
            .route("/api/users/@me", get(me))
            .with_state(other.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        other
    }

    pub fn habits(&self) -> MutexGuard<'_, Habits> {
        self.state.lock().unwrap()
    }

    /// What an app writes down about it.
    pub fn settings(&self) -> ProviderSettings {
        let url = |path: &str| -> Url { format!("{}{path}", self.url).parse().unwrap() };
        let endpoints = [url("/oauth2/authorize"), url("/api/oauth2/token")];
        ProviderSettings {
            name: "discord",
            label: "Discord",
            client: ClientSettings {
                revocation_endpoint: Some(url("/api/oauth2/token/revoke")),
                ..ClientSettings::new(ID, SECRET.into(), endpoints, &["identify"])
            },
            user_info: UserInfo {
                endpoint: url("/api/users/@me"),
                id: "/id",
                names: &["/global_name", "/username"],
            },
        }
    }

    /// The person agrees. Returns the address of the callback.
    pub fn consent(&self, authorization_url: &str, person: &str) -> String {
        let url: Url = authorization_url.parse().unwrap();
        assert_eq!(url.path(), "/oauth2/authorize");
        let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(asked["client_id"], ID);
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut habits = self.habits();
        habits.issued += 1;
        let code = format!("code-{}", habits.issued);
        let mut back: Url = asked["redirect_uri"].parse().unwrap();
        back.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &asked["state"]);
        if let Some(iss) = &habits.iss {
            back.query_pairs_mut().append_pair("iss", iss);
        }
        let entry = (person.to_owned(), asked.clone());
        habits.codes.insert(code, entry);
        habits.asked = asked;
        back.into()
    }
}

impl Habits {
    fn issue(&mut self, person: &str) -> Value {
        self.issued += 1;
        let access = format!("access-{}", self.issued);
        self.tokens.insert(access.clone(), person.to_owned());
        if self.endless {
            return json!({ "access_token": access, "token_type": "bearer", "scope": "identify,email" });
        }
        let refresh = format!("refresh-{}", self.issued);
        self.tokens.insert(refresh.clone(), person.to_owned());
        json!({ "access_token": access, "token_type": "Bearer", "expires_in": 604_800,
                "refresh_token": refresh, "scope": "identify" })
    }

    fn knows(&self, headers: &HeaderMap, form: &BTreeMap<String, String>) -> bool {
        let basic = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        if self.basic {
            let encode = |text: &str| {
                url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
            };
            let pair = STANDARD.encode(format!("{}:{}", encode(ID), encode(SECRET)));
            return basic == Some(&format!("Basic {pair}")) && !form.contains_key("client_secret");
        }
        let has = |name: &str, value: &str| form.get(name).is_some_and(|given| given == value);
        basic.is_none() && has("client_id", ID) && has("client_secret", SECRET)
    }
}

/// Agrees at once, for a browser.
async fn authorize(State(other): State<Other>, uri: Uri) -> Redirect {
    Redirect::to(&other.consent(&format!("{}{uri}", other.url), "ada.other"))
}

async fn token(
    State(other): State<Other>,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let mut habits = other.habits();
    if let Some((status, body)) = &habits.token {
        return (StatusCode::from_u16(*status).unwrap(), Json(body.clone())).into_response();
    }
    let refuse = |habits: &Habits, code: &str| {
        let (status, code) = if habits.errors_with_200 {
            (200, "bad_verification_code")
        } else {
            (400, code)
        };
        let body = json!({ "error": code, "error_description": "The code passed is incorrect or expired." });
        (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
    };
    if !habits.knows(&headers, &form) {
        return refuse(&habits, "invalid_client");
    }
    let known = if form["grant_type"] == "authorization_code" {
        let known = habits.codes.remove(&form["code"]);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
        let fits = |asked: &BTreeMap<String, String>| {
            asked["redirect_uri"] == form["redirect_uri"] && asked["code_challenge"] == challenge
        };
        known
            .filter(|(_, asked)| fits(asked))
            .map(|(person, _)| person)
    } else {
        habits.refreshes += 1;
        habits.tokens.remove(&form["refresh_token"])
    };
    let Some(person) = known else {
        return refuse(&habits, "invalid_grant");
    };
    Json(habits.issue(&person)).into_response()
}

async fn revoke(
    State(other): State<Other>,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> StatusCode {
    let pause = other.habits().revocation_takes;
    tokio::time::sleep(pause).await;
    let mut habits = other.habits();
    if !habits.knows(&headers, &form) {
        return StatusCode::UNAUTHORIZED;
    }
    habits.tokens.remove(&form["token"]);
    habits.revoked.push(form["token"].clone());
    StatusCode::OK
}

async fn me(State(other): State<Other>, headers: HeaderMap) -> Response {
    let habits = other.habits();
    if let Some((status, body)) = &habits.user {
        return (StatusCode::from_u16(*status).unwrap(), Json(body.clone())).into_response();
    }
    let token = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer "));
    match token.and_then(|token| habits.tokens.get(token)) {
        Some(person) => Json(json!({
            "id": format!("80351110224678{:03}", person.len()),
            "username": person,
            "discriminator": "0",
            "global_name": null,
        }))
        .into_response(),
        None => (
            StatusCode::UNAUTHORIZED,
            Json(json!({ "message": "401: Unauthorized", "code": 0 })),
        )
            .into_response(),
    }
}
