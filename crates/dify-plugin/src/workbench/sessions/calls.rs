//! A call of the page as a session: the credentials are added here, its events are streamed as they come, and a page that leaves
//! cancels it as the daemon would.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_stream::stream;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::record::{Record, mask};
use super::{Live, answers, locked};
use crate::daemon::{Invoke, Link, Replies, SessionEvent, SessionEvents};
use crate::upstream::recording::Scrubber;
use crate::workbench::credentials;
use crate::workbench::error::ApiError;
use crate::workbench::filter;
use crate::workbench::state::{Notice, Workbench};

/// How long a call back waits for an answer by hand: as long as the daemon waits for Dify.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(240);

/// Members of a request whose fields may be secrets.
const SECRET_MEMBERS: [&str; 4] = ["/credentials", "/settings", "/system_credentials", PROPERTIES];

/// What a plugin knows of a subscription, in requests and in items.
const SUBSCRIPTION: &str = "subscription";
const PROPERTIES: &str = "/subscription/properties";

/// What the page asks for.
#[derive(Deserialize)]
pub(super) struct Call {
    action: String,
    #[serde(rename = "type")]
    access_type: String,
    #[serde(default)]
    data: Map<String, Value>,
    /// Key of stored credentials.
    #[serde(default)]
    credentials: Option<String>,
    #[serde(default)]
    answers: Answering,
}

/// Who answers calls back.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answering {
    /// The script.
    #[default]
    Scripted,
    /// The user of the page.
    Typed,
}

/// A session that the page listens to.
struct Running {
    workbench: Arc<Workbench>,
    record: Arc<Mutex<Record>>,
    id: String,
    events: SessionEvents,
    calls: mpsc::Receiver<(Invoke, Replies)>,
    answering: Answering,
    _link: Arc<Link>,
}

impl Running {
    fn end(&self, state: &'static str, error: Option<(String, String)>) {
        locked(&self.record).end(state, error);
        self.workbench.sessions.live().remove(&self.id);
        self.workbench.notify(Notice { event: "session", data: locked(&self.record).summary() });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if locked(&self.record).state == "running" {
            locked(&self.record).frame("in", "request", &json!({"session_id": self.id, "event": "cancel"}).to_string());
            self.events.cancel();
            self.end("cancelled", None);
        }
    }
}

