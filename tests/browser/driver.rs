//! A headless Chromium, driven over W3C WebDriver: sessions, clicks, keys, scripts, screenshots, what the console and the
//! network say. It knows nothing about the workbench's page.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use tokio::runtime::Handle;

/// Maximum time for any condition that a test waits for.
const TIMEOUT: Duration = Duration::from_secs(60);

/// WebDriver's name of the member that holds an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that have no character.
pub const TAB: &str = "\u{E004}";
pub const ENTER: &str = "\u{E007}";

pub struct Driver {
    chromedriver: Child,
    runtime: Handle,
    client: reqwest::Client,
    /// `http://127.0.0.1:port/session/id`
    session: String,
}

/// The first of these programs on the PATH; an environment variable may name another.
fn program(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    names
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |entry| entry.join(name)))
        .find(|at| at.is_file())
}

/// Chromium's driver, and Chromium, when both are installed.
pub fn installed() -> Option<(PathBuf, PathBuf)> {
    let chrome = program("CHROME", &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"])?;
    Some((program("CHROMEDRIVER", &["chromedriver"])?, chrome))
}

/// A client that never asks a proxy.
#[allow(clippy::disallowed_methods)] // not for models
pub fn loopback_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Driver {
    pub fn start(runtime: &Handle, (chromedriver, chrome): (PathBuf, PathBuf)) -> Self {
        let mut chromedriver = Command::new(chromedriver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver does not start");
        let mut lines = BufReader::new(chromedriver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("successfully on port ")).expect("chromedriver reported no port");
        let port: String = line.rsplit("on port ").next().unwrap().chars().take_while(char::is_ascii_digit).collect();
        // What it writes later must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        let mut driver = Self {
            chromedriver,
            runtime: runtime.clone(),
            client: loopback_client(),
            session: format!("http://127.0.0.1:{port}/session"),
        };
        // Only loopback has addresses, so that no test reaches a network; one name is rebound to it, as an attacker would.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--hide-scrollbars",
            "--no-proxy-server",
            "--window-size=1280,900",
            "--lang=en-US",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            "--host-resolver-rules=MAP rebound.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "timeouts": {"script": 900_000, "pageLoad": 60_000},
            "unhandledPromptBehavior": "dismiss and notify",
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"binary": chrome, "args": arguments},
        }}});
        let begun = driver.call("POST", "", &wanted).expect("no session with the browser");
        driver.session = format!("{}/{}", driver.session, begun["sessionId"].as_str().unwrap());
        driver
    }

    /// One command of WebDriver.
    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.session));
        if method == reqwest::Method::POST {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer =
            self.runtime.block_on(async { request.send().await?.text().await }).map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"].as_str().unwrap_or_default())),
            None => Ok(value),
        }
    }

    fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, path, body).unwrap_or_else(|error| self.fail(&format!("{method} {path}: {error}")))
    }

    /// Fails the test, with what the page shows.
    pub fn fail(&self, message: &str) -> ! {
        let screenshot = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser-failed.png");
        let _ = self.try_screenshot().map(|bytes| std::fs::write(&screenshot, bytes));
        let page =
            "return [location.href, document.documentElement.dataset.state, document.body && document.body.innerText]";
        let page = self.call("POST", "/execute/sync", &json!({"script": page, "args": []})).unwrap_or_default();
        let shown: String = page[2].as_str().unwrap_or_default().chars().take(3000).collect();
        panic!(
            "{message}\npage: {} {}\n{shown}\nconsole: {:?}\nscreenshot: {}",
            page[0],
            page[1],
            self.console(),
            screenshot.display()
        );
    }

    pub fn open(&self, url: &str) {
        self.must("POST", "/url", &json!({ "url": url }));
    }

    pub fn refresh(&self) {
        self.must("POST", "/refresh", &json!({}));
    }

    /// The value of a function's body in the page. It passes the page's Content-Security-Policy.
    pub fn script(&self, body: &str, arguments: Value) -> Value {
        self.must("POST", "/execute/sync", &json!({"script": body, "args": arguments}))
    }

    /// The value that a function's body hands to `done`.
    pub fn script_later(&self, body: &str, arguments: Value) -> Value {
        let body = format!("const done = arguments[arguments.length - 1];\n{body}");
        self.must("POST", "/execute/async", &json!({"script": body, "args": arguments}))
    }

    /// Waits until an expression is true; `args` are its arguments. Each change of the document is a new chance.
    pub fn until(&self, expression: &str, arguments: Value) {
        self.until_within(TIMEOUT, expression, arguments);
    }

    /// As [`Self::until`], for what takes long.
    pub fn until_within(&self, timeout: Duration, expression: &str, arguments: Value) {
        let body = format!(
            "const args = [...arguments].slice(0, -1), holds = () => {{ try {{ return {expression}; }} catch {{ return false; }} }};
            if (holds()) return done(true);
            const look = () => {{ if (holds()) finish(true); }};
            const observer = new MutationObserver(look), timer = setInterval(look, 100);
            const end = setTimeout(() => finish(false), {});
            const finish = value => {{ observer.disconnect(); clearInterval(timer); clearTimeout(end); done(value); }};
            observer.observe(document, {{subtree: true, childList: true, attributes: true, characterData: true}});",
            timeout.as_millis()
        );
        if self.script_later(&body, arguments.clone()) != true {
            self.fail(&format!("never true: {expression} with {arguments}"));
        }
    }

    /// Waits for an element, and returns the first one.
    pub fn element(&self, css: &str) -> String {
        self.until("document.querySelector(args[0])", json!([css]));
        let found = self.must("POST", "/element", &json!({"using": "css selector", "value": css}));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    pub fn has(&self, css: &str) -> bool {
        self.script("return Boolean(document.querySelector(arguments[0]))", json!([css])) == true
    }

    /// Waits for an element, and clicks on it as a mouse would.
    pub fn click(&self, css: &str) {
        let element = self.element(css);
        self.script("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", json!([css]));
        self.must("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Replaces what a text field holds.
    pub fn fill(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.must("POST", &format!("/element/{element}/clear"), &json!({}));
        self.must("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Names the file of a file field.
    pub fn attach(&self, css: &str, file: &Path) {
        let element = self.element(css);
        self.must("POST", &format!("/element/{element}/value"), &json!({ "text": file }));
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub fn press(&self, keys: &str) {
        let pressed: Vec<Value> = keys
            .chars()
            .flat_map(|key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})])
            .collect();
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": pressed}]});
        self.must("POST", "/actions", &actions);
    }

    /// The text that is shown, or that a script would read.
    pub fn text(&self, css: &str) -> String {
        self.element(css);
        let text = self.script("return document.querySelector(arguments[0]).innerText", json!([css]));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// A command of Chrome's DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.must("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// Which colours the system seems to prefer.
    pub fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features);
    }

    pub fn size(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    fn try_screenshot(&self) -> Option<Vec<u8>> {
        let image = self.call("GET", "/screenshot", &Value::Null).ok()?;
        base64::engine::general_purpose::STANDARD.decode(image.as_str()?).ok()
    }

    /// What is visible, as an image of that format.
    pub fn image(&self, format: &str) -> Vec<u8> {
        let image = self.devtools("Page.captureScreenshot", json!({"format": format, "quality": 82}));
        base64::engine::general_purpose::STANDARD.decode(image["data"].as_str().unwrap()).unwrap()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.call("POST", "/se/log", &json!({ "type": kind })).unwrap_or_default();
        entries.as_array().cloned().unwrap_or_default()
    }

    /// Messages of the console since the last call, without Chromium's verbose advice.
    pub fn console(&self) -> Vec<String> {
        let entries = self.log("browser").into_iter().filter(|entry| entry["level"] != "DEBUG");
        entries.map(|entry| format!("{} {}", entry["level"], entry["message"])).collect()
    }

    /// Addresses that pages have requested since the last call.
    pub fn requests(&self) -> Vec<String> {
        let events = self.log("performance").into_iter().filter_map(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            (event["method"] == "Network.requestWillBeSent")
                .then(|| event["params"]["request"]["url"].as_str().unwrap_or_default().to_owned())
        });
        events.collect()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.call("DELETE", "", &Value::Null);
        let _ = self.chromedriver.kill();
        let _ = self.chromedriver.wait();
    }
}
