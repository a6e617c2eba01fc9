//! The workbench over HTTP: who may ask, what is served, calls as sessions, calls back, other commands. What the page does with it
//! is in the browser's tests.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::support::{scripted, waits};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use scripted::{Scripted, Step, event_stream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use waits::{soon, until};

/// A workbench that runs.
struct Workbench {
    child: Child,
    address: String,
    token: String,
    client: Client,
}

impl Workbench {
    async fn start(directory: &Path, command: &[&str]) -> Self {
        let mut arguments = vec!["workbench", directory.to_str().unwrap(), "--no-open"];
        if !command.is_empty() {
            arguments.push("--");
            arguments.extend(command);
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon(lines.next_line()).await.unwrap().unwrap();
        let link = line.strip_prefix("workbench: ").unwrap_or_else(|| panic!("{line}"));
        let (address, token) = link.split_once("/#token=").unwrap();
        #[allow(clippy::disallowed_methods)] // a browser is no client of providers
        let client = Client::builder().no_proxy().build().unwrap();
        Self { child, address: address.to_owned(), token: token.to_owned(), client }
    }

    /// A request as any process could send it.
    fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.address))
    }

    /// A request of the page.
    fn own(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(&self.token).header("origin", &self.address)
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.own(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        read(response).await
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let response = with_json(self.own(method, path), body).send().await.unwrap();
        (response.status(), read(response).await)
    }

    /// A call's events until its end.
    async fn call(&self, call: &Value) -> Vec<(String, Value)> {
        let response = with_json(self.own(Method::POST, "/api/calls"), call).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        events(&response.text().await.unwrap())
    }
}

fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

/// The JSON of a response.
async fn read(response: reqwest::Response) -> Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn events(text: &str) -> Vec<(String, Value)> {
    let events = text.split("\n\n").filter(|event| event.starts_with("event: "));
    let event = |event: &str| {
        let (name, data) = event.split_once("\ndata: ").unwrap();
        (name["event: ".len()..].to_owned(), serde_json::from_str(data).unwrap())
    };
    events.map(event).collect()
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The routes as the sources name them, with their methods.
fn routes() -> Vec<(Method, String)> {
    let sources = root().join("crates/dify-plugin/src/workbench");
    let mut found = Vec::new();
    for file in ["router.rs", "sessions/routes.rs"] {
        let text: String = std::fs::read_to_string(sources.join(file)).unwrap().split_whitespace().collect();
        for route in text.split(".route(\"").skip(1) {
            let (path, rest) = route.split_once('"').unwrap();
            let handlers = rest.split(".route(").next().unwrap().split(".fallback").next().unwrap();
            for (word, method) in
                [("get(", Method::GET), ("post(", Method::POST), ("put(", Method::PUT), ("delete(", Method::DELETE)]
            {
                if handlers.contains(&format!(",{word}"))
                    || handlers.contains(&format!(".{word}"))
                    || handlers.contains(&format!("routing::{word}"))
                {
                    let path = path.replace("{*path}", "_assets/icon.svg").replace("{*key}", "endpoint");
                    found.push((method, format!("/api{}", path.replace("{id}", "workbench-1"))));
                }
            }
        }
    }
    assert!(found.len() >= 13, "{found:?}");
    found
}

const FOREIGN: &str = "http://evil.example";

#[tokio::test]
async fn every_route_answers_the_own_page_only() {
    let workbench = Workbench::start(root(), &[]).await;
    let port = workbench.address.rsplit(':').next().unwrap().to_owned();
    assert!(workbench.address.starts_with("http://127.0.0.1:"), "{}", workbench.address);
    let assets = ["/", "/app/main.js", "/vendor/preact.js", "/style/base.css", "/none"];
    let assets = assets.map(|path| (Method::GET, path.to_owned()));
    for (method, path) in routes().into_iter().chain(assets) {
        let is_api = path.starts_with("/api/");
        let changes = method != Method::GET;
        let own = || with_json(workbench.own(method.clone(), &path), &json!({}));
        let bare = || workbench.bare(method.clone(), &path);
        let with_origin =
            |origin: &str| with_json(bare().bearer_auth(&workbench.token).header("origin", origin), &json!({}));
        // What is sent, and the status that it must have; none where the route decides.
        let attacks: Vec<(&str, RequestBuilder, Option<u16>)> = vec![
            ("the page", own(), None),
            ("a name that was rebound", own().header("host", format!("evil.example:{port}")), Some(403)),
            ("another port", own().header("host", "127.0.0.1:1"), Some(403)),
            ("another page", with_origin(FOREIGN), Some(403)),
            ("a page without an origin", with_origin("null"), Some(403)),
            ("a page of another port", with_origin("http://127.0.0.1:1"), Some(403)),
            (
                "a link of another page",
                own().header("sec-fetch-site", "cross-site"),
                if path == "/" { None } else { Some(403) },
            ),
            ("no token", with_json(bare().header("origin", &workbench.address), &json!({})), is_api.then_some(401)),
            ("a wrong token", bare().bearer_auth("0".repeat(64)), is_api.then_some(401)),
            (
                "a token in the address",
                workbench.bare(method.clone(), &format!("{path}?token={}", workbench.token)),
                is_api.then_some(401),
            ),
            ("a cookie", bare().header("cookie", format!("token={}", workbench.token)), is_api.then_some(401)),
            ("no origin", with_json(bare().bearer_auth(&workbench.token), &json!({})), changes.then_some(403)),
            (
                "a form",
                workbench.own(method.clone(), &path).header("content-type", "text/plain").body("{}"),
                (changes && method != Method::DELETE).then_some(415),
            ),
            ("a preflight", workbench.bare(Method::OPTIONS, &path).header("origin", FOREIGN), Some(403)),
        ];
        for (what, request, expected) in attacks {
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status(), response.headers().clone());
            if let Some(expected) = expected {
                assert_eq!(status.as_u16(), expected, "{method} {path}: {what}");
            } else {
                assert!(
                    ![401, 403, 415].contains(&status.as_u16()) && !status.is_server_error(),
                    "{method} {path}: {what}: {status}"
                );
            }
            let header =
                |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
            let policy = header("content-security-policy");
            assert!(
                policy.contains("default-src 'none'") && !policy.contains("unsafe"),
                "{method} {path}: {what}: {policy}"
            );
            assert!(policy.contains("frame-ancestors 'none'"), "{method} {path}: {what}: {policy}");
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("cache-control", "no-store"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
            ] {
                assert_eq!(header(name), value, "{method} {path}: {what}");
            }
            for name in ["set-cookie", "access-control-allow-origin", "location"] {
                assert!(!headers.contains_key(name), "{method} {path}: {what}: {name}");
            }
        }
    }
}

