//! Typed fields of forms and JSON bodies.

use askama::Template;
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use matrica_starter::{
    app::page,
    engine::{
        CurrentUser, Engine, Failure, FieldReader, Fields, Form, Mistake, Refused, db,
        http::{Access, Route},
    },
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Browser, TestApp};

const BIG: usize = 64 * 1024;

struct Note {
    title: String,
    text: String,
    stars: i64,
    public: bool,
}

impl Fields for Note {
    fn read(fields: &mut FieldReader) -> Option<Self> {
        let title = fields.text("title", 3..=10);
        let text = fields.lines("text", 0..=BIG);
        let stars = fields.number("stars", 1..=5);
        let public = fields.flag("public");
        let note = Self {
            title: title?,
            text: text?,
            stars: stars?,
            public: public?,
        };
        if note.title == "admin" {
            return fields.refuse("title", Mistake::Other("That name is taken."));
        }
        Some(note)
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<input value="{{ refused.value("title") }}"><textarea>{{ refused.value("text") }}</textarea>{% for (name, _) in refused.mistakes() %}<p>{{ name }}</p>{% endfor %}"#
)]
struct NotePage {
    refused: Refused,
}

fn stored(note: &Note) -> Json<Value> {
    Json(json!([note.title, note.text, note.stars, note.public]))
}

async fn on_page(_: CurrentUser, Form(note): Form<Note>) -> Response {
    match note {
        Ok(note) => stored(&note).into_response(),
        Err(refused) => page::form_page(&NotePage { refused }),
    }
}

async fn for_programs(
    State(engine): State<Engine>,
    Form(note): Form<Note>,
) -> Result<Json<Value>, Failure> {
    let note = note?;
    let insert = sqlx::query("insert into notes (title) values ($1)").bind(&note.title);
    match insert.execute(&engine.db).await.map_err(db::Error::from) {
        Err(error) if error.violated() == Some("notes_title_key") => {
            let taken = Mistake::Other("That name is taken.");
            Err(Refused::default().with("title", taken).into())
        }
        done => {
            done?;
            Ok(stored(&note))
        }
    }
}

/// The app with two routes of an owner.
async fn with_notes() -> (TestApp, String) {
    let app = TestApp::spawn().await;
    app.sql("create table notes (title text unique)").await;
    let mut routes = matrica_starter::app::routes::table();
    routes.push(Route::new("/notes", Access::SignedIn, post(on_page)).body_max(BIG));
    for path in ["/api/notes", "/notes/plain"] {
        routes.push(Route::new(path, Access::SignedIn, post(for_programs)));
    }
    let url = app.serve(routes).await;
    (app, url)
}

