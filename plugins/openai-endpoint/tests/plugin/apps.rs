//! Chat on apps: events, inputs, files, citations, and conversations.

use dify_plugin::testing::{Answer, Host};
use serde_json::{Value, json};

use crate::support::{KEY, call, chat, events, host, joined, post, send, settings, text};

fn event(name: &str, more: Value) -> Value {
    let mut event = json!({"event": name, "conversation_id": "dify-1", "message_id": "m"});
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn answer() -> Answer {
    let citation = json!({"position": 1, "dataset_name": "s", "document_name": "d.pdf", "score": 0.8, "content": "c"});
    Answer::stream([
        event("message", json!({"answer": "Because "})),
        event("message", json!({"answer": "of that."})),
        event(
            "message_end",
            json!({"metadata": {
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, "retriever_resources": [citation]}}),
        ),
    ])
}

fn requests(host: &Host, kind: &str) -> Vec<Value> {
    let calls = host.calls().into_iter().filter(|call| call.invoke_type.as_str() == kind);
    calls.map(|call| Value::Object(call.request)).collect()
}

#[tokio::test]
async fn a_chat_app_answers_with_citations() {
    let host = host().on_app(|_| answer());
    let messages = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Why?"}]);
    let body = chat(json!({"model": "app", "messages": messages, "inputs": {"place": "Riga"}}));
    let (status, body) = send(&host, post("/v1/chat/completions", &body)).await;
    assert_eq!((status, &body["choices"][0]["message"]["content"]), (200, &json!("Because of that.")));
    assert_eq!((&body["usage"]["total_tokens"], &body["citations"][0]["document_name"]), (&json!(7), &json!("d.pdf")));
    assert_eq!(body.get("conversation_id"), None);
    let sent = &requests(&host, "app")[0];
    assert_eq!((&sent["app_id"], &sent["response_mode"]), (&json!("app-1"), &json!("streaming")));
    // The app does not know the earlier messages.
    assert_eq!(sent["query"], "User: Hi\n\nAssistant: Hello\n\nUser: Why?");
    assert_eq!(sent["inputs"], json!({"tone": "calm", "place": "Riga"}));

    let request = chat(json!({"model": "app", "stream": true, "stream_options": {"include_usage": true}}));
    let response = call(&host, post("/v1/chat/completions", &request)).await.unwrap();
    let body = text(&response);
    let joined = joined(&body);
    assert_eq!((&joined["text"], &joined["usage"]["prompt_tokens"]), (&json!("Because of that."), &json!(3)));
    assert!(events(&body).iter().any(|event| event["citations"][0]["position"] == 1));
}

#[tokio::test]
async fn a_conversation_is_kept_by_the_name_that_the_client_sends() {
    let host = host().on_app(|_| answer());
    let with_header = |name: &str| {
        let mut request = post("/v1/chat/completions", &chat(json!({"model": "app"})));
        request.headers_mut().insert("x-conversation-id", name.parse().unwrap());
        request
    };
    let mut other_key = with_header("mine");
    other_key.headers_mut().insert("authorization", "Bearer sk-second-0123456789".parse().unwrap());
    let messages = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Why?"}]);
    let of_body = chat(json!({"model": "app", "conversation_id": "mine", "messages": messages}));
    let of_metadata = chat(json!({"model": "app", "metadata": {"conversation_id": "mine"}}));
    for (request, known) in [
        (with_header("mine"), None),
        (post("/v1/chat/completions", &of_body), Some("dify-1")),
        (post("/v1/chat/completions", &of_metadata), Some("dify-1")),
        (with_header("another"), None),
        (other_key, None),
    ] {
        let mut settings = settings();
        settings["more_keys"] = "sk-second-0123456789".into();
        let response = host.endpoint(request).settings(settings).await.unwrap();
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert!(["mine", "another"].contains(&body["conversation_id"].as_str().unwrap()));
        let sent = requests(&host, "app").pop().unwrap();
        assert_eq!(sent.get("conversation_id").and_then(Value::as_str), known);
        // Dify has the earlier messages.
        assert_eq!(sent["query"], if sent["query"] == "Why?" { "Why?" } else { "Hi" });
    }
    assert!(host.calls().iter().all(|call| !json!(call.request).to_string().contains(KEY)));
}

fn form() -> Answer {
    Answer::data(json!({"opening_statement": "", "user_input_form": [
        {"paragraph": {"variable": "topic"}}, {"file-list": {"variable": "docs"}}]}))
}

#[tokio::test]
async fn a_workflow_gets_the_message_as_an_input() {
    let finished = json!({"event": "workflow_finished", "data": {"status": "succeeded", "outputs": {"report": "Done"}, "total_tokens": 9}});
    let host = host().on_app_info(|_| form()).on_app(move |_| Answer::data(finished.clone()));
    for model in ["workflow", "write"] {
        let (status, body) = send(&host, post("/v1/chat/completions", &chat(json!({"model": model})))).await;
        assert_eq!((status, &body["choices"][0]["message"]["content"]), (200, &json!("Done")));
        let sent = requests(&host, "app").pop().unwrap();
        assert_eq!((&sent["inputs"], sent.get("query")), (&json!({"topic": "Hi"}), None));
    }
    let (status, body) =
        send(&host, post("/v1/chat/completions", &chat(json!({"model": "workflow", "conversation_id": "c"})))).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("conversation_id")));
}

// Real time: the upload is a request over HTTP.
#[tokio::test]
async fn files_are_uploaded_and_become_inputs() {
    let host = host().on_app_info(|_| form()).on_app(|_| answer());
    let content = json!([
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
    ]);
    let request = chat(json!({"model": "app", "messages": [{"role": "user", "content": content}]}));
    let (status, body) = send(&host, post("/v1/chat/completions", &request)).await;
    assert_eq!(status, 200, "{body}");
    let uploads = host.uploads();
    let names: Vec<_> =
        uploads.iter().map(|file| (file.name.clone().unwrap_or_default(), file.mime_type.clone())).collect();
    assert_eq!(json!(names), json!([["image-1.png", "image/png"], ["audio-3.mp3", "audio/mpeg"]]));
    let docs = &requests(&host, "app")[0]["inputs"]["docs"];
    assert_eq!((&docs[0]["transfer_method"], &docs[0]["type"]), (&json!("tool_file"), &json!("image")));
    assert_eq!(docs[1], json!({"transfer_method": "remote_url", "url": "https://example.com/a.jpg", "type": "image"}));
    assert_eq!(docs[2]["type"], "audio");
}

#[tokio::test]
async fn what_apps_cannot_do_is_rejected() {
    let host = host().on_app(|_| answer());
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for (more, param) in [
        (json!({"tools": tools}), "tools"),
        (json!({"response_format": {"type": "json_object"}}), "response_format"),
        (json!({"conversation_id": "c".repeat(300)}), "conversation_id"),
        (json!({"messages": [{"role": "system", "content": "x"}]}), "messages"),
        (json!({"n": 2}), "n"),
    ] {
        let mut body = chat(more);
        body["model"] = "app".into();
        let (status, body) = send(&host, post("/v1/chat/completions", &body)).await;
        assert_eq!((status, &body["error"]["param"]), (400, &json!(param)), "{body}");
    }
    let (status, _) = send(&host, post("/v1/completions", &json!({"model": "app", "prompt": "x"}))).await;
    assert_eq!((status, host.calls().len()), (400, 0));
}
