//! The HTTP client against an upstream that misbehaves: attempts, refusals, silence, cuts, credentials.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{authority, scripted, waits};
use authority::Authority;
use dify_plugin::codec::events::Event;
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::upstream::auth::{Attempt, HeaderAuthorization, Sent};
use dify_plugin::upstream::{
    AuthOutcome, Authorize, ErrorResponse, NetworkSettings, RetryPolicy, Timeouts, Upstream, UpstreamRequest,
    UpstreamResponse,
};
use dify_plugin_runtime::dialect::driver::drive;
use dify_plugin_runtime::dialect::{Flow, StreamMapper};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use scripted::{Scripted, Step, answer, event_stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;
use waits::until;

fn request(server: &Scripted) -> UpstreamRequest {
    let url = Url::parse(&format!("{}/v1/chat?page=1", server.url)).unwrap();
    let retry = RetryPolicy::default().with_first_wait(Duration::from_millis(5));
    UpstreamRequest::post_json(url, &serde_json::json!({"hello": 1})).unwrap().with_retry(retry)
}

async fn send(server: &Scripted) -> Result<UpstreamResponse, InvokeError> {
    Upstream::new().send(&request(server)).await
}

async fn failure(script: Vec<Vec<Step>>) -> (InvokeError, usize) {
    let server = Scripted::start(script).await;
    let error = send(&server).await.err().expect("the call must fail");
    (error, server.requests().len())
}

#[tokio::test]
async fn refusals_are_read_in_every_shape() {
    let cases: &[(&str, &str, &str, ErrorKind, &str)] = &[
        (
            "400 Bad Request",
            "",
            r#"{"error":{"message":"no such model","code":"model_not_found"}}"#,
            ErrorKind::BadRequest,
            "no such model",
        ),
        ("401 Unauthorized", "", r#"{"error":"bad key"}"#, ErrorKind::Authorization, "bad key"),
        ("403 Forbidden", "", "consumer not allowed", ErrorKind::Authorization, "consumer not allowed"),
        ("404 Not Found", "", r#"{"detail":"Not Found"}"#, ErrorKind::BadRequest, "Not Found"),
        ("422 Unprocessable", "", r#"{"detail":[{"msg":"field required"}]}"#, ErrorKind::BadRequest, "field required"),
        (
            "429 Too Many",
            "retry-after: 100\r\n",
            r#"[{"error":{"message":"slow down"}}]"#,
            ErrorKind::RateLimit,
            "slow down",
        ),
        ("500 Internal", "x-request-id: r-7\r\n", "", ErrorKind::ServerUnavailable, "r-7"),
        (
            "502 Bad Gateway",
            "",
            "<html><head><title>502 Bad Gateway</title></head></html>",
            ErrorKind::ServerUnavailable,
            "502 Bad Gateway",
        ),
    ];
    for (status, headers, body, kind, message) in cases {
        let (error, _) = failure(vec![answer(status, headers, body)]).await;
        assert_eq!(error.kind, *kind, "{status}");
        assert!(error.detail().contains(message), "{status}: {}", error.detail());
        assert_eq!(error.status, status[..3].parse().ok(), "{status}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let cases: &[(&str, &str, &str, usize)] = &[
        ("503 Unavailable", "", "{}", 3),
        ("429 Too Many", "retry-after: 0\r\n", "{}", 3),
        ("429 Too Many", "retry-after: 3600\r\n", "{}", 1),
        ("429 Too Many", "", "Please retry in 0.01s.", 3),
        ("429 Too Many", "", r#"{"error":{"message":"Please retry in 55.1s."}}"#, 1),
        ("429 Too Many", "", r#"{"error":{"message":"free_tier_requests, limit: 0\nPlease retry in 0.1s."}}"#, 1),
        ("503 Unavailable", "", "The model is loading, try again in 5 minutes", 1),
        ("400 Bad Request", "", "{}", 1),
        ("401 Unauthorized", "", "{}", 1),
    ];
    for (status, headers, body, calls) in cases {
        let (_, seen) = failure(vec![answer(status, headers, body)]).await;
        assert_eq!(seen, *calls, "{status} {headers} {body}");
    }
}

/// Answers connections with these bytes, over TLS where an acceptor is given; breaks them off where there are none.
/// The address without its scheme, and the count of connections.
async fn counted(acceptor: Option<TlsAcceptor>, bytes: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (host, count) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicUsize::new(0)));
    let seen = count.clone();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            seen.fetch_add(1, Ordering::SeqCst);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if bytes.is_empty() {
                    return socket.set_zero_linger().unwrap();
                }
                if let Some(acceptor) = acceptor {
                    let Ok(mut stream) = acceptor.accept(socket).await else { return };
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = stream.write_all(bytes).await;
                } else {
                    let _ = socket.read(&mut [0; 4096]).await;
                    let _ = socket.write_all(bytes).await;
                }
            });
        }
    });
    (host, count)
}

