//! Tests of what the keys of `chat:` do to requests and responses, from the keys to the body.

use serde_json::{Map, Value, json};

use super::ChatOptions;
use crate::dialect::StreamMapper;
use crate::dialect::names::FunctionNames;
use crate::dialect::openai::chat_request::{NAMES, chat_request};
use crate::dialect::openai::{ChatMapper, MapperOptions, Profile};
use crate::dialect::think::ThinkPolicy;
use dify_plugin::codec::events::Event;
use dify_plugin::declare::{ModelFeature, ModelSchema};
use dify_plugin::protocol::{LlmDelta, LlmRequest, ModelType};

fn profile(chat: Value) -> Profile {
    let options: ChatOptions = serde_json::from_value(chat).unwrap();
    let mut model = ModelSchema::customizable("m", ModelType::Llm);
    model.features = vec![ModelFeature::MultiToolCall];
    options.profile(&model)
}

fn request(fields: Value) -> LlmRequest {
    let mut request = json!({
        "provider": "p", "model": "m", "user_id": "user-1", "stream": true,
        "prompt_messages": [{"role": "user", "content": "Hi"}],
    });
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(request).unwrap()
}

/// Returns the body that a request has with these keys.
fn body(chat: Value, fields: Value) -> Value {
    let (profile, request) = (profile(chat), request(fields));
    let names = FunctionNames::of(&request.tools, NAMES);
    serde_json::from_slice(&chat_request("wire", &request, &profile, &names).unwrap()).unwrap()
}

/// Returns the members of the body that parameters became.
fn parameters(chat: &Value, parameters: Value) -> Value {
    let mut body: Map<String, Value> =
        serde_json::from_value(body(chat.clone(), json!({ "model_parameters": parameters }))).unwrap();
    for name in ["model", "messages", "stream", "stream_options"] {
        body.remove(name);
    }
    Value::Object(body)
}