/// Sends a body to the server at `url`. Returns the status and the body.
async fn send(
    browser: &Browser,
    url: &str,
    path: &str,
    kind: &str,
    body: impl Into<String>,
) -> (u16, String) {
    let mut request = browser
        .request(Method::POST, path)
        .header("content-type", kind)
        .body(body.into())
        .build()
        .unwrap();
    *request.url_mut() = format!("{url}{path}").parse().unwrap();
    let response = crate::support::browser::client().execute(request).await;
    let answer = Answer::read(response.unwrap()).await;
    (answer.status, answer.body)
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json; charset=utf-8";

#[tokio::test]
async fn a_form_is_trimmed_counted_in_characters_and_shown_again_if_it_is_wrong() {
    let (app, url) = with_notes().await;
    let browser = app.signed_in("ada").await;
    let form = async |body: &str| send(&browser, &url, "/notes", FORM, body).await;

    let good = "title=+%C3%84%C3%96%C3%9C%F0%9F%A6%A6%C3%A4%C3%B6%C3%BC%C3%9F12+&text=a%0D%0Ab&stars=5&public=on";
    let (status, body) = form(good).await;
    assert_eq!(
        (status, body.as_str()),
        (200, r#"["ÄÖÜ🦦äöüß12","a\nb",5,true]"#)
    );
    assert_eq!(
        form("title=abc&stars=1").await,
        (200, r#"["abc","",1,false]"#.to_owned())
    );

    for (body, fields) in [
        ("", "<p>stars</p><p>title</p>"),
        ("title=ab&stars=1", "<p>title</p>"),
        ("title=12345678901&stars=1", "<p>title</p>"),
        ("title=+++&stars=1", "<p>title</p>"),
        ("title=a%00b&stars=1", "<p>title</p>"),
        ("title=a%0D%0Ab&stars=1", "<p>title</p>"),
        ("title=a%FFbc&stars=1", "<p>title</p>"),
        ("title=a%C2%85bc&stars=1", "<p>title</p>"),
        ("title=abc&title=abd&stars=1", "<p>title</p>"),
        ("title=admin&stars=1", "<p>title</p>"),
        ("title=abc&stars=6&text=a%1Bb", "<p>stars</p><p>text</p>"),
        ("title=abc&stars=1.5", "<p>stars</p>"),
        ("title=abc&stars=99999999999999999999", "<p>stars</p>"),
        ("title=abc&stars=1&public=maybe", "<p>public</p>"),
    ] {
        let (status, page) = form(body).await;
        assert_eq!(status, 422, "{body}: {page}");
        assert!(
            page.ends_with(&format!("</textarea>{fields}")),
            "{body}: {page}"
        );
    }
    // A handler without a page of its own gets one with a way on.
    let (status, page) = send(&browser, &url, "/notes/plain", FORM, "").await;
    assert_eq!(status, 422, "{page}");
    assert!(page.contains("use what you sent"), "{page}");
    let (_, page) = form("title=%3Cb%3E&text=kept&stars=0").await;
    assert!(page.contains(r#"value="&#60;b&#62;""#), "{page}");
    assert!(page.contains("<textarea>kept</textarea>"), "{page}");
}

#[tokio::test]
async fn programs_send_json_to_the_api_alone_and_get_a_reason_for_each_field() {
    let (app, url) = with_notes().await;
    let browser = app.signed_in("ada").await;
    let good = r#"{"title":" abc ","stars":5,"public":true,"text":null}"#;
    let (status, body) = send(&browser, &url, "/api/notes", JSON, good).await;
    assert_eq!((status, body.as_str()), (200, r#"["abc","",5,true]"#));
    // The name of the violated constraint leads to the field.
    let (status, body) = send(&browser, &url, "/api/notes", FORM, "title=abc&stars=5").await;
    assert_eq!(status, 422, "{body}");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["errors"], json!({ "title": "That name is taken." }));
    let (status, body) = send(&browser, &url, "/api/notes", JSON, r#"{"stars":9}"#).await;
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 422, "{body}");
    assert_eq!(
        problem["type"],
        "urn:matrica-starter:problem:invalid-fields"
    );
    assert_eq!(
        problem["errors"],
        json!({ "stars": "Enter a whole number from 1 to 5.", "title": "Fill this in." })
    );
    for body in ["", "[]", "{", r#"{"title":["abc"]}"#, r#"{"title":{}}"#] {
        let (status, answer) = send(&browser, &url, "/api/notes", JSON, body).await;
        assert_eq!(status, 400, "{body}: {answer}");
    }
    // A page takes forms only.
    let (status, _) = send(&browser, &url, "/notes", JSON, good).await;
    assert_eq!(status, 415);
    // Another site cannot send JSON either.
    let foreign = browser
        .request(Method::POST, "/api/notes")
        .header("content-type", JSON)
        .body(good);
    let mut foreign = foreign.build().unwrap();
    *foreign.url_mut() = format!("{url}/api/notes").parse().unwrap();
    let headers = foreign.headers_mut();
    headers.insert("origin", "https://evil.test".parse().unwrap());
    headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
    let response = crate::support::browser::client().execute(foreign).await;
    assert_eq!(response.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(app.count("select count(*) from notes").await, 1);
}

#[tokio::test]
async fn a_route_may_take_larger_bodies_than_the_others() {
    let (app, url) = with_notes().await;
    let browser = app.signed_in("ada").await;
    let of = |length: usize| format!("title=abc&stars=1&text={}", "x".repeat(length));
    let (status, _) = send(&browser, &url, "/notes", FORM, of(BIG - 100)).await;
    assert_eq!(status, 200);
    let (status, _) = send(&browser, &url, "/notes", FORM, of(BIG)).await;
    assert_eq!(status, 413);
    let (status, _) = send(&browser, &url, "/api/notes", FORM, of(BIG / 2)).await;
    assert_eq!(status, 413);
}
