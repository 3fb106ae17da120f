//! Every rule of the vocabulary opens for the right people, explains itself to others, and never
//! takes a missing answer for a no.

use serde_json::{Value, json};

use crate::support::{ALL_SCOPES, Answer, Browser, Folder, TestApp};

const OTTERS: &str = "363603bc-7a57-4e12-8d9e-b5511c5684d8";

/// The app with these gates. The folder holds the file.
async fn app_with(gates: &Value) -> (TestApp, Folder) {
    let folder = Folder::new();
    let file = folder.path().join("gates.json");
    std::fs::write(&file, gates.to_string()).unwrap();
    let settings = [ALL_SCOPES, ("GATES_FILE", file.to_str().unwrap())];
    (TestApp::without_cache(&settings).await, folder)
}

async fn ask(browser: &mut Browser, gate: &str) -> Answer {
    browser.get(&format!("/auth/check?gate={gate}")).await
}

async fn set(app: &TestApp, resource: &str, body: Value) {
    let answer = json!({ "status": 200, "body": body.to_string() });
    app.provider.fault(resource, answer).await;
}

fn nft(id: &str, collection: &str) -> Value {
    json!({ "id": id, "name": id, "collection": { "id": collection, "name": "Paper Otters" } })
}

fn balance(token: &str, wallet: &str, total: &str) -> Value {
    json!({ "tokenId": token, "walletId": wallet, "totalAmount": total })
}

fn otters(at_least: u32) -> Value {
    json!({ "nfts": { "collection": OTTERS, "name": "Paper Otters", "at_least": at_least } })
}

#[tokio::test]
async fn a_number_of_nfts_counts_each_once() {
    let (app, _folder) = app_with(&json!({ "three": otters(3) })).await;
    let mut browser = app.signed_in("newcomer").await;
    let held = [nft("a", OTTERS), nft("b", OTTERS), nft("c", OTTERS)];
    set(&app, "nfts", json!(held)).await;
    ask(&mut browser, "three").await.assert_status(204);
    let others = [nft("a", OTTERS), nft("b", OTTERS), nft("c", "another")];
    set(&app, "nfts", json!(others)).await;
    let refused = ask(&mut browser, "three").await.assert_status(403);
    assert!(refused.body.contains("you have 3 NFTs of Paper Otters"));
    let twice = [nft("a", OTTERS), nft("b", OTTERS), nft("b", OTTERS)];
    set(&app, "nfts", json!(twice)).await;
    ask(&mut browser, "three").await.assert_status(403);
    // An entry without an id may be the third.
    let unreadable = json!([nft("a", OTTERS), nft("b", OTTERS), { "name": "c" }]);
    set(&app, "nfts", unreadable).await;
    ask(&mut browser, "three").await.assert_status(503);
}

#[tokio::test]
async fn one_nft_is_known_by_its_address() {
    let gates = json!({
        "one": { "nft": { "id": "mint-1", "name": "Otter 1" } },
        "hex": { "nft": { "id": "0xAbC", "name": "Otter 2" } },
    });
    let (app, _folder) = app_with(&gates).await;
    let mut browser = app.signed_in("newcomer").await;
    set(&app, "nfts", json!([nft("mint-1", OTTERS)])).await;
    ask(&mut browser, "one").await.assert_status(204);
    set(&app, "nfts", json!([nft("mint-2", OTTERS)])).await;
    ask(&mut browser, "one").await.assert_status(403);
    set(
        &app,
        "nfts",
        json!([nft("MINT-1", OTTERS), nft("0xaBc", OTTERS)]),
    )
    .await;
    ask(&mut browser, "one").await.assert_status(403);
    ask(&mut browser, "hex").await.assert_status(204);
}

#[tokio::test]
async fn a_balance_is_the_exact_sum_of_all_wallets() {
    let rule =
        |at_least| json!({ "balance": { "token": "bonk", "name": "BONK", "at_least": at_least } });
    let gates = json!({ "exact": rule(json!("0.3")), "whole": rule(json!(100)) });
    let (app, _folder) = app_with(&gates).await;
    let mut browser = app.signed_in("newcomer").await;
    let cases = [
        // As floats, 0.1 and 0.2 make more than 0.3, and the first of these less.
        (
            json!([balance("bonk", "w1", "0.1"), balance("bonk", "w2", "0.2")]),
            204,
        ),
        (
            json!([
                balance("bonk", "w1", "0.1"),
                balance("bonk", "w2", "0.19999999999999999999")
            ]),
            403,
        ),
        (json!([balance("other", "w1", "5")]), 403),
        (json!([]), 403),
        // The same wallet again is no second amount.
        (
            json!([balance("bonk", "w1", "0.2"), balance("bonk", "w1", "0.2")]),
            403,
        ),
        (
            json!([balance("bonk", "w1", "0.2"), balance("bonk", "w2", "many")]),
            503,
        ),
    ];
    for (body, status) in cases {
        set(&app, "tokens", body.clone()).await;
        let answer = ask(&mut browser, "exact").await;
        assert_eq!(answer.status, status, "{body}");
    }
    let refused = ask(&mut browser, "whole").await;
    assert_eq!(refused.status, 503);
    set(&app, "tokens", json!([])).await;
    let refused = ask(&mut browser, "whole").await.assert_status(403);
    assert!(refused.body.contains("you have at least 100 BONK"));
}

