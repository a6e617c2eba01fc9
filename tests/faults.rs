//! The built executable while an upstream, the host or the machine misbehaves: only the session concerned may be lost.
//!
//! Each case runs beside a healthy session of the same process. `FAULTS_TABLE=1 cargo test --test faults` writes what
//! was seen to `tests/faults/README.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "support/scripted.rs"]
mod scripted;

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use scripted::{Scripted, Step, answer, event_stream};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// The key that every request carries and no output may show.
const CANARY: &str = "canary-5f1e-key";

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_dify-plugin-runtime");

const HELLO: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hello\"}]},\"finishReason\":\"STOP\"}],\
    \"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2}}\r\n\r\n";

const PIECE: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}\r\n\r\n";

/// The executable as the daemon's child, perhaps under a shell's limits.
struct Plugin {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    log: JoinHandle<String>,
}

/// How a session ended.
#[derive(Debug, Default)]
struct Outcome {
    text: String,
    error: Option<Value>,
    took: Duration,
}

impl Plugin {
    fn start(limits: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("{limits} exec \"$0\""), EXECUTABLE])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("INSTALL_METHOD", "local")
            .env("DIFY_PLUGIN_LOG_LEVEL", "debug")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Read along like the daemon: a full pipe would hold the process up.
        let mut errors = child.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut log = String::new();
            errors.read_to_string(&mut log).await.unwrap();
            log
        });
        Self { child, input, lines, log }
    }

    async fn send(&mut self, line: &str) {
        self.input.write_all(line.as_bytes()).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("no line in time").unwrap();
        let line = line.expect("the process ended");
        assert!(!line.contains(CANARY), "{line}");
        serde_json::from_str(&line).unwrap()
    }

    /// Reads until each of these sessions has ended, in the order given.
    async fn outcomes(&mut self, sessions: &[&str]) -> Vec<Outcome> {
        let start = Instant::now();
        let mut outcomes: Vec<Outcome> = sessions.iter().map(|_| Outcome::default()).collect();
        let mut open = sessions.len();
        while open > 0 {
            let line = self.next().await;
            let Some(place) = sessions.iter().position(|session| line["session_id"] == *session) else { continue };
            let data = &line["data"];
            match data["type"].as_str() {
                Some("stream") => {
                    outcomes[place].text.push_str(data["data"]["delta"]["message"]["content"].as_str().unwrap());
                }
                Some("error") => outcomes[place].error = Some(data["data"].clone()),
                Some("end") => {
                    outcomes[place].took = start.elapsed();
                    open -= 1;
                }
                other => panic!("unknown message type {other:?}"),
            }
        }
        outcomes
    }

    /// Most memory so far, in megabytes.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// Ends the input; the process must succeed, and its log must not show the key.
    async fn finish(self) -> String {
        let Self { mut child, input, mut lines, log } = self;
        drop(input);
        while let Some(line) = timeout(PATIENCE, lines.next_line()).await.expect("no end in time").unwrap() {
            assert!(!line.contains(CANARY), "{line}");
        }
        let log = timeout(PATIENCE, log).await.unwrap().unwrap();
        assert!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success(), "{log}");
        assert!(!log.contains(CANARY), "{log}");
        log
    }
}

/// A request line; `more` credentials replace the usual ones.
fn llm(session: &str, base_url: &str, more: &Value) -> String {
    let mut credentials = json!({"google_api_key": CANARY, "google_base_url": base_url, "max_retries": "0",
        "request_timeout": "1"});
    for (name, value) in more.as_object().into_iter().flatten() {
        credentials[name] = value.clone();
    }
    let line = json!({"session_id": session, "event": "request", "data": {"user_id": "u", "type": "model",
        "action": "invoke_llm", "provider": "google", "model": "gemini-3.5-flash", "model_type": "llm", "stream": true,
        "credentials": credentials, "model_parameters": {},
        "prompt_messages": [{"role": "user", "content": "hi"}]}});
    format!("{line}\n")
}

