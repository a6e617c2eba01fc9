//! Calls against a daemon that is played here, line by line.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::plugin::dify::{Calls, Dify, DifyFacts};
use crate::protocol::backwards::{
    AppEvent, AppInvocation, DifyErrorKind, ModelConfig, StorageInvocation, StorageOperation, StorageResult,
};
use crate::runtime::backwards::OpenCalls;
use crate::runtime::places::Places;
use crate::runtime::received::Received;
use crate::runtime::responder::{Outcome, Responder};
use crate::transport::line_queue::{self, LineReceiver};

/// A session, and the daemon's side of its connection.
struct Played {
    waiters: Waiters,
    lines: LineReceiver,
    responder: Option<Responder>,
    open: Option<OpenCalls>,
    dify: Dify,
    places: Places,
}

impl Played {
    async fn with(options: BackwardsOptions) -> Self {
        let (sender, lines) = line_queue::queue(1000, 8 * 1024 * 1024);
        let responder = Responder::new(sender.with_max_line_bytes(4096), Arc::from("s"));
        let places = Places::new(1);
        let waiters = Waiters::new(options);
        let place = Lendable::new(places.place().await);
        let open = OpenCalls::new(waiters.session(responder.ending().clone(), place.clone()), place);
        let dify = Dify::new(open.handle(), DifyFacts::default());
        Self { waiters, lines, responder: Some(responder), open: Some(open), dify, places }
    }

    async fn new() -> Self {
        Self::with(BackwardsOptions::default()).await
    }

    /// The next line that the plugin wrote.
    async fn line(&mut self) -> Value {
        serde_json::from_slice(&self.lines.recv().await.unwrap().lines).unwrap()
    }

    /// The ID of the next call that the plugin made.
    async fn id(&mut self) -> String {
        let line = self.line().await;
        assert_eq!((&line["event"], &line["data"]["type"]), (&json!("session"), &json!("invoke")), "{line}");
        line["data"]["data"]["backwards_request_id"].as_str().unwrap().to_owned()
    }

    fn event(&self, id: &str, event: &str, message: &str, data: Value) {
        receive(&self.waiters, event_line(id, event, message, data));
    }

    fn response(&self, id: &str, data: Value) {
        self.event(id, "response", "stream", data);
    }

    fn waiting(&self) -> usize {
        self.waiters.0.table().calls.len()
    }

    async fn app(&self) -> Calls<AppEvent> {
        self.dify.call(AppInvocation { app_id: "app".to_owned(), ..AppInvocation::default() }).await.unwrap()
    }
}

/// Hands a line over as the sessions of a connection do.
fn receive(waiters: &Waiters, line: Vec<u8>) {
    match Received::of(&line) {
        Received::BackwardsResponse(data) => waiters.take(line, data),
        _ => waiters.take_broken(&line),
    }
}

fn event_line(id: &str, event: &str, message: &str, data: Value) -> Vec<u8> {
    let data = json!({"backwards_request_id": id, "event": event, "message": message, "data": data});
    let line = json!({"session_id": "s", "conversation_id": null, "context": null, "event": "backwards_response",
        "data": data});
    line.to_string().into_bytes()
}

fn kind<T: std::fmt::Debug>(outcome: Option<Result<T, DifyError>>) -> DifyErrorKind {
    outcome.unwrap().unwrap_err().kind
}

#[tokio::test]
async fn a_call_is_one_line_and_its_responses_come_in_order() {
    let mut played = Played::new().await;
    let mut calls = played.app().await;
    let line = played.line().await;
    assert_eq!(line["session_id"], "s");
    assert_eq!(line["data"]["data"]["type"], "app");
    assert_eq!(line["data"]["data"]["request"]["app_id"], "app");
    let id = line["data"]["data"]["backwards_request_id"].as_str().unwrap().to_owned();
    for number in 0..3 {
        played.response(&id, json!({"event": "message", "answer": number.to_string()}));
    }
    played.event(&id, "end", "", Value::Null);
    for number in 0..3 {
        assert_eq!(calls.next().await.unwrap().unwrap().answer(), number.to_string());
    }
    assert!(calls.next().await.is_none() && calls.next().await.is_none());
    assert_eq!(played.waiting(), 0);
}

