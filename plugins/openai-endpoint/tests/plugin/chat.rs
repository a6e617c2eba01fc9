//! Chat completions and completions by language models.

use dify_plugin::testing::{Answer, Host};
use serde_json::{Value, json};

use crate::support::{call, chat, chunk, events, host, joined, post, send, text};

fn words() -> Answer {
    Answer::stream([
        chunk(json!("<think>\nHm"), json!([]), json!(null)),
        chunk(json!(".\n</think>\nHello"), json!([]), json!(null)),
        chunk(json!(", Ada"), json!([]), json!(null)),
        chunk(json!(""), json!([]), json!("stop")),
    ])
}

/// The request of the only call.
fn called(host: &Host) -> Value {
    let calls = host.calls();
    assert_eq!(calls.len(), 1);
    Value::Object(calls[0].request.clone())
}

#[tokio::test]
async fn an_answer_is_whole_or_streamed() {
    let host = host().on_llm(|_| words());
    let (status, body) = send(&host, post("/v1/chat/completions", &chat(json!({"unknown": {"a": 1}})))).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&body["object"], &body["model"], &body["system_fingerprint"]),
        (&json!("chat.completion"), &json!("chat"), &json!("fp_1"))
    );
    let message = json!({"role": "assistant", "content": "Hello, Ada", "refusal": null, "reasoning_content": "Hm."});
    assert_eq!(body["choices"], json!([{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}]));
    assert_eq!(body["usage"], json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}));
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));

    let request = chat(json!({"stream": true, "stream_options": {"include_usage": true}}));
    let response = call(&host, post("/v1/chat/completions", &request)).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let expected =
        json!({"text": "Hello, Ada", "reasoning": "Hm.", "calls": [], "finish_reason": "stop", "usage": body["usage"]});
    assert_eq!(joined(&text(&response)), expected);
    let response = call(&host, post("/chat/completions", &chat(json!({"stream": true})))).await.unwrap();
    assert_eq!(joined(&text(&response))["usage"], json!(null));
}

#[tokio::test]
async fn the_request_reaches_the_model_in_dify_s_form() {
    let host = host().on_llm(|_| "Hi");
    let schema = json!({"type": "object", "properties": {"place": {"type": "string"}}});
    let request = json!({
        "model": "small", "temperature": 0.2, "top_p": 0.9, "max_completion_tokens": 50, "seed": 7, "stop": ["END"],
        "presence_penalty": 0.1, "frequency_penalty": 0.3, "reasoning_effort": "low", "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": {"name": "forecast", "description": "d", "parameters": schema, "strict": true}},
            {"type": "function", "function": {"name": "now"}}],
        "tool_choice": {"type": "function", "function": {"name": "forecast"}}, "parallel_tool_calls": true, "user": "u", "n": 1,
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "name": "Ada", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.webp?x=1"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "forecast", "arguments": "{\"place\": \"Riga\"}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "Sunny"},
        ],
    });
    assert_eq!(send(&host, post("/v1/chat/completions", &request)).await.0, 200);
    let sent = called(&host);
    assert_eq!(
        (&sent["provider"], &sent["model"], &sent["mode"]),
        (&json!("acme/models/acme"), &json!("org/small"), &json!("chat"))
    );
    let parameters = json!({"temperature": 0.2, "top_p": 0.9, "max_tokens": 50, "presence_penalty": 0.1, "frequency_penalty": 0.3,
        "seed": 7, "reasoning_effort": "low", "response_format": "json_object"});
    assert_eq!(sent["completion_params"], parameters);
    assert_eq!((&sent["stop"], &sent["tool_choice"]), (&json!(["END"]), &json!({"mode": "tool", "name": "forecast"})));
    let empty = json!({"type": "object", "properties": {}});
    let tools = json!([{"name": "forecast", "description": "d", "parameters": schema}, {"name": "now", "description": "", "parameters": empty}]);
    assert_eq!(sent["tools"], tools);
    let messages = sent["prompt_messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool"]);
    let expected = json!([
        {"type": "text", "data": "What is this?"},
        {"type": "image", "format": "png", "mime_type": "image/png", "base64_data": "AAAA", "detail": "low"},
        {"type": "image", "format": "webp", "mime_type": "image/webp", "url": "https://example.com/a.webp?x=1", "detail": "high"},
        {"type": "audio", "format": "wav", "mime_type": "audio/wav", "base64_data": "AAAA"},
        {"type": "document", "format": "pdf", "mime_type": "application/pdf", "base64_data": "AAAA", "filename": "a.pdf"},
    ]);
    assert_eq!(messages[1]["content"], expected);
    assert_eq!(messages[2]["tool_calls"][0]["function"]["arguments"], "{\"place\": \"Riga\"}");
    assert_eq!((&messages[3]["tool_call_id"], &messages[3]["name"]), (&json!("c1"), &json!("forecast")));
}

