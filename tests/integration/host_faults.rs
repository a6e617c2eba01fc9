//! The faults of Dify that the host for tests can play: each is seen by a plugin that breaks the rule, and no plugin of this
//! library fails by it. Time is virtual.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin::prelude::*;
use dify_plugin::testing::{Answer, Failure, Host};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::{Instant, sleep};

/// A plugin that answers its first request with these lines, whatever it is, in one write each, and goes on running.
fn scripted(writes: Vec<String>) -> Host {
    let (plugin, daemon) = tokio::io::duplex(64 * 1024 * 1024);
    let (input, mut output) = tokio::io::split(plugin);
    tokio::spawn(async move {
        let mut lines = BufReader::new(input).lines();
        let _request = lines.next_line().await.unwrap();
        for text in writes {
            output.write_all(text.as_bytes()).await.unwrap();
        }
        while let Ok(Some(_)) = lines.next_line().await {}
    });
    let (reader, writer) = tokio::io::split(daemon);
    Host::over(reader, writer)
}

fn line(kind: &str, data: &Value) -> String {
    format!("{}\n", json!({"event": "session", "session_id": "session-1", "data": {"type": kind, "data": data}}))
}

fn items(items: impl IntoIterator<Item = Value>) -> String {
    items.into_iter().map(|item| line("stream", &item)).collect()
}

fn end() -> String {
    line("end", &json!({}))
}

fn text(text: &str) -> Value {
    json!({"type": "text", "message": {"text": text}, "meta": null})
}

fn chunk(bytes: &[u8], total: usize, end: bool) -> Value {
    json!({"type": "blob_chunk", "meta": {"mime_type": "text/plain"},
        "message": {"id": "f", "sequence": 0, "total_length": total, "blob": STANDARD.encode(bytes), "end": end}})
}

fn body(text: &str) -> Value {
    json!({"result": hex::encode(text)})
}

fn head(text: &str) -> Value {
    json!({"status": 200, "headers": {}, "result": hex::encode(text)})
}

