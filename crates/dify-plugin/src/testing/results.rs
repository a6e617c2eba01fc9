//! The results of the calls that are not messages, read as strictly as the daemon reads them.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Failure;
use crate::plugin::{Choice, CrawledPage, EventOutcome, OAuthCredentials, Subscription, Workspace};
use crate::protocol::datasource::DriveListing;

/// A crawled website.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Crawled {
    /// The pages of the last item.
    pub pages: Vec<CrawledPage>,
    /// `completed` and `total` of every item.
    pub progress: Vec<(u64, u64)>,
}

/// What a request to a subscription's URL led to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dispatched {
    /// Names of the events.
    pub events: Vec<String>,
    /// What each event gets.
    pub payload: Map<String, Value>,
    /// Who caused the events.
    pub user: String,
    /// What the caller gets.
    pub response: http::Response<Bytes>,
}

/// The items of a model call.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelOutputs {
    /// The items, as they are on the wire.
    pub items: Vec<Value>,
}

impl ModelOutputs {
    /// The text of a language model.
    pub fn text(&self) -> String {
        self.items.iter().filter_map(|item| item["delta"]["message"]["content"].as_str()).collect()
    }

    /// The tool calls of a language model.
    pub fn tool_calls(&self) -> Vec<Value> {
        let calls = self.items.iter().filter_map(|item| item["delta"]["message"]["tool_calls"].as_array());
        calls.flatten().cloned().collect()
    }

    /// The usage of a language model, which must come exactly once.
    pub fn usage(&self) -> Option<&Value> {
        let mut usages = self.items.iter().map(|item| &item["delta"]["usage"]).filter(|usage| !usage.is_null());
        usages.next().filter(|_| usages.next().is_none())
    }

    /// The last finish reason of a language model.
    pub fn finish_reason(&self) -> Option<&str> {
        self.items.iter().filter_map(|item| item["delta"]["finish_reason"].as_str()).next_back()
    }
}

#[derive(Deserialize)]
struct Listed<T> {
    result: T,
}

/// The only item, read as this type.
fn one<T: DeserializeOwned>(mut items: Vec<Value>) -> Result<T, Failure> {
    match (items.pop(), items.len()) {
        (Some(item), 0) => serde_json::from_value(item)
            .map_err(|error| Failure::dify(format!("the result is not as Dify expects it: {error}"))),
        (None, _) => Err(Failure::dify("the session ended without a result")),
        (Some(_), more) => Err(Failure::dify(format!("the session sent {} results instead of one", more + 1))),
    }
}

pub(super) fn raw(items: Vec<Value>) -> Result<Vec<Value>, Failure> {
    Ok(items)
}

pub(super) fn model(items: Vec<Value>) -> Result<ModelOutputs, Failure> {
    Ok(ModelOutputs { items })
}

pub(super) fn validated(items: Vec<Value>) -> Result<(), Failure> {
    match one::<Listed<bool>>(items)?.result {
        true => Ok(()),
        false => Err(Failure::dify("`result` is false: users see `Invalid credentials` without a reason")),
    }
}

pub(super) fn choices(items: Vec<Value>) -> Result<Vec<Choice>, Failure> {
    #[derive(Deserialize)]
    struct Wire {
        options: Vec<Choice>,
    }
    let choices = one::<Wire>(items)?.options;
    match choices.iter().find(|choice| !choice.label.contains_key("en_US")) {
        Some(choice) => Err(Failure::dify(format!("the label of the choice `{}` has no `en_US`", choice.value))),
        None => Ok(choices),
    }
}

pub(super) fn runtime_parameters(items: Vec<Value>) -> Result<Vec<Value>, Failure> {
    #[derive(Deserialize)]
    struct Wire {
        parameters: Vec<Value>,
    }
    Ok(one::<Wire>(items)?.parameters)
}

pub(super) fn crawled(items: Vec<Value>) -> Result<Crawled, Failure> {
    #[derive(Deserialize)]
    struct State {
        status: String,
        web_info_list: Vec<CrawledPage>,
        total: u64,
        completed: u64,
    }
    let mut crawled = Crawled::default();
    let mut status = String::new();
    for item in items {
        let state = one::<Listed<State>>(vec![item])?.result;
        crawled.progress.push((state.completed, state.total));
        (crawled.pages, status) = (state.web_info_list, state.status);
    }
    match status.as_str() {
        "completed" => Ok(crawled),
        _ => Err(Failure::dify("the last item of a crawl is not `completed`: Dify shows no pages")),
    }
}

