//! The normal form in which recorded requests and answers are compared with ours, and the differences between two of them. Which
//! differences are intended is not decided here.

use serde_json::{Value, json};

/// A difference between the recording and ours.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Where: `requests[0].body.messages[1].content`.
    pub at: String,
    /// The recorded value, if there is one.
    pub recorded: Option<Value>,
    /// Our value, if there is one.
    pub ours: Option<Value>,
}

/// Members of a body that change nothing in their default form.
const NEUTRAL: &[&str] = &["tool_choice:\"auto\"", "stream:false", "tools:[]"];

/// Members that are never compared: whether usage is asked for, and whether documents come back.
const IGNORED: &[&str] = &["stream_options", "return_documents"];

/// The requests of a case in normal form.
pub fn requests(case: &Value, requests: &[Value]) -> Value {
    let mut all: Vec<Value> = requests.iter().map(|request| normal_request(case, request)).collect();
    if case["answer"].get("error").is_some() {
        // How often a refused request is repeated is a rule of the connection.
        all.truncate(1);
    }
    if case["action"] == "invoke_text_embedding" {
        all = merged(all);
    }
    json!(all)
}

fn normal_request(case: &Value, request: &Value) -> Value {
    let mut request = request.clone();
    if let Some(Value::Object(body)) = request.get_mut("body") {
        body.retain(|name, value| {
            !IGNORED.contains(&name.as_str())
                && !value.is_null()
                && !NEUTRAL.contains(&format!("{name}:{value}").as_str())
        });
        if case["action"].as_str().is_some_and(|action| action.starts_with("validate")) {
            // What a validation asks is of no importance, but how.
            for content in ["messages", "prompt", "input", "query", "documents", "texts", "passages"] {
                body.remove(content);
            }
        }
        if let Some(Value::Array(messages)) = body.get_mut("messages") {
            messages.iter_mut().for_each(normal_message);
        }
        body.sort_keys();
    }
    if case["action"].as_str().is_some_and(|action| action.starts_with("validate")) {
        for part in request.get_mut("form").and_then(Value::as_array_mut).into_iter().flatten() {
            if part.get("file").is_some() {
                part["file"] = json!("any");
            }
        }
    }
    request
}

fn normal_message(message: &mut Value) {
    for text in ["content", "reasoning_content"] {
        if message[text].is_null() && message.get(text).is_some() {
            message[text] = json!("");
        }
    }
    if let Some(members) = message.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    if let Some(parts) = message["content"].as_array() {
        let texts: Option<Vec<&str>> =
            parts.iter().map(|part| (part["type"] == "text").then(|| part["text"].as_str()).flatten()).collect();
        if let Some(texts) = texts {
            message["content"] = json!(texts.join("\n"));
        }
    }
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    for call in calls.into_iter().flatten() {
        parsed(&mut call["function"]);
    }
    if let Some(call) = message.get_mut("function_call") {
        parsed(call);
    }
}

/// Arguments as the value that their text holds.
fn parsed(call: &mut Value) {
    if let Some(value) = call["arguments"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        call["arguments"] = value;
    }
}

/// Requests that differ in their texts only are one request with all texts.
fn merged(all: Vec<Value>) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    for request in all {
        let texts = |request: &Value| match &request["body"]["input"] {
            Value::Array(texts) => texts.clone(),
            Value::Null => Vec::new(),
            text => vec![text.clone()],
        };
        let mut without = request.clone();
        without["body"]["input"] = Value::Null;
        match merged.last_mut() {
            Some(last) => {
                let mut before = last.clone();
                before["body"]["input"] = Value::Null;
                if before == without {
                    // Requests go out in parallel; the order of the vectors is compared in the answer.
                    let mut all = texts(last);
                    all.extend(texts(&request));
                    all.sort_by_key(Value::to_string);
                    last["body"]["input"] = json!(all);
                    continue;
                }
                merged.push(request);
            }
            None => {
                let mut request = request.clone();
                if let Some(Value::Array(texts)) = request["body"].get_mut("input") {
                    texts.sort_by_key(Value::to_string);
                }
                merged.push(request);
            }
        }
    }
    merged
}

