//! A compatible upstream without a provider: a profile and an endpoint are sufficient, and what it rejects is left out.

use std::sync::Arc;

use crate::support::scripted;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::LlmRequest;
use dify_plugin::upstream::auth::HeaderAuthorization;
use dify_plugin::upstream::{NetworkSettings, RetryPolicy, Upstream};
use dify_plugin_runtime::dialect::openai::profile::{ImageForm, StreamForm, ToolForm, UserForm};
use dify_plugin_runtime::dialect::openai::{BaseUrl, MapperOptions, Profile};
use dify_plugin_runtime::providers::compatible::{Endpoint, chat, files};
use futures_util::StreamExt;
use scripted::{Scripted, Step, answer};
use serde_json::{Value, json};

fn typed(status: &str, content_type: &str, body: &str) -> Vec<Step> {
    answer(status, &format!("content-type: {content_type}\r\n"), body)
}

fn refusal(message: &str) -> Vec<Step> {
    typed("400 Bad Request", "application/json", &json!({"error": {"message": message}}).to_string())
}

fn stream() -> Vec<Step> {
    let events = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    typed("200 OK", "text/event-stream", events)
}

fn document() -> Vec<Step> {
    let body = json!({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}});
    typed("200 OK", "application/json", &body.to_string())
}

fn request(fields: Value) -> LlmRequest {
    let mut request = json!({"provider": "other", "model": "m", "prompt_messages": [{"role": "user", "content": "Hi"}], "model_parameters": {"max_tokens": 9}});
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(request).unwrap()
}

async fn ask(server: &Scripted, profile: &Profile, request: LlmRequest) -> Result<String, InvokeError> {
    ask_as(1, server, profile, request).await.map(|(text, _)| text)
}

/// Returns text and called functions of a response to a request with these credentials.
async fn ask_as(
    credentials: u64,
    server: &Scripted,
    profile: &Profile,
    request: LlmRequest,
) -> Result<(String, Vec<String>), InvokeError> {
    let base = BaseUrl::parse(&format!("{}/v1/", server.url), "url").unwrap();
    let mut endpoint = Endpoint::new(base, Arc::new(HeaderAuthorization::new().bearer("key-1")));
    endpoint.credentials = credentials;
    endpoint.retry = RetryPolicy::never();
    let options = MapperOptions::of(&request, profile, None);
    let mut deltas =
        chat::invoke(Upstream::new(), endpoint, "wire-model".to_owned(), profile.clone(), options, request);
    let (mut text, mut calls) = (String::new(), Vec::new());
    while let Some(delta) = deltas.next().await {
        let delta = delta?;
        text.push_str(&delta.content.text());
        calls.extend(delta.tool_calls.into_iter().map(|call| call.function.name));
    }
    Ok((text, calls))
}

fn bodies(server: &Scripted) -> Vec<Value> {
    let requests = server.requests();
    requests.iter().map(|request| serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()).collect()
}

#[tokio::test]
async fn needs_only_a_profile_and_an_endpoint() {
    let server = Scripted::start(vec![stream()]).await;
    let profile = Profile { tools: ToolForm::FunctionCall, ..Profile::default() };
    let tools = json!({"tools": [{"name": "f", "description": "d", "parameters": {}}]});
    assert_eq!(ask(&server, &profile, request(tools)).await.unwrap(), "Hello");
    let head = server.requests()[0].to_ascii_lowercase();
    assert!(head.starts_with("post /v1/chat/completions ") && head.contains("authorization: bearer key-1"), "{head}");
    let body = &bodies(&server)[0];
    assert_eq!(
        (&body["model"], &body["functions"][0]["name"], &body["max_tokens"]),
        (&json!("wire-model"), &json!("f"), &json!(9))
    );
}

#[tokio::test]
async fn leaves_out_and_remembers_what_a_server_rejects() {
    let profile = Profile {
        include_usage: true,
        user: Some(UserForm::default()),
        tools: ToolForm::ToolCall,
        always_chooses: true,
        ..Profile::default()
    };
    const MEMBERS: [&str; 5] = ["stream_options", "max_tokens", "max_completion_tokens", "user", "tool_choice"];
    /// Whether a body streams, and which of the members it has.
    fn shape(body: &Value) -> (bool, Vec<&'static str>) {
        (body["stream"] == true, MEMBERS.into_iter().filter(|name| body.get(*name).is_some()).collect())
    }
    let full = (true, vec!["stream_options", "max_tokens", "user", "tool_choice"]);
    let cases = [
        ("Unrecognized request argument: stream_options", stream(), (true, vec!["max_tokens", "user", "tool_choice"])),
        (
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            stream(),
            (true, vec!["stream_options", "max_completion_tokens", "user", "tool_choice"]),
        ),
        ("Streaming is not supported by this model", document(), (false, vec!["max_tokens", "user", "tool_choice"])),
        (
            "body.user: Extra inputs are not permitted",
            stream(),
            (true, vec!["stream_options", "max_tokens", "tool_choice"]),
        ),
        ("tool_choice is not supported", stream(), (true, vec!["stream_options", "max_tokens", "user"])),
    ];
    let fields = json!({"user_id": "u", "tools": [{"name": "f", "parameters": {}}]});
    for (message, then, reduced) in cases {
        let server = Scripted::start(vec![refusal(message), then]).await;
        for _ in 0..2 {
            assert_eq!(ask(&server, &profile, request(fields.clone())).await.unwrap(), "Hello", "{message}");
        }
        let shapes: Vec<_> = bodies(&server).iter().map(shape).collect();
        assert_eq!(shapes, [full.clone(), reduced.clone(), reduced], "{message}");
    }
}

