//! Each part of a data page fails alone, and foreign text is never markup.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::support::{ALL_SCOPES, Answer, Browser, TestApp};

/// A page within this time, although one answer behind it never comes. A busy machine needs more than it waits.
const PATIENCE: Duration = Duration::from_millis(4_800);
/// Apps at the same time.
const SIDE_BY_SIDE: usize = 4;
/// More pages than anybody's data leads to.
const PAGES_MAX: usize = 100;

const PAGES: [&str; 5] = [
    "/account",
    "/account/wallets",
    "/account/nfts",
    "/account/tokens",
    "/account/domains",
];

/// A part of a page.
struct Part {
    endpoint: &'static str,
    path: &'static str,
    /// The markup around it.
    place: (&'static str, &'static str),
    noun: &'static str,
    /// Words shown for ada.
    filled: &'static str,
    empty: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Sees {
    Filled,
    Empty,
    Unavailable,
    NotShared,
    Text(&'static str),
}

const fn part(
    endpoint: &'static str,
    path: &'static str,
    place: (&'static str, &'static str),
    noun: &'static str,
    filled: &'static str,
    empty: &'static str,
) -> Part {
    Part {
        endpoint,
        path,
        place,
        noun,
        filled,
        empty,
    }
}

const PARTS: [Part; 12] = [
    part(
        "profile",
        "/account",
        ("<div class=\"identity-text\">", "</div>"),
        "profile",
        "<bdi>ada</bdi> at Matrica",
        "<h1 class=\"identity-name\"><bdi>Ada Lindqvist</bdi></h1> </div>",
    ),
    part(
        "wallets",
        "/account",
        ("<h2 id=\"wallets\">", "</section>"),
        "wallets",
        "Primary on Solana",
        "No wallets yet. Link one",
    ),
    part(
        "nfts",
        "/account",
        ("<h2 id=\"nfts\">", "</section>"),
        "NFTs",
        "<bdi>Paper Otters #1000</bdi>",
        "No NFTs yet. They",
    ),
    part(
        "email",
        "/account",
        ("<dt>E-mail</dt>", "</dd>"),
        "e-mail address",
        "<bdi>ada@example.com</bdi>",
        "None linked",
    ),
    part(
        "twitter",
        "/account",
        ("<dt>X</dt>", "</dd>"),
        "X account",
        "<bdi>ada_lindqvist</bdi>",
        "None linked",
    ),
    part(
        "discord",
        "/account",
        ("<dt>Discord</dt>", "</dd>"),
        "Discord account",
        "<bdi>ada#0001</bdi>",
        "None linked",
    ),
    part(
        "telegram",
        "/account",
        ("<dt>Telegram</dt>", "</dd>"),
        "Telegram account",
        "<bdi>ada_l</bdi>",
        "None linked",
    ),
    part(
        "roles",
        "/account",
        ("<h2 id=\"roles\">", "</section>"),
        "roles",
        "<bdi>Holder</bdi>",
        "No roles yet. Roles",
    ),
    part(
        "wallets",
        "/account/wallets",
        ("<h1>Wallets</h1>", "</main>"),
        "wallets",
        "1 to 5 of 5",
        "<h2>No wallets yet</h2>",
    ),
    part(
        "nfts",
        "/account/nfts",
        ("<h1>NFTs</h1>", "</main>"),
        "NFTs",
        "1 to 12 of 12",
        "<h2>No NFTs yet</h2>",
    ),
    part(
        "tokens",
        "/account/tokens",
        ("<h1>Tokens</h1>", "</main>"),
        "token balances",
        "1 to 5 of 5",
        "<h2>No tokens yet</h2>",
    ),
    part(
        "domains",
        "/account/domains",
        ("<h1>Domains</h1>", "</main>"),
        "domains",
        "<bdi>ada.sol</bdi>",
        "<h2>No domains yet</h2>",
    ),
];

impl Part {
    fn is_list(&self) -> bool {
        self.path != "/account" || ["wallets", "nfts", "roles"].contains(&self.endpoint)
    }

    fn words(&self, sees: Sees) -> String {
        match sees {
            Sees::Filled => self.filled.to_owned(),
            Sees::Empty => self.empty.to_owned(),
            Sees::Unavailable => format!("We can&#39;t show your {} right now", self.noun),
            Sees::NotShared => format!("You don&#39;t share your {} with us", self.noun),
            Sees::Text(text) => text.to_owned(),
        }
    }

    /// The part has these words and none of another state. The other parts of the page are filled.
    #[track_caller]
    fn check(&self, page: &Answer, sees: Sees, why: &Value) {
        assert_eq!(
            page.status, 200,
            "{} at {}: {why}: {}",
            self.endpoint, self.path, page.body
        );
        read(&page.body);
        self.check_alone(page, sees, why);
        let others = PARTS
            .iter()
            .filter(|other| other.path == self.path && other.endpoint != self.endpoint);
        others.for_each(|other| other.check_alone(page, Sees::Filled, why));
    }

    #[track_caller]
    fn check_alone(&self, page: &Answer, sees: Sees, why: &Value) {
        let (from, to) = self.place;
        let (_, rest) = page
            .body
            .split_once(from)
            .unwrap_or_else(|| panic!("no {from} in {}", page.body));
        let end = rest.find(to).unwrap() + to.len();
        let section = rest[..end].split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = self.words(sees);
        assert!(
            section.contains(&expected),
            "{} at {}: {why}: no {expected:?} in {section}",
            self.endpoint,
            self.path
        );
        for other in [
            Sees::Filled,
            Sees::Empty,
            Sees::Unavailable,
            Sees::NotShared,
        ] {
            let words = self.words(other);
            assert!(
                words == expected || !section.contains(&words),
                "{}: {why}: {words:?}",
                self.endpoint
            );
        }
        let excused = matches!(sees, Sees::Unavailable | Sees::NotShared);
        if excused && self.path != "/account" {
            let way_on = if matches!(sees, Sees::NotShared) {
                "action=\"/auth/login\"".to_owned()
            } else {
                self.try_again()
            };
            assert!(
                section.contains(&way_on),
                "{}: {why}: no {way_on} in {section}",
                self.endpoint
            );
        }
    }

    fn try_again(&self) -> String {
        format!("href=\"{}\">Try again</a>", self.path)
    }

    /// Answers of the provider, and how they are shown.
    fn cases(&self) -> Vec<(Value, Sees)> {
        let key = self.endpoint;
        let body = |body: &str| json!({ "status": 200, "body": body });
        let status = |status: u16| json!({ "status": status });
        let wrapped = |value: Value| json!({ key: value }).to_string();
        let mut nothing = vec![String::new(), " \n".into(), "null".into(), "{}".into()];
        nothing.push("\u{feff}{}".into());
        nothing.extend([wrapped(json!(null)), wrapped(json!({}))]);
        let mut unreadable = vec![
            "garbage",
            "<html><script>alert(1)</script>",
            "{\"",
            "7",
            "true",
        ];
        let mut wrong = Vec::new();
        if self.is_list() {
            nothing.extend(["[]".to_owned(), wrapped(json!([]))]);
            wrong.extend([
                wrapped(json!(7)),
                wrapped(json!("text")),
                json!({ "error": "none" }).to_string(),
            ]);
        } else {
            unreadable.extend(["[]", "[7]"]);
        }
        match key {
            "profile" => {}
            "email" => {
                nothing.push(wrapped(json!("")));
                wrong.extend([
                    wrapped(json!(7)),
                    wrapped(json!(["a@example.com"])),
                    json!({ "else": 1 }).to_string(),
                ]);
            }
            _ if self.is_list() => {}
            _ => wrong.extend([
                wrapped(json!(7)),
                wrapped(json!("text")),
                wrapped(json!([{ "name": "a" }])),
            ]),
        }
        let mut cases = vec![
            (json!({ "times": 0 }), Sees::Filled),
            (status(204), Sees::Empty),
        ];
        cases.extend(nothing.iter().map(|text| (body(text), Sees::Empty)));
        cases.extend([401, 403, 429, 500, 503].map(|number| (status(number), Sees::Unavailable)));
        let linked = ["email", "twitter", "discord", "telegram"].contains(&self.endpoint);
        let missing = if linked {
            Sees::Empty
        } else {
            Sees::Unavailable
        };
        cases.push((status(404), missing));
        let refused = json!({ "status": 403, "body": "{}" });
        cases.push((refused, Sees::NotShared));
        cases.push((json!({ "close": "before_headers" }), Sees::Unavailable));
        cases.push((json!({ "close": "mid_body" }), Sees::Unavailable));
        cases.extend(
            unreadable
                .iter()
                .map(|text| (body(text), Sees::Unavailable)),
        );
        cases.extend(wrong.iter().map(|text| (body(text), Sees::Unavailable)));
        // A bare string is valid as an e-mail address only.
        let string = if key == "email" {
            Sees::Text("<bdi>text</bdi>")
        } else {
            Sees::Unavailable
        };
        cases.push((body("\"text\""), string));
        cases.push((
            body(&hostile(key, "<script>alert(1)</script>")),
            Sees::Text("&#60;script&#62;alert(1)"),
        ));
        cases
    }

    async fn suffer(&self) {
        let app = TestApp::without_cache(&[ALL_SCOPES]).await;
        let mut browser = app.signed_in("ada").await;
        for (fault, sees) in self.cases() {
            app.provider.fault(self.endpoint, fault.clone()).await;
            self.check(&browser.get(self.path).await, sees, &fault);
            app.provider.mend().await;
            if self.path != "/account" {
                // Success also resets the circuit breaker, which opens after ten failures in a row.
                self.check(
                    &browser.get(self.path).await,
                    Sees::Filled,
                    &json!("mended"),
                );
            }
        }
        self.check(
            &browser.get(self.path).await,
            Sees::Filled,
            &json!("mended"),
        );
    }

    async fn wait(&self) {
        let app = TestApp::with(&[ALL_SCOPES]).await;
        let mut browser = app.signed_in("ada").await;
        let fault = json!({ "delay_ms": 60_000 });
        app.provider.fault(self.endpoint, fault.clone()).await;
        let started = Instant::now();
        let page = browser.get(self.path).await;
        let waited = started.elapsed();
        self.check(&page, Sees::Unavailable, &fault);
        assert!(
            waited < PATIENCE,
            "{} at {}: {waited:?}",
            self.endpoint,
            self.path
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_of_a_page_stands_or_falls_alone_whatever_the_provider_answers() {
    stream::iter(&PARTS)
        .for_each_concurrent(SIDE_BY_SIDE, Part::suffer)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_costs_its_own_part_and_two_and_a_half_seconds() {
    stream::iter(&PARTS)
        .for_each_concurrent(SIDE_BY_SIDE, Part::wait)
        .await;
}

/// An answer with `text` in every field that is shown. The other fields keep each item valid.
fn hostile(resource: &str, text: &str) -> String {
    let social = json!({ "name": text, "externalId": text, "externalName": text });
    let collection = json!({ "id": text, "name": text });
    let nft = |id: &str| {
        json!({
            "id": id, "name": text, "image": text, "status": text, "networkSymbol": text, "isCompressed": text,
            "inscriptionNumber": text, "ownerId": text, "collection": collection,
        })
    };
    let balance = |id: &str| {
        json!({
            "totalAmount": text, "stakedAmount": text, "amount": text, "walletId": text, "tokenId": id,
            "token": { "networkSymbol": text, "name": text, "symbol": text, "id": text },
        })
    };
    let owner = json!({ "id": text, "networkSymbol": text });
    let answer = match resource {
        "profile" => {
            json!({ "profile": { "id": "fine", "username": text, "createdDate": text, "profile": {
            "id": text, "name": text, "vanityURL": text, "about": text, "website": text, "pfp": text, "banner": text,
            "pfpNFT": { "id": text, "collection": collection },
        } } })
        }
        "wallets" => json!({ "wallets": [
            { "id": text, "networkSymbol": text, "primaryWalletOn": [text, text], "activeChains": [text] },
        ] }),
        "email" => json!({ "email": text }),
        "roles" => json!({ "roles": [
            { "id": "fine", "name": text, "guildId": text }, { "id": text, "name": null, "guildId": null },
        ] }),
        "nfts" => json!([nft(text), nft("fine")]),
        "tokens" => json!([balance(text), balance("fine")]),
        "domains" => json!([
            { "key": text, "name": text, "extension": text, "ownerWallet": owner },
            { "name": text, "ownerWallet": owner },
        ]),
        other => json!({ other: social }),
    };
    answer.to_string()
}

const ATTACKS: [&str; 15] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)' x='",
    "</title></bdi></code></option></select></main><svg/onload=alert(1)>",
    "--><script>alert(1)</script><!--",
    "<![CDATA[<script>alert(1)</script>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;&#x202E;&#0;",
    "javascript:alert(1)",
    " JaVa\tScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "http://example.com/a.png",
    "//example.com/a.png",
    "https://example.com/a.png\" onerror=\"alert(1)",
    "https://example.com/\u{202E}gnp.a\u{2066}\u{FEFF}",
    "a\u{0}b\u{7}c\u{1B}[31md\u{8}e\u{7F}f\u{85}g\u{202E}h\u{2028}i\u{200B}j\r\nk",
];

#[tokio::test]
async fn hostile_text_in_every_field_stays_text_on_every_page() {
    let app = TestApp::without_cache(&[ALL_SCOPES, ("RATE_LIMIT", "off")]).await;
    let mut ada = app.signed_in("ada").await;
    for attack in ATTACKS {
        app.provider.mend().await;
        for part in PARTS {
            // Lists of exactly two items, so that no page leads to another one.
            let headers = json!({ "pagination-count": "2" });
            let fault = json!({ "status": 200, "headers": headers, "body": hostile(part.endpoint, attack) });
            app.provider.fault(part.endpoint, fault).await;
        }
        let mut newcomer = app.signed_in("ada").await;
        for browser in [&mut ada, &mut newcomer] {
            for path in PAGES {
                let page = browser.get(path).await.assert_status(200);
                assert!(
                    !page.body.contains("t show your"),
                    "{attack:?} at {path}: {}",
                    page.body
                );
                read(&page.body);
            }
        }
        leaf_through(&mut newcomer).await;
    }
}

#[tokio::test]
async fn mallory_is_text_all_over_and_her_fine_items_are_shown_all_the_same() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut browser = app.signed_in("mallory").await;
    for (path, fine) in [
        ("/account", "Primary on Solana"),
        ("/account", "Holder"),
        ("/account/wallets", "Primary on Solana"),
        ("/account/nfts", "Paper Otters #1000"),
        ("/account/tokens", "Solana"),
        ("/account/domains", "mallory.sol"),
    ] {
        let page = browser.get(path).await.assert_status(200);
        assert!(
            read(&page.body).text.contains(fine),
            "no {fine} at {path}: {}",
            page.body
        );
    }
    let seen = leaf_through(&mut browser).await;
    assert!(
        seen.iter()
            .filter(|target| target.starts_with("/account/nfts?"))
            .count()
            > 8,
        "{seen:?}"
    );
}

/// Reads every page that links and filters lead to, and returns their addresses.
async fn leaf_through(browser: &mut Browser) -> BTreeSet<String> {
    let mut ahead = VecDeque::from(["/".to_owned()]);
    let mut seen = BTreeSet::new();
    while let Some(target) = ahead.pop_front() {
        if !seen.insert(target.clone()) {
            continue;
        }
        assert!(seen.len() < PAGES_MAX, "it does not end: {seen:?}");
        let page = browser.get(&target).await;
        // The gate does not answer "not held" when NFTs are unreadable.
        let shut = target == "/holders" && [403, 503].contains(&page.status);
        assert!(page.status == 200 || shut, "{target}: {}", page.status);
        if !page.header("content-type").starts_with("text/html") {
            continue;
        }
        let mut choice = "";
        for element in &read(&page.body).elements {
            match (&*element.name, element.get("href"), element.get("value")) {
                ("a", Some(href), _) if href.starts_with('/') => ahead.push_back(href.to_owned()),
                ("select", ..) => {
                    choice = if element.get("name") == Some("network") {
                        "network"
                    } else {
                        "collection"
                    };
                }
                ("option", _, Some(value)) => {
                    let query = form_urlencoded::Serializer::new(String::new())
                        .append_pair(choice, value)
                        .finish();
                    ahead.push_back(format!("/account/nfts?{query}"));
                }
                _ => {}
            }
        }
    }
    seen
}

#[tokio::test]
async fn what_an_address_asks_to_filter_by_stays_text() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut browser = app.signed_in("ada").await;
    for attack in ATTACKS {
        for name in ["collection", "network", "page"] {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair(name, attack)
                .finish();
            let page = browser.get(&format!("/account/nfts?{query}")).await;
            assert!(
                [200, 400].contains(&page.status),
                "{query}: {}",
                page.status
            );
            read(&page.body);
        }
    }
}

#[tokio::test]
async fn a_vanity_url_is_a_name_and_leads_nowhere_but_to_matrica() {
    let app = TestApp::without_cache(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    for vanity in ["javascript:alert(1)", "https://example.com/ada", "ada"] {
        let profile = json!({ "profile": { "id": "fine", "profile": { "name": "Ada", "vanityURL": vanity } } });
        app.provider
            .fault(
                "profile",
                json!({ "status": 200, "body": profile.to_string() }),
            )
            .await;
        check_vanity(&ada.get("/account").await, vanity);
    }
    app.provider.mend().await;
    check_vanity(
        &app.signed_in("mallory").await.get("/account").await,
        "javascript:alert(1)",
    );
}

#[track_caller]
fn check_vanity(account: &Answer, vanity: &str) {
    let page = read(&account.body);
    assert!(
        page.text.contains(&format!("{vanity} at Matrica")),
        "{}",
        account.body
    );
    assert!(
        account
            .body
            .contains(&format!("<bdi>{vanity}</bdi> at Matrica")),
        "{}",
        account.body
    );
    let links = page
        .elements
        .iter()
        .filter_map(|element| element.get("href"));
    let own = format!("https://matrica.io/user/{vanity}");
    let led: Vec<_> = links.filter(|href| href.contains(vanity)).collect();
    let expected = if vanity == "ada" {
        vec![&*own]
    } else {
        Vec::new()
    };
    assert_eq!(led, expected);
}

/// A page, read.
struct Page {
    elements: Vec<Element>,
    text: String,
}

struct Element {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| &**value)
    }
}

/// The elements that our templates use.
const TAGS: &str = "a bdi body br button circle code dd details div dl dt footer form h1 h2 h3 head header html img \
                    input label li link main meta nav option p path rect section select span strong summary sup svg \
                    table tbody td th thead time title tr ul";
const VOID: &str = "br img input link meta";
/// The attributes that they use. None of them is a script or a style.
const ATTRIBUTES: &str = "action alt aria-current aria-hidden aria-label aria-labelledby autofocus charset class content cx cy d \
                          data-initial datetime data-label decoding download fill focusable for height href id lang loading media method name \
                          open popover popovertarget popovertargetaction property r referrerpolicy rel required \
                          role rx scope selected src stroke stroke-linecap \
                          stroke-linejoin stroke-width tabindex title type value viewBox width x y";

/// Reads a page more strictly than a browser, and fails on everything that our templates do not
/// write. That is other elements and attributes, unquoted values, characters that should have been
/// escaped or left out, elements closed in another order, and addresses outside of this site that
/// are not `https`.
#[track_caller]
fn read(html: &str) -> Page {
    let mut rest = html
        .trim_start()
        .strip_prefix("<!doctype html>")
        .unwrap_or_else(|| panic!("no page: {html}"));
    let (mut open, mut elements, mut text) = (Vec::new(), Vec::new(), String::new());
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(&plain(before));
        let (tag, after) = after.split_once('>').expect("a tag that ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(
                open.pop(),
                Some(name.to_owned()),
                "closed too early in {html}"
            );
            continue;
        }
        let element = element(tag);
        if !tag.ends_with('/') && !is_one_of(VOID, &element.name) {
            open.push(element.name.clone());
        }
        elements.push(element);
    }
    text.push_str(&plain(rest));
    assert_eq!(open, [""; 0], "never closed");
    Page { elements, text }
}