#[tokio::test]
async fn failures_are_read_by_the_page() {
    let workbench = Workbench::start(root(), &[]).await;
    for (method, path, body, status) in [
        (Method::GET, "/api/none", "", 404),
        (Method::DELETE, "/api/plugin", "", 405),
        (Method::POST, "/api/calls", "{", 400),
        (Method::POST, "/api/calls", "{\"action\": 1}", 422),
        (Method::POST, "/api/calls", "[]", 422),
        (Method::PUT, "/api/credentials/endpoint", "{}", 422),
        (Method::GET, "/api/sessions/none", "", 404),
        (Method::GET, "/api/sessions/%ff", "", 400),
        (Method::GET, "/api/files/_assets/%ff.svg", "", 400),
        (Method::DELETE, "/api/credentials/%ff", "", 400),
        (Method::POST, "/api/sessions/none/answers", "{\"call\": \"c\", \"events\": []}", 404),
        (Method::POST, "/api/recordings", "{}", 400),
        (Method::GET, "/none.js", "", 404),
    ] {
        let request = workbench.own(method.clone(), path).header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{method} {path} {body}");
        let failure = read(response).await;
        assert!(
            failure["error"]["message"].as_str().is_some_and(|text| !text.is_empty()),
            "{method} {path}: {failure}"
        );
    }
    let large = "x".repeat(65 * 1024 * 1024);
    let request = workbench.own(Method::POST, "/api/calls").header("content-type", "application/json");
    // The connection may be closed before all of it is sent.
    if let Ok(response) = request.body(large).send().await {
        assert_eq!(response.status().as_u16(), 413);
    }
}

/// Copies a plugin's declarations to a directory of its own.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => assert!(std::fs::copy(from, to).is_ok()),
        }
    }
}

fn plugin() -> TempDir {
    let directory = TempDir::new().unwrap();
    for part in ["manifest.yaml", "provider", "models", "_assets", "shared"] {
        let (from, to) = (root().join(part), directory.path().join(part));
        if from.is_dir() {
            copy(&from, &to);
        } else if from.is_file() {
            std::fs::copy(from, to).unwrap();
        }
    }
    directory
}

