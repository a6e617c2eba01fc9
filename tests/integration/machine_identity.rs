//! The machine is not the workspace's: whatever a credential form asks of it, no identity, file or address of the machine
//! comes to anybody but Google, and none at all without its operator's leave. The executable is run as the daemon runs it,
//! with stand-ins for the metadata server, for Google behind the operator's proxy, and for an attacker everywhere else.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::{echoing, google, googleapis, pipes};
use echoing::{At, Echoing, FAULTS};
use google::{AUDIENCE, CLIENT_SECRET, EMAIL, Google, REFRESH_TOKEN, SUBJECT_TOKEN};
use googleapis::Googleapis;
use pipes::Process;
use serde_json::{Value, json};

/// The beginning of the one answer.
const REFUSED: &str = "the credential form requests an identity, a file or a URL of the machine";

/// The text that precedes the reason in the log.
const LOGGED: &str = "a credential form may not use this machine's identity";

type Environment = Vec<(String, String)>;

/// The machine: files with tokens, a metadata server, a service of its network that gives tokens, and Google.
struct Machine {
    directory: tempfile::TempDir,
    metadata: Google,
    inner: Echoing,
    google: Googleapis,
}

impl Machine {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("token", SUBJECT_TOKEN);
        write("token.json", &json!({"id_token": SUBJECT_TOKEN, "nested": {"id_token": SUBJECT_TOKEN}}).to_string());
        write("large", &"x".repeat(300 * 1024));
        write("text", "not a token at all\n");
        write("empty", "");
        let user = json!({"type": "authorized_user", "client_id": "client-1", "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN});
        write("user.json", &user.to_string());
        let metadata = Google::start().await;
        let google = Googleapis::before(metadata.host()).await;
        let inner = Echoing::start("").await;
        inner.play(Some((At::Calls, FAULTS[0])));
        Self { directory, metadata, inner, google }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// The operator's network, and nothing allowed.
    fn environment(&self) -> Environment {
        let mut environment = self.google.environment();
        environment.push(("GCE_METADATA_HOST".to_owned(), self.metadata.host().to_owned()));
        // Credentials of no tenant.
        environment.push(("HOME".to_owned(), self.path("")));
        environment
    }

    /// Everything allowed that there is.
    fn allowing(&self) -> Environment {
        let files =
            ["token", "token.json", "large", "text", "empty", "user.json", "absent", ""].map(|name| self.path(name));
        let urls = ["token", "token?resource=a", "denied"].map(|path| format!("{}/{path}", self.inner.url));
        let unreachable = "http://127.0.0.1:9/token";
        let mut environment = self.environment();
        environment.extend([
            ("DIFY_PLUGIN_ALLOW_MACHINE_IDENTITY".to_owned(), "true".to_owned()),
            ("DIFY_PLUGIN_ALLOW_TOKEN_FILES".to_owned(), files.join(":")),
            ("DIFY_PLUGIN_ALLOW_TOKEN_URLS".to_owned(), format!("{} {unreachable}", urls.join(" "))),
        ]);
        environment
    }

    /// Nothing of this machine was accessed, and nothing of it was shown.
    fn check_untouched(&self, case: &str) {
        assert_eq!(self.metadata.grants(), Vec::<String>::new(), "{case}: tokens were given");
        assert!(self.metadata.seen("").is_empty(), "{case}: Gemini was asked");
        assert!(self.inner.seen().is_empty(), "{case}: an inner address was asked");
        assert!(self.google.asked().is_empty(), "{case}: {:?}", self.google.asked());
    }
}

/// The author of the form: a server that takes and repeats everything, and one that ends TLS as if it were Google.
struct Attacker {
    server: Echoing,
    google: Googleapis,
}

impl Attacker {
    async fn new() -> Self {
        let server = Echoing::start("").await;
        server.play(Some((At::Calls, FAULTS[0])));
        let google = Googleapis::before(server.host()).await;
        Self { server, google }
    }

    fn check_saw_nothing(&self, case: &str) {
        let seen: Vec<String> = self.server.seen().iter().map(echoing::Seen::text).collect();
        assert!(seen.is_empty(), "{case}: {seen:#?}");
        assert!(self.google.asked().is_empty(), "{case}: {:?}", self.google.asked());
    }
}

/// Requests with these credentials that fail without a token.
fn requests(credentials: &Value) -> Vec<Value> {
    let asked = json!([{"role": "user", "content": "Hi"}]);
    let audio = hex::encode([b"RIFF\0\0\0\0WAVEfmt ".as_slice(), &[0; 64]].concat());
    let works = vec![
        json!({"action": "invoke_llm", "model": "gemini-2.5-flash-lite", "model_type": "llm", "prompt_messages": asked}),
        json!({"action": "invoke_llm", "model": "gemini-2.5-flash-lite", "model_type": "llm", "prompt_messages": asked,
            "stream": false}),
        json!({"action": "invoke_text_embedding", "model": "gemini-embedding-001", "texts": ["a"], "input_type": "query"}),
        json!({"action": "invoke_tts", "model": "gemini-3.8-flash-tts", "content_text": "Hi.", "voice": "Kore",
            "tenant_id": "t"}),
        json!({"action": "validate_provider_credentials"}),
        json!({"action": "validate_model_credentials", "model": "gemini-2.5-flash-lite", "model_type": "llm"}),
        json!({"action": "invoke_speech2text", "model": "gemini-2.5-flash-lite", "file": audio}),
        json!({"action": "invoke_multimodal_embedding", "model": "gemini-embedding-2",
            "documents": [{"content": "a", "content_type": "text"}]}),
    ];
    filled(works, credentials)
}

/// Requests that have an answer without a token too, or another reason to fail.
fn quiet_requests(credentials: &Value) -> Vec<Value> {
    let asked = json!([{"role": "user", "content": "Hi"}]);
    let agent = "deep-research-preview-04-2026";
    let works = vec![
        json!({"action": "get_llm_num_tokens", "model": "gemini-2.5-flash-lite", "model_type": "llm",
            "prompt_messages": asked}),
        json!({"action": "get_ai_model_schemas", "model": "not-declared", "model_type": "llm"}),
        json!({"action": "get_tts_model_voices", "model": "gemini-3.8-flash-tts", "language": ""}),
        json!({"action": "start_polling", "provider": "gemini-agents", "model": agent, "model_type": "llm",
            "prompt_messages": asked}),
        json!({"action": "check_polling", "provider": "gemini-agents", "model": agent, "model_type": "llm",
            "plugin_state": {"interaction": "i-1"}}),
    ];
    filled(works, credentials)
}

fn filled(mut works: Vec<Value>, credentials: &Value) -> Vec<Value> {
    for work in &mut works {
        if work["provider"].is_null() {
            work["provider"] = json!("google");
        }
        work["credentials"] = credentials.clone();
        work["credentials"]["max_retries"] = json!("0");
    }
    works
}

fn with(mut credentials: Value, more: &Value) -> Value {
    credentials.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    credentials
}

/// A form that asks for the machine's own identity.
fn own(more: Value) -> Value {
    with(json!({"auth_method": "application_default"}), &more)
}

/// A form with a pasted federation file.
fn federated(source: Value, more: Value, form: Value) -> Value {
    let file = json!({"type": "external_account", "audience": AUDIENCE, "credential_source": source,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "https://sts.googleapis.com/v1/token"});
    let file = with(file, &more).to_string();
    with(own(json!({"google_service_account_json": file, "google_project_id": "my-project"})), &form)
}

fn impersonation(host: &str) -> String {
    format!("{host}/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken")
}

/// Forms that would carry something of this machine away, whether its operator allows forms something or not.
fn attacks(machine: &Machine, attacker: &Attacker) -> Vec<(String, Value)> {
    let (elsewhere, proxy) = (&attacker.server.url, &attacker.google.url);
    let token = || json!({"file": machine.path("token")});
    let none = || json!({});
    let ca = attacker.google.pem();
    let mut cases: Vec<(String, Value)> = Vec::new();
    // Where a token must not be sent, or by what.
    let routes = [
        ("base URL", json!({"google_base_url": elsewhere})),
        ("base URL on this machine by name", json!({"google_base_url": elsewhere.replace("127.0.0.1", "localhost")})),
        ("base URL below a look-alike", json!({"google_base_url": "https://aiplatform.googleapis.com.invalid"})),
        ("base URL of another service", json!({"google_base_url": "https://storage.googleapis.com"})),
        ("base URL in clear text", json!({"google_base_url": "http://aiplatform.googleapis.com"})),
        ("base URL at another port", json!({"google_base_url": "https://aiplatform.googleapis.com:8443"})),
        ("proxy", json!({"proxy_url": elsewhere})),
        ("proxy without scheme", json!({"proxy_url": attacker.server.host()})),
        ("SOCKS proxy", json!({"proxy_url": format!("socks5h://{}", attacker.server.host())})),
        ("certificates", json!({"tls_ca": ca})),
        ("proxy and certificates", json!({"proxy_url": proxy, "tls_ca": ca})),
        ("no proxy, but certificates", json!({"proxy_url": "direct", "tls_ca": ca})),
        ("proxy and a base URL in clear text", json!({"proxy_url": proxy, "google_base_url": "http://example.com"})),
    ];
    for (route, form) in routes {
        cases.push((format!("own identity, {route}"), own(form.clone())));
        cases.push((format!("token file, {route}"), federated(token(), none(), form.clone())));
        let url = json!({"url": format!("{}/token", machine.inner.url), "format": {"subject_token_field_name": "access_token"}});
        cases.push((format!("token address, {route}"), federated(url, none(), form)));
    }
    // Whom the file names as token endpoint.
    for url in [
        "http://127.0.0.1:1/token",
        elsewhere,
        "https://sts.googleapis.com.invalid/v1/token",
        "http://sts.googleapis.com/v1/token",
        "https://sts.googleapis.com@127.0.0.1/v1/token",
        "https://storage.googleapis.com/v1/token",
        "https://sts.googleapis.com:8443/v1/token",
    ] {
        for form in [none(), json!({"proxy_url": elsewhere}), json!({"proxy_url": proxy, "tls_ca": ca})] {
            cases.push((format!("token endpoint {url}"), federated(token(), json!({"token_url": url}), form)));
        }
        let host = url.trim_end_matches("/v1/token").trim_end_matches("/token").replace("sts.", "iamcredentials.");
        let more = json!({"service_account_impersonation_url": impersonation(&host)});
        cases.push((format!("impersonation at {host}"), federated(token(), more, none())));
    }
    // Fields that a form does not have.
    cases.push((
        "a metadata server of the form's".to_owned(),
        own(json!({"google_metadata_host": attacker.server.host(), "google_base_url": elsewhere})),
    ));
    let headers =
        json!({"url": format!("{}/token", machine.inner.url), "headers": {"Host": "metadata.google.internal"}});
    cases.push(("another host in the headers".to_owned(), federated(headers, none(), none())));
    cases
}

/// Forms that fail for what there is on the machine, and must not tell it.
fn questions(machine: &Machine) -> Vec<(String, Value)> {
    let file = |path: String| json!({ "file": path });
    let field = |path: String, name: &str| json!({"file": path, "format": {"subject_token_field_name": name}});
    let url = |path: &str| json!({"url": format!("{}/{path}", machine.inner.url)});
    let sources = [
        file(machine.path("absent")),
        file(machine.path("")),
        file(machine.path("large")),
        file(machine.path("text")),
        file(machine.path("empty")),
        file("/dev/zero".to_owned()),
        file("/etc/passwd".to_owned()),
        file("/proc/self/environ".to_owned()),
        file("Cargo.toml".to_owned()),
        file(format!("{}/../{}", machine.path(""), "token")),
        field(machine.path("token.json"), "absent"),
        field(machine.path("token.json"), "nested"),
        field(machine.path("user.json"), "type_of"),
        url("denied"),
        url("nowhere"),
        json!({"url": "http://127.0.0.1:9/token"}),
        json!({"url": "http://127.0.0.1:10/token"}),
        json!({"url": "file:///etc/passwd"}),
    ];
    sources.into_iter().map(|source| (source.to_string(), federated(source, json!({}), json!({})))).collect()
}

/// Every action of every form is refused, and all in the same words.
async fn check_refused(environment: &Environment, forms: Vec<(String, Value)>) -> BTreeSet<String> {
    let mut process = Process::with(environment);
    let mut answers = BTreeSet::new();
    for (case, form) in forms {
        for (asked, error) in requests(&form).iter().zip(process.run(requests(&form)).await) {
            let error = error.unwrap_or_else(|| panic!("{case}, {}: taken", asked["action"]));
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(REFUSED), "{case}, {}: {message}", asked["action"]);
            answers.insert(error.to_string());
        }
        process.run(quiet_requests(&form)).await;
    }
    let (output, log) = process.finish().await;
    assert!(log.contains(LOGGED), "the reason is logged for the operator: {log}");
    for secret in [SUBJECT_TOKEN, REFRESH_TOKEN, CLIENT_SECRET, echoing::ACCESS_TOKEN, "ya29."] {
        assert!(!output.contains(secret) && !log.contains(secret), "{secret} was shown");
    }
    answers
}

#[tokio::test]
async fn without_leave_nothing_of_the_machine_is_touched() {
    let (machine, attacker) = (Machine::new().await, Attacker::new().await);
    let mut forms = attacks(&machine, &attacker);
    forms.extend(questions(&machine));
    // What works once it is allowed.
    forms.extend(legitimate(&machine).into_iter().map(|(case, form, ..)| (case, form)));
    let mut environment = machine.environment();
    environment.push(("GOOGLE_APPLICATION_CREDENTIALS".to_owned(), machine.path("user.json")));
    let answers = check_refused(&environment, forms).await;
    assert_eq!(answers.len(), 1, "{answers:#?}");
    attacker.check_saw_nothing("nothing allowed");
    machine.check_untouched("nothing allowed");
}

#[tokio::test]
async fn with_leave_nothing_of_the_machine_goes_anywhere_but_to_google() {
    let (machine, attacker) = (Machine::new().await, Attacker::new().await);
    let answers = check_refused(&machine.allowing(), attacks(&machine, &attacker)).await;
    assert_eq!(answers.len(), 1, "{answers:#?}");
    attacker.check_saw_nothing("everything allowed");
    machine.check_untouched("everything allowed");
    let mut environment = machine.allowing();
    environment.push(("GOOGLE_APPLICATION_CREDENTIALS".to_owned(), machine.path("user.json")));
    let forms = attacks(&machine, &attacker).into_iter().filter(|(case, _)| case.starts_with("own identity"));
    check_refused(&environment, forms.collect()).await;
    attacker.check_saw_nothing("a credentials file");
    machine.check_untouched("a credentials file");
}

#[tokio::test]
async fn whatever_fails_on_the_machine_has_one_answer() {
    let machine = Machine::new().await;
    let questions = questions(&machine);
    let answers = check_refused(&machine.allowing(), questions.clone()).await;
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert_eq!(machine.metadata.grants(), Vec::<String>::new());
    let refused = check_refused(&machine.environment(), questions).await;
    assert_eq!(answers, refused, "allowed or not, the answer is the same");
    // Tokens that are refused at Google, and credentials files that are none.
    machine.metadata.refuse_token(0, Value::Null);
    let mut process = Process::with(&machine.allowing());
    let error = process.run(requests(&own(json!({})))[..1].to_vec()).await.remove(0).unwrap();
    assert!(answers.contains(&error.to_string()), "{error}");
    let wrong = json!({"file": machine.path("user.json"), "format": {"subject_token_field_name": "client_id"}});
    let error = process.run(requests(&federated(wrong, json!({}), json!({})))[..1].to_vec()).await.remove(0).unwrap();
    assert!(answers.contains(&error.to_string()), "{error}");
    process.finish().await;
    for name in ["absent", "text", "token.json", ""] {
        let mut environment = machine.allowing();
        environment.push(("GOOGLE_APPLICATION_CREDENTIALS".to_owned(), machine.path(name)));
        let mut process = Process::with(&environment);
        let error = process.run(requests(&own(json!({})))[..1].to_vec()).await.remove(0).unwrap();
        assert!(answers.contains(&error.to_string()), "{name}: {error}");
        process.finish().await;
    }
}

/// Forms that work where their operator allows it: what else is in the environment, and the grants that are given.
fn legitimate(machine: &Machine) -> Vec<(String, Value, Option<&'static str>, Vec<&'static str>)> {
    let none = || json!({});
    let exchanged = || vec!["exchange"];
    let url = |path: &str| format!("{}/{path}", machine.inner.url);
    let become_account =
        json!({"service_account_impersonation_url": impersonation("https://iamcredentials.googleapis.com")});
    let case = |name: &str, form, file, grants| (name.to_owned(), form, file, grants);
    vec![
        case("the metadata server", own(none()), None, vec!["metadata"]),
        case(
            "the metadata server, on Vertex AI",
            own(json!({"google_project_id": "my-project"})),
            None,
            vec!["metadata"],
        ),
        case(
            "with a region",
            own(json!({"google_project_id": "p", "google_location": "us-central1"})),
            None,
            vec!["metadata"],
        ),
        case(
            "with its own address",
            own(json!({"google_base_url": "https://generativelanguage.googleapis.com"})),
            None,
            vec!["metadata"],
        ),
        case("a credentials file of a user", own(none()), Some("user.json"), vec!["refresh"]),
        case("a token file", federated(json!({"file": machine.path("token")}), none(), none()), None, exchanged()),
        case(
            "a field of a token file, and another account",
            federated(
                json!({"file": machine.path("token.json"), "format": {"type": "json", "subject_token_field_name": "id_token"}}),
                become_account,
                none(),
            ),
            None,
            vec!["exchange", "impersonated"],
        ),
        case(
            "an address that the operator names",
            federated(
                json!({"url": url("token?resource=a"), "headers": {"Metadata": "True"},
                    "format": {"type": "json", "subject_token_field_name": "access_token"}}),
                none(),
                none(),
            ),
            None,
            Vec::new(),
        ),
    ]
}

#[tokio::test]
async fn with_leave_google_is_reached_by_the_operators_network() {
    let machine = Machine::new().await;
    for (case, form, file, grants) in legitimate(&machine) {
        let mut environment = machine.allowing();
        if let Some(file) = file {
            environment.push(("GOOGLE_APPLICATION_CREDENTIALS".to_owned(), machine.path(file)));
        }
        let (given, asked) = (machine.metadata.grants().len(), machine.metadata.seen("streamGenerate").len());
        let mut process = Process::with(&environment);
        let error = process.run(requests(&form)[..1].to_vec()).await.remove(0);
        let (output, log) = process.finish().await;
        if grants.is_empty() {
            // The stand-in for Google knows no such token; that it was asked for is what counts.
            let seen = machine.inner.seen();
            assert_eq!(seen.last().unwrap().headers["metadata"], "True", "{case}");
            assert!(error.is_some() && log.contains("bad subject_token"), "{case}: {error:?} {log}");
            continue;
        }
        assert_eq!(error, None, "{case}: {log}");
        assert!(output.contains("Hello"), "{case}: {output}");
        assert_eq!(machine.metadata.grants()[given..], grants, "{case}");
        assert_eq!(machine.metadata.seen("streamGenerate").len(), asked + 1, "{case}");
    }
    let asked = machine.google.asked();
    assert!(!asked.is_empty() && asked.iter().all(|line| line.contains(".googleapis.com:443 ")), "{asked:?}");
}

/// A credentials file of the machine that leads elsewhere is the operator's mistake, and goes nowhere.
#[tokio::test]
async fn a_credentials_file_that_leads_elsewhere_is_not_followed() {
    let (machine, attacker) = (Machine::new().await, Attacker::new().await);
    let elsewhere = format!("{}/token", attacker.server.url);
    let user = json!({"type": "authorized_user", "client_id": "client-1", "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN, "token_uri": elsewhere});
    let external = json!({"type": "external_account", "audience": AUDIENCE, "subject_token_type": "t",
        "credential_source": {"file": machine.path("token")}, "token_url": elsewhere});
    for (name, text) in [("elsewhere.json", user.to_string()), ("external.json", external.to_string())] {
        std::fs::write(machine.directory.path().join(name), text).unwrap();
        let mut environment = machine.allowing();
        environment.push(("GOOGLE_APPLICATION_CREDENTIALS".to_owned(), machine.path(name)));
        check_refused(&environment, vec![(name.to_owned(), own(json!({})))]).await;
    }
    attacker.check_saw_nothing("a file of the operator's");
}

/// A token from an endpoint on this machine stays on it, or goes to Google.
#[tokio::test]
async fn a_token_of_a_service_on_this_machine_goes_nowhere_else() {
    let (machine, attacker) = (Machine::new().await, Attacker::new().await);
    let form = json!({"auth_method": "oauth_refresh_token", "google_oauth_client_id": "client-1",
        "google_oauth_client_secret": CLIENT_SECRET, "google_oauth_refresh_token": REFRESH_TOKEN,
        "google_token_uri": format!("{}/token", machine.metadata.url)});
    let mut process = Process::with(&machine.environment());
    for (base, passes) in [
        (json!({"google_base_url": "http://gateway.example"}), false),
        (json!({"google_base_url": format!("http://10.1.2.3:{}", 80)}), false),
        (json!({"google_base_url": machine.metadata.url}), true),
        (json!({}), true),
    ] {
        let request = requests(&with(form.clone(), &base)).remove(0);
        let error = process.run(vec![request]).await.remove(0);
        assert_eq!(error.is_none(), passes, "{base}: {error:?}");
        if let Some(error) = error {
            assert!(
                error["message"].as_str().unwrap().contains("may be sent to Google and this machine only"),
                "{error}"
            );
            assert!(machine.metadata.grants().is_empty(), "a token was asked for");
        }
    }
    process.finish().await;
    attacker.check_saw_nothing("a token of this machine");
}

/// A `.env` in the plugin directory belongs to the author of the directory.
#[tokio::test]
async fn a_file_in_the_plugin_directory_allows_nothing() {
    let machine = Machine::new().await;
    let directory = tempfile::tempdir().unwrap();
    for name in ["manifest.yaml", "provider", "models", "_assets"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        assert!(Command::new("cp").arg("-r").arg(from).arg(directory.path()).status().unwrap().success());
    }
    let settings: String = machine.allowing().iter().map(|(name, value)| format!("{name}='{value}'\n")).collect();
    std::fs::write(directory.path().join(".env"), settings).unwrap();
    let mut command = pipes::command(&[]);
    let mut process = Process::spawn(command.current_dir(directory.path()).envs(machine.environment()));
    for (case, form, ..) in legitimate(&machine) {
        let error = process.run(requests(&form)[..1].to_vec()).await.remove(0).expect("taken");
        assert!(error["message"].as_str().unwrap().contains(REFUSED), "{case}: {error}");
    }
    process.finish().await;
    machine.check_untouched("a file in the plugin directory");
}

/// The operator's own file allows, if no one else can write it; looked at in a namespace with another `/etc`, where this
/// machine permits one.
#[tokio::test]
async fn the_operators_file_allows_what_it_names() {
    const SCRIPT: &str = r#"mount -t tmpfs none /etc && mkdir /etc/dify-plugin-runtime &&
        cp "$1" /etc/dify-plugin-runtime/operator.env && chmod "$2" /etc/dify-plugin-runtime/operator.env && shift 2 && exec "$@""#;
    let machine = Machine::new().await;
    let file = machine.path("operator.env");
    std::fs::write(&file, "DIFY_PLUGIN_ALLOW_MACHINE_IDENTITY=true\n").unwrap();
    let command = |mode: &str, program: &[&str]| {
        let mut command = tokio::process::Command::new("unshare");
        command.args(["-Urm", "sh", "-c", SCRIPT, "sh", &file, mode]).args(program);
        command
    };
    if !command("644", &["true"]).status().await.is_ok_and(|status| status.success()) {
        return;
    }
    for (mode, allowed) in [("644", true), ("666", false)] {
        let mut command = command(mode, &[env!("CARGO_BIN_EXE_dify-plugin-runtime")]);
        let mut process = Process::spawn(pipes::as_plugin(&mut command).envs(machine.environment()));
        let error = process.run(requests(&own(json!({})))[..1].to_vec()).await.remove(0);
        let (_, log) = process.finish().await;
        assert_eq!(error.is_none(), allowed, "{mode}: {error:?} {log}");
        assert_eq!(log.contains("other users can write to it"), !allowed, "{log}");
    }
}

/// The serverless port requires no login: it receives a form like any other.
#[allow(clippy::disallowed_methods)] // the host's client, not the plugin's
#[tokio::test]
async fn a_serverless_port_gives_away_nothing_either() {
    let (machine, attacker) = (Machine::new().await, Attacker::new().await);
    for environment in [machine.environment(), machine.allowing()] {
        let (mut child, url) = pipes::serverless(&environment).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for (case, form) in attacks(&machine, &attacker) {
            let mut data = requests(&form).remove(0);
            (data["user_id"], data["type"]) = (json!("u"), json!("model"));
            let body = json!({"session_id": "s", "event": "request", "data": data}).to_string();
            let call =
                client.post(&url).header("content-type", "application/json").header("origin", "http://evil.example");
            let answer = call.body(body).send().await.unwrap().text().await.unwrap();
            assert!(answer.contains(REFUSED), "{case}: {answer}");
        }
        child.kill().await.unwrap();
    }
    attacker.check_saw_nothing("serverless");
    machine.check_untouched("serverless");
}

/// Where clouds answer their own machines, in the fields of every form, as file of a prompt, as proxy, and behind a name.
/// Looked at without a network, so that nothing is called should a check be missing; where this machine permits that.
#[tokio::test]
async fn no_address_leads_to_the_cloud_of_the_machine() {
    const SCRIPT: &str = r#"mount -t tmpfs none /etc && echo "hosts: files" > /etc/nsswitch.conf &&
        echo "169.254.169.254 rebound.test" > /etc/hosts && exec "$@""#;
    let command = |program: &str| {
        let mut command = tokio::process::Command::new("unshare");
        command.args(["-Urmn", "sh", "-c", SCRIPT, "sh", program]);
        command
    };
    if !command("true").status().await.is_ok_and(|status| status.success()) {
        return;
    }
    let mut command = command(env!("CARGO_BIN_EXE_dify-plugin-runtime"));
    let mut process = Process::spawn(pipes::as_plugin(&mut command));
    let asked = json!([{"role": "user", "content": "Hi"}]);
    let chat = |provider: &str, model: &str, credentials: Value| {
        json!({"action": "invoke_llm", "provider": provider, "model": model, "model_type": "llm",
            "prompt_messages": asked, "credentials": with(credentials, &json!({"max_retries": "0"}))})
    };
    let gemini = |more: Value| chat("google", "gemini-2.5-flash-lite", with(json!({"google_api_key": "k"}), &more));
    for host in ["169.254.169.254", "2852039166", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "rebound.test"]
    {
        let url = format!("http://{host}/latest");
        let image = json!([{"type": "image", "format": "png", "mime_type": "image/png", "url": url}]);
        let mut file = gemini(json!({"file_url": format!("http://{host}"), "google_base_url": "http://127.0.0.1:9"}));
        file["prompt_messages"] = json!([{"role": "user", "content": image}]);
        let cases = [
            gemini(json!({ "google_base_url": url })),
            gemini(json!({ "proxy_url": url })),
            gemini(json!({ "proxy_url": format!("socks5://{host}"), "google_base_url": "http://127.0.0.1:9" })),
            chat("xinference", "m", json!({"server_url": url, "model_uid": "m"})),
            chat("ai-gateway", "m", json!({"endpoint_url": url, "api_key": "k"})),
            file,
        ];
        for (case, error) in cases.iter().zip(process.run(cases.to_vec()).await) {
            let error = error.unwrap_or_else(|| panic!("taken: {case}"));
            let message = error["message"].as_str().unwrap();
            // The client drops its resolver's message for a SOCKS proxy with a name.
            let lost = message.contains("SOCKS") && host == "rebound.test";
            assert!(lost || message.contains("that a cloud reserves for its own machines"), "{case}: {message}");
        }
    }
    for source in [
        json!({"url": "http://169.254.169.254/latest/meta-data/"}),
        json!({"url": "http://rebound.test/token", "headers": {"Metadata-Flavor": "Google"}}),
    ] {
        let request = requests(&federated(source.clone(), json!({}), json!({}))).remove(0);
        let error = process.run(vec![request]).await.remove(0).expect("taken");
        assert!(error["message"].as_str().unwrap().contains(REFUSED), "{source}: {error}");
    }
    process.finish().await;
}
