//! Requests as the daemon really sends them, and answers as it accepts them.

use std::time::Duration;

use dify_plugin::error::InvokeError;
use dify_plugin::protocol::envelope::{ErrorPayload, write_end, write_error, write_stream};
use dify_plugin::protocol::{
    Content, ContentPart, EmbeddingInputType, Inbound, InboundEvent, LlmChunk, LlmDelta, Request, Role, ToolChoiceMode,
};
use serde_json::{Value, json};

fn with(action: &str, fields: Value) -> String {
    let mut data = json!({"user_id": "u", "type": "model", "action": action, "provider": "p", "model": "m",
        "model_type": "llm", "credentials": {"api_key": "k"}});
    for (name, value) in fields.as_object().unwrap() {
        data[name] = value.clone();
    }
    data.to_string()
}

fn parse(action: &str, fields: Value) -> Request {
    Request::parse(&with(action, fields)).unwrap()
}

/// The fields of each action beside the common ones, filled in.
fn full() -> Vec<(&'static str, Value)> {
    let messages = json!([{"role": "user", "content": "hi", "name": "", "tool_calls": null, "tool_call_id": ""}]);
    let llm = json!({"model_parameters": {"temperature": 1}, "prompt_messages": messages, "tools": [], "stop": ["x"],
        "json_schema": {"type": "object"}, "stream": false});
    let content = json!({"content": "a", "content_type": "text"});
    vec![
        ("invoke_llm", llm.clone()),
        ("get_llm_num_tokens", json!({"prompt_messages": messages, "tools": []})),
        ("invoke_text_embedding", json!({"texts": ["a"], "input_type": "query"})),
        ("invoke_multimodal_embedding", json!({"documents": [content], "input_type": "document"})),
        ("get_text_embedding_num_tokens", json!({"texts": ["a"]})),
        ("invoke_rerank", json!({"query": "q", "docs": ["a"], "score_threshold": 0.5, "top_n": 3})),
        ("invoke_multimodal_rerank", json!({"query": content, "docs": [content], "score_threshold": 1, "top_n": 3})),
        ("invoke_tts", json!({"content_text": "a", "voice": "v", "tenant_id": "t"})),
        ("get_tts_model_voices", json!({"language": "en-US"})),
        ("invoke_speech2text", json!({"file": "00ff"})),
        ("invoke_moderation", json!({"text": "a"})),
        ("validate_provider_credentials", json!({})),
        ("validate_model_credentials", json!({})),
        ("get_ai_model_schemas", json!({})),
        ("start_polling", llm),
        ("check_polling", json!({"plugin_state": {"task": 1}})),
    ]
}

#[test]
fn every_action_is_read_full_null_absent_and_with_unknown_fields() {
    // What a request cannot do without even when the daemon nulls the rest.
    let needed = ["query", "file"];
    for (action, fields) in full() {
        assert_eq!(parse(action, fields.clone()).action(), action);
        let mut unknown = fields.clone();
        unknown["something_new"] = json!({"a": [1]});
        unknown["credentials"] = Value::Null;
        parse(action, unknown);
        for name in fields.as_object().unwrap().keys().filter(|name| !needed.contains(&name.as_str())) {
            let mut null = fields.clone();
            null[name] = Value::Null;
            parse(action, null);
            let mut absent = fields.clone();
            absent.as_object_mut().unwrap().remove(name);
            parse(action, absent);
        }
    }
    assert_eq!(full().len(), Request::ACTIONS.len());
}

#[test]
fn zero_and_empty_text_mean_absent() {
    let Request::Rerank(rerank) =
        parse("invoke_rerank", json!({"query": "q", "docs": null, "score_threshold": 0, "top_n": 0}))
    else {
        panic!()
    };
    assert_eq!((rerank.score_threshold, rerank.top_n), (None, None));
    let Request::TtsVoices(voices) = parse("get_tts_model_voices", json!({"language": ""})) else { panic!() };
    assert_eq!(voices.language, None);
    let Request::TextEmbedding(embedding) = parse("invoke_text_embedding", json!({"texts": [], "input_type": ""}))
    else {
        panic!()
    };
    assert_eq!(embedding.input_type, EmbeddingInputType::Document);
}