#[tokio::test]
async fn does_not_stream_if_the_profile_says_so() {
    let server = Scripted::start(vec![document()]).await;
    let profile = Profile { stream: StreamForm::Never, ..Profile::default() };
    assert_eq!(ask(&server, &profile, request(json!({"stream": true}))).await.unwrap(), "Hello");
    assert_eq!(streams(&server), [false]);
}

#[tokio::test]
async fn returns_other_rejections() {
    let server = Scripted::start(vec![refusal("the prompt is too long"), stream()]).await;
    let error = ask(&server, &Profile::default(), request(json!({}))).await.unwrap_err();
    assert!(error.message.contains("the prompt is too long"), "{error}");
    let server = Scripted::start(vec![typed("200 OK", "text/html", "<title>Welcome</title>")]).await;
    let error = ask(&server, &Profile::default(), request(json!({}))).await.unwrap_err();
    assert!(error.message.contains("Welcome"), "{error}");
}

fn streams(server: &Scripted) -> Vec<bool> {
    bodies(server).iter().map(|body| body["stream"] == true).collect()
}

#[tokio::test]
async fn streams_if_a_model_requires_it() {
    for message in [
        "This model only support stream mode, please enable the stream parameter to access the model. ",
        "parameter.enable_thinking must be set to false for non-streaming calls",
    ] {
        let server = Scripted::start(vec![refusal(message), stream()]).await;
        for _ in 0..2 {
            let whole = request(json!({"stream": false}));
            assert_eq!(ask(&server, &Profile::default(), whole).await.unwrap(), "Hello", "{message}");
        }
        assert_eq!(streams(&server), [false, true, true], "{message}");
    }
}

#[tokio::test]
async fn applies_lessons_to_the_same_credentials_and_members_only() {
    let profile = Profile { tools: ToolForm::ToolCall, ..Profile::default() };
    let with_tools = || request(json!({"tools": [{"name": "f", "description": "", "parameters": {}}]}));
    let refused = || refusal("Tool calls are not supported in streaming mode");
    // A request with other members or other credentials is sent unchanged.
    let server = Scripted::start(vec![refused(), document(), stream(), stream(), document()]).await;
    ask_as(1, &server, &profile, with_tools()).await.unwrap();
    ask_as(1, &server, &profile, request(json!({}))).await.unwrap();
    ask_as(2, &server, &profile, with_tools()).await.unwrap();
    ask_as(1, &server, &profile, with_tools()).await.unwrap();
    assert_eq!(streams(&server), [true, false, true, true, false]);
    // A lesson whose retry failed is not remembered.
    let server = Scripted::start(vec![refused(), refused(), stream()]).await;
    assert!(ask_as(1, &server, &profile, with_tools()).await.is_err());
    ask_as(1, &server, &profile, with_tools()).await.unwrap();
    assert_eq!(streams(&server), [true, false, true]);
    // Part of a word does not match.
    let server = Scripted::start(vec![refusal("top_k is not supported by the upstream"), stream()]).await;
    assert!(ask_as(1, &server, &profile, with_tools()).await.is_err());
    assert_eq!(streams(&server), [true]);
}

#[tokio::test]
async fn returns_thoughts_if_a_server_requires_them() {
    let profile = Profile { tools: ToolForm::ToolCall, ..Profile::default() };
    let step = || {
        request(json!({"tools": [{"name": "f", "description": "", "parameters": {}}], "prompt_messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "<think>\nI should look\n</think>", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
            {"role": "tool", "content": "found", "tool_call_id": "1"},
        ]}))
    };
    let message = "Missing `reasoning_content` field in the assistant message at message index 1.";
    let server = Scripted::start(vec![refusal(message), stream()]).await;
    for _ in 0..2 {
        assert_eq!(ask(&server, &profile, step()).await.unwrap(), "Hello");
    }
    let bodies = bodies(&server);
    let thoughts: Vec<&Value> = bodies.iter().map(|body| &body["messages"][1]["reasoning_content"]).collect();
    assert_eq!(thoughts, [&Value::Null, &json!("I should look"), &json!("I should look")]);
    assert_eq!(bodies[0]["messages"][1]["tool_calls"][0]["function"]["arguments"], "{}");
}