#[tokio::test]
async fn retries_only_transport_failures() {
    const WELL: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const LOGIN: &[u8] =
        b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const BAD_GATEWAY: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let authority = Authority::new();
    let tls = |host: &str, years| Some(authority.acceptor(&[host], years));
    let always = (2020, 2100);
    let trusted = || NetworkSettings::new(None, Some(authority.pem()));
    let direct = NetworkSettings::default;
    type Case = (&'static str, &'static str, Option<TlsAcceptor>, &'static [u8], NetworkSettings, usize, &'static str);
    let cases: Vec<Case> = vec![
        ("a certificate that is not trusted", "https", tls("127.0.0.1", always), WELL, direct(), 1, "not trusted"),
        ("one for another host", "https", tls("models.example", always), WELL, trusted(), 1, "different host"),
        ("one that has expired", "https", tls("127.0.0.1", (2000, 2001)), WELL, trusted(), 1, "has expired"),
        ("one that is not valid yet", "https", tls("127.0.0.1", (2099, 2100)), WELL, trusted(), 1, "not valid yet"),
        ("https where HTTP is spoken", "https", None, WELL, direct(), 1, "does not speak TLS"),
        ("http where TLS is spoken", "http", tls("127.0.0.1", always), WELL, direct(), 1, "start with https://"),
        ("no HTTP at all", "http", None, b"SSH-2.0-OpenSSH_9.2\r\n\r\n", direct(), 1, "invalid HTTP"),
        ("a connection that is reset", "http", None, b"", direct(), 3, "connection lost"),
        ("a handshake that is reset", "https", None, b"", direct(), 3, "cannot connect"),
        (
            "a login that an intermediary requires",
            "http",
            None,
            LOGIN,
            direct(),
            1,
            "requires a user name and a password in front of",
        ),
    ];
    for (name, scheme, acceptor, bytes, network, connections, message) in cases {
        let (host, count) = counted(acceptor, bytes).await;
        let url = Url::parse(&format!("{scheme}://{host}/v1/chat")).unwrap();
        let retry = RetryPolicy::default().with_first_wait(Duration::from_millis(5));
        let error = Upstream::new().send(&UpstreamRequest::get(url).with_retry(retry).with_network(network)).await;
        let error = error.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Connection, "{name}: {error}");
        assert!(error.detail().contains(message), "{name}: {}", error.detail());
        assert_eq!(count.load(Ordering::SeqCst), connections, "{name}: {}", error.detail());
    }
    for (name, scheme, bytes, attempts, message) in [
        ("a proxy's login, over http", "http", LOGIN, 1, "requires a user name and a password: http://127.0.0.1"),
        ("a proxy's login, over https", "https", LOGIN, 1, "requires a user name and a password: http://127.0.0.1"),
        ("a proxy that reaches no server, over https", "https", BAD_GATEWAY, 3, "Requests go through the proxy"),
    ] {
        let (host, count) = counted(None, bytes).await;
        let url = Url::parse(&format!("{scheme}://models.invalid/v1/chat")).unwrap();
        let retry = RetryPolicy::default().with_first_wait(Duration::from_millis(5));
        let network = NetworkSettings::new(Some(format!("http://user:pa55word@{host}").into()), None);
        let error = Upstream::new().send(&UpstreamRequest::get(url).with_retry(retry).with_network(network)).await;
        let error = error.err().unwrap();
        assert_eq!((error.kind, count.load(Ordering::SeqCst)), (ErrorKind::Connection, attempts), "{name}: {error}");
        assert!(error.detail().contains(message) && !error.detail().contains("pa55"), "{name}: {}", error.detail());
    }
}

