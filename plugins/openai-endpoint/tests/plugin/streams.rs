//! Streams under the rules of Dify's daemon: fast answers, slow readers, silence, and clients that disconnect. In virtual time.

use std::time::Duration;

use dify_plugin::testing::{Answer, Host};
use serde_json::{Value, json};

use crate::support::{call, chat, chunk, events, host, joined, post, settings, text};

fn words(count: usize, interval: Duration) -> Answer {
    let words = (0..count).map(|index| chunk(json!(format!("{index} ")), json!([]), json!(null)));
    Answer::stream(words.chain([chunk(json!(""), json!([]), json!("stop"))])).every(interval)
}

fn streamed() -> dify_plugin::http::Request<Vec<u8>> {
    post("/v1/chat/completions", &chat(json!({"stream": true})))
}

fn numbers(count: usize) -> String {
    (0..count).map(|index| format!("{index} ")).collect()
}

#[tokio::test(start_paused = true)]
async fn no_part_of_a_fast_answer_is_lost() {
    for (count, interval) in [(1, 0), (2, 0), (3, 1), (300, 0), (200, 1), (50, 30), (5, 500)] {
        let host = host().endpoint_race().slow_reader(Duration::from_millis(10));
        let host = host.on_llm(move |_| words(count, Duration::from_millis(interval)));
        let response = call(&host, streamed()).await.unwrap();
        assert_eq!(joined(&text(&response))["text"], numbers(count), "{count} words, {interval} ms apart");
    }
}

/// Reads a session item by item: the times of the items, and their bytes.
async fn items(host: &Host, most: usize) -> Vec<(Duration, String)> {
    let started = tokio::time::Instant::now();
    let mut session = host.endpoint(streamed()).settings(settings()).start();
    let mut items = Vec::new();
    while items.len() < most
        && let Some(item) = session.next().await
    {
        let item = item.unwrap();
        let hex = item["result"].as_str().unwrap_or_default();
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        items.push((started.elapsed(), String::from_utf8(bytes).unwrap()));
    }
    items
}

#[tokio::test(start_paused = true)]
async fn the_first_word_does_not_wait_for_the_second() {
    let host = host().on_llm(|_| words(3, Duration::from_secs(2)));
    let items = items(&host, usize::MAX).await;
    assert!(items[0].0 < Duration::from_millis(5) && items[0].1.contains("\"0 \""), "{items:?}");
    assert!(items[1].0 >= Duration::from_secs(2) && items[1].1.contains("\"1 \""), "{items:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_with_comments() {
    let host = host().on_llm(|_| words(2, Duration::from_secs(40)).after(Duration::from_secs(40)));
    let items = items(&host, usize::MAX).await;
    let longest = items.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!(items[0].0 <= Duration::from_secs(16) && longest <= Duration::from_secs(16), "{items:?}");
    let body: String = items.into_iter().map(|(_, text)| text).collect();
    assert_eq!(joined(&body)["text"], "0 1 ");
    assert!(body.contains("\n\n: waiting\n\n"));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_never_ends_is_a_timeout() {
    let host = host().on_llm(|_| words(1, Duration::ZERO).unfinished());
    let response = call(&host, streamed()).await.unwrap();
    let events = events(&text(&response));
    assert_eq!(events.last().unwrap()["error"]["code"], "timeout");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_the_call() {
    // Dify says so, or the connection to it ends.
    for cancels in [true, false] {
        let host = host().on_llm(|_| words(1_000, Duration::from_secs(1)));
        let mut session = host.endpoint(streamed()).settings(settings()).start();
        session.next().await.unwrap().unwrap();
        if cancels {
            session.cancel();
            let mut after = 0;
            while let Some(Ok(_)) = session.next().await {
                after += 1;
            }
            assert!(after < 5, "{after} items after the client had left");
        }
        drop(session);
        // The plugin is free for others.
        let response = call(&host, post("/v1/chat/completions", &chat(json!({"model": "nothing"})))).await.unwrap();
        assert_eq!(response.status(), 404);
    }
}

#[tokio::test(start_paused = true)]
async fn repeated_and_foreign_events_do_not_confuse_an_answer() {
    let host = host().on_llm(|_| words(3, Duration::from_millis(30)).with_foreign_events());
    let response = call(&host, streamed()).await.unwrap();
    assert_eq!(joined(&text(&response))["text"], numbers(3));
}

#[tokio::test(start_paused = true)]
async fn many_streams_do_not_mix() {
    let host = host().on_llm(|call| {
        let name = call.prompt();
        let words = (0..20).map(move |_| chunk(json!(name), json!([]), json!(null)));
        Answer::stream(words.collect::<Vec<Value>>()).every(Duration::from_millis(7))
    });
    let streams = (0..50).map(|number| {
        let messages = json!([{"role": "user", "content": format!("<{number}>")}]);
        let request = post("/v1/chat/completions", &chat(json!({"stream": true, "messages": messages})));
        let host = &host;
        async move { (number, call(host, request).await.unwrap()) }
    });
    for (number, response) in futures_util::future::join_all(streams).await {
        assert_eq!(joined(&text(&response))["text"], format!("<{number}>").repeat(20));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_does_not_end_the_plugin() {
    let host = host().on_llm(|_| words(2, Duration::from_millis(30)));
    let mut session = host.endpoint(streamed()).settings(settings()).start();
    session.next().await.unwrap().unwrap();
    host.disconnect();
    while let Some(Ok(_)) = session.next().await {}
    let response = call(&host, streamed()).await.unwrap();
    assert_eq!(joined(&text(&response))["text"], "0 1 ");
}
