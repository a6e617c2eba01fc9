//! Gemini's speech in both directions and its background agents, in complete sessions.

use crate::support::{google, google_api as api, google_setup as setup, harness};
use api::{spoken, spoken_as_mp3};
use dify_plugin_runtime::dialect::wav;
use google::{API_KEY, Google, refusal};
use harness::Outcome;
use serde_json::{Value, json};
use setup::{plugin, request, vertex};

const SPEAKER: &str = "gemini-3.8-flash-tts";

/// A model without MP3 output that takes the style as part of the text.
const OLDER_SPEAKER: &str = "gemini-3.1-flash-tts-preview";

fn key() -> Value {
    json!({"google_api_key": API_KEY, "max_retries": "0"})
}

async fn speak(google: &Google, credentials: Value, text: &str, voice: Value) -> Outcome {
    speak_with(google, SPEAKER, credentials, text, voice).await
}

async fn speak_with(google: &Google, model: &str, credentials: Value, text: &str, voice: Value) -> Outcome {
    let fields = json!({"model_type": "tts", "content_text": text, "voice": voice, "tenant_id": "t"});
    plugin().call(request(google, "invoke_tts", model, credentials, fields)).await
}

fn audio_of(outcome: &Outcome) -> Vec<u8> {
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    outcome.items.iter().flat_map(|item| hex::decode(item["result"].as_str().unwrap()).unwrap()).collect()
}

async fn transcribe(google: &Google, credentials: Value, audio: &[u8]) -> Outcome {
    transcribe_with(google, "gemini-3.5-transcribe", credentials, audio).await
}

async fn transcribe_with(google: &Google, model: &str, credentials: Value, audio: &[u8]) -> Outcome {
    let fields = json!({"model_type": "speech2text", "file": hex::encode(audio)});
    plugin().call(request(google, "invoke_speech2text", model, credentials, fields)).await
}

/// Credentials that request a WAV file.
fn wav(mut credentials: Value) -> Value {
    credentials["audio_type"] = json!("wav");
    credentials
}

#[tokio::test]
async fn text_becomes_mp3_or_one_wav_file_as_requested() {
    let google = Google::start().await;
    for (credentials, voice, sent) in [
        (key(), json!("Puck"), "Puck"),
        (key(), json!("kore"), "Kore"),
        (key(), json!(""), "Kore"),
        (key(), Value::Null, "Kore"),
        (vertex(&google), json!("Puck"), "Puck"),
    ] {
        let outcome = speak(&google, credentials.clone(), "Hello there.", voice.clone()).await;
        assert_eq!(audio_of(&outcome), spoken_as_mp3("Hello there."));
        assert!(outcome.items.iter().all(|item| item["mime_type"] == "audio/mpeg"));
        let seen = google.seen(":generateContent").pop().unwrap();
        // The stable version of Vertex AI does not support the format.
        assert!(!seen.path.contains("projects") || seen.path.starts_with("/v1beta1/"), "{}", seen.path);
        assert_eq!(seen.body["generationConfig"]["responseFormat"]["audio"]["mimeType"], "AUDIO_MP3");
        let outcome = speak(&google, wav(credentials), "Hello there.", voice).await;
        assert_eq!(audio_of(&outcome), wav::wav(&spoken("Hello there."), 24_000));
        assert!(outcome.items.iter().all(|item| item["mime_type"] == "audio/wav"));
        let seen = google.seen(":generateContent").pop().unwrap();
        let config = &seen.body["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"];
        assert_eq!(config["voiceName"], sent);
        assert_eq!(seen.body["generationConfig"].get("responseFormat"), None);
    }
    let outcome = speak_with(&google, "gemini-3.8-flash-lite-tts", key(), "Hello there.", json!("voice_1")).await;
    assert_eq!(audio_of(&outcome), spoken_as_mp3("Hello there."));
    let mut odd = key();
    odd["audio_type"] = json!("opus");
    assert!(speak(&google, odd, "Hi", json!("Kore")).await.failure().1.contains("audio_type"));
}