#[tokio::test]
async fn a_repeat_that_succeeds_is_a_success() {
    let server =
        Scripted::start(vec![answer("503 Unavailable", "", ""), vec![Step::Reset], answer("200 OK", "", "fine")]).await;
    let body = send(&server).await.unwrap().bytes(100).await.unwrap();
    assert_eq!(body, "fine");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_redirect_is_refused_with_its_target_but_not_its_query() {
    let (error, seen) =
        failure(vec![answer("302 Found", "location: https://elsewhere.example/login?token=s3cret\r\n", "")]).await;
    assert_eq!((error.kind, seen), (ErrorKind::BadRequest, 1));
    assert!(error.detail().contains("https://elsewhere.example/login"), "{error}");
    assert!(!error.detail().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn silence_before_the_first_byte_is_a_connection_error() {
    let server = Scripted::start(vec![vec![Step::Hang]]).await;
    let mut request = request(&server);
    request.timeouts.first_byte = Duration::from_secs(1);
    request.retry = RetryPolicy::never();
    let error = Upstream::new().send(&request).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Connection);
    assert!(error.detail().contains("within 1 s"), "{error}");
}

#[tokio::test]
async fn a_refused_connection_names_the_address() {
    let mut request = UpstreamRequest::get(Url::parse("http://127.0.0.1:1/x?key=s3cret").unwrap());
    request.retry = RetryPolicy::never();
    let error = Upstream::new().send(&request).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Connection);
    assert!(error.detail().contains("127.0.0.1:1") && !error.detail().contains("s3cret"), "{error}");
}

/// Passes events through; ends properly only after an event `end`.
struct Echo(bool);

impl StreamMapper for Echo {
    type Item = String;

    fn event(&mut self, event: &Event, out: &mut Vec<String>) -> Result<Flow, InvokeError> {
        if event.data == "end" {
            self.0 = true;
            return Ok(Flow::Done);
        }
        out.push(event.data.clone());
        Ok(Flow::Continue)
    }

    fn finish(&mut self, _out: &mut Vec<String>) -> Result<(), InvokeError> {
        if self.0 { Ok(()) } else { Err(InvokeError::connection("cut short")) }
    }
}

async fn stream(steps: Vec<Step>, idle: Duration) -> (Vec<String>, Option<InvokeError>, Scripted) {
    let mut script = vec![event_stream()];
    script.extend(steps);
    let server = Scripted::start(vec![script]).await;
    let request = request(&server).with_timeouts(Timeouts::default().with_idle(idle).with_first_byte(idle));
    let mut items = drive(Upstream::new().send(&request).await.unwrap(), Echo(false));
    let (mut seen, mut error) = (Vec::new(), None);
    while let Some(item) = items.next().await {
        match item {
            Ok(text) => seen.push(text),
            Err(failure) => error = Some(failure),
        }
    }
    (seen, error, server)
}

fn text(bytes: &str) -> Step {
    Step::Send(bytes.as_bytes().to_vec())
}

#[tokio::test]
async fn the_driver_delivers_what_came_and_names_what_did_not() {
    type Case = (&'static str, Vec<Step>, &'static [&'static str], Option<&'static str>);
    let cases: Vec<Case> = vec![
        ("a whole answer", vec![text("data: a\n\ndata: end\n\n")], &["a"], None),
        ("an answer after its end is not read", vec![text("data: end\n\ndata: b\n\n")], &[], None),
        ("an early end", vec![text("data: a\n\n")], &["a"], Some("cut short")),
        (
            "a cut",
            vec![text("data: a\n\n"), Step::Pause(Duration::from_secs(1)), Step::Reset],
            &["a"],
            Some("closed the connection before the response was complete"),
        ),
        ("silence", vec![text("data: a\n\n"), Step::Hang], &["a"], Some("no event for 2 s")),
        (
            "keep-alive comments are silence",
            vec![text("data: a\n\n"), Step::Repeat(b": ping\n\n".to_vec(), Duration::from_millis(20))],
            &["a"],
            Some("no event for 2 s"),
        ),
    ];
    for (name, steps, expected, failure) in cases {
        let idle = if failure.is_some_and(|message| message.contains(" 2 s")) { 2 } else { 300 };
        let (seen, error, _) = stream(steps, Duration::from_secs(idle)).await;
        assert_eq!(seen, expected, "{name}");
        let message = error.map(|error| error.detail());
        match failure {
            None => assert_eq!(message, None, "{name}"),
            Some(part) => {
                assert!(message.as_deref().is_some_and(|message| message.contains(part)), "{name}: {message:?}")
            }
        }
    }
}

#[tokio::test]
async fn dropping_the_stream_closes_the_upstream_call() {
    let server = Scripted::start(vec![vec![event_stream(), text("data: a\n\n"), Step::Hang]]).await;
    let mut items = drive(send(&server).await.unwrap(), Echo(false));
    assert_eq!(items.next().await.unwrap().unwrap(), "a");
    assert_eq!(server.open_connections(), 1);
    drop(items);
    until(|| server.open_connections() == 0).await;
}

/// A credential that is renewed when it is refused.
#[derive(Default)]
struct Renewing(AtomicUsize);

impl Authorize for Renewing {
    fn authorize<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>> {
        Box::pin(async move {
            let token = format!("token-{}", self.0.load(Ordering::SeqCst));
            HeaderAuthorization::new().bearer(&token).authorize(attempt).await
        })
    }

    fn refused<'a>(&'a self, answer: &'a ErrorResponse, _sent: Sent<'a>) -> BoxFuture<'a, AuthOutcome> {
        Box::pin(async move {
            if answer.status != 401 {
                return AuthOutcome::Final;
            }
            self.0.fetch_add(1, Ordering::SeqCst);
            AuthOutcome::Again
        })
    }
}

