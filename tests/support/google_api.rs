//! Responses of the mock Google API by method.

#[path = "google_files.rs"]
pub mod files;
#[path = "google_tools.rs"]
pub mod tools;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin_gemini::wav;
use serde_json::{Value, json};

use super::gemini_rules as rules;
use super::google::{Seen, Shared, json_answer, refusal};

pub fn answer(state: &Shared, seen: &Seen) -> Response {
    if seen.path.contains("/upload/") {
        return files::upload(state, seen);
    }
    if let Some((_, id)) = seen.path.split_once("/files/f") {
        return files::get(state, seen, id);
    }
    if let Err(refused) = files::check_uses(state, seen, &seen.body) {
        return refused;
    }
    let method = seen.path.rsplit(':').next().unwrap_or_default();
    if let Err(why) = check(seen, method) {
        return invalid(&why);
    }
    let usage = json!({"promptTokenCount": 4, "candidatesTokenCount": 1, "totalTokenCount": 5});
    let response_with = |parts: Value| {
        json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
            "usageMetadata": usage})
    };
    match method {
        "streamGenerateContent" => {
            let event = format!("data: {}\r\n\r\n", response_with(json!([{"text": "Hello"}])));
            ([(header::CONTENT_TYPE, "text/event-stream")], event).into_response()
        }
        "generateContent" if seen.body["generationConfig"]["responseModalities"] == json!(["AUDIO"]) => speak(seen),
        "generateContent" => match tools::answer(seen) {
            Some(body) => json_answer(200, &body),
            None => transcribe(seen),
        },
        "batchEmbedContents" => embed_batch(seen),
        "embedContent" => embed_one(seen),
        "predict" => predict(seen),
        "countTokens" => json_answer(200, &json!({"totalTokens": 7})),
        _ if seen.path.ends_with("/models") => json_answer(200, &json!({"models": [{"name": "models/gemini-x"}]})),
        _ => {
            let (status, body) = refusal(404, "NOT_FOUND", &format!("no such path: {}", seen.path));
            json_answer(status, &body)
        }
    }
}

/// Checks that a request contains what its method requires on its service.
fn check(seen: &Seen, method: &str) -> Result<(), String> {
    let message = match method {
        "streamGenerateContent" | "generateContent" => "Request",
        "countTokens" => "CountRequest",
        "batchEmbedContents" => "BatchEmbedRequest",
        "embedContent" => "EmbedRequest",
        _ => return Ok(()),
    };
    let vertex = seen.path.contains("/publishers/");
    let surface = if vertex { rules::Surface::Vertex } else { rules::Surface::Developer };
    let request = rules::fields::read(surface, message, &seen.bytes)?;
    if seen.header("content-type") != Some("application/json") {
        return Err("the media type must be application/json".to_owned());
    }
    if method == "streamGenerateContent" && seen.query != "alt=sse"
        || method == "generateContent" && !seen.query.is_empty()
    {
        return Err(format!("query {}", seen.query));
    }
    if message == "Request" && !seen.path.contains("-tts") && !seen.path.contains("transcribe") {
        let model = seen.path.rsplit("/models/").next().unwrap_or_default().split(':').next().unwrap_or_default();
        rules::check(model, &request, &[])?;
    }
    Ok(())
}

/// Returns the vector of a text: its length, its first letter, and zeros.
pub fn vector(text: &str, length: usize) -> Vec<f32> {
    let mut vector = vec![0.0; length];
    vector[0] = text.chars().count() as f32;
    vector[1] = text.chars().next().map_or(0.0, |letter| (letter as u32 % 1000) as f32);
    vector
}

fn invalid(why: &str) -> Response {
    let (status, body) = refusal(400, "INVALID_ARGUMENT", why);
    json_answer(status, &body)
}

/// Returns the vector of one content, in which all its parts are merged.
fn fused(content: &Value, length: &Value) -> Result<Vec<f32>, String> {
    let parts = content["parts"].as_array().filter(|parts| !parts.is_empty()).ok_or("no parts")?;
    let mut text = String::new();
    for part in parts {
        match (part["text"].as_str(), part["inlineData"]["mimeType"].as_str()) {
            (Some(""), _) => return Err("empty text".to_owned()),
            (Some(words), None) => text.push_str(words),
            (None, Some("image/png" | "image/jpeg")) => text.push('#'),
            _ => return Err(format!("unreadable part {part}")),
        }
    }
    Ok(vector(&text, length.as_u64().unwrap_or(4) as usize))
}

fn embed_batch(seen: &Seen) -> Response {
    let requests = seen.body["requests"].as_array().cloned().unwrap_or_default();
    let model = seen.path.split("/v1beta/").last().unwrap().trim_end_matches(":batchEmbedContents");
    let mut vectors = Vec::new();
    if requests.is_empty() || requests.len() > 100 {
        return invalid("BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch");
    }
    for request in &requests {
        let texts =
            request["content"]["parts"].as_array().into_iter().flatten().filter(|part| part.get("text").is_some());
        if texts.count() > 1 {
            return invalid("several texts of one content become one vector");
        }
        let shortest = if model.contains("embedding-2") { 128 } else { 1 };
        if request["outputDimensionality"].as_u64().is_some_and(|length| !(shortest..=3072).contains(&length)) {
            return invalid("output_dimensionality is out of range");
        }
        if request["model"] != model || (model.contains("embedding-2") && request.get("taskType").is_some()) {
            return invalid("model or task type do not match");
        }
        match fused(&request["content"], &request["outputDimensionality"]) {
            Ok(vector) => vectors.push(json!({ "values": vector })),
            Err(why) => return invalid(&why),
        }
    }
    json_answer(200, &json!({ "embeddings": vectors }))
}

