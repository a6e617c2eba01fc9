//! Conversations with Gemini in complete sessions: inputs by type, outputs by type, and how responses end.

use crate::support::{gemini as upstream, gemini_session as session};
use serde_json::{Value, json};
use session::{ask, hello, one, plugin};
use upstream::{Gemini, Reply, end, parts, text};

const MODEL: &str = "gemini-3.8-flash";
const BAD_REQUEST: &str = "InvokeBadRequestError";

/// The outcome of a response with text and of one without; `Err` contains words of the error.
type Ending = Result<&'static str, &'static str>;

#[tokio::test]
async fn every_finish_reason_is_mapped_to_dify_s() {
    let filter = |word: &'static str| (word, Ok("content_filter"), Err(word));
    let malformed = |word: &'static str| (word, Err(word), Err(word));
    let other = |word: &'static str, reason: &'static str| (word, Ok(reason), Err(word));
    let cases: [(&str, Ending, Ending); 23] = [
        ("STOP", Ok("stop"), Err("empty response (STOP)")),
        ("MAX_TOKENS", Ok("length"), Err("raise it, or lower the thinking level")),
        filter("SAFETY"),
        filter("RECITATION"),
        filter("LANGUAGE"),
        filter("BLOCKLIST"),
        filter("PROHIBITED_CONTENT"),
        filter("SPII"),
        filter("IMAGE_SAFETY"),
        filter("IMAGE_PROHIBITED_CONTENT"),
        filter("IMAGE_RECITATION"),
        filter("ESCALATION"),
        filter("MODEL_ARMOR"),
        other("OTHER", "other"),
        ("PUP_LIMITED_DISABLED", Ok("pup_limited_disabled"), Err("Prohibited Use Policy")),
        other("IMAGE_OTHER", "image_other"),
        other("NO_IMAGE", "no_image"),
        other("A_REASON_OF_THE_FUTURE", "a_reason_of_the_future"),
        malformed("MALFORMED_FUNCTION_CALL"),
        malformed("UNEXPECTED_TOOL_CALL"),
        malformed("TOO_MANY_TOOL_CALLS"),
        malformed("MISSING_THOUGHT_SIGNATURE"),
        malformed("MALFORMED_RESPONSE"),
    ];
    for (word, with_text, without) in cases {
        for (events, expected) in [(vec![text("half"), end(word)], with_text), (vec![end(word)], without)] {
            let (_, outcome) = one(vec![Reply::Events(events)], MODEL, json!({})).await;
            match expected {
                Ok(reason) => assert_eq!(outcome.finish_reason(), Some(reason), "{word}: {:?}", outcome.error),
                Err(expected) => {
                    let kind = if word == "STOP" { "InvokeServerUnavailableError" } else { BAD_REQUEST };
                    assert_eq!(outcome.failure().0, kind, "{word}");
                    assert!(outcome.failure().1.contains(expected), "{word}: {:?}", outcome.failure());
                }
            }
        }
    }
}

/// Dify keeps the image but loses its metadata.
#[tokio::test]
async fn a_generated_image_is_recognized_by_its_bytes() {
    let image = json!({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}, "thoughtSignature": "U0lH"});
    let upstream = Gemini::start(vec![
        Reply::Events(vec![parts(json!([{"text": "Here."}, image])), end("STOP")]),
        hello().remove(0),
    ])
    .await;
    upstream.issue("U0lH");
    let plugin = plugin();
    plugin.call(ask(&upstream, "gemini-3-pro-image", json!({}))).await;
    let shown = json!({"type": "image", "mime_type": "image/png", "format": "png", "base64_data": "iVBORw0KGgo=", "detail": "high"});
    let history = json!({"prompt_messages": [{"role": "user", "content": "Draw"},
        {"role": "assistant", "content": [{"type": "text", "data": "Here."}, shown]}, {"role": "user", "content": "Redder"}]});
    plugin.call(ask(&upstream, "gemini-3-pro-image", history)).await;
    let body = upstream.seen().last().unwrap().body.clone();
    let parts = &body["contents"][1]["parts"];
    assert_eq!(
        (&parts[0]["thoughtSignature"], &parts[1]["thoughtSignature"]),
        (&json!("skip_thought_signature_validator"), &json!("U0lH")),
        "{parts}"
    );
}