#[track_caller]
fn element(tag: &str) -> Element {
    let written = tag.strip_suffix('/').unwrap_or(tag);
    let (name, mut rest) = written.split_once(' ').unwrap_or((written, ""));
    assert!(is_one_of(TAGS, name), "a foreign element: <{tag}>");
    let mut attributes = Vec::new();
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        let (attribute, after) = rest.split_at(rest.find(['=', ' ']).unwrap_or(rest.len()));
        assert!(
            is_one_of(ATTRIBUTES, attribute),
            "a foreign attribute {attribute:?}: <{tag}>"
        );
        let value;
        (value, rest) = match after.strip_prefix("=\"") {
            Some(quoted) => quoted.split_once('"').expect("a closing quotation mark"),
            None => ("", after),
        };
        let value = plain(value);
        let here = value.starts_with('/') && !value.starts_with("//") && !value.starts_with("/\\");
        let fit = match (name, attribute) {
            ("img", "src") => value.starts_with("https://"),
            // The front page states its own address.
            ("link", "href") => here || value.starts_with("http://127.0.0.1:"),
            // The demo strip leads to the demo provider.
            ("a", "href") if value.starts_with("http://127.0.0.1:") => value.ends_with('/'),
            (_, "href") => here || value.starts_with("https://") || value == "#main",
            (_, "action" | "src") => here,
            _ => true,
        };
        assert!(fit, "an address that leads astray: <{tag}>");
        attributes.push((attribute.to_owned(), value));
    }
    Element {
        name: name.to_owned(),
        attributes,
    }
}

