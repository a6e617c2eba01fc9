//! Tests of request bodies: a request as the daemon sends it, a profile, and the expected members of the body.

use serde_json::{Value, json};

use super::super::profile::{
    AudioForm, DocumentForm, History, ImageForm, MaxTokensName, Mode, Profile, StructuredForm, SystemForm,
    ThinkingForm, ToolForm, UserForm, VideoForm,
};
use super::*;

/// Builds the body of a request with the names of its own functions.
fn written(model: &str, request: &LlmRequest, profile: &Profile) -> Result<Bytes, InvokeError> {
    chat_request(model, request, profile, &FunctionNames::of(&request.tools, NAMES))
}

fn request(fields: Value) -> LlmRequest {
    let mut request =
        json!({"provider": "p", "model": "m", "user_id": "u", "prompt_messages": [{"role": "user", "content": "Hi"}]});
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(request).unwrap()
}

fn conversions(value: Value) -> crate::dialect::openai::options::Conversions {
    serde_json::from_value(value).unwrap()
}

fn body(fields: Value, profile: &Profile) -> Value {
    let body = written("wire-model", &request(fields), profile).unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// Checks that the body has these members; `null` means that the member must be absent.
fn check(fields: Value, profile: &Profile, expected: Value) {
    let body = body(fields.clone(), profile);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(body.get(name).unwrap_or(&Value::Null), value, "{name} of {body} for {fields}");
    }
}

#[test]
fn sends_only_parameters_that_the_user_set() {
    let body = body(json!({}), &Profile::default());
    assert_eq!(body, json!({"model": "wire-model", "messages": [{"role": "user", "content": "Hi"}], "stream": true}));
}

#[test]
fn applies_every_profile_setting() {
    let tools = json!([{"name": "f", "description": "d", "parameters": {}}]);
    let function = json!({"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}});
    let with_tools = |tools| Profile { tools, ..Profile::default() };
    let thinking = |thinking| Profile { thinking, ..Profile::default() };
    check(
        json!({"stream": true}),
        &Profile { include_usage: true, ..Profile::default() },
        json!({"stream_options": {"include_usage": true}}),
    );
    check(
        json!({"stream": false}),
        &Profile { include_usage: true, ..Profile::default() },
        json!({"stream_options": null, "stream": false}),
    );
    check(json!({}), &Profile { user: Some(UserForm::default()), ..Profile::default() }, json!({"user": "u"}));
    check(json!({"tools": tools}), &Profile::default(), json!({"tools": null, "functions": null}));
    check(
        json!({"tools": tools}),
        &with_tools(ToolForm::ToolCall),
        json!({"tools": [{"type": "function", "function": function}], "tool_choice": null}),
    );
    check(
        json!({"tools": tools, "tool_choice": {"mode": "tool", "name": "f"}}),
        &with_tools(ToolForm::ToolCall),
        json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}),
    );
    check(
        json!({"tools": tools, "tool_choice": {"mode": "required"}}),
        &with_tools(ToolForm::ToolCall),
        json!({"tool_choice": "required"}),
    );
    check(
        json!({"tools": tools, "tool_choice": {"mode": "none"}}),
        &with_tools(ToolForm::FunctionCall),
        json!({"functions": [function], "function_call": "none", "tools": null}),
    );
    check(
        json!({"model_parameters": {"max_tokens": 5}}),
        &Profile { max_tokens: MaxTokensName::MaxCompletionTokens, ..Profile::default() },
        json!({"max_tokens": null, "max_completion_tokens": 5}),
    );
    check(
        json!({"model_parameters": {"seed": 5, "top_k": null}}),
        &Profile { parameters: conversions(json!({"seed": {"to": "random_seed"}})), ..Profile::default() },
        json!({"seed": null, "random_seed": 5, "top_k": null}),
    );
    check(
        json!({"model_parameters": {"seed": 5}}),
        &Profile { parameters: conversions(json!({"seed": {"to": false}})), ..Profile::default() },
        json!({"seed": null}),
    );
    check(
        json!({"model_parameters": {"seed": 5}}),
        &Profile { extra_body: json!({"seed": 6, "x": 1}).as_object().unwrap().clone(), ..Profile::default() },
        json!({"seed": 6, "x": 1}),
    );
    check(
        json!({"model_parameters": {"model": "other", "messages": [], "stream": false}}),
        &Profile::default(),
        json!({"model": "wire-model", "stream": true}),
    );
    check(
        json!({"model_parameters": {"stop": "x"}, "stop": ["c", "", "d", "d"]}),
        &Profile::default(),
        json!({"stop": ["c", "d"]}),
    );
    check(
        json!({"model_parameters": {"guided_json": "{\"type\":\"object\"}"}}),
        &Profile::default(),
        json!({"guided_json": {"type": "object"}}),
    );
    let kwargs = ThinkingForm { template_kwargs: true, ..ThinkingForm::default() };
    let all = ThinkingForm { template_kwargs: true, top_level: true, object: true };
    check(
        json!({"model_parameters": {"enable_thinking": true}}),
        &thinking(kwargs),
        json!({"chat_template_kwargs": {"enable_thinking": true, "thinking": true}, "enable_thinking": null}),
    );
    check(
        json!({"model_parameters": {"think": false}}),
        &thinking(all),
        json!({"chat_template_kwargs": {"enable_thinking": false, "thinking": false}, "enable_thinking": false, "thinking": {"type": "disabled"}, "think": null}),
    );
    check(
        json!({"model_parameters": {"enable_thinking": true}}),
        &Profile::default(),
        json!({"enable_thinking": null, "chat_template_kwargs": null}),
    );
    check(
        json!({"model_parameters": {"reasoning_effort": "low"}}),
        &thinking(kwargs),
        json!({"reasoning_effort": "low", "chat_template_kwargs": {"reasoning_effort": "low"}}),
    );
    check(
        json!({"json_schema": {"type": "object"}}),
        &Profile::default(),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}}),
    );
}