#[tokio::test]
async fn every_blocked_prompt_reports_the_reason_and_a_remedy() {
    let cases = [
        ("SAFETY", "Relax the `safety_"),
        ("OTHER", "No parameter changes this"),
        ("BLOCKLIST", "No parameter changes this"),
        ("PROHIBITED_CONTENT", "cannot be turned off"),
        ("IMAGE_SAFETY", "IMAGE_SAFETY"),
        ("MODEL_ARMOR", "No parameter changes this"),
        ("JAILBREAK", "cannot be turned off"),
        ("A_REASON_OF_THE_FUTURE", "A_REASON_OF_THE_FUTURE"),
    ];
    for (word, expected) in cases {
        for usage in [json!(null), json!({"promptTokenCount": 7, "totalTokenCount": 7})] {
            let event = json!({"promptFeedback": {"blockReason": word, "blockReasonMessage": "In words."}, "usageMetadata": usage});
            let (upstream, outcome) = one(vec![Reply::Events(vec![event])], MODEL, json!({})).await;
            let (kind, message) = outcome.failure();
            assert_eq!((kind, upstream.seen().len()), (BAD_REQUEST, 1), "{word}");
            assert!(
                message.contains(word) && message.contains(expected) && message.contains("In words."),
                "{word}: {message}"
            );
        }
    }
    for (category, parameter) in [
        ("HARM_CATEGORY_HARASSMENT", "`safety_harassment`"),
        ("HARM_CATEGORY_HATE_SPEECH", "`safety_hate_speech`"),
        ("HARM_CATEGORY_SEXUALLY_EXPLICIT", "`safety_sexually_explicit`"),
        ("HARM_CATEGORY_DANGEROUS_CONTENT", "`safety_dangerous_content`"),
    ] {
        let ratings = json!([{"category": "HARM_CATEGORY_CIVIC_INTEGRITY", "probability": "LOW"}, {"category": category, "probability": "HIGH", "blocked": true}]);
        let prompt = json!({"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": ratings}});
        let answer = json!({"candidates": [{"finishReason": "SAFETY", "safetyRatings": ratings}]});
        for event in [prompt, answer] {
            let (_, outcome) = one(vec![Reply::Events(vec![event])], MODEL, json!({})).await;
            assert!(outcome.failure().1.contains(parameter), "{category}: {:?}", outcome.failure());
        }
    }
}

