//! Secrets that are given at the terminal, in files and in the environment: no subcommand and no transport shows them,
//! least of all when it fails.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{canaries, echoing, pipes};
use canaries::{GOOGLE_KEY, PROXY_PASSWORD, Search, body_of, keys};
use echoing::{At, Echoing, FAULTS};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

const REFUSED: &str = "InvokeAuthorizationError";

const DEBUG_KEY: &str = "CANARY-debugging-key-4be1d0a93f";

/// A run of the executable: arguments, environment, and a word that it says.
struct Run {
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    says: &'static str,
}

/// How long a command may take to say what it must.
const TIMEOUT: Duration = Duration::from_secs(180);

fn run<const N: usize>(arguments: [&str; N], says: &'static str) -> Run {
    Run { arguments: arguments.map(str::to_owned).to_vec(), environment: Vec::new(), says }
}

impl Run {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Everything that it wrote until it ended, or until a moment after what it must say.
    async fn written(&self, directory: &Path) -> String {
        let (out, log) = (directory.join("out"), directory.join("log"));
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let mut child = pipes::command(&arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&out).unwrap())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let written =
            || format!("{}{}", std::fs::read_to_string(&out).unwrap(), std::fs::read_to_string(&log).unwrap());
        let start = Instant::now();
        // Who registers does so for ever.
        while child.try_wait().unwrap().is_none() && !written().contains(self.says) && start.elapsed() < TIMEOUT {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // And a moment more.
        let _ = tokio::time::timeout(Duration::from_secs(1), child.wait()).await;
        let _ = child.kill().await;
        written()
    }
}