#[tokio::test]
async fn only_declared_icons_are_served() {
    let directory = plugin();
    let secret = directory.path().join("secret.svg");
    std::fs::write(&secret, "<svg/>").unwrap();
    std::os::unix::fs::symlink("/etc/hostname", directory.path().join("_assets/host.svg")).unwrap();
    std::fs::write(directory.path().join("_assets/page.html"), "<script>1</script>").unwrap();
    std::fs::write(directory.path().join("_assets/bad.svg"), "<svg><script>1</script></svg>").unwrap();
    std::fs::write(directory.path().join("_assets/other.svg"), "<svg/>").unwrap();
    let manifest = std::fs::read_to_string(directory.path().join("manifest.yaml")).unwrap();
    let dark = manifest.replace("\nicon: icon.svg\n", "\nicon: icon.svg\nicon_dark: bad.svg\n");
    assert_ne!(dark, manifest);
    std::fs::write(directory.path().join("manifest.yaml"), dark).unwrap();
    let workbench = Workbench::start(directory.path(), &[]).await;
    for (path, expected) in [
        ("_assets/icon.svg", 200),
        ("_assets/bad.svg", 200),
        ("_assets/gemini-small.svg", 200),
        ("_assets/xinference-large.svg", 200),
        // An image that no declaration names.
        ("_assets/other.svg", 404),
        ("_assets/none.svg", 404),
        ("_assets/page.html", 404),
        ("_assets/host.svg", 404),
        ("_assets", 404),
        ("_assets/", 404),
        ("manifest.yaml", 404),
        ("secret.svg", 404),
        ("_assets/..%2fsecret.svg", 404),
        ("_assets/%2e%2e/secret.svg", 404),
        ("_assets/..%5csecret.svg", 404),
        ("_assets%2f..%2fsecret.svg", 404),
        ("%2fetc%2fhostname.svg", 404),
        ("_assets/icon.svg%00.png", 404),
    ] {
        let response = workbench.own(Method::GET, &format!("/api/files/{path}")).send().await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{path}");
        if expected == 200 {
            let policy = response.headers()["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("sandbox;") && !policy.contains("script-src"), "{path}: {policy}");
            assert_eq!(response.headers()["content-type"], "image/svg+xml");
        }
    }
}

/// Starts a workbench with the credentials of a model behind an upstream.
async fn with_model(script: Vec<Step>) -> (Workbench, Scripted) {
    let upstream = Scripted::start(vec![script]).await;
    (with_model_at(&upstream.url).await, upstream)
}

/// Starts a workbench with the credentials of a model behind this URL.
async fn with_model_at(upstream: &str) -> Workbench {
    let workbench = Workbench::start(root(), &[]).await;
    let values = json!({"auth_method": "api_key", "api_key": CANARY, "endpoint_url": format!("{upstream}/v1")});
    let (status, shown) =
        workbench.send(Method::PUT, &format!("/api/credentials/{KEY}"), &json!({"values": values})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(shown["values"]["api_key"], "canary************ey");
    workbench
}

const CANARY: &str = "canary-9f3c-api-key";
const KEY: &str = "model/ai-gateway/llm/m";

fn chat(text: &str) -> Value {
    json!({"action": "invoke_llm", "type": "model", "credentials": KEY, "data": {"provider": "ai-gateway", "model": "m",
        "model_type": "llm", "prompt_messages": [{"role": "user", "content": text}], "model_parameters": {}, "stream": true}})
}

fn delta(text: &str) -> Step {
    let event = json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    Step::Send(format!("data: {event}\n\n").into_bytes())
}

#[tokio::test]
async fn a_call_is_a_session_whose_secrets_are_hidden_everywhere() {
    let script =
        vec![event_stream(), delta("Hello"), delta(&format!("not {CANARY}")), Step::Send(b"data: [DONE]\n\n".to_vec())];
    let (mut workbench, upstream) = with_model(script).await;
    let events = workbench.call(&chat(&format!("my key is {CANARY}"))).await;
    assert_eq!(names(&events)[..2], ["begun", "item"]);
    assert_eq!(names(&events).iter().filter(|name| matches!(**name, "ended" | "failed")).count(), 1);
    assert_eq!(events.last().unwrap().0, "ended");
    assert!(upstream.requests()[0].contains(&format!("Bearer {CANARY}")), "the upstream gets the key");
    let id = events[0].1["session"].as_str().unwrap().to_owned();
    let whole = workbench.get(&format!("/api/sessions/{id}")).await;
    assert_eq!(
        (&whole["state"], &whole["action"], &whole["model"]),
        (&json!("ended"), &json!("invoke_llm"), &json!("m"))
    );
    let kinds: Vec<&str> =
        whole["frames"].as_array().unwrap().iter().map(|frame| frame["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("request", "end"));
    assert_eq!(whole["frames"][0]["redacted"], true);
    let exchange = &whole["exchanges"][0];
    assert_eq!((&exchange["method"], &exchange["status"]), (&json!("POST"), &json!(200)));
    assert!(exchange["url"].as_str().unwrap().ends_with("/v1/chat/completions"));
    assert!(!exchange["response"]["chunks"].as_array().unwrap().is_empty());
    assert!(exchange["request"]["body"].as_str().unwrap().contains("my key is ***"));
    let copies = workbench.get(&format!("/api/sessions/{id}/copy")).await;
    assert!(copies["invoke"].as_str().unwrap().contains("--credential api_key=\"$API_KEY\""), "{copies}");
    assert!(copies["curl"][0].as_str().unwrap().contains("authorization: "), "{copies}");
    // A saved session opens as it was.
    let saved = workbench.get(&format!("/api/sessions/{id}/recording")).await;
    let (status, opened) = workbench.send(Method::POST, "/api/recordings", &saved).await;
    assert_eq!((status, &opened["state"]), (StatusCode::OK, &json!("opened")));
    let again = workbench.get(&format!("/api/sessions/{}", opened["id"].as_str().unwrap())).await;
    for member in ["frames", "exchanges", "request", "usage", "items", "started", "milliseconds"] {
        assert_eq!(again[member], whole[member], "{member}");
    }
    let seen = [
        json!(events.iter().map(|(_, data)| data).collect::<Vec<_>>()),
        whole,
        copies,
        saved,
        again,
        workbench.get("/api/sessions").await,
        workbench.get("/api/credentials").await,
        workbench.get("/api/plugin").await,
        workbench.get("/api/doctor?provider=ai-gateway").await,
    ];
    for answer in seen {
        assert!(!answer.to_string().contains(CANARY), "{answer}");
    }
    workbench.child.start_kill().unwrap();
    let output = workbench.child.wait_with_output().await.unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains(CANARY));
}

#[tokio::test]
async fn the_phases_of_an_exchange_are_known() {
    let body = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n", body.len());
    let upstream = Scripted::keep_alive(vec![Step::Send(format!("{head}{body}").into_bytes())]).await;
    let workbench = with_model_at(&upstream.url).await;
    let mut found = Vec::new();
    for _ in 0..2 {
        let events = workbench.call(&chat("hi")).await;
        assert_eq!(events.last().unwrap().0, "ended", "{events:?}");
        let session = workbench.get(&format!("/api/sessions/{}", events[0].1["session"].as_str().unwrap())).await;
        found.push(session["exchanges"][0].clone());
    }
    assert_eq!(upstream.accepted_connections(), 1, "the second call uses the connection of the first");
    let time = |exchange: &Value, phase: &str| {
        exchange["phases"][phase].as_f64().unwrap_or_else(|| panic!("{phase}: {exchange}"))
    };
    let at = |exchange: &Value| exchange["at"].as_f64().unwrap();
    let (first, second) = (&found[0], &found[1]);
    assert_eq!((&first["reused"], &second["reused"]), (&json!(false), &json!(true)));
    let times = [at(first), time(first, "queued"), time(first, "connected"), time(first, "first_byte")];
    assert!(times.is_sorted(), "{times:?}");
    let times = [at(second), time(second, "queued"), time(second, "first_byte")];
    assert!(times.is_sorted() && second["phases"]["connected"].is_null(), "{second}");
    // A connection that cannot be opened.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let workbench = with_model_at(&format!("http://{closed}")).await;
    let events = workbench.call(&chat("hi")).await;
    assert_eq!(events.last().unwrap().0, "failed");
    let exchange = workbench.get("/api/sessions/workbench-1").await["exchanges"][0].clone();
    assert_eq!((&exchange["reused"], &exchange["phases"]["connected"]), (&json!(false), &Value::Null), "{exchange}");
    assert!(time(&exchange, "queued") >= at(&exchange) && exchange["error"].is_string(), "{exchange}");
}

#[tokio::test]
async fn an_exchange_appears_when_it_begins_and_grows() {
    // What the upstream sends before it says nothing more, and what is seen of the exchange then: its status, and whether there are chunks.
    for (script, status, has_chunks) in [
        (vec![], Value::Null, false),
        (vec![event_stream()], json!(200), false),
        (vec![event_stream(), delta("Hello"), delta("World")], json!(200), true),
    ] {
        let (workbench, _upstream) = with_model([script, vec![Step::Hang]].concat()).await;
        let response = with_json(workbench.own(Method::POST, "/api/calls"), &chat("hi")).send().await.unwrap();
        let news = async || workbench.get("/api/sessions/workbench-1?frames=0&change=0").await;
        let exchange = async |fits: &dyn Fn(&Value) -> bool| loop {
            let exchange = news().await["exchanges"].get(0).cloned().unwrap_or_default();
            if fits(&exchange) {
                break exchange;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let chunks = |exchange: &Value| exchange["response"]["chunks"].as_array().map_or(0, Vec::len);
        let begun = soon(exchange(&|exchange| {
            exchange.is_object() && exchange["status"] == status && (chunks(exchange) > 0) == has_chunks
        }))
        .await;
        assert_eq!(begun["open"], true, "{begun}");
        assert!(begun["request"]["body"].as_str().unwrap().contains("hi"), "{begun}");
        assert!(!begun.to_string().contains(CANARY) && !begun.to_string().contains("Hello"), "{begun}");
        // What was read is not read again.
        let change = news().await["change"].as_u64().unwrap();
        let rest = workbench.get(&format!("/api/sessions/workbench-1?frames=1000&change={change}")).await;
        assert_eq!((&rest["frames"], &rest["exchanges"], &rest["grown"]), (&json!([]), &json!([]), &json!([])));
        drop(response);
        let ended = soon(exchange(&|exchange| exchange["open"].is_null())).await;
        assert_eq!((&ended["id"], &ended["status"]), (&begun["id"], &status));
        assert_eq!(
            ended["response"]["body"].as_str().is_some_and(|body| body.contains("Hello")),
            has_chunks,
            "{ended}"
        );
    }
}

#[tokio::test]
async fn a_page_that_leaves_cancels_its_call() {
    let (workbench, upstream) = with_model(vec![event_stream(), delta("Hello"), Step::Hang]).await;
    let mut response = with_json(workbench.own(Method::POST, "/api/calls"), &chat("hi")).send().await.unwrap();
    let mut text = String::new();
    while !text.contains("Hello") {
        text += &String::from_utf8_lossy(&soon(response.chunk()).await.unwrap().unwrap());
    }
    until(|| upstream.open_connections() == 1).await;
    drop(response);
    until(|| upstream.open_connections() == 0).await;
    let sessions = workbench.get("/api/sessions").await;
    assert_eq!((&sessions[0]["state"], &sessions[0]["error"]), (&json!("cancelled"), &Value::Null));
}

#[tokio::test]
async fn a_failed_call_names_its_error_without_the_key() {
    let body = format!("{{\"error\":{{\"message\":\"bad key {CANARY}\"}}}}");
    let (workbench, _upstream) =
        with_model(scripted::answer("401 Unauthorized", "content-type: application/json\r\n", &body)).await;
    let events = workbench.call(&chat("hi")).await;
    let (name, failure) = events.last().unwrap();
    assert_eq!((name.as_str(), &failure["kind"]), ("failed", &json!("InvokeAuthorizationError")));
    assert!(!failure.to_string().contains(CANARY), "{failure}");
    assert_eq!(workbench.get("/api/sessions").await[0]["error"]["kind"], "InvokeAuthorizationError");
    // An upstream that hung up is an exchange with an error.
    assert_eq!(workbench.get("/api/sessions/workbench-1").await["exchanges"][0]["status"], 401);
}

/// A plugin as a shell script: it calls a model back, and returns what it gets.
const SCRIPT: &str = r#"
echo '{"event":"heartbeat","session_id":null,"data":{}}'
echo started >> starts
sleep 1000 >/dev/null 2>&1 & echo $! >> descendants
while read -r line; do
  id=$(printf '%s' "$line" | sed 's/.*"session_id":"\([^"]*\)".*/\1/')
  say() { printf '{"event":"session","session_id":"%s","data":{"type":"%s","data":%s}}\n' "$id" "$1" "$2"; }
  case "$line" in
    *'"event":"cancel"'*) say end '{}' ;;
    *'"tool":"die"'*) echo 'no more' >&2; exit 3 ;;
    *'"tool":"orphan"'*) say stream '{"last":1}'; sleep 1000 & echo $! >> descendants; exit 3 ;;
    *'"tool":"leak"'*) echo "$line" >&2; exit 3 ;;
    *'"tool":"long"'*) head -c 20000000 /dev/zero | tr '\\0' x >&2; say end '{}' ;;
    *'"tool":"noise"'*) i=0; while [ $i -lt 20000 ]; do echo "noise $i" >&2; i=$((i+1)); done; say stream '{"noise":1}'; say end '{}' ;;
    *'"event":"request"'*) say invoke '{"type":"llm","backwards_request_id":"c1","request":{"prompt_messages":[{"role":"user","content":"hi"}],"model":"m"}}' ;;
    *'"event":"end"'*) say stream "{\"heard\":$heard}"; say end '{}' ;;
    *backwards_response*) heard=$(printf '%s' "$line" | sed 's/.*"content":\("[^"]*"\).*/\1/'); case "$heard" in '"'*) ;; *) heard='"an error"' ;; esac ;;
  esac
