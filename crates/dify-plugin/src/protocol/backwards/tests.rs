//! What Dify may send, odd forms among it.

use serde_json::{Value, json};

use super::*;
use crate::error::{ErrorKind, InvokeError};
use crate::protocol::{Content, ToolCall, lenient};

fn chunk(delta: Value) -> LlmChunk {
    lenient::read(&json!({"model": "m", "delta": delta}).to_string()).unwrap()
}

fn collected(deltas: Vec<Value>) -> LlmResult {
    let mut whole = LlmCollector::default();
    deltas.into_iter().for_each(|delta| whole.push(chunk(delta)));
    whole.finish()
}

#[test]
fn odd_optional_members_cost_no_chunk() {
    let odd = json!({"index": "x", "message": {"role": "other", "content": null, "tool_calls": null, "name": 5},
        "usage": {"total_tokens": "many"}, "finish_reason": 7});
    assert_eq!(chunk(odd), LlmChunk { model: "m".to_owned(), ..LlmChunk::default() });
    let text = r#"{"delta": {"message": {"content": "cut \ud83d"}}}"#;
    assert_eq!(lenient::read::<LlmChunk>(text).unwrap().text(), "cut \u{FFFD}");
    for broken in [json!({}), json!({"delta": 5}), json!({"delta": {"message": {"content": 5}}})] {
        let error = lenient::read::<LlmChunk>(&broken.to_string()).unwrap_err();
        assert!(error.starts_with('`'), "{error}");
    }
}

