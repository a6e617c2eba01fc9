//! Bad input, and failures of Dify before and within an answer.

use dify_plugin::prelude::Permission;
use dify_plugin::testing::Answer;
use serde_json::{Value, json};

use crate::support::{call, chat, chunk, events, host, post, request, send, text};

#[tokio::test]
async fn bad_input_is_named() {
    let host = host().on_llm(|_| "Hi");
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    for (more, param) in [
        (json!({"model": null}), "model"),
        (json!({"model": "embed"}), "model"),
        (json!({"messages": null}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"role": "robot", "content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "tool", "content": "x"}]}), "messages[0].tool_call_id"),
        (json!({"messages": user(json!(5))}), "messages[0].content"),
        (json!({"messages": user(json!([{"type": "image_url"}]))}), "messages[0].content[0].image_url"),
        (
            json!({"messages": user(json!([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]))}),
            "messages[0].content[0]",
        ),
        (
            json!({"messages": user(json!([{"type": "image_url", "image_url": {"url": "data:image/png,x"}}]))}),
            "messages[0].content[0]",
        ),
        (
            json!({"messages": user(json!([{"type": "input_audio", "input_audio": {"data": "??", "format": "wav"}}]))}),
            "messages[0].content[0]",
        ),
        (
            json!({"messages": user(json!([{"type": "file", "file": {"file_id": "f"}}]))}),
            "messages[0].content[0].file.file_data",
        ),
        (json!({"messages": user(json!([{"type": "hologram"}]))}), "messages[0].content[0].type"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"max_tokens": -1}), "max_tokens"),
        (json!({"n": 2}), "n"),
        (json!({"n": 0}), "n"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"top_logprobs": 3}), "top_logprobs"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"functions": [{"name": "f"}]}), "functions"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0]"),
        (json!({"tool_choice": "f"}), "tool_choice"),
        (json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}), "tool_choice"),
        (json!({"response_format": {"type": "xml"}}), "response_format.type"),
        (json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema.schema"),
        (json!({"stop": vec!["x"; 17]}), "stop"),
        (json!({"stop": 5}), "stop"),
    ] {
        let (status, body) = send(&host, post("/v1/chat/completions", &chat(more.clone()))).await;
        let error = &body["error"];
        assert_eq!(
            (status, &error["type"], &error["param"]),
            (400, &json!("invalid_request_error"), &json!(param)),
            "{more}: {body}"
        );
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    for body in ["", "{", "[]", "null", "\"x\"", "{\"model\": \"chat\", \"messages\": [{}]}"] {
        let (status, found) = send(&host, request("POST", "/v1/chat/completions", body)).await;
        assert_eq!((status, &found["error"]["type"]), (400, &json!("invalid_request_error")), "{body}");
    }
    for (body, param) in [
        (json!({"model": "chat"}), "prompt"),
        (json!({"model": "chat", "prompt": ["a", "b"]}), "prompt"),
        (json!({"model": "chat", "prompt": [1, 2]}), "prompt[0]"),
        (json!({"model": "chat", "prompt": "a", "suffix": "b"}), "suffix"),
        (json!({"model": "chat", "prompt": "a", "best_of": 3}), "best_of"),
        (json!({"model": "chat", "prompt": "a", "logprobs": 3}), "logprobs"),
    ] {
        let (status, found) = send(&host, post("/v1/completions", &body)).await;
        assert_eq!((status, &found["error"]["param"]), (400, &json!(param)), "{body}");
    }
    assert!(host.calls().is_empty());
}

#[tokio::test]
async fn failures_before_an_answer_have_a_status() {
    let wrapped = |kind: &str| {
        format!(
            "invoke llm model failed: {}",
            json!({"args": {"description": "no"}, "error_type": kind, "message": "m"})
        )
    };
    for (text, status, code) in [
        (wrapped("InvokeRateLimitError"), 429, "rate_limit_exceeded"),
        (wrapped("InvokeAuthorizationError"), 403, "provider_credentials"),
        (wrapped("InvokeBadRequestError"), 400, "provider_bad_request"),
        ("invoke llm model failed: context_length_exceeded".into(), 400, "context_length_exceeded"),
        ("Model acme not exist".into(), 404, "model_not_found"),
        ("boom".into(), 502, "dify_failed"),
    ] {
        for stream in [false, true] {
            let text = text.clone();
            let host = host().on_llm(move |_| Answer::error(text.clone()));
            let (found, body) = send(&host, post("/v1/chat/completions", &chat(json!({"stream": stream})))).await;
            assert_eq!((found, &body["error"]["code"]), (status, &json!(code)), "{body}");
        }
    }
}

#[tokio::test]
async fn a_failure_within_a_stream_is_an_event() {
    let failing = |_: &_| {
        let words = ["Hel", "lo"].map(|word| chunk(json!(word), json!([]), json!(null)));
        Answer::stream(words).then(Answer::error("rate limit")).every(std::time::Duration::from_millis(40))
    };
    let host = host().on_llm(failing);
    let response = call(&host, post("/v1/chat/completions", &chat(json!({"stream": true})))).await.unwrap();
    assert_eq!(response.status(), 200);
    let events = events(&text(&response));
    let (last, before) = events.split_last().unwrap();
    assert_eq!(last["error"]["code"], "rate_limit_exceeded");
    assert!(before.iter().all(|event| event["choices"][0]["finish_reason"].is_null()));
    // Not streamed, it is a status.
    let (status, _) = send(&host, post("/v1/chat/completions", &chat(json!({})))).await;
    assert_eq!(status, 429);
}

#[tokio::test]
async fn permissions_that_dify_denies_are_named() {
    let host = host().deny(Permission::Llm);
    let (status, body) = send(&host, post("/v1/chat/completions", &chat(json!({})))).await;
    assert_eq!((status, &body["error"]["type"]), (403, &json!("permission_error")));
}

#[tokio::test]
async fn requests_above_a_line_of_dify_are_too_large() {
    let host = host().on_llm(|_| "Hi");
    let image = format!("data:image/png;base64,{}", "AAAA".repeat(1_400_000));
    let content = json!([{"type": "image_url", "image_url": {"url": image}}]);
    let body = chat(json!({"messages": [{"role": "user", "content": content}]}));
    let (status, body) = send(&host, post("/v1/chat/completions", &body)).await;
    assert_eq!((status, &body["error"]["code"]), (413, &json!("request_too_large")), "{body}");
}

#[tokio::test]
async fn a_body_that_dify_has_cut_off_is_an_error_object() {
    let (status, body) = send(&host(), request("POST", "/v1/chat/completions", vec![b' '; 10 * 1024 * 1024])).await;
    assert_eq!((status, &body["error"]["type"]), (413, &json!("invalid_request_error")), "{body}");
}
