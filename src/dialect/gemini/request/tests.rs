//! Goldens: Dify's request in, the body on the wire out.

use proptest::prelude::*;

use super::*;
use crate::dialect::gemini::parameters::{self, Parameters};
use crate::dialect::gemini::profile::Family;
use crate::protocol::LlmRequest;

fn built(model: &str, surface: Surface, request: Value) -> Result<Value, InvokeError> {
    let mut request = request;
    request["provider"] = json!("google");
    request["model"] = json!(model);
    let request: LlmRequest = serde_json::from_value(request).unwrap();
    let profile = ModelProfile::of_family(Family::of_model(model));
    let given = Parameters(&request.model_parameters);
    let mut body = GenerateContentRequest::default();
    parameters::apply(&mut body, &given, &profile, surface, request.json_schema.as_ref())?;
    body.safety_settings = parameters::safety(&given, |_| None)?;
    Conversation {
        messages: &request.prompt_messages,
        tools: &request.tools,
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
fn results_stand_with_their_calls_in_one_content() {
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
fn signatures_come_back_by_three_carriers() {
    let history = |answer: Value| json!([{"role": "user", "content": "Q"}, answer, {"role": "tool", "tool_call_id": "c1", "content": "r"}]);
    let opaque = json!({"gemini": {"length": 4, "parts": [
        {"text": "", "thoughtSignature": "S0+/=="}, {"text": "Text"},
        {"functionCall": {"id": "c1", "name": "f", "args": {"n": 1.50}}, "thoughtSignature": "AbC+/=="},
        {"toolCall": {"id": "t"}, "thoughtSignature": "S2"},
    ]}});
    let whole = contents(
        "gemini-3.8-flash",
        history(
            json!({"role": "assistant", "content": "Text", "tool_calls": [call("c1", "f", "{\"n\": 1.5}")], "opaque_body": opaque}),
        ),
    );
    assert_eq!(whole[1]["parts"], opaque["gemini"]["parts"]);
    // The text was changed on the way: the message counts, the signature stays.
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
        json!({"contents": turn, "tools": [{"googleSearch": {}}], "safetySettings": safety, "serviceTier": "flex",
        "generationConfig": {"maxOutputTokens": 9, "seed": 7, "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "LOW"}, "mediaResolution": "MEDIA_RESOLUTION_LOW"}})
    );
    assert_eq!(
        body("gemini-3.5-flash", Surface::Vertex),
        json!({"contents": turn, "tools": [{"googleSearch": {}}], "safetySettings": safety, "labels": {"team": "a"},
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
        (
            "gemini-2.0-x",
            json!({"json_schema": "{\"type\":[\"string\",\"null\"]}"}),
            json!({"responseMimeType": "application/json", "responseSchema": {"nullable": true, "type": "STRING"}}),
        ),
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
    // Vertex refuses the combination's field; 2.5 refuses the combination.
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
    assert!(named("1f", json!({})).unwrap_err().message.contains("`1f`"));
    assert!(named("f", json!({"type": "array", "properties": {"a": {}}})).unwrap_err().message.contains("type object"));
}

#[test]
fn films_are_clipped_and_turns_stand_as_the_model_wants() {
    let body = built("gemini-3.8-flash", Surface::Developer, json!({"model_parameters": {"video_start": 10, "video_end": 25.5, "video_fps": 2},
        "prompt_messages": [{"role": "user", "content": [{"type": "video", "url": "https://www.youtube.com/watch?v=x"}, {"type": "image", "url": "https://pictures.example/i", "mime_type": "image/png"}]}]})).unwrap();
    assert_eq!(
        body["contents"][0]["parts"],
        json!([
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}, "videoMetadata": {"startOffset": "10s", "endOffset": "25.5s", "fps": 2}},
            {"fileData": {"mimeType": "image/png", "fileUri": "https://pictures.example/i"}},
        ])
    );
    let last = json!({"prompt_messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    assert!(built("gemini-3.8-flash", Surface::Developer, last.clone()).is_err());
    assert!(built("gemini-3.5-flash", Surface::Developer, last).is_ok());
    let first =
        contents("gemini-3.8-flash", json!([{"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]));
    assert_eq!((first[0]["role"].as_str(), first.as_array().unwrap().len()), (Some("user"), 3));
}

/// A part of an answer, of any kind that must come back.
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

/// What of an answer goes back: no thoughts, and neighbouring text without signatures as one part.
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
    /// Answer → message of Dify → next request: the same parts in the same order.
    #[test]
    fn an_answer_comes_back_as_it_was(mut parts in proptest::collection::vec(any_part(), 1..8)) {
        use crate::codec::events::Event;
        use crate::dialect::StreamMapper;
        use crate::dialect::gemini::{Answer, AnswerOptions, GenerateMapper, SharedAnswer};
        // Something private makes the parts be kept; without it the message itself says everything that counts.
        parts.push(json!({"text": "", "thoughtSignature": "End+/=="}));
        let answer = SharedAnswer::new(Answer::new(AnswerOptions::default()));
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
                Said::Text(text) => content.push(ContentPart::text(text)),
                Said::Parts(parts) => content.extend(parts),
            }
            calls.extend(delta.tool_calls);
            opaque = delta.opaque_body.or(opaque);
        }
        let message = json!({"role": "assistant", "content": content, "tool_calls": calls, "opaque_body": opaque});
        let found = contents("gemini-3.5-flash", json!([{"role": "user", "content": "Go"}, message, {"role": "user", "content": "On"}]));
        prop_assert_eq!(&found[1]["parts"], &json!(expected(&parts)));
    }
}
