//! Errors of Gemini and of proxies and gateways, before and within a stream: each becomes a clear Dify error, and is
//! retried only as often as it may help.

use std::time::{Duration, Instant};

use crate::support::{gemini as upstream, gemini_session as session};
use serde_json::{Value, json};
use session::{ask, hello, one, plugin, refusal};
use upstream::{Gemini, KEY, Reply, end, text};

const MODEL: &str = "gemini-3.8-flash";
const AUTHORIZATION: &str = "InvokeAuthorizationError";
const BAD_REQUEST: &str = "InvokeBadRequestError";
const RATE_LIMIT: &str = "InvokeRateLimitError";
const UNAVAILABLE: &str = "InvokeServerUnavailableError";
const CONNECTION: &str = "InvokeConnectionError";

fn info(reason: &str) -> Value {
    json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}])
}

fn delay(delay: &str) -> Value {
    json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}])
}

fn quota(id: &str, value: &str) -> Value {
    json!([{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": id, "quotaValue": value}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.01s"}])
}

fn html(status: u16, page: &str) -> Reply {
    Reply::Refuse(status, "text/html; charset=utf-8", page.to_owned())
}

/// Table of errors: the response, Dify's error type, the number of requests with one retry allowed, and words of the
/// message.
#[tokio::test]
async fn every_error_becomes_a_dify_error() {
    let none = || json!([]);
    let fields = json!([{"@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": "tools[0].name", "description": "Invalid name"}]}]);
    let no_signature = "Function call is missing a thought_signature in functionCall parts.";
    let long = "x".repeat(3000);
    let cases: Vec<(&str, Reply, &str, usize, &[&str])> = vec![
        (
            "wrong key",
            refusal(400, "INVALID_ARGUMENT", "API key not valid.", info("API_KEY_INVALID")),
            AUTHORIZATION,
            1,
            &["API key not valid", "apikey"],
        ),
        (
            "old key",
            refusal(400, "INVALID_ARGUMENT", "API key expired.", info("API_KEY_EXPIRED")),
            AUTHORIZATION,
            1,
            &["expired", "create a new one"],
        ),
        (
            "bad field",
            refusal(400, "INVALID_ARGUMENT", "Request contains an invalid argument.", fields),
            BAD_REQUEST,
            1,
            &["tools[0].name: Invalid name"],
        ),
        (
            "bad schema",
            refusal(400, "INVALID_ARGUMENT", "Invalid JSON payload: schema too deep", none()),
            BAD_REQUEST,
            1,
            &["schema too deep"],
        ),
        (
            "bad role",
            refusal(400, "INVALID_ARGUMENT", "Please use a valid role: user, model.", none()),
            BAD_REQUEST,
            1,
            &["valid role"],
        ),
        // Retried with the bypass signature; then the error is final.
        (
            "no signature",
            refusal(400, "INVALID_ARGUMENT", no_signature, none()),
            BAD_REQUEST,
            2,
            &["thought_signature"],
        ),
        (
            "region",
            refusal(400, "FAILED_PRECONDITION", "User location is not supported for the API use.", none()),
            BAD_REQUEST,
            1,
            &["User location", "Vertex AI, or a gateway"],
        ),
        (
            "billing",
            refusal(400, "FAILED_PRECONDITION", "The free tier is not available in your country.", none()),
            BAD_REQUEST,
            1,
            &["Billing"],
        ),
        (
            "bad token",
            refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", none()),
            AUTHORIZATION,
            1,
            &["Authentication"],
        ),
        (
            "key at Vertex",
            refusal(401, "UNAUTHENTICATED", "API keys are not supported by this API.", none()),
            AUTHORIZATION,
            1,
            &["`service_account`", "`vertex_express`"],
        ),
        (
            "disabled",
            refusal(
                403,
                "PERMISSION_DENIED",
                "Generative Language API has not been used in project 1.",
                info("SERVICE_DISABLED"),
            ),
            AUTHORIZATION,
            1,
            &["Enable the API"],
        ),
        (
            "restricted key",
            refusal(403, "PERMISSION_DENIED", "Requests to this API are blocked.", info("API_KEY_SERVICE_BLOCKED")),
            AUTHORIZATION,
            1,
            &["restricted to other APIs"],
        ),
        (
            "leaked key",
            refusal(403, "PERMISSION_DENIED", "Your API key was reported as leaked.", none()),
            AUTHORIZATION,
            1,
            &["leaked", "create a new one"],
        ),
        (
            "no role",
            refusal(403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied", none()),
            AUTHORIZATION,
            1,
            &["aiplatform.endpoints.predict", "roles"],
        ),
        (
            "foreign file",
            refusal(
                403,
                "PERMISSION_DENIED",
                "You do not have permission to access the File x or it may not exist.",
                none(),
            ),
            AUTHORIZATION,
            1,
            &["File x"],
        ),
        (
            "no model",
            refusal(404, "NOT_FOUND", "models/x is not found for API version v1beta.", none()),
            BAD_REQUEST,
            1,
            &["models/x", "choose another one"],
        ),
        (
            "too large",
            refusal(413, "", "Request payload size exceeds the limit", none()),
            BAD_REQUEST,
            1,
            &["payload", "smaller files"],
        ),
        (
            "per minute",
            refusal(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", quota("GenerateRequestsPerMinutePerProject", "10")),
            RATE_LIMIT,
            2,
            &["Quota exceeded"],
        ),
        (
            "per minute, no details",
            refusal(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted.", none()),
            RATE_LIMIT,
            2,
            &["exhausted"],
        ),
        (
            "per day",
            refusal(
                429,
                "RESOURCE_EXHAUSTED",
                "Quota exceeded.",
                quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "20"),
            ),
            RATE_LIMIT,
            1,
            &["daily quota"],
        ),
        (
            "no free share",
            refusal(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", quota("GenerateRequestsPerMinute-FreeTier", "0")),
            RATE_LIMIT,
            1,
            &["enable billing"],
        ),
        (
            "spending limit",
            refusal(429, "RESOURCE_EXHAUSTED", "Your project has exceeded its monthly spending cap.", none()),
            RATE_LIMIT,
            1,
            &["Raise the spending limit"],
        ),
        (
            "credit",
            refusal(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", none()),
            RATE_LIMIT,
            1,
            &["add credit"],
        ),
        (
            "an hour",
            refusal(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", delay("3600s")),
            RATE_LIMIT,
            1,
            &["Quota exceeded"],
        ),
        (
            "an hour by header",
            Reply::Headed(429, &[("retry-after", "3600")], json!({"error": {"message": "Slow down."}}).to_string()),
            RATE_LIMIT,
            1,
            &["Slow down."],
        ),
        ("timeout", refusal(408, "", "The request took too long to arrive.", none()), CONNECTION, 2, &["too long"]),
        ("cancelled", refusal(499, "CANCELLED", "The operation was cancelled.", none()), CONNECTION, 1, &["cancelled"]),
        (
            "internal",
            refusal(500, "INTERNAL", "An internal error has occurred.", none()),
            UNAVAILABLE,
            2,
            &["internal error"],
        ),
        (
            "overloaded",
            refusal(503, "UNAVAILABLE", "The model is overloaded.", none()),
            UNAVAILABLE,
            2,
            &["overloaded"],
        ),
        ("bad gateway", refusal(502, "", "upstream failed", none()), UNAVAILABLE, 2, &["upstream failed"]),
        (
            "deadline",
            refusal(504, "DEADLINE_EXCEEDED", "Deadline expired.", none()),
            UNAVAILABLE,
            2,
            &["Deadline expired"],
        ),
        (
            "in an array",
            Reply::Refuse(
                400,
                "application/json",
                json!([{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "odd"}}]).to_string(),
            ),
            BAD_REQUEST,
            1,
            &["odd"],
        ),
        (
            "a gateway's own words",
            Reply::Refuse(403, "application/json", json!({"detail": "team a has no budget"}).to_string()),
            AUTHORIZATION,
            1,
            &["team a has no budget"],
        ),
        (
            "error as text",
            Reply::Refuse(429, "application/json", json!({"error": "slow down"}).to_string()),
            RATE_LIMIT,
            1,
            &["slow down"],
        ),
        (
            "a proxy's page",
            html(502, "<html><head><title>Bad Gateway</title></head></html>"),
            CONNECTION,
            2,
            &["HTTP 502", "Bad Gateway", "base URL and the proxy"],
        ),
        (
            "a page without a title",
            html(403, "<h1>Blocked by policy</h1>"),
            CONNECTION,
            1,
            &["HTTP 403", "<h1>Blocked by policy"],
        ),
        ("a long page", html(500, &long), CONNECTION, 2, &["HTTP 500", "xxx"]),
        (
            "a page with 200",
            html(200, "<html><title>Sign in</title></html>"),
            CONNECTION,
            1,
            &["Sign in", "base URL and the proxy"],
        ),
        (
            "nothing",
            Reply::Refuse(502, "text/plain", String::new()),
            CONNECTION,
            2,
            &["HTTP 502", "base URL and the proxy"],
        ),
        (
            "elsewhere",
            Reply::Headed(307, &[("location", "https://evil.example/x")], String::new()),
            BAD_REQUEST,
            1,
            &["redirects to https://evil.example/x"],
        ),
    ];
    let mut failures = Vec::new();
    for (name, reply, kind, calls, expected) in cases {
        let (upstream, outcome) = one(vec![reply], MODEL, json!({"credentials": {"max_retries": "1"}})).await;
        let (found, message) = outcome.failure();
        if found != kind || upstream.seen().len() != calls {
            failures.push(format!("{name}: {found} after {} calls: {message}", upstream.seen().len()));
        }
        if let Some(word) = expected.iter().find(|word| !message.contains(**word)) {
            failures.push(format!("{name} does not contain `{word}`: {message}"));
        }
        if !message.starts_with("[google] ")
            || message.contains(KEY)
            || message.len() > 1500
            || !outcome.items.is_empty()
        {
            failures.push(format!("{name}: {message}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn temporary_errors_are_retried_after_the_requested_delay() {
    let cases: Vec<(&str, Vec<Reply>, Duration)> = vec![
        ("408", vec![refusal(408, "", "late", json!([]))], Duration::ZERO),
        ("429", vec![refusal(429, "RESOURCE_EXHAUSTED", "wait", delay("1s"))], Duration::from_secs(1)),
        ("429 by header", vec![Reply::Headed(429, &[("retry-after", "1")], "{}".to_owned())], Duration::from_secs(1)),
        ("500", vec![refusal(500, "INTERNAL", "odd", json!([]))], Duration::ZERO),
        ("502", vec![html(502, "<title>Bad Gateway</title>")], Duration::ZERO),
        (
            "503 twice",
            vec![refusal(503, "UNAVAILABLE", "busy", json!([])), refusal(503, "UNAVAILABLE", "busy", json!([]))],
            Duration::ZERO,
        ),
        ("504", vec![refusal(504, "DEADLINE_EXCEEDED", "late", json!([]))], Duration::ZERO),
        ("broken before the first token", vec![Reply::Cut(vec![])], Duration::ZERO),
        ("ended before the first token", vec![Reply::Events(vec![])], Duration::ZERO),
        (
            "busy inside a 200",
            vec![Reply::Events(vec![json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}})])],
            Duration::ZERO,
        ),
        ("429 inside a 200", vec![inside(429, "wait", delay("1s"))], Duration::from_secs(1)),
        ("in the message inside a 200", vec![inside(429, "Please retry in 1s.", json!([]))], Duration::from_secs(1)),
        ("empty, and STOP", vec![Reply::Events(vec![end("STOP")])], Duration::ZERO),
        ("blank, and STOP", vec![Reply::Events(vec![text(""), end("STOP")])], Duration::ZERO),
        ("a malformed response", vec![Reply::Events(vec![end("MALFORMED_RESPONSE")])], Duration::ZERO),
        (
            "words in place of a stream",
            vec![Reply::Refuse(200, "text/plain", "upstream error: do request failed".to_owned())],
            Duration::ZERO,
        ),
    ];
    for (name, mut script, least) in cases {
        let refused = script.len();
        script.extend(hello());
        let begin = Instant::now();
        let (upstream, outcome) = one(script, MODEL, json!({"credentials": {"max_retries": "2"}})).await;
        assert_eq!((outcome.text().as_str(), upstream.seen().len()), ("Hello", refused + 1), "{name}");
        assert!(begin.elapsed() >= least, "{name}");
    }
}

/// Google's error as the only event of a response.
fn inside(status: u16, message: &str, details: Value) -> Reply {
    Reply::Events(vec![
        json!({"error": {"code": status, "status": "RESOURCE_EXHAUSTED", "message": message, "details": details}}),
    ])
}

/// Errors inside a 200 are retried like error responses.
#[tokio::test]
async fn persistent_errors_are_not_retried() {
    let daily =
        json!([{"@type": "x/google.rpc.QuotaFailure", "violations": [{"quotaId": "RequestsPerDayPerProject"}]}]);
    let cases = [
        ("34 s", vec![inside(429, "q", delay("34s"))], "InvokeRateLimitError", "q", 1),
        (
            "34 s in the message",
            vec![inside(429, "Please retry in 34.5s.", json!([]))],
            "InvokeRateLimitError",
            "34.5s",
            1,
        ),
        (
            "no free tier",
            vec![inside(429, "Quota exceeded, limit: 0", json!([]))],
            "InvokeRateLimitError",
            "limit: 0",
            1,
        ),
        ("a daily quota", vec![inside(429, "q", daily)], "InvokeRateLimitError", "daily quota", 1),
        ("a key", vec![inside(400, "API key not valid.", json!([]))], "InvokeAuthorizationError", "API key", 1),
        ("empty twice", vec![Reply::Events(vec![end("STOP")])], "InvokeServerUnavailableError", "empty response", 2),
        ("malformed twice", vec![Reply::Events(vec![end("MALFORMED_RESPONSE")])], BAD_REQUEST, "MALFORMED_RESPONSE", 2),
        (
            "too many calls",
            vec![Reply::Events(vec![end("TOO_MANY_TOOL_CALLS")])],
            BAD_REQUEST,
            "called tools too often",
            1,
        ),
        (
            "a gateway's words",
            vec![Reply::Refuse(200, "text/plain", "upstream error: do request failed".to_owned())],
            "InvokeServerUnavailableError",
            "upstream error: do request failed",
            3,
        ),
    ];
    for (name, script, kind, expected, requests) in cases {
        let (upstream, outcome) = one(script, MODEL, json!({"credentials": {"max_retries": "2"}})).await;
        let (found, message) = outcome.failure();
        assert!(found == kind && message.contains(expected), "{name}: {found} {message}");
        assert_eq!(upstream.seen().len(), requests, "{name}");
    }
}

#[tokio::test]
async fn errors_within_a_stream_keep_the_output_and_are_not_retried() {
    let error = json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "overloaded"}});
    let half = format!("data: {}\r\n\r\n", text("half"));
    let after = |rest: String| Reply::Bytes(vec![half.clone().into_bytes(), rest.into_bytes()]);
    let pretty = serde_json::to_string_pretty(&error).unwrap();
    let spent = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded.", "details": quota("PerDay", "1")}});
    let cases: Vec<(&str, Reply, &str, &str)> = vec![
        ("error in an event", Reply::Events(vec![text("half"), error.clone()]), UNAVAILABLE, "overloaded"),
        ("array in an event", Reply::Events(vec![text("half"), json!([error])]), UNAVAILABLE, "overloaded"),
        ("text in an event", Reply::Events(vec![text("half"), json!("overloaded")]), UNAVAILABLE, "overloaded"),
        ("an event named error", after(format!("event: error\r\ndata: {error}\r\n\r\n")), UNAVAILABLE, "overloaded"),
        (
            "an event named error with a gateway's words",
            after("event: error\ndata: {\"message\": \"overloaded\", \"code\": 503}\n\n".to_owned()),
            UNAVAILABLE,
            "overloaded",
        ),
        (
            "an event named error with plain words",
            after("event: error\ndata: overloaded\n\n".to_owned()),
            UNAVAILABLE,
            "overloaded",
        ),
        ("bare lines", after(pretty.clone()), UNAVAILABLE, "overloaded"),
        ("bare lines of an array", after(format!("[{pretty}]\n")), UNAVAILABLE, "overloaded"),
        (
            "the last of an array",
            Reply::Bytes(vec![json!([text("half"), error]).to_string().into_bytes()]),
            UNAVAILABLE,
            "overloaded",
        ),
        ("quota in the middle", Reply::Events(vec![text("half"), spent]), RATE_LIMIT, "daily quota"),
        (
            "a page in the middle",
            after("<html><title>Bad Gateway</title></html>\n".to_owned()),
            CONNECTION,
            "without a finish reason",
        ),
        (
            "a page as an event",
            after("data: <html><title>Bad Gateway</title>\n\n".to_owned()),
            CONNECTION,
            "Bad Gateway",
        ),
        ("cut", Reply::Cut(vec![text("half")]), CONNECTION, "closed the connection before the response was complete"),
        ("half an event", after("data: {\"candidates\": [{\"content\"".to_owned()), UNAVAILABLE, "cannot parse"),
        ("no reason", Reply::Events(vec![text("half")]), CONNECTION, "without a finish reason"),
        ("no JSON", after("data: {half}\n\n".to_owned()), UNAVAILABLE, "cannot parse"),
    ];
    for (name, reply, kind, expected) in cases {
        let (upstream, outcome) = one(vec![reply], MODEL, json!({"credentials": {"max_retries": "3"}})).await;
        let (found, message) = outcome.failure();
        assert_eq!(found, kind, "{name}: {message}");
        assert!(message.contains(expected), "{name}: {message}");
        assert_eq!(outcome.items[0]["delta"]["message"]["content"], "half", "{name}");
        assert_eq!(upstream.seen().len(), 1, "{name}: no retry after output");
        let blocking = plugin().call(ask(&upstream, MODEL, json!({"stream": false}))).await;
        assert_eq!(blocking.failure().0, kind, "{name}: an incomplete response is an error");
    }
}

#[tokio::test]
async fn errors_within_a_stream_before_any_output_are_reported_too() {
    let error = json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "odd"}});
    for reply in [
        Reply::Events(vec![error.clone()]),
        Reply::Events(vec![json!([error])]),
        Reply::Bytes(vec![error.to_string().into_bytes()]),
        Reply::Bytes(vec![format!("[{error}]").into_bytes()]),
        Reply::Refuse(200, "application/json", error.to_string()),
    ] {
        let (upstream, outcome) = one(vec![reply.clone()], MODEL, json!({})).await;
        assert_eq!((outcome.failure().0, upstream.seen().len()), (BAD_REQUEST, 1), "{reply:?}");
        assert!(outcome.failure().1.contains("odd"), "{reply:?}: {:?}", outcome.failure());
    }
}

