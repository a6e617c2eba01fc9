//! Jumps of the wall clock while the executable runs: timeouts are not affected, and signatures contain the new time. A
//! preloaded library changes the clock of the executable only.

use std::path::Path;
use std::process::Command as Builder;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::plugin::{CANARY, EXECUTABLE, GEMINI, OPENAI, Plugin, healthy, llm, send};
use super::table::Table;
use super::tls::serve;
use crate::support::authority::Authority;
use crate::support::scripted::{Scripted, Step, answer, event_stream};

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

/// The clock library, and the file that sets the clock.
struct Clock(TempDir);

impl Clock {
    fn build() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/faults/clock.c");
        let library = directory.path().join("clock.so");
        let built = Builder::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(library).arg(source).status();
        assert!(built.expect("a C compiler, which the build needs too").success());
        let clock = Self(directory);
        clock.set(0);
        clock
    }

    /// Sets the clock ahead of the real time by this many seconds.
    fn set(&self, seconds: i64) {
        // Written in place: the executable has the file mapped.
        let file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(self.0.path().join("offset"));
        std::io::Write::write_all(&mut file.unwrap(), &seconds.to_ne_bytes()).unwrap();
    }

    fn start(&self) -> Plugin {
        let mut command = Command::new(EXECUTABLE);
        command.env("LD_PRELOAD", self.0.path().join("clock.so")).env("CLOCK_OFFSET", self.0.path().join("offset"));
        Plugin::spawn(command)
    }
}

/// Returns the real time in seconds.
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn header(request: &str, name: &str) -> String {
    let line = request.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name}: {request}"))[name.len() + 2..].to_owned()
}

#[tokio::test]
async fn clock_jumps_do_not_affect_streams() {
    let clock = Clock::build();
    let mut plugin = clock.start();
    let mut table = Table::new("clock-streams");
    let wait = || Step::Pause(Duration::from_millis(400));
    let limit = Duration::from_secs(3);
    for (fault, seconds) in [("a day ahead", 24 * HOUR), ("a day back", -24 * HOUR), ("ten years ahead", 10 * YEAR)] {
        let stream =
            || vec![event_stream(), send(GEMINI.piece), wait(), send(GEMINI.piece), wait(), send(GEMINI.hello)];
        let upstream = Scripted::start(vec![stream()]).await;
        let stalled = Scripted::start(vec![vec![event_stream(), send(GEMINI.piece), Step::Hang]]).await;
        clock.set(0);
        let start = Instant::now();
        plugin.send(&llm("stream", &upstream.url, &json!({}))).await;
        plugin.send(&llm("stalled", &stalled.url, &GEMINI.waits(limit))).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        clock.set(seconds);
        let outcomes = plugin.outcomes(&["stream", "stalled"]).await;
        assert_eq!((outcomes[0].text.as_str(), &outcomes[0].error), ("xxHello", &None), "{fault}");
        assert!(outcomes[1].message().contains("no event for 3 s"), "{fault}: {:?}", outcomes[1]);
        // Neither at once nor, which would be no end of this test, a day later.
        assert!(start.elapsed() >= limit, "{fault}: {:?}", start.elapsed());
        table.outcome(&format!("{fault}, in the middle of a stream"), &outcomes[0], &plugin);
        table.outcome(&format!("{fault}, in the middle of a stall"), &outcomes[1], &plugin);
    }
    table.write();
    plugin.finish().await;
}

#[tokio::test]
async fn a_cached_token_survives_a_clock_jump_and_is_renewed_when_rejected() {
    let clock = Clock::build();
    let mut plugin = clock.start();
    let mut table = Table::new("clock-tokens");
    let token = |text: &str| {
        let body = json!({"access_token": text, "expires_in": 3600, "token_type": "Bearer"}).to_string();
        answer("200 OK", "content-type: application/json\r\n", &body)
    };
    let tokens = Scripted::start(vec![token("first"), token("second")]).await;
    let hello = || vec![event_stream(), send(GEMINI.hello)];
    let refused = answer("401 Unauthorized", "content-type: application/json\r\n", "{\"error\": {\"code\": 401}}");
    let upstream = Scripted::start(vec![hello(), hello(), hello(), refused, hello()]).await;
    let credentials = json!({"auth_method": "oauth_refresh_token", "google_oauth_client_id": "c",
        "google_oauth_client_secret": CANARY, "google_oauth_refresh_token": CANARY,
        "google_token_uri": format!("{}/token", tokens.url)});
    let jumps = [
        ("no jump", 0, "first", 1),
        ("three hours ahead: the cached OAuth token is used", 3 * HOUR, "first", 1),
        ("a day back: the cached OAuth token is used", -24 * HOUR, "first", 1),
        ("ten years ahead, and Google refuses the token: it is renewed", 10 * YEAR, "second", 2),
    ];
    for (fault, seconds, bearer, fetched) in jumps {
        clock.set(seconds);
        plugin.forget_peak();
        plugin.send(llm("token", &upstream.url, &credentials)).await;
        let outcome = plugin.outcomes(&["token"]).await.remove(0);
        assert_eq!((outcome.text.as_str(), &outcome.error), ("Hello", &None), "{fault}");
        let sent = header(&upstream.requests().pop().unwrap(), "authorization");
        assert_eq!((sent, tokens.requests().len()), (format!("Bearer {bearer}"), fetched), "{fault}");
        table.outcome(fault, &outcome, &plugin);
    }
    plugin.finish().await;
    table.write();
}