async fn failure(host: &Host, kind: &str) -> Failure {
    match kind {
        "tool" => host.tool("t").provider("p").await.unwrap_err(),
        "agent" => host.agent("s").provider("p").await.unwrap_err(),
        "endpoint" => host.endpoint(http::Request::get("/").body("").unwrap()).await.unwrap_err(),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_breaks_a_rule_fails_by_what_dify_does_then() {
    let many = items((0..300).map(|number| text(&number.to_string())));
    let long = items([text(&"x".repeat(5 * 1024 * 1024))]);
    let cases: Vec<(&str, Host, Vec<&str>)> = vec![
        // The daemon ends the process, and all of its sessions.
        ("tool", scripted(vec![long + &end()]), vec!["PLUGIN_RUNTIME_MAX_BUFFER_SIZE", "ends the process"]),
        ("tool", scripted(vec![items([text("12345")])]).max_line_bytes(80), vec!["above 80 bytes"]),
        // More than 128 unread items.
        ("agent", scripted(vec![many.clone() + &end()]).slow_reader(Duration::from_millis(1)), vec!["dropped", "128"]),
        (
            "endpoint",
            scripted(vec![items([head("")]) + &items((0..300).map(|_| body("x"))) + &end()])
                .slow_reader(Duration::from_millis(1)),
            vec!["dropped", "128"],
        ),
        // The end comes with the first part of the body.
        ("endpoint", scripted(vec![items([head("a"), body("b")]) + &end()]).endpoint_race(), vec!["first part"]),
        // The bytes of a chunk.
        ("tool", scripted(vec![items([chunk(&[0; 8193], 8193, false)])]), vec!["8193 bytes is too large"]),
        ("agent", scripted(vec![items([chunk(b"abc", 6, false), chunk(b"def", 6, true)])]), vec!["must be empty"]),
        ("agent", scripted(vec![items([chunk(b"abc", 6, false)]) + &end()]), vec!["no end chunk"]),
        // No heartbeat.
        ("tool", scripted(vec![]), vec!["no heartbeat"]),
        // Messages of a session.
        (
            "tool",
            scripted(vec![line("error", &json!({"error_type": "E", "message": "m"})) + &items([text("x")])]),
            vec!["after the error"],
        ),
        ("tool", scripted(vec![line("smoke", &json!({}))]), vec!["unknown message type `smoke`"]),
        ("tool", scripted(vec![line("invoke", &json!({"type": "llm"}))]), vec!["invoke_dify_error"]),
        ("tool", scripted(vec![items([json!({"message": {}})])]), vec!["unmarshal_error"]),
    ];
    for (number, (kind, host, expected)) in cases.into_iter().enumerate() {
        let failure = failure(&host, kind).await;
        assert!(failure.is_of_dify(), "{number}: {failure}");
        for expected in expected {
            assert!(failure.message.contains(expected), "{number}: {failure}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_is_off_loses_nothing() {
    let many = items((0..2000).map(|number| text(&format!("{number} "))));
    let host = scripted(vec![many + &end()]);
    assert_eq!(host.agent("s").provider("p").await.unwrap().messages().len(), 2000);
    let host = scripted(vec![items([head("a"), body("b")]) + &end()]);
    assert_eq!(&host.endpoint(http::Request::get("/").body("").unwrap()).await.unwrap().body()[..], b"ab");
    // A tool's queue has 1,024 places and blocks.
    let many = items((0..2000).map(|number| text(&format!("{number} "))));
    let host = scripted(vec![many + &end()]).slow_reader(Duration::from_millis(1));
    assert_eq!(host.tool("t").provider("p").await.unwrap().messages().len(), 2000);
}

#[tokio::test(start_paused = true)]
async fn lines_of_no_session_are_reported() {
    let printed = "printed by mistake\n".to_owned();
    let other = format!("{}\n", json!({"event": "session", "session_id": "x", "data": {"type": "end", "data": {}}}));
    let host = scripted(vec![printed + &other + &end() + &end()]);
    host.tool("t").provider("p").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let dropped = host.dropped_lines();
    assert_eq!(dropped.len(), 3, "{dropped:?}");
    assert!(dropped[0].contains("printed by mistake") && dropped[2].starts_with("no session is open"), "{dropped:?}");
}

/// Waits or calls as its parameters say.
struct Provider;

impl ToolProvider for Provider {
    const NAME: &'static str = "waits";

    fn tools(&self) -> Tools {
        Tools::new().tool(Waits)
    }
}

struct Waits;

#[derive(Deserialize, JsonSchema)]
struct Deed {
    deed: String,
    seconds: Option<u64>,
}

impl Tool for Waits {
    const NAME: &'static str = "wait";
    type Parameters = Deed;

    async fn invoke(&self, call: Call, deed: Deed, out: &mut Messages) -> Result<(), PluginError> {
        let model = ModelConfig::new("acme/models/acme", "acme-1");
        match deed.deed.as_str() {
            "sleep" => sleep(Duration::from_secs(deed.seconds.unwrap_or_default())).await,
            "llm" => {
                let mut chunks = call.dify.llm(&model).user("hi").stream().await?;
                while let Some(chunk) = chunks.next().await {
                    out.text(chunk?.text()).await?;
                }
            }
            "get" => out.text(format!("{:?}", call.dify.storage().get("key").await?)).await?,
            _ => {
                let dify = call.dify.clone();
                tokio::spawn(async move {
                    call.cancel.cancelled().await;
                    assert!(dify.storage().set("late", "x").await.is_err());
                });
            }
        }
        out.text(".").await
    }
}

fn host() -> Host {
    Host::new(Plugin::new().tool_provider(Provider))
}

async fn deed(host: &Host, deed: &str, seconds: u64) -> (Result<String, Failure>, u64) {
    let started = Instant::now();
    let outcome = host.tool("wait").parameter("deed", deed).parameter("seconds", seconds).await;
    (outcome.map(|outputs| outputs.text().to_owned()), started.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_call_back_ends_after_240_s_and_a_session_after_600_s() {
    let part = Duration::from_secs(50);
    for (answer, expected, seconds) in [
        // The daemon ends a response that goes on for longer.
        (Answer::texts(["a"; 10]).every(part), "240 s", 240),
        (Answer::text("a").unfinished(), "240 s", 240),
        // Nothing at all comes: the plugin gives up.
        (Answer::never(), "240 s", 240),
        (Answer::text("a").after(Duration::from_secs(300)), "240 s", 240),
    ] {
        let host = host().on_llm(move |_| answer.clone());
        let (outcome, took) = deed(&host, "llm", 0).await;
        let failure = outcome.unwrap_err();
        assert!(failure.message.contains(expected) && !failure.is_of_dify(), "{failure}");
        assert_eq!(took, seconds, "{failure}");
        // The session is over, and the next one is served.
        assert_eq!(deed(&host, "sleep", 1).await, (Ok(".".to_owned()), 1));
    }
    let host = host().on_llm(|_| Answer::texts(["a"; 4]).every(Duration::from_secs(50)));
    assert_eq!(deed(&host, "llm", 0).await, (Ok("aaaa.".to_owned()), 200));
    // A session of this library ends itself before the daemon does, with an error that users can read.
    let (outcome, took) = deed(&host, "sleep", 3600).await;
    let failure = outcome.unwrap_err();
    assert!(failure.message.contains("590 s") && failure.kind == "ConnectionError" && took == 590, "{failure}");
    let heartbeat = format!("{}\n", json!({"event": "heartbeat", "session_id": null, "data": {}}));
    let endless = endless(heartbeat);
    let started = Instant::now();
    let failure = endless.tool("t").provider("p").await.unwrap_err();
    assert!(failure.message.contains("killed by timeout") && started.elapsed().as_secs() == 600, "{failure}");
}

/// A plugin that writes a line each second, and nothing else.
fn endless(line: String) -> Host {
    let (plugin, daemon) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let (_input, mut output) = tokio::io::split(plugin);
        while output.write_all(line.as_bytes()).await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    let (reader, writer) = tokio::io::split(daemon);
    Host::over(reader, writer)
}

#[tokio::test(start_paused = true)]
async fn responses_that_are_late_repeated_or_of_others_change_nothing() {
    let value = || Answer::data(json!({"data": hex::encode("x")}));
    for answer in [value(), value().repeated(), value().with_foreign_events(), value().repeated().with_foreign_events()]
    {
        let host = host().on_storage(move |_| answer.clone());
        assert_eq!(deed(&host, "get", 0).await.0.unwrap(), "Some(b\"x\").");
        assert_eq!(deed(&host, "get", 0).await.0.unwrap(), "Some(b\"x\").");
    }
    // The caller goes away, and the response comes much later.
    let host = host().on_storage(move |_| value().after(Duration::from_secs(100)).even_late());
    let session = host.tool("wait").parameter("deed", "get").start();
    session.cancel();
    let (items, ending) = session.finish().await;
    assert_eq!((items.len(), ending), (0, Ok(())));
    sleep(Duration::from_secs(200)).await;
    assert_eq!(deed(&host, "sleep", 1).await.0.unwrap(), ".");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_disconnects_drops_its_sessions_and_connects_again() {
    let host = host();
    let mut session = host.tool("wait").parameters(json!({"deed": "sleep", "seconds": 100})).start();
    sleep(Duration::from_secs(1)).await;
    host.disconnect();
    let failure = session.next().await.unwrap().unwrap_err();
    assert!(failure.is_of_dify() && failure.message.contains("closed"), "{failure}");
    assert_eq!(deed(&host, "sleep", 1).await.0.unwrap(), ".");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_go_on_while_a_session_works() {
    let host = host();
    deed(&host, "sleep", 100).await.0.unwrap();
    // One at once, and one every 10 s.
    assert!((10..=12).contains(&host.heartbeats()), "{}", host.heartbeats());
    assert!(host.dropped_lines().is_empty() && !host.is_closed());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_called_back_once_the_session_has_ended() {
    let host = host();
    deed(&host, "leave", 0).await.0.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!((host.calls().len(), host.stored("late"), host.dropped_lines().len()), (0, None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_only_the_daemon_denies_is_named_with_its_lines() {
    let host = host().deny(Permission::Llm).on_llm(|_| "never");
    let failure = deed(&host, "llm", 0).await.0.unwrap_err();
    assert!(failure.message.contains("llm: true") && host.calls().is_empty(), "{failure}");
}