#[tokio::test]
async fn domains_accounts_and_people_open_gates() {
    let gates = json!({
        "sol": { "domain": { "ending": "sol" } },
        "below": { "domain": { "ending": "Otters.SOL" } },
        "discord": { "linked": "discord" },
    });
    let (app, folder) = app_with(&gates).await;
    let (mut ada, mut empty) = (app.signed_in("ada").await, app.signed_in("empty").await);
    set(&app, "domains", json!([{ "name": "den.otters.sol" }])).await;
    ask(&mut ada, "sol").await.assert_status(204);
    ask(&mut ada, "below").await.assert_status(204);
    set(
        &app,
        "domains",
        json!([{ "name": "notsol" }, { "name": "sol" }]),
    )
    .await;
    ask(&mut ada, "sol").await.assert_status(403);
    ask(&mut ada, "discord").await.assert_status(204);
    let refused = ask(&mut empty, "discord").await.assert_status(403);
    assert!(refused.body.contains("a linked Discord account"));

    let id = ada.get("/auth/check").await.headers["x-user-id"].clone();
    let id = id.to_str().unwrap();
    let gates = json!({ "list": { "people": [id] }, "others": { "not": { "people": [id] } } });
    let file = folder.path().join("people.json");
    std::fs::write(&file, gates.to_string()).unwrap();
    let replica = [ALL_SCOPES, ("GATES_FILE", file.to_str().unwrap())];
    let replica = app.replica_with(&replica).await;
    for (browser, on_list) in [(&mut ada, true), (&mut empty, false)] {
        for (gate, open) in [("list", on_list), ("others", !on_list)] {
            let url = format!("{}/auth/check?gate={gate}", replica.url);
            let answer = browser.get(&url).await;
            answer.assert_status(if open { 204 } else { 403 });
        }
    }
}

#[tokio::test]
async fn no_answer_is_neither_a_yes_nor_a_no() {
    let role = json!({ "role": { "guild": "g", "role": "r", "name": "Captain" } });
    let gates = json!({
        "any": { "any": [role, otters(1)] },
        "all": { "all": [role, otters(1)] },
        "not": { "not": role },
        "neither": { "not": { "any": [role, otters(1)] } },
    });
    let (app, _folder) = app_with(&gates).await;
    let mut browser = app.signed_in("newcomer").await;
    let (yes, no) = (json!([nft("a", OTTERS)]), json!([]));
    let captain = json!([{ "id": "r", "name": "Captain", "guildId": "g" }]);
    let silent = json!(null);
    // Roles, NFTs, then the answers of the four gates.
    let cases = [
        (&captain, &yes, [204, 204, 403, 403]),
        (&captain, &no, [204, 403, 403, 403]),
        (&no, &yes, [204, 403, 204, 403]),
        (&no, &no, [403, 403, 204, 204]),
        (&silent, &yes, [204, 503, 503, 403]),
        (&silent, &no, [503, 403, 503, 503]),
        (&silent, &silent, [503, 503, 503, 503]),
    ];
    for (roles, nfts, expected) in cases {
        for (resource, body) in [("roles", roles), ("nfts", nfts)] {
            if body.is_null() {
                app.provider.fault(resource, json!({ "status": 404 })).await;
            } else {
                set(&app, resource, body.clone()).await;
            }
        }
        let mut found = Vec::new();
        for gate in ["any", "all", "not", "neither"] {
            found.push(ask(&mut browser, gate).await.status);
        }
        assert_eq!(found, expected, "roles {roles}, NFTs {nfts}");
    }
    set(&app, "roles", captain).await;
    let refused = ask(&mut browser, "not").await.assert_status(403);
    refused.assert_contains("It opens only if you don't have the Discord role Captain.");
}

#[tokio::test]
async fn a_scope_that_is_not_shared_opens_no_gate_that_asks_for_its_absence() {
    let folder = Folder::new();
    let file = folder.path().join("gates.toml");
    let rule = r#"[banned]
not = { role = { guild = "g", role = "r", name = "Banned" } }
"#;
    std::fs::write(&file, rule).unwrap();
    let settings = [
        ("MATRICA_SCOPES", "profile nfts"),
        ("GATES_FILE", file.to_str().unwrap()),
    ];
    let app = TestApp::with(&settings).await;
    let warnings = &app.engine.config.warnings;
    let unasked = "the gate banned needs the scope roles, which MATRICA_SCOPES does not have";
    assert!(
        warnings.iter().any(|warning| warning == unasked),
        "{warnings:?}"
    );
    let mut browser = app.signed_in("newcomer").await;
    ask(&mut browser, "banned").await.assert_status(403);
}

#[tokio::test]
async fn a_rule_of_the_file_replaces_the_one_of_the_code() {
    let gates = json!({ "paper-otters": { "any": [otters(2), { "linked": "email" }] } });
    let (app, _folder) = app_with(&gates).await;
    let mut browser = app.signed_in("empty").await;
    let page = browser.get("/holders").await.assert_status(403);
    page.assert_contains("you have 2 NFTs of Paper Otters or you have an e-mail address");
    set(&app, "nfts", json!([nft("a", OTTERS), nft("b", OTTERS)])).await;
    let page = browser.get("/holders").await.assert_status(200);
    page.assert_contains("This page opens if you have 2 NFTs of Paper Otters or");
    ask(&mut browser, "nothing").await.assert_status(400);
}

#[tokio::test]
async fn an_answer_that_does_not_come_holds_up_no_yes() {
    let role = json!({ "role": { "guild": "g", "role": "r", "name": "Captain" } });
    let (app, _folder) = app_with(&json!({ "any": { "any": [role, otters(1)] } })).await;
    let mut browser = app.signed_in("newcomer").await;
    set(&app, "nfts", json!([nft("a", OTTERS)])).await;
    let slow = json!({ "delay_ms": 60_000 });
    app.provider.fault("roles", slow).await;
    let started = std::time::Instant::now();
    ask(&mut browser, "any").await.assert_status(204);
    let took = started.elapsed();
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");
}
