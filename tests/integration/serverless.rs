//! The serverless port of the built executable with slow, many, disconnected or unauthorized clients.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{scripted, waits};
use scripted::{Scripted, Step};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use waits::{TIMEOUT, soon, until};

struct Server {
    child: Child,
    address: String,
}

impl Server {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"));
        command.envs(environment.iter().copied());
        Self::spawn(command).await
    }

    /// Starts it with limits of a shell.
    async fn limited(limits: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limits} exec \"$0\""), env!("CARGO_BIN_EXE_dify-plugin-runtime")]);
        Self::spawn(command).await
    }

    async fn spawn(mut command: Command) -> Self {
        let mut child = command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .envs([("INSTALL_METHOD", "serverless"), ("SERVERLESS_PORT", "0"), ("SERVERLESS_HOST", "127.0.0.1")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap().unwrap();
        Self { child, address: line.rsplit("http://").next().unwrap().to_owned() }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// Opens a connection and sends this text.
    async fn say(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// Returns everything that is received until the connection closes.
    async fn ask(&self, text: &str) -> String {
        read(self.say(text).await).await
    }

    async fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    }

    /// Waits for its end, which must be successful.
    async fn ended(&mut self) {
        assert!(soon(self.child.wait()).await.unwrap().success());
    }
}

async fn read(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.expect("the connection stays open");
    String::from_utf8_lossy(&answer).into_owned()
}

fn llm(session: &str, upstream: &str) -> Value {
    json!({"session_id": session, "event": "request", "data": {"user_id": "u", "type": "model", "action": "invoke_llm",
        "provider": "google", "model": "gemini-3.5-flash", "model_type": "llm", "stream": true,
        "credentials": {"google_api_key": "k", "google_base_url": upstream, "max_retries": "0"},
        "model_parameters": {}, "prompt_messages": [{"role": "user", "content": "hi"}]}})
}

/// Returns the header and body of a request.
fn post(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /invoke HTTP/1.1\r\nhost: plugin\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

const JSON: &str = "content-type: application/json\r\n";

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

async fn silent() -> Scripted {
    Scripted::start(vec![vec![Step::Hang]]).await
}

#[tokio::test]
async fn accepts_json_only() {
    let server = Server::start(&[]).await;
    let upstream = silent().await;
    let body = llm("a", &upstream.url).to_string();
    for (headers, expected) in [
        ("", "415"),
        ("content-type: text/plain\r\n", "415"),
        ("content-type: text/plain; a=application/json\r\n", "415"),
        ("content-type: application/x-www-form-urlencoded\r\n", "415"),
    ] {
        assert_eq!(status(&server.ask(&post(headers, &body)).await), expected, "{headers}");
    }
    for (headers, body) in [
        (JSON, "{half"),
        (JSON, "[]"),
        (JSON, r#"{"event":"cancel","session_id":"a"}"#),
        ("Content-Type: Application/JSON; charset=utf-8\r\n", ""),
    ] {
        assert_eq!(status(&server.ask(&post(headers, body)).await), "400", "{headers} {body}");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn requires_the_secret_if_one_is_set() {
    let server = Server::start(&[("DIFY_PLUGIN_SERVERLESS_SECRET", "open-sesame")]).await;
    let body = json!({"session_id": "a", "event": "request", "data": {}}).to_string();
    for (login, expected) in [
        ("", "401"),
        ("authorization: Bearer open\r\n", "401"),
        ("authorization: Bearer open-sesame-and-more\r\n", "401"),
        ("authorization: Basic cGx1Z2luOm9wZW4=\r\n", "401"),
        ("authorization: Bearer open-sesame\r\n", "200"),
        // plugin:open-sesame
        ("authorization: Basic cGx1Z2luOm9wZW4tc2VzYW1l\r\n", "200"),
    ] {
        let answer = server.ask(&post(&format!("{JSON}{login}"), &body)).await;
        assert_eq!(status(&answer), expected, "{login}: {answer}");
    }
    assert_eq!(status(&server.ask("GET /health HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n").await), "200");
}

#[tokio::test]
async fn slow_clients_time_out() {
    let server = Server::start(&[]).await;
    let start = Instant::now();
    let half_a_head = server.say("POST /invoke HTTP/1.1\r\nhost: p\r\n").await;
    let nothing = server.connect().await;
    let half_a_body =
        server.say(&format!("POST /invoke HTTP/1.1\r\nhost: p\r\n{JSON}content-length: 100\r\n\r\n{{")).await;
    read(half_a_head).await;
    read(nothing).await;
    let waited = start.elapsed();
    assert!(waited > Duration::from_secs(8), "{waited:?}");
    assert!(read(half_a_body).await.starts_with("HTTP/1.1 408 "));
    let long = format!("POST /invoke HTTP/1.1\r\nhost: p\r\n{JSON}content-length: {}\r\n\r\n", 1u64 << 40);
    let mut too_long = server.say(&long).await;
    let megabyte = vec![b' '; 1 << 20];
    for _ in 0..65 {
        // The connection may be closed in the middle.
        let _ = too_long.write_all(&megabyte).await;
    }
    assert!(read(too_long).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn limits_the_number_of_connections() {
    let server = Server::limited("ulimit -n 64;").await;
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(server.say("POST /invoke HTTP/1.1\r\n").await);
    }
    // Those that say nothing more are closed, and others have their turn.
    let health = server.ask("GET /health HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n").await;
    assert_eq!(status(&health), "200");
}

#[tokio::test]
async fn reads_a_body_only_after_a_session_is_free() {
    let server = Server::start(&[("MAX_WORKER", "1")]).await;
    let upstream = silent().await;
    let working = server.say(&post(JSON, &llm("a", &upstream.url).to_string())).await;
    until(|| upstream.open_connections() == 1).await;
    // More than the sockets between take.
    let body = format!("{}{}", " ".repeat(32 << 20), llm("b", &upstream.url));
    let mut waiting =
        server.say(&post(JSON, "").replace("content-length: 0", &format!("content-length: {}", body.len()))).await;
    let sending = async { waiting.write_all(body.as_bytes()).await };
    assert!(timeout(Duration::from_secs(1), sending).await.is_err(), "the body was read without a place");
    // Its caller leaves: it is never called for.
    drop(waiting);
    drop(working);
    until(|| upstream.open_connections() == 0).await;
    let next = server.say(&post(JSON, &llm("c", &upstream.url).to_string())).await;
    until(|| upstream.requests().len() == 2).await;
    drop(next);
}

#[tokio::test]
async fn exits_immediately_without_open_requests() {
    let (mut server, mut working) = (Server::start(&[]).await, Server::start(&[]).await);
    let _idle = server.connect().await;
    let upstream = silent().await;
    let _open = working.say(&post(JSON, &llm("a", &upstream.url).to_string())).await;
    until(|| upstream.open_connections() == 1).await;
    server.terminate().await;
    working.terminate().await;
    tokio::select! {
        () = server.ended() => {}
        () = working.ended() => panic!("what has nothing to do waited as long as what has"),
    }
}

#[tokio::test]
async fn an_incomplete_request_does_not_delay_the_shutdown() {
    let mut server = Server::start(&[]).await;
    let _half = server.say(&format!("POST /invoke HTTP/1.1\r\nhost: p\r\n{JSON}content-length: 100\r\n\r\n{{")).await;
    let _head = server.say("POST /invoke HTTP/1.1\r\n").await;
    server.terminate().await;
    server.ended().await;
}

#[tokio::test]
async fn open_sessions_get_an_error_at_shutdown() {
    let mut server = Server::start(&[]).await;
    let upstream = silent().await;
    let open = server.say(&post(JSON, &llm("a", &upstream.url).to_string())).await;
    until(|| upstream.open_connections() == 1).await;
    let start = Instant::now();
    server.terminate().await;
    server.ended().await;
    assert!(start.elapsed() > Duration::from_secs(4), "it was given no grace: {:?}", start.elapsed());
    let answer = read(open).await;
    assert!(answer.contains("shutting down") && answer.matches(r#""type":"end""#).count() == 1, "{answer}");
}