#[test]
fn sends_each_tool_once_by_a_legal_name() {
    let tool = |name: &str, of: &str| json!({"name": name, "description": of, "parameters": {}});
    for form in [ToolForm::ToolCall, ToolForm::FunctionCall] {
        let profile = Profile { tools: form, ..Profile::default() };
        let same = json!({"tools": [tool("look", "d"), tool("look", "d"), tool("look.up", "d")],
            "tool_choice": {"mode": "tool", "name": "look.up"}});
        let body = body(same, &profile);
        let (list, choice) = match form {
            ToolForm::FunctionCall => (&body["functions"], &body["function_call"]["name"]),
            _ => (&body["tools"], &body["tool_choice"]["function"]["name"]),
        };
        let name = |entry: &Value| entry.get("function").unwrap_or(entry)["name"].clone();
        let names: Vec<Value> = list.as_array().unwrap().iter().map(name).collect();
        assert_eq!((json!(names), choice), (json!(["look", "look_up"]), &json!("look_up")));
        let two = json!({"tools": [tool("search", "q"), tool("search", "n")]});
        let error = written("m", &request(two), &profile).unwrap_err();
        assert!(error.message.contains("two tools are named `search`"), "{error}");
    }
}

#[test]
fn adds_the_json_instruction_only_if_needed() {
    let mode = |content: &str| {
        json!({"model_parameters": {"response_format": "json_object"},
        "prompt_messages": [{"role": "user", "content": content}]})
    };
    let body_of = |content| body(mode(content), &Profile::default());
    assert_eq!(body_of("Hi")["messages"][0]["content"], "Answer with one valid JSON object and nothing else.");
    assert_eq!(body_of("Give me Json")["messages"], json!([{"role": "user", "content": "Give me Json"}]));
    assert_eq!(body_of("Hi")["response_format"], json!({"type": "json_object"}));
    let text = body(json!({"model_parameters": {"response_format": "text"}}), &Profile::default());
    assert_eq!(text["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn converts_messages_of_every_role_and_part() {
    let history = json!({"prompt_messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "data": "a"}, {"type": "text", "data": "b"}], "name": "anna"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nOk", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "content": "result", "tool_call_id": "1", "name": "f"},
    ]});
    let calls = Profile { tools: ToolForm::ToolCall, ..Profile::default() };
    check(
        history.clone(),
        &calls,
        json!({"messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "a\nb", "name": "anna"},
            {"role": "assistant", "content": "Ok", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "content": "result", "tool_call_id": "1"},
        ]}),
    );
    let functions = Profile { tools: ToolForm::FunctionCall, ..Profile::default() };
    let body = body(history, &functions);
    assert_eq!(body["messages"][2]["function_call"], json!({"name": "f", "arguments": "{}"}));
    assert_eq!(body["messages"][3], json!({"role": "function", "content": "result", "name": "f"}));
}

fn part(kind: &str, fields: Value) -> Value {
    let mut part = json!({"type": kind, "format": "", "mime_type": "a/b"});
    part.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"prompt_messages": [{"role": "user", "content": [part, {"type": "text", "data": "?"}]}]})
}