/// Differences of the answers. An error and a success are one difference.
pub fn answers(recorded: &Value, ours: &Value, found: &mut Vec<Difference>) {
    let (recorded, ours) = (answer(recorded), answer(ours));
    match (recorded["error"].as_str(), ours["error"].as_str()) {
        (None, None) => differences("answer", &recorded, &ours, found),
        // A class that says nothing, where ours says what it was.
        (Some("InvokeError"), Some(kind)) if kind.starts_with("Invoke") => {}
        (Some(a), Some(b)) if a == b => {}
        _ => found.push(Difference { at: "answer".to_owned(), recorded: Some(recorded), ours: Some(ours) }),
    }
}

/// An answer in normal form; `answer` has the form of the recordings.
fn answer(answer: &Value) -> Value {
    let mut answer = answer.clone();
    if let Some(members) = answer.as_object_mut() {
        members.remove("message");
    }
    if let Some(text) = answer["text"].as_str() {
        answer["text"] = json!(normal_thoughts(text));
    }
    for call in answer.get_mut("calls").and_then(Value::as_array_mut).into_iter().flatten() {
        parsed(call);
    }
    let schema = answer.get_mut("schema").and_then(Value::as_object_mut);
    if let Some(schema) = schema {
        let free = schema.get("pricing").is_none_or(|price| {
            let zero =
                |price: &Value| price.as_str().is_none_or(|text| text.parse::<f64>().is_ok_and(|number| number == 0.0));
            price.is_null() || zero(&price[0]) && zero(&price[1])
        });
        if free {
            schema.remove("pricing");
        } else if let Some(price) = schema.get_mut("pricing").and_then(Value::as_array_mut) {
            for part in price {
                if let Some(number) = part.as_str().and_then(|text| text.parse::<f64>().ok()) {
                    *part = json!(number);
                }
            }
        }
        if schema.get("features").is_none_or(Value::is_null) {
            schema.insert("features".to_owned(), json!([]));
        }
        for set in ["features", "rules"] {
            if let Some(names) = schema.get(set).and_then(Value::as_array) {
                let named = names.iter().map(|name| (name.as_str().unwrap_or_default().to_owned(), json!(true)));
                let named = Value::Object(named.collect());
                schema.insert(set.to_owned(), named);
            }
        }
    }
    if let Some(price) = answer.get_mut("price").and_then(Value::as_array_mut) {
        let amount: f64 = price[0].as_str().unwrap_or("0").parse().unwrap();
        price[0] = json!((amount * 1e7).round());
        if amount == 0.0 {
            answer.as_object_mut().unwrap().remove("price");
        }
    }
    answer
}

/// White space around the end of thoughts is of no importance.
fn normal_thoughts(text: &str) -> String {
    let Some((thoughts, rest)) = text.split_once("</think>") else { return text.to_owned() };
    let thoughts = thoughts.trim_start().trim_start_matches("<think>").trim();
    format!("<think>{thoughts}</think>{}", rest.trim_start())
}

/// What differs between two values.
pub fn differences(at: &str, recorded: &Value, ours: &Value, found: &mut Vec<Difference>) {
    let empty = Value::Null;
    match (recorded, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let names: Vec<&String> = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))).collect();
            for name in names {
                let at = format!("{at}.{name}");
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => differences(&at, a, b, found),
                    (a, b) => found.push(Difference { at, recorded: a.cloned(), ours: b.cloned() }),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let at = format!("{at}[{index}]");
                match (a.get(index), b.get(index)) {
                    (Some(a), Some(b)) => differences(&at, a, b, found),
                    (a, b) => found.push(Difference { at, recorded: a.cloned(), ours: b.cloned() }),
                }
            }
        }
        // An address that ours cuts to its host loses the host of the recording with the path.
        (Value::String(a), Value::String(b)) if at.ends_with(".url") && b.starts_with("{upstream}/") => {
            if !a.ends_with(b.trim_start_matches("{upstream}")) {
                found.push(Difference {
                    at: at.to_owned(),
                    recorded: Some(recorded.clone()),
                    ours: Some(ours.clone()),
                });
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        (a, b) if a == b => {}
        (a, b) => found.push(Difference {
            at: at.to_owned(),
            recorded: Some(if a.is_null() { empty } else { a.clone() }),
            ours: Some(b.clone()),
        }),
    }
}
