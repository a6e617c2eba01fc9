//! Golden tests: from Dify's request to the request body.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::dialect::gemini::models::catalog::Catalog;
use crate::dialect::gemini::request::functions::NAMES;
use crate::dialect::gemini::request::parameters::{self, Parameters};
use dify_plugin::protocol::{Content as MessageContent, ContentPart, LlmRequest, ModelType};

/// The declared models.
static DECLARED: LazyLock<Catalog> = LazyLock::new(|| {
    let declared = dify_plugin::declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().providers;
    let google = declared.into_iter().find(|provider| provider.declaration.provider == "google").unwrap();
    Catalog::new(google.models.into_iter().map(Arc::new).collect())
});

fn built(model: &str, surface: Surface, request: Value) -> Result<Value, InvokeError> {
    let mut request = request;
    request["provider"] = json!("google");
    request["model"] = json!(model);
    let request: LlmRequest = serde_json::from_value(request).unwrap();
    let profile = ModelProfile::of(&DECLARED.like(model, ModelType::Llm, None).unwrap().model).unwrap();
    let given = Parameters(&request.model_parameters);
    let mut body = GenerateContentRequest::default();
    parameters::apply(&mut body, &given, &profile, surface, request.json_schema.as_ref())?;
    body.safety_settings = parameters::safety(&given, |_| None)?;
    Conversation {
        messages: &request.prompt_messages,
        tools: &request.tools,
        names: &FunctionNames::of(&request.tools, NAMES),
        choice: request.tool_choice.as_ref(),
        mode: given.text("tool_choice"),
        clip: parameters::clip(&given)?,
        profile: &profile,
        surface,
        remembered: &|call| (call.id == "kept").then(|| "REMEMBERED".to_owned()),
        distrust_signatures: false,
    }
    .fill(&mut body)?;
    Ok(json!(body))
}

fn contents(model: &str, messages: Value) -> Value {
    built(model, Surface::Developer, json!({ "prompt_messages": messages })).unwrap()["contents"].take()
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

#[test]
fn system_messages_are_joined_in_order() {
    let body = built("gemini-3.8-flash", Surface::Developer, json!({"prompt_messages": [
        {"role": "system", "content": "One."}, {"role": "user", "content": "Hi"},
        {"role": "system", "content": [{"type": "text", "data": "Two."}, {"type": "image", "mime_type": "image/png", "base64_data": "aGk="}]},
    ]})).unwrap();
    assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "One.\n\nTwo."}]}));
    assert_eq!(
        body["contents"],
        json!([{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}, {"text": "Hi"}]}])
    );
    let alone = built(
        "gemini-3.8-flash",
        Surface::Developer,
        json!({"prompt_messages": [{"role": "system", "content": "Do."}]}),
    )
    .unwrap();
    assert_eq!(alone, json!({"contents": [{"role": "user", "parts": [{"text": "Do."}]}]}));
    assert!(built("gemini-3.8-flash", Surface::Developer, json!({"prompt_messages": []})).is_err());
}

#[test]
fn results_follow_their_calls_in_one_content() {
    let found = contents(
        "gemini-3.8-flash",
        json!([
            {"role": "user", "content": "Look"},
            {"role": "assistant", "content": "<think>\nhm\n</think>Looking", "tool_calls": [call("a", "f", "{\"q\":1}"), call("b", "g", ""), call("c", "h", "{}")]},
            {"role": "tool", "tool_call_id": "b", "content": "two"},
            {"role": "tool", "tool_call_id": "a", "content": "{\"error\":\"none\"}"},
            {"role": "user", "content": "And?"},
        ]),
    );
    assert_eq!(
        found,
        json!([
            {"role": "user", "parts": [{"text": "Look"}]},
            {"role": "model", "parts": [{"text": "Looking"}, {"functionCall": {"id": "a", "name": "f", "args": {"q": 1}}}, {"functionCall": {"id": "b", "name": "g"}}, {"functionCall": {"id": "c", "name": "h"}}]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "a", "name": "f", "response": {"error": "none"}}},
                {"functionResponse": {"id": "b", "name": "g", "response": {"output": "two"}}},
                {"functionResponse": {"id": "c", "name": "h", "response": {"error": "this call was not answered"}}},
            ]},
            {"role": "user", "parts": [{"text": "And?"}]},
        ])
    );
    let cut = contents(
        "gemini-3.8-flash",
        json!([{"role": "tool", "tool_call_id": "x", "name": "f", "content": "late"}, {"role": "user", "content": "Go"}]),
    );
    assert_eq!(cut, json!([{"role": "user", "parts": [{"text": "Result of f: late"}, {"text": "Go"}]}]));
}