#[tokio::test]
async fn a_refused_credential_is_renewed_once() {
    let refused = || answer("401 Unauthorized", "", "{}");
    for (scripts, calls, succeeds) in
        [(vec![refused(), answer("200 OK", "", "{}")], 2, true), (vec![refused()], 2, false)]
    {
        let server = Scripted::start(scripts).await;
        let outcome = Upstream::new().send(&request(&server).with_auth(Arc::new(Renewing::default()))).await;
        assert_eq!(outcome.is_ok(), succeeds);
        let requests = server.requests();
        assert_eq!(requests.len(), calls);
        assert!(
            requests[0].contains("authorization: Bearer token-0")
                && requests[1].contains("authorization: Bearer token-1")
        );
    }
}

#[tokio::test]
async fn a_secret_that_no_header_can_carry_is_not_shown() {
    let server = Scripted::start(vec![answer("200 OK", "", "")]).await;
    let auth = HeaderAuthorization::new().header("x-key", "s3cret\r\nx-injected: 1");
    let error = Upstream::new().send(&request(&server).with_auth(Arc::new(auth))).await.err().unwrap();
    assert!(error.detail().contains("x-key") && !error.detail().contains("s3cret"), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused() {
    let server = Scripted::start(vec![answer("200 OK", "", &"x".repeat(1000))]).await;
    let error = send(&server).await.unwrap().bytes(999).await.err().unwrap();
    assert!(error.detail().contains("larger than 999 bytes"), "{error}");
}
