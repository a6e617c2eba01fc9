//! The built executable with its three transports, over real pipes and sockets, with a mock daemon and upstream.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{directories, scripted, waits};
use scripted::{Scripted, Step, answer, event_stream};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use waits::{TIMEOUT, soon, until};

fn command(method: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("INSTALL_METHOD", method)
        .env("DIFY_PLUGIN_LOG_LEVEL", "info")
        .env("SECRET_OF_THE_DAEMON", "s3cret-environment")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

struct Local {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Local {
    fn start() -> Self {
        let mut child = command("local").spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, input, lines }
    }

    async fn next(&mut self) -> Option<Value> {
        let line = timeout(TIMEOUT, self.lines.next_line()).await.expect("no line in time").unwrap();
        line.map(|line| serde_json::from_str(&line).unwrap())
    }

    async fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    }

    async fn send(&mut self, line: &Value) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
}

fn llm(session: &str, base_url: &str) -> Value {
    json!({"session_id": session, "event": "request", "data": {"user_id": "u", "type": "model", "action": "invoke_llm",
        "provider": "google", "model": "gemini-3.5-flash", "model_type": "llm", "stream": true,
        "credentials": {"google_api_key": "s3cret-key", "google_base_url": base_url, "max_retries": "0"},
        "model_parameters": {}, "prompt_messages": [{"role": "user", "content": "hi"}]}})
}

const HELLO: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\"}]}}]}\r\n\r\n\
    data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"lo\"}]},\"finishReason\":\"STOP\"}],\
    \"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2}}\r\n\r\n";

async fn gemini() -> Scripted {
    Scripted::start(vec![vec![event_stream(), Step::Send(HELLO.as_bytes().to_vec())]]).await
}

/// Text and error of a session.
#[derive(Default)]
struct Heard {
    text: String,
    error: Option<Value>,
    ended: bool,
}

impl Heard {
    fn take(&mut self, line: &Value) {
        match line["data"]["type"].as_str() {
            Some("stream") => self.text.push_str(line["data"]["data"]["delta"]["message"]["content"].as_str().unwrap()),
            Some("error") => self.error = Some(line["data"]["data"].clone()),
            Some("end") => self.ended = true,
            _ => {}
        }
    }
}

#[tokio::test]
async fn sends_a_heartbeat_first_over_pipes_and_exits_at_the_end_of_input() {
    let upstream = gemini().await;
    let mut plugin = Local::start();
    assert_eq!(plugin.next().await.unwrap(), json!({"event": "heartbeat", "session_id": null, "data": {}}));
    plugin.send(&llm("a", &upstream.url)).await;
    drop(plugin.input);
    let mut heard = Heard::default();
    while let Some(line) = timeout(TIMEOUT, plugin.lines.next_line()).await.unwrap().unwrap() {
        heard.take(&serde_json::from_str(&line).unwrap());
    }
    assert_eq!((heard.text.as_str(), heard.ended), ("Hello", true));
    let output = timeout(TIMEOUT, plugin.child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success());
    let logs = String::from_utf8_lossy(&output.stderr);
    assert!(!logs.contains("s3cret"), "{logs}");
    let request = &upstream.requests()[0];
    assert!(request.contains("x-goog-api-key: s3cret-key") && !request.lines().next().unwrap().contains("s3cret"));
    assert!(request.starts_with("POST /v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse "), "{request}");
}

#[tokio::test]
async fn sends_a_heartbeat_before_it_reads_its_declarations() {
    let without_any = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"))
        .current_dir(without_any.path())
        .env("INSTALL_METHOD", "local")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let heartbeat = json!({"event": "heartbeat", "session_id": null, "data": {}});
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), heartbeat);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("manifest.yaml"), "{errors}");
}

