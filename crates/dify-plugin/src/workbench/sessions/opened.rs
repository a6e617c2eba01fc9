//! Sessions that were recorded elsewhere: a document that the page saved, the files of `--record`, a line of the daemon's log. What
//! is not there is left empty; a document is never trusted.

use serde_json::{Map, Value, json};

use super::copy::pairs;
use super::record::{MAX_TEXT_BYTES, Record};
use crate::upstream::recording::Scrubber;

/// Format marker of a saved session.
pub(super) const FORMAT: &str = "dify-plugin workbench session 1";

/// What recordings have in place of a secret.
pub(super) const HIDDEN: &str = "***";

/// Maximum number of frames and exchanges that are read.
const MAX_ROWS: usize = 100_000;

/// Opens what the page sends.
pub(super) fn open(id: String, given: Value) -> Result<Record, &'static str> {
    let Value::Object(mut given) = given else { return Err("a recording is a JSON object") };
    if let Some(line) = given.get("line").and_then(Value::as_str) {
        return of_line(id, line);
    }
    if let Some(Value::Object(files)) = given.remove("files") {
        return of_files(id, &files);
    }
    of_document(id, given)
}

fn of_document(id: String, mut document: Map<String, Value>) -> Result<Record, &'static str> {
    if document.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err("the file is not a session that the workbench saved");
    }
    let mut request = document.remove("request").filter(Value::is_object).unwrap_or_else(|| json!({}));
    for (name, own) in [("action", "action"), ("type", "type"), ("provider", "provider"), ("model", "model")] {
        if request.get(name).is_none()
            && let Some(value) = document.get(own).filter(|value| value.is_string())
        {
            request[name] = value.clone();
        }
    }
    let rows = |value: Option<Value>| match value {
        Some(Value::Array(rows)) => rows.into_iter().take(MAX_ROWS),
        _ => Vec::new().into_iter().take(MAX_ROWS),
    };
    let frames = rows(document.remove("frames")).map(|frame| self::frame(&frame)).collect();
    let exchanges = rows(document.remove("exchanges")).filter(Value::is_object).map(ended).collect();
    let usage = document.remove("usage").filter(Value::is_object);
    let items = document.get("items").and_then(Value::as_u64).unwrap_or_default() as usize;
    let mut record = Record::new(id, request, None);
    record.restore(frames, exchanges, usage, items);
    let started = document.get("started").and_then(Value::as_str).and_then(|text| text.parse().ok());
    record.started_at = started.unwrap_or(record.started_at);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let error = document.get("error").filter(|error| error.is_object());
    record.end("opened", error.map(|error| (text(&error["kind"]), text(&error["message"]))));
    record.milliseconds = document.get("milliseconds").and_then(Value::as_f64);
    Ok(record)
}

/// An exchange that went on when its session was saved: nothing more comes.
fn ended(mut exchange: Value) -> Value {
    exchange.as_object_mut().into_iter().for_each(|members| drop(members.shift_remove("open")));
    exchange
}

/// A frame with the members that the page reads.
fn frame(given: &Value) -> Value {
    let text = given["text"].as_str().unwrap_or_default();
    json!({
        "at": given["at"].as_f64().unwrap_or_default(),
        "direction": if given["direction"] == "in" { "in" } else { "out" },
        "kind": given["kind"].as_str().unwrap_or("item"),
        "bytes": given["bytes"].as_u64().unwrap_or(text.len() as u64),
        "redacted": given["redacted"].as_bool().unwrap_or_default(),
        "text": &text[..text.floor_char_boundary(MAX_TEXT_BYTES)],
        "truncated": given["truncated"].as_bool().unwrap_or_default(),
    })
}

/// The files of a recording: `NNNN-request.json` and one for each exchange.
fn of_files(id: String, files: &Map<String, Value>) -> Result<Record, &'static str> {
    let mut names: Vec<&String> = files.keys().collect();
    names.sort();
    let read = |name: &str| files.get(name).and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
    let mut request = json!({});
    let mut found: Vec<Value> = Vec::new();
    for name in names {
        let Some(value) = read(name).filter(Value::is_object) else { continue };
        match name.ends_with("-request.json") {
            true if request.as_object().is_some_and(Map::is_empty) => request = value,
            true => {}
            false if value["request"]["url"].is_string() => found.push(value),
            false => {}
        }
    }
    if found.is_empty() && request.as_object().is_some_and(Map::is_empty) {
        return Err("none of the files belongs to a recording");
    }
    let time =
        |exchange: &Value| exchange["recorded_at"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let first = found.iter().filter_map(time).min();
    let mut record = Record::new(id.clone(), request.clone(), None);
    record.started_at = first.unwrap_or(record.started_at);
    let exchanges = found.iter().take(MAX_ROWS).enumerate().map(|(index, recorded)| {
        let at = time(recorded).zip(first).map_or(0.0, |(time, first)| time.duration_since(first).as_secs_f64() * 1e3);
        exchange(recorded, at, &format!("{id}-{}", index + 1))
    });
    let exchanges: Vec<Value> = exchanges.collect();
    let end = exchanges.iter().filter_map(|exchange| exchange["phases"]["ended"].as_f64()).fold(0.0, f64::max);
    let text = request.to_string();
    let frames = vec![json!({"at": 0.0, "direction": "in", "kind": "request", "bytes": text.len(), "redacted": true,
        "text": &text[..text.floor_char_boundary(MAX_TEXT_BYTES)], "truncated": text.len() > MAX_TEXT_BYTES})];
    record.restore(frames, exchanges, None, 0);
    record.end("opened", None);
    record.milliseconds = Some(end);
    Ok(record)
}

