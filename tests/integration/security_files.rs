//! Addresses of files that an app's user names: what leads into the operator's network is refused, by name and before any
//! call that costs; what is public, or of Dify itself, goes through.

use std::sync::{Arc, Mutex};

use crate::support::{echoing, pipes};
use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use echoing::{At, Echoing, FAULTS};
use pipes::Process;
use serde_json::{Value, json};

const PRIVATE: &str = "which is the private address";

/// A host of files that redirects wherever it is asked to, and remembers what it was sent.
struct Files {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Files {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let router = Router::new().fallback(file).with_state(seen.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    /// An address here that leads elsewhere.
    fn to(&self, target: &str) -> String {
        let mut url = url::Url::parse(&self.url).unwrap().join("/redirect").unwrap();
        url.query_pairs_mut().append_pair("to", target);
        url.to_string()
    }
}

async fn file(
    State(seen): State<Arc<Mutex<Vec<String>>>>,
    Query(query): Query<Vec<(String, String)>>,
    request: Request,
) -> Response {
    seen.lock().unwrap().push(format!("{:?}", request.headers()));
    match request.uri().path() {
        "/redirect" => (StatusCode::FOUND, [(header::LOCATION, query[0].1.clone())]).into_response(),
        "/nowhere" => StatusCode::FOUND.into_response(),
        _ => ([(header::CONTENT_TYPE, "image/png")], b"\x89PNG\r\n\x1a\n and more".as_slice()).into_response(),
    }
}

/// Hosts that are private, however they are written.
const HOSTS: &[&str] = &[
    // Loopback, this network, private networks, shared address space, benchmarks, documentation.
    "127.0.0.1",
    "127.255.255.254",
    "localhost",
    "LocalHost",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "100.64.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    // Metadata of clouds.
    "169.254.169.254",
    "[fd00:ec2::254]",
    "[::ffff:a9fe:a9fe]",
    // Other spellings of IPv4.
    "0",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "127.1",
    "%31%32%37.0.0.1",
    "１２７.０.０.１",
    "127。0。0。1",
    // IPv6, and IPv4 within it.
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001::1]",
    "[fe80::1]",
    "[fc00::1]",
    "[fec0::1]",
    "[ff02::1]",
    // A name before the host is not the host.
    "files.example@10.0.0.1",
    "8.8.8.8:80@169.254.169.254",
    "user:password@127.0.0.1",
    // Ports change nothing.
    "127.0.0.1:6379",
    "[::1]:22",
];

/// Addresses that are refused without looking at a host, and why.
const ADDRESSES: &[(&str, &str)] = &[
    ("file:///etc/passwd", "unsupported URL scheme: file"),
    ("ftp://127.0.0.1/x", "unsupported URL scheme: ftp"),
    ("gopher://127.0.0.1:6379/_INFO", "unsupported URL scheme: gopher"),
    ("dict://127.0.0.1:11211/stats", "unsupported URL scheme: dict"),
    ("ws://127.0.0.1/", "unsupported URL scheme: ws"),
    ("jar:http://127.0.0.1!/x", "unsupported URL scheme: jar"),
    ("unix:/var/run/docker.sock", "unsupported URL scheme: unix"),
    ("data:text/html,x", "unsupported URL scheme: data"),
    ("javascript:1", "unsupported URL scheme: javascript"),
    ("/etc/passwd", "relative URL"),
    ("../../etc/passwd", "relative URL"),
    ("//169.254.169.254/x", "relative URL"),
    ("http:169.254.169.254", PRIVATE),
    ("http:\\\\127.0.0.1\\x", PRIVATE),
    ("http://127.0.0.1\\@8.8.8.8/", PRIVATE),
    ("http://no-such-host.invalid/", "cannot resolve the host"),
    ("http://[fe80::1%25eth0]/", "relative URL"),
    ("http://", "relative URL"),
];

/// Requests that have a file fetched.
fn requests(upstream: &str, file_url: Option<&str>, address: &str) -> Vec<Value> {
    let credentials =
        json!({"google_api_key": "k", "google_base_url": upstream, "max_retries": "0", "file_url": file_url});
    let image = json!([{"type": "image", "format": "png", "mime_type": "image/png", "url": address}]);
    let asked = json!([{"role": "user", "content": image}]);
    vec![
        json!({"action": "invoke_llm", "provider": "google", "model": "gemini-2.5-flash-lite", "model_type": "llm",
            "credentials": credentials, "prompt_messages": asked}),
        json!({"action": "invoke_multimodal_embedding", "provider": "google", "model": "gemini-embedding-2",
            "credentials": credentials, "documents": [{"content": address, "content_type": "image"}]}),
    ]
}

/// Every request is rejected with this message, without any upstream request.
async fn check_refused(process: &mut Process, upstream: &Echoing, file_url: Option<&str>, address: &str, words: &str) {
    let mut requests = requests(&upstream.url, file_url, address);
    if !address.starts_with("http") {
        // An embedding takes anything else for image data.
        requests.truncate(1);
    }
    for error in process.run(requests).await {
        let error = error.unwrap_or_else(|| panic!("{address} was taken"));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "{address}: {message}");
        assert_eq!(error["error_type"], "InvokeBadRequestError", "{message}");
        assert!(!message.contains("password"), "{message}");
    }
    assert!(upstream.seen().is_empty(), "{address}: {:?}", upstream.seen());
}