fn is_one_of(names: &str, name: &str) -> bool {
    names.split_whitespace().any(|known| known == name)
}

/// Text as it is read, out of text as it is written.
#[track_caller]
fn plain(written: &str) -> String {
    assert!(!written.contains('>'), "not escaped: {written:?}");
    let mut pieces = written.split('&');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (entity, after) = piece
            .split_once(';')
            .unwrap_or_else(|| panic!("not escaped: {written:?}"));
        let character = match entity {
            "#34" => '"',
            "#38" => '&',
            "#39" => '\'',
            "#60" => '<',
            "#62" => '>',
            _ => panic!("not escaped: {written:?}"),
        };
        text.push(character);
        text.push_str(after);
    }
    let misleading = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(
                c,
                '\u{61C}'
                    | '\u{200B}'
                    | '\u{200E}'
                    | '\u{200F}'
                    | '\u{2028}'
                    | '\u{2029}'
                    | '\u{FEFF}'
            )
            || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
    };
    assert!(!text.contains(misleading), "reorders or hides: {text:?}");
    text
}

#[test]
fn the_reader_fails_over_every_kind_of_foreign_markup() {
    let page = |inner: &str| format!("<!doctype html>\n<html><body>{inner}</body></html>\n");
    assert_eq!(
        read(&page("<a href=\"/a?b=c&#38;d\">&#60;b&#62;</a><br>"))
            .text
            .trim(),
        "<b>"
    );
    for foreign in [
        "<script>alert(1)</script>",
        "<img src=\"https://example.com/a.png\" onerror=\"alert(1)\">",
        "<img src=x>",
        "<img src=\"http://example.com/a.png\">",
        "<img src=\"data:image/png,\">",
        "<a href=\"javascript:alert(1)\">a</a>",
        "<a href=\"//example.com\">a</a>",
        "<form action=\"https://example.com\"></form>",
        "<p style=\"color: red\"></p>",
        "<p>a > b</p>",
        "<p>a & b</p>",
        "<p>&lt;</p>",
        "<p>\u{202E}</p>",
        "<p>\u{0}</p>",
        "<p title='a'></p>",
        "<p><bdi></p></bdi>",
        "</body>",
        "<!-- -->",
    ] {
        let result = std::panic::catch_unwind(|| drop(read(&page(foreign))));
        assert!(result.is_err(), "{foreign} went unnoticed");
    }
}