#[test]
fn signatures_are_restored_from_three_carriers() {
    let history = |answer: Value| json!([{"role": "user", "content": "Q"}, answer, {"role": "tool", "tool_call_id": "c1", "content": "r"}]);
    let opaque = json!({"gemini": {"length": 4, "parts": [
        {"text": "", "thoughtSignature": "S0+/=="}, {"text": "Text"},
        {"functionCall": {"id": "c1", "name": "f", "args": {"n": 1.50}}, "thoughtSignature": "AbC+/=="},
        {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "S2"},
    ]}});
    let whole = contents(
        "gemini-3.8-flash",
        history(
            json!({"role": "assistant", "content": "Text", "tool_calls": [call("c1", "f", "{\"n\": 1.5}")], "opaque_body": opaque}),
        ),
    );
    assert_eq!(whole[1]["parts"], opaque["gemini"]["parts"]);
    // The text was edited: the message counts, and the signature is kept.
    let changed = contents(
        "gemini-3.8-flash",
        history(
            json!({"role": "assistant", "content": "Text!", "tool_calls": [call("c1", "f", "{\"n\": 1.5}")], "opaque_body": opaque}),
        ),
    );
    assert_eq!(
        changed[1]["parts"],
        json!([{"text": "Text!"}, {"functionCall": {"id": "c1", "name": "f", "args": {"n": 1.5}}, "thoughtSignature": "AbC+/=="}])
    );
    let kept =
        contents("gemini-3.8-flash", history(json!({"role": "assistant", "tool_calls": [call("kept", "f", "{}")]})));
    assert_eq!(kept[1]["parts"][0]["thoughtSignature"], "REMEMBERED");
    let bypass = contents(
        "gemini-3.8-flash",
        history(json!({"role": "assistant", "tool_calls": [call("c1", "f", "{}"), call("c2", "f", "{}")]})),
    );
    assert_eq!(bypass[1]["parts"][0]["thoughtSignature"], BYPASS_SIGNATURE);
    assert_eq!(bypass[1]["parts"][1].get("thoughtSignature"), None);
    let older =
        contents("gemini-2.5-flash", history(json!({"role": "assistant", "tool_calls": [call("c1", "f", "{}")]})));
    assert_eq!(older[1]["parts"], json!([{"functionCall": {"name": "f"}}]));
}