#[tokio::test]
async fn a_model_without_mp3_is_retried_without_it_and_remembered() {
    let google = Google::start().await;
    let plugin = plugin();
    for (model, requests) in [
        (OLDER_SPEAKER, 2),
        (OLDER_SPEAKER, 1),
        // Another model may support what one model does not.
        (SPEAKER, 1),
    ] {
        let before = google.seen(":generateContent").len();
        let fields = json!({"model_type": "tts", "content_text": "Hello.", "voice": "Kore", "tenant_id": "t"});
        let outcome = plugin.call(request(&google, "invoke_tts", model, key(), fields)).await;
        let expected = if model == SPEAKER { spoken_as_mp3("Hello.") } else { wav::wav(&spoken("Hello."), 24_000) };
        assert_eq!(audio_of(&outcome), expected, "{model}");
        assert_eq!(google.seen(":generateContent").len(), before + requests, "{model}");
    }
    // A gateway may support only the stable version of Vertex AI.
    let (status, body) = refusal(404, "NOT_FOUND", "no such path");
    google.reply(status, body);
    let outcome = speak(&google, vertex(&google), "Hello.", json!("Kore")).await;
    assert_eq!(audio_of(&outcome), wav::wav(&spoken("Hello."), 24_000));
    assert!(google.seen(":generateContent").pop().unwrap().path.starts_with("/v1/"));
}

#[tokio::test]
async fn long_text_is_spoken_in_segments_and_joined_in_order() {
    let google = Google::start().await;
    let text: String = (0..300).map(|number| format!("This is sentence {number}. ")).collect();
    let outcome = speak(&google, wav(key()), &text, json!("Kore")).await;
    let file = audio_of(&outcome);
    assert_eq!(file, wav::wav(&spoken(&text), 24_000), "one header, all samples in order");
    let calls = google.seen(":generateContent");
    let lengths: Vec<usize> =
        calls.iter().map(|seen| seen.body["contents"][0]["parts"][0]["text"].as_str().unwrap().len()).collect();
    assert!(calls.len() > 3 && lengths.iter().all(|length| *length <= 2000), "{lengths:?}");
    // MP3 arrives segment by segment and can be concatenated.
    let outcome = speak(&google, key(), &text, json!("Kore")).await;
    assert!(outcome.items.len() > 3);
    assert_eq!(audio_of(&outcome), spoken_as_mp3(&text));
}

/// Returns the parts of a text-to-speech request.
fn parts_of(seen: &google::Seen) -> &Vec<Value> {
    seen.body["contents"][0]["parts"].as_array().unwrap()
}