#[tokio::test]
async fn calls_and_results_keep_their_order_on_the_wire() {
    let mut played = Played::new().await;
    let mut responder = played.responder.take().unwrap();
    responder.push(&json!("before")).unwrap();
    responder.flush().await.unwrap();
    let call = played.app().await;
    responder.push(&json!("after")).unwrap();
    responder.end().await.unwrap();
    assert_eq!(played.line().await["data"]["data"], "before");
    played.id().await;
    let rest = played.lines.recv().await.unwrap().lines;
    assert!(std::str::from_utf8(&rest).unwrap().contains("after"));
    drop(call);
}

#[tokio::test]
async fn the_waiter_is_there_before_the_line_is() {
    let played = Played::new().await;
    let Played { waiters, mut lines, dify, .. } = played;
    // Answers each line as soon as it can be read.
    let daemon = tokio::spawn(async move {
        while let Some(batch) = lines.recv().await {
            let line: Value = serde_json::from_slice(&batch.lines).unwrap();
            let id = line["data"]["data"]["backwards_request_id"].as_str().unwrap();
            receive(&waiters, event_line(id, "response", "struct", json!({"data": "00ff"})));
            receive(&waiters, event_line(id, "end", "", Value::Null));
        }
    });
    for _ in 0..100 {
        assert_eq!(dify.storage().get("k").await.unwrap().unwrap()[..], [0x00, 0xff]);
    }
    daemon.abort();
}

#[tokio::test]
async fn concurrent_calls_get_their_own_responses() {
    let mut played = Played::new().await;
    let calls: Vec<_> = (0..500)
        .map(|number| {
            let dify = played.dify.clone();
            tokio::spawn(async move {
                let model = ModelConfig::new("p", format!("m{number}"));
                dify.llm(&model).user("hi").whole().await.map(|result| result.text())
            })
        })
        .collect();
    let mut ids = Vec::new();
    for _ in 0..500 {
        let line = played.line().await;
        let data = &line["data"]["data"];
        let model = data["request"]["model"].as_str().unwrap().to_owned();
        ids.push((data["backwards_request_id"].as_str().unwrap().to_owned(), model));
    }
    let chunk =
        |text: &str| json!({"model": "m", "delta": {"index": 0, "message": {"role": "assistant", "content": text}}});
    ids.iter().for_each(|(id, model)| played.response(id, chunk(model)));
    ids.iter().rev().for_each(|(id, _)| played.response(id, chunk("!")));
    ids.iter().for_each(|(id, _)| played.event(id, "end", "", Value::Null));
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), format!("m{number}!"));
    }
    assert_eq!(played.waiting(), 0);
}

#[tokio::test]
async fn an_error_ends_its_call_and_no_other() {
    let mut played = Played::new().await;
    let (mut first, mut second) = (played.app().await, played.app().await);
    let (first_id, second_id) = (played.id().await, played.id().await);
    played.response(&first_id, json!({"answer": "so far"}));
    played.event(&first_id, "error", "invoke app failed: request failed: app not found", Value::Null);
    played.event(&first_id, "end", "", Value::Null);
    played.response(&second_id, json!({"answer": "whole"}));
    played.event(&second_id, "end", "", Value::Null);
    assert_eq!(first.next().await.unwrap().unwrap().answer(), "so far");
    assert_eq!(kind(first.next().await), DifyErrorKind::NotFound);
    assert!(first.next().await.is_none());
    assert_eq!(second.all().await.as_deref().map(<[_]>::len), Ok(1));
    second = played.app().await;
    drop(second);
}

