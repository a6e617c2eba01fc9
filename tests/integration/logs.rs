//! The log lines of the built executable, read from its standard error as a log collector reads them.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use crate::support::scripted;
use scripted::{Scripted, Step, answer, event_stream};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(180);

/// Canary in prompts, responses, files and error messages.
const CONTENT: &str = "canary-content-5e1d";

/// Canary in every credential.
const SECRET: &str = "canary-secret-77ab";

fn command(environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Writes lines to the executable like the daemon, ends the input, and returns its log.
async fn log_of(environment: &[(&str, &str)], lines: &[String]) -> String {
    let mut child = command(environment).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
    drop(input);
    let output = timeout(TIMEOUT, child.wait_with_output()).await.expect("no end in time").unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    assert!(!log.contains(SECRET), "{log}");
    log
}

/// Returns the log as JSON; every line must be valid JSON.
async fn events(level: &str, lines: &[String]) -> Vec<Value> {
    let log = log_of(&[("DIFY_PLUGIN_LOG_LEVEL", level), ("DIFY_PLUGIN_LOG_FORMAT", "json")], lines).await;
    assert!(!log.contains(CONTENT), "{log}");
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn named<'a>(events: &'a [Value], message: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["message"] == message).collect()
}

/// Returns the only event of a session's end.
fn ended(events: &[Value]) -> &Value {
    let ended = named(events, "session ended");
    assert_eq!(ended.len(), 1, "{events:?}");
    ended[0]
}

/// Asserts that an event has each of these fields with its value.
fn check(event: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&event[name], value, "{name} of {event}");
    }
}

fn request(session: &str, action: &str, fields: &Value, credentials: &Value) -> String {
    let mut data = json!({"user_id": "u", "type": "model", "action": action, "credentials": credentials});
    data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"session_id": session, "event": "request", "app_id": "app-1", "data": data}).to_string()
}

fn chat(session: &str, url: &str) -> String {
    let fields = json!({"provider": "google", "model": "gemini-3.5-flash", "model_type": "llm", "stream": true,
        "model_parameters": {}, "prompt_messages": [{"role": "user", "content": CONTENT}]});
    request(session, "invoke_llm", &fields, &json!({"google_api_key": SECRET, "google_base_url": url}))
}

fn embeddings(session: &str, url: &str) -> String {
    let fields = json!({"provider": "ai-gateway", "model": "e", "model_type": "text-embedding", "texts": [CONTENT]});
    let credentials = json!({"auth_method": "hmac", "hmac_access_key": SECRET, "hmac_secret_key": SECRET,
        "endpoint_url": format!("{url}/v1"), "context_size": "1000", "max_chunks": "1", "max_retries": "0"});
    request(session, "invoke_text_embedding", &fields, &credentials)
}

/// A streamed response of two chunks.
fn hello() -> Vec<Step> {
    let piece = |part: Value, more: Value| {
        let mut event = json!({"candidates": [{"content": {"parts": [part]}}]});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Step::Send(format!("data: {event}\r\n\r\n").into_bytes())
    };
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-goog-request-id: up-2\r\n\
        connection: close\r\n\r\n";
    let end = json!({"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
        "candidates": [{"content": {"parts": [{"text": " world"}]}, "finishReason": "STOP"}]});
    vec![
        Step::Send(head.to_vec()),
        piece(json!({"text": CONTENT}), json!({})),
        Step::Pause(Duration::from_secs(1)),
        piece(json!({"text": ""}), end),
    ]
}

fn refusal(status: &str) -> Vec<Step> {
    let body = json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": format!("cannot read {CONTENT}")}});
    answer(status, "content-type: application/json\r\nx-request-id: up-1\r\n", &body.to_string())
}