#[tokio::test]
async fn addresses_into_the_operators_network_are_refused_before_any_call() {
    let upstream = Echoing::start("").await;
    let files = Files::start().await;
    let mut process = Process::start();
    for host in HOSTS {
        for scheme in ["http", "https"] {
            check_refused(&mut process, &upstream, None, &format!("{scheme}://{host}/a.png"), PRIVATE).await;
            // Another host than Dify's own is private all the same.
            check_refused(&mut process, &upstream, Some(&files.url), &format!("{scheme}://{host}/a.png"), PRIVATE)
                .await;
        }
    }
    for (address, words) in ADDRESSES {
        check_refused(&mut process, &upstream, None, address, words).await;
    }
    // The machine's own name, as far as it resolves.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    check_refused(&mut process, &upstream, None, &format!("http://{}/", name.trim()), "").await;
    // What looks relative and leads elsewhere; another scheme is another host.
    for address in ["//169.254.169.254/x", "/\\169.254.169.254/x", "\\\\169.254.169.254\\x"] {
        check_refused(&mut process, &upstream, Some(&files.url), address, PRIVATE).await;
    }
    check_refused(&mut process, &upstream, Some(&files.url), &files.url.replace("http:", "https:"), PRIVATE).await;
    assert!(files.seen.lock().unwrap().is_empty());
    process.finish().await;
}

#[tokio::test]
async fn a_redirect_is_checked_like_the_first_address() {
    let upstream = Echoing::start("").await;
    let (files, other) = (Files::start().await, Files::start().await);
    let mut process = Process::start();
    let own = Some(files.url.as_str());
    let again = files.to(&files.to(&files.to(&files.to("/a.png"))));
    for (target, words) in [
        (files.to("http://169.254.169.254/latest/meta-data/"), PRIVATE),
        (files.to(&format!("{}/a.png", other.url)), PRIVATE),
        (files.to("http://2130706433/"), PRIVATE),
        (files.to("http://localhost/"), PRIVATE),
        (files.to("//[::1]/"), PRIVATE),
        (files.to("http://user:password@10.0.0.1/"), PRIVATE),
        (files.to(&files.to("http://10.0.0.1/")), PRIVATE),
        (files.to("file:///etc/passwd"), "redirects to an unsupported URL scheme: file"),
        (files.to("gopher://127.0.0.1/"), "redirects to an unsupported URL scheme: gopher"),
        (files.to("data:image/png;base64,iVBORw0KGgo="), "redirects to an unsupported URL scheme: data"),
        (files.to("http://"), "redirects without a target"),
        (format!("{}/nowhere", files.url), "redirects without a target"),
        (again, "redirects more than 3 times"),
    ] {
        check_refused(&mut process, &upstream, own, &target, words).await;
    }
    assert!(!files.seen.lock().unwrap().is_empty() && other.seen.lock().unwrap().is_empty());
    process.finish().await;
}

#[tokio::test]
async fn what_is_public_or_difys_own_goes_through() {
    let upstream = Echoing::start("").await;
    upstream.play(Some((At::Everything, FAULTS[0])));
    let files = Files::start().await;
    let mut process = Process::start();
    let mut asked = 0;
    for address in [
        format!("{}/a.png?sign=1", files.url),
        "/files/a.png".to_owned(),
        files.url.replace("http://", "http://user:password@"),
        files.to("/a.png"),
        files.to(&files.to(&files.to("a.png"))),
        // Public addresses of https are for the service to fetch, with its own rules.
        "https://8.8.8.8/a.png".to_owned(),
        "https://8.8.8.8:8443/a.png".to_owned(),
        "https://[2606:4700::1]/a.png".to_owned(),
    ] {
        process.run(requests(&upstream.url, Some(&files.url), &address)[..1].to_vec()).await;
        let seen = upstream.seen();
        let body: Value = serde_json::from_slice(&seen.last().unwrap().body).unwrap();
        let part = body["contents"][0]["parts"][0].clone();
        assert!(seen.len() > asked, "{address}: no request arrived");
        let passed_on = part["fileData"]["fileUri"] == address.as_str();
        let fetched = part["inlineData"]["data"].as_str().is_some_and(|data| data.starts_with("iVBORw0KGgo"));
        assert!(passed_on == address.starts_with("https") && fetched != passed_on, "{address}: {part}");
        asked = seen.len();
    }
    // A host of files gets no credential.
    assert!(files.seen.lock().unwrap().iter().all(|headers| !headers.contains("x-goog-api-key")));
    process.finish().await;
}

/// Xinference fetches URLs itself; only Dify's files are fetched here.
#[tokio::test]
async fn only_difys_files_are_fetched_for_a_model_server() {
    let upstream = Echoing::start("").await;
    upstream.play(Some((At::Calls, FAULTS[0])));
    let (files, other) = (Files::start().await, Files::start().await);
    let mut process = Process::start();
    for (address, words) in [
        (files.to(&format!("{}/a.png", other.url)), PRIVATE),
        ("//169.254.169.254/a.png".to_owned(), PRIVATE),
        (files.to("file:///etc/passwd"), "redirects to an unsupported URL scheme: file"),
    ] {
        let mut request = requests(&upstream.url, None, &address).remove(0);
        request["provider"] = json!("xinference");
        request["credentials"] = json!({"server_url": upstream.url, "model_uid": "m", "file_url": files.url});
        let error = process.run(vec![request]).await.remove(0).unwrap();
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
    assert!(upstream.seen().iter().all(|seen| seen.method == "GET"), "the model was asked");
    assert!(other.seen.lock().unwrap().is_empty());
    process.finish().await;
}
