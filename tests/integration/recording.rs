//! Recording of upstream traffic: the executable replays it without the upstream, and it contains no secrets.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::executable::run;
use crate::support::{
    aigateway as gateway, aigateway_rules as rules, aigateway_setup as gateway_setup, google, google_setup as setup,
    googleapis, scripted, xinference as server,
};
use gateway::{Gateway, Protection, Reply};
use google::Google;
use googleapis::Googleapis;
use rules::{HmacRules, KeyPlace, KeyRules};
use scripted::{Scripted, Step, event_stream};
use serde_json::{Value, json};
use server::{Server, Trouble};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Prefix of every secret in these tests, except for those of the mock servers.
const CANARY: &str = "CANARY";

/// Output of a command.
#[derive(Debug, PartialEq)]
struct CommandResult {
    success: bool,
    items: Vec<Value>,
    errors: Vec<String>,
}

/// Runs `invoke` with a request on standard input. How long a call took is not compared.
fn invoke(request: &Value, more: &[&str]) -> CommandResult {
    invoke_in(&[], request, more)
}

/// Like [`invoke`], with environment variables.
fn invoke_in(environment: &[(String, String)], request: &Value, more: &[&str]) -> CommandResult {
    let action = request["action"].as_str().unwrap();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let output = run(&[&["invoke", action], more].concat(), &request.to_string(), &environment);
    let items = String::from_utf8(output.stdout).unwrap();
    let items = items.lines().map(|line| {
        let mut item: Value = serde_json::from_str(line).unwrap();
        for place in ["/delta/usage/latency", "/usage/latency"] {
            if let Some(latency) = item.pointer_mut(place) {
                *latency = json!(0);
            }
        }
        item
    });
    let errors = String::from_utf8(output.stderr).unwrap();
    let is_notice = |line: &&str| !line.starts_with("recording upstream") && !line.starts_with("replaying responses");
    // Warnings about retries contain delays, which differ.
    let errors = errors.lines().filter(is_notice).filter(|line| !line.contains(" WARN ")).map(str::to_owned);
    CommandResult { success: output.status.success(), items: items.collect(), errors: errors.collect() }
}