#[tokio::test]
async fn what_belongs_to_no_call_is_dropped() {
    let mut played = Played::new().await;
    let calls = played.app().await;
    let id = played.id().await;
    let unknown = ["", "x", "1-0", &id[..id.len() - 1], &format!("{id}0"), &id.replace('-', "--")];
    for unknown in unknown {
        played.response(unknown, json!({"answer": "not yours"}));
        played.event(unknown, "error", "not yours", Value::Null);
    }
    for broken in ["{}", "", "[]", "null", r#"{"session_id":"s","event":"backwards_response"}"#] {
        receive(&played.waiters, broken.as_bytes().to_vec());
    }
    played.event(&id, "progress", "", Value::Null);
    // Another connection's calls have other names.
    assert!(Waiters::new(BackwardsOptions::default()).0.key(&id).is_none());
    played.response(&id, json!({"answer": "yours"}));
    played.event(&id, "end", "", Value::Null);
    // Late ones, too.
    played.response(&id, json!({"answer": "late"}));
    played.event(&id, "end", "", Value::Null);
    assert_eq!(calls.all().await.unwrap()[0].answer(), "yours");
}

#[tokio::test]
async fn a_response_that_cannot_be_read_fails_its_call_only() {
    let mut played = Played::new().await;
    let first = played.dify.call(StorageInvocation::new(StorageOperation::Get, "k").unwrap()).await.unwrap();
    let mut second = played.app().await;
    let (first_id, second_id) = (played.id().await, played.id().await);
    // The line is whole, but not what the call has; the other line is cut.
    played.response(&first_id, json!("x"));
    let line = event_line(&second_id, "response", "", json!({"answer": "x"}));
    receive(&played.waiters, line[..line.len() - 1].to_vec());
    let error = first.one().await.map(|result: StorageResult| result.bytes()).unwrap_err();
    assert_eq!(error.kind, DifyErrorKind::Malformed);
    assert_eq!(kind(second.next().await), DifyErrorKind::Malformed);
    let mut third = played.app().await;
    let id = played.id().await;
    played.response(&id, json!(5));
    played.response(&id, json!({"answer": "behind it"}));
    assert_eq!(kind(third.next().await), DifyErrorKind::Malformed);
    assert!(third.next().await.is_none());
    assert_eq!(played.waiting(), 0);
}

#[tokio::test]
async fn the_end_of_the_session_fails_what_waits_and_what_comes() {
    let mut played = Played::new().await;
    let mut call = played.app().await;
    let id = played.id().await;
    played.response(&id, json!({"answer": "in time"}));
    drop(played.open.take());
    played.response(&id, json!({"answer": "late"}));
    assert_eq!(call.next().await.unwrap().unwrap().answer(), "in time");
    let error = call.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind, DifyErrorKind::SessionEnded);
    assert!(error.to_string().contains("600 s"), "{error}");
    let late = played.dify.storage().get("k").await.unwrap_err();
    assert_eq!(late.kind, DifyErrorKind::SessionEnded);
    assert!(played.lines.try_recv().is_err(), "nothing is written for a session that is over");
    assert_eq!(played.waiting(), 0);
}

#[tokio::test]
async fn nothing_is_written_after_the_ending() {
    let mut played = Played::new().await;
    let responder = played.responder.take().unwrap();
    let ending = responder.ending().clone();
    responder.end().await.unwrap();
    assert_eq!(played.line().await["data"]["type"], "end");
    let error = played.dify.storage().get("k").await.unwrap_err();
    assert_eq!(error.kind, DifyErrorKind::SessionEnded);
    assert!(played.lines.try_recv().is_err());
    assert_eq!(played.waiting(), 0);
    ending.stop(Outcome::Cancelled);
}

#[tokio::test]
async fn a_daemon_that_is_gone_fails_the_call() {
    let Played { lines, dify, waiters, open, .. } = Played::new().await;
    drop(lines);
    assert_eq!(dify.storage().get("k").await.unwrap_err().kind, DifyErrorKind::SessionEnded);
    assert_eq!(waiters.0.table().calls.len(), 0);
    drop(open);
}

#[tokio::test]
async fn a_dropped_call_waits_no_more() {
    let mut played = Played::new().await;
    let call = played.app().await;
    let id = played.id().await;
    assert_eq!(played.waiting(), 1);
    drop(call);
    assert_eq!(played.waiting(), 0);
    played.response(&id, json!({"answer": "late"}));
    // The future of a call that waits for its response, too.
    let dify = played.dify.clone();
    let call = tokio::spawn(async move { dify.storage().get("k").await });
    played.id().await;
    assert_eq!(played.waiting(), 1);
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(played.waiting(), 0);
}