#[test]
fn numbers_come_through_the_daemon_as_it_likes() {
    let Request::Rerank(rerank) =
        parse("invoke_rerank", json!({"query": "q", "docs": [], "score_threshold": 1, "top_n": 3.0}))
    else {
        panic!()
    };
    assert_eq!((rerank.score_threshold, rerank.top_n), (Some(1.0), Some(3)));
}

#[test]
fn messages_are_read_with_every_key_of_the_daemon() {
    let parts = json!([
        {"type": "text", "base64_data": "", "url": "", "data": "What?", "encode_format": "", "format": "", "mime_type": "", "detail": "", "filename": ""},
        {"type": "image", "base64_data": "iVBO", "url": "", "data": "", "format": "png", "mime_type": "image/png", "detail": "high", "filename": ""},
        {"type": "document", "base64_data": "", "url": "http://x/a.pdf", "format": "pdf", "mime_type": "application/pdf", "filename": "a.pdf"},
    ]);
    let Request::InvokeLlm(llm) = parse(
        "invoke_llm",
        json!({"prompt_messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": parts},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": {"q": 1}}}]},
            {"role": "tool", "content": "42", "name": "f", "tool_call_id": "c"},
        ], "tools": [{"name": "f", "description": null, "parameters": null}], "tool_choice": {"mode": "tool", "name": "f"}, "stream": true}),
    ) else {
        panic!()
    };
    assert_eq!(llm.prompt_messages[0].role, Role::System);
    let Content::Parts(parts) = &llm.prompt_messages[1].content else { panic!() };
    assert_eq!(parts[0], ContentPart::text("What?"));
    assert_eq!(parts[1].media().unwrap().base64_data.as_deref(), Some("iVBO"));
    assert_eq!(parts[2].media().unwrap().url.as_deref(), Some("http://x/a.pdf"));
    assert_eq!(llm.prompt_messages[2].content, Content::default());
    assert_eq!(llm.prompt_messages[2].tool_calls[0].function.arguments, r#"{"q":1}"#);
    assert_eq!(llm.prompt_messages[3].tool_call_id.as_deref(), Some("c"));
    assert_eq!(llm.tool_choice.unwrap().mode, ToolChoiceMode::Tool);
    assert!(llm.tools[0].parameters.is_empty());
}

#[test]
fn what_cannot_be_read_is_named() {
    let cases = [
        (with("invoke_llm", json!({"prompt_messages": [{"role": "", "content": null}]})), "prompt_messages[0].role"),
        (with("invoke_speech2text", json!({"file": "xyz"})), "not valid hexadecimal"),
        (with("invoke_rerank", json!({"query": "q", "docs": [], "top_n": 1.5})), "an integer"),
        (with("fly", json!({})), "unknown action `fly`"),
        (json!({"type": "tool", "action": "validate_tool_credentials", "provider": "p"}).to_string(), "type `tool`"),
        ("7".to_owned(), "cannot parse the request"),
        (json!({"type": "model", "action": "invoke_llm", "provider": "p"}).to_string(), "model"),
    ];
    for (data, expected) in cases {
        let error = Request::parse(&data).unwrap_err().to_string();
        assert!(error.contains(expected), "{data}: {error}");
    }
}

