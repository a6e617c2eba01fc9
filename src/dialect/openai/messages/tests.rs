//! Tests of message histories as the daemon sends them back, and of what is sent upstream.

use base64::Engine;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::openai::chat_request::NAMES;
use crate::dialect::openai::profile::{AudioForm, ImageForm, ReasoningBack};

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn tool(name: &str) -> Value {
    json!({"name": name, "description": "", "parameters": {}})
}

fn sent(messages: Value, tools: &[Value], profile: &Profile) -> Result<Value, InvokeError> {
    let request = json!({"provider": "p", "model": "m", "prompt_messages": messages, "tools": tools});
    let request: LlmRequest = serde_json::from_value(request).unwrap();
    let names = FunctionNames::of(&request.tools, NAMES);
    super::messages(&request, profile, &names, None).map(|messages| serde_json::to_value(messages).unwrap())
}

fn with_tools() -> Profile {
    Profile { tools: ToolForm::ToolCall, ..Profile::default() }
}

#[test]
fn removes_thoughts_from_the_history() {
    let text = |data: &str| json!({"type": "text", "data": data});
    for (content, expected) in [
        (json!("<think>\nhm\n</think>\n\nOk"), "Ok"),
        (json!([text("<think>\nhm\n</think>\n\nOk")]), "Ok"),
        (json!([text("<think>\nhm"), text("m\n</think>\n\n"), text("Ok")]), "Ok"),
        (json!([text("<think>hm</think>O"), text("k")]), "O\nk"),
        (json!([text("Ok "), text("<think>"), text("no")]), "Ok \n<think>\nno"),
        (json!("Put <think> first"), "Put <think> first"),
    ] {
        let history = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": content}]);
        let messages = sent(history, &[], &Profile::default()).unwrap();
        assert_eq!(messages[1], json!({"role": "assistant", "content": expected}), "{content}");
    }
}

#[test]
fn returns_thoughts_with_calls_if_the_server_expects_them() {
    let wants = Profile { reasoning_back: ReasoningBack::WithCalls, ..with_tools() };
    let text = |data: &str| json!({"type": "text", "data": data});
    for (content, expected) in [
        (json!("<think>\nI should look\n</think>"), json!("I should look")),
        (json!([text("<think>\nI sho"), text("uld look\n</think>Now")]), json!("I should look")),
        (json!("I look."), json!("")),
        (json!(""), json!("")),
    ] {
        let history = json!([
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": content, "tool_calls": [call("1", "f", "{}")]},
            {"role": "tool", "content": "r", "tool_call_id": "1"},
            {"role": "assistant", "content": "<think>a</think>Done"},
        ]);
        let messages = sent(history.clone(), &[tool("f")], &wants).unwrap();
        assert_eq!(messages[1]["reasoning_content"], expected, "{content}");
        assert_eq!(messages[3].get("reasoning_content"), None);
        let messages = sent(history, &[tool("f")], &with_tools()).unwrap();
        assert_eq!(messages[1].get("reasoning_content"), None);
    }
}

#[test]
fn returns_the_members_of_a_call() {
    let signed = json!({"extra_content": {"google": {"thought_signature": "QQ+/=="}}, "index": 7});
    let history = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [call("1", "f", "{}"), call("2", "f", "{}")],
            "opaque_body": {"openai": {"tool_calls": {"1": signed}}, "gemini": {"parts": []}}},
        {"role": "tool", "content": "r", "tool_call_id": "1"},
        {"role": "tool", "content": "r", "tool_call_id": "2"},
        {"role": "assistant", "content": "", "tool_calls": [call("3", "f", "{}"), call("4", "f", "{}")]},
        {"role": "tool", "content": "r", "tool_call_id": "3"},
        {"role": "tool", "content": "r", "tool_call_id": "4"},
    ]);
    let signature_of = |message: &Value, place: usize| {
        let call = &message["tool_calls"][place];
        assert_eq!(call.get("index"), None);
        call["extra_content"]["google"]["thought_signature"].as_str().map(str::to_owned)
    };
    let bypass = Some(BYPASS.to_owned());
    for (signatures, first, third) in [
        (SignatureForm::Known, Some("QQ+/==".to_owned()), None),
        (SignatureForm::Completed, Some("QQ+/==".to_owned()), bypass.clone()),
        (SignatureForm::Replaced, bypass.clone(), bypass.clone()),
    ] {
        let profile = Profile { signatures, ..with_tools() };
        let messages = sent(history.clone(), &[tool("f")], &profile).unwrap();
        assert_eq!((signature_of(&messages[1], 0), signature_of(&messages[4], 0)), (first, third), "{signatures:?}");
        assert_eq!((signature_of(&messages[1], 1), signature_of(&messages[4], 1)), (None, None), "{signatures:?}");
    }
}

