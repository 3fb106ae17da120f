//! A real Chromium with a new profile, driven by chromedriver. Both end with the test.

use std::{
    env, fmt,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    ops::Deref,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Client, Method};
use serde_json::{Map, Value, json};
use thirtyfour::{
    By, Key, RequestData, SessionId, WebDriver, WebElement, WindowHandle,
    common::command::FormatRequestData,
};
use url::Url;

use super::{Folder, eventually::wait_until};

const DRIVER_READY_WITHIN: Duration = Duration::from_secs(30);
const SEEN_WITHIN: Duration = Duration::from_secs(30);
/// Longest wait for one command, such as opening a page on a busy machine.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(90);
const QUIT_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(20);
/// Tab stops before a search by keyboard gives up.
const TABS_MAX: usize = 60;
/// Tab stops in one round through a page, far above those of the longest page. More are a loop.
const STOPS_MAX: usize = 300;
/// Elements named for each rule that a page breaks.
const ELEMENTS_MAX: usize = 3;

const BROWSERS: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];
/// No request leaves this machine, neither for its own services nor for the pictures of the demo
/// people.
const ARGUMENTS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
];

/// The machine-testable rules of WCAG 2.2 up to level AA, and the best practices of axe.
const AXE_TAGS: [&str; 6] = [
    "wcag2a",
    "wcag2aa",
    "wcag21a",
    "wcag21aa",
    "wcag22aa",
    "best-practice",
];
const AXE_FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/target/tools/node_modules/axe-core/axe.min.js"
);

/// Names everything that Tab should stop at.
const CONTROLS: &str = "(() => {
    const kinds = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex=\"0\"]';
    const seen = element => !element.matches(':disabled') && element.checkVisibility({ visibilityProperty: true });
    const text = element => (element.innerText || element.cloneNode().outerHTML).replace(/\\s+/g, ' ');
    const name = (element, index) => [element, `${index + 1}. ${element.localName} ${text(element)}`];
    window.controls = new Map([...document.querySelectorAll(kinds)].filter(seen).map(name));
    return [...controls.values()];
})()";
/// The focused element, and its faults. A pixel outside of the window is due to rounded scrolling.
const STOP: &str = "(() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const box = element.getBoundingClientRect();
    const line = element.getClientRects()[0] ?? box;
    const top = document.elementFromPoint(line.x + line.width / 2, line.y + line.height / 2);
    const style = getComputedStyle(element);
    const faults = {
        'is not :focus-visible': !element.matches(':focus-visible'),
        'is outside of the window': Math.min(box.left, box.top, innerWidth - box.right, innerHeight - box.bottom) < -1,
        'cannot be seen': !element.contains(top),
        'has no outline': style.outlineStyle === 'none' && style.boxShadow === 'none',
    };
    const name = controls.get(element) ?? element.cloneNode().outerHTML;
    return [name, Object.keys(faults).filter(fault => faults[fault])];
})()";