#[test]
fn parameters_become_what_providers_expect() {
    let deepseek = json!({
        "parameters": {"thinking": {"unset": true, "as": "switch"}},
        "rules": [
            {"when": {"thinking": true}, "drop": ["temperature", "top_p"]},
            {"when": {"thinking": false}, "drop": ["reasoning_effort"]},
        ],
    });
    let openrouter = json!({
        "parameters": {
            "enable_thinking": {"to": "reasoning.enabled"}, "reasoning_effort": {"to": "reasoning.effort"},
            "reasoning_budget": {"to": "reasoning.max_tokens"},
        },
        "body": {"provider": {"data_collection": "allow"}},
    });
    let volcengine = json!({
        "parameters": {"thinking": {"as": "switch"}},
        "rules": [{"when": {"thinking": "disabled"}, "set": {"reasoning_effort": "minimal"}}],
    });
    let mistral = json!({"parameters": {
        "reasoning_mode": {"values": {"true": "reasoning", "false": null}, "to": "prompt_mode"},
    }});
    let zhipu = json!({"parameters": {
        "thinking": {"as": "switch"}, "web_search": {"as": "tool", "tool": {"type": "web_search"}},
    }});
    let everywhere = json!({
        "thinking": ["top_level", "template_kwargs", "object"], "body": {"chat_template_kwargs": {"x": 1}},
    });
    let strict = json!({"parameters": {"enable_thinking": {"unset": true}}});
    let both = json!({"thinking": ["top_level"], "parameters": {"enable_thinking": {"unset": true}}});
    let ollama = json!({
        "thinking": ["top_level"],
        "parameters": {"enable_thinking": {"values": {"true": "medium", "false": "none"}, "to": "reasoning_effort"}},
    });
    let named = json!({"thinking": ["template_kwargs"]});
    let on = json!({"type": "enabled"});
    let off = json!({"type": "disabled"});
    let allowed = json!({"data_collection": "allow"});
    for (chat, given, expected) in [
        (&deepseek, json!({"temperature": 1}), json!({"thinking": on})),
        (
            &deepseek,
            json!({"thinking": true, "reasoning_effort": "high"}),
            json!({"thinking": on, "reasoning_effort": "high"}),
        ),
        (
            &deepseek,
            json!({"thinking": false, "reasoning_effort": "high", "top_p": 1}),
            json!({"thinking": off, "top_p": 1}),
        ),
        (&openrouter, json!({}), json!({"provider": allowed})),
        (
            &openrouter,
            json!({"enable_thinking": true, "reasoning_effort": "low", "reasoning_budget": 9}),
            json!({"provider": allowed, "reasoning": {"enabled": true, "effort": "low", "max_tokens": 9}}),
        ),
        (
            &openrouter,
            json!({"enable_thinking": false, "reasoning_effort": "low"}),
            json!({"provider": allowed, "reasoning": {"enabled": false}}),
        ),
        (
            &volcengine,
            json!({"thinking": "disabled", "reasoning_effort": "high"}),
            json!({"thinking": off, "reasoning_effort": "minimal"}),
        ),
        (&volcengine, json!({"thinking": "auto"}), json!({"thinking": {"type": "auto"}})),
        (&mistral, json!({"reasoning_mode": true}), json!({"prompt_mode": "reasoning"})),
        (&mistral, json!({"reasoning_mode": false}), json!({"prompt_mode": null})),
        (&mistral, json!({}), json!({})),
        (
            &zhipu,
            json!({"web_search": true, "thinking": true}),
            json!({"thinking": on, "tools": [{"type": "web_search"}]}),
        ),
        (&zhipu, json!({"web_search": false}), json!({})),
        (
            &everywhere,
            json!({"enable_thinking": true, "reasoning_effort": "low"}),
            json!({
                "enable_thinking": true, "thinking": on, "reasoning_effort": "low",
                "chat_template_kwargs": {"enable_thinking": true, "thinking": true, "reasoning_effort": "low", "x": 1},
            }),
        ),
        (&strict, json!({"reasoning_effort": "low"}), json!({"reasoning_effort": "low"})),
        (&both, json!({}), json!({"enable_thinking": true})),
        (&both, json!({"enable_thinking": false}), json!({"enable_thinking": false})),
        (&ollama, json!({"enable_thinking": false}), json!({"reasoning_effort": "none"})),
        (
            &named,
            json!({"thinking": true}),
            json!({"chat_template_kwargs": {"enable_thinking": true, "thinking": true}}),
        ),
        (&named, json!({"thinking": on}), json!({"thinking": on})),
        (&json!({}), json!({"thinking": on}), json!({"thinking": on})),
    ] {
        assert_eq!(parameters(chat, given.clone()), expected, "{chat} {given}");
    }
}

#[test]
fn tools_of_the_server_stay_beside_functions() {
    let search = json!({"type": "web_search", "web_search": {"enable": true}});
    let chat = |form: &str| json!({"tools": form, "tool_choice": "auto", "parameters": {"web_search": {"as": "tool", "tool": search}}});
    let fields = json!({"model_parameters": {"web_search": true}, "tools": [{"name": "f", "parameters": {}}]});
    for (form, expected) in [("tool_call", 2), ("function_call", 1), ("none", 1)] {
        let body = body(chat(form), fields.clone());
        let tools = body["tools"].as_array().unwrap();
        assert!(tools.contains(&search) && tools.len() == expected, "{form}: {tools:?}");
        assert_eq!(body.get("tool_choice"), (form == "tool_call").then_some(&json!("auto")), "{form}");
        assert_eq!(body.get("functions").is_some(), form == "function_call", "{form}");
    }
}