fn embed_one(seen: &Seen) -> Response {
    let config = &seen.body["embedContentConfig"];
    match fused(&seen.body["content"], &config["outputDimensionality"]) {
        Ok(vector) => {
            json_answer(200, &json!({"embedding": {"values": vector}, "usageMetadata": {"promptTokenCount": 5}}))
        }
        Err(why) => invalid(&why),
    }
}

fn predict(seen: &Seen) -> Response {
    let instances = seen.body["instances"].as_array().cloned().unwrap_or_default();
    if instances.len() > 1 && seen.path.contains("gemini-embedding-001") {
        return invalid("one instance per call");
    }
    let length = seen.body["parameters"]["outputDimensionality"].as_u64().unwrap_or(4) as usize;
    let predictions = instances.iter().map(|instance| {
        let text = instance["content"].as_str().unwrap();
        json!({"embeddings": {"values": vector(text, length), "statistics": {"token_count": 3, "truncated": false}}})
    });
    json_answer(200, &json!({ "predictions": predictions.collect::<Vec<_>>() }))
}

/// Returns audio samples that encode the spoken text: one sample per byte.
pub fn spoken(text: &str) -> Vec<u8> {
    text.bytes().flat_map(|byte| [byte, 0]).collect()
}

/// A tag before the frames of an MP3 file.
const MP3_TAG: &[u8] = b"ID3\x04\0\0\0\0\0\x04tags";

/// Returns MP3 frames that encode the spoken text: one frame per byte.
pub fn spoken_as_mp3(text: &str) -> Vec<u8> {
    text.bytes().flat_map(|byte| [&[0xFF, 0xF3, 0x44, 0xC0][..], &[byte; 92]].concat()).collect()
}

fn speak(seen: &Seen) -> Response {
    let parts = seen.body["contents"][0]["parts"].as_array().unwrap();
    let text: String = parts.iter().map(|part| part["text"].as_str().unwrap()).collect();
    let text = text.as_str();
    if seen.path.contains("3.1-flash-tts") && parts.iter().any(|part| part.get("speechMetadata").is_some()) {
        return invalid("speech_metadata is not supported by this model");
    }
    let config = &seen.body["generationConfig"]["speechConfig"];
    let speakers = config["multiSpeakerVoiceConfig"]["speakerVoiceConfigs"].as_array();
    if config["voiceConfig"].is_object() == speakers.is_some() {
        return invalid("`voiceConfig` and `multiSpeakerVoiceConfig` exclude each other, and one of them is needed");
    }
    if speakers.is_some_and(|speakers| speakers.len() != 2) {
        return invalid("exactly two speakers are taken");
    }
    let chosen = speakers.map_or(&config["voiceConfig"], |speakers| &speakers[0]["voiceConfig"]);
    let voice = match chosen["prebuiltVoiceConfig"]["voiceName"].as_str() {
        Some(name) => name,
        None => chosen["voice"].as_str().unwrap_or_default(),
    };
    if !["Kore", "Puck", "voice_1"].contains(&voice) {
        return invalid(&format!("No matching speaker voice found for name: {voice}"));
    }
    if text == "What is the time?" {
        return invalid("Model tried to generate text, but it should only be used for TTS.");
    }
    let format = seen.body["generationConfig"]["responseFormat"]["audio"]["mimeType"].as_str();
    let is_older = seen.path.contains("3.1-flash-tts");
    if is_older && format.is_some() {
        return invalid("Invalid value at 'generation_config.response_format': not supported by this model.");
    }
    let (mime_type, audio) = match format {
        Some("AUDIO_MP3") => ("audio/mpeg", [MP3_TAG, &spoken_as_mp3(text)].concat()),
        _ if is_older => ("audio/L16;codec=pcm;rate=24000", spoken(text)),
        _ => ("audio/wav", wav::wav(&spoken(text), 24_000)),
    };
    let part = json!({"inlineData": {"mimeType": mime_type, "data": STANDARD.encode(audio)}});
    json_answer(200, &json!({"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}))
}

/// A transcription model accepts audio only; other models also need a prompt.
fn transcribe(seen: &Seen) -> Response {
    let parts = seen.body["contents"][0]["parts"].as_array().cloned().unwrap_or_default();
    let dedicated = seen.path.contains("transcribe");
    let asked = parts.get(1).and_then(|part| part["text"].as_str()).is_some_and(|text| text.contains("word for word"));
    if dedicated == asked || parts.len() != 2 - usize::from(dedicated) {
        return invalid("a dedicated model takes audio only, another one audio and a prompt");
    }
    let (blob, file) = (&parts[0]["inlineData"], &parts[0]["fileData"]);
    if file.is_null() && STANDARD.decode(blob["data"].as_str().unwrap_or("?")).is_err() {
        return invalid("not audio");
    }
    let mime_type = blob["mimeType"].as_str().or(file["mimeType"].as_str()).unwrap();
    let parts = match dedicated {
        true => {
            json!([{"audioTranscription": {"text": "Heard"}}, {"audioTranscription": {"text": format!("{mime_type}.")}}])
        }
        false => json!([{"text": format!(" Heard {mime_type}.\n")}]),
    };
    json_answer(200, &json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}))
}