#[tokio::test]
async fn signatures_contain_the_new_time_after_a_clock_jump() {
    let clock = Clock::build();
    let mut plugin = clock.start();
    let mut table = Table::new("clock-signatures");
    let upstream = Scripted::start(vec![vec![event_stream(), send(OPENAI.hello)]]).await;
    let key = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([0x5a; 64]), "kid": "k-1"}).to_string();
    let hmac = json!({"auth_method": "hmac", "hmac_access_key": "ak-1", "hmac_secret_key": CANARY});
    let jwt = json!({"auth_method": "jwt", "jwt_jwks": key, "jwt_algorithm": "HS256", "jwt_consumer_id": "c",
        "jwt_issuer": "dify", "jwt_header_name": "Authorization", "jwt_header_prefix": "Bearer"});
    let jumps = [("no jump", 0), ("three hours ahead", 3 * HOUR), ("back again", 0), ("a day back", -24 * HOUR)];
    for (fault, seconds) in jumps {
        clock.set(seconds);
        for (method, credentials) in [("HMAC signature", &hmac), ("JWT", &jwt)] {
            plugin.send(&OPENAI.chat("signed", &upstream.url, credentials)).await;
            let outcome = plugin.outcomes(&["signed"]).await.remove(0);
            assert_eq!((outcome.text.as_str(), &outcome.error), ("Hello", &None), "{fault}, {method}");
            let request = upstream.requests().pop().unwrap();
            let time = match method {
                "JWT" => issued(&header(&request, "authorization")),
                _ => header(&request, "x-ca-timestamp").parse::<i64>().unwrap() / 1000,
            };
            let expected = now() + seconds;
            assert!((expected - 10..=expected).contains(&time), "{fault}, {method}: {time}, expected {expected}");
            table.outcome(&format!("{fault}: {method} made with the new time"), &outcome, &plugin);
        }
    }
    clock.set(0);
    plugin.finish().await;
    table.write();
}

/// Returns the time at which a token was issued.
fn issued(header: &str) -> i64 {
    let body = header.trim_start_matches("Bearer ").split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
    let [issued, valid, ends] = ["iat", "nbf", "exp"].map(|claim| claims[claim].as_i64().unwrap());
    // Dated back, so that a gateway whose clock is behind takes it.
    let made = ends - 7200;
    assert!(issued == valid && (made - 120..=made).contains(&issued), "{claims}");
    made
}

#[tokio::test]
async fn reports_a_wrong_clock_when_checking_certificates() {
    let clock = Clock::build();
    let mut plugin = clock.start();
    let mut table = Table::new("clock-certificates");
    let authority = Authority::new();
    let address = serve(&authority, "127.0.0.1", (2020, 2100)).await;
    let neighbor = healthy().await;
    let jumps =
        // The wrong ones first or far ahead: a TLS session that is resumed has its certificate judged already.
        [("in 1971", YEAR - now(), "not valid yet"), ("right", 0, ""), ("a century ahead", 100 * YEAR, "expired")];
    for (fault, seconds, word) in jumps {
        clock.set(seconds);
        plugin.send(&llm("tls", &address, &json!({"tls_ca": authority.pem()}))).await;
        let outcome = plugin.outcomes(&["tls"]).await.remove(0);
        assert!(outcome.message().contains(word), "{fault}: {outcome:?}");
        assert_eq!(outcome.error.is_none(), word.is_empty(), "{fault}: {outcome:?}");
        assert!(word.is_empty() || outcome.message().contains("clock"), "{fault}: {outcome:?}");
        plugin.neighbor(&neighbor, fault).await;
        table.outcome(&format!("the clock is {fault}: a valid certificate"), &outcome, &plugin);
    }
    plugin.finish().await;
    table.write();
}