/// A command outside of the `WebDriver` standard, to the page's developer tools.
#[derive(Debug)]
struct DevTools(&'static str, Value);

impl FormatRequestData for DevTools {
    fn format_request(&self, session: &SessionId) -> RequestData {
        let Self(command, parameters) = self;
        RequestData::new(Method::POST, format!("session/{session}/goog/cdp/execute"))
            .add_body(json!({ "cmd": command, "params": parameters }))
    }
}

pub struct Chromium {
    driver: Option<WebDriver>,
    process: Driver,
}

/// chromedriver, and the folder with the profile and everything else of this browser.
struct Driver {
    child: Child,
    address: String,
    folder: Folder,
}

impl Deref for Chromium {
    type Target = WebDriver;

    fn deref(&self) -> &WebDriver {
        self.driver.as_ref().unwrap()
    }
}

impl Chromium {
    pub async fn start() -> Self {
        Self::with_preferences(json!({})).await
    }

    /// One that runs no script of any page.
    pub async fn without_javascript() -> Self {
        Self::with_preferences(json!({ "profile.managed_default_content_settings.javascript": 2 }))
            .await
    }

    async fn with_preferences(preferences: Value) -> Self {
        let browser = program("CHROME", &BROWSERS);
        let process = Driver::start();
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).into();
        arguments.push(format!(
            "--user-data-dir={}",
            process.folder.path().join("profile").display()
        ));
        let Value::Object(capabilities) = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": browser, "args": arguments, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
        }) else {
            unreachable!()
        };
        let driver = connect(&process.address, capabilities).await;
        Self {
            driver: Some(driver),
            process,
        }
    }

    /// Waits until the page has this element, and it can be seen.
    pub async fn see(&self, css: &str) -> WebElement {
        self.find_soon(By::Css(css), css).await
    }

    /// Waits until the page shows this heading.
    pub async fn see_heading(&self, text: &str) {
        self.find_soon(
            By::XPath(format!("//h1[normalize-space()=\"{text}\"]")),
            text,
        )
        .await;
    }

    /// Waits until the page shows this text in one element.
    pub async fn see_text(&self, text: &str) {
        self.find_soon(
            By::XPath(format!("//main//*[normalize-space()=\"{text}\"]")),
            text,
        )
        .await;
    }

    pub async fn press(&self, button: &str) {
        let button_of = format!("//button[normalize-space()=\"{button}\"]");
        self.find_soon(By::XPath(button_of), button)
            .await
            .click()
            .await
            .unwrap();
    }

    /// Chooses on the provider's consent page.
    pub async fn choose(&self, person: &str) {
        self.see(&format!("#person-{person}"))
            .await
            .click()
            .await
            .unwrap();
    }

    /// Waits until this is the path of the page's address.
    pub async fn arrive(&self, path: &str) -> Url {
        let deadline = Instant::now() + SEEN_WITHIN;
        loop {
            let url = self.current_url().await.unwrap();
            if url.path() == path {
                return url;
            }
            assert!(
                Instant::now() < deadline,
                "still at {url} instead of {path}"
            );
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Waits until a page of this site has loaded completely.
    pub async fn loaded(&self, site: &str) {
        let deadline = Instant::now() + SEEN_WITHIN;
        loop {
            let url = self.current_url().await.unwrap();
            let state = self.execute("return document.readyState", Vec::new()).await;
            let state = state.and_then(|state| state.convert::<String>());
            if url.as_str().starts_with(site) && state.is_ok_and(|state| state == "complete") {
                return;
            }
            assert!(Instant::now() < deadline, "{url} does not load");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    async fn find_soon(&self, by: By, what: &str) -> WebElement {
        let deadline = Instant::now() + SEEN_WITHIN;
        loop {
            // Between two pages the element may be there and gone again, so errors mean "not yet"
            // as well.
            if let Ok(element) = self.find(by.clone()).await
                && element.is_displayed().await.unwrap_or(false)
            {
                return element;
            }
            if Instant::now() > deadline {
                let (url, source) = (self.current_url().await, self.source().await);
                panic!("no {what:?} at {url:?}: {}", source.unwrap_or_default());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Whether the page has this element now.
    pub async fn has(&self, css: &str) -> bool {
        !self.find_all(By::Css(css)).await.unwrap().is_empty()
    }

    /// Whether the page's source has this text now.
    pub async fn shows(&self, text: &str) -> bool {
        self.source().await.unwrap().contains(text)
    }

    /// Presses a key at the keyboard's focus.
    pub async fn key(&self, key: Key) {
        self.action_chain().send_keys(key).perform().await.unwrap();
    }

    /// Goes on with Tab until this element has the focus.
    pub async fn tab_to(&self, css: &str) {
        self.see(css).await;
        for _ in 0..TABS_MAX {
            self.key(Key::Tab).await;
            if self.has(&format!("{css}:focus-visible")).await {
                return;
            }
        }
        panic!("{TABS_MAX} times Tab do not lead to {css}");
    }

    /// Obstacles on a walk with Tab through a page that was just opened.
    pub async fn obstacles(&self) -> Vec<String> {
        let controls: Vec<String> = serde_json::from_value(self.evaluate(CONTROLS).await).unwrap();
        let (mut stops, mut obstacles) = (Vec::new(), Vec::new());
        while stops.len() < STOPS_MAX {
            self.key(Key::Tab).await;
            let stop: Option<(String, Vec<String>)> =
                serde_json::from_value(self.evaluate(STOP).await).unwrap();
            // After the last one the focus leaves the page, and may already be back at the first.
            let Some((name, faults)) = stop.filter(|(name, _)| stops.first() != Some(name)) else {
                break;
            };
            obstacles.extend(faults.iter().map(|fault| format!("{name}: {fault}")));
            stops.push(name);
        }
        for control in &controls {
            let times = stops.iter().filter(|stop| *stop == control).count();
            if times != 1 {
                obstacles.push(format!("{control}: {times} times in one round"));
            }
        }
        let others = stops.iter().filter(|stop| !controls.contains(stop));
        obstacles.extend(others.map(|stop| format!("{stop}: is no control")));
        if obstacles.is_empty() && stops != controls {
            obstacles.push(format!(
                "another order than that of the document: {stops:?}"
            ));
        }
        obstacles
    }

    /// Opens a tab and goes there.
    pub async fn open_tab(&self) -> WindowHandle {
        let tab = self.new_tab().await.unwrap();
        self.switch_to_window(tab.clone()).await.unwrap();
        tab
    }

    /// Every cookie of every site.
    pub async fn cookies(&self) -> Vec<Value> {
        let answer = self.dev_tools("Storage.getCookies", json!({})).await;
        answer["cookies"].as_array().unwrap().clone()
    }

    /// Complaints of the console since the last call. The pictures of the demo people do not exist,
    /// which is not the page's fault.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.browser_log().await.unwrap().into_iter();
        let complaints = entries.filter(|entry| entry.level != "INFO" && entry.level != "DEBUG");
        complaints
            .map(|entry| entry.message)
            .filter(|text| !text.starts_with("https://example.com/"))
            .collect()
    }

    /// Findings of axe in the page as it looks now, one line for each rule.
    pub async fn violations(&self) -> Vec<String> {
        // Half a megabyte, so once per page and not once per look.
        if self.evaluate("typeof axe").await == "undefined" {
            self.execute(axe(), Vec::new()).await.unwrap();
        }
        let options = json!({ "runOnly": AXE_TAGS, "resultTypes": ["violations"] });
        let found = self
            .evaluate(&format!(
                "axe.run({options}).then(results => results.violations)"
            ))
            .await;
        found.as_array().unwrap().iter().map(violation).collect()
    }

    pub async fn dev_tools(&self, command: &'static str, parameters: Value) -> Value {
        let answer = self
            .handle()
            .cmd(DevTools(command, parameters))
            .await
            .unwrap();
        answer.value().unwrap()
    }

    /// Runs an expression in the page. Its policy does not apply to us.
    pub async fn evaluate(&self, expression: &str) -> Value {
        self.execute(format!("return {expression}"), Vec::new())
            .await
            .unwrap()
            .json()
            .clone()
    }

    /// Gives the page this width in pixels, and the visitor this colour scheme.
    pub async fn look(&self, width: u32, scheme: &str) {
        let metrics =
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.dev_tools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.dev_tools("Emulation.setEmulatedMedia", features).await;
        // Otherwise colours would be caught on their way from one scheme to the other.
        self.evaluate("document.getAnimations().forEach(animation => animation.finish())")
            .await;
    }

    /// A picture of the whole page, however long it is.
    pub async fn picture(&self, path: &Path) {
        let parameters =
            json!({ "format": "png", "captureBeyondViewport": true, "optimizeForSpeed": true });
        let answer = self.dev_tools("Page.captureScreenshot", parameters).await;
        fs::write(
            path,
            BASE64_STANDARD
                .decode(answer["data"].as_str().unwrap())
                .unwrap(),
        )
        .unwrap();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let Some(driver) = self.driver.take() else {
            return;
        };
        // Over its own connection, because those of the test's runtime may be closed already.
        let _ = self.process.quit(driver.session_id());
        let _ = driver.leak();
    }
}

impl Driver {
    fn start() -> Self {
        let folder = Folder::new();
        let log = folder.path().join("chromedriver.log");
        let mut command = Command::new(program("CHROMEDRIVER", &["chromedriver"]));
        command.arg("--port=0").stdin(Stdio::null());
        command
            .stdout(File::create(&log).unwrap())
            .stderr(Stdio::null());
        // Its browser joins the group, and ends with it even if chromedriver crashes.
        let child = command.process_group(0).spawn().unwrap();
        let mut driver = Self {
            child,
            address: String::new(),
            folder,
        };
        wait_until("chromedriver says its port", DRIVER_READY_WITHIN, || {
            let text = fs::read_to_string(&log).unwrap();
            let port = text
                .split("started successfully on port ")
                .nth(1)
                .and_then(|rest| rest.split('.').next());
            driver.address = port
                .map(|port| format!("127.0.0.1:{port}"))
                .unwrap_or_default();
            !driver.address.is_empty()
        });
        driver
    }

    /// Ends the browser, and waits until it has ended.
    fn quit(&self, session: &dyn fmt::Display) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(QUIT_TIMEOUT))?;
        write!(
            stream,
            "DELETE /session/{session} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )?;
        // chromedriver keeps the connection open after its answer.
        BufReader::new(stream).read_line(&mut String::new())?;
        Ok(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill")
            .args(["-s", "KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.wait();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "chromedriver is not the provider"
)]
async fn connect(address: &str, capabilities: Map<String, Value>) -> WebDriver {
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(COMMAND_TIMEOUT)
        .build()
        .unwrap();
    let session = WebDriver::builder(format!("http://{address}"), capabilities)
        .client(client)
        .connect()
        .await;
    session.unwrap_or_else(|error| {
        panic!("chromedriver does not start the browser, is it of another version? {error}")
    })
}

/// The rule, and the first elements that break it.
fn violation(found: &Value) -> String {
    let element = |node: &Value| {
        let summary: Vec<_> = node["failureSummary"]
            .as_str()
            .unwrap()
            .split_whitespace()
            .collect();
        format!("{} {}", node["target"], summary.join(" "))
    };
    let nodes = found["nodes"].as_array().unwrap();
    let elements: Vec<_> = nodes.iter().take(ELEMENTS_MAX).map(element).collect();
    let (rule, help) = (
        found["id"].as_str().unwrap(),
        found["help"].as_str().unwrap(),
    );
    format!(
        "{rule}: {help}. {} of {}: {}",
        elements.len(),
        nodes.len(),
        elements.join("; ")
    )
}

/// The source of axe-core.
fn axe() -> String {
    let path = named_by("AXE").unwrap_or_else(|| AXE_FILE.into());
    fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "no axe-core at {}, which the browser tests need: run scripts/test, which installs it, or set AXE to its \
             axe.min.js: {error}",
            path.display()
        )
    })
}

/// The file that the variable names.
fn named_by(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// The program that the variable names, or the first of these that is installed.
fn program(variable: &str, names: &[&str]) -> PathBuf {
    if let Some(path) = named_by(variable) {
        return path;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let places = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    places.into_iter().find(|place| place.is_file()).unwrap_or_else(|| {
        panic!(
            "no {} is installed, which the browser tests need: run scripts/test, which installs it, or `apt-get \
             install chromium chromium-driver`, or `brew install --cask chromium chromedriver`, or set {variable}",
            names[0]
        )
    })
}
