//! Runs the `doctor` command against healthy and faulty servers on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::Value;

const CANARY: &str = "canary-3f9a";

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .envs(environment.iter().copied())
        .arg("doctor")
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs `doctor` and returns its findings as `level check: found → hint`. Fails if a canary secret is printed.
fn findings(arguments: &[&str], environment: &[(&str, &str)]) -> (bool, Vec<String>) {
    let output = run(&[arguments, &["--json"]].concat(), environment);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(CANARY), "{text}");
    assert!(!String::from_utf8(output.stderr).unwrap().contains(CANARY));
    let line = |line: &str| {
        let finding: Value = serde_json::from_str(line).unwrap();
        let word = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        assert!(finding["level"] == "ok" || finding["hint"].is_string(), "no hint: {finding}");
        format!("{} {}: {} → {}", word("level"), word("check"), word("found"), word("hint"))
    };
    (output.status.success(), text.lines().map(line).collect())
}

/// Asserts that the findings contain each expected text, and that the exit code reports whether there are errors.
fn check(arguments: &[&str], environment: &[(&str, &str)], expected: &[&str]) {
    let (success, found) = findings(arguments, environment);
    let all = found.join("\n");
    for expected in expected {
        assert!(all.contains(expected), "expected `{expected}` with {arguments:?} {environment:?}:\n{all}");
    }
    assert_eq!(success, !found.iter().any(|finding| finding.starts_with("error")), "{all}");
}

/// Handles every connection on a loopback port with `respond`.
fn listen(respond: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(&respond));
    address
}

/// Starts a mock of the Gemini Developer API with one valid key, whose clock is `late` seconds behind.
fn gemini(late: u64) -> SocketAddr {
    listen(move |stream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let head: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let (status, body) = match head.iter().find(|line| line.starts_with("x-goog-api-key")) {
            Some(line) if line.ends_with("good") => ("200 OK", r#"{"models": [{"name": "models/one"}]}"#),
            Some(_) => (
                "400 Bad Request",
                r#"{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}"#,
            ),
            None => ("404 Not Found", ""),
        };
        let time = jiff::Timestamp::try_from(SystemTime::now() - Duration::from_secs(late)).unwrap();
        let date = time.strftime("%a, %d %b %Y %H:%M:%S GMT");
        let length = body.len();
        let mut stream = stream;
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
    })
}

fn with_key<'a>(base: &'a str, key: &'a str) -> Vec<&'a str> {
    vec!["--provider", "google", "--credential", base, "--credential", key]
}