/// A line of a log in which an envelope or the data of a request is.
fn of_line(id: String, line: &str) -> Result<Record, &'static str> {
    let found = line.char_indices().filter(|(_, character)| *character == '{').take(64).find_map(|(at, _)| {
        let mut values = serde_json::Deserializer::from_str(&line[at..]).into_iter::<Value>();
        let value = values.next()?.ok()?;
        let is_envelope = value["data"].is_object() || value["action"].is_string() || value["event"].is_string();
        is_envelope.then_some(value)
    });
    let envelope = found.ok_or("the line contains no message of the plugin protocol")?;
    // A log may contain what no page should show.
    let mut secrets = Vec::new();
    collect(&envelope, &mut secrets, 0);
    let (scrubber, _) = Scrubber::of(&secrets, &|_| true);
    let mut shown = envelope.clone();
    hide(&mut shown, 0);
    let text = scrubber.text(&shown.to_string());
    let shown: Value = serde_json::from_str(&text).unwrap_or_default();
    let is_redacted = text.contains(HIDDEN);
    let request = if shown["data"].is_object() { shown["data"].clone() } else { shown.clone() };
    let mut record = Record::new(id, request, None);
    let frame = json!({"at": 0.0, "direction": if shown["event"] == "session" { "out" } else { "in" },
        "kind": if shown["event"] == "session" { "item" } else { "request" }, "bytes": line.len(), "redacted": is_redacted,
        "text": &text[..text.floor_char_boundary(MAX_TEXT_BYTES)], "truncated": text.len() > MAX_TEXT_BYTES});
    record.restore(vec![frame], Vec::new(), None, 0);
    record.end("opened", None);
    record.milliseconds = Some(0.0);
    Ok(record)
}

/// Members whose values are secret, wherever they are.
const SECRET_MEMBERS: [&str; 3] = ["credentials", "settings", "system_credentials"];

/// Maximum depth in which they are searched.
const MAX_DEPTH: usize = 16;

/// The secret members of a message.
fn collect<'v>(value: &'v Value, found: &mut Vec<&'v Map<String, Value>>, depth: usize) {
    let members = value.as_object().into_iter().flatten().filter(|_| depth < MAX_DEPTH);
    for (name, member) in members {
        match member {
            Value::Object(fields) if SECRET_MEMBERS.contains(&name.as_str()) => found.push(fields),
            member => collect(member, found, depth + 1),
        }
    }
}

/// Hides the values of the secret members.
fn hide(value: &mut Value, depth: usize) {
    for (name, member) in value.as_object_mut().into_iter().flatten().filter(|_| depth < MAX_DEPTH) {
        match member {
            Value::Object(fields) if SECRET_MEMBERS.contains(&name.as_str()) => {
                fields.values_mut().for_each(|value| *value = HIDDEN.into());
            }
            member => hide(member, depth + 1),
        }
    }
}

/// A recorded exchange as the page shows it: times in milliseconds from the beginning of its session.
pub(super) fn exchange(recorded: &Value, at: f64, id: &str) -> Value {
    let (request, failure) = (&recorded["request"], &recorded["failure"]);
    let body = text_of(&request["body"]);
    let mut shown = json!({
        "id": id, "attempt": 1, "method": request["method"], "url": request["url"], "status": null, "at": at,
        "phases": {"queued": null, "connected": null, "first_byte": null, "ended": null}, "reused": null,
        "request": {"headers": pairs(&request["headers"]), "body": body, "bytes": body.len()},
        "response": null, "error": failure["message"].as_str(), "redacted": recorded.to_string().contains(HIDDEN),
    });
    add_response(&mut shown, recorded, at);
    let chunks = shown["response"]["chunks"].as_array();
    let last = chunks.and_then(|chunks| chunks.last()).and_then(|chunk| chunk[0].as_f64());
    let failed = failure["after_ms"].as_f64().map(|after| at + after);
    shown["phases"]["ended"] = last.or(shown["phases"]["first_byte"].as_f64()).or(failed).into();
    shown
}