#[test]
fn fragments_are_joined_by_the_rules_of_the_api() {
    let call = |id: &str, name: &str, arguments: &str| {
        json!({"message": {"content": "", "tool_calls": [
            {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]}})
    };
    let calls = |deltas: Vec<Value>| collected(deltas).tool_calls;
    let cases = [
        // The same ID, and no ID, continue a call.
        (vec![call("a", "f", "{\"x"), call("a", "", "\":"), call("", "", "1}")], vec![("a", "f", "{\"x\":1}")]),
        // A new ID starts one, and the first can still go on.
        (vec![call("a", "f", "1"), call("b", "g", "2"), call("a", "", "3")], vec![("a", "f", "13"), ("b", "g", "2")]),
        // No ID with a name starts one under an ID of its own.
        (
            vec![call("", "f", "1"), call("", "g", "2"), call("", "", "3")],
            vec![("call_0", "f", "1"), ("call_1", "g", "23")],
        ),
        (vec![call("", "", "1")], vec![("call_0", "", "1")]),
    ];
    for (deltas, expected) in cases {
        let expected: Vec<_> =
            expected.into_iter().map(|(id, name, arguments)| ToolCall::function(id, name, arguments)).collect();
        assert_eq!(calls(deltas), expected);
    }
}

#[test]
fn texts_and_parts_are_joined_in_order() {
    let image = json!({"type": "image", "format": "png", "mime_type": "image/png", "url": "u", "detail": "high"});
    let text = |text: &str| json!({"message": {"content": text}});
    let parts = json!({"message": {"content": [image]}});
    assert_eq!(collected(vec![text("a"), text("b")]).content, Content::Text("ab".to_owned()));
    let mixed = collected(vec![text("a"), parts.clone(), text(""), text("b"), text("c"), parts]);
    assert_eq!(mixed.text(), "abc");
    let Content::Parts(found) = mixed.content else { panic!("no parts") };
    let types: Vec<_> = found.iter().map(|part| part.type_name()).collect();
    assert_eq!(types, ["text", "image", "text", "image"]);
}

#[test]
fn the_last_usage_and_the_last_reason_count() {
    let last =
        json!({"message": {"content": ""}, "usage": {"total_tokens": 5, "total_price": 0.5}, "finish_reason": ""});
    let first = json!({"message": {"content": ""}, "usage": {"total_tokens": 3}, "finish_reason": "length"});
    let result = collected(vec![first, last, json!({"message": {"content": ""}})]);
    let usage = result.usage.unwrap();
    assert_eq!((usage.total_tokens, usage.total_price.0.as_str()), (5, "0.5"));
    assert_eq!(result.finish_reason.unwrap().as_str(), "length");
}

#[test]
fn distinguishes_events() {
    let event = |data: Value| {
        let text = data.to_string();
        BackwardsEvent::parse(&text).map(|(id, event)| format!("{id} {event:?}")).map_err(|error| error.to_string())
    };
    let data = |event: &str, message: Value, data: Value| json!({"backwards_request_id": "r", "event": event, "message": message, "data": data});
    for (sent, expected) in [
        (data("response", json!("stream"), json!({"a": 1})), "r Response(RawValue({\"a\":1}))"),
        (data("response", json!("stream"), Value::Null), "r End"),
        (data("error", json!("text"), Value::Null), "r Error(\"text\")"),
        (data("error", json!({"odd": 1}), Value::Null), "r Error(\"{\\\"odd\\\":1}\")"),
        (data("error", Value::Null, json!({})), "r Error(\"\")"),
        (data("end", json!(""), Value::Null), "r End"),
        (data("end", json!(7), json!([])), "r End"),
        (data("progress", json!(""), Value::Null), "r Other"),
        (json!({"backwards_request_id": "r", "event": "end"}), "r End"),
    ] {
        assert_eq!(event(sent.clone()).unwrap(), expected, "{sent}");
    }
    for broken in [json!({}), json!({"backwards_request_id": 5, "event": "end"}), json!([]), json!("x")] {
        assert!(event(broken.clone()).is_err(), "{broken}");
    }
}

/// Texts as the daemon builds them (`backwards_invocation/task.go`, `calldify/http_request.go`), and their kinds.
#[test]
fn texts_of_the_daemon_become_kinds() {
    use DifyErrorKind::*;
    for (text, kind, hint) in [
        ("permission denied, you need to enable tool access in plugin manifest", PermissionDenied, ""),
        ("you can not invoke dify from model", Unsupported, "model plugins"),
        ("unsupported invoke type: fetch_app", Unsupported, "upgrade"),
        ("unmarshal backwards invoke request failed: error validating struct: Key: 'Mode'", Invalid, ""),
        ("invoke app failed: request failed: app not found", NotFound, "workspace"),
        ("invoke llm model failed: request failed: Provider acme does not exist.", NotFound, "workspace"),
        ("invoke app failed: request failed: missing query", Invalid, ""),
        ("read llm model failed: request failed: [acme] Rate Limit Error, slow down", RateLimited, ""),
        ("invoke llm model failed: request failed: Model provider acme quota exceeded.", QuotaExceeded, ""),
        ("read llm model failed: failed to read system header: use of closed network connection", TimedOut, "240 s"),
        ("read app failed: failed to read system header: http: read on closed response body", TimedOut, "240 s"),
        ("read tool response failed: context canceled", SessionEnded, "600 s"),
        ("session not found", SessionEnded, "600 s"),
        ("failed to get session info from cache", SessionEnded, "600 s"),
        (
            "invoke tool failed: Post \"http://api:5001\": dial tcp: lookup api: no such host",
            Unreachable,
            "DIFY_INNER_API_URL",
        ),
        (
            "invoke tool failed: request failed with status code: 401 and respond with: x",
            Unreachable,
            "DIFY_INNER_API_KEY",
        ),
        ("invoke multimodal embedding model failed: request failed with status code: 404", Unsupported, "version"),
        ("load data failed, please check if the key is correct or you have not set it", NotFound, ""),
        ("save data failed: allocated size is greater than max storage size", QuotaExceeded, "storage.size"),
        ("save data failed: key length must be less than 256 characters", Invalid, ""),
        ("fetch app failed: data is nil", Malformed, ""),
        ("invoke rerank model failed: validate request failed: Key: 'Docs'", Malformed, ""),
        ("invoke tool failed: request failed: something else", Failed, ""),
        ("", Failed, ""),
    ] {
        let error = DifyError::of_text(text);
        assert_eq!((error.kind, error.message.as_str()), (kind, text));
        let found = error.hint.clone().unwrap_or_default();
        assert!(found.contains(hint) && found.is_empty() == hint.is_empty(), "{text}: {found}");
    }
    let long = DifyError::of_text(&"x".repeat(1 << 20));
    assert!(long.message.len() < 5000);
}

#[test]
fn an_author_can_hand_a_failure_on() {
    for (error, kind, text) in [
        (DifyError::timed_out(240.0), ErrorKind::Connection, "240 s (DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT)"),
        (DifyError::session_ended(), ErrorKind::Connection, "600 s"),
        (DifyError::invalid("x"), ErrorKind::BadRequest, "x"),
        (DifyError::of_text("app not found"), ErrorKind::NotFound, "app not found"),
        (DifyError::of_text("quota exceeded"), ErrorKind::RateLimit, "quota exceeded"),
        (DifyError::malformed("x"), ErrorKind::ServerUnavailable, "cannot read Dify's response: x"),
    ] {
        let shown = error.to_string();
        let error = InvokeError::from(error);
        assert_eq!(error.kind, kind);
        assert!(error.detail().contains(text) && shown == error.detail(), "{shown}");
    }
}

#[test]
fn keys_that_the_daemon_rejects_are_not_sent() {
    for (key, problem) in [("", "empty"), ("a/../b", "`..`"), ("a\\b", "`..`"), (&*"x".repeat(257), "257 bytes")] {
        let error = StorageInvocation::new(StorageOperation::Get, key).unwrap_err();
        assert!(error.kind == DifyErrorKind::Invalid && error.message.contains(problem), "{error}");
    }
    for key in ["a", "a/b.c", &*"x".repeat(256)] {
        StorageInvocation::new(StorageOperation::Get, key).unwrap();
    }
}

#[test]
fn models_are_read_as_selectors_name_them() {
    let read = |value: Value| serde_json::from_value::<ModelConfig>(value).unwrap();
    let plain = ModelConfig::new("p", "m");
    for selector in [
        json!({"provider": "p", "model": "m", "model_type": "llm"}),
        json!({"provider": "p", "model": "m", "mode": "", "completion_params": null}),
        json!({"provider": "p", "model": "m", "mode": null, "other": 1}),
    ] {
        assert_eq!(read(selector), plain);
    }
    assert_eq!(read(json!({"provider": "p", "model": "m", "mode": "completion"})).mode, "completion");
}
