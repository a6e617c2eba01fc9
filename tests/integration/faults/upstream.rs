//! Faults of an upstream in both wire formats, each next to a healthy session of the same process.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::process::Command;

use super::plugin::{EXECUTABLE, GEMINI, Language, OPENAI, Outcome, Plugin, healthy, llm, send};
use super::table::Table;
use crate::support::scripted::{Scripted, Step, answer, event_stream};

/// The script of the upstream, and the expected outcome.
struct Case {
    fault: &'static str,
    script: Vec<Step>,
    address: Option<&'static str>,
    credentials: Value,
    expected: Expected,
}

/// Word of the report (one of several), or the text of a response that is returned in spite of the fault.
enum Expected {
    Report(&'static str),
    Text(&'static str),
}
use Expected::{Report, Text};

impl Expected {
    fn is(&self, outcome: &Outcome) -> bool {
        match self {
            Report(words) => outcome.error.is_some() && words.split('|').any(|word| outcome.message().contains(word)),
            Text(text) => outcome.text == *text && outcome.error.is_none(),
        }
    }
}

fn case(fault: &'static str, script: Vec<Step>, expected: Expected) -> Case {
    Case { fault, script, address: None, credentials: json!({}), expected }
}

/// The head of an event stream and then these steps.
fn stream(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    std::iter::once(event_stream()).chain(steps).collect()
}

fn connection_cases(language: &Language) -> Vec<Case> {
    let piece = || send(language.piece);
    let header = Step::Times(format!("x-a: {}\r\n", "a".repeat(1000)).into_bytes(), 10_000);
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let half = &language.piece[..12];
    // A reset discards what the peer has not read yet.
    let rest = || Step::Pause(Duration::from_secs(1));
    vec![
        case("reset instead of an answer", vec![Step::Reset], Report("connection lost")),
        case("reset within the head", vec![send("HTTP/1.1 200 O"), Step::Reset], Report("connection lost")),
        case(
            "reset after the head",
            stream([Step::Reset]),
            Report("closed the connection before the response was complete"),
        ),
        case(
            "reset between two events",
            stream([piece(), rest(), Step::Reset]),
            Report("closed the connection before the response was complete"),
        ),
        case(
            "reset within an event",
            stream([piece(), send(half), rest(), Step::Reset]),
            Report("closed the connection before the response was complete"),
        ),
        case("reset after the last event", stream([send(language.hello), rest(), Step::Reset]), Text("Hello")),
        case("end before the first event", stream([]), Report("incomplete|without a response")),
        case("end without a finish reason", stream([piece()]), Report("without a finish reason")),
        case("end within an event", stream([piece(), send(half)]), Report("EOF")),
        case("no end of the head", vec![send("HTTP/1.1 200 OK\r\n"), header], Report("connection lost")),
        case(
            "a chunk that is none",
            vec![send(chunked), send("zz\r\n")],
            Report("closed the connection before the response was complete"),
        ),
        case("no HTTP", vec![send("SSH-2.0-OpenSSH_9.2\r\n\r\n")], Report("invalid HTTP")),
    ]
}

fn silence_cases(language: &Language) -> Vec<Case> {
    let every = Duration::from_millis;
    let ping = || Step::Repeat(b": ping\n\n".to_vec(), every(100));
    // Longer than the limit in all, and far below it in each step.
    let slowly = |piece: &str, then: &str| {
        let pieces = std::iter::repeat_with(|| [send(piece), Step::Pause(every(250))]).take(15).flatten();
        stream(pieces.chain([send(then)]))
    };
    let dripped = language.hello.bytes().flat_map(|byte| [Step::Send(vec![byte]), Step::Pause(every(2))]);
    let silent = "sent no event for 3 s";
    let cases = vec![
        case("silence before the head", vec![Step::Hang], Report("no response from")),
        case("silence after the head", stream([Step::Hang]), Report(silent)),
        case("silence within a stream", stream([send(language.piece), Step::Hang]), Report(silent)),
        case("keep-alive comments before a late answer", slowly(": ping\n\n", language.hello), Text("Hello")),
        case("keep-alive comments and nothing else", slowly(": ping\n\n", ""), Report("incomplete|without a response")),
        case("keep-alive comments after an event", stream([send(language.piece), ping()]), Report(silent)),
        case(
            "one byte at a time, slower than events may come",
            slowly("d", &format!("\n{}", language.hello)),
            Text("Hello"),
        ),
        case("one byte at a time, a whole answer", stream(dripped), Text("Hello")),
    ];
    let waits = language.waits(Duration::from_secs(3));
    cases.into_iter().map(|case| Case { credentials: waits.clone(), ..case }).collect()
}

fn content_cases(language: &Language) -> Vec<Case> {
    let (html, page) = ("content-type: text/html\r\n", "<html><body>Bad gateway</body></html>");
    let json = "content-type: application/json\r\n";
    let elsewhere = "location: http://127.0.0.1:9/again?key=canary-5f1e-key\r\n";
    let broken = language.hello.replace("Hello", "Hell\u{1}").into_bytes();
    let broken: Vec<u8> =
        broken.into_iter().flat_map(|byte| if byte == 1 { vec![0xff, b'o'] } else { vec![byte] }).collect();
    let mut wrong_json = b"HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n{\"error\":\"".to_vec();
    wrong_json.extend([0xff, 0xfe, b'"', b'}']);
    vec![
        case(
            "an event that is no JSON",
            stream([send("data: {oops\n\n")]),
            Report("cannot parse|not a valid response chunk"),
        ),
        case("bytes in an answer's text that are no UTF-8", stream([Step::Send(broken)]), Text("Hell\u{fffd}o")),
        case("bytes in an error that are no UTF-8", vec![Step::Send(wrong_json)], Report("500")),
        case(
            "events that are no UTF-8",
            stream([Step::Send(b"data: \xff\xfe\xc3(\n\n".to_vec())]),
            Report("cannot parse|the server returned"),
        ),
        case(
            "a body that is no gzip",
            packed(b"no gzip at all"),
            Report("closed the connection before the response was complete"),
        ),
        case("an empty answer", answer("200 OK", json, ""), Report("")),
        case("a page in place of a stream", answer("200 OK", html, page), Report("Bad gateway")),
        case("a proxy's 502 page", answer("502 Bad Gateway", html, page), Report("502")),
        case(
            "a proxy that wants a login",
            answer("407 Proxy Authentication Required", html, page),
            Report("the proxy requires a user name and a password"),
        ),
        case("a redirect", answer("302 Found", elsewhere, ""), Report("redirects to")),
        case(
            "a redirect to itself",
            answer("307 Temporary Redirect", "location: ?again\r\n", ""),
            Report("redirects to"),
        ),
    ]
}

/// A stream that is declared as compressed.
pub fn packed(body: &[u8]) -> Vec<Step> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n";
    vec![send(head), Step::Send(body.to_vec())]
}

fn network_cases(language: &Language) -> Vec<Case> {
    let at = |fault, address, credentials, word| Case {
        address: Some(address),
        credentials,
        ..case(fault, Vec::new(), Report(word))
    };
    let mut cases = vec![
        at("no server listens", "http://127.0.0.1:9", json!({}), "127.0.0.1:9"),
        at("a name that does not resolve", "http://no-such-host.invalid", json!({}), "cannot resolve this host name"),
        at("a proxy that is down, `proxy_url`", "http://models.invalid", proxy("http://127.0.0.1:9"), DOWN),
        at("a proxy that is down, to https://", "https://models.invalid", proxy("http://127.0.0.1:9"), DOWN),
        at("a SOCKS proxy that is down", "https://models.invalid", proxy("socks5h://127.0.0.1:9"), DOWN),
        at("a SOCKS proxy, no names here", "https://models.invalid", proxy("socks5://127.0.0.1:9"), "socks5h"),
        at(
            "a proxy that does not resolve",
            "http://models.invalid",
            proxy("http://proxy.invalid:8080"),
            "proxy.invalid",
        ),
    ];
    if language.title == GEMINI.title {
        let public = "https://generativelanguage.googleapis.com";
        cases.push(at(
            "a proxy that is down, to Google",
            public,
            proxy("http://user:canary-5f1e-key@127.0.0.1:9"),
            DOWN,
        ));
    }
    cases
}

/// How a dead proxy is distinguished from a dead upstream.
const DOWN: &str = "Requests go through the proxy";

fn proxy(address: &str) -> Value {
    json!({ "proxy_url": address })
}

#[tokio::test]
async fn reports_an_unreachable_proxy_of_the_environment() {
    let mut command = Command::new(EXECUTABLE);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
        command.env(name, "http://127.0.0.1:9");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        command.env(name, "127.0.0.1");
    }
    let mut plugin = Plugin::spawn(command);
    let neighbor = healthy().await;
    let mut table = Table::new("upstream-proxy");
    for (fault, address) in [("to http://", "http://models.invalid"), ("to https://", "https://models.invalid")] {
        plugin.forget_peak();
        plugin.send(llm("proxied", address, &json!({}))).await;
        let outcome = plugin.outcomes(&["proxied"]).await.remove(0);
        assert!(outcome.message().contains(DOWN) && outcome.message().contains("environment"), "{fault}: {outcome:?}");
        table.outcome(&format!("the environment's proxy is down, {fault}"), &outcome, &plugin);
        plugin.neighbor(&neighbor, fault).await;
    }
    plugin.finish().await;
    table.write();
}