#[tokio::test]
async fn logs_one_event_without_content_at_the_end_of_a_session() {
    let upstream = Scripted::start(vec![refusal("503 Service Unavailable"), hello()]).await;
    let events = events("info", &[chat("s-1", &upstream.url)]).await;
    let event = ended(&events);
    check(
        event,
        &json!({"level": "INFO", "span": {"name": "session", "session_id": "s-1"}, "action": "invoke_llm",
            "provider": "google", "model": "gemini-3.5-flash", "model_type": "llm", "app_id": "app-1", "outcome": "ok",
            "upstream_calls": 1,
            "attempts": 2, "retries": 1, "status": 200, "upstream_request_id": "up-2", "prompt_tokens": 3,
            "completion_tokens": 2, "total_tokens": 5, "currency": "USD"}),
    );
    let number = |name: &str| event[name].as_f64().unwrap_or_else(|| panic!("{name} of {event}"));
    assert!(number("chunks") >= 2.0);
    assert!(number("duration_ms") >= number("first_chunk_ms") + 100.0, "{event}");
    assert!(number("latency_s") * 1000.0 <= number("duration_ms") + 1.0, "{event}");
    assert!(event["total_price"].as_str().unwrap().parse::<f64>().unwrap() > 0.0, "{event}");
    assert!(event["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{event}");

    let retries = named(&events, "upstream request failed; retrying");
    assert_eq!(retries.len(), 1);
    check(
        retries[0],
        &json!({"level": "WARN", "span": {"name": "session", "session_id": "s-1"}, "host": "127.0.0.1",
            "reason": "HTTP 503 UNAVAILABLE", "status": 503, "upstream_request_id": "up-1", "attempt": 1}),
    );
    assert!(retries[0]["wait_ms"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn every_outcome_has_its_name() {
    let busy = Scripted::start(vec![refusal("429 Too Many Requests")]).await;
    let vector = r#"{"object":"list","data":[{"index":0,"embedding":[0.5]}],"model":"e","usage":{"prompt_tokens":4,"total_tokens":4}}"#;
    let vectors = Scripted::start(vec![answer("200 OK", "content-type: application/json\r\n", vector)]).await;
    for (line, expected) in [
        (
            chat("s", "http://127.0.0.1:1").replace("\"google_base_url\"", "\"max_retries\":\"1\",\"google_base_url\""),
            json!({"outcome": "InvokeConnectionError", "attempts": 2, "retries": 1, "status": null, "chunks": 0}),
        ),
        (
            embeddings("s", &busy.url),
            json!({"outcome": "InvokeRateLimitError", "code": "UNAVAILABLE", "attempts": 1, "retries": 0, "status": 429,
                "upstream_request_id": "up-1", "provider": "ai-gateway", "model_type": "text-embedding"}),
        ),
        (
            embeddings("s", &vectors.url),
            json!({"outcome": "ok", "chunks": 1, "prompt_tokens": 4, "total_tokens": 4, "completion_tokens": 0}),
        ),
        (
            request("s", "validate_provider_credentials", &json!({"provider": "google"}), &json!({})),
            json!({"outcome": "CredentialsValidateFailedError", "action": "validate_provider_credentials",
                "upstream_calls": 0, "attempts": 0, "model_type": null}),
        ),
        (
            request("s", "no_such_action", &json!({"provider": "google"}), &json!({})),
            json!({"outcome": "InvokeBadRequestError", "action": "unknown", "provider": ""}),
        ),
        (
            r#"{"session_id": "s", "event": "request"}"#.to_owned(),
            json!({"outcome": "InvokeBadRequestError", "action": "unknown"}),
        ),
    ] {
        check(ended(&events("info", &[line]).await), &expected);
    }
}

#[tokio::test]
async fn each_level_logs_its_documented_events() {
    for (level, answered, ends, retries) in
        [("error", 0, 0, 0), ("warn", 0, 0, 1), ("info", 0, 1, 1), ("debug", 2, 1, 1), ("off", 0, 0, 0)]
    {
        let upstream = Scripted::start(vec![refusal("503 Service Unavailable"), hello()]).await;
        let events = events(level, &[chat("s-1", &upstream.url)]).await;
        let found = ["upstream responded", "session ended", "upstream request failed; retrying"]
            .map(|message| named(&events, message).len());
        assert_eq!(found, [answered, ends, retries], "{level}: {events:?}");
    }
}

#[tokio::test]
async fn credentials_raise_the_level_of_their_own_sessions_only() {
    for (asked, answered, ends) in [("info", 0, 1), ("debug", 1, 1), ("", 0, 0)] {
        let upstream = Scripted::start(vec![hello(), hello()]).await;
        let raised = chat("loud", &upstream.url)
            .replace("\"google_base_url\"", &format!("\"log_level\":\"{asked}\",\"google_base_url\""));
        let events = events("warn", &[raised, chat("quiet", &upstream.url)]).await;
        let found = ["upstream responded", "session ended"].map(|message| named(&events, message).len());
        assert_eq!(found, [answered, ends], "{asked}: {events:?}");
        assert!(events.iter().all(|event| event["span"]["session_id"] == "loud"), "{events:?}");
    }
}

#[tokio::test]
async fn logs_sessions_of_disconnected_callers() {
    let first = json!({"candidates": [{"content": {"parts": [{"text": CONTENT}]}}]});
    let first = Step::Send(format!("data: {first}\r\n\r\n").into_bytes());
    let upstream = Scripted::start(vec![vec![event_stream(), first, Step::Hang]]).await;
    let settings = [
        ("INSTALL_METHOD", "serverless"),
        ("SERVERLESS_HOST", "127.0.0.1"),
        ("SERVERLESS_PORT", "0"),
        ("DIFY_PLUGIN_LOG_FORMAT", "json"),
        ("MAX_WORKER", "2"),
    ];
    let mut child = command(&settings).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let announced = timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap().unwrap();
    let address = announced.rsplit_once("http://").unwrap().1;
    let call = async |session: &str| {
        let mut caller = TcpStream::connect(address).await.unwrap();
        let body = chat(session, &upstream.url);
        let head = format!(
            "POST /invoke HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        caller.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        caller
    };
    let patient = call("patient").await;
    let mut lines = BufReader::new(patient).lines();
    while !timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap().unwrap().contains(CONTENT) {}
    for number in 0..30 {
        // The session has begun once there is a head; it may not have been looked at.
        let mut hurried = call(&format!("hurried-{number}")).await;
        hurried.read_exact(&mut [0]).await.unwrap();
    }
    drop(lines);
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut events = BTreeMap::new();
    while events.len() < 31 {
        let line = timeout(TIMEOUT, log.next_line()).await.unwrap_or_else(|_| panic!("only {events:?}"));
        let event: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
        if event["message"] == "session ended" {
            assert_eq!(event["outcome"], "cancelled");
            let session = event["span"]["session_id"].as_str().unwrap().to_owned();
            assert!(events.insert(session, event).is_none());
        }
    }
    check(&events["patient"], &json!({"action": "invoke_llm", "attempts": 1, "status": 200}));
}

#[tokio::test]
async fn logs_text_with_one_line_per_event_by_default() {
    let upstream = Scripted::start(vec![hello()]).await;
    let log = log_of(&[("DIFY_PLUGIN_LOG_LEVEL", "info")], &[chat("s-1", &upstream.url)]).await;
    let line = log.lines().find(|line| line.contains("session ended")).unwrap();
    for expected in ["INFO session{session_id=\"s-1\"}: session ended", "outcome=\"ok\"", "status=200"] {
        assert!(line.contains(expected), "{expected}: {line}");
    }
    assert!(!log.contains(CONTENT) && !log.contains('\x1b'), "{log}");
}

#[tokio::test]
async fn logs_content_only_when_enabled_and_never_credentials() {
    for (level, asked, expected) in [
        ("warn", "true", true),
        ("info", "1", true),
        ("dify_plugin_runtime=trace", "false", false),
        ("trace", "", false),
    ] {
        let upstream = Scripted::start(vec![hello()]).await;
        let settings =
            [("DIFY_PLUGIN_LOG_LEVEL", level), ("DIFY_PLUGIN_LOG_CONTENT", asked), ("DIFY_PLUGIN_LOG_FORMAT", "json")];
        let log = log_of(&settings, &[chat("s-1", &upstream.url)]).await;
        let content: Vec<&str> = log.lines().filter(|line| line.contains(CONTENT)).collect();
        // The question once, the answer once.
        assert_eq!(content.len(), if expected { 2 } else { 0 }, "{level} {asked}: {log}");
        assert!(content.iter().all(|line| line.contains("\"message\":\"content\"")), "{log}");
    }
}

#[tokio::test]
async fn reads_settings_from_the_plugin_directory() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(".env"), "DIFY_PLUGIN_LOG_FORMAT=xml\n").unwrap();
    let output = command(&[]).current_dir(directory.path()).output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("setting DIFY_PLUGIN_LOG_FORMAT must be text or json, found `xml`"), "{error}");
    assert!(!output.status.success());
}

#[tokio::test]
async fn logs_the_responding_model_and_its_retirement_once() {
    let event = |text: &str, reason: Value| {
        let event = json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": reason}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2}, "modelVersion": "models/gemini-3.6-flash",
            "modelStatus": {"modelStage": "LEGACY", "retirementTime": "2027-03-01T00:00:00Z", "message": "Move on."}});
        Step::Send(format!("data: {event}\r\n\r\n").into_bytes())
    };
    let reply = vec![event_stream(), event("Hello", Value::Null), event(" world", json!("STOP"))];
    let upstream = Scripted::start(vec![reply]).await;
    let events = events("info", &[chat("s", &upstream.url)]).await;
    let answered = named(&events, "another model responded");
    assert_eq!(answered.len(), 1, "{events:?}");
    let expected =
        json!({"level": "INFO", "requested": "gemini-3.5-flash", "answered": "gemini-3.6-flash", "is_declared": true});
    check(answered[0], &expected);
    let retired = named(&events, "Google will retire the model; choose another one");
    assert_eq!(retired.len(), 1, "{events:?}");
    check(
        retired[0],
        &json!({"level": "WARN", "retirement_time": "2027-03-01T00:00:00Z", "stage": "LEGACY", "status": "Move on."}),
    );
}