#[test]
fn prints_one_line_per_finding_and_a_summary() {
    let output = run(&[], &[("SSL_CERT_FILE", "/nowhere.pem")]);
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "ok       declarations  ai-gateway, gemini-agents, google, openai_api_compatible, xinference with",
        "ok       environment   transport local, at most 1000 concurrent sessions",
        "error    certificates  certificate store (SSL_CERT_FILE /nowhere.pem) is empty",
        " → Point SSL_CERT_FILE to a PEM file",
        "ok       proxy         none in the environment",
    ] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    let summary = String::from_utf8(output.stderr).unwrap();
    assert!(summary.contains("1 error") && summary.contains("not checked: provider endpoint"), "{summary}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn warns_about_settings_that_are_not_passed_on_ignored_or_invalid() {
    for (name, value, expected) in [
        ("MAX_WORKER", "5", "warning environment: MAX_WORKER is set, but newer plugin daemons do not pass it on"),
        ("SSL_CERT_DIR", "/etc/ssl/certs", "warning environment: SSL_CERT_DIR is set"),
        ("HTTPX_TIMEOUT", "5", "warning environment: HTTPX_TIMEOUT is set but has no effect"),
        ("HEARTBEAT_INTERVAL", "soon", "error environment: setting HEARTBEAT_INTERVAL must be"),
        ("MAX_REQUEST_TIMEOUT", "none", "warning environment: MAX_REQUEST_TIMEOUT is set but has no effect"),
        ("SERVERLESS_PORT", "x", "ok environment: transport local"),
        ("REMOTE_INSTALL_PORT", "x", "ok environment: transport local"),
        (
            "DIFY_PLUGIN_LINE_LIMIT",
            "20971520",
            "ok environment: line limit of Dify's plugin daemon set to 20971520 bytes",
        ),
        ("INSTALL_METHOD", "LOCAL", "error environment: setting INSTALL_METHOD must be"),
        ("RUST_LOG", "a=b=c", "warning environment: invalid log level `a=b=c`"),
        ("DIFY_PLUGIN_LOG_FORMAT", "xml", "error environment: setting DIFY_PLUGIN_LOG_FORMAT must be text or json"),
        ("DIFY_PLUGIN_LOG_CONTENT", "true", "warning environment: prompts and responses are logged"),
        (
            "DIFY_PLUGIN_RECORD",
            "/tmp/case",
            "warning environment: upstream traffic, including prompts and responses, is recorded to /tmp/case",
        ),
        ("DIFY_PLUGIN_REPLAY", "/tmp/case", "warning environment: responses are replayed from /tmp/case"),
        ("REQUESTS_CA_BUNDLE", "/ca.pem", "warning certificates: cannot read REQUESTS_CA_BUNDLE /ca.pem"),
        ("HTTPS_PROXY", "http://user:canary-3f9a@proxy.test:3128", "ok proxy: HTTPS_PROXY is http://proxy.test:3128/"),
        ("https_proxy", "proxy.test:3128", "warning proxy: NO_PROXY is not set"),
        ("HTTP_PROXY", "http://", "error proxy: HTTP_PROXY is not a valid URL"),
        ("REMOTE_INSTALL_URL", "no-port", "error debug port: setting REMOTE_INSTALL_URL must be host:port"),
    ] {
        check(&[], &[(name, value)], &[expected]);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings");
    std::fs::write(&file, "HTTPS_PROXY=http://proxy.test\nMAX_WORKER=7\n").unwrap();
    check(&["--env-file", file.to_str().unwrap()], &[], &["HTTPS_PROXY is set in", "7 concurrent sessions"]);
    std::fs::write(&file, "MAX_WORKER=7\nDIFY_PLUGIN_LOG_LEVEL=info, canary-3f9a=warn\n").unwrap();
    let expected = ["warning environment: line 2 of", "7 concurrent sessions, log level default"];
    check(&["--env-file", file.to_str().unwrap()], &[], &expected);
}

#[test]
fn reports_what_credential_forms_may_use_of_the_machine() {
    const IDENTITY: &str = "DIFY_PLUGIN_ALLOW_MACHINE_IDENTITY";
    check(&[], &[], &["ok machine: credential forms cannot use identities, files or URLs of this machine"]);
    for (environment, expected) in [
        (
            vec![(IDENTITY, "true")],
            "warning machine: credential forms may use this machine's Google identity: Google's metadata server",
        ),
        (
            vec![(IDENTITY, "true"), ("GCE_METADATA_HOST", "127.0.0.1:988")],
            "Google identity: metadata server 127.0.0.1:988",
        ),
        (
            vec![(IDENTITY, "true"), ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json")],
            "Google identity: credentials file /key.json",
        ),
        (
            vec![(IDENTITY, "true")],
            "newer plugin daemons do not pass it on → Set it in /etc/dify-plugin-runtime/operator.env.",
        ),
        (
            vec![(IDENTITY, "true"), ("INSTALL_METHOD", "serverless")],
            "warning machine: any client that reaches the serverless port can use it without authentication",
        ),
        (vec![(IDENTITY, "please")], "error machine: DIFY_PLUGIN_ALLOW_MACHINE_IDENTITY must be true or false"),
        (vec![("DIFY_PLUGIN_ALLOW_TOKEN_FILES", "/a:/b")], "credential forms may use the token file /b"),
        (
            vec![("DIFY_PLUGIN_ALLOW_TOKEN_URLS", "http://10.0.0.1/t?key=canary-3f9a")],
            "credential forms may use the token URL http://10.0.0.1/t (",
        ),
        (
            vec![("DIFY_PLUGIN_ALLOW_TOKEN_URLS", "10.0.0.1")],
            "error machine: DIFY_PLUGIN_ALLOW_TOKEN_URLS must be http",
        ),
    ] {
        check(&[], &environment, &[expected]);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings");
    std::fs::write(&file, format!("{IDENTITY}=true\n")).unwrap();
    check(
        &["--env-file", file.to_str().unwrap()],
        &[],
        &[
            "ok machine: credential forms cannot use identities",
            "DIFY_PLUGIN_ALLOW_MACHINE_IDENTITY is set in",
            "but is not read there",
        ],
    );
    // The form is rejected before any request, and the message reveals nothing about the machine.
    let arguments = ["--provider", "google", "--credential", "auth_method=application_default"];
    check(&arguments, &[], &["error credentials: the credential form requests an identity, a file or a URL"]);
}

#[test]
fn reports_invalid_declarations_as_errors() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().to_str().unwrap();
    check(&["--dir", dir], &[], &["error declarations: no manifest.yaml in"]);
    std::fs::write(directory.path().join("manifest.yaml"), "version: x\n").unwrap();
    check(&["--dir", dir], &[], &["error declarations: manifest.yaml"]);
    check(&["--dir", dir, "--provider", "google"], &[], &["error endpoint: `google` cannot be checked"]);
}

#[test]
fn probes_an_endpoint_step_by_step() {
    let (healthy, late, very_late) = (gemini(0), gemini(90), gemini(4000));
    let silent = listen(|mut stream| drop(stream.write_all(b"nonsense\r\n\r\n")));
    let base = |rest: &str| format!("google_base_url={rest}");
    for (base, key, expected) in [
        (
            base(&format!("http://{healthy}")),
            "google_api_key=good".to_owned(),
            &[
                "ok tcp: connected to",
                "ok http:",
                "responded with HTTP 404",
                "ok clock: in sync with",
                "ok credentials: accepted by `google`",
            ][..],
        ),
        (
            base(&format!("http://{healthy}")),
            format!("google_api_key={CANARY}"),
            &["error credentials:", "API key not valid"],
        ),
        (
            base(&format!("http://{late}")),
            "google_api_key=good".to_owned(),
            &["warning clock: this machine's clock is 9"],
        ),
        (
            base(&format!("http://{very_late}")),
            "google_api_key=good".to_owned(),
            &["error clock:", "s ahead of the clock of"],
        ),
        (
            base(&format!("https://{healthy}")),
            "google_api_key=good".to_owned(),
            &["ok tcp:", "error tls:", "start with http:// instead"],
        ),
        (base(&format!("http://{silent}")), "google_api_key=good".to_owned(), &["ok tcp:", "error http:"]),
        (base("http://127.0.0.1:1"), "google_api_key=good".to_owned(), &["error tcp: cannot connect to 127.0.0.1:1:"]),
        (
            base("http://nowhere.invalid"),
            "google_api_key=good".to_owned(),
            &["error dns: cannot resolve nowhere.invalid"],
        ),
        (
            base("ftp://x"),
            "google_api_key=good".to_owned(),
            &["error credentials: credential `google_base_url` must start"],
        ),
    ] {
        check(&with_key(&base, &key), &[], expected);
    }
    let nowhere = ["--provider", "google", "--credentials", "/nowhere.json"];
    check(&nowhere, &[], &["error credentials: cannot read /nowhere.json", "ok proxy"]);
    let incomplete =
        with_key("auth_method=service_account", "google_service_account_json={\"type\":\"service_account\"}");
    check(&incomplete, &[], &["error credentials: credential `google_service_account_json` has no"]);
    check(&["--provider", "gogle"], &[], &["error endpoint: unknown provider `gogle` → The manifest lists"]);
    let server = format!("server_url=http://{healthy}");
    check(
        &["--provider", "xinference", "--credential", &server],
        &[],
        &["ok http:", "not validated: this provider has per-model credentials"],
    );
    let uid = ["--provider", "xinference", "--credential", &server, "--model", "m", "--credential", "model_uid=m"];
    check(&uid, &[], &["error credentials:", "does not respond like a Xinference server"]);
}

#[test]
fn reports_the_proxy_in_use() {
    let healthy = gemini(0);
    let with_login = listen(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    });
    let base = format!("google_base_url=http://{healthy}");
    let remote = "google_base_url=http://upstream.test";
    let credential = |proxy: &str| format!("proxy_url={proxy}");
    for (base, proxy, environment, expected) in [
        (
            base.as_str(),
            credential("direct"),
            Some("http://127.0.0.1:1"),
            &["ok credentials: accepted by `google`"][..],
        ),
        (
            remote,
            credential(&format!("http://u:{CANARY}@{with_login}")),
            None,
            &["(from credential `proxy_url`)", "error proxy: the proxy requires a user name"],
        ),
        (
            "google_base_url=http://169.254.169.254",
            credential("http://127.0.0.1:1"),
            None,
            &["error tcp: 169.254.169.254 is an address that a cloud reserves for its own machines"],
        ),
        (
            remote,
            String::from("max_retries=0"),
            Some("http://127.0.0.1:1"),
            &["(from the environment)", "error tcp: cannot connect to 127.0.0.1:1"],
        ),
    ] {
        let mut arguments = with_key(base, "google_api_key=good");
        arguments.extend(["--credential", &proxy]);
        let environment: Vec<_> = environment.map(|proxy| ("http_proxy", proxy)).into_iter().collect();
        check(&arguments, &environment, expected);
    }
}

#[test]
fn checks_the_certificates_of_the_form() {
    let healthy = gemini(0);
    let base = format!("google_base_url=http://{healthy}");
    let old = include_str!("../data/expired-ca.pem");
    for (ca, expected) in [
        ("rubbish", "error certificates: credential `tls_ca` contains no certificate"),
        (old, "error certificates: credential `tls_ca`: CN=Expired CA expired on 2020-01-31"),
    ] {
        let ca = format!("tls_ca={ca}");
        let mut arguments = with_key(&base, "google_api_key=good");
        arguments.extend(["--credential", &ca]);
        check(&arguments, &[], &[expected]);
    }
}

#[test]
fn sends_only_the_key_to_the_debugging_port() {
    let has_valid_key = |stream: &TcpStream| {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["type"], "handshake");
        line["data"]["key"] == CANARY
    };
    let daemon = listen(move |mut stream| {
        if has_valid_key(&stream) {
            // Anything that follows would be a registration.
            let mut more = Vec::new();
            stream.read_to_end(&mut more).unwrap();
            assert!(more.is_empty());
        } else {
            let _ = stream.write_all(b"handshake failed, invalid key\n");
        }
    });
    let web = listen(move |mut stream| {
        has_valid_key(&stream);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let mute = listen(move |stream| {
        has_valid_key(&stream);
    });
    for (address, key, expected) in [
        (daemon, CANARY, "ok debug port: 127.0.0.1"),
        (daemon, "old", "error debug port: 127.0.0.1"),
        (web, CANARY, "Check that this is the debugging port (usually 5003), not the port of the web UI"),
        (mute, CANARY, "closed the connection without a response"),
        (SocketAddr::from(([127, 0, 0, 1], 1)), CANARY, "cannot connect to 127.0.0.1:1"),
    ] {
        let url = address.to_string();
        check(&["--url", &url, "--key", key], &[], &[expected]);
        check(&[], &[("REMOTE_INSTALL_URL", &url), ("REMOTE_INSTALL_KEY", key)], &[expected]);
    }
    check(&["--url", &daemon.to_string()], &[], &["warning debug port:", "there is no key to test"]);
}