/// A response of two sentences with multi-byte characters, its sources, a page that was not fetched, and recited texts.
fn searched() -> Vec<Value> {
    let first = "Zürich 🏙 ist größer.".len();
    vec![
        parts(json!([{"text": "erwägt …", "thought": true}])),
        text("Zürich 🏙 ist grö"),
        text("ßer. Bern nicht."),
        json!({"candidates": [{"finishReason": "STOP",
            "groundingMetadata": {
                "webSearchQueries": ["zürich größe"],
                "searchEntryPoint": {"renderedContent": "<div>chips</div>"},
                "groundingChunks": [{"web": {"uri": "https://g/1", "title": "a.ch"}}, {"web": {"uri": "https://g/2", "title": "b.ch"}}],
                "groundingSupports": [
                    {"segment": {"endIndex": first, "text": "Zürich 🏙 ist größer."}, "groundingChunkIndices": [0, 1]},
                    {"segment": {"startIndex": first + 1, "endIndex": first + 12}, "groundingChunkIndices": [1]}]},
            "citationMetadata": {"citationSources": [{"uri": "https://old", "startIndex": 1, "endIndex": 3}], "citations": [{"uri": "https://new", "title": "New"}]},
            "urlContextMetadata": {"urlMetadata": [
                {"retrievedUrl": "https://ok", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
                {"retrievedUrl": "https://err", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_ERROR"},
                {"retrievedUrl": "https://pay", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_PAYWALL"},
                {"retrievedUrl": "https://bad", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_UNSAFE"},
                {"retrievedUrl": "https://odd", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_UNSPECIFIED"}]}}]}),
    ]
}

#[tokio::test]
async fn sources_are_cited_at_their_bytes_with_suggestions_and_failed_pages() {
    let marked = "Zürich 🏙 ist größer.[1][2] Bern nicht.[2]";
    let plain = "Zürich 🏙 ist größer. Bern nicht.";
    let list = "\n\nSources:\n[1] [a.ch](https://g/1)\n[2] [b.ch](https://g/2)";
    for (stream, parameters, expected, listed) in [
        (false, json!({"grounding": true}), marked, true),
        (true, json!({"grounding": true}), plain, true),
        (true, json!({"grounding": true, "citations": "inline"}), marked, true),
        (true, json!({"grounding": true, "citations": "off"}), plain, false),
    ] {
        let fields = json!({"stream": stream, "model_parameters": parameters});
        let (upstream, outcome) = one(vec![Reply::Events(searched())], MODEL, fields).await;
        assert_eq!(upstream.seen()[0].body["tools"], json!([{"googleSearch": {}}]));
        let text = outcome.text();
        let text = text.strip_prefix("<think>\nerwägt …\n</think>").expect("the thought comes first");
        assert!(text.starts_with(expected), "{parameters}: {text}");
        assert_eq!(text.len() > expected.len(), listed, "{text}");
        if listed {
            for piece in [
                list,
                "Search suggestions: [zürich größe](https://www.google.com/search?q=z%C3%BCrich%20gr%C3%B6%C3%9Fe)",
                "Could not read https://err (error)",
                "Could not read https://pay (paywall)",
                "Could not read https://bad (unsafe)",
                "Could not read https://odd (no reason given)",
                "https://new",
            ] {
                assert!(text.contains(piece), "`{piece}` is missing: {text}");
            }
            assert!(!text.contains("https://ok"), "{text}");
        }
    }
}

#[tokio::test]
async fn truncated_json_is_not_a_success() {
    let schema = json!({"model_parameters": {"json_schema": "{\"type\": \"object\"}", "max_output_tokens": 5}});
    let (_, outcome) =
        one(vec![Reply::Events(vec![text("{\"a\": [1, 2"), end("MAX_TOKENS")])], MODEL, schema.clone()).await;
    assert_eq!((outcome.text().as_str(), outcome.finish_reason()), ("{\"a\": [1, 2", Some("length")));
    // Over several requests it is complete, and contains only JSON.
    let hop = json!({"candidates": [{"content": {"parts": [{"text": "{\"a\": [1, "}]}, "finishReason": "CONTINUATION", "continuationToken": "t1"}]});
    let mut last = searched().pop().unwrap();
    last["candidates"][0]["content"] = json!({"parts": [{"text": "2]}"}]});
    let script = vec![Reply::Events(vec![hop]), Reply::Events(vec![last])];
    let (_, outcome) = one(script, "gemini-4-argon", schema).await;
    assert_eq!((outcome.text().as_str(), outcome.finish_reason()), ("{\"a\": [1, 2]}", Some("stop")));
}

#[tokio::test]
async fn images_audio_and_unknown_media_become_content() {
    let blob = |mime_type: &str| json!({"inlineData": {"mimeType": mime_type, "data": "AAAA"}});
    let kinds = [
        ("image/png", "image", "image/png"),
        ("image/jpeg", "image", "image/jpeg"),
        ("image/webp", "image", "image/webp"),
        ("audio/L16;codec=pcm;rate=24000", "audio", "audio/wav"),
        ("video/mp4", "video", "video/mp4"),
        ("application/x-new", "document", "application/x-new"),
    ];
    let sent: Vec<Value> = kinds.iter().map(|(mime_type, ..)| blob(mime_type)).collect();
    let script = vec![Reply::Events(vec![text("Look: "), parts(json!(sent)), text(" Done."), end("STOP")])];
    for stream in [true, false] {
        let (_, outcome) = one(script.clone(), MODEL, json!({"stream": stream})).await;
        let contents = outcome.items.iter().filter_map(|item| item["delta"]["message"]["content"].as_array()).flatten();
        let media: Vec<(String, String)> = contents
            .filter(|part| part["type"] != "text")
            .map(|part| (part["type"].as_str().unwrap().to_owned(), part["mime_type"].as_str().unwrap().to_owned()))
            .collect();
        let expected: Vec<(String, String)> =
            kinds.iter().map(|(_, kind, mime_type)| ((*kind).to_owned(), (*mime_type).to_owned())).collect();
        assert_eq!(media, expected, "stream {stream}");
        assert_eq!(outcome.finish_reason(), Some("stop"));
    }
}

#[tokio::test]
async fn an_image_is_edited_in_several_turns() {
    let image = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "SigOfTheImage"});
    let first =
        Reply::Events(vec![parts(json!([{"text": "Here.", "thoughtSignature": "SigOfTheText"}, image])), end("STOP")]);
    let upstream = Gemini::start(vec![first, hello().remove(0)]).await;
    upstream.issue("SigOfTheText");
    upstream.issue("SigOfTheImage");
    let plugin = plugin();
    let model = "gemini-3-pro-image";
    let drawn = plugin.call(ask(&upstream, model, json!({"stream": false}))).await.item()["delta"]["message"].clone();
    let history = json!({"prompt_messages": [{"role": "user", "content": "Draw a cat."}, drawn, {"role": "user", "content": "Now in red."}]});
    assert_eq!(plugin.call(ask(&upstream, model, history)).await.text(), "Hello");
    let sent = upstream.seen().pop().unwrap().body["contents"].clone();
    assert_eq!(
        sent[1],
        json!({"role": "model", "parts": [{"text": "Here.", "thoughtSignature": "SigOfTheText"}, image]})
    );
    // If Dify keeps only the image, its signature is still sent back.
    let alone = drawn["content"].as_array().unwrap().iter().find(|part| part["type"] == "image").unwrap().clone();
    let history = json!({"prompt_messages": [{"role": "user", "content": "Draw a cat."},
        {"role": "assistant", "content": [alone]}, {"role": "user", "content": "Now in red."}]});
    assert_eq!(plugin.call(ask(&upstream, model, history)).await.text(), "Hello");
    assert_eq!(upstream.seen().pop().unwrap().body["contents"][1]["parts"], json!([image]));
}

#[tokio::test]
async fn every_type_of_file_is_sent() {
    let upstream = Gemini::start(hello()).await;
    let plugin = plugin();
    let cases = [
        ("image", "png", "image/png", "image/png"),
        ("image", "jpg", "image/jpg", "image/jpeg"),
        ("audio", "mp3", "", "audio/mpeg"),
        ("audio", "wav", "audio/x-wav", "audio/wav"),
        ("video", "mp4", "video/mp4", "video/mp4"),
        ("document", "pdf", "application/pdf", "application/pdf"),
        ("document", "md", "text/markdown", "text/markdown"),
        ("document", "txt", "text/plain; charset=utf-8", "text/plain"),
        ("document", "yaml", "application/x-yaml", "text/plain"),
    ];
    for (kind, format, mime_type, expected) in cases {
        let file = json!({"type": kind, "format": format, "mime_type": mime_type, "base64_data": "AAAA"});
        let by_address = json!({"type": kind, "format": format, "mime_type": mime_type, "url": format!("data:{expected};base64,AAAA")});
        for part in [file, by_address] {
            let question = json!({"prompt_messages": [{"role": "user", "content": [part, {"type": "text", "data": "What is it?"}]}]});
            assert_eq!(plugin.call(ask(&upstream, MODEL, question)).await.text(), "Hello");
            let sent = upstream.seen().pop().unwrap().body["contents"][0]["parts"].clone();
            assert_eq!(
                sent,
                json!([{"inlineData": {"mimeType": expected, "data": "AAAA"}}, {"text": "What is it?"}]),
                "{kind} {format}"
            );
        }
    }
}

#[tokio::test]
async fn tool_results_with_images_are_matched_to_their_calls() {
    let upstream = Gemini::start(hello()).await;
    let plugin = plugin();
    let tools = json!([{"name": "look", "description": "d", "parameters": {"type": "object", "properties": {}}}]);
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let image = json!({"type": "image", "format": "png", "mime_type": "image/png", "base64_data": "AAAA"});
    let fields = json!({"tools": tools, "prompt_messages": [
        {"role": "user", "content": "Look twice."},
        {"role": "assistant", "content": "First I look."},
        {"role": "assistant", "content": "", "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "data": "a cat"}, image]},
        {"role": "tool", "tool_call_id": "a", "content": "a dog"},
    ]});
    let blob = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    for (model, inside, beside) in
        [("gemini-3.5-flash", json!([blob]), false), ("gemini-2.5-flash-lite", Value::Null, true)]
    {
        assert_eq!(plugin.call(ask(&upstream, model, fields.clone())).await.text(), "Hello", "{model}");
        let contents = upstream.seen().pop().unwrap().body["contents"].clone();
        assert_eq!(contents[1]["parts"].as_array().unwrap().len(), 3, "the model's turn is one: {contents}");
        let results = contents[2]["parts"].as_array().unwrap();
        assert_eq!(results.iter().map(|part| &part["functionResponse"]["name"]).collect::<Vec<_>>(), ["look", "look"]);
        assert_eq!(results[0]["functionResponse"]["response"], json!({"output": "a dog"}));
        assert_eq!(results[1]["functionResponse"]["response"], json!({"output": "a cat"}));
        assert_eq!(results[1]["functionResponse"]["parts"], inside, "{model}");
        assert_eq!(contents[3]["parts"] == json!([blob]), beside, "{model}");
    }
}

#[tokio::test]
async fn accepts_complete_parallel_and_fragmented_calls() {
    let tools = json!([{"name": "look", "description": "d", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}]);
    let fragment = |path: &str, value: &str, more: bool| {
        let call = json!({"partialArgs": [{"jsonPath": path, "stringValue": value, "willContinue": more}], "willContinue": true});
        parts(json!([{ "functionCall": call }]))
    };
    let script = vec![Reply::Events(vec![
        parts(json!([{"text": "hm", "thought": true}, {"text": "I look."}])),
        parts(
            json!([{"functionCall": {"id": "a", "name": "look", "args": {"q": "ä"}}}, {"functionCall": {"id": "b", "name": "look"}}]),
        ),
        parts(json!([{"functionCall": {"id": "c", "name": "look", "willContinue": true}}])),
        fragment("$.q", "ca", true),
        fragment("$.q", "ts", false),
        parts(json!([{"functionCall": {}}])),
        end("STOP"),
    ])];
    for stream in [true, false] {
        let (_, outcome) = one(script.clone(), MODEL, json!({"tools": tools, "stream": stream})).await;
        let calls: Vec<(Value, Value)> = outcome
            .tool_calls()
            .into_iter()
            .map(|call| (call["id"].clone(), call["function"]["arguments"].clone()))
            .collect();
        let expected = [("a", "{\"q\":\"ä\"}"), ("b", "{}"), ("c", "{\"q\":\"cats\"}")];
        assert_eq!(calls, expected.map(|(id, arguments)| (json!(id), json!(arguments))), "stream {stream}");
        assert_eq!(
            (outcome.text().as_str(), outcome.finish_reason()),
            ("<think>\nhm\n</think>I look.", Some("tool_calls"))
        );
    }
}
