//! Every access type and action of every kind but models over the three transports: an executable returns the same items over
//! standard output, over the debugging port and over HTTP, with calls back into Dify over each. What the items must be is in
//! `kinds.rs`.

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use crate::{sample_packages, solver};
use axum::Router;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Set to the name of the plugin, and absent for the test.
const PLUGIN: &str = "KIND_TRANSPORTS_PLUGIN";

const TIMEOUT: Duration = Duration::from_secs(180);

/// Runs the plugin if this process is one.
pub fn plugin() -> Option<ExitCode> {
    let name = std::env::var(PLUGIN).ok()?;
    Some(sample_packages::plugin(&name)?.run())
}

pub const TESTS: &[(&str, fn())] = &[
    ("every_action_returns_the_same_over_every_transport", || {
        block_on(every_action_returns_the_same_over_every_transport())
    }),
    ("tool_calls_at_the_same_time_keep_their_order_with_few_places", || {
        block_on(tool_calls_at_the_same_time_keep_their_order_with_few_places());
    }),
];

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
}

/// A request's access type, action and fields.
type Request = (&'static str, &'static str, Value);

fn hex_request(text: &str) -> String {
    hex::encode(text.replace('\n', "\r\n"))
}

fn requests(plugin: &str) -> Vec<Request> {
    let raw = hex_request("POST /echo?code=1 HTTP/1.1\nX: 1\n\nbody");
    let oauth = |provider: &str| {
        let access = json!({"provider": provider, "redirect_uri": "https://d/cb", "raw_http_request": raw,
            "system_credentials": {"client_id": "c"}, "credentials": {"access_token": "a"}});
        ["get_authorization_url", "get_credentials", "refresh_credentials"]
            .map(|action| ("oauth", action, access.clone()))
            .to_vec()
    };
    let options = |provider: &str, action: &str, parameter: &str| {
        let fields =
            json!({"provider": provider, "provider_action": action, "parameter": parameter, "credentials": {}});
        vec![("dynamic_parameter", "fetch_parameter_options", fields)]
    };
    match plugin {
        "weather" => {
            let tool = |name: &str, parameters: Value| {
                json!({"provider": "weather", "tool": name, "tool_parameters": parameters,
                    "credentials": {"api_key": "good-key"}, "credential_type": "api-key"})
            };
            let endpoint = json!({"raw_http_request": raw, "settings": {"token": "t"}});
            let mut all = vec![
                ("tool", "invoke_tool", tool("forecast", json!({"place": "Riga"}))),
                ("tool", "invoke_tool", tool("odd", json!({"deed": "blob"}))),
                ("tool", "invoke_tool", tool("odd", json!({"deed": "error"}))),
                ("tool", "validate_tool_credentials", tool("", json!({}))),
                ("tool", "get_tool_runtime_parameters", tool("forecast", json!({}))),
                ("endpoint", "invoke_endpoint", endpoint),
            ];
            all.extend(options("weather", "forecast", "place"));
            all.extend(oauth("weather"));
            all
        }
        "agent" => {
            let fields = json!({"agent_strategy_provider": "solver", "agent_strategy": "solve",
                "agent_strategy_params": {"query": "Why?", "rounds": 2, "tools": [],
                    "model": {"provider": "acme/models/acme", "model": "acme-1", "mode": "chat"}}});
            vec![("agent_strategy", "invoke_agent_strategy", fields)]
        }
        "triggers" => {
            let fields = json!({"provider": "forge", "credentials": {}, "credential_type": "unauthorized",
                "subscription": {"endpoint": "https://d", "properties": {"secret": "s3cret-value", "id": "7"}},
                "endpoint": "https://d/t", "event": "push", "parameters": {"branch": "main"}, "payload": {"length": 4},
                "raw_http_request": raw});
            let actions = [
                "validate_trigger_credentials",
                "subscribe_trigger",
                "dispatch_trigger_event",
                "invoke_trigger_event",
                "refresh_trigger",
                "unsubscribe_trigger",
            ];
            let mut all: Vec<Request> = actions.map(|action| ("trigger", action, fields.clone())).to_vec();
            all.extend(options("forge", "provider", "repo"));
            all.extend(oauth("forge"));
            all
        }
        _ => {
            let datasource = |name: &str, more: Value| {
                let mut fields = json!({"provider": "sources", "datasource": name, "credentials": {}});
                fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                fields
            };
            let (url, none) =
                (json!({"datasource_parameters": {"url": "https://x"}}), json!({"datasource_parameters": {}}));
            let page = json!({"page": {"workspace_id": "w", "page_id": "p", "type": "page"}});
            let listing = json!({"request": {"prefix": "", "max_keys": 20}});
            let mut all = vec![
                ("datasource", "validate_datasource_credentials", datasource("site", json!({}))),
                ("datasource", "invoke_website_datasource_get_crawl", datasource("site", url)),
                ("datasource", "invoke_online_document_datasource_get_pages", datasource("notes", none)),
                ("datasource", "invoke_online_document_datasource_get_page_content", datasource("notes", page)),
                ("datasource", "invoke_online_drive_browse_files", datasource("drive", listing)),
                (
                    "datasource",
                    "invoke_online_drive_download_file",
                    datasource("drive", json!({"request": {"id": "5000"}})),
                ),
            ];
            all.extend(oauth("sources"));
            all
        }
    }
}