pub(super) fn workspaces(items: Vec<Value>) -> Result<Vec<Workspace>, Failure> {
    let mut workspaces = Vec::new();
    for item in items {
        workspaces.extend(one::<Listed<Vec<Workspace>>>(vec![item])?.result);
    }
    Ok(workspaces)
}

pub(super) fn listings(items: Vec<Value>) -> Result<Vec<DriveListing>, Failure> {
    Ok(one::<Listed<Vec<DriveListing>>>(items)?.result)
}

pub(super) fn authorization_url(items: Vec<Value>) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Wire {
        authorization_url: String,
    }
    Ok(one::<Wire>(items)?.authorization_url)
}

pub(super) fn oauth_credentials(items: Vec<Value>) -> Result<OAuthCredentials, Failure> {
    one(items)
}

pub(super) fn subscription(items: Vec<Value>) -> Result<Subscription, Failure> {
    #[derive(Deserialize)]
    struct Wire {
        subscription: Subscription,
    }
    Ok(one::<Wire>(items)?.subscription)
}

pub(super) fn unsubscribed(items: Vec<Value>) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Ending {
        success: bool,
        #[serde(default)]
        message: Option<String>,
    }
    #[derive(Deserialize)]
    struct Wire {
        subscription: Ending,
    }
    let Ending { success, message } = one::<Wire>(items)?.subscription;
    match success {
        true => Ok(()),
        false => Err(Failure::dify(message.unwrap_or_else(|| "the subscription was not ended".to_owned()))),
    }
}

pub(super) fn event(items: Vec<Value>) -> Result<EventOutcome, Failure> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default)]
        variables: Option<Map<String, Value>>,
        cancelled: bool,
    }
    let Wire { variables, cancelled } = one(items)?;
    Ok(if cancelled { EventOutcome::Ignore } else { EventOutcome::Start(variables.unwrap_or_default()) })
}

pub(super) fn dispatched(items: Vec<Value>) -> Result<Dispatched, Failure> {
    #[derive(Deserialize)]
    struct Wire {
        user_id: String,
        events: Vec<String>,
        #[serde(default)]
        payload: Option<Map<String, Value>>,
        response: String,
    }
    let Wire { user_id, events, payload, response } = one(items)?;
    let response = hex::decode(response).ok().and_then(response_of);
    let response = response.ok_or_else(|| Failure::dify("`response` is not an HTTP response in hexadecimal"))?;
    Ok(Dispatched { events, payload: payload.unwrap_or_default(), user: user_id, response })
}

/// Reads an HTTP/1.1 response as it is on a connection.
fn response_of(bytes: Vec<u8>) -> Option<http::Response<Bytes>> {
    let body = memchr::memmem::find(&bytes, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..body]).ok()?;
    let mut lines = head.lines();
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut response = http::Response::builder().status(status);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        response = response.header(name, value.trim());
    }
    response.body(Bytes::from(bytes).slice(body..)).ok()
}

/// The response of an endpoint, as the daemon passes it to the client.
pub(super) fn response(items: Vec<Value>) -> Result<http::Response<Bytes>, Failure> {
    let mut response = http::Response::builder();
    let mut body = Vec::new();
    for item in items {
        if body.is_empty() {
            if let Some(status) = item["status"].as_u64() {
                response = response.status(u16::try_from(status).unwrap_or_default());
            }
            for (name, value) in item["headers"].as_object().into_iter().flatten() {
                response = response.header(name, value.as_str().unwrap_or_default());
            }
        }
        body.extend(hex::decode(item["result"].as_str().unwrap_or_default()).unwrap_or_default());
    }
    let length = body.len();
    let response = response.body(Bytes::from(body));
    let response = response.map_err(|error| Failure::dify(format!("the response is not valid HTTP: {error}")))?;
    match response.headers().get(http::header::CONTENT_LENGTH) {
        Some(declared) if length > 0 && declared.as_bytes() != length.to_string().as_bytes() => {
            Err(Failure::dify(format!("`content-length` is {declared:?}, and the body has {length} bytes")))
        }
        _ => Ok(response),
    }
}

#[cfg(test)]
mod tests;