/// Starts a session and streams its events.
pub(super) fn start(
    workbench: Arc<Workbench>,
    call: Call,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let mut running = open(workbench, call)?;
    let events = stream! {
        yield event("begun", &json!({ "session": running.id }));
        loop {
            tokio::select! {
                biased;
                Some((call, replies)) = running.calls.recv() => yield call_back(&running, &call, replies),
                next = running.events.next() => {
                    let at = locked(&running.record).now();
                    let (name, data) = match next {
                        SessionEvent::Item(item) => {
                            let item = shown_item(&running, item);
                            yield event("item", &json!({"at": at, "item": item}));
                            continue;
                        }
                        SessionEvent::Ended => {
                            running.end("ended", None);
                            ("ended", json!({ "at": at }))
                        }
                        SessionEvent::Failed(error) => {
                            let message = locked(&running.record).shown(&error.message);
                            let kind = locked(&running.record).shown(&error.kind);
                            running.end("failed", Some((kind.clone(), message.clone())));
                            ("failed", json!({"at": at, "kind": kind, "message": message}))
                        }
                        SessionEvent::Closed(reason) => {
                            let reason = locked(&running.record).shown(&reason);
                            running.end("failed", Some(("PluginClosed".to_owned(), reason.clone())));
                            ("failed", json!({"at": at, "kind": "PluginClosed", "message": reason}))
                        }
                    };
                    yield event(name, &data);
                    return;
                }
            }
        }
    };
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn event(name: &str, data: &Value) -> Result<Event, Infallible> {
    Ok(Event::default().event(name).data(data.to_string()))
}

/// Opens the session of a call.
fn open(workbench: Arc<Workbench>, call: Call) -> Result<Running, ApiError> {
    let Call { action, access_type, mut data, credentials: key, answers: answering } = call;
    let key = key.unwrap_or_default();
    let stored = workbench.credentials.values(&key);
    let stored = filter::passed(&workbench.read().view, &key, stored)
        .map_err(|why| ApiError::bad_request(why).with_hint("Dify refuses these credentials when they are saved."))?;
    data.insert("type".to_owned(), access_type.clone().into());
    data.insert("action".to_owned(), action.into());
    data.entry("user_id").or_insert_with(|| "workbench".into());
    let place = if access_type == "endpoint" { "settings" } else { "credentials" };
    let needs = !matches!(access_type.as_str(), "agent_strategy" | "oauth");
    if needs || !stored.is_empty() {
        data.insert(place.to_owned(), Value::Object(stored));
    }
    let properties = data.get_mut(SUBSCRIPTION).and_then(|subscription| subscription.get_mut("properties"));
    if let Some(properties) = properties.and_then(Value::as_object_mut) {
        let provider = key.strip_prefix("trigger/").unwrap_or_default();
        workbench.credentials.fill_properties(provider, properties);
    }
    let id = workbench.sessions.new_id();
    if data.contains_key("credential_type") && workbench.credentials.is_of_sign_in(&key) {
        data.insert("credential_type".to_owned(), "oauth2".into());
    }
    let mut request = Value::Object(data.clone());
    let fields: Vec<(&str, Map<String, Value>)> = SECRET_MEMBERS
        .into_iter()
        .filter_map(|member| Some((member, request.pointer(member)?.as_object()?.clone())))
        .collect();
    let is_secret = |name: &str| {
        let of_client = (access_type == "oauth").then(|| credentials::is_client_secret(&workbench, name)).flatten();
        of_client.unwrap_or_else(|| credentials::is_secret(&workbench, &key, name))
    };
    let (scrubber, shown) = Scrubber::of(&fields.iter().map(|(_, fields)| fields).collect::<Vec<_>>(), &is_secret);
    for ((member, _), shown) in fields.iter().zip(shown) {
        if let Some(member) = request.pointer_mut(member) {
            *member = shown.into();
        }
    }
    let envelope = json!({"session_id": id, "event": "request", "data": data});
    // A prompt may repeat a secret.
    let request: Value = serde_json::from_str(&scrubber.text(&request.to_string())).unwrap_or_default();
    let mut record = Record::new(id.clone(), request.clone(), Some(scrubber));
    record.frame("in", "request", &json!({"session_id": id, "event": "request", "data": request}).to_string());
    let record = workbench.sessions.remember(record);
    let (sender, calls) = mpsc::channel(workbench.limits.unread_calls);
    let live = Live { record: record.clone(), calls: sender, waiting: HashMap::new() };
    workbench.sessions.live().insert(id.clone(), live);
    match workbench.target.open(&workbench, &id, &envelope) {
        Ok((link, events)) => {
            workbench.notify(Notice { event: "session", data: locked(&record).summary() });
            Ok(Running { workbench, record, id, events, calls, answering, _link: link })
        }
        Err(error) => {
            let message = format!("{error:#}");
            workbench.sessions.live().remove(&id);
            locked(&record).end("failed", Some(("Workbench".to_owned(), message.clone())));
            Err(ApiError::new(axum::http::StatusCode::CONFLICT, message).with_hint("See Problems."))
        }
    }
}

/// Credentials that a plugin returns, such as the tokens of a sign-in, are kept for its calls, and are not for the page.
fn shown_item(running: &Running, mut item: Value) -> Value {
    let record = locked(&running.record);
    if record.returns_credentials() {
        let returned = item.get("credentials").and_then(Value::as_object);
        if let Some(fields) = returned.filter(|_| record.access_type == "oauth") {
            for kind in ["tool", "datasource", "trigger"] {
                running.workbench.credentials.keep_sign_in(&format!("{kind}/{}", record.provider), fields);
            }
        }
        // The page sends the properties of a subscription with its next calls: those that are no secrets as they are.
        let properties = item.pointer_mut(PROPERTIES).map(Value::take);
        mask(&mut item);
        if let Some(mut properties) = properties {
            credentials::keep_properties(&running.workbench, &record.provider, &mut properties);
            item[SUBSCRIPTION]["properties"] = properties;
        }
    }
    record.without_secrets(item)
}

/// Reports a call back to the page, and has it answered.
fn call_back(running: &Running, call: &Invoke, replies: Replies) -> Result<Event, Infallible> {
    let at = locked(&running.record).now();
    let (sessions, record) = (&running.workbench.sessions, &running.record);
    match running.answering {
        Answering::Scripted => {
            let events = match sessions.script().responses(call) {
                Ok(responses) => responses.into_iter().map(|data| answers::TypedEvent::Response { data }).collect(),
                Err(message) => vec![answers::TypedEvent::Error { message }],
            };
            answer(record, &call.request_id, &replies, &events);
        }
        Answering::Typed => {
            let over = replies.session().clone();
            if let Some(live) = sessions.live().get_mut(&running.id) {
                live.waiting.insert(call.request_id.clone(), replies);
            }
            let (workbench, session, id) = (running.workbench.clone(), running.id.clone(), call.request_id.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = over.cancelled() => return,
                    () = tokio::time::sleep(ANSWER_TIMEOUT) => {}
                }
                let message = format!("no answer was typed within {} s", ANSWER_TIMEOUT.as_secs());
                let _ = give(&workbench, &session, &id, &[answers::TypedEvent::Error { message }]);
            });
        }
    }
    let request = locked(record).without_secrets(Value::Object(call.request.clone()));
    let data = json!({"at": at, "call": call.request_id, "type": call.invoke_type, "request": request});
    event("callback", &data)
}

fn answer(record: &Mutex<Record>, call: &str, replies: &Replies, events: &[answers::TypedEvent]) {
    for event in events {
        let line = match event {
            answers::TypedEvent::Response { data } => json!({"event": "response", "data": data}),
            answers::TypedEvent::Error { message } => json!({"event": "error", "message": message}),
            answers::TypedEvent::End => continue,
        };
        let line = json!({"event": "backwards_response", "backwards_request_id": call, "data": line});
        locked(record).frame("in", "answer", &line.to_string());
    }
    answers::write(replies, events);
}

/// An answer that was typed.
#[derive(Deserialize)]
pub(super) struct Typed {
    call: String,
    events: Vec<answers::TypedEvent>,
}

/// Gives a typed answer to the call that waits for it.
pub(super) fn give_typed(workbench: &Workbench, session: &str, typed: &Typed) -> Result<(), ApiError> {
    give(workbench, session, &typed.call, &typed.events)
}

fn give(workbench: &Workbench, session: &str, call: &str, events: &[answers::TypedEvent]) -> Result<(), ApiError> {
    let missing = || ApiError::not_found("no call of this session waits for an answer under this ID");
    let (record, replies) = {
        let mut live = workbench.sessions.live();
        let live = live.get_mut(session).ok_or_else(missing)?;
        (live.record.clone(), live.waiting.remove(call).ok_or_else(missing)?)
    };
    answer(&record, call, &replies, events);
    Ok(())
}