#[test]
fn parameters_by_model_and_surface() {
    let ask = json!([{"role": "user", "content": "Hi"}]);
    let all = json!({"temperature": 0.4, "top_p": 0.9, "top_k": 40, "max_output_tokens": 9, "seed": 7, "thinking_level": "Low",
        "include_thoughts": true, "service_tier": "flex", "labels": "{\"team\":\"a\"}", "media_resolution": "Low", "grounding": true,
        "safety_harassment": "BLOCK_NONE"});
    let body =
        |model: &str, surface| built(model, surface, json!({"prompt_messages": ask, "model_parameters": all})).unwrap();
    let safety = json!([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]);
    let turn = json!([{"role": "user", "parts": [{"text": "Hi"}]}]);
    assert_eq!(
        body("gemini-3.8-flash", Surface::Developer),
        json!({"contents": turn, "tools": [{"googleSearch": {}}], "safetySettings": safety, "serviceTier": "flex", "labels": {"team": "a"},
        "generationConfig": {"maxOutputTokens": 9, "seed": 7, "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "LOW"}, "mediaResolution": "MEDIA_RESOLUTION_LOW"}})
    );
    assert_eq!(
        body("gemini-3.5-flash", Surface::Vertex),
        json!({"contents": turn, "tools": [{"googleSearch": {}}], "safetySettings": safety, "serviceTier": "flex", "labels": {"team": "a"},
        "generationConfig": {"temperature": 0.4, "topP": 0.9, "topK": 40, "maxOutputTokens": 9, "seed": 7, "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "LOW"}, "mediaResolution": "MEDIA_RESOLUTION_LOW"}})
    );
    let thinking = |model: &str, parameters: Value| {
        built(model, Surface::Developer, json!({"prompt_messages": ask, "model_parameters": parameters})).unwrap()["generationConfig"].take()
    };
    for (model, parameters, expected) in [
        ("gemini-2.5-flash", json!({"thinking_mode": false}), json!({"thinkingConfig": {"thinkingBudget": 0}})),
        (
            "gemini-2.5-flash",
            json!({"thinking_mode": true, "thinking_budget": 0}),
            json!({"thinkingConfig": {"thinkingBudget": -1}}),
        ),
        ("gemini-2.5-pro", json!({"thinking_budget": 0}), json!({"thinkingConfig": {"thinkingBudget": -1}})),
        (
            "gemini-2.5-pro",
            json!({"thinking_budget": 512, "thinking_level": "High"}),
            json!({"thinkingConfig": {"thinkingBudget": 512}}),
        ),
        (
            "gemini-3-pro-image",
            json!({"aspect_ratio": "16:9", "resolution": "2K"}),
            json!({"responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"}}),
        ),
        ("gemini-3-pro-image", json!({"aspect_ratio": "Auto"}), json!({"responseModalities": ["TEXT", "IMAGE"]})),
        (
            "gemini-3.5-flash",
            json!({"response_format": "json_object"}),
            json!({"responseMimeType": "application/json"}),
        ),
        (
            "gemini-3.5-flash",
            json!({"json_schema": "{\"name\":\"n\",\"schema\":{\"type\":\"object\",\"additionalProperties\":\"false\"}}"}),
            json!({"responseMimeType": "application/json", "responseJsonSchema": {"type": "object", "additionalProperties": false}}),
        ),
        ("gemini-3.5-flash", json!({"json_schema": "{\"type\":\"object\"}", "response_format": "text"}), Value::Null),
        ("gemini-3.5-flash", json!({"json_schema": " "}), Value::Null),
    ] {
        assert_eq!(thinking(model, parameters.clone()), expected, "{model} {parameters}");
    }
}

#[test]
fn functions_and_choices() {
    let deep = json!({"$schema": "s", "type": "object", "properties": {"n": {"type": "integer"}, "list": {"type": "array", "items": {"$ref": "#/$defs/x"}}}, "$defs": {"x": {"type": ["string", "null"]}}, "required": ["n"]});
    let tools = json!([{"name": "f", "description": "d", "parameters": deep}, {"name": "g", "parameters": {"type": "object", "properties": {}}}]);
    let body = |model: &str, surface, choice: Value, parameters: Value| {
        built(
            model,
            surface,
            json!({"prompt_messages": [{"role": "user", "content": "Hi"}], "tools": tools, "tool_choice": choice, "model_parameters": parameters}),
        )
    };
    let plain = body("gemini-3.8-flash", Surface::Developer, Value::Null, json!({})).unwrap();
    let mut full = deep.clone();
    full.as_object_mut().unwrap().remove("$schema");
    assert_eq!(
        plain["tools"],
        json!([{"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": full}, {"name": "g"}]}])
    );
    assert_eq!(plain.get("toolConfig"), None);
    for (choice, parameters, expected) in [
        (
            json!({"mode": "required"}),
            json!({"tool_choice": "none"}),
            json!({"functionCallingConfig": {"mode": "ANY"}}),
        ),
        (
            json!({"mode": "tool", "name": "g"}),
            json!({}),
            json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["g"]}}),
        ),
        (Value::Null, json!({"tool_choice": "validated"}), json!({"functionCallingConfig": {"mode": "VALIDATED"}})),
        (
            Value::Null,
            json!({"grounding": true}),
            json!({"functionCallingConfig": {"mode": "VALIDATED"}, "includeServerSideToolInvocations": true}),
        ),
    ] {
        assert_eq!(body("gemini-3.8-flash", Surface::Developer, choice, parameters).unwrap()["toolConfig"], expected);
    }
    // Vertex AI rejects the field for the combination; 2.5 rejects the combination.
    for (model, surface) in [("gemini-3.8-flash", Surface::Vertex), ("gemini-2.5-flash", Surface::Developer)] {
        let body = body(model, surface, Value::Null, json!({"grounding": true})).unwrap();
        assert_eq!((body["tools"].as_array().unwrap().len(), body.get("toolConfig")), (1, None), "{model}");
    }
    assert!(
        body("gemini-3.8-flash", Surface::Developer, json!({"mode": "tool", "name": "zz"}), json!({}))
            .unwrap_err()
            .message
            .contains("zz")
    );
    assert!(
        body("gemini-2.5-flash", Surface::Developer, Value::Null, json!({"json_schema": "{\"type\":\"object\"}"}))
            .is_err()
    );
    let named = |name: &str, parameters: Value| {
        built(
            "gemini-3.8-flash",
            Surface::Developer,
            json!({"prompt_messages": [{"role": "user", "content": "Hi"}], "tools": [{"name": name, "parameters": parameters}]}),
        )
    };
    assert!(named("f", json!({"type": "array", "properties": {"a": {}}})).unwrap_err().message.contains("type object"));
}