fn envelope(session_id: &str, (access_type, action, fields): &Request) -> Value {
    let mut data = json!({"user_id": "user", "type": access_type, "action": action});
    data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"session_id": session_id, "event": "request", "data": data})
}

/// What Dify responds to a call back: a tool call of the model first, then the tool, then the final text.
fn respond(invoke: &Value) -> Vec<Value> {
    let request = &invoke["request"];
    let chunk = |content: &str, calls: Value| {
        json!({"model": "acme-1", "delta": {"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": content, "tool_calls": calls}}})
    };
    let prompt = request["prompt_messages"][0]["content"].as_str().unwrap_or_default();
    match (invoke["type"].as_str().unwrap(), request["opt"].as_str()) {
        ("storage", Some("get")) => vec![json!({"data": "31"})],
        ("storage", _) => vec![json!({"data": "ok"})],
        ("llm", _) if prompt == "Why?" => {
            let call = json!({"id": "1", "type": "function", "function": {"name": "forecast", "arguments": "{}"}});
            vec![chunk("I ", json!([])), chunk("ask.", json!([call]))]
        }
        ("llm", _) => vec![chunk(&format!("Because of {prompt}."), json!([]))],
        ("tool", _) => vec![json!({"type": "text", "message": {"text": "sun"}, "meta": null})],
        (other, _) => panic!("unexpected call {other}"),
    }
}

/// The lines that answer a call.
fn answers(session_id: &str, invoke: &Value) -> Vec<Value> {
    let line = |event: &str, data: Value| {
        json!({"session_id": session_id, "event": "backwards_response", "data": {
            "backwards_request_id": invoke["backwards_request_id"], "event": event, "message": "", "data": data}})
    };
    let responses = respond(invoke).into_iter().map(|data| line("response", data));
    responses.chain([line("end", Value::Null)]).collect()
}

/// Messages of a session, without what differs between two runs.
#[derive(Default)]
struct Seen {
    messages: Vec<Value>,
    calls: usize,
}

impl Seen {
    /// Adds a message; whether it is the last one.
    fn add(&mut self, mut message: Value) -> bool {
        forget_ids(&mut message);
        // Texts that come soon after each other are joined.
        if let (Some(text), Some(last)) = (text_of(&message).map(str::to_owned), self.messages.last_mut())
            && let Some(before) = text_of(last)
        {
            last["data"]["message"]["text"] = format!("{before}{text}").into();
            return false;
        }
        let is_end = message["type"] == "end";
        self.messages.push(message);
        is_end
    }
}

fn text_of(message: &Value) -> Option<&str> {
    message["data"]["message"]["text"].as_str().filter(|_| message["data"]["type"] == "text")
}

fn forget_ids(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.contains_key("total_length") {
                members.insert("id".to_owned(), "any".into());
            }
            members.values_mut().for_each(forget_ids);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_ids),
        _ => {}
    }
}