done
"#;

fn script() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("plugin.sh");
    std::fs::write(&path, SCRIPT).unwrap();
    (directory, path)
}

fn tool(name: &str, answers: &str) -> Value {
    json!({"action": "invoke_tool", "type": "tool", "answers": answers, "data": {"provider": "p", "tool": name, "tool_parameters": {}}})
}

#[tokio::test]
async fn another_command_is_called_and_its_calls_back_are_answered() {
    let (directory, path) = script();
    let workbench = Workbench::start(directory.path(), &["sh", path.to_str().unwrap()]).await;
    assert_eq!(workbench.get("/api/plugin").await["target"]["kind"], "command");
    // By the script.
    let events = workbench.call(&tool("t", "scripted")).await;
    assert_eq!(names(&events), ["begun", "callback", "item", "ended"]);
    assert_eq!((&events[1].1["type"], &events[1].1["call"]), (&json!("llm"), &json!("c1")));
    assert!(events[2].1["item"]["heard"].as_str().unwrap().contains("script"), "{events:?}");
    // By hand: a text, and an error.
    let chunk = json!({"model": "m", "delta": {"index": 0, "message": {"role": "assistant", "content": "typed", "tool_calls": []}}});
    for (answer, heard) in [
        (json!([{"event": "response", "data": chunk}, {"event": "end"}]), "typed"),
        (json!([{"event": "error", "message": "no"}, {"event": "end"}]), "an error"),
    ] {
        let mut response =
            with_json(workbench.own(Method::POST, "/api/calls"), &tool("t", "typed")).send().await.unwrap();
        let mut text = String::new();
        while !text.contains("event: callback") {
            text += &String::from_utf8_lossy(&soon(response.chunk()).await.unwrap().unwrap());
        }
        let id = events_id(&text);
        let path = format!("/api/sessions/{id}/answers");
        assert_eq!(
            workbench.send(Method::POST, &path, &json!({"call": "other", "events": []})).await.0,
            StatusCode::NOT_FOUND
        );
        let typed = json!({"call": "c1", "events": answer});
        assert_eq!(workbench.send(Method::POST, &path, &typed).await.0, StatusCode::OK);
        while let Some(chunk) = soon(response.chunk()).await.unwrap() {
            text += &String::from_utf8_lossy(&chunk);
        }
        let events = self::events(&text);
        assert_eq!(names(&events), ["begun", "callback", "item", "ended"]);
        assert_eq!(events[2].1["item"]["heard"], heard);
        assert_eq!(workbench.send(Method::POST, &path, &typed).await.0, StatusCode::NOT_FOUND, "it was answered");
        let whole = workbench.get(&format!("/api/sessions/{id}")).await;
        let kinds: Vec<_> = whole["frames"].as_array().unwrap().iter().map(|frame| frame["kind"].clone()).collect();
        assert_eq!(json!(kinds), json!(["request", "callback", "answer", "item", "end"]));
    }
    assert_eq!(std::fs::read_to_string(directory.path().join("starts")).unwrap(), "started\n");
}