#[tokio::test]
async fn maps_rejected_names_back() {
    let profile = Profile { tools: ToolForm::ToolCall, ..Profile::default() };
    let call = json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "1", "function":
        {"name": "weather_get", "arguments": "{}"}}]}, "finish_reason": "tool_calls"}]});
    let server =
        Scripted::start(vec![typed("200 OK", "text/event-stream", &format!("data: {call}\n\ndata: [DONE]\n\n"))]).await;
    let tools = json!({"tools": [{"name": "weather.get", "description": "", "parameters": {}}]});
    let (_, calls) = ask_as(1, &server, &profile, request(tools)).await.unwrap();
    assert_eq!(bodies(&server)[0]["tools"][0]["function"]["name"], "weather_get");
    assert_eq!(calls, ["weather.get"]);
}

#[tokio::test]
async fn returns_signatures_to_the_model_that_sent_them() {
    let profile = Profile { tools: ToolForm::ToolCall, ..Profile::default() };
    let step = |opaque: Value| {
        request(json!({"tools": [{"name": "f", "description": "", "parameters": {}}], "prompt_messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "", "opaque_body": opaque, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "content": "found", "tool_call_id": "c1"},
        ]}))
    };
    let signed = |model: &str| {
        let call = json!({"c1": {"extra_content": {"google": {"thought_signature": "sig"}}}});
        json!({"openai": {"model": model, "tool_calls": call}})
    };
    let sent = |server: &Scripted| -> Vec<Value> {
        let signature =
            |body: &Value| body["messages"][1]["tool_calls"][0]["extra_content"]["google"]["thought_signature"].clone();
        bodies(server).iter().map(signature).collect()
    };
    let server = Scripted::start(vec![stream()]).await;
    ask_as(7, &server, &profile, step(signed("wire-model"))).await.unwrap();
    ask_as(7, &server, &profile, step(signed("another"))).await.unwrap();
    assert_eq!(sent(&server), [json!("sig"), Value::Null]);
    // A missing signature is replaced with the documented placeholder, and then a rejected one, too.
    let missing = || refusal("Function call is missing a thought_signature in functionCall parts");
    let server = Scripted::start(vec![missing(), stream()]).await;
    ask_as(8, &server, &profile, step(Value::Null)).await.unwrap();
    assert_eq!(sent(&server), [Value::Null, json!("skip_thought_signature_validator")]);
    let server = Scripted::start(vec![missing(), missing(), stream()]).await;
    ask_as(9, &server, &profile, step(signed("wire-model"))).await.unwrap();
    assert_eq!(sent(&server), [json!("sig"), json!("sig"), json!("skip_thought_signature_validator")]);
}

/// Members of calls are restored from memory if the caller returns the calls without them.
#[tokio::test]
async fn remembers_signatures_that_are_not_sent_back() {
    let profile = Profile { tools: ToolForm::ToolCall, ..Profile::default() };
    let call = json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "c9",
        "function": {"name": "f_g", "arguments": "{\"q\": 1}"},
        "extra_content": {"google": {"thought_signature": "QQ+/=="}}}]}, "finish_reason": "tool_calls"}]});
    let answer = typed("200 OK", "text/event-stream", &format!("data: {call}\n\ndata: [DONE]\n\n"));
    let server = Scripted::start(vec![answer, stream()]).await;
    let step = |messages: Value| {
        request(json!({"tools": [{"name": "f.g", "description": "", "parameters": {}}], "prompt_messages": messages}))
    };
    let question = json!({"role": "user", "content": "q"});
    let (_, calls) = ask_as(5, &server, &profile, step(json!([question]))).await.unwrap();
    assert_eq!(calls, ["f.g"]);
    let bare = json!({"role": "assistant", "content": "", "tool_calls": [
        {"id": "c9", "type": "function", "function": {"name": "f.g", "arguments": "{\"q\":1}"}}]});
    let history = json!([question, bare, {"role": "tool", "content": "r", "tool_call_id": "c9"}]);
    for credentials in [5, 6] {
        ask_as(credentials, &server, &profile, step(history.clone())).await.unwrap();
    }
    let signature = |body: &Value| body["messages"][1]["tool_calls"][0]["extra_content"]["google"].clone();
    let bodies = bodies(&server);
    assert_eq!(signature(&bodies[1]), json!({"thought_signature": "QQ+/=="}));
    assert_eq!(signature(&bodies[2]), Value::Null, "other credentials share nothing");
}