#[tokio::test]
async fn exits_quietly_when_the_daemon_closes_the_output() {
    let upstream = Scripted::start(vec![vec![
        event_stream(),
        Step::Repeat(
            b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}\n\n".to_vec(),
            Duration::from_millis(5),
        ),
    ]])
    .await;
    let mut plugin = Local::start();
    plugin.next().await.unwrap();
    plugin.send(&llm("a", &upstream.url)).await;
    plugin.next().await.unwrap();
    drop(plugin.lines);
    let output = timeout(TIMEOUT, plugin.child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn sigterm_ends_the_process_within_the_grace_period() {
    let upstream = Scripted::start(vec![vec![Step::Hang]]).await;
    let mut plugin = Local::start();
    plugin.next().await.unwrap();
    plugin.send(&llm("a", &upstream.url)).await;
    let pid = plugin.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert!(timeout(TIMEOUT, plugin.child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn sigterm_without_open_sessions_ends_the_process_immediately() {
    let upstream = Scripted::start(vec![vec![Step::Hang]]).await;
    let (mut idle, mut working) = (Local::start(), Local::start());
    idle.next().await.unwrap();
    working.send(&llm("open", &upstream.url)).await;
    until(|| upstream.open_connections() == 1).await;
    idle.terminate().await;
    working.terminate().await;
    tokio::select! {
        ended = soon(idle.child.wait()) => assert!(ended.unwrap().success()),
        _ = working.child.wait() => panic!("what has nothing to do waited as long as what has"),
    }
}

#[tokio::test]
async fn sigterm_ends_every_session_with_an_error_and_rejects_new_ones() {
    let upstream = Scripted::start(vec![vec![Step::Hang]]).await;
    let mut plugin = Local::start();
    plugin.next().await.unwrap();
    plugin.send(&llm("open", &upstream.url)).await;
    until(|| upstream.open_connections() == 1).await;
    plugin.terminate().await;
    let mut heard = std::collections::BTreeMap::<String, Heard>::new();
    // An unanswerable request shows when SIGTERM was handled.
    let mut nonsense = llm("nonsense", &upstream.url);
    nonsense["data"]["provider"] = json!("unknown");
    while !heard.contains_key("nonsense") {
        plugin.send(&nonsense).await;
        let answer = loop {
            let line = plugin.next().await.unwrap();
            if line["data"]["type"] == "error" {
                break line;
            }
        };
        if answer.to_string().contains("shutting down") {
            heard.entry("nonsense".to_owned()).or_default();
        }
    }
    plugin.send(&llm("new", &upstream.url)).await;
    while let Some(line) = plugin.next().await {
        if let Some(session) = line["session_id"].as_str() {
            heard.entry(session.to_owned()).or_default().take(&line);
        }
    }
    assert!(timeout(TIMEOUT, plugin.child.wait()).await.unwrap().unwrap().success());
    for session in ["open", "new"] {
        let error = heard[session].error.as_ref().unwrap();
        assert!(heard[session].ended && error["message"].as_str().unwrap().contains("shutting down"), "{error}");
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_cancel_closes_the_upstream_connection_in_every_state() {
    const EVENT: &[u8] = b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}\n\n";
    let busy = answer("503 Service Unavailable", "retry-after: 8\r\n", "busy");
    let video =
        json!([{"type": "video", "format": "mp4", "mime_type": "video/mp4", "base64_data": "AAAA".repeat(6_000_000)}]);
    // What the upstream does, and whether a connection is open when the cancel comes.
    for (title, script, connected) in [
        ("the head of an answer", vec![Step::Hang], true),
        ("an upload", vec![Step::Hang], true),
        ("the next event", vec![event_stream(), Step::Send(EVENT.to_vec()), Step::Hang], true),
        ("a repeat", busy, false),
    ] {
        let upstream = Scripted::start(vec![script]).await;
        let mut plugin = Local::start();
        let mut request = llm("a", &upstream.url);
        request["data"]["credentials"]["max_retries"] = json!("3");
        if title == "an upload" {
            request["data"]["prompt_messages"][0]["content"] = video.clone();
        }
        plugin.send(&request).await;
        until(|| upstream.requests().len() == 1 && (upstream.open_connections() == 1) == connected).await;
        plugin.send(&json!({"session_id": "a", "event": "cancel"})).await;
        // Nothing else closes it for minutes.
        until(|| upstream.open_connections() == 0).await;
        let mut heard = Heard::default();
        while !heard.ended {
            heard.take(&plugin.next().await.unwrap());
        }
        assert!(heard.error.is_none(), "{title}: {:?}", heard.error);
        drop(plugin.input);
        while let Some(line) = timeout(TIMEOUT, plugin.lines.next_line()).await.unwrap().unwrap() {
            assert!(line.contains("heartbeat"), "{title}: a word after the end: {line}");
        }
        assert_eq!(upstream.requests().len(), 1, "{title}");
        assert_eq!(upstream.requests()[0].contains("/upload/"), title == "an upload", "{title}");
    }
}

/// Returns the resident memory of a process in bytes, without the pages of its executable.
fn resident(process: &Child) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Starts an upstream that accepts requests of any length, responds to the first ones with these bodies in order, and
/// then sends nothing. Returns its URL, and the number of bytes of the request without a response.
async fn silent(answers: &[(&'static str, &'static str)]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, taken) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
    let (count, answers) = (taken.clone(), answers.to_vec());
    tokio::spawn(async move {
        for answer in answers.into_iter().map(Some).chain([None]) {
            let (socket, _) = listener.accept().await.unwrap();
            let mut reader = BufReader::new(socket);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).await.unwrap() > 2 {
                let (name, value) = line.trim().split_once(": ").unwrap_or_default();
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.parse().unwrap();
                }
                line.clear();
            }
            let mut buffer = vec![0; 1 << 16];
            let mut rest = length;
            while rest > 0 {
                let bytes = reader.read(&mut buffer).await.unwrap();
                rest -= bytes;
                if answer.is_none() {
                    count.fetch_add(bytes, Ordering::SeqCst);
                }
            }
            if let Some((kind, body)) = answer {
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
                );
                reader.get_mut().write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                continue;
            }
            while let Ok(1..) = reader.read(&mut buffer).await {}
        }
    });
    (url, taken)
}

#[tokio::test]
async fn a_long_waiting_request_is_in_memory_only_once() {
    const LENGTH: usize = 20_000_000;
    const EVENTS: (&str, &str) = ("text/event-stream", HELLO);
    const CACHE: (&str, &str) =
        ("application/json", r#"{"name": "cachedContents/1", "usageMetadata": {"totalTokenCount": 5000000}}"#);
    let words = "some words of a long text ".repeat(LENGTH / 26);
    let message = |role: &str, text: &str| json!({"role": role, "content": text});
    // Who, the prompt, answers that come before, and how long the request is that is not answered.
    let cases = [
        ("Gemini", vec![message("user", &words)], &[][..], LENGTH),
        ("Gemini, instructions", vec![message("system", &words), message("user", "Why?")], &[], LENGTH),
        ("Gemini, a cache", vec![message("system", &words), message("user", "Why?")], &[EVENTS, CACHE], 10),
        (
            "Gemini, much behind a cache",
            vec![message("system", &"word ".repeat(10_000)), message("user", &words)],
            &[EVENTS, CACHE],
            LENGTH,
        ),
        ("AI Gateway", vec![message("user", &words)], &[], LENGTH),
    ];
    for (title, prompt, answers, length) in cases {
        let (url, taken) = silent(answers).await;
        let mut plugin = Local::start();
        plugin.next().await.unwrap();
        let mut request = llm("a", &url);
        // What declarations take is there once the first request has ended.
        let mut unknown = request.clone();
        unknown["data"]["action"] = json!("unknown");
        plugin.send(&unknown).await;
        while plugin.next().await.unwrap()["data"]["type"] != "end" {}
        let idle = resident(&plugin.child);
        if title == "AI Gateway" {
            (request["data"]["provider"], request["data"]["model"]) = (json!("ai-gateway"), json!("m"));
            request["data"]["credentials"] = json!({"auth_method": "api_key", "api_key": "k", "mode": "chat",
                "endpoint_url": format!("{url}/v1")});
        }
        request["data"]["prompt_messages"] = json!(prompt);
        if !answers.is_empty() {
            request["data"]["model_parameters"] = json!({"context_cache": true});
            plugin.send(&request).await;
            while plugin.next().await.unwrap()["data"]["type"] != "end" {}
        }
        plugin.send(&request).await;
        until(|| taken.load(Ordering::SeqCst) > length / 26 * 26).await;
        // What is not needed any more goes back to the system within seconds.
        let kept = || resident(&plugin.child).saturating_sub(idle);
        until(|| kept() < LENGTH * 3 / 2).await;
        assert!(kept() > LENGTH / 2, "{title}: the request is gone: {}", kept());
    }
}

/// The daemon's side of a registration.
struct Debugger {
    lines: Lines<BufReader<tokio::net::tcp::OwnedReadHalf>>,
    writer: tokio::net::tcp::OwnedWriteHalf,
}

impl Debugger {
    fn new(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { lines: BufReader::new(reader).lines(), writer }
    }

    async fn next(&mut self) -> Value {
        let line = timeout(TIMEOUT, self.lines.next_line()).await.unwrap().unwrap().expect("the plugin closed");
        serde_json::from_str(&line).unwrap()
    }

    /// Reads a registration: (key, manifest, provider, assets by name).
    async fn registration(&mut self) -> (String, Value, Value, Vec<String>) {
        let handshake = self.next().await;
        assert_eq!(handshake["type"], "handshake");
        let manifest = self.next().await;
        assert_eq!(manifest["type"], "manifest_declaration");
        let provider = self.next().await;
        assert_eq!(provider["type"], "model_declaration");
        assert_eq!(provider["data"].as_array().unwrap().len(), 1);
        let mut assets = Vec::new();
        loop {
            let line = self.next().await;
            match line["type"].as_str().unwrap() {
                "asset_chunk" => {
                    assert!(!line["data"]["data"].as_str().unwrap().is_empty());
                    assets.push(line["data"]["filename"].as_str().unwrap().to_owned());
                }
                "end" => break,
                other => panic!("unexpected {other}"),
            }
        }
        let key = handshake["data"]["key"].as_str().unwrap().to_owned();
        (key, manifest["data"].clone(), provider["data"][0].clone(), assets)
    }
}

fn remote(port: u16) -> Command {
    let mut command = command("remote");
    command.env("REMOTE_INSTALL_URL", format!("127.0.0.1:{port}")).env("REMOTE_INSTALL_KEY", "s3cret-debug-key");
    command
}

#[tokio::test]
async fn remote_debugging_registers_every_provider_and_serves_each() {
    let upstream = gemini().await;
    let daemon = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut plugin = remote(daemon.local_addr().unwrap().port()).spawn().unwrap();
    let mut names = Vec::new();
    let mut open = Vec::new();
    for _ in 0..3 {
        let (stream, _) = timeout(TIMEOUT, daemon.accept()).await.unwrap().unwrap();
        let mut debugger = Debugger::new(stream);
        let (key, manifest, provider, assets) = debugger.registration().await;
        assert_eq!(key, "s3cret-debug-key");
        assert_eq!(debugger.next().await["event"], "heartbeat");
        for icon in ["icon_small", "icon_large"] {
            for file in provider[icon].as_object().unwrap().values() {
                assert!(assets.iter().any(|asset| asset == file.as_str().unwrap()), "{file}");
            }
        }
        assert!(assets.iter().any(|asset| asset == manifest["icon"].as_str().unwrap()));
        assert!(provider["models"].is_array());
        for form in ["provider_credential_schema", "model_credential_schema"] {
            let fields = provider[form]["credential_form_schemas"].as_array();
            assert!(fields.is_none_or(|fields| fields.len() <= 32), "{form}");
        }
        assert_eq!(manifest["plugins"]["models"].as_array().unwrap().len(), 1);
        names.push(manifest["name"].as_str().unwrap().to_owned());
        if provider["provider"] == "google" {
            debugger.writer.write_all(format!("{}\n", llm("a", &upstream.url)).as_bytes()).await.unwrap();
            let mut heard = Heard::default();
            while !heard.ended {
                heard.take(&debugger.next().await);
            }
            assert_eq!(heard.text, "Hello");
        }
        open.push(debugger);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3, "each provider has a name of its own: {names:?}");
    plugin.kill().await.unwrap();
}

/// Returns the daemon's side of the connection that serves Gemini.
async fn registered(daemon: &TcpListener) -> Debugger {
    loop {
        let (stream, _) = timeout(TIMEOUT, daemon.accept()).await.unwrap().unwrap();
        let mut debugger = Debugger::new(stream);
        let (_, _, provider, _) = debugger.registration().await;
        if provider["provider"] == "google" {
            return debugger;
        }
        // The others are kept open elsewhere.
        tokio::spawn(async move { while timeout(TIMEOUT, debugger.lines.next_line()).await.is_ok() {} });
    }
}

/// Starts a remote plugin with one session, which waits for a silent upstream.
async fn waiting_for_an_upstream() -> (Scripted, Child, Debugger) {
    let upstream = Scripted::start(vec![vec![Step::Hang]]).await;
    let daemon = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plugin = remote(daemon.local_addr().unwrap().port()).spawn().unwrap();
    let mut debugger = registered(&daemon).await;
    debugger.writer.write_all(format!("{}\n", llm("a", &upstream.url)).as_bytes()).await.unwrap();
    until(|| upstream.open_connections() == 1).await;
    (upstream, plugin, debugger)
}

#[tokio::test]
async fn a_lost_daemon_connection_ends_its_sessions() {
    let (upstream, mut plugin, debugger) = waiting_for_an_upstream().await;
    drop(debugger);
    // Nothing else closes it for minutes.
    until(|| upstream.open_connections() == 0).await;
    plugin.kill().await.unwrap();
}

#[tokio::test]
async fn over_tcp_reads_lines_of_64_mib_and_rejects_longer_ones() {
    const LIMIT: usize = 64 * 1024 * 1024;
    let upstream = gemini().await;
    let daemon = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut plugin = remote(daemon.local_addr().unwrap().port()).spawn().unwrap();
    let Debugger { mut lines, mut writer } = registered(&daemon).await;
    // What is not read pads each line to its length.
    let line = |session: &str, length: usize| {
        let mut request = llm(session, &upstream.url);
        request["data"]["padding"] = json!("");
        request["data"]["padding"] = json!("x".repeat(length - request.to_string().len()));
        format!("{request}\n")
    };
    let all = [line("longest", LIMIT), line("too long", LIMIT + 1), line("after", 1000)];
    let writing = tokio::spawn(async move {
        for line in all {
            writer.write_all(line.as_bytes()).await.unwrap();
        }
        writer
    });
    let mut heard = std::collections::BTreeMap::<String, Heard>::new();
    while heard.values().filter(|heard| heard.ended).count() < 3 {
        let line: Value = serde_json::from_str(&soon(lines.next_line()).await.unwrap().unwrap()).unwrap();
        if let Some(session) = line["session_id"].as_str() {
            heard.entry(session.to_owned()).or_default().take(&line);
        }
    }
    for session in ["longest", "after"] {
        assert_eq!((heard[session].text.as_str(), &heard[session].error), ("Hello", &None), "{session}");
    }
    let error = heard["too long"].error.as_ref().unwrap();
    assert!(error["message"].as_str().unwrap().contains("too large: 67108865 bytes"), "{error}");
    drop(writing.await.unwrap());
    plugin.kill().await.unwrap();
}

#[tokio::test]
async fn sigterm_ends_the_sessions_of_a_remote_daemon_with_an_error() {
    let (_upstream, mut plugin, mut debugger) = waiting_for_an_upstream().await;
    let pid = plugin.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let mut heard = Heard::default();
    while !heard.ended {
        heard.take(&debugger.next().await);
    }
    assert!(heard.error.unwrap()["message"].as_str().unwrap().contains("shutting down"));
    assert!(timeout(TIMEOUT, plugin.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn a_rejected_key_ends_remote_debugging_with_a_hint() {
    let daemon = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plugin = remote(daemon.local_addr().unwrap().port()).spawn().unwrap();
    let (stream, _) = timeout(TIMEOUT, daemon.accept()).await.unwrap().unwrap();
    let mut debugger = Debugger::new(stream);
    debugger.registration().await;
    debugger.writer.write_all(b"handshake failed, invalid key\n").await.unwrap();
    drop(debugger);
    let output = timeout(TIMEOUT, plugin.wait_with_output()).await.unwrap().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("copy a new one"), "{error}");
    assert!(!error.contains(": registered"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn debug_reconnects_when_a_declaration_changes() {
    let directory = directories::one_provider();
    let daemon = TcpListener::bind("127.0.0.1:0").await.unwrap();
    std::fs::write(
        directory.path().join(".env"),
        format!(
            "INSTALL_METHOD=remote\nREMOTE_INSTALL_URL={}\nREMOTE_INSTALL_KEY=from-the-file\n",
            daemon.local_addr().unwrap()
        ),
    )
    .unwrap();
    let mut plugin = command("local")
        .args(["debug", "--dir"])
        .arg(directory.path())
        .arg("--env-file")
        .arg(directory.path().join(".env"))
        .spawn()
        .unwrap();
    let (stream, _) = timeout(TIMEOUT, daemon.accept()).await.unwrap().unwrap();
    let mut debugger = Debugger::new(stream);
    let (key, before, ..) = debugger.registration().await;
    assert_eq!(key, "from-the-file");
    let upstream = Scripted::start(vec![vec![Step::Hang]]).await;
    let open = json!({"session_id": "a", "event": "request", "data": {"user_id": "u", "type": "model",
        "action": "invoke_llm", "provider": "xinference", "model": "m", "model_type": "llm", "stream": true,
        "credentials": {"server_url": upstream.url, "model_uid": "m"}, "model_parameters": {},
        "prompt_messages": [{"role": "user", "content": "hi"}]}});
    debugger.writer.write_all(format!("{open}\n").as_bytes()).await.unwrap();
    until(|| upstream.open_connections() == 1).await;
    let manifest = directory.path().join("manifest.yaml");
    let altered = std::fs::read_to_string(&manifest).unwrap().replace("Gemini, Alibaba", "Altered Gemini, Alibaba");
    std::fs::write(manifest, altered).unwrap();
    // The old connection is gone, with its session, before there is a new one.
    let over = async { while soon(debugger.lines.next_line()).await.unwrap().is_some() {} };
    tokio::select! {
        biased;
        () = over => {}
        _ = daemon.accept() => panic!("there are two connections at once"),
    }
    until(|| upstream.open_connections() == 0).await;
    let (stream, _) = timeout(TIMEOUT, daemon.accept()).await.unwrap().unwrap();
    let (_, after, ..) = Debugger::new(stream).registration().await;
    assert_ne!(before["description"], after["description"]);
    plugin.kill().await.unwrap();
}

#[tokio::test]
async fn reports_a_missing_key() {
    let output = command("remote").env_remove("REMOTE_INSTALL_KEY").output().await.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("REMOTE_INSTALL_KEY"));
}

struct Serverless {
    _child: Child,
    url: String,
}

impl Serverless {
    async fn start(method: &str, port: &str) -> Self {
        let mut child = command(method).env(port, "0").env("SERVERLESS_HOST", "127.0.0.1").spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap().unwrap();
        assert!(line.contains("Serving Flask app"), "{line}");
        let url = line.rsplit(' ').next().unwrap().replace("0.0.0.0", "127.0.0.1");
        Self { _child: child, url }
    }
}

#[tokio::test]
async fn over_http_each_request_is_a_session() {
    for (method, port) in [("serverless", "SERVERLESS_PORT"), ("aws_lambda", "AWS_LAMBDA_PORT")] {
        let upstream = gemini().await;
        let server = Serverless::start(method, port).await;
        let client = http_client();
        for path in ["/health", "/"] {
            assert_eq!(client.get(format!("{}{path}", server.url)).send().await.unwrap().status(), 200);
        }
        // A retry and a batch use the same session id.
        for _ in 0..2 {
            let answer = client
                .post(format!("{}/invoke?action=invoke_llm", server.url))
                .header("Dify-Plugin-Session-ID", "a")
                .header("content-type", "application/json")
                .body(llm("a", &upstream.url).to_string())
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 200);
            let mut heard = Heard::default();
            for line in answer.text().await.unwrap().lines() {
                heard.take(&serde_json::from_str(line).unwrap());
            }
            assert_eq!((heard.text.as_str(), heard.ended), ("Hello", true));
        }
    }
}

#[tokio::test]
async fn a_disconnected_client_cancels_the_upstream_request() {
    let event = b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}\n\n";
    let upstream = Scripted::start(vec![vec![event_stream(), Step::Send(event.to_vec()), Step::Hang]]).await;
    let server = Serverless::start("serverless", "SERVERLESS_PORT").await;
    let mut answer = http_client()
        .post(format!("{}/invoke", server.url))
        .header("content-type", "application/json")
        .body(llm("a", &upstream.url).to_string())
        .send()
        .await
        .unwrap();
    assert!(answer.chunk().await.unwrap().is_some());
    assert_eq!(upstream.open_connections(), 1);
    drop(answer);
    until(|| upstream.open_connections() == 0).await;
}

#[tokio::test]
async fn passes_on_the_error_message_of_the_upstream() {
    let body = r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"API key not valid.","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#;
    let upstream = Scripted::start(vec![answer("400 Bad Request", "content-type: application/json\r\n", body)]).await;
    let mut plugin = Local::start();
    plugin.send(&llm("a", &upstream.url)).await;
    let mut heard = Heard::default();
    while !heard.ended {
        let line = plugin.next().await.unwrap();
        heard.take(&line);
    }
    let error = heard.error.unwrap();
    assert_eq!(error["error_type"], "InvokeAuthorizationError");
    assert!(error["message"].as_str().unwrap().contains("API key not valid."), "{error}");
}

#[allow(clippy::disallowed_methods)]
fn http_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}