fn command(plugin: &str, directory: &Path, method: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .current_dir(directory)
        .env(PLUGIN, plugin)
        .env("INSTALL_METHOD", method)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn next<R: AsyncBufRead + Unpin>(lines: &mut Lines<R>) -> Value {
    let line = timeout(TIMEOUT, lines.next_line()).await.expect("no line in time").unwrap().expect("the plugin ended");
    serde_json::from_str(&line).unwrap()
}

/// A session over lines, in which calls back are answered.
async fn over_lines<R: AsyncBufRead + Unpin, W: AsyncWrite + Unpin>(
    lines: &mut Lines<R>,
    writer: &mut W,
    request: &Request,
) -> Seen {
    let mut seen = Seen::default();
    writer.write_all(format!("{}\n", envelope("s", request)).as_bytes()).await.unwrap();
    loop {
        let line = next(lines).await;
        if line["event"] == "heartbeat" {
            continue;
        }
        let message = line["data"].clone();
        if message["type"] == "invoke" {
            seen.calls += 1;
            for answer in answers("s", &message["data"]) {
                writer.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
            }
        } else if seen.add(message) {
            return seen;
        }
    }
}

async fn over_stdio(plugin: &str, directory: &Path) -> Vec<Seen> {
    let mut child = command(plugin, directory, "local").spawn().unwrap();
    let mut writer = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut all = Vec::new();
    for request in requests(plugin) {
        all.push(over_lines(&mut lines, &mut writer, &request).await);
    }
    all
}

async fn over_tcp(plugin: &str, directory: &Path) -> Vec<Seen> {
    let daemon = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut command = command(plugin, directory, "remote");
    command.env("REMOTE_INSTALL_URL", daemon.local_addr().unwrap().to_string()).env("REMOTE_INSTALL_KEY", "key");
    let _child = command.spawn().unwrap();
    let (stream, _) = timeout(TIMEOUT, daemon.accept()).await.expect("no connection in time").unwrap();
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut registered = Vec::new();
    loop {
        let line = next(&mut lines).await;
        match line["type"].as_str().unwrap() {
            "end" => break,
            kind if kind.ends_with("_declaration") => registered.push(kind.to_owned()),
            _ => {}
        }
    }
    let expected: &[&str] = match plugin {
        "weather" => &["manifest_declaration", "tool_declaration", "endpoint_declaration"],
        "agent" => &["manifest_declaration", "agent_strategy_declaration"],
        "triggers" => &["manifest_declaration", "trigger_declaration"],
        _ => &["manifest_declaration", "datasource_declaration"],
    };
    assert_eq!(registered, expected);
    let mut all = Vec::new();
    for request in requests(plugin) {
        all.push(over_lines(&mut lines, &mut writer, &request).await);
    }
    all
}

/// Answers calls back over HTTP, one request each.
async fn daemon() -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let count = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = count.clone();
    let answer = move |body: String| {
        seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            let line: Value = serde_json::from_str(&body).unwrap();
            assert_eq!((&line["event"], &line["data"]["type"]), (&json!("session"), &json!("invoke")));
            let lines = answers(line["session_id"].as_str().unwrap(), &line["data"]["data"]);
            lines.iter().map(|line| format!("{line}\n\n")).collect::<String>()
        }
    };
    let router = Router::new().route("/backwards-invocation/transaction", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, count)
}

async fn over_http(plugin: &str, directory: &Path) -> Vec<Seen> {
    let (daemon, count) = daemon().await;
    let mut command = command(plugin, directory, "serverless");
    command.env("SERVERLESS_HOST", "127.0.0.1").env("SERVERLESS_PORT", "0").env("DIFY_PLUGIN_DAEMON_URL", daemon);
    let mut child: Child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap().unwrap();
    let url = line.rsplit(' ').next().unwrap().to_owned();
    // The client of a test, not one of the upstream.
    #[allow(clippy::disallowed_methods)]
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut all = Vec::new();
    for (number, request) in requests(plugin).iter().enumerate() {
        let before = count.load(std::sync::atomic::Ordering::SeqCst);
        let session_id = format!("s-{number}");
        let response = client
            .post(format!("{url}/invoke?action={}", request.1))
            .header("content-type", "application/json")
            .header("Dify-Plugin-Session-ID", &session_id)
            .body(envelope(&session_id, request).to_string());
        let body = timeout(TIMEOUT, async { response.send().await.unwrap().text().await.unwrap() }).await.unwrap();
        let mut seen = Seen::default();
        for line in body.lines().filter(|line| !line.trim().is_empty()) {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["session_id"], session_id.as_str());
            seen.add(line["data"].clone());
        }
        seen.calls = count.load(std::sync::atomic::Ordering::SeqCst) - before;
        all.push(seen);
    }
    all
}

