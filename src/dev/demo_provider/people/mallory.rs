//! Somebody whose every text is an attack or an accident, in JSON that is well-formed. One item of each list is fine.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Person;
use crate::dev::demo_provider::{
    account::Account,
    generate::{domain, token, uuid, wallet},
    list::List,
    nfts::Nfts,
};

/// Characters of what is far too long, and digits of the longest amount.
const LONG: usize = 5_000;
const DIGITS: usize = 300;

const SCRIPT: &str = "<script>alert(1)</script>";
const ATTRIBUTE: &str = r#""><img src=x onerror=alert(1)>"#;
const SCRIPT_URL: &str = "javascript:alert(1)";
/// Browsers overlook blank, tab and capitals; a check that compares text does not.
const DISGUISED_URL: &str = " JaVa\tScRiPt:alert(1)";
const DATA_URL: &str = "data:text/html,<script>alert(1)</script>";
const DATA_IMAGE: &str =
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
const HTTP_URL: &str = "http://example.com/mallory.png";
/// `https`, but one that leaves the attribute it is put into.
const BREAKING_URL: &str = r#"https://example.com/a.png" onerror="alert(1)"#;
/// Reads as `ada.eth` where bidirectional controls are obeyed.
const REORDERED: &str = "\u{202E}hte.ada\u{202C}";
const HIDDEN: &str = "\u{FEFF}A\u{200B}d\u{200D}a\u{2060} L\u{AD}indqvist\u{200E}";
const INVISIBLE: &str = "\u{200B}\u{3164}\u{2060}";
/// NUL, which Postgres refuses, bell, a terminal's colour, backspace, delete and a C1 control.
const CONTROLS: &str = "a\u{0}b\u{7}c\u{1B}[31md\u{8}e\u{7F}f\u{85}g";
const LINES: &str = "first\nsecond\r\nthird\u{2028}fourth\u{2029}fifth\tend";
const EMOJI: &str = "🦊👩\u{200D}🚀";
const QUERY: &str = "'; drop table users; --";
const TEMPLATE: &str = "{{ 7 * 7 }} ${7 * 7} %s %n";

pub(super) fn account(person: &Person) -> Account {
    let fine = wallet(person.key, 2, "SOL", &["SOL"]);
    let Account { mut user, .. } = Account::bare(person);
    // All but the outer id, without which nobody could sign in.
    for (field, value) in [
        ("username", json!(HIDDEN)),
        ("isAdmin", json!("true")),
        ("registered", Value::Null),
        ("createdDate", json!(QUERY)),
        ("updatedDate", json!(1e300)),
        ("profile", profile()),
    ] {
        user[field] = value;
    }
    Account {
        user,
        email: json!(format!("{ATTRIBUTE}{SCRIPT}@example.com")),
        twitter: json!({ "name": SCRIPT, "externalId": 1_389_412_345_678_901_234_u64, "externalName": SCRIPT_URL }),
        discord: json!({ "name": long(REORDERED), "externalId": { "id": QUERY }, "externalName": CONTROLS }),
        telegram: json!({ "name": "", "externalName": [HIDDEN] }),
        roles: roles(),
        nfts: List::Kept(nfts(person, &fine)),
        tokens: List::Kept(tokens(&fine)),
        domains: List::Kept(domains(&fine)),
        wallets: wallets(fine),
    }
}

fn long(start: &str) -> String {
    format!("{start}{}", "W".repeat(LONG - start.chars().count()))
}

fn profile() -> Value {
    json!({
        "id": { "$ne": null },
        "name": long(&format!("{ATTRIBUTE}{REORDERED}")),
        "vanityURL": SCRIPT_URL,
        "about": LINES,
        "website": DATA_URL,
        "pfp": DATA_IMAGE,
        "banner": HTTP_URL,
        "pfpNFT": { "id": SCRIPT, "collection": [{ "id": ATTRIBUTE, "name": REORDERED }] },
    })
}

fn wallets(fine: Value) -> Arc<[Value]> {
    Arc::new([
        json!({
            "id": SCRIPT,
            "networkSymbol": ATTRIBUTE,
            "primaryWalletOn": [SCRIPT, "", 7, null],
            "activeChains": SCRIPT,
        }),
        json!({
            "id": REORDERED,
            "networkSymbol": EMOJI,
            "primaryWalletOn": { "SOL": true },
            "activeChains": [[], {}],
        }),
        fine,
        json!({
            "id": REORDERED,
            "networkSymbol": { "symbol": "SOL" },
            "primaryWalletOn": "SOL",
            "activeChains": null,
        }),
        json!({ "networkSymbol": long(CONTROLS), "primaryWalletOn": null }),
    ])
}