#[tokio::test]
async fn an_upstream_fault_ends_its_own_session_with_an_error() {
    let mut plugin = Plugin::start("");
    let neighbor = healthy().await;
    let mut wrong = Vec::new();
    for (language, file) in [(&GEMINI, "upstream-gemini"), (&OPENAI, "upstream-openai")] {
        let mut table = Table::new(file);
        let mut judge = |case: Case, outcome: Outcome, peak: u64| {
            table.ended(case.fault, &outcome, peak);
            assert!(peak < 250, "{}: {peak} MB", case.fault);
            if !case.expected.is(&outcome) {
                wrong.push(format!("{}, {}: {outcome:?}", language.title, case.fault));
            }
        };
        // Those that take their time do so side by side, each in a process of its own.
        let silent = silence_cases(language).into_iter().map(async |case| {
            let mut plugin = Plugin::start("");
            let outcome = play(&mut plugin, language, &case, &neighbor).await;
            let peak = plugin.peak();
            plugin.finish().await;
            (case, outcome, peak)
        });
        for (case, outcome, peak) in join_all(silent).await {
            judge(case, outcome, peak);
        }
        for case in [connection_cases, content_cases, network_cases].iter().flat_map(|cases| cases(language)) {
            let outcome = play(&mut plugin, language, &case, &neighbor).await;
            judge(case, outcome, plugin.peak());
        }
        table.write();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    plugin.finish().await;
}

async fn play(plugin: &mut Plugin, language: &Language, case: &Case, neighbor: &Scripted) -> Outcome {
    let name = format!("{}, {}", language.title, case.fault);
    plugin.forget_peak();
    let upstream = Scripted::start(vec![case.script.clone()]).await;
    plugin.send(&language.chat("fault", case.address.unwrap_or(&upstream.url), &case.credentials)).await;
    plugin.send(&llm("neighbor", &neighbor.url, &json!({}))).await;
    let mut outcomes = plugin.outcomes(&["fault", "neighbor"]).await;
    assert_eq!((outcomes[1].text.as_str(), &outcomes[1].error), ("Hello", &None), "beside {name}");
    assert!(upstream.requests().len() <= 1, "{name}: sent again although retries are off");
    outcomes.swap_remove(0)
}