async fn healthy() -> Scripted {
    Scripted::start(vec![vec![event_stream(), Step::Send(HELLO.as_bytes().to_vec())]]).await
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// An upstream's fault: what it is, how it is played, and a word that its report contains.
struct Case {
    fault: &'static str,
    script: Vec<Step>,
    address: Option<&'static str>,
    credentials: Value,
    report: &'static str,
}

fn case(fault: &'static str, script: Vec<Step>, report: &'static str) -> Case {
    Case { fault, script, address: None, credentials: json!({}), report }
}

fn upstream_cases() -> Vec<Case> {
    let piece = || vec![event_stream(), send(PIECE)];
    let then = |mut script: Vec<Step>, step| {
        script.push(step);
        script
    };
    let html = "<html><body>Bad gateway</body></html>";
    let elsewhere = "location: http://127.0.0.1:9/again?key=canary-5f1e-key\r\n";
    let mut cases = vec![
        case("reset instead of an answer", vec![Step::Reset], "the connection broke"),
        case("reset within the head", vec![send("HTTP/1.1 200 O"), Step::Reset], ""),
        case("reset before the first event", vec![event_stream(), Step::Reset], ""),
        case("reset between two events", then(piece(), Step::Reset), ""),
        case("reset within an event", vec![event_stream(), send("data: {\"cand"), Step::Reset], ""),
        case("end without a finish reason", piece(), ""),
        case("silence before the head", vec![Step::Hang], ""),
        case("silence after the head", vec![event_stream(), Step::Hang], ""),
        case("silence within a stream", then(piece(), Step::Hang), ""),
        case(
            "keep-alive comments only",
            vec![event_stream(), Step::Repeat(b": ping\n\n".to_vec(), Duration::from_millis(100))],
            "",
        ),
        case(
            "one byte at a time, no event",
            vec![event_stream(), Step::Repeat(b"d".to_vec(), Duration::from_millis(100))],
            "",
        ),
        case("no HTTP", vec![send("SSH-2.0-OpenSSH_9.2\r\n\r\n")], ""),
        case("an event that is no JSON", vec![event_stream(), send("data: {oops\n\n")], ""),
        case("a page in place of a stream", answer("200 OK", "content-type: text/html\r\n", html), ""),
        case("a proxy's 502 page", answer("502 Bad Gateway", "content-type: text/html\r\n", html), "502"),
        case("a redirect", answer("302 Found", elsewhere, ""), "redirect"),
        case(
            "a line without an end, as fast as it is read",
            vec![event_stream(), Step::Repeat(vec![b'a'; 1 << 20], Duration::ZERO)],
            "",
        ),
    ];
    let at = |fault, address, credentials, report| Case {
        fault,
        script: Vec::new(),
        address: Some(address),
        credentials,
        report,
    };
    let public = "https://generativelanguage.googleapis.com";
    cases.extend([
        at("nobody listens", "http://127.0.0.1:9", json!({}), "127.0.0.1:9"),
        at("a name that does not resolve", "http://no-such-host.invalid", json!({}), "no-such-host.invalid"),
        at("a proxy that is down", public, json!({"proxy_url": "http://127.0.0.1:9"}), ""),
    ]);
    cases
}

#[tokio::test]
async fn an_upstreams_fault_ends_its_own_session_with_a_report() {
    let mut plugin = Plugin::start("");
    let neighbour = healthy().await;
    let mut table = String::new();
    for case in upstream_cases() {
        let upstream = Scripted::start(vec![case.script.clone()]).await;
        let url = case.address.unwrap_or(&upstream.url);
        plugin.send(&llm("fault", url, &case.credentials)).await;
        plugin.send(&llm("neighbour", &neighbour.url, &json!({}))).await;
        let outcomes = plugin.outcomes(&["fault", "neighbour"]).await;
        assert_eq!((outcomes[1].text.as_str(), &outcomes[1].error), ("Hello", &None), "beside {}", case.fault);
        let error = outcomes[0].error.as_ref().unwrap_or_else(|| panic!("{}: no error: {:?}", case.fault, outcomes[0]));
        let (kind, message) = (error["error_type"].as_str().unwrap(), error["message"].as_str().unwrap());
        assert!(message.contains(case.report), "{}: {message}", case.fault);
        let took = outcomes[0].took.as_millis();
        assert!(took < 10_000, "{}: {took} ms", case.fault);
        assert!(upstream.requests().len() <= 1, "{}: sent again although retries are off", case.fault);
        let message = message.replace('\n', " ").replace('|', "\\|").replace(&upstream.url[7..], "127.0.0.1:port");
        writeln!(table, "| {} | {kind}: {message} | {took} ms |", case.fault).unwrap();
    }
    assert!(plugin.peak() < 100, "{} MB", plugin.peak());
    writeln!(table, "\nMost memory of the process during all of them: {} MB.", plugin.peak()).unwrap();
    plugin.finish().await;
    record("upstream", &table);
}

#[tokio::test]
async fn the_hosts_faults_cost_no_other_session() {
    let upstream = healthy().await;
    let mut table = String::new();
    for (fault, line) in [
        ("a line that is no JSON", "{oops\n".to_owned()),
        ("bytes that are no UTF-8", "\u{1}\u{0}\n".to_owned()),
        ("a line of 100 MB", format!("{}\n", "x".repeat(100 << 20))),
    ] {
        let mut plugin = Plugin::start("");
        plugin.send(&line).await;
        let start = Instant::now();
        plugin.send(&llm("next", &upstream.url, &json!({}))).await;
        let outcome = plugin.outcomes(&["next"]).await.remove(0);
        assert_eq!((outcome.text.as_str(), outcome.error), ("Hello", None), "after {fault}");
        let (took, peak) = (start.elapsed().as_millis(), plugin.peak());
        let log = plugin.finish().await;
        let said =
            log.lines().find(|line| line.contains("WARN")).unwrap_or_else(|| panic!("{fault}: nothing in the log"));
        let said: String = said.chars().skip_while(|letter| *letter != 'W').take(160).collect();
        writeln!(table, "| {fault} | {said} | next session done after {took} ms, peak {peak} MB |").unwrap();
    }
    record("host", &table);
}

#[tokio::test]
async fn a_request_of_100_mb_is_answered() {
    let upstream = healthy().await;
    let mut plugin = Plugin::start("");
    plugin.send(&llm("large", &upstream.url, &json!({"extra_headers": "x".repeat(100 << 20)}))).await;
    plugin.send(&llm("next", &upstream.url, &json!({}))).await;
    let outcomes = plugin.outcomes(&["large", "next"]).await;
    let message = outcomes[0].error.as_ref().unwrap()["message"].as_str().unwrap();
    assert!(message.contains("`extra_headers`") && message.len() < 1000, "{}", message.len());
    assert_eq!((outcomes[1].text.as_str(), &outcomes[1].error), ("Hello", &None));
    plugin.finish().await;
}

#[tokio::test]
async fn half_a_line_at_the_end_of_input_ends_the_process_in_order() {
    let mut plugin = Plugin::start("");
    plugin.send("{\"session_id\": \"a\", \"event\": \"requ").await;
    plugin.finish().await;
}

/// Each limit is a shell's; ten thousand sessions or forty at once must each end, with an answer or an error.
#[tokio::test]
async fn under_the_machines_limits_every_session_ends() {
    let mut table = String::new();
    for (fault, limits, sessions) in [
        ("ten thousand sessions at once", "", 10_000),
        ("24 file descriptors, 200 sessions", "ulimit -n 24;", 200),
        ("1 GB of address space, 200 sessions", "ulimit -v 1048576;", 200),
        ("no file may be written", "ulimit -f 0;", 20),
    ] {
        let upstream = healthy().await;
        let mut plugin = Plugin::start(limits);
        let names: Vec<String> = (0..sessions).map(|number| format!("s{number}")).collect();
        let lines: String =
            names.iter().map(|name| llm(name, &upstream.url, &json!({"request_timeout": "30"}))).collect();
        let start = Instant::now();
        let mut input = plugin.input;
        let writing = tokio::spawn(async move {
            input.write_all(lines.as_bytes()).await.unwrap();
            input
        });
        let (mut ended, mut answered, mut report) = (0, 0, String::from("–"));
        while ended < sessions {
            let line = timeout(PATIENCE, plugin.lines.next_line()).await.expect("no line in time").unwrap().unwrap();
            assert!(!line.contains(CANARY), "{line}");
            let line: Value = serde_json::from_str(&line).unwrap();
            match line["data"]["type"].as_str() {
                Some("end") => ended += 1,
                Some("error") => line["data"]["data"]["message"].as_str().unwrap().clone_into(&mut report),
                Some("stream") if line["data"]["data"]["delta"]["message"]["content"] == "Hello" => answered += 1,
                _ => {}
            }
        }
        let took = start.elapsed().as_millis();
        plugin.input = writing.await.unwrap();
        let peak = plugin.peak();
        let report = report.replace('\n', " ").replace(&upstream.url[7..], "127.0.0.1:port");
        writeln!(
            table,
            "| {fault} | {answered} of {sessions} answered; the last error: {report} | {took} ms, peak {peak} MB |"
        )
        .unwrap();
        plugin.finish().await;
    }
    record("machine", &table);
}

/// Writes a part of the table when asked to.
fn record(part: &str, table: &str) {
    if std::env::var_os("FAULTS_TABLE").is_some() {
        let file = format!("{}/tests/faults/{part}.md", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(file, format!("| fault | reported as | after |\n|---|---|---|\n{table}")).unwrap();
    }
}