#[tokio::test]
async fn speech_supports_a_language_a_style_and_two_speakers() {
    let google = Google::start().await;
    let speakers = json!({"Anna": "Kore", "Ben": "Puck"});
    let options = json!({"language": "de-DE", "style": "Say calmly:", "speakers": speakers}).to_string();
    let mut credentials = key();
    credentials["speech_options"] = json!(options);
    let long = format!("Anna: Hi.\nBen: {}\nand on.\nAnna: Bye.", "I go on. ".repeat(300));
    for (model, is_beside) in [(SPEAKER, true), (OLDER_SPEAKER, false)] {
        let before = google.seen(":generateContent").len();
        let outcome = speak_with(&google, model, credentials.clone(), "Hello there.", json!("Puck")).await;
        audio_of(&outcome);
        let seen = google.seen(":generateContent").pop().unwrap();
        let config = json!({"languageCode": "de-DE", "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}}});
        assert_eq!(seen.body["generationConfig"]["speechConfig"], config);
        let expected = match is_beside {
            true => json!([{"text": "Hello there.", "speechMetadata": {"style": "Say calmly"}}]),
            false => json!([{"text": "Say calmly:\n\nHello there."}]),
        };
        assert_eq!(json!(parts_of(&seen)), expected, "{model}");

        let first = google.seen(":generateContent").len();
        assert!(first > before);
        let outcome = speak_with(&google, model, credentials.clone(), &long, json!("")).await;
        audio_of(&outcome);
        let seen = google.seen(":generateContent").split_off(first);
        assert!(seen.len() > 1);
        for seen in &seen {
            let config = &seen.body["generationConfig"]["speechConfig"];
            let voices = &config["multiSpeakerVoiceConfig"]["speakerVoiceConfigs"];
            assert_eq!(voices[1]["speaker"], "Ben");
            assert_eq!(voices[1]["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"], "Puck");
            for part in parts_of(seen) {
                let (text, metadata) = (part["text"].as_str().unwrap(), &part["speechMetadata"]);
                assert!(text.len() <= 2000 + 20);
                if is_beside {
                    assert!(!text.contains("Anna") && !text.contains("Ben") && !text.contains("calmly"), "{text}");
                    assert!(metadata["speaker"] == "Anna" || metadata["speaker"] == "Ben", "{metadata}");
                    assert_eq!(metadata["style"], "Say calmly");
                } else {
                    let text = text.strip_prefix("Say calmly:\n\n").unwrap();
                    assert!(text.starts_with("Anna: ") || text.starts_with("Ben: "), "{text}");
                }
            }
        }
        let last = json!(parts_of(seen.last().unwrap()).last().unwrap());
        let ending = if is_beside { "Bye." } else { "Ben: and on.\nAnna: Bye." };
        assert!(last["text"].as_str().unwrap().ends_with(ending), "{last}");
    }
}

#[tokio::test]
async fn a_model_that_answers_the_text_instead_of_reading_it_is_retried() {
    let google = Google::start().await;
    let mut credentials = key();
    credentials["audio_type"] = json!("wav");
    let outcome = speak_with(&google, OLDER_SPEAKER, credentials, "What is the time?", json!("Kore")).await;
    let samples = audio_of(&outcome);
    assert!(samples.ends_with(&spoken("What is the time?")));
    assert_eq!(google.seen(":generateContent").len(), 2);
    for _ in 0..2 {
        google.reply(200, json!({"candidates": [{"finishReason": "OTHER"}]}));
    }
    let outcome = speak(&google, key(), "Silence", json!("Kore")).await;
    assert_eq!(outcome.failure().0, "InvokeServerUnavailableError");
    assert!(outcome.failure().1.contains("no audio"), "{:?}", outcome.failure());
}

#[tokio::test]
async fn failed_speech_reports_the_reason() {
    let google = Google::start().await;
    let outcome = speak(&google, key(), " \n", json!("Kore")).await;
    assert!(outcome.failure().1.contains("no text to convert to speech"));
    assert!(google.seen("").is_empty());
    let outcome = speak(&google, key(), "Hi", json!("alloy")).await;
    assert!(outcome.failure().1.contains("found for name: alloy"), "{:?}", outcome.failure());
    google.reply(200, json!({"promptFeedback": {"blockReason": "SAFETY"}}));
    let outcome = speak(&google, key(), "Hi", json!("Kore")).await;
    assert!(outcome.failure().1.contains("blocked (SAFETY)"), "{:?}", outcome.failure());
    let (status, body) = refusal(429, "RESOURCE_EXHAUSTED", "quota");
    google.reply(status, body);
    assert_eq!(speak(&google, key(), "Hi", json!("Kore")).await.failure().0, "InvokeRateLimitError");
}

#[tokio::test]
async fn incomplete_speech_is_retried_once_and_never_returned() {
    let google = Google::start().await;
    let half = |reason: &str| {
        let blob = json!({"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "AAAA"});
        json!({"candidates": [{"content": {"parts": [{"inlineData": blob}]}, "finishReason": reason}]})
    };
    for reason in ["OTHER", "MAX_TOKENS", "A_REASON_OF_THE_FUTURE"] {
        google.reply(200, half(reason));
        let before = google.seen(":generateContent").len();
        let outcome = speak(&google, key(), "Hello.", json!("Kore")).await;
        assert!(audio_of(&outcome).ends_with(&spoken_as_mp3("Hello.")), "{reason}");
        assert_eq!(google.seen(":generateContent").len(), before + 2, "{reason}");
        google.reply(200, half(reason));
        google.reply(200, half(reason));
        let outcome = speak(&google, key(), "Hello.", json!("Kore")).await;
        let message = outcome.failure().1;
        assert!(message.contains("is incomplete") && message.contains(reason), "{message}");
        assert!(outcome.items.is_empty());
    }
    // A blocked response is not retried.
    google.reply(200, half("SAFETY"));
    let before = google.seen(":generateContent").len();
    assert!(speak(&google, key(), "Hello.", json!("Kore")).await.failure().1.contains("SAFETY"));
    assert_eq!(google.seen(":generateContent").len(), before + 1);
}

#[tokio::test]
async fn an_incomplete_transcript_is_an_error() {
    let google = Google::start().await;
    for reason in ["MAX_TOKENS", "RECITATION", "SAFETY", "OTHER"] {
        google.reply(200, json!({"candidates": [{"content": {"parts": [{"text": "half"}]}, "finishReason": reason}]}));
        let outcome = transcribe(&google, key(), &wav::silence()).await;
        let message = outcome.failure().1;
        assert!(message.contains("is incomplete") && message.contains(reason) && outcome.items.is_empty(), "{message}");
    }
    // Unexpected members and an envelope do no harm.
    let odd = json!({"response": {"candidates": {"index": -1, "content": {"parts": {"text": "Hello."}}, "finishReason": 1, "safetyRatings": 7}}});
    google.reply(200, odd);
    assert_eq!(transcribe(&google, key(), &wav::silence()).await.item()["result"], "Hello.");
}

#[tokio::test]
async fn lists_voices_without_a_request() {
    let google = Google::start().await;
    let fields = json!({"model_type": "tts", "language": "zh-Hans"});
    let outcome = plugin().call(request(&google, "get_tts_model_voices", SPEAKER, key(), fields)).await;
    let voices = outcome.item()["voices"].as_array().unwrap();
    assert_eq!(voices.len(), 30);
    assert_eq!(voices[3], json!({"name": "Kore (firm)", "value": "Kore"}));
    assert!(google.seen("").is_empty());
}

#[tokio::test]
async fn transcribes_audio() {
    let google = Google::start().await;
    let recordings: [(Vec<u8>, &str); 4] = [
        (wav::silence(), "audio/wav"),
        (b"ID3\x04\0\0\0\0\0\0".to_vec(), "audio/mpeg"),
        (b"OggS\0\0".to_vec(), "audio/ogg"),
        (b"\x1A\x45\xDF\xA3\x01".to_vec(), "audio/webm"),
    ];
    for (audio, mime_type) in recordings {
        let outcome = transcribe(&google, key(), &audio).await;
        assert_eq!(outcome.item()["result"], format!("Heard {mime_type}."));
        let outcome = transcribe_with(&google, "gemini-3.5-flash-lite", key(), &audio).await;
        assert_eq!(outcome.item()["result"], format!("Heard {mime_type}."));
    }
    assert_eq!(transcribe(&google, vertex(&google), &wav::silence()).await.item()["result"], "Heard audio/wav.");
    google.reply(200, json!({"candidates": [{"finishReason": "STOP"}]}));
    assert_eq!(transcribe(&google, key(), &wav::silence()).await.item()["result"], "", "silence is not an error");
}

#[tokio::test]
async fn unsupported_audio_is_rejected_before_it_is_sent() {
    let google = Google::start().await;
    let cases: [(Vec<u8>, &str); 2] = [(Vec::new(), "empty"), (b"%PDF-1.7 not audio".to_vec(), "unknown audio format")];
    for (audio, expected) in cases {
        let outcome = transcribe(&google, key(), &audio).await;
        let (kind, message) = outcome.failure();
        assert!(kind == "InvokeBadRequestError" && message.contains(expected), "{expected}: {kind} {message}");
    }
    assert!(google.seen("").is_empty());
}

const AGENT: &str = "deep-research-preview-04-2026";

fn start_task(google: &Google, agent: &str, credentials: Value, fields: Value) -> Value {
    let mut all = json!({"model_type": "llm", "stream": false, "prompt_messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why is the sky blue?"}]});
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request(google, "start_polling", agent, credentials, all)
}

fn look(google: &Google, state: Value) -> Value {
    request(google, "check_polling", AGENT, key(), json!({"model_type": "llm", "plugin_state": state}))
}

#[tokio::test]
async fn an_agent_is_started_once_and_polled_until_it_ends() {
    let google = Google::start().await;
    google.reply(200, json!({"id": "v1_Chd-x=", "status": "in_progress", "object": "interaction"}));
    let started = plugin().call(start_task(&google, AGENT, key(), json!({}))).await.item().clone();
    assert_eq!((&started["status"], &started["next_check_after_seconds"]), (&json!("running"), &json!(15)));
    let sent = &google.seen("/v1beta/interactions")[0].body;
    let expected =
        json!({"agent": AGENT, "input": "Be brief.\n\nWhy is the sky blue?", "background": true, "store": true});
    assert_eq!(sent, &expected);
    google.reply(200, json!({"id": "v1_Chd-x=", "status": "in_progress"}));
    let state = started["plugin_state"].clone();
    assert_eq!(plugin().call(look(&google, state.clone())).await.item()["plugin_state"], state);
    let (status, body) = refusal(503, "UNAVAILABLE", "overloaded");
    google.reply(status, body);
    let busy = plugin().call(look(&google, state.clone())).await;
    assert_eq!(busy.item()["status"], "running", "a busy server does not end the task");
    google.reply(200, json!({"id": "v1_Chd-x=", "status": "completed", "outputs": [{"type": "text", "text": "Scattering."}],
        "usage": {"total_input_tokens": 20, "total_tool_use_tokens": 5, "total_output_tokens": 7, "total_thought_tokens": 3}}));
    let done = plugin().call(look(&google, state.clone())).await.item().clone();
    assert_eq!((&done["status"], &done["result"]["message"]["content"]), (&json!("succeeded"), &json!("Scattering.")));
    let usage = &done["result"]["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(25), &json!(10)));
    assert!(google.seen("/v1beta/interactions/v1_Chd-x=").iter().all(|seen| seen.method == "GET"));
    google.reply(200, json!({"id": "v1_Chd-x=", "status": "failed", "error": {"message": "no budget"}}));
    let failed = plugin().call(look(&google, state)).await.item().clone();
    assert_eq!(
        (&failed["status"], &failed["error"]),
        (&json!("failed"), &json!("the agent task ended with status `failed`: no budget"))
    );
}

#[tokio::test]
async fn an_agent_gets_files_and_its_report_lists_its_sources() {
    let google = Google::start().await;
    let report = json!([
        {"type": "text", "text": "Größe zählt.", "annotations": [{"type": "url_citation", "url": "https://a", "title": "A", "end_index": "Größe".len()}]},
        {"type": "image", "mime_type": "image/png", "data": "AA=="},
    ]);
    google.reply(200, json!({"id": "v1_a", "status": "completed", "outputs": report}));
    let pdf = json!({"type": "document", "format": "pdf", "mime_type": "application/pdf", "base64_data": "AAAA"});
    let question = json!([{"role": "user", "content": [pdf, {"type": "text", "data": "What does it say?"}]}]);
    let task = start_task(&google, AGENT, key(), json!({"prompt_messages": question}));
    let done = plugin().call(task).await.item()["result"]["message"]["content"].clone();
    assert_eq!(
        google.seen("/v1beta/interactions")[0].body["input"],
        json!([{"type": "text", "text": "What does it say?"}, {"type": "document", "mime_type": "application/pdf", "data": "AAAA"}])
    );
    assert_eq!((&done[0]["data"], &done[1]["type"]), (&json!("Größe[1] zählt."), &json!("image")));
    assert_eq!(done[2]["data"], "\n\nSources:\n[1] [A](https://a)");
    let office = json!([{"role": "user", "content": [{"type": "document", "format": "docx", "base64_data": "AAAA"}]}]);
    let refused = plugin().call(start_task(&google, AGENT, key(), json!({"prompt_messages": office}))).await;
    assert!(refused.failure().1.contains("docx"), "{:?}", refused.failure());
    assert_eq!(google.seen("/v1beta/interactions").len(), 1, "nothing was started");
}

#[tokio::test]
async fn an_unexpected_poll_response_does_not_end_the_task() {
    let google = Google::start().await;
    let state = json!({"interaction": "v1_a"});
    let report = json!([{"type": "text", "text": "R"}]);
    for odd in [
        json!(null),
        json!("<html>gateway</html>"),
        json!([]),
        json!({}),
        json!({"id": "v1_a"}),
        json!({"status": 7}),
        json!({"status": "idle"}),
    ] {
        google.reply(200, odd.clone());
        let outcome = plugin().call(look(&google, state.clone())).await;
        // Only an unknown status is logged.
        if odd["status"] != 7 {
            assert_eq!(
                (&outcome.item()["status"], &outcome.item()["plugin_state"]),
                (&json!("running"), &state),
                "{odd}"
            );
        }
    }
    for odd in [
        json!({"status": "completed", "outputs": report, "usage": null}),
        json!({"id": 5, "status": "COMPLETED", "outputs": report, "usage": "none", "steps": {}, "error": null}),
        json!({"status": "completed", "outputs": report[0], "usage": {"total_input_tokens": "many", "total_output_tokens": -1}}),
        json!({"status": "idle", "outputs": report}),
    ] {
        google.reply(200, odd.clone());
        let done = plugin().call(look(&google, state.clone())).await.item().clone();
        assert_eq!(
            (&done["status"], &done["result"]["message"]["content"]),
            (&json!("succeeded"), &json!("R")),
            "{odd}"
        );
    }
    let (status, body) = refusal(404, "NOT_FOUND", "no such interaction");
    google.reply(status, body);
    let outcome = plugin().call(look(&google, state.clone())).await;
    let message = outcome.failure().1;
    assert!(
        message.contains("no such interaction")
            && message.contains("task no longer exists")
            && !message.contains("model"),
        "{message}"
    );
    google.reply(200, json!({"error": {"code": 403, "message": "no access", "status": "PERMISSION_DENIED"}}));
    assert_eq!(plugin().call(look(&google, state)).await.failure().0, "InvokeAuthorizationError");
}

#[tokio::test]
async fn errors_name_what_cannot_be_polled() {
    let google = Google::start().await;
    let tools =
        json!({"tools": [{"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}]});
    let mut cloud = vertex(&google);
    cloud["google_api_key"] = json!(API_KEY);
    let of_models = |model: &str| start_task(&google, model, key(), json!({"provider": "google"}));
    let cases = [
        (of_models("gemini-2.5-flash-lite"), "PluginLLMPollingUnsupportedError", "responds directly"),
        (of_models(AGENT), "InvokeBadRequestError", "which requires the plugin `gemini-agents`"),
        (
            start_task(&google, "gemini-2.5-flash-lite", key(), json!({})),
            "InvokeBadRequestError",
            "not a background agent",
        ),
        (start_task(&google, AGENT, key(), tools), "InvokeBadRequestError", "does not support Dify tools"),
        (start_task(&google, AGENT, cloud, json!({})), "InvokeBadRequestError", "Gemini Developer API only"),
        (look(&google, json!({"interaction": "../files"})), "InvokeBadRequestError", "contains no task"),
        (look(&google, json!({"other": 1})), "InvokeBadRequestError", "contains no task"),
    ];
    for (request, kind, expected) in cases {
        let outcome = plugin().call(request).await;
        let (found, message) = outcome.failure();
        assert!(found == kind && message.contains(expected), "{expected}: {found} {message}");
    }
    let mut direct = start_task(&google, AGENT, key(), json!({}));
    direct["action"] = json!("invoke_llm");
    assert!(plugin().call(direct).await.failure().1.contains("must be polled"));
    assert!(google.seen("").is_empty());
    let (status, body) = refusal(503, "UNAVAILABLE", "overloaded");
    google.reply(status, body);
    let patient = json!({"google_api_key": API_KEY, "max_retries": "3"});
    let outcome = plugin().call(start_task(&google, AGENT, patient, json!({}))).await;
    assert_eq!(outcome.failure().0, "InvokeServerUnavailableError");
    assert_eq!(google.seen("/interactions").len(), 1, "a task is never started twice");
}

#[tokio::test]
async fn a_task_started_by_the_models_plugin_is_polled_until_it_ends() {
    let google = Google::start().await;
    google.reply(200, json!({"id": "v1_a", "status": "completed", "steps": [{"type": "model_output", "content": [{"type": "text", "text": "Done."}]}]}));
    let mut request = look(&google, json!({"interaction": "v1_a"}));
    request["provider"] = json!("google");
    let outcome = plugin().call(request).await;
    assert_eq!(outcome.item()["result"]["message"]["content"], "Done.");
}

#[tokio::test]
async fn a_custom_agent_is_polled_by_its_name() {
    let google = Google::start().await;
    google.reply(200, json!({"id": "v1_a", "status": "completed", "steps": [{"type": "model_output", "content": [{"type": "text", "text": "Done."}]}]}));
    let outcome = plugin().call(start_task(&google, "antigravity-preview-09-2026", key(), json!({}))).await;
    assert_eq!(outcome.item()["result"]["message"]["content"], "Done.");
}
