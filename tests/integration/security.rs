//! Secrets of every kind through every path of the built executable, and then nowhere: not in frames, errors, logs, at
//! the terminal, in addresses, or at hosts that must not get them.

use std::path::Path;
use std::sync::atomic::Ordering;

use crate::support::{broken, canaries, echoing, googleapis, pipes};
use canaries::{Kind, Place, Search, kinds};
use echoing::{ACCESS_TOKEN, At, Echoing, FAULTS, Seen, untrusted};
use googleapis::Googleapis;
use pipes::Process;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

/// Returns where any of the secrets appears in any of these texts, in any form.
fn leaks(case: &str, texts: &[(&str, &str)], secrets: &Search) -> Vec<String> {
    let found = texts.iter().filter_map(|(place, text)| Some(format!("{case}, {place}: {}", secrets.find(text)?)));
    found.collect()
}

/// Nothing leaked.
fn check(leaks: &[String]) {
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

/// The credential in a request is as secret as its source.
fn with_redactor(kind: &Kind, seen: &[Seen]) -> Search {
    let mut secrets: Vec<String> = seen.iter().flat_map(Seen::redactor).collect();
    secrets.extend(seen.iter().flat_map(|seen| {
        let form: Vec<_> = url::form_urlencoded::parse(&seen.body).into_owned().collect();
        form.into_iter().filter(|(name, _)| name == "assertion").map(|(_, value)| value)
    }));
    secrets.extend(kind.secrets.iter().cloned());
    secrets.extend([ACCESS_TOKEN, pipes::ENVIRONMENT].map(str::to_owned));
    Search::of(&secrets)
}

/// A secret is seen only where it belongs.
fn check_requests(kind: &Kind, seen: &[Seen]) {
    let is_token = |seen: &Seen| seen.target.contains("/token") || seen.target.contains(":generateAccessToken");
    let search = Search::of(&kind.secrets);
    assert!(!seen.is_empty(), "{}: nothing was asked", kind.name);
    let sent = kind.place == Place::Nowhere || seen.iter().any(|request| search.find(&request.text()).is_some());
    assert!(sent, "{}: the secret was never used", kind.name);
    for request in seen {
        let (head, all) = (request.target.as_str(), request.text());
        let is_shown = match kind.place {
            Place::Query => false,
            Place::TokenEndpoint if is_token(request) => false,
            // The proxy itself receives its password.
            Place::Nowhere | Place::TokenEndpoint if !kind.name.contains("proxy") => search.find(&all).is_some(),
            _ => search.find(head).is_some(),
        };
        assert!(!is_shown, "{}: {all}", kind.name);
    }
}

/// The environment of a process whose operator lets forms use the machine, behind a stand-in for Google: its network, the
/// metadata server (host and port), and a file of another cloud's token.
fn operator(google: &Googleapis, metadata: &str, subject: &Path) -> Vec<(String, String)> {
    let mut environment = google.environment();
    for (name, value) in [
        ("DIFY_PLUGIN_ALLOW_MACHINE_IDENTITY", "true"),
        ("DIFY_PLUGIN_ALLOW_TOKEN_FILES", subject.to_str().unwrap()),
        ("GCE_METADATA_HOST", metadata),
    ] {
        environment.push((name.to_owned(), value.to_owned()));
    }
    environment
}

/// One kind of secret through every fault; gives what leaked.
async fn leaks_of(kind: &Kind, subject: &Path) -> Vec<String> {
    let secrets = Search::of(&kind.secrets);
    let mut leaked = Vec::new();
    let other = Echoing::start("").await;
    let upstream = Echoing::start(other.host()).await;
    let google = Googleapis::before(upstream.host()).await;
    let environment = if kind.of_machine { operator(&google, upstream.host(), subject) } else { Vec::new() };
    let mut process = Process::with(&environment);
    let mut refused = 0;
    for (number, fault) in FAULTS.iter().enumerate() {
        for at in [At::Everything, At::Calls] {
            upstream.play(Some((at, *fault)));
            let mut credentials = kind.credentials(&upstream.url, &format!("{number}-{at:?}"));
            if fault.name == "a refusal that may pass" {
                credentials["max_retries"] = json!("1");
            }
            let mut requests = kind.requests(&credentials);
            if at == At::Everything && kind.begins_with_a_token() {
                requests.truncate(4);
            }
            for error in process.run(requests).await.into_iter().flatten() {
                refused += 1;
                let case = format!("{}, {}, {at:?}", kind.name, fault.name);
                leaked.extend(leaks(&case, &[("an error", &error.to_string())], &secrets));
            }
        }
    }
    assert!(refused > FAULTS.len() * 5, "{}: {refused} errors", kind.name);
    let (output, log) = process.finish().await;
    assert!(log.contains("TRACE session{"), "the log is being written: {log}");
    let seen = upstream.seen();
    check_requests(kind, &seen);
    leaked.extend(leaks(kind.name, &[("standard output", &output), ("the log", &log)], &with_redactor(kind, &seen)));
    assert!(other.seen().is_empty(), "{}: a redirect was followed", kind.name);
    leaked
}

#[tokio::test]
async fn whatever_an_upstream_repeats_no_secret_comes_back() {
    let (_directory, subject) = canaries::subject();
    let kinds = kinds(&subject);
    let leaked = futures_util::future::join_all(kinds.iter().map(|kind| leaks_of(kind, &subject))).await;
    check(&leaked.concat());
}

/// The server is unreachable, speaks another protocol or is too slow.
#[tokio::test]
async fn an_upstream_out_of_reach_brings_no_secret_to_light() {
    let (_directory, subject) = canaries::subject();
    let silent = Echoing::start("").await;
    let mut process = Process::start();
    let kinds = kinds(&subject);
    let tls = silent.url.replace("http:", "https:");
    let (untrusted, spoken) = untrusted().await;
    for url in ["http://127.0.0.1:9", &tls, &untrusted, "http://no-such-host.invalid", &silent.url] {
        let mut requests = Vec::new();
        for kind in &kinds {
            let mut credentials = kind.credentials(&silent.url, &url[8..]);
            for field in ["google_base_url", "server_url", "endpoint_url"] {
                if let Some(address) = credentials[field].as_str() {
                    credentials[field] = json!(address.replace(&silent.url, url));
                }
            }
            for field in ["request_timeout", "invoke_timeout", "connect_timeout", "first_byte_timeout"] {
                credentials[field] = json!("0.3");
            }
            requests.extend(kind.requests(&credentials));
        }
        let count = requests.len();
        let errors = process.run(requests).await.into_iter().flatten().count();
        assert!(errors > count / 2, "{errors} of {count} at {url}");
    }
    let (output, log) = process.finish().await;
    assert_eq!(spoken.load(Ordering::SeqCst), 0, "a request reached a server that is not trusted");
    let secrets = Search::of(kinds.iter().flat_map(|kind| &kind.secrets));
    check(&leaks("out of reach", &[("standard output", &output), ("the log", &log)], &secrets));
}

#[tokio::test]
async fn what_cannot_be_read_is_not_repeated() {
    let upstream = Echoing::start("").await;
    upstream.play(Some((At::Calls, FAULTS[0])));
    let mut process = Process::start();
    let broken = broken::broken();
    for (kind, field, value, _) in &broken {
        let mut credentials = kind.credentials(&upstream.url, "x");
        credentials[*field] = value.clone();
        let errors = process.run(kind.requests(&credentials)).await;
        assert!(errors.iter().flatten().count() >= 3, "{} {field} {value}: {errors:?}", kind.name);
    }
    let (_directory, subject) = canaries::subject();
    let kind = kinds(&subject).remove(0);
    let whole = kind.credentials(&upstream.url, "x");
    let canary = canaries::GOOGLE_KEY;
    let request = |more: Value| {
        let mut request = kind.requests(&whole).remove(0);
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    // Fields of other types, and unknown requests.
    let mut odd: Vec<Value> =
        ["credentials", "model_parameters", "prompt_messages", "tools", "stream", "json_schema", "stop"]
            .map(|field| request(json!({ field: canary })))
            .to_vec();
    odd.extend([
        request(json!({"credentials": [canary]})),
        request(json!({"credentials": {"google_api_key": {"key": canary}, "max_retries": canary}})),
        request(json!({"credentials": {"google_api_key": canary, "google_base_url": format!("http://{canary}@host/?k={canary}")}})),
        request(json!({"prompt_messages": [{"role": "user", "content": {"text": canary}}]})),
        request(json!({"action": "steal_credentials"})),
        request(json!({"type": "endpoint"})),
        request(json!({"provider": "unknown"})),
        request(json!({"model": ["m"]})),
    ]);
    let count = odd.len();
    let errors = process.run(odd).await;
    assert_eq!(errors.iter().flatten().count(), count, "{errors:?}");
    // Lines that are cut, at every place around the secret.
    let line = json!({"session_id": "cut", "event": "request", "data": request(json!({}))}).to_string();
    let at = line.find(canary).unwrap();
    for end in [at - 1, at, at + 10, at + canary.len(), line.len() - 1] {
        process.write(&format!("{}\n", &line[..end])).await;
    }
    process.write(&format!("{{\"session_id\": \"odd\", \"event\": [\"{canary}\"], \"data\": {{}}}}\n")).await;
    process.write(&format!("{canary}\n\"{canary}\"\n{{\"{canary}\": 1}}\n{}", &line[..at + 20])).await;
    let (output, log) = process.finish().await;
    let secrets = Search::of(broken.iter().map(|(.., secret)| secret));
    check(&leaks("not readable", &[("standard output", &output), ("the log", &log)], &secrets));
}

/// Over HTTP each request has a response of its own; it and the log are searched.
#[allow(clippy::disallowed_methods)] // the host's client, not the plugin's
#[tokio::test]
async fn over_http_no_secret_comes_back_either() {
    let (_directory, subject) = canaries::subject();
    let upstream = Echoing::start("").await;
    let google = Googleapis::before(upstream.host()).await;
    let environment = operator(&google, upstream.host(), &subject);
    let (mut child, url) = pipes::serverless(&environment).await;
    let mut errors = child.stderr.take().unwrap();
    let log = tokio::spawn(async move {
        let mut log = String::new();
        errors.read_to_string(&mut log).await.unwrap();
        log
    });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (mut output, mut secrets) = (String::new(), vec![pipes::ENVIRONMENT.to_owned()]);
    for (number, kind) in kinds(&subject).iter().enumerate() {
        // A different fault for each kind.
        upstream.play(Some((At::Everything, FAULTS[number % FAULTS.len()])));
        let mut data = kind.requests(&kind.credentials(&upstream.url, "http")).remove(0);
        (data["user_id"], data["type"]) = (json!("u"), json!("model"));
        let body = json!({"session_id": "s", "event": "request", "data": data}).to_string();
        output.push_str(
            &client
                .post(&url)
                .header("content-type", "application/json")
                .body(body)
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap(),
        );
        secrets.extend(kind.secrets.iter().cloned());
    }
    child.kill().await.unwrap();
    assert!(output.matches("\"error\"").count() > secrets.len() / 2, "{output}");
    let texts = [("a response", output.as_str()), ("the log", &log.await.unwrap())];
    check(&leaks("over HTTP", &texts, &Search::of(&secrets)));
}
