//! `explain` answers for each reference and each refusal, without a secret.

use std::{collections::BTreeMap, process::Output};

use matrica_starter::engine::sign_in::{Refusal, SignInNotice};
use strum::IntoEnumIterator as _;

use crate::support::{TestApp, TestDatabase, process};

/// `explain` with this database. An empty address is none.
async fn explain(database_url: &str, what: &str) -> Output {
    let url = ("DATABASE_URL".to_owned(), database_url.to_owned());
    let mut command = process::command(&BTreeMap::from([url]));
    command.args(["explain", what]);
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    run.await.unwrap()
}

/// What it says, if it succeeds.
async fn said(database_url: &str, what: &str) -> String {
    let output = explain(database_url, what).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.is_empty(),
        "{what}: {errors}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The reference of a refused sign-in leads to its refusal, or to the search that finds it.
pub async fn assert_explained(database: &TestDatabase, reference: &str, refusal: Refusal) {
    let stored: Option<Option<String>> =
        sqlx::query_scalar("select outcome from login_attempts where reference = $1")
            .bind(reference)
            .fetch_optional(&database.pool)
            .await
            .unwrap();
    let text = said(&database.url, reference).await;
    let Some(outcome) = stored else {
        for search in [
            format!("request_id={reference}"),
            format!("reference={reference}"),
        ] {
            assert!(text.contains(&search), "{refusal:?}: {text}");
        }
        return;
    };
    // The callback of an attempt that was refused before has the reference of the first one.
    let name = match refusal {
        Refusal::AlreadyUsed => outcome.as_deref().unwrap(),
        refusal => refusal.name(),
    };
    assert!(text.contains(&format!("\n{name}: ")), "{refusal:?}: {text}");
    assert!(text.contains("What to do: "), "{refusal:?}: {text}");
}

#[tokio::test]
async fn every_refusal_is_explained_by_its_name_and_by_its_notice_without_a_database() {
    let mut meanings = Vec::new();
    for refusal in Refusal::iter() {
        let text = said("", refusal.name()).await;
        let meaning = text.strip_prefix(&format!("{}: ", refusal.name())).unwrap();
        for part in ["\nCause: ", "\nWhat to do: "] {
            assert!(text.contains(part), "{text}");
        }
        meanings.push(meaning.to_owned());
    }
    meanings.sort();
    meanings.dedup();
    assert_eq!(meanings.len(), Refusal::iter().count(), "two have one text");
    for notice in SignInNotice::iter() {
        let text = said("", &format!("?e={}", notice.slug())).await;
        for refusal in Refusal::iter().filter(|refusal| refusal.notice() == Some(notice)) {
            assert!(text.contains(&format!("\n{}: ", refusal.name())), "{text}");
        }
    }
}

#[tokio::test]
async fn each_outcome_of_an_attempt_has_its_timeline() {
    let database = TestDatabase::create().await;
    let attempts: [(&str, &str, &str, &[&str]); 7] = [
        (
            "0000000001",
            "5 minutes",
            "'signed_in'",
            &["The sign-in succeeded", "5 minutes ago", "1234 ms"],
        ),
        (
            "0000000002",
            "5 seconds",
            "null",
            &["under way", "outcome      none", "and 1 signed in"],
        ),
        (
            "0000000003",
            "3 hours",
            "null",
            &["It was killed", "3 hours ago"],
        ),
        (
            "0000000004",
            "3 hours",
            "'of_tomorrow'",
            &["does not know that outcome", "of_tomorrow"],
        ),
        (
            "0000000005",
            "3 days",
            "'misconfigured'",
            &[
                "MATRICA_CLIENT_SECRET",
                " 1 other attempt(s)",
                "and 1 signed in",
                "reference=0000000005",
            ],
        ),
        ("0000000006", "3 days", "'misconfigured'", &["not measured"]),
        ("0000000007", "3 days", "'signed_in'", &["3 days ago"]),
    ];
    for (reference, age, outcome, _) in attempts {
        let row = format!(
            "insert into login_attempts (state_hash, reference, burnt_at, outcome, exchange_ms, profile_ms)
             values (sha256('{reference}'), '{reference}', now() - interval '{age}', {outcome}, 1234, 56)"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(row));
        row.execute(&database.pool).await.unwrap();
    }
    for (reference, _, _, words) in attempts {
        let text = said(&database.url, reference).await;
        for word in words {
            assert!(text.contains(word), "no {word:?} in {text}");
        }
    }
}

#[tokio::test]
async fn what_is_neither_a_reference_nor_a_name_is_refused() {
    for what in [
        "",
        "0000000001x",
        "nonsense",
        "1234567890; drop table users",
        "../../etc",
    ] {
        let output = explain("", what).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{what}: {errors}");
        assert!(errors.contains("provider_unavailable"), "{errors}");
        assert!(output.stdout.is_empty());
    }
    let output = explain("", "0000000001").await;
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("DATABASE_URL is required"), "{errors}");
    let database = TestDatabase::create_empty().await;
    let output = explain(&database.url, "0000000001").await;
    assert_eq!(output.status.code(), Some(1));
    let text = said(&TestDatabase::create().await.url, " 0000000Bcd ").await;
    assert!(text.contains("request_id=0000000bcd"), "{text}");
}

#[tokio::test]
async fn every_error_page_shows_the_reference_that_finds_its_request() {
    let app = TestApp::with(&[("SUPPORT_URL", "https://app.example/help")]).await;
    let mut browser = app.signed_in("ada").await;
    let long = format!("/?q={}", "a".repeat(9_000));
    let answers = [
        (404, browser.get("/nowhere").await),
        (404, browser.get("/api/nowhere").await),
        (414, browser.get(&long).await),
        (405, browser.post("/healthz", &[]).await),
        (400, browser.get("/auth/callback?code=%00").await),
        (404, browser.get("/auth/callback/nowhere").await),
        (404, browser.post("/settings/link/nowhere", &[]).await),
        (503, {
            app.engine.db.close();
            browser.get("/settings").await
        }),
    ];
    for (status, answer) in answers {
        let reference = answer.header("x-request-id").to_owned();
        let answer = answer.assert_status(status).assert_contains(&reference);
        assert!(answer.body.to_lowercase().contains("reference"));
        let text = said(&app.database.url, &reference).await;
        assert!(text.contains(&format!("request_id={reference}")), "{text}");
    }
}
