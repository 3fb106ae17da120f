//! The whole flow in Firefox, with a driver of its own.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use thirtyfour::{By, Key, WebDriver, WebElement};

use crate::support::{Folder, dev::Dev, process};

const SEEN_WITHIN: Duration = Duration::from_secs(15);
const READY_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(50);
const GECKODRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/bin/geckodriver");

struct Firefox {
    driver: WebDriver,
    process: Child,
    _folder: Folder,
}

impl Firefox {
    async fn start() -> Self {
        let folder = Folder::new();
        let port = process::free_port();
        let program = std::env::var("GECKODRIVER").unwrap_or_else(|_| GECKODRIVER.to_owned());
        let profiles = folder.path().join("profiles");
        fs::create_dir_all(&profiles).unwrap();
        let mut command = Command::new(&program);
        command
            .args(["--port", &port.to_string(), "--profile-root"])
            .arg(profiles);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("{program}: {error}. Run scripts/test, which installs it, or set GECKODRIVER")
        });
        // No request leaves this machine.
        let preferences = json!({
            "network.proxy.type": 1, "network.proxy.http": "127.0.0.1", "network.proxy.http_port": 9,
            "network.proxy.ssl": "127.0.0.1", "network.proxy.ssl_port": 9,
            "network.proxy.no_proxies_on": "localhost, 127.0.0.1",
        });
        let Value::Object(capabilities) = json!({
            "browserName": "firefox",
            "moz:firefoxOptions": { "args": ["-headless"], "prefs": preferences },
        }) else {
            unreachable!()
        };
        let address = format!("http://127.0.0.1:{port}");
        let started = Instant::now();
        let driver = loop {
            match WebDriver::new(&address, capabilities.clone()).await {
                Ok(driver) => break driver,
                Err(error) => assert!(started.elapsed() < READY_WITHIN, "Firefox: {error}"),
            }
            tokio::time::sleep(POLL_EVERY).await;
        };
        Self {
            driver,
            process,
            _folder: folder,
        }
    }

    async fn see(&self, css: &str) -> WebElement {
        let started = Instant::now();
        loop {
            if let Ok(element) = self.driver.find(By::Css(css)).await
                && element.is_displayed().await.unwrap_or(false)
            {
                return element;
            }
            let source = self.driver.source().await.unwrap_or_default();
            assert!(started.elapsed() < SEEN_WITHIN, "no {css} in {source}");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    async fn click(&self, css: &str) {
        self.see(css).await.click().await.unwrap();
    }

    async fn quit(mut self) {
        self.driver.quit().await.unwrap();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ada_signs_in_looks_at_everything_and_signs_out() {
    let folder = Folder::new();
    let dev = Dev::start(&folder);
    let firefox = Firefox::start().await;
    let page = async |path: &str| {
        let address = format!("{}{path}", dev.url);
        firefox.driver.goto(address).await.unwrap();
    };
    page("/login").await;
    firefox
        .click("main form[action='/auth/login'] button")
        .await;
    firefox.click("#person-ada").await;
    let name = firefox.see("h1.identity-name").await;
    assert_eq!(name.text().await.unwrap(), "Ada Lindqvist");

    page("/account/nfts").await;
    firefox.click(".filters summary").await;
    firefox.click(".filters option[value='SOL']").await;
    firefox.click(".filters button").await;
    firefox.see(".filters .clear").await;
    firefox.click(".nft-link").await;
    firefox.see(".nft-page h1").await;

    page("/account/tokens").await;
    let amount = firefox.see(".amount-button").await;
    amount.send_keys(Key::Enter).await.unwrap();
    firefox.see(".popover .amount-exact").await;
    let open = async || {
        let open = firefox
            .driver
            .find_all(By::Css(".popover:popover-open"))
            .await;
        open.unwrap().len()
    };
    assert_eq!(open().await, 1);
    let keys = firefox.driver.action_chain().send_keys(Key::Escape);
    keys.perform().await.unwrap();
    assert_eq!(open().await, 0, "Escape closes it");

    page("/settings?done=ended").await;
    firefox.see("h2.notice-title").await;
    page("/nothing").await;
    firefox.see(".ways a[href='/account']").await;
    page("/account").await;
    firefox.click(".ways form button").await;
    firefox.see(".hero form").await;
    firefox.driver.back().await.unwrap();
    firefox.see("main form[action='/auth/login']").await;
    firefox.quit().await;
}
