//! What the mock answers to requests of tools: images, searches with sources, pages, media. Returns none for a request of
//! another kind.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::google::Seen;

/// The bytes of every image: those of a PNG file, labeled as JPEG, as Google does with some.
pub const IMAGE: &[u8] = b"\x89PNG\r\n\x1a\nimage";

/// Google's search suggestions.
pub const SUGGESTIONS: &str = "<div class=\"container\">Riga</div>";

/// Models that understand media; others transcribe.
const UNDERSTANDING: [&str; 2] = ["gemini-3.8-flash:", "gemini-4-"];

pub fn answer(seen: &Seen) -> Option<Value> {
    let tool = |name: &str| {
        seen.body["tools"].as_array().is_some_and(|tools| tools.iter().any(|tool| tool.get(name).is_some()))
    };
    let parts = seen.body["contents"][0]["parts"].as_array()?;
    let prompt = parts.iter().rev().find_map(|part| part["text"].as_str()).unwrap_or_default();
    let candidate = match () {
        () if seen.body["generationConfig"]["responseModalities"] == json!(["TEXT", "IMAGE"]) => image(seen, parts),
        () if tool("googleSearch") => search(),
        () if tool("googleMaps") => maps(seen, prompt),
        () if tool("urlContext") => pages(prompt),
        () if UNDERSTANDING.iter().any(|model| seen.path.contains(model)) => media(seen, parts, prompt),
        () => return None,
    };
    Some(json!({"candidates": [candidate], "modelVersion": "served-model",
        "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 3, "thoughtsTokenCount": 2, "totalTokenCount": 9}}))
}

fn texts(text: &str) -> Value {
    json!({"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"})
}

fn image(seen: &Seen, parts: &[Value]) -> Value {
    let given = parts.iter().filter(|part| part.get("text").is_none()).count();
    let text = format!("Drawn from {given} images: {}", seen.body["generationConfig"]["imageConfig"]);
    let draft =
        json!({"inlineData": {"mimeType": "image/png", "data": STANDARD.encode(b"\x89PNGdraft")}, "thought": true});
    let image = json!({"inlineData": {"mimeType": "image/jpeg", "data": STANDARD.encode(IMAGE)}});
    json!({"content": {"role": "model", "parts": [draft, {"text": text}, image]}, "finishReason": "STOP"})
}

fn search() -> Value {
    let mut candidate = texts("Riga is the capital of Latvia. It is old.");
    candidate["groundingMetadata"] = json!({
        "webSearchQueries": ["capital of Latvia"],
        "searchEntryPoint": {"renderedContent": SUGGESTIONS},
        "groundingChunks": [
            {"web": {"uri": "https://vertexaisearch.example/1", "title": "latvia.example"}},
            {"web": {"uri": "https://vertexaisearch.example/2", "title": "riga.example"}},
        ],
        "groundingSupports": [
            {"segment": {"endIndex": 30, "text": "Riga is the capital of Latvia."}, "groundingChunkIndices": [0, 1]},
        ],
    });
    candidate
}

fn maps(seen: &Seen, prompt: &str) -> Value {
    let mut candidate = texts(&format!("Café Riga is open. {} {prompt}", seen.body["toolConfig"]["retrievalConfig"]));
    let maps = json!({"uri": "https://maps.google.com/?cid=1", "title": "Café Riga", "placeId": "places/1"});
    candidate["groundingMetadata"] = json!({"groundingChunks": [{ "maps": maps }]});
    candidate
}

/// Pages whose URL names a state have that state.
fn pages(prompt: &str) -> Value {
    let urls = prompt.lines().filter(|line| line.starts_with("http"));
    let states = urls.map(|url| {
        let state = ["PAYWALL", "UNSAFE", "ERROR"].into_iter().find(|state| url.contains(&state.to_lowercase()));
        let state = format!("URL_RETRIEVAL_STATUS_{}", state.unwrap_or("SUCCESS"));
        json!({"retrievedUrl": url, "urlRetrievalStatus": state})
    });
    let mut candidate = texts("The pages say hello.");
    candidate["urlContextMetadata"] = json!({"urlMetadata": states.collect::<Vec<_>>()});
    candidate
}

fn media(seen: &Seen, parts: &[Value], prompt: &str) -> Value {
    if seen.body["generationConfig"].get("responseJsonSchema").is_some() {
        let turns = json!([{"start": "00:01", "speaker": "Anna", "text": "Hi."}, {"start": "00:02", "speaker": "Ben", "text": "Yes."}]);
        return texts(&turns.to_string());
    }
    let described = parts.iter().filter_map(|part| match (&part["inlineData"], &part["fileData"]) {
        (Value::Null, Value::Null) => None,
        (Value::Null, file) => {
            Some(format!("{} at {}", file["mimeType"].as_str().unwrap_or("?"), file["fileUri"].as_str()?))
        }
        (blob, _) => Some(blob["mimeType"].as_str()?.to_owned()),
    });
    texts(&format!("Seen {}: {prompt}", described.collect::<Vec<_>>().join(", ")))
}