fn nfts(person: &Person, wallet: &Value) -> Vec<Value> {
    let fine = Nfts {
        owner: person.key,
        wallets: Arc::new([wallet.clone()]),
        count: 1,
    }
    .make(0);
    let nft = |id: &str, name: &str, image: &str, network: &str, collection: Value| {
        json!({
            "id": id,
            "name": name,
            "image": image,
            "status": name,
            "networkSymbol": network,
            "isCompressed": "yes",
            "inscriptionNumber": "0x10",
            "ownerId": id,
            "collection": collection,
        })
    };
    vec![
        nft(
            SCRIPT,
            SCRIPT,
            SCRIPT_URL,
            SCRIPT,
            json!({ "id": ATTRIBUTE, "name": SCRIPT }),
        ),
        nft(
            ATTRIBUTE,
            ATTRIBUTE,
            DATA_URL,
            EMOJI,
            json!({ "id": SCRIPT, "name": ATTRIBUTE }),
        ),
        nft(
            ATTRIBUTE,
            REORDERED,
            HTTP_URL,
            "DOGE",
            json!({ "id": REORDERED, "name": HIDDEN }),
        ),
        nft(
            CONTROLS,
            HIDDEN,
            DATA_IMAGE,
            INVISIBLE,
            json!([{ "id": CONTROLS, "name": LINES }]),
        ),
        nft(
            QUERY,
            &long(SCRIPT),
            &format!("https://example.com/{}", long("")),
            "sol",
            json!({ "name": long("") }),
        ),
        fine,
        nft(LINES, LINES, DISGUISED_URL, CONTROLS, json!(SCRIPT)),
        nft("", "", "", "", json!({ "id": "", "name": "" })),
        nft(
            "../../../oauth2/token?a=b#c",
            TEMPLATE,
            BREAKING_URL,
            " SOL ",
            json!({ "id": null, "name": null }),
        ),
        json!({
            "id": 17,
            "name": 1e300,
            "image": 0,
            "status": -1,
            "networkSymbol": 7,
            "isCompressed": 1,
            "inscriptionNumber": -0.5,
            "ownerId": false,
            "collection": { "id": 17, "name": ["Paper", "Otters"] },
        }),
        json!({
            "id": null,
            "name": { "en": SCRIPT },
            "image": [HTTP_URL],
            "networkSymbol": null,
            "inscriptionNumber": null,
            "ownerId": {},
            "collection": null,
        }),
        json!([]),
    ]
}

fn tokens(fine: &Value) -> Vec<Value> {
    let digits = "9".repeat(DIGITS);
    let balance = |amounts: [&str; 3], id: &str, token: Value| {
        let [total, staked, amount] = amounts;
        json!({
            "totalAmount": total,
            "stakedAmount": staked,
            "amount": amount,
            "walletId": id,
            "tokenId": id,
            "token": token,
        })
    };
    let markup =
        json!({ "networkSymbol": SCRIPT, "name": ATTRIBUTE, "symbol": SCRIPT, "id": ATTRIBUTE });
    let disguised =
        json!({ "networkSymbol": EMOJI, "name": REORDERED, "symbol": HIDDEN, "id": CONTROLS });
    let blank = json!({ "networkSymbol": "", "name": long(LINES), "symbol": INVISIBLE, "id": "" });
    vec![
        balance(["1e400", "-0", "NaN"], SCRIPT, markup),
        balance(["0x10", " 12 ", "1,5"], ATTRIBUTE, disguised),
        token(fine, "SOL", "Solana", "1.5", "0.5", "2.0"),
        balance([&digits, "", "-Infinity"], ATTRIBUTE, blank),
        json!({
            "totalAmount": 1e300,
            "stakedAmount": -0.0,
            "amount": 12,
            "walletId": 17,
            "tokenId": [SCRIPT],
            "token": { "networkSymbol": 7, "name": null, "symbol": { "text": SCRIPT }, "id": 17 },
        }),
        json!({ "totalAmount": null, "stakedAmount": { "value": "1" }, "walletId": null, "token": [SCRIPT] }),
    ]
}

fn domains(fine: &Value) -> Vec<Value> {
    vec![
        json!({
            "key": SCRIPT,
            "name": ATTRIBUTE,
            "extension": SCRIPT,
            "ownerWallet": { "id": ATTRIBUTE, "networkSymbol": SCRIPT },
        }),
        domain(fine, "mallory", "sol"),
        json!({
            "key": REORDERED,
            "name": long(HIDDEN),
            "extension": CONTROLS,
            "ownerWallet": [{ "id": LINES, "networkSymbol": EMOJI }],
        }),
        json!({ "key": REORDERED, "name": null, "ownerWallet": SCRIPT_URL }),
    ]
}

fn roles() -> Value {
    json!([
        { "id": SCRIPT, "name": ATTRIBUTE, "guildId": SCRIPT_URL },
        { "id": uuid("role holder"), "name": "Holder", "guildId": "801234567890123456" },
        { "id": SCRIPT, "name": long(REORDERED), "guildId": 801_234_567_890_123_456_u64 },
        { "id": 17, "name": LINES, "guildId": null },
        { "id": { "id": CONTROLS }, "name": "" },
        HIDDEN,
    ])
}
