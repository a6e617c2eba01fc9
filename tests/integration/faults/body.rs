//! Bodies of 500 MB: valid ones are processed with little memory, invalid ones are interrupted.

use std::process::Command as Builder;
use std::time::Instant;

use serde_json::{Value, json};

use super::plugin::{CANARY, GEMINI, Language, OPENAI, Outcome, Plugin, healthy, llm, send};
use super::table::Table;
use super::upstream::packed;
use crate::support::scripted::{Scripted, Step, event_stream};

const MEGABYTE: usize = 1 << 20;
const SIZE: usize = 500 * MEGABYTE;

/// A body without events, which is reported at its end.
const SILENT: &str = "incomplete|cannot parse|cannot read";

/// Reads the output of a session without storing it. Returns the number of characters, and its error.
async fn drain(plugin: &mut Plugin, session: &str) -> (usize, Option<Value>) {
    let (mut characters, mut error) = (0, None);
    let ours = format!("\"session_id\":\"{session}\"");
    loop {
        let line = plugin.line().await.expect("the process ended");
        if !line.contains(&ours) {
            continue;
        }
        if line.contains("\"type\":\"stream\"") {
            let at = line.find("\"content\":\"").unwrap() + 11;
            characters += line[at..].find('"').unwrap();
            continue;
        }
        let line: Value = serde_json::from_str(&line).unwrap();
        match line["data"]["type"].as_str() {
            Some("error") => error = Some(line["data"]["data"].clone()),
            _ => return (characters, error),
        }
    }
}

fn embedding(session: &str, address: &str) -> String {
    let line = json!({"session_id": session, "event": "request", "data": {"user_id": "u", "type": "model",
        "action": "invoke_text_embedding", "provider": "ai-gateway", "model": "m", "model_type": "text-embedding",
        "credentials": {"auth_method": "api_key", "api_key": CANARY, "endpoint_url": format!("{address}/v1"),
            "max_retries": "0"}, "texts": ["a"], "input_type": "document"}});
    format!("{line}\n")
}

fn head(status: &str, kind: &str) -> Step {
    let length = if status == "200 OK" { String::new() } else { format!("content-length: {SIZE}\r\n") };
    Step::Send(format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n{length}\r\n").into_bytes())
}

/// A hundred megabytes of one character, compressed with `gzip`.
fn bomb() -> Vec<u8> {
    let script = "head -c 100000000 /dev/zero | tr '\\0' a | gzip";
    let packed = Builder::new("sh").args(["-c", script]).output().unwrap().stdout;
    assert!((1000..200_000).contains(&packed.len()), "{} bytes", packed.len());
    packed
}

#[tokio::test]
async fn a_body_of_half_a_gigabyte_needs_little_memory() {
    let pieces = |language: &Language| {
        let piece = language.piece.replace("\"x\"", &format!("\"{}\"", "x".repeat(MEGABYTE)));
        vec![event_stream(), Step::Times(piece.into_bytes(), SIZE / MEGABYTE), send(language.hello)]
    };
    let again = |bytes: Vec<u8>| {
        let times = SIZE / bytes.len();
        Step::Times(bytes, times)
    };
    let json = "application/json";
    let chat = |address: &str| llm("large", address, &json!({}));
    let compatible = |address: &str| OPENAI.chat("large", address, &json!({}));
    let embed = |address: &str| embedding("large", address);
    type Ask<'a> = &'a dyn Fn(&str) -> String;
    let cases: [(&str, Ask<'_>, Vec<Step>, &str); 8] = [
        ("a valid stream, OpenAI-compatible", &compatible, pieces(&OPENAI), ""),
        (
            "a valid stream, Gemini, whose answers are kept until their end",
            &chat,
            pieces(&GEMINI),
            "would have to be buffered",
        ),
        ("a line without an end", &chat, vec![event_stream(), again(vec![b'a'; MEGABYTE])], "larger than"),
        ("a line without an end, 100 MB in 100 KB of gzip", &chat, packed(&bomb()), "more than 100 times its size"),
        (
            "lines that are no events",
            &chat,
            vec![event_stream(), again(b"invalid\n".repeat(8192))],
            "unexpected plain-text response",
        ),
        ("keep-alive comments", &chat, vec![event_stream(), again(b": ping\n\n".repeat(8192))], SILENT),
        ("an error's body", &chat, vec![head("500 Internal Server Error", json), again(vec![b'a'; MEGABYTE])], "500"),
        ("a JSON answer (embeddings)", &embed, vec![head("200 OK", json), again(vec![b'['; MEGABYTE])], "larger than"),
    ];
    let neighbor = healthy().await;
    let mut table = Table::new("body");
    for (fault, ask, script, word) in cases {
        let upstream = Scripted::start(vec![script]).await;
        let mut plugin = Plugin::start("");
        let start = Instant::now();
        plugin.send(&ask(&upstream.url)).await;
        let (characters, error) = drain(&mut plugin, "large").await;
        let outcome = Outcome { text: String::new(), error, took: start.elapsed() };
        plugin.neighbor(&neighbor, fault).await;
        let peak = plugin.peak();
        if word.is_empty() {
            assert_eq!((characters, &outcome.error), (SIZE + 5, &None), "{fault}");
            assert!(peak < 250, "{fault}: {peak} MB");
        } else {
            assert!(
                outcome.error.is_some() && word.split('|').any(|word| outcome.message().contains(word)),
                "{fault}: {outcome:?}"
            );
            assert!(peak < 400, "{fault}: {peak} MB");
        }
        table.outcome(fault, &outcome, &plugin);
        plugin.finish().await;
    }
    table.write();
}