/// Adds the connection and the response of a recorded exchange.
pub(super) fn add_response(shown: &mut Value, recorded: &Value, at: f64) {
    let (connection, response) = (&recorded["connection"], &recorded["response"]);
    let after = |value: &Value| value.as_f64().map(|after| at + after);
    let queued = after(&connection["began_ms"]).or(after(&connection["sent_ms"]));
    let connected = after(&connection["open_ms"]);
    // Whole milliseconds may be less than the exact time of a step before.
    let first_byte = after(&response["after_ms"]).map(|time| time.max(connected.or(queued).unwrap_or(time)));
    (shown["phases"]["queued"], shown["phases"]["connected"]) = (queued.into(), connected.into());
    (shown["phases"]["first_byte"], shown["reused"]) = (first_byte.into(), connection["reused"].as_bool().into());
    if !response.is_object() {
        return;
    }
    let chunks = response["chunks"].as_array().into_iter().flatten().take(MAX_ROWS);
    let chunks: Vec<(f64, String)> =
        chunks.map(|chunk| (at + chunk["at_ms"].as_f64().unwrap_or_default(), text_of(chunk))).collect();
    let whole: String = chunks.iter().map(|(_, text)| text.as_str()).collect();
    let chunks: Vec<Value> = chunks.iter().map(|(at, text)| json!([at, text.len()])).collect();
    shown["status"] = response["status"].clone();
    shown["response"] =
        json!({"headers": pairs(&response["headers"]), "body": whole, "bytes": whole.len(), "chunks": chunks});
    if let Some(reason) = response["end"]["truncated"].as_str() {
        shown["error"] = reason.into();
    }
    if recorded.to_string().contains(HIDDEN) {
        shown["redacted"] = true.into();
    }
}

/// The content of a body or a chunk: text, or what is for it.
fn text_of(data: &Value) -> String {
    match (&data["json"], &data["text"], &data["base64"], &data["omitted"]) {
        (Value::Object(json), ..) => Value::Object(json.clone()).to_string(),
        (_, Value::String(text), ..) => text.clone(),
        (_, _, Value::String(base64), _) => format!("({} characters of Base64) {base64}", base64.len()),
        (.., Value::String(what)) => format!("({what})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_session_opens_as_it_was() {
        let mut document = json!({
            "format": FORMAT, "action": "invoke_llm", "type": "model", "provider": "p", "model": "m", "state": "failed",
            "started": "2026-11-27T10:00:00Z", "milliseconds": 12.5, "error": {"kind": "E", "message": "m"},
            "usage": {"total_tokens": 3}, "items": 2, "request": {"type": "model", "action": "invoke_llm", "provider": "p", "model": "m"},
            "frames": [{"at": 1.5, "direction": "out", "kind": "item", "bytes": 9, "redacted": true, "text": "{}", "truncated": false}],
            "exchanges": [{"id": "x", "request": {"body": "b"}, "response": null}], "dropped": {"frames": 0, "exchanges": 0},
        });
        let record = open("new".to_owned(), document.clone()).unwrap();
        let mut whole = record.whole();
        for (name, value) in [("id", json!("new")), ("state", json!("opened"))] {
            assert_eq!(whole[name].take(), value);
            document[name] = Value::Null;
        }
        whole["format"] = FORMAT.into();
        assert_eq!(whole, document);
        // Of one that went on nothing more comes.
        document["exchanges"][0]["open"] = true.into();
        assert_eq!(open("new".to_owned(), document).unwrap().whole()["exchanges"], whole["exchanges"]);
    }

    #[test]
    fn a_line_of_a_log_hides_its_credentials() {
        let envelope = r#"{"session_id":"s","event":"request","data":{"type":"model","action":"invoke_llm","credentials":{"k":"sk-secret"}}}"#;
        let item = r#"{"event":"session","session_id":"s","data":{"type":"stream","data":{"action":"invoke_llm","credentials":{"bot":"sk-secret"},"access_token":"sk-secret-2"}}}"#;
        let repeated = envelope
            .replace("sk-secret", "sk-secret-long")
            .replace("\"type\"", "\"text\":\"it is sk-secret-long\",\"type\"");
        for line in [
            item.to_owned(),
            repeated,
            envelope.to_owned(),
            format!("2026-11-27 INFO {{x}} received {envelope} [tail]"),
        ] {
            let record = open("id".to_owned(), json!({ "line": line })).unwrap();
            let whole = record.whole().to_string();
            assert!(!whole.contains("sk-secret") && whole.contains("invoke_llm"), "{whole}");
        }
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        for given in [
            json!([]),
            json!({}),
            json!({"format": "other"}),
            json!({"line": "no message"}),
            json!({"line": "{\"a\":1}"}),
            json!({"files": {}}),
            json!({"files": {"a.json": "[]", "b.json": "{", "c.json": 1}}),
        ] {
            assert!(open("id".to_owned(), given.clone()).is_err(), "{given}");
        }
        // Odd members cost nothing.
        for odd in [json!(1), json!("x"), json!([[], {}, 3]), json!({"a": []}), Value::Null] {
            for member in ["frames", "exchanges", "usage", "items", "request", "started", "error", "milliseconds"] {
                assert!(open("id".to_owned(), json!({"format": FORMAT, member: odd})).is_ok(), "{member}: {odd}");
            }
        }
    }
}