/// Returns the files of a recording, sorted by name.
fn files(directory: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn exchanges(directory: &Path) -> Vec<Value> {
    let files = files(directory).into_iter().filter(|(name, _)| !name.ends_with("-request.json"));
    files.map(|(_, text)| serde_json::from_str(&text).unwrap()).collect()
}

struct Case {
    upstream: Runtime,
    request: Value,
    secrets: Vec<String>,
    environment: Vec<(String, String)>,
}

/// Creates a case whose upstream runs until it is dropped.
fn case<F: Future<Output = (Value, Vec<String>)>>(start: impl FnOnce() -> F) -> Case {
    let upstream = Runtime::new().unwrap();
    let (request, secrets) = upstream.block_on(start());
    Case { upstream, request, secrets, environment: Vec::new() }
}

/// Records a case. Fails if a file contains a secret.
fn record(name: &str, case: &Case, expected: &str) -> (TempDir, PathBuf, CommandResult) {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("recording");
    let live = invoke_in(&case.environment, &case.request, &["--record", directory.to_str().unwrap()]);
    assert!(format!("{live:?}").contains(expected), "{name}: {live:?}");
    for (file, text) in files(&directory) {
        for secret in case.secrets.iter().map(String::as_str).chain([CANARY]) {
            assert!(!text.contains(secret), "{name}: {secret} is in {file}:\n{text}");
        }
    }
    (place, directory, live)
}

/// Records a case, stops its upstream, and replays it with its own request and with the recorded one.
fn check(name: &str, case: Case, expected: &str) -> (TempDir, PathBuf) {
    let (place, directory, live) = record(name, &case, expected);
    drop(case.upstream);
    let at = directory.to_str().unwrap();
    assert_eq!(invoke_in(&case.environment, &case.request, &["--replay", at]), live, "{name}");
    let (first, text) = files(&directory).remove(0);
    assert_eq!(first, "0001-request.json", "{name}");
    let mut recorded: Value = serde_json::from_str(&text).unwrap();
    // Signing keys and URLs cannot be replaced by other values; all other secrets can.
    for field in ["google_service_account_json", "google_token_uri", "jwt_jwks"] {
        if recorded["credentials"][field].is_string() {
            recorded["credentials"][field] = case.request["credentials"][field].clone();
        }
    }
    let again = invoke_in(&case.environment, &recorded, &["--replay", at]);
    assert_eq!(again, live, "{name}, with the recorded request");
    (place, directory)
}

fn with(mut request: Value, credentials: &Value) -> Value {
    request["credentials"].as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
    request
}

async fn vertex() -> (Value, Vec<String>) {
    let google = Google::start().await;
    let request =
        with(setup::ask(&google, setup::vertex(&google)), &json!({"extra_headers": "{\"x-team\": \"CANARY-team\"}"}));
    let key = setup::private_key();
    (request, vec![key.lines().nth(1).unwrap().to_owned(), "ya29".to_owned(), "key-1".to_owned()])
}

async fn hmac(reply: Option<Reply>) -> (Value, Vec<String>) {
    let secret = "CANARY-hmac-secret";
    let consumers = vec![("CANARY-access-key".to_owned(), secret.to_owned())];
    let rules = HmacRules { consumers, allowed: true, window: Some(300), strict: true };
    let gateway = Gateway::start(Protection::Hmac(rules)).await;
    reply.into_iter().for_each(|reply| gateway.script(reply));
    let credentials = json!({"auth_method": "hmac", "hmac_access_key": "CANARY-access-key", "hmac_secret_key": secret,
        "endpoint_url": format!("{}/v1", gateway.url), "mode": "chat", "max_retries": "0"});
    let request = json!({"action": "invoke_llm", "provider": "ai-gateway", "model": "qwen-max", "model_type": "llm",
        "credentials": credentials, "prompt_messages": [{"role": "user", "content": "Hi"}], "stream": true});
    (request, Vec::new())
}

async fn key_in_query(path: &str) -> (Value, Gateway) {
    let rules = KeyRules { key: "CANARY-key-+/=".to_owned(), place: KeyPlace::Query("apikey"), allowed: true };
    let gateway = Gateway::start(Protection::Key(rules)).await;
    let credentials = json!({"auth_method": "api_key", "api_key": "CANARY-key-+/=", "api_key_location": "query",
        "endpoint_url": format!("{}{path}", gateway.url), "max_retries": "0"});
    (json!({"provider": "ai-gateway", "model": "m", "credentials": credentials}), gateway)
}

fn fields(mut request: Value, more: &Value) -> Value {
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

#[test]
fn replays_streams_with_tokens_and_signatures() {
    let (_place, directory) = check("Vertex AI", case(vertex), "Hello");
    let recorded = exchanges(&directory);
    let urls: Vec<&str> = recorded.iter().map(|exchange| exchange["request"]["url"].as_str().unwrap()).collect();
    assert!(urls[0].contains(":streamGenerateContent?alt=sse") || urls[1].contains(":streamGenerateContent?alt=sse"));
    let token =
        recorded.iter().find(|exchange| exchange["request"]["url"].as_str().unwrap().ends_with("/token")).unwrap();
    assert_eq!(
        token["request"]["body"]["text"],
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=***"
    );
    assert_eq!(token["response"]["chunks"][0]["json"]["access_token"], "***");
    assert_eq!(token["response"]["chunks"][0]["json"]["expires_in"], 3599);
    assert!(recorded.iter().all(|exchange| exchange["session_id"] == "terminal" || exchange["session_id"].is_null()));

    check(
        "refresh token",
        case(async || {
            let google = Google::start().await;
            let credentials = json!({"auth_method": "oauth_refresh_token", "google_oauth_client_id": "client-1",
            "google_oauth_client_secret": google::CLIENT_SECRET, "google_oauth_refresh_token": google::REFRESH_TOKEN,
            "google_token_uri": format!("{}/token", google.url)});
            (setup::ask(&google, credentials), vec!["ya29".to_owned()])
        }),
        "Hello",
    );
    let (_place, directory) = check("HMAC", case(|| hmac(None)), "world");
    let headers = &exchanges(&directory)[0]["request"]["headers"];
    for (name, value) in [("x-ca-signature", "***"), ("x-ca-key", "***"), ("content-type", "application/json")] {
        assert_eq!(headers[name], value, "{headers}");
    }
}

#[test]
fn records_no_secret_of_any_authentication_method() {
    for method in gateway_setup::methods() {
        let name = method.name.clone();
        let case = case(async || {
            let gateway = Gateway::start(method.protection.clone()).await;
            let mut credentials = json!({"endpoint_url": format!("{}/v1", gateway.url), "max_retries": "0",
                "extra_headers": "{\"X-Team\": \"CANARY-header\"}"});
            for (field, value) in &method.form {
                credentials[field] = json!(value);
            }
            let request = json!({"action": "invoke_rerank", "provider": "ai-gateway", "model": "m", "model_type": "rerank",
                "credentials": credentials, "query": "q", "docs": ["one", "three"]});
            (request, [method.canaries.clone(), vec!["eyJ".to_owned()]].concat())
        });
        check(&name, case, "three");
    }
    let directory = tempfile::tempdir().unwrap();
    let subject = directory.path().join("token");
    std::fs::write(&subject, google::SUBJECT_TOKEN).unwrap();
    let mut network = None;
    let mut federated = case(async || {
        let google = Google::start().await;
        network = Some(Googleapis::before(google.host()).await);
        let account = format!("projects/-/serviceAccounts/{}:generateAccessToken", google::EMAIL);
        let file = json!({"type": "external_account", "audience": google::AUDIENCE,
            "credential_source": {"file": subject.to_str().unwrap()},
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "service_account_impersonation_url": format!("https://iamcredentials.googleapis.com/v1/{account}")});
        let credentials = json!({"auth_method": "application_default", "google_service_account_json": file.to_string(),
            "google_project_id": "my-project"});
        let mut request = setup::ask(&google, credentials);
        request["credentials"]["google_base_url"] = Value::Null;
        (request, vec!["ya29".to_owned()])
    });
    federated.environment = network.as_ref().unwrap().environment();
    federated.environment.push(("DIFY_PLUGIN_ALLOW_TOKEN_FILES".to_owned(), subject.display().to_string()));
    let (_place, directory) = check("federation", federated, "Hello");
    assert_eq!(exchanges(&directory).len(), 3);
}

#[test]
fn replays_calls_with_a_single_response() {
    check(
        "Xinference embeddings after a login",
        case(async || {
            let server = Server::start_with_key("CANARY-xinference").await;
            let credentials =
                json!({"server_url": server.url, "model_uid": "minilm", "username": "anna", "password": "right"});
            let request = json!({"action": "invoke_text_embedding", "provider": "xinference", "model": "mine",
            "model_type": "text-embedding", "credentials": credentials, "texts": ["one", "two"]});
            (request, vec!["\"right\"".to_owned(), "token-".to_owned()])
        }),
        "embeddings",
    );
    check(
        "a retry",
        case(async || {
            let server = Server::start_with_key("CANARY-xinference").await;
            server.trouble(Trouble::Respond(503, "application/json", r#"{"detail":"busy"}"#.to_owned(), Some("1")));
            let credentials = json!({"server_url": server.url, "model_uid": "minilm", "api_key": "CANARY-xinference"});
            let request = json!({"action": "invoke_text_embedding", "provider": "xinference", "model": "mine",
            "model_type": "text-embedding", "credentials": credentials, "texts": ["one"]});
            (request, Vec::new())
        }),
        "embeddings",
    );
    let (_place, directory) = check(
        "a form with a file",
        case(async || {
            let (request, gateway) = key_in_query("/v1?route=a").await;
            drop(gateway);
            let file = hex::encode(
                b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\0\0\0",
            );
            let more = json!({"action": "invoke_speech2text", "model_type": "speech2text", "file": file});
            (fields(request, &more), vec!["%2B%2F%3D".to_owned()])
        }),
        "Spoken words.",
    );
    let url = exchanges(&directory)[0]["request"]["url"].as_str().unwrap().to_owned();
    assert!(url.ends_with("/v1/audio/transcriptions?route=a&apikey=***"), "{url}");
}

#[test]
fn replays_failures() {
    let echo = || Reply::new(429, "application/json", r#"{"error":{"message":"CANARY-key-+/= is over its limit"}}"#);
    check(
        "a rejection that echoes the key",
        case(async || {
            let (request, gateway) = key_in_query("/v1").await;
            gateway.script(echo());
            let more = json!({"action": "invoke_text_embedding", "model_type": "text-embedding", "texts": ["one"]});
            (fields(with(request, &json!({"context_size": "100", "max_chunks": "1"})), &more), Vec::new())
        }),
        "InvokeRateLimitError",
    );
    check(
        "a cut stream",
        case(|| {
            let mut reply =
                Reply::new(200, "text/event-stream", "data:{\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n");
            reply.cut = true;
            hmac(Some(reply))
        }),
        "closed the connection before the response was complete",
    );
    check(
        "no server",
        case(async || {
            let (mut request, _) = hmac(None).await;
            request["credentials"]["endpoint_url"] = json!("http://127.0.0.1:1/v1");
            (request, Vec::new())
        }),
        "cannot connect to 127.0.0.1:1",
    );
    check(
        "a rejected token",
        case(async || {
            let google = Google::start().await;
            google.refuse_token(400, json!({"error": "invalid_grant", "error_description": "Account deleted."}));
            (setup::ask(&google, setup::vertex(&google)), Vec::new())
        }),
        "Account deleted.",
    );
}

#[test]
fn records_downloaded_files() {
    let case = case(async || {
        let image = scripted::answer("200 OK", "content-type: image/png\r\n", "not quite an image");
        let dify = Scripted::start(vec![image]).await;
        let upstream = Scripted::start(vec![vec![event_stream(), chunk("a cat", ",\"finishReason\":\"STOP\"")]]).await;
        let file_url = dify.url.replace("127.0.0.1", "localhost");
        let image = json!({"type": "image", "format": "png", "mime_type": "image/png", "detail": "high",
            "url": format!("{file_url}/files/1.png?timestamp=5&sign=CANARY-sign")});
        let request = json!({"action": "invoke_llm", "provider": "google", "model": "gemini-3.5-flash", "stream": true,
            "model_type": "llm", "prompt_messages": [{"role": "user", "content": [image]}],
            "credentials": {"google_api_key": "CANARY-api-key", "google_base_url": upstream.url, "file_url": file_url}});
        (request, Vec::new())
    });
    let (place, directory, live) = record("a file", &case, "a cat");
    drop(case.upstream);
    assert_eq!(invoke(&case.request, &["--replay", directory.to_str().unwrap()]), live);
    let methods: Vec<Value> =
        exchanges(&directory).iter().map(|exchange| exchange["request"]["method"].clone()).collect();
    assert_eq!(json!(methods), json!(["LOOKUP", "GET", "POST"]));
    drop(place);
}

/// Creates a request to a scripted Gemini server.
fn scripted(script: Vec<Step>, prompt: &str) -> Case {
    let prompt = json!([{"role": "user", "content": prompt}]);
    case(async move || {
        let upstream = Scripted::start(vec![script]).await;
        let request = json!({"action": "invoke_llm", "provider": "google", "model": "gemini-3.5-flash", "stream": true,
            "model_type": "llm", "prompt_messages": prompt,
            "credentials": {"google_api_key": "CANARY-api-key", "google_base_url": upstream.url}});
        (request, Vec::new())
    })
}

fn chunk(text: &str, more: &str) -> Step {
    Step::Send(
        format!("data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}]}}{more}}}]}}\r\n\r\n")
            .into(),
    )
}

#[test]
fn redacts_secrets_everywhere() {
    let end = ",\"finishReason\":\"STOP\"";
    let signed = "https://bucket.test/a.png?X-Goog-Algorithm=RSA&X-Goog-Signature=CANARY-1\\u0026sign=CANARY-2&width=3";
    // In a text, across the chunks of a stream, in the query string of a signed URL, and in the prompt.
    let mut split = String::from_utf8(match chunk("my CANARY-api-key, and", "") {
        Step::Send(bytes) => bytes,
        _ => Vec::new(),
    })
    .unwrap();
    let rest = split.split_off(split.find("api-key").unwrap() + 2);
    let script = vec![
        event_stream(),
        Step::Send(split.into_bytes()),
        Step::Pause(Duration::from_millis(100)),
        Step::Send(rest.into_bytes()),
        chunk(signed, end),
    ];
    let prompt = "CANARY-api-key https://dify.test/files/1?timestamp=5&nonce=6&sign=CANARY-3 and on";
    let case = scripted(script, prompt);
    let (_place, directory, _) = record("everywhere", &case, "width=3");
    drop(case.upstream);
    // The replayed response contains the redacted text.
    let replayed = invoke(&case.request, &["--replay", directory.to_str().unwrap()]);
    assert!(replayed.success && format!("{replayed:?}").contains("my ***, and"), "{replayed:?}");
    let text: String = files(&directory).into_iter().map(|(_, text)| text).collect();
    for expected in ["and on", "X-Goog-Algorithm=RSA", "width=3", "timestamp=5"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn replays_pauses_with_timed() {
    let pause = Duration::from_secs(2);
    let script = vec![event_stream(), chunk("one", ""), Step::Pause(pause), chunk("two", ",\"finishReason\":\"STOP\"")];
    let case = scripted(script, "Hi");
    let request = case.request.clone();
    let (_place, directory) = check("pauses", case, "two");
    let at = directory.to_str().unwrap();
    let took = |more: &[&str]| {
        let started = Instant::now();
        assert!(invoke(&request, &[&["--replay", at], more].concat()).success);
        started.elapsed()
    };
    // The recorded time is between two arrivals, so it is shorter than the pause if the first chunk was late.
    assert!(took(&["--timed"]) >= pause / 2);
}

#[test]
fn reports_differences_from_the_recording() {
    let script = vec![event_stream(), chunk("one", ",\"finishReason\":\"STOP\"")];
    let case = scripted(script, "Hi");
    let mut request = case.request.clone();
    let (_place, directory) = check("differences", case, "one");
    let at = directory.to_str().unwrap();
    request["prompt_messages"][0]["content"] = json!("Ho");
    let result = invoke(&request, &["--replay", at]);
    let error = result.errors.join("\n");
    assert!(!result.success);
    let expected = "0002-127.0.0.1.json: body.contents[0].parts[0].text was recorded as \"Hi\", but is now \"Ho\"";
    assert!(error.contains(expected), "{error}");
    request["model"] = json!("gemini-3.6-flash");
    let error = invoke(&request, &["--replay", at]).errors.join("\n");
    assert!(error.contains("URL was recorded as ") && error.contains("gemini-3.6-flash"), "{error}");
}

#[test]
fn omits_files_with_shorten_files() {
    let image = "iVBORw0KGgo".repeat(200);
    let script = vec![event_stream(), chunk("a cat", ",\"finishReason\":\"STOP\"")];
    let mut case = scripted(script, "Hi");
    case.request["prompt_messages"][0]["content"] = json!([{"type": "image", "format": "png", "mime_type": "image/png",
        "base64_data": image, "detail": "high"}, {"type": "text", "data": "What is it?"}]);
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("new");
    let at = directory.to_str().unwrap();
    let live = invoke(&case.request, &["--record", at, "--shorten-files"]);
    assert!(live.success, "{live:?}");
    drop(case.upstream);
    let text: String = files(&directory).into_iter().map(|(_, text)| text).collect();
    assert!(!text.contains(&image) && text.matches("(file of 2200 characters, SHA-256 ").count() == 2, "{text}");
    assert!(text.contains("What is it?"));
    assert_eq!(invoke(&case.request, &["--replay", at]), live);
}

/// Replays the committed recording as a developer would replay the one of a bug report.
#[test]
fn replays_the_recording_of_a_bug_report() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recordings/vertex-chat");
    let text = std::fs::read_to_string(directory.join("0001-request.json")).unwrap();
    let mut request: Value = serde_json::from_str(&text).unwrap();
    // The private key is redacted; any other key can sign as well.
    let file = request["credentials"]["google_service_account_json"].as_str().unwrap();
    let mut file: Value = serde_json::from_str(file).unwrap();
    assert_eq!(file["private_key"], "***");
    file["private_key"] = json!(setup::private_key());
    request["credentials"]["google_service_account_json"] = json!(file.to_string());
    let result = invoke(&request, &["--replay", directory.to_str().unwrap()]);
    assert!(result.success, "{result:?}");
    let content = |item: &Value| item["delta"]["message"]["content"].as_str().unwrap_or_default().to_owned();
    assert_eq!(result.items.iter().map(content).collect::<String>(), "Hello");
    let usage = &result.items.last().unwrap()["delta"]["usage"];
    assert!(usage["prompt_tokens"].as_u64().unwrap() > 0, "{usage}");
}

#[test]
fn a_child_process_records_and_replays_by_settings() {
    let case = case(|| hmac(None));
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("deep/recording");
    let at = directory.to_str().unwrap();
    let line = |session: &str| {
        let data = fields(case.request.clone(), &json!({"user_id": "u", "type": "model"}));
        format!("{}\n", json!({"session_id": session, "event": "request", "data": data}))
    };
    let text = |output: &Output| {
        let lines = String::from_utf8(output.stdout.clone()).unwrap();
        let frames = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut texts = std::collections::BTreeMap::<String, String>::new();
        for frame in frames.filter(|frame| frame["event"] == "session") {
            let text = texts.entry(frame["session_id"].as_str().unwrap().to_owned()).or_default();
            let data = &frame["data"]["data"];
            text.push_str(
                data["delta"]["message"]["content"].as_str().or(data["message"].as_str()).unwrap_or_default(),
            );
        }
        texts
    };
    let live = run(&[], &format!("{}{}", line("s-1"), line("s-2")), &[("DIFY_PLUGIN_RECORD", at)]);
    let log = String::from_utf8(live.stderr.clone()).unwrap();
    assert!(log.contains("recording upstream traffic to ") && log.contains("prompts and responses"), "{log}");
    assert!(
        text(&live)["s-1"].ends_with("world")
            && text(&live) == json!(text(&live)).as_object().map(|_| text(&live)).unwrap()
    );
    drop(case.upstream);
    let mut sessions: Vec<String> =
        exchanges(&directory).iter().map(|exchange| exchange["session_id"].as_str().unwrap().to_owned()).collect();
    sessions.sort();
    assert_eq!((sessions, files(&directory).len()), (vec!["s-1".to_owned(), "s-2".to_owned()], 4));

    let input = format!("{}{}", line("s-1"), line("s-2"));
    assert_eq!(text(&run(&[], &input, &[("DIFY_PLUGIN_REPLAY", at)])), text(&live));
    let third = text(&run(&[], &format!("{input}{}", line("s-3")), &[("DIFY_PLUGIN_REPLAY", at)]));
    let rejected = third.values().filter(|text| text.contains("all 2 exchanges were replayed")).count();
    assert_eq!((rejected, third.len()), (1, 3), "{third:?}");

    for (environment, expected) in [
        (
            vec![("DIFY_PLUGIN_RECORD", at), ("DIFY_PLUGIN_REPLAY", at)],
            "setting DIFY_PLUGIN_REPLAY cannot be set together",
        ),
        (vec![("DIFY_PLUGIN_REPLAY", "/nowhere")], "cannot open the recording: /nowhere: No such file"),
        (vec![("DIFY_PLUGIN_REPLAY", place.path().to_str().unwrap())], "contains no recorded exchanges"),
        (vec![("DIFY_PLUGIN_RECORD", "/proc/x")], "cannot open the recording: /proc/x"),
    ] {
        let output = run(&[], "", &environment);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(expected), "{expected}: {error}");
    }
    let output = run(&["invoke", "invoke_llm", "--record", at], "{}", &[]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("is not empty"));
}

#[test]
fn calls_succeed_when_the_recording_cannot_be_written() {
    let case = case(|| hmac(None));
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("recording");
    std::fs::create_dir(&directory).unwrap();
    let data = fields(case.request.clone(), &json!({"user_id": "u", "type": "model"}));
    let line = format!("{}\n", json!({"session_id": "s", "event": "request", "data": data}));
    let mut child = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("DIFY_PLUGIN_RECORD", &directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The recording is open before the first heartbeat.
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    std::fs::remove_dir(&directory).unwrap();
    child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(text.contains("world"), "{text}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot record an exchange"));
}