#[test]
fn users_and_stops_are_limited() {
    let digest = "c6c289e49e9c05b2145860387b73bcb18df43fb09a1e4a4a9713c76c88bb541b";
    for (chat, fields, member, expected) in [
        (json!({}), json!({}), "user", None),
        (json!({"user": true}), json!({}), "user", Some(json!("user-1"))),
        (json!({"user": {"field": "user_id"}}), json!({}), "user_id", Some(json!("user-1"))),
        (json!({"user": {"field": "user_id"}}), json!({}), "user", None),
        (json!({"user": {"longest": 4}}), json!({}), "user", Some(json!("user"))),
        (json!({"user": {"longest": 2}}), json!({"user_id": "äöü"}), "user", Some(json!("äö"))),
        (json!({"user": true}), json!({"user_id": ""}), "user", None),
        (json!({}), json!({"stop": ["a", "b", "c"]}), "stop", Some(json!(["a", "b", "c"]))),
        (json!({"stop": 2}), json!({"stop": ["a", "", "b", "c"]}), "stop", Some(json!(["a", "b"]))),
        (json!({"stop": false}), json!({"stop": ["a"]}), "stop", None),
        (json!({"usage": "silent"}), json!({}), "stream_options", None),
        (json!({"stream": {"parameter": "s"}}), json!({"model_parameters": {"s": true}}), "s", None),
    ] {
        assert_eq!(body(chat.clone(), fields.clone()).get(member), expected.as_ref(), "{chat} {fields}");
    }
    let hashed = body(json!({"user": {"hash": "sha256"}}), json!({}));
    assert_eq!(hashed["user"], digest);
    let cut = body(json!({"user": {"hash": "sha256", "longest": 32}}), json!({}));
    assert_eq!(cut["user"], digest[..32], "the hash is cut, not the ID");
}

#[test]
fn streams_unless_the_options_say_otherwise() {
    let switched = |on: Value| request(json!({"model_parameters": {"enable_stream": on}}));
    for (chat, asked, on, expected) in [
        (json!(true), true, json!(false), true),
        (json!(false), true, json!(true), false),
        (json!({"parameter": "enable_stream"}), true, json!(true), true),
        (json!({"parameter": "enable_stream"}), true, json!("false"), false),
        (json!({"parameter": "enable_stream"}), true, json!(null), true),
        (json!({"parameter": "enable_stream"}), false, json!(true), false),
    ] {
        let form = profile(json!({ "stream": chat })).stream;
        assert_eq!(form.streams(asked, &switched(on.clone()).model_parameters), expected, "{chat} {asked} {on}");
    }
}