#[test]
fn converts_media_parts_by_profile() {
    let data = json!({"base64_data": "AA=="});
    let both = json!({"base64_data": "AA==", "url": "http://dify/f"});
    let default = Profile::default();
    let inline = Profile { prefer_inline: true, ..Profile::default() };
    let video = |video| Profile { video, ..Profile::default() };
    let audio = |audio| Profile { audio, ..Profile::default() };
    let cases = [
        (
            "image",
            data.clone(),
            default.clone(),
            json!({"type": "image_url", "image_url": {"url": "data:a/b;base64,AA==", "detail": "auto"}}),
        ),
        (
            "image",
            both.clone(),
            default.clone(),
            json!({"type": "image_url", "image_url": {"url": "http://dify/f", "detail": "auto"}}),
        ),
        (
            "image",
            both.clone(),
            inline,
            json!({"type": "image_url", "image_url": {"url": "data:a/b;base64,AA==", "detail": "auto"}}),
        ),
        (
            "video",
            data.clone(),
            video(VideoForm::VideoUrl),
            json!({"type": "video_url", "video_url": {"url": "data:a/b;base64,AA=="}}),
        ),
        (
            "video",
            data.clone(),
            video(VideoForm::ImageUrl),
            json!({"type": "image_url", "image_url": {"url": "data:a/b;base64,AA=="}}),
        ),
        (
            "audio",
            data.clone(),
            audio(AudioForm::AudioUrl),
            json!({"type": "audio_url", "audio_url": {"url": "data:a/b;base64,AA=="}}),
        ),
        (
            "audio",
            json!({"url": "data:audio/mpeg;base64,AA==", "format": "mp3"}),
            audio(AudioForm::InputAudio),
            json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}),
        ),
        (
            "document",
            json!({"base64_data": "AA==", "filename": "a.pdf"}),
            Profile { document: DocumentForm::File, ..Profile::default() },
            json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:a/b;base64,AA=="}}),
        ),
    ];
    for (kind, fields, profile, expected) in cases {
        let body = body(part(kind, fields), &profile);
        assert_eq!(body["messages"][0]["content"], json!([expected, {"type": "text", "text": "?"}]));
    }
    for kind in ["video", "audio", "document"] {
        let error = written("m", &request(part(kind, data.clone())), &default).unwrap_err();
        assert!(error.message.contains(kind), "{error}");
    }
    assert!(written("m", &request(part("image", json!({}))), &default).is_err());
}

#[test]
fn adds_an_unenforced_schema_to_the_system_message() {
    let prompt = Profile { structured: StructuredForm::Prompt, ..Profile::default() };
    let body = body(json!({"json_schema": {"type": "object"}}), &prompt);
    let system = body["messages"][0]["content"].as_str().unwrap();
    assert!(system.contains(r#"{"type":"object"}"#) && body.get("response_format").is_none());
    let system =
        json!({"json_schema": {"type": "object"}, "prompt_messages": [{"role": "system", "content": "Be kind."}]});
    let body = self::body(system, &prompt);
    assert!(body["messages"][0]["content"].as_str().unwrap().ends_with("\n\nBe kind."));
}

#[test]
fn merges_system_messages_if_required() {
    let history = History { system: SystemForm::First, ..History::default() };
    let profile = Profile { history, ..Profile::default() };
    let messages = json!({"prompt_messages": [
        {"role": "user", "content": "Hi"}, {"role": "system", "content": "a"}, {"role": "developer", "content": "b"},
    ]});
    check(
        messages,
        &profile,
        json!({"messages": [{"role": "system", "content": "a\n\nb"}, {"role": "user", "content": "Hi"}]}),
    );
}

#[test]
fn builds_one_prompt_in_completion_mode() {
    let profile = Profile { mode: Mode::Completion, ..Profile::default() };
    let messages = json!({"prompt_messages": [{"role": "system", "content": "a"}, {"role": "user", "content": [{"type": "text", "data": "b"}]}]});
    check(messages, &profile, json!({"prompt": "a\nb", "messages": null}));
    let error = written("m", &request(part("image", json!({"base64_data": "AA=="}))), &profile).unwrap_err();
    assert!(error.message.contains("image"));
}

#[test]
fn names_the_output_limit_by_model() {
    for (model, expected) in [
        ("gpt-4o", "max_tokens"),
        ("o1", "max_completion_tokens"),
        ("o3-mini", "max_completion_tokens"),
        ("openai/gpt-5.1", "max_completion_tokens"),
        ("o10", "max_tokens"),
        ("gpt-50", "max_tokens"),
    ] {
        assert_eq!(MaxTokensName::Auto.for_model(model), expected, "{model}");
    }
}

#[test]
fn a_long_body_fits_into_the_room_that_is_made_for_it() {
    let text = "A line of a long conversation, with some \"words\" in quotes.\n".repeat(2000);
    let file = "QUJD".repeat(50_000);
    let parts = json!([{"type": "text", "data": text}, {"type": "image", "format": "png", "mime_type": "image/png",
        "url": "", "base64_data": file}]);
    for content in [json!(text), parts] {
        let request = request(json!({"prompt_messages": [{"role": "user", "content": content}]}));
        let profile = Profile { image: ImageForm::ImageUrl, ..Profile::default() };
        let (body, room) = (written("m", &request, &profile).unwrap().len(), usual_bytes(&request));
        assert!(body > text.len() && body <= room && room < body + body / 8 + 2048, "{body} in {room}");
    }
}