#[tokio::test]
async fn accepts_a_stream_in_every_form() {
    let events = [text("Grüße "), text("🌍"), end("STOP")];
    let array = json!(events).to_string();
    let lines = |ending: &str| events.iter().map(|event| format!("data: {event}{ending}{ending}")).collect::<String>();
    let cases = [
        ("a JSON array in place of a stream", array),
        ("line feeds only", lines("\n")),
        ("carriage returns", lines("\r\n")),
        ("comments and empty lines", lines("\r\n").replace("data: ", ": ping\r\n\r\n\r\ndata: ")),
        ("no last empty line", lines("\r\n").trim_end().to_owned()),
        (
            "fields of other protocols",
            lines("\n").replace("data: ", "event: message\nid: 7\nretry: 1\ndata: ") + "data: [DONE]\n\n",
        ),
    ];
    for (name, body) in cases {
        for size in [1, 2, 7, body.len()] {
            let pieces = body.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            let (_, outcome) = one(vec![Reply::Bytes(pieces)], MODEL, json!({})).await;
            assert_eq!(
                (outcome.text().as_str(), outcome.finish_reason()),
                ("Grüße 🌍", Some("stop")),
                "{name} by {size}"
            );
        }
    }
}

#[tokio::test]
async fn an_interruption_after_the_finish_reason_is_not_an_error() {
    let (upstream, outcome) = one(vec![Reply::Cut(vec![text("Hello"), end("STOP")])], MODEL, json!({})).await;
    assert_eq!((outcome.text().as_str(), outcome.finish_reason()), ("Hello", Some("stop")));
    assert_eq!((&outcome.usage()["prompt_tokens"], upstream.seen().len()), (&json!(1000), 1));
}