/// Returns the messages that a history becomes, each as its role, text and thoughts.
fn messages(chat: Value, history: Value) -> Vec<(String, Value, Value)> {
    let body = body(chat, json!({"prompt_messages": history, "tools": [{"name": "f", "parameters": {}}]}));
    let part = |message: &Value, name: &str| message.get(name).cloned().unwrap_or_default();
    let of = |message: &Value| {
        (message["role"].as_str().unwrap().to_owned(), part(message, "content"), part(message, "reasoning_content"))
    };
    body["messages"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn histories_are_arranged() {
    let say = |role: &str, content: &str| json!({"role": role, "content": content});
    let image =
        json!({"role": "user", "content": [{"type": "image", "url": "https://h/a.png", "mime_type": "image/png"}]});
    let call = json!({"role": "assistant", "content": "", "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let result = json!({"role": "tool", "content": "", "tool_call_id": "1"});
    let history = json!([
        say("system", ""),
        say("system", "s"),
        say("user", "a"),
        say("user", "b"),
        say("assistant", ""),
        say("user", "c"),
        call,
        result,
        say("assistant", "d"),
        say("assistant", "e"),
        say("user", "f"),
    ]);
    let none = Value::Null;
    let roles = |chat: Value| -> Vec<String> {
        messages(chat, history.clone()).into_iter().map(|(role, content, _)| format!("{role} {content}")).collect()
    };
    assert_eq!(roles(json!({})).len(), 11);
    assert_eq!(
        roles(json!({"merge_roles": "\n\n", "drop_empty": true})),
        [
            r#"system "s""#,
            r#"user "a\n\nb\n\nc""#,
            r#"assistant """#,
            r#"tool """#,
            r#"assistant "d\n\ne""#,
            r#"user "f""#,
        ]
    );
    assert_eq!(roles(json!({"system": "drop"})).len(), 9);
    assert_eq!(roles(json!({"system": "first", "merge_roles": "\n"}))[1], r#"user "a\nb""#);
    // Images are kept when texts are merged with them.
    let merged =
        messages(json!({"merge_roles": "\n", "images": "url_without_detail"}), json!([say("user", "a"), image]));
    let expected =
        json!([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://h/a.png"}}]);
    assert_eq!(merged, [("user".to_owned(), expected, none)]);
}

#[test]
fn thoughts_are_handed_back() {
    let call = json!([{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let history = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": call, "opaque_body": {"reasoning_content": "private"}},
        {"role": "tool", "content": "r", "tool_call_id": "1"},
        {"role": "assistant", "content": "<think>\nin the text\n</think>\n\nSo."},
        {"role": "assistant", "content": "Unknown."},
        {"role": "user", "content": "q"},
    ]);
    for (when, expected) in [
        ("never", [Value::Null, Value::Null, Value::Null]),
        ("with_calls", [json!("private"), Value::Null, Value::Null]),
        ("when_known", [json!("private"), json!("in the text"), Value::Null]),
        ("always", [json!("private"), json!("in the text"), json!("")]),
    ] {
        let sent = messages(json!({ "reasoning_back": when }), history.clone());
        let answers: Vec<_> = sent.iter().filter(|(role, ..)| role == "assistant").collect();
        let thoughts: Vec<Value> = answers.iter().map(|(_, _, thoughts)| thoughts.clone()).collect();
        assert_eq!(thoughts, expected, "{when}");
        assert_eq!(answers[1].1, json!("So."), "{when}: the text has no thoughts");
    }
}

#[test]
fn files_take_the_form_of_the_options() {
    let file = |kind: &str, mime: &str| json!([{"type": kind, "base64_data": "QUJD", "mime_type": mime, "format": mime.split('/').nth(1), "filename": "a.x"}]);
    let link = json!([{"type": "image", "url": "data:image/png;base64,QUJD", "mime_type": "image/png"}]);
    let remote = json!([{"type": "image", "url": "https://h/a.png", "mime_type": "image/png"}]);
    let words = |kind: &str| json!(format!("[left out: the {kind} a.x, which this model does not read]"));
    let url = |name: &str, url: &str| json!([{"type": name, name: {"url": url}}]);
    for (chat, content, expected) in [
        (json!({"images": "base64"}), file("image", "image/png"), url("image_url", "QUJD")),
        (json!({"images": "base64"}), link, url("image_url", "QUJD")),
        (json!({"images": "base64"}), remote, url("image_url", "https://h/a.png")),
        (
            json!({"images": "url_without_detail"}),
            file("image", "image/png"),
            url("image_url", "data:image/png;base64,QUJD"),
        ),
        (json!({"images": "text"}), file("image", "image/png"), words("image")),
        (json!({"videos": "base64"}), file("video", "video/mp4"), url("video_url", "QUJD")),
        (json!({"videos": "video_url"}), file("video", "video/mp4"), url("video_url", "data:video/mp4;base64,QUJD")),
        (json!({"videos": "as_image"}), file("video", "video/mp4"), url("image_url", "data:video/mp4;base64,QUJD")),
        (json!({"videos": "text"}), file("video", "video/mp4"), words("video")),
        (json!({"audios": "as_image"}), file("audio", "audio/wav"), url("image_url", "data:audio/wav;base64,QUJD")),
        (
            json!({"audios": "input_audio"}),
            file("audio", "audio/wav"),
            json!([{"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}]),
        ),
        (json!({"documents": "text"}), file("document", "application/pdf"), words("document")),
    ] {
        let sent = messages(chat.clone(), json!([{"role": "user", "content": content}]));
        assert_eq!(sent[0].1, expected, "{chat}");
    }
}

/// Maps a streamed response and returns its text and the private JSON.
fn mapped(chat: Value, fields: Value, chunks: &[Value]) -> (String, Option<Value>) {
    let mut mapper = ChatMapper::new(MapperOptions::of(&request(fields), &profile(chat), None));
    let mut out: Vec<LlmDelta> = Vec::new();
    for chunk in chunks {
        let data = json!({"choices": [chunk]}).to_string();
        mapper.event(&Event { data, ..Event::default() }, &mut out).unwrap();
    }
    mapper.finish(&mut out).unwrap();
    let text = out.iter().map(|delta| delta.content.text()).collect();
    (text, out.iter().find_map(|delta| delta.opaque_body.clone()))
}

#[test]
fn responses_are_read_as_the_options_say() {
    let thought = json!({"delta": {"reasoning_content": "hm"}});
    let more = json!({"delta": {"reasoning_content": "m"}});
    let answer =
        [json!({"delta": {"content": "<|bo"}}), json!({"delta": {"content": "x|>4<|box|>2"}, "finish_reason": "stop"})];
    let chunks: Vec<Value> = [thought, more].into_iter().chain(answer).collect();
    let shown = "<think>\nhmm\n</think>";
    let strip = json!({"strip": ["<|box|>"]});
    for (chat, fields, expected, kept) in [
        (json!({}), json!({}), format!("{shown}<|box|>4<|box|>2"), Value::Null),
        (strip.clone(), json!({}), format!("{shown}42"), Value::Null),
        (json!({"strip": ["<|box|>"], "thoughts": "hide"}), json!({}), "42".to_owned(), Value::Null),
        (strip.clone(), json!({"model_parameters": {"enable_thinking": false}}), "42".to_owned(), Value::Null),
        (strip.clone(), json!({"model_parameters": {"thinking": "disabled"}}), "42".to_owned(), Value::Null),
        (
            json!({"strip": ["<|box|>"], "parameters": {"deep": {"as": "switch", "to": "thinking"}}}),
            json!({"model_parameters": {"deep": false}}),
            "42".to_owned(),
            Value::Null,
        ),
        (
            json!({"strip": ["<|box|>"], "reasoning_back": "always", "thoughts": "hide"}),
            json!({}),
            "42".to_owned(),
            json!({"reasoning_content": "hmm"}),
        ),
    ] {
        let (text, private) = mapped(chat.clone(), fields.clone(), &chunks);
        assert_eq!((text, private.unwrap_or_default()), (expected, kept), "{chat} {fields}");
    }
}

#[test]
fn thoughts_that_are_too_long_are_not_kept() {
    let long = json!({"delta": {"reasoning_content": "x".repeat(700_000)}});
    let end = json!({"delta": {"reasoning_content": "y", "content": "So."}, "finish_reason": "stop"});
    let back = json!({"reasoning_back": "always", "thoughts": "hide"});
    for (chunks, is_kept) in [(vec![long.clone(), end.clone()], true), (vec![long.clone(), long, end], false)] {
        let (text, private) = mapped(back.clone(), json!({}), &chunks);
        assert_eq!((text.as_str(), private.is_some()), ("So.", is_kept));
    }
}

#[test]
fn thoughts_of_a_request_are_hidden_or_shown() {
    let policy = |chat: Value, parameters: Value| {
        MapperOptions::of(&request(json!({ "model_parameters": parameters })), &profile(chat), None).think
    };
    assert_eq!(policy(json!({}), json!({"thinking": {"type": "disabled"}})), ThinkPolicy::Hide);
    assert_eq!(policy(json!({}), json!({"thinking": {"type": "enabled"}})), ThinkPolicy::Show);
    assert_eq!(policy(json!({"thoughts": "hide"}), json!({"thinking": true})), ThinkPolicy::Hide);
}