#[test]
fn converts_arguments_of_earlier_calls_to_objects() {
    for (arguments, expected) in [
        (json!("{\"q\": 1}"), "{\"q\": 1}"),
        (json!({"q": 1}), "{\"q\":1}"),
        (json!(""), "{}"),
        (json!("  "), "{}"),
        (json!(null), "{}"),
        (json!("null"), "{}"),
        (json!("\"{\\\"q\\\": 1}\""), "{\"q\": 1}"),
        (json!("{\"q\": "), "{}"),
        (json!("[1]"), "{}"),
        (json!("{'q': 1}"), "{}"),
    ] {
        let mut given = call("1", "f", "");
        given["function"]["arguments"] = arguments.clone();
        let history = json!([{"role": "assistant", "content": "", "tool_calls": [given]}]);
        let messages = sent(history, &[tool("f")], &with_tools()).unwrap();
        assert_eq!(messages[0]["tool_calls"][0]["function"]["arguments"], expected, "{arguments}");
    }
}

#[test]
fn replaces_calls_of_unavailable_functions_with_text() {
    let history = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [call("1", "gone", "{\"n\":1}"), call("2", "look.up", "{}")]},
        {"role": "tool", "content": "one", "tool_call_id": "1", "name": "gone"},
        {"role": "tool", "content": "two", "tool_call_id": "2", "name": "look.up"},
        {"role": "assistant", "content": "", "tool_calls": [call("3", "gone", "")]},
        {"role": "tool", "content": "three", "tool_call_id": "3", "name": "gone"},
        {"role": "user", "content": "and?"},
    ]);
    let expected = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [call("2", "look_up", "{}")]},
        {"role": "user", "content": "Result of gone({\"n\":1}): one"},
        {"role": "tool", "content": "two", "tool_call_id": "2"},
        {"role": "user", "content": "Result of gone(): three"},
        {"role": "user", "content": "and?"},
    ]);
    assert_eq!(sent(history.clone(), &[tool("look.up")], &with_tools()).unwrap(), expected);
    // No tools are offered in the last step of an agent, so nothing contradicts its calls.
    let messages = sent(history.clone(), &[], &with_tools()).unwrap();
    assert_eq!(messages[1]["tool_calls"].as_array().unwrap().len(), 2);
    // A model without tool support gets no calls at all.
    let messages = sent(history, &[tool("look.up")], &Profile::default()).unwrap();
    assert!(messages.as_array().unwrap().iter().all(|message| message["role"] == "user"), "{messages}");
}

#[test]
fn omits_unsupported_files_of_earlier_messages() {
    let image = json!({"type": "image", "base64_data": "AA==", "filename": "a.png"});
    let audio = json!({"type": "audio", "url": "gopher://h/x"});
    let question = json!({"type": "text", "data": "?"});
    let blind = Profile { image: ImageForm::Unsupported, ..Profile::default() };
    let history = |last: Value| {
        json!([
            {"role": "user", "content": [image, question]},
            {"role": "assistant", "content": [audio]},
            {"role": "user", "content": last},
        ])
    };
    let messages = sent(history(json!("and?")), &[], &blind).unwrap();
    assert_eq!(messages[0]["content"], "[left out: the image a.png, which this model does not read]\n?");
    assert_eq!(messages[1]["content"], "[left out: the audio, which this model does not read]");
    let error = sent(history(json!([image])), &[], &blind).unwrap_err();
    assert!(error.message.contains("does not support image input"), "{error}");
    let agent = json!([{"role": "user", "content": [image]}, {"role": "assistant", "content": "Hm."}]);
    assert!(sent(agent, &[], &blind).is_err(), "the last user message is not history");
}