async fn every_action_returns_the_same_over_every_transport() {
    let weather = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plugins/weather");
    let (agent, triggers) = (sample_packages::agent(), sample_packages::triggers());
    let sources = sample_packages::sources("online_drive");
    for (plugin, directory, calls) in [
        ("weather", weather.as_path(), 0),
        ("agent", agent.path(), 5),
        ("sources", sources.path(), 0),
        ("triggers", triggers.path(), 0),
    ] {
        let expected = over_stdio(plugin, directory).await;
        let (tcp, http) = (over_tcp(plugin, directory).await, over_http(plugin, directory).await);
        for (number, request) in requests(plugin).iter().enumerate() {
            let case = format!("{plugin} {}", request.1);
            let one = &expected[number];
            assert_eq!(one.messages.iter().filter(|message| message["type"] == "end").count(), 1, "{case}");
            assert!(one.messages.len() > 1, "{case}: {:?}", one.messages);
            for (transport, other) in [("tcp", &tcp[number]), ("http", &http[number])] {
                assert_eq!(other.messages, one.messages, "{case} over {transport}");
                assert_eq!((one.calls, other.calls), (calls, calls), "{case} over {transport}");
            }
        }
    }
}

/// Sessions that wait for Dify give their place to others, and the results of calls come back in the order of the calls,
/// whatever the order of the responses.
async fn tool_calls_at_the_same_time_keep_their_order_with_few_places() {
    const SESSIONS: usize = 3;
    let directory = sample_packages::agent();
    let mut child = command("agent", directory.path(), "local").env("MAX_WORKER", "1").spawn().unwrap();
    let mut writer = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let fields = json!({"agent_strategy_provider": "solver", "agent_strategy": "fan", "agent_strategy_params": {}});
    let request = ("agent_strategy", "invoke_agent_strategy", fields);
    for number in 0..SESSIONS {
        let line = envelope(&format!("s-{number}"), &request);
        writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
    // Nothing is answered before the last call has come.
    let mut calls = Vec::new();
    while calls.len() < SESSIONS * solver::CALLS {
        let line = next(&mut lines).await;
        if line["event"] == "session" {
            assert_eq!(line["data"]["type"], "invoke", "{line}");
            calls.push(line);
        }
    }
    for call in calls.iter().rev() {
        let invoke = &call["data"]["data"];
        let number = invoke["request"]["tool_parameters"]["number"].to_string();
        let message = json!({"type": "text", "message": {"text": format!("{number} ")}, "meta": null});
        for (event, data) in [("response", message), ("end", Value::Null)] {
            let data = json!({"backwards_request_id": invoke["backwards_request_id"], "event": event, "message": "",
                "data": data});
            let line = json!({"session_id": call["session_id"], "event": "backwards_response", "data": data});
            writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }
    }
    let mut texts = std::collections::BTreeMap::<String, String>::new();
    let mut ended = 0;
    while ended < SESSIONS {
        let line = next(&mut lines).await;
        if line["event"] != "session" {
            continue;
        }
        let text = texts.entry(line["session_id"].as_str().unwrap().to_owned()).or_default();
        match line["data"]["type"].as_str().unwrap() {
            "stream" => text.push_str(line["data"]["data"]["message"]["text"].as_str().unwrap_or_default()),
            "end" => ended += 1,
            _ => panic!("{line}"),
        }
    }
    let expected: String = (0..solver::CALLS).map(|number| format!("{number} ")).collect();
    assert!(texts.len() == SESSIONS && texts.values().all(|text| *text == expected), "{texts:?}");
}
