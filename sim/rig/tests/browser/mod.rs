//! A headless Chromium that a test drives over the DevTools protocol: what it shows, what it fetches, what it complains about.
//!
//! What must always hold: one browser a test, with a profile folder of its own, ended with the test; every complaint of a page is kept, whenever
//! it comes. Source: chromedevtools.github.io/devtools-protocol.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Under these names a browser is looked for.
const NAMES: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell"];

/// Set to anything, a machine without a browser passes; `./dev test` says so when it does.
const WITHOUT: &str = "ARCHIPELAGO_WITHOUT_BROWSER";

/// The browser on this machine.
///
/// # Panics
/// If there is none, with what to do about it, unless the machine is said to have none.
pub(crate) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = NAMES.iter().find_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    });
    assert!(
        found.is_some() || std::env::var_os(WITHOUT).is_some(),
        "no Chromium on this machine, so the page of a run is not looked at: install it (Debian: `apt-get install chromium`; \
         `./dev test` does so where it may), or set {WITHOUT}=1 to do without"
    );
    found
}

/// A page in a browser.
pub(crate) struct Page {
    socket: WebSocketStream<TcpStream>,
    session: String,
    sent: u64,
    /// Errors and warnings of the console, and exceptions.
    pub(crate) complaints: Vec<String>,
    /// Whatever was fetched.
    pub(crate) fetched: Vec<String>,
    loaded: u64,
    _browser: Child,
    _profile: tempfile::TempDir,
}

impl Page {
    /// An empty page in a new browser.
    pub(crate) async fn open(browser: PathBuf) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions"])
            .args(["--disable-dev-shm-usage", "--disable-background-networking", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the browser starts");
        let mut lines = BufReader::new(browser.stderr.take().unwrap()).lines();
        let (host, url) = loop {
            let line = lines.next_line().await.unwrap().expect("the browser says where it listens");
            if let Some((_, url)) = line.split_once("DevTools listening on ") {
                let host = url.trim_start_matches("ws://").split('/').next().unwrap().to_owned();
                break (host, url.to_owned());
            }
        };
        // Whatever else it says is read, so that it never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (socket, _) = client_async(url, TcpStream::connect(host).await.unwrap()).await.unwrap();
        let mut page = Self {
            socket,
            session: String::new(),
            sent: 0,
            complaints: Vec::new(),
            fetched: Vec::new(),
            loaded: 0,
            _browser: browser,
            _profile: profile,
        };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = page.call("Target.attachToTarget", attach).await;
        page.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Runtime", "Log", "Page", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page
    }

    /// Says what to do, and what came of it.
    pub(crate) async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let number = self.sent;
        let mut call = json!({ "id": number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            call["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(call.to_string())).await.unwrap();
        loop {
            let answer = self.next(method).await;
            if answer["id"] == json!(number) {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// The next thing that the browser says.
    async fn next(&mut self, meanwhile: &str) -> Value {
        let said = tokio::time::timeout(Duration::from_secs(60), self.socket.next()).await;
        let said = said.unwrap_or_else(|_| panic!("the browser says nothing to {meanwhile}"));
        let said = said.expect("the browser is there").unwrap();
        let said: Value = serde_json::from_str(said.to_text().unwrap()).unwrap();
        let about = &said["params"];
        match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.complaints.push(about["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled") if about["type"] != "log" => {
                self.complaints.push(about.to_string())
            }
            Some("Log.entryAdded") => self.complaints.push(about["entry"].to_string()),
            Some("Network.requestWillBeSent") => {
                self.fetched.push(about["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            Some("Page.loadEventFired") => self.loaded += 1,
            _ => {}
        }
        said
    }

    /// As a window of that width; a narrow one is a phone's.
    pub(crate) async fn set_width(&mut self, width: u64, height: u64) {
        let phone = width < 500;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// As people who like it dark, or not, see it.
    pub(crate) async fn set_scheme(&mut self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// Opens an address and waits until it is there.
    pub(crate) async fn go_to(&mut self, url: &str) {
        // An address that differs in its fragment alone would not be loaded again.
        for url in ["about:blank", url] {
            let before = self.loaded;
            self.call("Page.navigate", json!({ "url": url })).await;
            while self.loaded == before {
                self.next("go").await;
            }
        }
        self.settle().await;
    }

    /// Waits until what was asked for is drawn.
    pub(crate) async fn settle(&mut self) {
        self.tell("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")
            .await;
    }

    /// What an expression is in the page.
    pub(crate) async fn tell(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let told = self.call("Runtime.evaluate", asked).await;
        assert!(told.get("exceptionDetails").is_none(), "{expression}: {told}");
        told["result"]["value"].clone()
    }

    /// Clicks in the middle of what is there by that selector.
    pub(crate) async fn click(&mut self, selector: &str) {
        let place = format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        );
        let place = self.tell(&place).await;
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event).await;
        }
        self.settle().await;
    }

    /// Presses a key.
    pub(crate) async fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" && key.chars().count() == 1 { key } else { "" };
            self.call("Input.dispatchKeyEvent", json!({ "type": kind, "key": key, "text": text })).await;
        }
        self.settle().await;
    }
}