#[test]
fn credentials_never_show_their_values() {
    let request = parse(
        "invoke_llm",
        json!({"credentials": {"api_key": "s3cret", "empty": " ", "none": null, "port": 80, "on": true}}),
    );
    assert!(!format!("{request:?}").contains("s3cret"));
    let credentials = request.credentials().unwrap();
    assert_eq!(credentials.get("api_key"), Some("s3cret"));
    assert_eq!(credentials.get("empty"), None);
    assert_eq!(credentials.get("none"), None);
    assert_eq!(credentials.number("port").unwrap(), Some(80.0));
    assert!(credentials.flag("on", false));
    let refused = credentials.number("api_key").unwrap_err().to_string();
    assert!(refused.contains("api_key") && !refused.contains("s3cret"));
    assert!(credentials.require("project").unwrap_err().to_string().contains("project"));
}

#[test]
fn envelopes_are_read_and_salvaged() {
    let line = br#"{"session_id":"s","conversation_id":null,"context":{},"event":"request","data":{"a":1}}"#;
    let inbound = Inbound::parse(line).unwrap();
    assert_eq!((inbound.session_id.as_ref(), &inbound.event), ("s", &InboundEvent::Request));
    assert_eq!(inbound.data.unwrap().get(), r#"{"a":1}"#);
    assert_eq!(
        Inbound::parse(br#"{"session_id":"s","event":"new_thing"}"#).unwrap().event,
        InboundEvent::Other("new_thing".into())
    );
    assert_eq!(Inbound::salvage_session_id(br#"{"session_id":"s","event":7}"#).as_deref(), Some("s"));
    for cut in
        ["{\"session_id\":\"s\",\"event\":\"requ", "{\"a\": [1], \"session_id\":\"s\"", "{\"session_id\":\"s\"} x"]
    {
        assert_eq!(Inbound::salvage_session_id(cut.as_bytes()).as_deref(), Some("s"), "{cut}");
    }
    for none in
        ["{half", "{\"session_id\":\"s", "{\"session_id\":5}", "{\"session_id\":null}", "{\"data\":\"x", "[]", ""]
    {
        assert_eq!(Inbound::salvage_session_id(none.as_bytes()), None, "{none}");
    }
}

fn line(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut bytes = Vec::new();
    write(&mut bytes);
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(bytes.last(), Some(&b'\n'));
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn lines_are_what_the_daemon_accepts() {
    let delta = LlmDelta::text("a\nb");
    let item = line(|out| write_stream(out, "s", &LlmChunk::of("m", 3, &delta)).unwrap());
    assert_eq!(
        item,
        json!({"event": "session", "session_id": "s", "data": {"type": "stream", "data": {
            "model": "m", "prompt_messages": [], "system_fingerprint": null,
            "delta": {"index": 3, "message": {"role": "assistant", "content": "a\nb", "name": null, "tool_calls": []},
                "usage": null, "finish_reason": null}}}})
    );
    assert_eq!(line(|out| write_end(out, "s").unwrap())["data"], json!({"type": "end", "data": {}}));
}

#[test]
fn errors_carry_category_text_and_at_most_ten_arguments() {
    let mut error = InvokeError::rate_limit("slow down").with_status(429).with_code("busy").with_hint("Wait.");
    error.request_id = Some("r-1".to_owned());
    error.retry_after = Some(Duration::from_secs(7));
    let item = line(|out| write_error(out, "s", &ErrorPayload::of("acme", &error)).unwrap());
    let payload = &item["data"]["data"];
    assert_eq!(payload["error_type"], "InvokeRateLimitError");
    assert_eq!(payload["message"], "[acme] Rate Limit Error, slow down (request ID r-1). Wait.");
    assert!(payload["args"].as_object().unwrap().len() <= 10);
    let refused = ErrorPayload::of("acme", &InvokeError::authorization("HTTP 401: bad key"));
    assert_eq!(
        refused.message,
        "[acme] Incorrect model credentials provided, please check and try again. HTTP 401: bad key"
    );
    let credentials = ErrorPayload::of("acme", &InvokeError::authorization("no").into_credentials_failure());
    assert_eq!((credentials.error_type, credentials.message.as_str()), ("CredentialsValidateFailedError", "no"));
}