#[test]
fn rejects_urls_that_no_server_can_fetch() {
    for (url, expected) in [
        ("file:///etc/passwd", Err("scheme: file")),
        ("gopher://h/x", Err("scheme: gopher")),
        ("gs://bucket/x", Err("scheme: gs")),
        ("javascript:alert(1)", Err("scheme: javascript")),
        ("/files/a.png", Err("FILES_URL")),
        ("files/a.png", Err("FILES_URL")),
        ("https://example.com/a.png?x=1", Ok(())),
        ("HTTP://example.com/a.png", Ok(())),
        ("data:image/png;base64,AA==", Ok(())),
    ] {
        for kind in ["image", "video", "audio", "document"] {
            let profile = Profile {
                video: crate::dialect::openai::profile::VideoForm::VideoUrl,
                audio: AudioForm::AudioUrl,
                document: crate::dialect::openai::profile::DocumentForm::File,
                ..Profile::default()
            };
            let message = |part: Value| json!([{"role": "user", "content": [part]}]);
            let outcome = sent(message(json!({"type": kind, "url": url})), &[], &profile);
            match expected {
                Ok(()) => assert!(outcome.unwrap().to_string().contains(url), "{url}"),
                Err(words) => assert!(outcome.as_ref().unwrap_err().detail().contains(words), "{url} {outcome:?}"),
            }
            // Data that is also present is sent instead of such a URL.
            let both = json!({"type": kind, "url": url, "base64_data": "AA=="});
            assert!(sent(message(both), &[], &profile).is_ok(), "{url}");
        }
    }
}

#[test]
fn detects_media_types_by_the_bytes() {
    let heads: [(&[u8], &str); 8] = [
        (b"\x89PNG\r\n\x1a\n0000", "image/png"),
        (b"\xFF\xD8\xFF\xE0\0\x10JFIF", "image/jpeg"),
        (b"GIF89a0000", "image/gif"),
        (b"RIFF0000WEBPVP8 ", "image/webp"),
        (b"BM0000\0\0\0\0", "image/bmp"),
        (b"II*\x00ABCDEF", "image/tiff"),
        (b"\0\0\0\x18ftypheic0000", "image/heic"),
        (b"\0\0\0\x18ftypavif0000", "image/avif"),
    ];
    let type_of = |kind: &str, part: Value| {
        let mut part = part;
        part["type"] = json!(kind);
        let profile = Profile { audio: AudioForm::AudioUrl, ..Profile::default() };
        let messages = sent(json!([{"role": "user", "content": [part]}]), &[], &profile).unwrap();
        let url = messages[0]["content"][0][format!("{kind}_url")]["url"].as_str().unwrap().to_owned();
        url.strip_prefix("data:").unwrap().split(';').next().unwrap().to_owned()
    };
    for (bytes, expected) in heads {
        for label in ["", "image/png", "image/jpeg", "application/octet-stream"] {
            let data = base64::engine::general_purpose::STANDARD.encode(bytes);
            let found = type_of("image", json!({"base64_data": data, "mime_type": label, "format": "png"}));
            assert_eq!(found, expected, "{bytes:?} {label}");
        }
    }
    for (kind, label, format, expected) in [
        ("image", "", "jpg", "image/jpeg"),
        ("image", "", ".PNG", "image/png"),
        ("image", "", "", "image/png"),
        ("image", "image/x-odd", "", "image/x-odd"),
        ("audio", "video/webm", "webm", "audio/webm"),
        ("audio", "", "wav", "audio/wav"),
        ("audio", "", "", "audio/mpeg"),
    ] {
        let part = json!({"base64_data": "AAAA", "mime_type": label, "format": format});
        assert_eq!(type_of(kind, part), expected, "{kind} {label} {format}");
    }
}

proptest! {
    /// However the text is split into parts, only its thoughts are left out.
    #[test]
    fn splits_do_not_matter(cuts in proptest::collection::vec(0usize..40, 0..5)) {
        let whole = "<think>\nÄhm, so\n</think>\n\nÖl <think> here";
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| whole.is_char_boundary(*cut)).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([whole.len()]);
        let parts: Vec<Value> = ends
            .scan(0, |from, to| Some(&whole[std::mem::replace(from, to)..to]))
            .map(|text| json!({"type": "text", "data": text}))
            .collect();
        let history = json!([{"role": "assistant", "content": parts}]);
        let messages = sent(history, &[], &Profile::default()).unwrap();
        let content = messages[0]["content"].as_str().unwrap().replace('\n', "");
        prop_assert_eq!(content, "Öl <think> here");
    }
}