fn fragment(id: &str, name: &str, arguments: &str) -> Value {
    json!([{"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}])
}

#[tokio::test]
async fn tool_calls_arrive_whole_and_in_fragments() {
    let none = json!(null);
    // What Dify sends, and the calls that a client joins.
    let cases: Vec<(Vec<Value>, Value)> = vec![
        (vec![fragment("a", "f", "{\"x\": 1}")], json!([["a", "f", "{\"x\": 1}"]])),
        (
            vec![fragment("a", "f", "{\"x\""), fragment("a", "", ": 1}"), fragment("b", "g", "{}")],
            json!([["a", "f", "{\"x\": 1}"], ["b", "g", "{}"]]),
        ),
        (vec![fragment("a", "f", ""), fragment("a", "f", "{}")], json!([["a", "f", "{}"]])),
        (vec![fragment("a", "f", "{"), fragment("", "", "}")], json!([["a", "f", "{}"]])),
        (vec![fragment("", "f", "{}"), fragment("", "g", "{}")], json!([["call_0", "f", "{}"], ["call_1", "g", "{}"]])),
        (vec![fragment("a", "f", "")], json!([["a", "f", "{}"]])),
    ];
    for (fragments, expected) in cases {
        for reason in ["tool_calls", "stop", "tool_use"] {
            let last = chunk(json!(""), json!([]), json!(reason));
            let chunks: Vec<Value> =
                fragments.iter().map(|calls| chunk(json!(""), calls.clone(), none.clone())).chain([last]).collect();
            let host = host().on_llm(move |_| Answer::stream(chunks.clone()));
            let response = call(&host, post("/v1/chat/completions", &chat(json!({"stream": true})))).await.unwrap();
            let streamed = joined(&text(&response));
            assert_eq!((&streamed["calls"], &streamed["finish_reason"]), (&expected, &json!("tool_calls")));
            let (_, body) = send(&host, post("/v1/chat/completions", &chat(json!({})))).await;
            let message = &body["choices"][0]["message"];
            assert_eq!(message["content"], none);
            let calls: Vec<Value> = message["tool_calls"]
                .as_array()
                .unwrap()
                .iter()
                .map(|call| json!([call["id"], call["function"]["name"], call["function"]["arguments"]]))
                .collect();
            assert_eq!(json!(calls), expected);
        }
    }
}

#[tokio::test]
async fn a_schema_is_a_structured_call_and_the_answer_is_json() {
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}});
    for (texts, expected) in [
        (vec!["<think>x</think>{\"a\"", ": true}"], "{\"a\": true}"),
        (vec!["Sure:\n```json\n", "{\"a\": true}\n```"], "{\"a\": true}"),
    ] {
        let host = host().on_structured_output(move |call| {
            assert_eq!(call.request["structured_output_schema"], json!({"type": "object"}));
            let chunks = texts.iter().map(|text| chunk(json!(text), json!([]), json!(null)));
            let mut last = chunk(json!(""), json!([]), json!("stop"));
            last["structured_output"] = json!({"a": "true"});
            Answer::stream(chunks.chain([last]).collect::<Vec<_>>())
        });
        let (_, body) = send(&host, post("/v1/chat/completions", &chat(json!({"response_format": format})))).await;
        assert_eq!(body["choices"][0]["message"]["content"], expected);
        let request = chat(json!({"response_format": format, "stream": true}));
        let response = call(&host, post("/v1/chat/completions", &request)).await.unwrap();
        assert_eq!(joined(&text(&response))["text"], expected);
    }
    // A structured call of Dify fails when the model calls a tool.
    let host = host().on_llm(|_| "{}");
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    send(&host, post("/v1/chat/completions", &chat(json!({"response_format": format, "tools": tools})))).await;
    let parameters = json!({"response_format": "json_schema", "json_schema": "{\"type\":\"object\"}"});
    assert_eq!(called(&host)["completion_params"], parameters);
}

#[tokio::test]
async fn completions_answer_a_prompt() {
    let host = host().on_llm(|call| {
        assert_eq!(call.prompt(), "Once");
        words()
    });
    let request =
        json!({"model": "chat", "prompt": ["Once"], "max_tokens": 5, "echo": true, "logprobs": 0, "suffix": null});
    let (status, body) = send(&host, post("/v1/completions", &request)).await;
    assert_eq!(
        (status, &body["object"], &body["choices"][0]["text"]),
        (200, &json!("text_completion"), &json!("OnceHello, Ada"))
    );
    assert_eq!((&body["choices"][0]["finish_reason"], &body["usage"]["total_tokens"]), (&json!("stop"), &json!(7)));

    let request = json!({"model": "chat", "prompt": "Once", "stream": true, "stream_options": {"include_usage": true}});
    let response = call(&host, post("/v1/completions", &request)).await.unwrap();
    let events = events(&text(&response));
    let joined: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!((joined.as_str(), events.last().unwrap()), ("Hello, Ada", &json!("[DONE]")));
    let usage = &events[events.len() - 2];
    assert_eq!((&usage["choices"], &usage["usage"]["prompt_tokens"]), (&json!([]), &json!(3)));
    let last = &events[events.len() - 3]["choices"][0];
    assert_eq!(last["finish_reason"], "stop");
}

#[tokio::test]
async fn images_of_a_model_are_markdown() {
    let parts = json!([{"type": "text", "data": "Here:"}, {"type": "image", "format": "png", "mime_type": "image/png", "base64_data": "AAAA"}]);
    let host = host().on_llm(move |_| Answer::data(chunk(parts.clone(), json!([]), json!("stop"))));
    let (_, body) = send(&host, post("/v1/chat/completions", &chat(json!({})))).await;
    assert_eq!(body["choices"][0]["message"]["content"], "Here:![image](data:image/png;base64,AAAA)");
}