/// A daemon that repeats the key that it refuses.
async fn daemon() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (reader, mut writer) = stream.split();
                let line = BufReader::new(reader).lines().next_line().await.unwrap().unwrap_or_default();
                let _ = writer.write_all(format!("handshake failed, unknown key {line}\n").as_bytes()).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn no_subcommand_shows_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let upstream = Echoing::start("").await;
    upstream.play(Some((At::Everything, FAULTS[0])));
    let daemon = daemon().await;
    let pem = keys()["rsa_private_pem_pkcs8"].as_str().unwrap().to_owned();
    let credentials = json!({"google_api_key": GOOGLE_KEY, "google_base_url": upstream.url, "max_retries": "0"});
    let request = json!({"provider": "google", "model": "gemini-2.5-flash-lite", "model_type": "llm",
        "prompt_messages": [{"role": "user", "content": "Hi"}], "credentials": credentials})
    .to_string();
    let cut = |text: &str| text[..text.find(GOOGLE_KEY).unwrap() + 20].to_owned();
    let whole = write("request.json", &request);
    let broken = write("broken.json", &cut(&request));
    let wrong = write("wrong.json", &request.replace(&credentials.to_string(), &format!("\"{GOOGLE_KEY}\"")));
    let list = write("list.yaml", &format!("- {GOOGLE_KEY}\n"));
    let odd = write("odd.yaml", &format!("google_api_key: [{GOOGLE_KEY}\n  x: {{"));
    let good = write("good.json", &credentials.to_string());
    let env_file = write("env", &format!("REMOTE_INSTALL_URL={daemon}\nREMOTE_INSTALL_KEY={DEBUG_KEY}\n"));
    let odd_env = write("odd-env", &format!("INSTALL_METHOD=remote\nREMOTE INSTALL KEY={DEBUG_KEY}\n\"{DEBUG_KEY}\n"));
    let bad_pem = write("bad.pem", &pem.replace("PRIVATE KEY-----\n", "PRIVATE KEY-----\n\n#"));
    let package = write("package", "no package");
    let key = format!("google_api_key={GOOGLE_KEY}");
    let url = format!("google_base_url={}", upstream.url);
    let proxy = format!("http://user:{PROXY_PASSWORD}@{}", upstream.host());
    let proxy_field = format!("proxy_url={proxy}");
    let nowhere = format!("http://user:{PROXY_PASSWORD}@127.0.0.1:9");
    let runs = [
        run(["invoke", "invoke_llm", &whole], REFUSED),
        run(["invoke", "invoke_llm", &whole, "--json"], REFUSED),
        run(["invoke", "invoke_llm", &broken], "is not valid JSON or YAML"),
        run(["invoke", "invoke_llm", &wrong], "InvokeBadRequestError"),
        run(["invoke", "invoke_llm", &whole, "--credentials", &odd], "is not valid JSON or YAML"),
        run(["invoke", "invoke_llm", &whole, "--credentials", &list], "must contain an object"),
        run(["invoke", "invoke_llm", &whole, "--credential", GOOGLE_KEY], "NAME=VALUE"),
        run(["invoke", "validate_provider_credentials", &whole, "--credentials", &good], "Authentication failed"),
        run(["try", "Hi", "--credentials", &good], REFUSED),
        run(["try", "Hi", "--credential", &key, "--credential", &url, "--json"], REFUSED),
        run(["try", "Hi", "--credential", &key, "--credential", &url, "--credential", &proxy_field], REFUSED),
        run(["try", "Hi", "--param", GOOGLE_KEY], "NAME=VALUE"),
        run(["doctor", "--provider", "google", "--credentials", &good], "Authentication failed"),
        run(["doctor", "--provider", "google", "--credentials", &good, "--json"], "Authentication failed"),
        run(
            [
                "doctor",
                "--provider",
                "google",
                "--credential",
                &key,
                "--credential",
                &url,
                "--credential",
                &proxy_field,
            ],
            "proxy",
        ),
        run(["doctor", "--provider", "google", "--credentials", &good], "127.0.0.1:9")
            .with("HTTP_PROXY", &nowhere)
            .with("ALL_PROXY", &nowhere)
            .with("NO_PROXY", "example.com"),
        run(["doctor"], "proxy").with("HTTPS_PROXY", format!("http://user:{PROXY_PASSWORD}@ho st")),
        run(["doctor", "--env-file", &env_file], "rejected"),
        run(["doctor", "--env-file", &odd_env], "not checked"),
        run(["doctor", "--url", &daemon, "--key", DEBUG_KEY, "--json"], "rejected"),
        run(["doctor", "--url", "127.0.0.1:9", "--key", DEBUG_KEY], "127.0.0.1:9"),
        run(["debug", "--env-file", &env_file], "rejected"),
        run(["debug", "--url", "127.0.0.1:9", "--key", DEBUG_KEY], "127.0.0.1:9"),
        run(["debug", "--url", &format!("tcp://user:{DEBUG_KEY}@ho st:1"), "--key", DEBUG_KEY], "REMOTE_INSTALL_URL"),
        run(["sign", &package, "--key", &bad_pem, "--out", "/nonexistent/x"], "private key"),
        run(["verify", &package, "--key", &bad_pem], "not a valid package"),
        run([], "rejected")
            .with("INSTALL_METHOD", "remote")
            .with("REMOTE_INSTALL_URL", &daemon)
            .with("REMOTE_INSTALL_KEY", DEBUG_KEY),
        run([], "INSTALL_METHOD").with("INSTALL_METHOD", "other").with("REMOTE_INSTALL_KEY", DEBUG_KEY),
        run([], "REMOTE_INSTALL_URL")
            .with("INSTALL_METHOD", "remote")
            .with("REMOTE_INSTALL_URL", format!("tcp://user:{DEBUG_KEY}@ho st"))
            .with("REMOTE_INSTALL_KEY", DEBUG_KEY),
    ];
    let secrets = [GOOGLE_KEY, PROXY_PASSWORD, DEBUG_KEY, pipes::ENVIRONMENT].map(str::to_owned);
    let search = Search::of(secrets.iter().chain([&body_of(&pem)]));
    let mut problems = Vec::new();
    for run in &runs {
        let written = run.written(directory.path()).await;
        if !written.contains(run.says) {
            problems.push(format!("{:?} does not say `{}`: {written}", run.arguments, run.says));
        }
        if let Some(near) = search.find(&written) {
            problems.push(format!("{:?}: {near}", run.arguments));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    assert!(upstream.seen().iter().any(|seen| seen.text().contains(GOOGLE_KEY)), "the key was used");
}
