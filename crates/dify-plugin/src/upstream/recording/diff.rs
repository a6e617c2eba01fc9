//! Describes where two requests differ.

use serde_json::Value;

use super::exchange::{Data, Request};

/// Maximum number of characters of a value that are shown.
const MAX_VALUE_CHARACTERS: usize = 120;

/// Describes the first relevant difference.
pub(super) fn between(recorded: &Request, now: &Request) -> String {
    if recorded.method != now.method {
        return describe("method", &recorded.method, &now.method);
    }
    if recorded.url != now.url {
        return describe("URL", &recorded.url, &now.url);
    }
    match (&recorded.body, &now.body) {
        (Some(Data::Json(recorded)), Some(Data::Json(now))) => {
            let (path, recorded, now) = in_json(recorded, now, "body".to_owned());
            describe(&path, &recorded, &now)
        }
        (recorded, now) => {
            let text = |data: &Option<Data>| data.as_ref().map_or_else(|| "none".to_owned(), excerpt);
            let (recorded, now) = (text(recorded), text(now));
            let same = recorded.chars().zip(now.chars()).take_while(|(one, other)| one == other).count();
            let rest = |text: &str| text.chars().skip(same).collect::<String>();
            describe(&format!("body from character {same}"), &rest(&recorded), &rest(&now))
        }
    }
}

fn excerpt(data: &Data) -> String {
    match data {
        Data::Json(value) => value.to_string(),
        Data::Text(text) | Data::Omitted(text) => text.clone(),
        Data::Base64(text) => format!("{} characters of Base64", text.len()),
    }
}

/// Returns the first path at which two values differ, and the values there.
fn in_json(recorded: &Value, now: &Value, path: String) -> (String, String, String) {
    let absent = || "nothing".to_owned();
    let text = |value: Option<&Value>| value.map_or_else(absent, Value::to_string);
    match (recorded, now) {
        (Value::Object(one), Value::Object(other)) => {
            for name in one.keys().chain(other.keys()) {
                match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) if one == other => {}
                    (Some(one), Some(other)) => return in_json(one, other, format!("{path}.{name}")),
                    (one, other) => return (format!("{path}.{name}"), text(one), text(other)),
                }
            }
            let order = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>().join(", ");
            (format!("field order of {path}"), order(one), order(other))
        }
        (Value::Array(one), Value::Array(other)) => {
            let length = one.len().max(other.len());
            let place = (0..length).find(|at| one.get(*at) != other.get(*at)).unwrap_or(0);
            match (one.get(place), other.get(place)) {
                (Some(one), Some(other)) => in_json(one, other, format!("{path}[{place}]")),
                (one, other) => (format!("{path}[{place}]"), text(one), text(other)),
            }
        }
        (one, other) => (path, one.to_string(), other.to_string()),
    }
}

fn describe(what: &str, recorded: &str, now: &str) -> String {
    let clip = |text: &str| {
        let clipped: String = text.chars().take(MAX_VALUE_CHARACTERS).collect();
        if clipped.len() < text.len() { format!("{clipped}…") } else { clipped }
    };
    format!("{what} was recorded as {}, but is now {}", clip(recorded), clip(now))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(method: &str, url: &str, body: Option<Data>) -> Request {
        Request { method: method.to_owned(), url: url.to_owned(), headers: Default::default(), body }
    }

    #[test]
    fn describes_the_first_difference() {
        let text = |text: &str| Some(Data::Text(text.to_owned()));
        let json = |value: Value| Some(Data::Json(value));
        let long = "é".repeat(MAX_VALUE_CHARACTERS + 1);
        for (recorded, now, expected) in [
            (request("GET", "a", None), request("POST", "a", None), "method was recorded as GET, but is now POST"),
            (request("GET", "a", None), request("GET", "b", None), "URL was recorded as a, but is now b"),
            (
                request("POST", "a", text("a=1&b=2")),
                request("POST", "a", text("a=1&b=3")),
                "body from character 6 was recorded as 2, but is now 3",
            ),
            (request("POST", "a", text("x")), request("POST", "a", None), "was recorded as x, but is now none"),
            (
                request("POST", "a", json(json!({"c": [{"t": "x"}, {"t": "y"}]}))),
                request("POST", "a", json(json!({"c": [{"t": "x"}, {"t": "z"}]}))),
                "body.c[1].t was recorded as \"y\", but is now \"z\"",
            ),
            (
                request("POST", "a", json(json!({"c": [1]}))),
                request("POST", "a", json(json!({"c": [1, 2]}))),
                "body.c[1] was recorded as nothing, but is now 2",
            ),
            (
                request("POST", "a", json(json!({"c": 1}))),
                request("POST", "a", json(json!({"c": 1, "d": null}))),
                "body.d was recorded as nothing, but is now null",
            ),
            (request("POST", "a", json(json!({"c": 1}))), request("POST", "a", json(json!({"c": long}))), "é…"),
        ] {
            let difference = between(&recorded, &now);
            assert!(difference.contains(expected), "{expected}: {difference}");
        }
    }
}