/// A signature of the message itself is sent back: from the private JSON, or by the text of the response.
#[tokio::test]
async fn returns_signatures_of_responses_without_calls() {
    let profile = Profile::default();
    let events = |deltas: &[Value]| {
        let events: String =
            deltas.iter().map(|delta| format!("data: {}\n\n", json!({"choices": [{"delta": delta}]}))).collect();
        let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        typed("200 OK", "text/event-stream", &format!("{events}{end}"))
    };
    let signature = json!({"google": {"thought_signature": "QQ+/=="}});
    // Thoughts, then the response; a member without a signature is not sent back.
    let answer = events(&[
        json!({"reasoning_content": "hm", "extra_content": {"google": {"thought": true}}}),
        json!({"content": "Hel"}),
        json!({"content": "lo", "extra_content": signature}),
    ]);
    let server = Scripted::start(vec![answer, stream()]).await;
    let (text, _) = ask_as(21, &server, &profile, request(json!({}))).await.unwrap();
    assert_eq!(text, "<think>\nhm\n</think>Hello");
    let history = |content: &str, opaque: Value| {
        request(json!({"prompt_messages": [{"role": "user", "content": "Hi"},
            {"role": "assistant", "content": content, "opaque_body": opaque}, {"role": "user", "content": "And?"}]}))
    };
    let carried = |model: &str| json!({"openai": {"model": model, "message": {"thought_signature": "own"}}});
    for (credentials, content, opaque, extra, own) in [
        (21, text.as_str(), Value::Null, signature.clone(), Value::Null),
        (21, "Hello\n", Value::Null, signature.clone(), Value::Null),
        (21, "Hallo", Value::Null, Value::Null, Value::Null),
        (22, "Hello", Value::Null, Value::Null, Value::Null),
        (22, "Hello", carried("wire-model"), Value::Null, json!("own")),
        (22, "Hello", carried("another"), Value::Null, Value::Null),
    ] {
        ask_as(credentials, &server, &profile, history(content, opaque)).await.unwrap();
        let sent = bodies(&server).pop().unwrap()["messages"][1].clone();
        assert_eq!((&sent["extra_content"], &sent["thought_signature"]), (&extra, &own), "{credentials} {content}");
    }
    // A server that rejects them gets a request without them.
    let refused = refusal("thought_signature is not valid");
    let server = Scripted::start(vec![refused, stream()]).await;
    ask_as(23, &server, &profile, history("Hello", carried("wire-model"))).await.unwrap();
    let sent: Vec<Value> =
        bodies(&server).iter().map(|body| body["messages"][1]["thought_signature"].clone()).collect();
    assert_eq!(sent, [json!("own"), Value::Null]);
}

/// One size limit for all files of a prompt, counted uncompressed.
#[tokio::test]
async fn limits_the_total_size_of_files() {
    const MIB: usize = 1024 * 1024;
    let file = |claimed: usize, sent: usize| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: {claimed}\r\n\r\n");
        vec![Step::Send(head.into_bytes()), Step::Times(vec![b'x'; MIB], sent)]
    };
    // A small compressed response may be large when unpacked.
    let packed = typed("200 OK", "image/png", "x").into_iter().map(|step| match step {
        Step::Send(bytes) => {
            let text = String::from_utf8(bytes).unwrap();
            Step::Send(text.replacen("content-type", "content-encoding: deflate\r\ncontent-type", 1).into_bytes())
        }
        other => other,
    });
    let profile = Profile { image: ImageForm::ImageUrl, ..Profile::default() };
    for (scripts, expected) in [
        (vec![file(40 * MIB, 40), file(24 * MIB, 24)], None),
        (vec![file(40 * MIB, 40), file(25 * MIB, 0)], Some("together with the others of this prompt")),
        (vec![file(65 * MIB, 0)], Some("larger than 67108864 bytes")),
        (vec![packed.collect()], Some("is compressed")),
    ] {
        let count = scripts.len();
        let server = Scripted::start(scripts).await;
        let image = |number: usize| json!({"type": "image", "format": "png", "mime_type": "image/png", "url": format!("/f{number}")});
        // In one message, and in several.
        let messages: Vec<Value> =
            (0..count).map(|number| json!({"role": "user", "content": [image(number)]})).collect();
        let mut request = request(json!({ "prompt_messages": messages }));
        let (upstream, network) = (Upstream::new(), NetworkSettings::default());
        let gathered =
            files::gather(&upstream, &network, Some(&server.url), &profile, &mut request.prompt_messages).await;
        match expected {
            None => gathered.unwrap(),
            Some(words) => {
                let error = gathered.unwrap_err();
                assert!(error.message.contains(words), "{error}");
            }
        }
    }
}
