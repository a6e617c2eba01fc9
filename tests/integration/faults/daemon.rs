//! Faults of the plugin daemon: invalid lines, a daemon that does not read or disconnects, and very many sessions.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::plugin::{GEMINI, OPENAI, Plugin, healthy, llm, send};
use super::table::Table;
use crate::support::scripted::{Scripted, Step, event_stream};

/// Returns the first warning of a log, without its time.
fn warning(log: &str) -> &str {
    log.lines().find_map(|line| line.find("WARN").map(|at| &line[at..])).unwrap_or("–")
}

#[tokio::test]
async fn lines_without_a_request_have_no_effect() {
    let upstream = healthy().await;
    let request = llm("whole", &upstream.url, &json!({}));
    let (half, rest) = request.split_at(request.len() / 2);
    let longest = [half.as_bytes(), &vec![b'x'; 300 << 20], b"\n"].concat();
    let large = llm("whole", &upstream.url, &json!({"extra_headers": "x".repeat(100 << 20)}));
    let unreadable = "cannot parse a line from the plugin daemon";
    // Fault, what is written, a word of the log, and of the answer to the session `whole` if it is asked for.
    type Case = (&'static str, Vec<Vec<u8>>, &'static str, Option<&'static str>);
    let payload =
        |data: String| format!("{{\"session_id\":\"whole\",\"event\":\"request\",\"data\":{data}}}\n").into_bytes();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let quotes = json!("\"".repeat(10_000)).to_string();
    let cases: [Case; 10] = [
        ("a line that is no JSON", vec![b"{oops\n".to_vec()], unreadable, None),
        ("bytes that are no UTF-8", vec![b"\xff\xfe\xc3(\n".to_vec()], unreadable, None),
        ("brackets, two thousand deep", vec![[vec![b'['; 2000], b"\n".to_vec()].concat()], unreadable, None),
        ("a line of 100 MB", vec![[vec![b'x'; 100 << 20], b"\n".to_vec()].concat()], unreadable, None),
        ("a request of 100 MB", vec![large.into_bytes()], "", Some("`extra_headers`")),
        ("a request of 300 MB", vec![longest], "too long", Some("too large")),
        ("100,000 empty lines", vec![b"\n".repeat(100_000)], "", None),
        ("a request of brackets, ten thousand deep", vec![payload(deep)], "", Some("expected an object")),
        ("a request of ten thousand quotes", vec![payload(quotes)], "", Some("expected an object")),
        ("half a line, and the rest later", vec![half.into(), rest.into()], "", Some("")),
    ];
    let mut table = Table::new("daemon-lines");
    for (fault, pieces, word, answer) in cases {
        let mut plugin = Plugin::start("");
        let start = Instant::now();
        for piece in pieces {
            plugin.send(piece).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if let Some(answer) = answer {
            let outcome = plugin.outcomes(&["whole"]).await.remove(0);
            assert_eq!(outcome.error.is_some(), !answer.is_empty(), "{fault}: {outcome:?}");
            assert!(outcome.message().contains(answer) && outcome.message().len() < 1000, "{fault}: {outcome:?}");
            table.outcome(fault, &outcome, &plugin);
        }
        plugin.neighbor(&upstream, fault).await;
        let (took, peak) = (start.elapsed(), plugin.peak());
        assert!(peak < 1200, "{fault}: {peak} MB");
        let log = plugin.finish().await;
        assert!(log.contains(word), "{fault}: {log}");
        if answer.is_none() {
            table.row(fault, "the line", warning(&log), took, peak);
        }
    }
    table.write();
}

/// Sessions, and the text of each.
const STREAMS: usize = 40;
const PIECES: usize = 5000;
const PIECE: usize = 1000;

#[tokio::test]
async fn a_daemon_that_stops_reading_loses_nothing_and_needs_little_memory() {
    let piece = OPENAI.piece.replace("\"x\"", &format!("\"{}\"", "x".repeat(PIECE)));
    let script = vec![event_stream(), Step::Times(piece.into_bytes(), PIECES), send(OPENAI.hello)];
    let upstream = Scripted::start(vec![script]).await;
    let mut plugin = Plugin::start("");
    let mut texts: HashMap<String, usize> = (0..STREAMS).map(|number| (format!("s{number}"), 0)).collect();
    let start = Instant::now();
    for session in texts.keys() {
        plugin.send(OPENAI.chat(session, &upstream.url, &OPENAI.waits(Duration::from_secs(5)))).await;
    }
    // Longer than the idle timeout: a daemon that does not read must not count as a silent upstream.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let held = plugin.peak();
    let mut ended = 0;
    while ended < STREAMS {
        let line: Value = serde_json::from_str(&plugin.line().await.expect("the process ended")).unwrap();
        let Some(text) = line["session_id"].as_str().and_then(|session| texts.get_mut(session)) else { continue };
        match line["data"]["type"].as_str() {
            Some("stream") => {
                let content = line["data"]["data"]["delta"]["message"]["content"].as_str();
                *text += content.unwrap_or_default().len();
            }
            Some("end") => ended += 1,
            other => panic!("{other:?}: {line}"),
        }
    }
    assert!(texts.values().all(|length| *length == PIECES * PIECE + "Hello".len()), "{texts:?}");
    assert!(held < 190 && plugin.peak() < 500, "{held} MB while nothing was read, then {} MB", plugin.peak());
    let mut table = Table::new("daemon-silence");
    let fault = format!("nothing is read for 7 s, {STREAMS} streams of {} MB", PIECES * PIECE / 1_000_000);
    let report = format!("– ({held} MB while nothing was read)");
    table.row(&fault, "nothing", &report, start.elapsed(), plugin.peak());
    plugin.neighbor(&healthy().await, "a daemon that stopped reading").await;
    plugin.finish().await;
    table.write();
}

#[tokio::test]
async fn a_daemon_that_disconnects_ends_the_process_cleanly() {
    let mut table = Table::new("daemon-end");
    let pause = Step::Pause(Duration::from_millis(300));
    let slow = vec![event_stream(), send(GEMINI.piece), pause, send(GEMINI.hello)];
    let upstream = Scripted::start(vec![slow]).await;

    let mut plugin = Plugin::start("");
    plugin.neighbor(&healthy().await, "a daemon that disconnects").await;
    plugin.send(llm("open", &upstream.url, &json!({}))).await;
    let peak = plugin.peak();
    plugin.close_input().await;
    let outcome = plugin.outcomes(&["open"]).await.remove(0);
    assert_eq!((outcome.text.as_str(), &outcome.error), ("xHello", &None));
    plugin.finish().await;
    let report = "the session is finished first; exit code 0";
    table.row("the input is closed while a session is open", "nothing", report, outcome.took, peak);

    let mut plugin = Plugin::start("");
    plugin.neighbor(&healthy().await, "a daemon that disconnects").await;
    plugin.send("{\"session_id\": \"half\", \"event\": \"requ").await;
    let peak = plugin.peak();
    plugin.close_input().await;
    let outcome = plugin.outcomes(&["half"]).await.remove(0);
    assert!(outcome.message().contains("cannot parse the request"), "{outcome:?}");
    table.ended("half a line, and the input is closed", &outcome, peak);
    plugin.finish().await;

    let endless = vec![event_stream(), Step::Repeat(GEMINI.piece.into(), Duration::from_millis(20))];
    let upstream = Scripted::start(vec![endless]).await;
    let mut plugin = Plugin::start("");
    plugin.send(llm("open", &upstream.url, &json!({}))).await;
    while !plugin.line().await.unwrap().contains("\"open\"") {}
    let (start, peak) = (Instant::now(), plugin.peak());
    plugin.hang_up().await;
    let took = start.elapsed();
    while upstream.open_connections() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let report = "the calls of the upstream are dropped; exit code 0";
    table.row(
        "the output is closed in the middle of a stream",
        "the open sessions, without an error",
        report,
        took,
        peak,
    );
    table.write();
}

#[tokio::test]
async fn completes_ten_thousand_concurrent_sessions() {
    let upstream = healthy().await;
    let mut plugin = Plugin::start("");
    let seen = plugin.many(10_000, &upstream.url).await;
    assert_eq!((seen.answered, seen.report.as_str()), (10_000, "–"));
    let peak = plugin.peak();
    assert!(peak < 800, "{peak} MB");
    let mut table = Table::new("daemon-many");
    table.row("ten thousand concurrent sessions", &seen.lost(), &seen.report, seen.took, peak);
    plugin.finish().await;
    table.write();
}
