//! Replaces one member of every recorded response with odd values: text and calls are still complete unless the
//! replaced
//! member was part of them.

use serde_json::Value;

use super::*;

/// Values that malformed responses contain instead of the expected one.
const ODD: [&str; 12] =
    ["null", "false", "true", "-1", "0.5", "1e300", "\"\"", "\"x\"", "[]", "[null,{}]", "{}", "{\"a\":[{\"b\":NaN}]}"];

/// Members that carry the response; without them, part of it is missing.
const SUBSTANCE: [&str; 13] = [
    "choices",
    "delta",
    "message",
    "content",
    "text",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "reasoning_content",
    "error",
    "finish_reason",
    "function_call",
];

/// Splits a recorded response into its documents.
fn documents(body: &[u8]) -> Vec<String> {
    let mut decoder = EventDecoder::new(1 << 20);
    let mut events = Vec::new();
    decoder.push(body, &mut events).unwrap();
    decoder.finish(&mut events);
    events.into_iter().map(|event| event.data).filter(|data| data.starts_with('{')).collect()
}

/// Collects the JSON pointers of all members of a value, recursively.
fn members(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                let at = format!("{at}/{name}");
                members(inner, &at, found);
                found.push(at);
            }
        }
        Value::Array(items) => {
            for (place, inner) in items.iter().enumerate() {
                members(inner, &format!("{at}/{place}"), found);
            }
        }
        _ => {}
    }
}

/// Returns the document with one member replaced, or duplicated.
fn mutated(document: &Value, at: &str, odd: &str) -> String {
    const MARK: &str = "the place";
    let mut document = document.clone();
    *document.pointer_mut(at).unwrap() = Value::from(MARK);
    document.to_string().replace(&format!("\"{MARK}\""), odd)
}

fn stream(documents: &[String]) -> Vec<u8> {
    let mut stream: String = documents.iter().map(|document| format!("data: {document}\n\n")).collect();
    stream.push_str("data: [DONE]\n\n");
    stream.into_bytes()
}

#[test]
fn odd_members_affect_only_themselves() {
    let names = std::fs::read_dir(format!("{}/tests/data/xinference", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut tried = 0;
    for name in names.filter(|name| name.starts_with("chat-") || name.starts_with("conv_")) {
        let body = if name.ends_with(".jsonl") { recorded_chunks(&name) } else { recorded(&name) };
        let whole = documents(&body);
        let good = run(&stream(&whole), options(ThinkPolicy::Show, true));
        if good.error.is_some() {
            continue;
        }
        // Documents of the same shape are tested once.
        let mut shapes = std::collections::HashSet::new();
        for (place, document) in whole.iter().enumerate() {
            let document: Value = serde_json::from_str(document).unwrap();
            let mut found = Vec::new();
            members(&document, "", &mut found);
            if !shapes.insert(found.clone()) {
                continue;
            }
            for at in &found {
                let member = at.rsplit('/').next().unwrap();
                for odd in ODD {
                    let mut odds = whole.clone();
                    odds[place] = mutated(&document, at, odd);
                    let seen = run(&stream(&odds), options(ThinkPolicy::Show, true));
                    tried += 1;
                    if SUBSTANCE.contains(&member) {
                        // Either part of the response or an error, but never an end without both.
                        assert!(seen.finals == 1 || seen.error.is_some(), "{name}: {at} as {odd}: {seen:?}");
                        continue;
                    }
                    assert_eq!(seen.error, None, "{name}: {at} as {odd}");
                    assert_eq!((&seen.text, &seen.calls), (&good.text, &good.calls), "{name}: {at} as {odd}");
                }
            }
        }
    }
    assert!(tried > 2000, "{tried}");
}