#[test]
fn videos_are_clipped_and_the_last_turn_suits_the_model() {
    let body = built("gemini-3.8-flash", Surface::Developer, json!({"model_parameters": {"video_start": 10, "video_end": 25.5, "video_fps": 2},
        "prompt_messages": [{"role": "user", "content": [{"type": "video", "url": "https://www.youtube.com/watch?v=x"}, {"type": "image", "url": "https://images.example/i", "mime_type": "image/png"}]}]})).unwrap();
    assert_eq!(
        body["contents"][0]["parts"],
        json!([
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}, "videoMetadata": {"startOffset": "10s", "endOffset": "25.5s", "fps": 2}},
            {"fileData": {"mimeType": "image/png", "fileUri": "https://images.example/i"}},
        ])
    );
    let last = json!({"prompt_messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    assert!(built("gemini-3.8-flash", Surface::Developer, last.clone()).is_err());
    assert!(built("gemini-3.5-flash", Surface::Developer, last).is_ok());
    let first =
        contents("gemini-3.8-flash", json!([{"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]));
    assert_eq!((first[0]["role"].as_str(), first.as_array().unwrap().len()), (Some("user"), 3));
}

/// A request with the tools `look`, `other` and `get weather`.
fn with_tools(messages: Value) -> Value {
    let tool =
        |name: &str| json!({"name": name, "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}});
    built(
        "gemini-3.5-flash",
        Surface::Developer,
        json!({"prompt_messages": messages, "tools": [tool("look"), tool("other"), tool("get weather")]}),
    )
    .unwrap()["contents"]
        .take()
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn calls(calls: &[Value]) -> Value {
    json!({"role": "assistant", "content": "", "tool_calls": calls})
}

fn result(id: &str, text: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "name": "look", "content": text})
}

fn model_call(id: &str, name: &str, args: Value, signature: Option<&str>) -> Value {
    let mut part = json!({"functionCall": {"id": id, "name": name, "args": args}});
    if let Some(signature) = signature {
        part["thoughtSignature"] = json!(signature);
    }
    part
}

fn response(id: &str, name: &str, response: Value) -> Value {
    json!({"functionResponse": {"id": id, "name": name, "response": response}})
}

#[test]
fn calls_and_results_of_a_round_stay_together_in_every_form() {
    const BYPASS: Option<&str> = Some(BYPASS_SIGNATURE);
    let (model, user_turn) = (
        |parts: Value| json!({"role": "model", "parts": parts}),
        |parts: Value| json!({"role": "user", "parts": parts}),
    );
    let start = || user_turn(json!([{"text": "Go"}]));
    let out = |text: &str| json!({"output": text});
    for (name, messages, expected) in [
        (
            "one message for each of two calls",
            json!([
                user("Go"),
                calls(&[call("a", "look", "{\"n\":1}")]),
                calls(&[call("b", "other", "{\"n\":2}")]),
                result("a", "1"),
                result("b", "2")
            ]),
            json!([
                start(),
                model(json!([
                    model_call("a", "look", json!({"n": 1}), BYPASS),
                    model_call("b", "other", json!({"n": 2}), None)
                ])),
                user_turn(json!([response("a", "look", out("1")), response("b", "other", out("2"))]))
            ]),
        ),
        (
            "text after calls with results",
            json!([user("Go"), calls(&[call("a", "look", "{\"n\":1}")]), {"role": "assistant", "content": "Wait."}, result("a", "1")]),
            json!([
                start(),
                model(json!([model_call("a", "look", json!({"n": 1}), BYPASS), {"text": "Wait."}])),
                user_turn(json!([response("a", "look", out("1"))]))
            ]),
        ),
        (
            "text after calls without results",
            json!([user("Go"), calls(&[call("a", "look", "{\"n\":1}")]), {"role": "assistant", "content": "Done."}, user("On")]),
            json!([
                start(),
                model(json!([model_call("a", "look", json!({"n": 1}), None)])),
                user_turn(json!([response("a", "look", json!({"error": "this call was not answered"}))])),
                model(json!([{"text": "Done."}])),
                user_turn(json!([{"text": "On"}]))
            ]),
        ),
        (
            "calls with one ID",
            json!([
                user("Go"),
                calls(&[
                    call("x", "look", "{\"n\":1}"),
                    call("x", "look", "{\"n\":2}"),
                    call("x_2", "look", "{\"n\":3}")
                ]),
                result("x", "1"),
                result("x", "2"),
                result("x_2", "3")
            ]),
            json!([
                start(),
                model(json!([
                    model_call("x", "look", json!({"n": 1}), BYPASS),
                    model_call("x_3", "look", json!({"n": 2}), None),
                    model_call("x_2", "look", json!({"n": 3}), None)
                ])),
                user_turn(json!([
                    response("x", "look", out("1")),
                    response("x_3", "look", out("2")),
                    response("x_2", "look", out("3"))
                ]))
            ]),
        ),
        (
            "a function that is no longer declared",
            json!([
                user("Go"),
                calls(&[call("a", "gone", "{\"n\":1}"), call("b", "look", "{\"n\":2}")]),
                result("a", "1"),
                result("b", "2"),
                user("On")
            ]),
            json!([
                start(),
                model(json!([model_call("b", "look", json!({"n": 2}), None)])),
                user_turn(json!([response("b", "look", out("2"))])),
                user_turn(json!([{"text": "Result of gone({\"n\":1}): 1"}, {"text": "On"}]))
            ]),
        ),
        (
            "only a function that is no longer declared, without a result",
            json!([user("Go"), calls(&[call("a", "gone", "")])]),
            json!([user_turn(json!([{"text": "Go"}, {"text": "Result of gone(): none"}]))]),
        ),
        (
            "a name that the service rejects",
            json!([user("Go"), calls(&[call("a", "get weather", "{\"n\":1}")]), result("a", "1")]),
            json!([
                start(),
                model(json!([model_call("a", "get_weather", json!({"n": 1}), BYPASS)])),
                user_turn(json!([response("a", "get_weather", out("1"))]))
            ]),
        ),
    ] {
        assert_eq!(with_tools(messages), expected, "{name}");
    }
}

#[test]
fn unusual_arguments_and_results_do_not_end_a_conversation() {
    for (arguments, expected) in [
        ("null", None),
        ("", None),
        ("[]", None),
        ("{\"n\":1}", Some(json!({"n": 1}))),
        ("\"{\\\"n\\\":1}\"", Some(json!({"n": 1}))),
        ("{\"n\":", Some(json!({"arguments": "{\"n\":"}))),
        ("{'n': 1}", Some(json!({"arguments": "{'n': 1}"}))),
        ("[1]", Some(json!({"arguments": "[1]"}))),
        ("7", Some(json!({"arguments": "7"}))),
    ] {
        let found = with_tools(json!([user("Go"), calls(&[call("a", "look", arguments)]), result("a", "r")]));
        assert_eq!(found[1]["parts"][0]["functionCall"].get("args"), expected.as_ref(), "{arguments}");
    }
    for (text, expected) in [
        ("plain", json!({"output": "plain"})),
        ("{\"output\":\"x\"}", json!({"output": "x"})),
        ("{\"error\":\"none\"}", json!({"error": "none"})),
        ("{\"output\":5,\"error\":\"e\"}", json!({"output": 5, "error": "e"})),
        ("{}", json!({"output": "{}"})),
        ("{\"error\":null,\"data\":[1]}", json!({"output": "{\"error\":null,\"data\":[1]}"})),
        ("{\"error\":null}", json!({"output": "{\"error\":null}"})),
        ("{\"output\":{\"$ref\":\"#/$defs/A\"}}", json!({"output": "{\"output\":{\"$ref\":\"#/$defs/A\"}}"})),
        ("{\"output\":\"x\",\"rows\":[1]}", json!({"output": "{\"output\":\"x\",\"rows\":[1]}"})),
    ] {
        let found = with_tools(json!([user("Go"), calls(&[call("a", "look", "{}")]), result("a", text)]));
        assert_eq!(found[2]["parts"][0]["functionResponse"]["response"], expected, "{text}");
    }
}

#[test]
fn rejects_different_tools_with_one_name_and_sends_equal_ones_once() {
    let ask = |tools: Value| {
        built("gemini-3.5-flash", Surface::Developer, json!({"prompt_messages": [user("Go")], "tools": tools}))
    };
    let tool = |name: &str, argument: &str| json!({"name": name, "parameters": {"type": "object", "properties": {argument: {"type": "string"}}}});
    let error = ask(json!([tool("search", "q"), tool("look", "q"), tool("search", "n")])).unwrap_err();
    assert!(error.message.contains("two tools are named `search`"), "{error}");
    let body = ask(json!([tool("search", "q"), tool("look", "q"), tool("search", "q")])).unwrap();
    assert_eq!(body["tools"][0]["functionDeclarations"].as_array().unwrap().len(), 2);
    // A name that the service rejects: without a description, the model gets the original name.
    let body = built(
        "gemini-3.5-flash",
        Surface::Developer,
        json!({"prompt_messages": [user("Go")],
        "tools": [{"name": "21st/magic"}], "tool_choice": {"mode": "tool", "name": "21st/magic"}}),
    )
    .unwrap();
    assert_eq!(body["tools"][0]["functionDeclarations"], json!([{"name": "_21st_magic", "description": "21st/magic"}]));
    assert_eq!(body["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"], json!(["_21st_magic"]));
}

#[test]
fn text_that_the_plugin_added_is_not_sent_back() {
    let text = "<think>\nsecret\n</think>One. <think>\nsecret\n</think>Two.\n\nSources:\n[1] [A](https://a)";
    for content in [json!(text), json!([{"type": "text", "data": text}])] {
        let found = contents(
            "gemini-3.5-flash",
            json!([user("Q"), {"role": "assistant", "content": content}, user("What is <think>\nthis\n</think>?")]),
        );
        assert_eq!(found[1]["parts"], json!([{"text": "One. Two."}]));
        assert_eq!(found[2]["parts"], json!([{"text": "What is <think>\nthis\n</think>?"}]));
    }
}

#[test]
fn images_of_the_model_are_sent_back_signed() {
    let image = |opaque: Value| json!({"type": "image", "mime_type": "image/png", "base64_data": "aGk=", "opaque_body": opaque});
    let history = |content: Value| json!([user("Draw"), {"role": "assistant", "content": content}, user("Redder")]);
    let inline = |signature: Value| json!({"inlineData": {"mimeType": "image/png", "data": "aGk="}, "thoughtSignature": signature});
    let known = image(json!({"gemini": {"signature": "U0lH"}}));
    for (content, expected) in [
        (
            json!([{"type": "text", "data": "Here."}, image(Value::Null), {"type": "text", "data": "Good?"}]),
            json!([{"text": "Here.", "thoughtSignature": BYPASS_SIGNATURE}, inline(json!(BYPASS_SIGNATURE)), {"text": "Good?"}]),
        ),
        (json!([image(Value::Null)]), json!([inline(json!(BYPASS_SIGNATURE))])),
        (json!([known]), json!([inline(json!("U0lH"))])),
        (json!("What shall I draw?"), json!([{"text": "What shall I draw?", "thoughtSignature": BYPASS_SIGNATURE}])),
    ] {
        let found = contents("gemini-3-pro-image", history(content));
        assert_eq!(found[1]["parts"], expected);
        assert!(
            !found[0].to_string().contains("thoughtSignature") && !found[2].to_string().contains("thoughtSignature")
        );
    }
    // Models without image output, and the image model that uses no signatures.
    let found = contents("gemini-3.5-flash", history(json!([{"type": "text", "data": "Here."}, image(Value::Null)])));
    assert!(!found.to_string().contains("thoughtSignature"), "{found}");
}

#[test]
fn gemma_gets_the_system_instruction_as_user_text() {
    let ask = |messages: Value| {
        built(
            "gemma-3-27b-it",
            Surface::Developer,
            json!({"prompt_messages": messages, "model_parameters": {"temperature": 0.5}}),
        )
        .unwrap()
    };
    let rule = json!({"role": "system", "content": "Rule."});
    let body = ask(json!([rule, user("Hi")]));
    assert_eq!(body["contents"], json!([{"role": "user", "parts": [{"text": "Rule."}, {"text": "Hi"}]}]));
    assert_eq!((body.get("systemInstruction"), &body["generationConfig"]), (None, &json!({"temperature": 0.5})));
    let body = ask(json!([rule, {"role": "assistant", "content": "So?"}, user("Hi")]));
    assert_eq!(body["contents"][0]["parts"][0], json!({"text": "Rule."}));
    assert_eq!(body["contents"].as_array().unwrap().len(), 3);
}

#[test]
fn an_empty_user_message_is_not_a_prefilled_response() {
    for model in ["gemini-3.8-flash", "gemini-2.5-flash"] {
        let found = contents(model, json!([user("a"), {"role": "assistant", "content": "b"}, user("")]));
        assert_eq!(found[2], json!({"role": "user", "parts": [{"text": "(The message is empty.)"}]}), "{model}");
    }
}

#[test]
fn calls_of_google_tools_are_sent_back_only_if_they_are_enabled() {
    let parts =
        json!([{"toolCall": {"id": "t"}, "thoughtSignature": "S"}, {"toolResponse": {"id": "t"}}, {"text": "Text"}]);
    let history = json!([user("Q"), {"role": "assistant", "content": "Text", "opaque_body": {"gemini": {"length": 4, "parts": parts}}}, user("On")]);
    let ask = |model: &str, surface: Surface, parameters: Value, tools: Value| {
        built(model, surface, json!({"prompt_messages": history, "model_parameters": parameters, "tools": tools}))
            .unwrap()["contents"][1]["parts"]
            .take()
    };
    let (on, tools) = (json!({"grounding": true}), json!([{"name": "f"}]));
    assert_eq!(ask("gemini-3.5-flash", Surface::Developer, on.clone(), tools.clone()), parts);
    for (model, surface, parameters, tools) in [
        ("gemini-3.5-flash", Surface::Developer, json!({}), tools.clone()),
        ("gemini-3.5-flash", Surface::Developer, on.clone(), json!([])),
        ("gemini-3.5-flash", Surface::Vertex, on.clone(), tools.clone()),
        ("gemini-2.5-flash", Surface::Developer, on, tools),
    ] {
        assert_eq!(ask(model, surface, parameters, tools), json!([{"text": "Text"}]), "{model} {surface:?}");
    }
}

/// Generates a part of any type that must be sent back.
fn any_part() -> BoxedStrategy<Value> {
    let signature = proptest::option::of("[A-Za-z0-9+/]{1,12}==");
    let with = |part: Value, signature: Option<String>| {
        let mut part = part;
        if let Some(signature) = signature {
            part["thoughtSignature"] = json!(signature);
        }
        part
    };
    prop_oneof![
        ("[a-zäß🌍 ]{1,6}", signature.clone())
            .prop_map(move |(text, signature)| with(json!({"text": text}), signature)),
        (0u32..1000, signature.clone()).prop_map(move |(id, signature)| with(
            json!({"functionCall": {"id": format!("c{id}"), "name": "f", "args": {"z": id, "a": [id, null]}}}),
            signature
        )),
        signature.clone().prop_map(move |signature| with(
            json!({"inlineData": {"mimeType": "image/png", "data": "aGk="}}),
            signature
        )),
        signature
            .prop_map(move |signature| with(json!({"toolCall": {"id": "t", "toolType": "GOOGLE_SEARCH"}}), signature)),
        "[a-z]{1,5}".prop_map(|text| json!({"text": text, "thought": true})),
    ]
    .boxed()
}

/// The parts that are sent back: no thoughts, and adjacent unsigned text as one part.
fn expected(parts: &[Value]) -> Vec<Value> {
    let mut expected: Vec<Value> = Vec::new();
    for part in parts.iter().filter(|part| part["thought"] != true) {
        let plain = |part: &Value| part["text"].is_string() && part.get("thoughtSignature").is_none();
        match expected.last_mut() {
            Some(last) if plain(last) && plain(part) => {
                last["text"] = json!(format!("{}{}", last["text"].as_str().unwrap(), part["text"].as_str().unwrap()));
            }
            _ => expected.push(part.clone()),
        }
    }
    expected
}

proptest! {
    /// From the response to Dify's message to the next request: the same parts in the same order.
    #[test]
    fn a_response_is_sent_back_unchanged(mut parts in proptest::collection::vec(any_part(), 1..8)) {
        use dify_plugin::codec::events::Event;
        use crate::dialect::StreamMapper;
        use crate::dialect::gemini::{GeminiResponse, ResponseOptions, GenerateMapper, SharedResponse};
        // The model keeps IDs unique.
        for (number, part) in parts.iter_mut().enumerate() {
            if let Some(call) = part.get_mut("functionCall") {
                call["id"] = json!(format!("c{number}"));
            }
        }
        // A signed part makes the plugin store the parts; without one, the message itself contains everything.
        parts.push(json!({"text": "End.", "thoughtSignature": "End+/=="}));
        let answer = SharedResponse::new(GeminiResponse::new(ResponseOptions::default()));
        let mut deltas = Vec::new();
        for part in &parts {
            let data = json!({"candidates": [{"content": {"parts": [part]}}]}).to_string();
            GenerateMapper::new(answer.clone()).event(&Event { data, ..Event::default() }, &mut deltas).unwrap();
        }
        let data = json!({"candidates": [{"finishReason": "STOP"}]}).to_string();
        GenerateMapper::new(answer.clone()).event(&Event { data, ..Event::default() }, &mut deltas).unwrap();
        answer.lock().end_of_request(None);
        deltas.extend(answer.lock().conclude(|| 0));

        let (mut content, mut calls, mut opaque) = (Vec::new(), Vec::new(), None);
        for delta in deltas {
            match delta.content {
                MessageContent::Text(text) => content.push(ContentPart::text(text)),
                MessageContent::Parts(parts) => content.extend(parts),
            }
            calls.extend(delta.tool_calls);
            opaque = delta.opaque_body.or(opaque);
        }
        let message = json!({"role": "assistant", "content": content, "tool_calls": calls, "opaque_body": opaque});
        let found = built("gemini-3.5-flash", Surface::Developer, json!({
            "prompt_messages": [{"role": "user", "content": "Go"}, message, {"role": "user", "content": "On"}],
            "tools": [{"name": "f"}], "model_parameters": {"grounding": true},
        })).unwrap();
        prop_assert_eq!(&found["contents"][1]["parts"], &json!(expected(&parts)));
    }
}