fn events_id(text: &str) -> String {
    events(text)[0].1["session"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_command_that_ends_is_reported_and_started_again() {
    let (directory, path) = script();
    let workbench = Workbench::start(directory.path(), &["sh", path.to_str().unwrap()]).await;
    for _ in 0..2 {
        let events = workbench.call(&tool("die", "scripted")).await;
        assert_eq!(names(&events), ["begun", "failed"]);
        assert!(events[1].1["message"].as_str().unwrap().contains("closed its output"), "{events:?}");
        let target = workbench.get("/api/plugin").await["target"].clone();
        assert_eq!(target["state"], "failed");
    }
    let reason = async || workbench.get("/api/plugin").await["target"]["message"].clone();
    soon(async {
        while !reason().await.as_str().is_some_and(|reason| reason.ends_with("standard error is: no more")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(workbench.call(&tool("noise", "scripted")).await.last().unwrap().0, "ended");
    assert_eq!(std::fs::read_to_string(directory.path().join("starts")).unwrap().lines().count(), 3);
    assert_eq!(workbench.get("/api/plugin").await["target"]["state"], "ready");
    // A line without an end is not kept.
    assert_eq!(workbench.call(&tool("long", "scripted")).await.last().unwrap().0, "ended");
    // A changed source starts it again.
    let revision = workbench.get("/api/plugin").await["revision"].clone();
    std::fs::write(&path, format!("{SCRIPT}# changed\n")).unwrap();
    soon(async {
        while workbench.get("/api/plugin").await["revision"] == revision {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(workbench.call(&tool("noise", "scripted")).await.last().unwrap().0, "ended");
    assert_eq!(std::fs::read_to_string(directory.path().join("starts")).unwrap().lines().count(), 4);
    // What cannot be started is reported, and costs nothing else.
    let other = Workbench::start(directory.path(), &["/none/such"]).await;
    let (status, failure) = other.send(Method::POST, "/api/calls", &tool("t", "scripted")).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(failure["error"]["message"].as_str().unwrap().contains("cannot start `/none/such`"), "{failure}");
    let target = other.get("/api/plugin").await["target"].clone();
    assert_eq!(target["state"], "failed");
    assert!(target["message"].as_str().unwrap().contains("cannot start `/none/such`"), "{target}");
}

#[tokio::test]
async fn a_command_that_ends_is_noticed_although_a_descendant_holds_its_output() {
    let (directory, path) = script();
    let workbench = Workbench::start(directory.path(), &["sh", path.to_str().unwrap()]).await;
    let events = workbench.call(&tool("orphan", "scripted")).await;
    assert_eq!(names(&events), ["begun", "item", "failed"], "what it wrote before its end is read");
    assert!(events[2].1["message"].as_str().unwrap().contains("the plugin's process has ended"), "{events:?}");
    assert_eq!(workbench.get("/api/plugin").await["target"]["state"], "failed");
    // The next call starts it again, and ends what it has left behind.
    assert_eq!(workbench.call(&tool("noise", "scripted")).await.last().unwrap().0, "ended");
    assert_eq!(std::fs::read_to_string(directory.path().join("starts")).unwrap().lines().count(), 2);
}

#[tokio::test]
async fn what_a_command_writes_to_its_errors_is_shown_without_its_credentials() {
    let (directory, path) = script();
    let workbench = Workbench::start(directory.path(), &["sh", path.to_str().unwrap()]).await;
    let values = json!({"values": {"api_key": CANARY}});
    assert_eq!(workbench.send(Method::PUT, "/api/credentials/tool/p", &values).await.0, StatusCode::OK);
    let mut notices = workbench.own(Method::GET, "/api/events").send().await.unwrap();
    let mut call = tool("leak", "scripted");
    call["credentials"] = "tool/p".into();
    assert_eq!(workbench.call(&call).await.last().unwrap().0, "failed");
    let mut text = String::new();
    while !text.contains("event: log") || !text.contains("\"tool\\\":\\\"leak") {
        text += &String::from_utf8_lossy(&soon(notices.chunk()).await.unwrap().unwrap());
    }
    let plugin = workbench.get("/api/plugin").await;
    assert!(plugin["target"]["message"].as_str().unwrap().contains("api_key"), "{plugin}");
    assert!(!text.contains(CANARY) && !plugin.to_string().contains(CANARY), "{text}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_command_and_its_descendants_end_with_the_workbench() {
    for signal in ["TERM", "INT", "HUP"] {
        let (directory, path) = script();
        let mut workbench = Workbench::start(directory.path(), &["sh", path.to_str().unwrap()]).await;
        assert_eq!(workbench.call(&tool("noise", "scripted")).await.last().unwrap().0, "ended");
        let descendant = std::fs::read_to_string(directory.path().join("descendants")).unwrap().trim().to_owned();
        // One that has ended may be there as a zombie until its new parent waits for it.
        let runs =
            || std::fs::read_to_string(format!("/proc/{descendant}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        assert!(runs(), "{signal}");
        let id = workbench.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().await.unwrap().success());
        assert!(soon(workbench.child.wait()).await.unwrap().success(), "{signal}");
        until(|| !runs()).await;
    }
}

#[tokio::test]
async fn the_page_hears_of_changed_files() {
    let directory = plugin();
    let workbench = Workbench::start(directory.path(), &[]).await;
    let mut response = workbench.own(Method::GET, "/api/events").send().await.unwrap();
    let mut text = String::new();
    let provider = directory.path().join("provider/xinference.yaml");
    let good = std::fs::read_to_string(&provider).unwrap();
    let mut revision = workbench.get("/api/plugin").await["revision"].as_u64().unwrap();
    for (content, has_problem) in
        [(good.replace("type: secret-input", "type: secret-inputt"), true), (good.clone(), false)]
    {
        std::fs::write(&provider, content).unwrap();
        revision += 1;
        while !text.contains(&format!("\"revision\":{revision}")) {
            text += &String::from_utf8_lossy(&soon(response.chunk()).await.unwrap().unwrap());
        }
        let plugin = workbench.get("/api/plugin").await;
        let errors: Vec<&Value> =
            plugin["problems"].as_array().unwrap().iter().filter(|problem| problem["severity"] == "error").collect();
        assert_eq!(!errors.is_empty(), has_problem, "{errors:?}");
        if has_problem {
            assert_eq!(errors[0]["file"], "provider/xinference.yaml");
            assert!(errors[0]["line"].as_u64().is_some_and(|line| line > 1), "{errors:?}");
        }
    }
}

#[tokio::test]
async fn many_sessions_run_at_once() {
    let events = (0..200).map(|number| {
        format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": number.to_string()}}]}))
    });
    let script = vec![
        event_stream(),
        Step::Send(events.collect::<String>().into_bytes()),
        Step::Send(b"data: [DONE]\n\n".to_vec()),
    ];
    let (workbench, _upstream) = with_model(script).await;
    let (workbench, call) = (std::sync::Arc::new(workbench), chat("hi"));
    let calls = (0..20).map(|_| {
        let (workbench, call) = (workbench.clone(), call.clone());
        tokio::spawn(async move { workbench.call(&call).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let events = tokio::time::timeout(Duration::from_secs(120), call).await.unwrap().unwrap();
        assert_eq!(events.last().unwrap().0, "ended");
    }
    assert_eq!(workbench.get("/api/sessions").await.as_array().unwrap().len(), 20);
}

/// A text that no mask shows whole.
fn canary(name: &str) -> String {
    format!("secret-CANARY-{name}-secret")
}

/// Credentials of every provider, and what must not be seen of them.
fn credentials_of_every_provider(upstream: &str) -> Vec<(&'static str, Value, Vec<String>)> {
    let vectors: Value = serde_json::from_str(include_str!("../data/aigateway/jwt.json")).unwrap();
    let key = vectors["keys"]["rsa_private_pem_pkcs8"].as_str().unwrap();
    let account = json!({"type": "service_account", "project_id": "my-project", "private_key_id": "key-1",
        "private_key": key, "client_email": "dify@my-project.iam.gserviceaccount.com", "client_id": "1",
        "token_uri": format!("{upstream}/token")});
    let jwk = json!({"kty": "oct", "k": canary("jwt-of-as-many-bits-as-the-algorithm-asks-for-"), "alg": "HS256"});
    vec![
        (
            "ai-gateway",
            json!({"auth_method": "api_key", "api_key": canary("api"), "endpoint_url": upstream, "advanced": "on",
                "extra_headers": json!({"x-extra": canary("header")}).to_string()}),
            vec![canary("api"), canary("header")],
        ),
        (
            "ai-gateway",
            json!({"auth_method": "jwt", "jwt_jwks": jwk.to_string(), "jwt_consumer_id": "c", "endpoint_url": upstream}),
            vec![canary("jwt-of-as-many-bits-as-the-algorithm-asks-for-")],
        ),
        (
            "ai-gateway",
            json!({"auth_method": "hmac", "hmac_access_key": "a", "hmac_secret_key": canary("hmac"), "endpoint_url": upstream}),
            vec![canary("hmac")],
        ),
        (
            "google",
            json!({"auth_method": "api_key", "google_api_key": canary("api"), "google_base_url": upstream}),
            vec![canary("api")],
        ),
        (
            "google",
            json!({"auth_method": "service_account", "google_service_account_json": account.to_string(),
                "google_base_url": upstream}),
            vec![key.to_owned()],
        ),
        (
            "xinference",
            json!({"server_url": upstream, "model_uid": "m", "api_key": canary("api"), "advanced": "on",
                "username": "u", "password": canary("password")}),
            vec![canary("api"), canary("password")],
        ),
    ]
}

#[tokio::test]
async fn secrets_of_every_provider_are_shown_nowhere() {
    for command in [&[][..], &[env!("CARGO_BIN_EXE_dify-plugin-runtime")]] {
        for number in 0..credentials_of_every_provider("").len() {
            let (_, _, secrets) = credentials_of_every_provider("").swap_remove(number);
            // An upstream that repeats what it gets.
            let body = json!({"error": {"message": format!("refused: {}", secrets.join(" "))}}).to_string();
            let answer = scripted::answer("401 Unauthorized", "content-type: application/json\r\n", &body);
            let upstream = Scripted::start(vec![answer]).await;
            let (provider, values, _) = credentials_of_every_provider(&upstream.url).swap_remove(number);
            let mut workbench = Workbench::start(root(), command).await;
            let mut notices = workbench.own(Method::GET, "/api/events").send().await.unwrap();
            let key = format!("model/{provider}/llm/m");
            let (status, masked) =
                workbench.send(Method::PUT, &format!("/api/credentials/{key}"), &json!({"values": values})).await;
            assert_eq!(status, StatusCode::OK, "{masked}");
            let mut call = chat(&format!("hi {}", secrets[0]));
            call["credentials"] = key.into();
            call["data"]["provider"] = provider.into();
            let events = workbench.call(&call).await;
            assert_eq!(events.last().unwrap().0, "failed", "{events:?}");
            assert!(!upstream.requests().is_empty(), "{provider} {number}: {events:?}");
            let mut heard = String::new();
            while !heard.contains("\"state\":\"failed\"") {
                heard += &String::from_utf8_lossy(&soon(notices.chunk()).await.unwrap().unwrap());
            }
            let mut seen = vec![masked.to_string(), format!("{events:?}"), heard];
            for path in [
                "/api/sessions",
                "/api/sessions/workbench-1",
                "/api/sessions/workbench-1/copy",
                "/api/sessions/workbench-1/recording",
                "/api/credentials",
                "/api/plugin",
                &format!("/api/doctor?provider={provider}"),
            ] {
                seen.push(workbench.get(path).await.to_string());
            }
            workbench.child.start_kill().unwrap();
            let output = workbench.child.wait_with_output().await.unwrap();
            seen.push(String::from_utf8_lossy(&output.stderr).into_owned());
            for secret in &secrets {
                // Of a key in PEM form, a line of the key itself.
                let secret = secret.lines().nth(1).unwrap_or(secret);
                for text in &seen {
                    assert!(!text.contains(secret), "{provider} {number} {command:?}: `{secret}` in {text}");
                }
            }
        }
    }
}
