//! The executable as a child process of the daemon, and requests to it.

use std::process::Stdio;
use std::time::{Duration, Instant};

use dify_plugin::testing::Wire;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::scripted::{Scripted, Step, event_stream};

pub const TIMEOUT: Duration = Duration::from_secs(300);

/// API key of every request, which must not appear in any output.
pub const CANARY: &str = "canary-5f1e-key";

pub const EXECUTABLE: &str = env!("CARGO_BIN_EXE_dify-plugin-runtime");

/// Wire format of an upstream: a provider that uses it, and its events.
pub struct Language {
    pub title: &'static str,
    provider: &'static str,
    model: &'static str,
    /// An event with the text `x`, not the last.
    pub piece: &'static str,
    /// A complete response with the text `Hello`.
    pub hello: &'static str,
}

pub const GEMINI: Language = Language {
    title: "Gemini",
    provider: "google",
    model: "gemini-3.5-flash",
    piece: "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}\r\n\r\n",
    hello: "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hello\"}]},\"finishReason\":\"STOP\"}],\
        \"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2}}\r\n\r\n",
};

pub const OPENAI: Language = Language {
    title: "OpenAI-compatible",
    provider: "ai-gateway",
    model: "m",
    piece: "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n",
    hello: "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}],\
        \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\ndata: [DONE]\n\n",
};

impl Language {
    /// Credentials with this timeout for the response and between its events.
    pub fn waits(&self, limit: Duration) -> Value {
        let seconds = limit.as_secs_f64().to_string();
        match self.provider {
            "google" => json!({ "request_timeout": seconds }),
            _ => json!({"first_byte_timeout": seconds, "idle_timeout": seconds}),
        }
    }

    /// A chat request's line; `more` credentials replace the usual ones, which wait long and never retry.
    pub fn chat(&self, session: &str, address: &str, more: &Value) -> String {
        let mut credentials = match self.provider {
            "google" => json!({"google_api_key": CANARY, "google_base_url": address}),
            _ => json!({"auth_method": "api_key", "api_key": CANARY, "endpoint_url": format!("{address}/v1"),
                "mode": "chat"}),
        };
        credentials["max_retries"] = json!("0");
        for (name, value) in more.as_object().into_iter().flatten() {
            credentials[name] = value.clone();
        }
        let line = json!({"session_id": session, "event": "request", "data": {"user_id": "u", "type": "model",
            "action": "invoke_llm", "provider": self.provider, "model": self.model, "model_type": "llm",
            "stream": true, "credentials": credentials, "model_parameters": {},
            "prompt_messages": [{"role": "user", "content": "hi"}]}});
        format!("{line}\n")
    }
}

/// A chat request to Gemini.
pub fn llm(session: &str, address: &str, more: &Value) -> String {
    GEMINI.chat(session, address, more)
}

/// Starts an upstream without faults.
pub async fn healthy() -> Scripted {
    Scripted::start(vec![vec![event_stream(), send(GEMINI.hello)]]).await
}

pub fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// The running executable.
pub struct Plugin {
    child: Child,
    wire: Wire,
    log: JoinHandle<String>,
}

/// What a session sent before its end.
#[derive(Debug, Default)]
pub struct Outcome {
    pub text: String,
    pub error: Option<Value>,
    pub took: Duration,
}

/// Outcome of many sessions.
#[derive(Debug)]
pub struct Crowd {
    sessions: usize,
    pub answered: usize,
    /// The last error.
    pub report: String,
    pub took: Duration,
}

impl Crowd {
    pub fn lost(&self) -> String {
        match self.sessions - self.answered {
            0 => "nothing".to_owned(),
            lost => format!("{lost} of {} sessions", self.sessions),
        }
    }
}

impl Outcome {
    pub fn message(&self) -> &str {
        self.error.as_ref().map_or("", |error| error["message"].as_str().unwrap())
    }
}