#[tokio::test]
async fn unread_responses_are_limited_in_bytes() {
    let length = event_line("", "response", "stream", json!({"answer": "x".repeat(1000)})).len();
    for (max_call_bytes, max_held_bytes, limit) in
        [(3 * length, usize::MAX, "this call"), (usize::MAX, 3 * length, "all calls")]
    {
        let mut played =
            Played::with(BackwardsOptions { max_call_bytes, max_held_bytes, ..BackwardsOptions::default() }).await;
        let mut call = played.app().await;
        let id = played.id().await;
        let send = || played.response(&id, json!({"answer": "x".repeat(900)}));
        // What is read makes room for more.
        for _ in 0..10 {
            send();
            send();
            call.next().await.unwrap().unwrap();
            call.next().await.unwrap().unwrap();
        }
        (0..10).for_each(|_| send());
        let mut read = 0;
        let error = loop {
            match call.next().await.unwrap() {
                Ok(_) => read += 1,
                Err(error) => break error,
            }
        };
        assert!((1..=3).contains(&read), "{read}");
        assert!(error.kind == DifyErrorKind::TooLarge && error.message.contains(limit), "{error}");
        assert_eq!(played.waiting(), 0);
        // What the call held is free again.
        let mut other = played.app().await;
        let id = played.id().await;
        played.response(&id, json!({"answer": "x".repeat(1000)}));
        other.next().await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_response_ends_after_240_s() {
    let mut played = Played::new().await;
    let started = Instant::now();
    let error = played.dify.storage().get("k").await.unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 240);
    assert_eq!(error.kind, DifyErrorKind::TimedOut);
    let text = error.to_string();
    assert!(text.contains("240 s") && text.contains("DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT"), "{text}");
    let id = played.id().await;
    assert_eq!(played.waiting(), 0);
    played.response(&id, json!({"data": "00"}));
    let quick = played.dify.with_timeout(Duration::from_secs(5));
    let started = Instant::now();
    assert!(quick.storage().get("k").await.unwrap_err().message.contains("5 s"));
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_has_begun_has_as_long_again() {
    let mut played = Played::new().await;
    let mut call = played.app().await;
    let id = played.id().await;
    let started = Instant::now();
    tokio::time::sleep(Duration::from_secs(200)).await;
    played.response(&id, json!({"answer": "first"}));
    call.next().await.unwrap().unwrap();
    // Dify counts from here on, whatever comes later.
    tokio::time::sleep(Duration::from_secs(200)).await;
    played.response(&id, json!({"answer": "second"}));
    call.next().await.unwrap().unwrap();
    assert_eq!(kind(call.next().await), DifyErrorKind::TimedOut);
    assert_eq!(started.elapsed().as_secs(), 440);
}

#[tokio::test]
async fn a_line_is_measured_before_it_is_written() {
    let mut played = Played::new().await;
    let error = played.dify.storage().set("k", [0; 2048]).await.unwrap_err();
    assert_eq!(error.kind, DifyErrorKind::TooLarge);
    let text = error.to_string();
    assert!(text.contains("limit 4096") && text.contains("PLUGIN_STDIO_MAX_BUFFER_SIZE"), "{text}");
    assert!(played.lines.try_recv().is_err() && played.waiting() == 0);
    // One that fits is written.
    let _ = played.dify.call(StorageInvocation::new(StorageOperation::Set, "k").unwrap().with_value(&[0; 1900])).await;
    assert!(played.lines.try_recv().is_ok());
}

#[tokio::test]
async fn a_session_that_waits_lends_its_place() {
    let mut played = Played::new().await;
    let dify = played.dify.clone();
    let call = tokio::spawn(async move {
        let read = dify.storage().get("k").await;
        // Both sessions work now.
        tokio::task::yield_now().await;
        read
    });
    let id = played.id().await;
    let inner = played.places.place().await.unwrap();
    played.response(&id, json!({"data": "00"}));
    played.event(&id, "end", "", Value::Null);
    // Taking the place back does not wait for the inner session.
    assert!(call.await.unwrap().unwrap().is_some());
    drop(inner);
    drop(played.open.take());
    played.places.place().await.unwrap();
}