#[tokio::test]
async fn accepts_large_events_and_compressed_streams() {
    let image = "A".repeat(4 << 20);
    let event = upstream::parts(json!([{"inlineData": {"mimeType": "image/png", "data": image}}]));
    let (_, outcome) = one(vec![Reply::Events(vec![event, end("STOP")])], MODEL, json!({})).await;
    let data: usize = outcome
        .items
        .iter()
        .map(|item| item["delta"]["message"]["content"][0]["base64_data"].as_str().map_or(0, str::len))
        .sum();
    assert_eq!(data, image.len());
    // `Hello` and `STOP` as two gzip-compressed events.
    let packed = "\
        1f8b08000000000002034b492c49b452a8564a4ecc4bc94c492c492d56b2528806f2f3f34a52f34a94407245f939a9408652\
        6e7e4a6a8e928e825241625109545d496a05489192476a4e4ebe526d6c2d10f172f172a5e030372d332fb338232835b1383f\
        0fa42f38c43f4009aa0700a756cbf28c000000";
    let packed = Reply::Packed(hex::decode(packed).unwrap());
    let (_, outcome) = one(vec![packed], MODEL, json!({})).await;
    assert_eq!(outcome.text(), "Hello");
}

#[tokio::test]
async fn unreachable_servers_are_reported() {
    // A port that no other process can get, and on which nothing listens.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = bound.local_addr().unwrap();
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rude = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (deaf_at, rude_at) = (deaf.local_addr().unwrap(), rude.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((connection, _)) = rude.accept().await {
            drop(connection);
        }
    });
    let upstream = Gemini::start(hello()).await;
    let cases = [
        ("no listener", format!("http://{closed}"), "cannot connect"),
        ("no such host", "http://gateway.invalid".to_owned(), "cannot resolve this host name"),
        ("no TLS", upstream.url.replace("http:", "https:"), "cannot connect"),
        ("no answer", format!("http://{deaf_at}"), "1 s"),
        ("hangs up", format!("http://{rude_at}"), "connection"),
    ];
    for (name, url, expected) in cases {
        let credentials = json!({"google_base_url": url, "request_timeout": "1"});
        let outcome = plugin().call(ask(&upstream, MODEL, json!({"credentials": credentials}))).await;
        let (kind, message) = outcome.failure();
        assert_eq!(kind, CONNECTION, "{name}: {message}");
        assert!(message.contains(expected) && !message.contains(KEY), "{name}: {message}");
    }
    assert!(upstream.seen().is_empty());
}