impl Plugin {
    /// Starts it with limits of a shell, in the checkout.
    pub fn start(limits: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limits} exec \"$0\""), EXECUTABLE]);
        Self::spawn(command)
    }

    /// Starts it with a command that executes the plugin.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("INSTALL_METHOD", "local")
            .env("DIFY_PLUGIN_LOG_LEVEL", "debug")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let wire = Wire::over(child.stdout.take().unwrap(), child.stdin.take().unwrap());
        // Read along like the daemon: a full pipe would hold the process up.
        let mut errors = child.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut log = String::new();
            errors.read_to_string(&mut log).await.unwrap();
            log
        });
        Self { child, wire, log }
    }

    pub async fn send(&mut self, line: impl AsRef<[u8]>) {
        self.wire.write(line.as_ref()).await;
    }

    pub async fn close_input(&mut self) {
        self.wire.close_input().await;
    }

    /// The next line that is no heartbeat; `None` at the end of the output.
    pub async fn line(&mut self) -> Option<String> {
        let next = async {
            loop {
                match self.wire.next_line().await {
                    Some(line) if line.contains("\"heartbeat\"") => {}
                    line => return line,
                }
            }
        };
        let line = timeout(TIMEOUT, next).await.expect("no line in time")?;
        assert!(!line.contains(CANARY), "{line}");
        Some(line)
    }

    /// Reads until each of these sessions has ended; outcomes in the order given.
    pub async fn outcomes(&mut self, sessions: &[&str]) -> Vec<Outcome> {
        let start = Instant::now();
        let mut outcomes: Vec<Outcome> = sessions.iter().map(|_| Outcome::default()).collect();
        let mut open = sessions.len();
        while open > 0 {
            let line: Value = serde_json::from_str(&self.line().await.expect("the process ended")).unwrap();
            let Some(place) = sessions.iter().position(|session| line["session_id"] == *session) else { continue };
            let data = &line["data"];
            match data["type"].as_str() {
                Some("stream") => {
                    let text = data["data"]["delta"]["message"]["content"].as_str().unwrap_or_default();
                    outcomes[place].text.push_str(text);
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

    /// Runs a session next to or after a fault, which must succeed.
    pub async fn neighbor(&mut self, upstream: &Scripted, beside: &str) {
        self.send(&llm("neighbor", &upstream.url, &json!({}))).await;
        let outcome = self.outcomes(&["neighbor"]).await.remove(0);
        assert_eq!((outcome.text.as_str(), &outcome.error), ("Hello", &None), "beside {beside}");
    }

    /// Runs this many concurrent chats until each has ended.
    pub async fn many(&mut self, sessions: usize, address: &str) -> Crowd {
        let lines: String = (0..sessions).map(|number| llm(&format!("s{number}"), address, &json!({}))).collect();
        let start = Instant::now();
        // All of it does not fit into the pipes: the plugin must read while its output waits.
        self.send(lines).await;
        let mut crowd = Crowd { sessions, answered: 0, report: "–".to_owned(), took: Duration::ZERO };
        let mut ended = 0;
        while ended < sessions {
            let line: Value = serde_json::from_str(&self.line().await.expect("the process ended")).unwrap();
            let data = &line["data"];
            match data["type"].as_str() {
                Some("end") => ended += 1,
                Some("error") => data["data"]["message"].as_str().unwrap().clone_into(&mut crowd.report),
                Some("stream") => {
                    crowd.answered += usize::from(data["data"]["delta"]["message"]["content"] == "Hello");
                }
                _ => {}
            }
        }
        crowd.took = start.elapsed();
        crowd
    }

    /// Peak memory since the start or the last [`Plugin::forget_peak`], in megabytes.
    pub fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// Resets [`Plugin::peak`].
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").unwrap();
    }

    pub fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Ends the input; the process must succeed, and its log must not show the key.
    pub async fn finish(mut self) -> String {
        self.close_input().await;
        while self.line().await.is_some() {}
        Self::over(self.child, self.log).await
    }

    /// Stops listening; the process must end by itself, and well.
    pub async fn hang_up(self) -> String {
        let Self { child, wire, log } = self;
        let input = wire.hang_up();
        let log = Self::over(child, log).await;
        drop(input);
        log
    }

    /// The process must end by itself, in failure: its exit code and its log.
    pub async fn failure(mut self) -> (Option<i32>, String) {
        let log = timeout(TIMEOUT, self.log).await.unwrap().unwrap();
        assert!(!log.contains(CANARY), "{log}");
        (timeout(TIMEOUT, self.child.wait()).await.unwrap().unwrap().code(), log)
    }

    async fn over(mut child: Child, log: JoinHandle<String>) -> String {
        let log = timeout(TIMEOUT, log).await.unwrap().unwrap();
        assert!(timeout(TIMEOUT, child.wait()).await.unwrap().unwrap().success(), "{log}");
        assert!(!log.contains(CANARY), "{log}");
        log
    }
}
