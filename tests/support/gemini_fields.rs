//! The messages of the Gemini API as a table, and a JSON parser as strict as Google's servers: no duplicate, unknown or
//! null field, every value of its type, every enum value valid, exactly one type of data where only one is allowed.
//! Fields of the other surface are unknown.
//!
//! Source: Gemini API and Vertex AI references; `googleapis/python-genai: google/genai/types.py`.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The Google service that receives a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    Developer,
    Vertex,
}

/// Fields of a message and their types. `X*` is an array of X, `X{}` a map of X; `X@developer` and `X@vertex` are
/// fields of that surface only. Types are messages of this table, enums of [`ENUMS`], or the scalar types of [`plain`].
type Message = (&'static str, &'static [(&'static str, &'static str)]);

const MESSAGES: &[Message] = &[
    (
        "Request",
        &[
            ("systemInstruction", "Content"),
            ("contents", "Content*"),
            ("tools", "Tool*"),
            ("toolConfig", "ToolConfig"),
            ("safetySettings", "SafetySetting*"),
            ("generationConfig", "GenerationConfig"),
            ("cachedContent", "text"),
            ("continuationToken", "text"),
            ("serviceTier", "Tier"),
            ("labels", "text{}"),
            ("store", "bool@developer"),
        ],
    ),
    (
        "CountRequest",
        &[
            ("contents", "Content*"),
            ("generateContentRequest", "CountedRequest@developer"),
            ("systemInstruction", "Content@vertex"),
            ("tools", "Tool*@vertex"),
            ("generationConfig", "GenerationConfig@vertex"),
        ],
    ),
    (
        "CountedRequest",
        &[
            ("model", "text"),
            ("contents", "Content*"),
            ("systemInstruction", "Content"),
            ("tools", "Tool*"),
            ("toolConfig", "ToolConfig"),
            ("safetySettings", "SafetySetting*"),
            ("generationConfig", "GenerationConfig"),
        ],
    ),
    (
        "CachedContent",
        &[
            ("model", "text"),
            ("contents", "Content*"),
            ("systemInstruction", "Content"),
            ("tools", "Tool*"),
            ("toolConfig", "ToolConfig"),
            ("ttl", "duration"),
            ("displayName", "text"),
        ],
    ),
    ("BatchEmbedRequest", &[("requests", "EmbedRequest*")]),
    (
        "EmbedRequest",
        &[
            ("model", "text@developer"),
            ("content", "Content"),
            ("taskType", "TaskType@developer"),
            ("title", "text@developer"),
            ("outputDimensionality", "int@developer"),
            ("embedContentConfig", "EmbedConfig@vertex"),
        ],
    ),
    (
        "EmbedConfig",
        &[("taskType", "TaskType"), ("title", "text"), ("outputDimensionality", "int"), ("autoTruncate", "bool")],
    ),
    ("Content", &[("role", "Role"), ("parts", "Part*")]),
    (
        "Part",
        &[
            ("text", "text"),
            ("inlineData", "Blob"),
            ("fileData", "FileData"),
            ("functionCall", "FunctionCall"),
            ("functionResponse", "FunctionResponse"),
            ("executableCode", "ExecutableCode"),
            ("codeExecutionResult", "CodeExecutionResult"),
            ("toolCall", "object"),
            ("toolResponse", "object"),
            ("speechMetadata", "SpeechMetadata"),
            ("thought", "bool"),
            ("thoughtSignature", "bytes"),
            ("videoMetadata", "VideoMetadata"),
            ("mediaResolution", "PartResolution"),
        ],
    ),
    ("SpeechMetadata", &[("speaker", "text"), ("style", "text")]),
    ("Blob", &[("mimeType", "mime"), ("data", "bytes")]),
    ("FileData", &[("mimeType", "mime"), ("fileUri", "text")]),
    ("FunctionCall", &[("id", "text"), ("name", "text"), ("args", "object")]),
    (
        "FunctionResponse",
        &[("id", "text"), ("name", "text"), ("response", "object"), ("parts", "FunctionResponsePart*")],
    ),
    ("FunctionResponsePart", &[("inlineData", "Blob"), ("fileData", "FileData")]),
    ("ExecutableCode", &[("id", "text"), ("language", "Language"), ("code", "text")]),
    ("CodeExecutionResult", &[("id", "text"), ("outcome", "Outcome"), ("output", "text")]),
    ("VideoMetadata", &[("startOffset", "duration"), ("endOffset", "duration"), ("fps", "float")]),
    ("PartResolution", &[("level", "PartLevel")]),
    (
        "Tool",
        &[
            ("functionDeclarations", "FunctionDeclaration*"),
            ("googleSearch", "Search"),
            ("googleMaps", "Empty"),
            ("fileSearch", "FileSearch@developer"),
            ("urlContext", "Empty"),
            ("codeExecution", "Empty"),
        ],
    ),
    ("Empty", &[]),
    (
        "Search",
        &[
            ("searchTypes", "SearchTypes"),
            ("excludeDomains", "text*@vertex"),
            ("timeRangeFilter", "Interval@developer"),
        ],
    ),
    ("SearchTypes", &[("webSearch", "Empty"), ("imageSearch", "Empty")]),
    ("Interval", &[("startTime", "text"), ("endTime", "text")]),
    ("FileSearch", &[("fileSearchStoreNames", "text*")]),
    (
        "FunctionDeclaration",
        &[("name", "text"), ("description", "text"), ("parameters", "Schema"), ("parametersJsonSchema", "object")],
    ),
    (
        "Schema",
        &[
            ("type", "Type"),
            ("format", "text"),
            ("title", "text"),
            ("description", "text"),
            ("nullable", "bool"),
            ("enum", "text*"),
            ("items", "Schema"),
            ("minItems", "int"),
            ("maxItems", "int"),
            ("properties", "Schema{}"),
            ("required", "text*"),
            ("propertyOrdering", "text*"),
            ("minProperties", "int"),
            ("maxProperties", "int"),
            ("minimum", "float"),
            ("maximum", "float"),
            ("minLength", "int"),
            ("maxLength", "int"),
            ("pattern", "text"),
            ("example", "any"),
            ("default", "any"),
            ("anyOf", "Schema*"),
        ],
    ),
    (
        "ToolConfig",
        &[
            ("functionCallingConfig", "FunctionCallingConfig"),
            ("includeServerSideToolInvocations", "bool@developer"),
            ("retrievalConfig", "RetrievalConfig"),
        ],
    ),
    ("RetrievalConfig", &[("latLng", "LatLng"), ("languageCode", "text")]),
    ("LatLng", &[("latitude", "float"), ("longitude", "float")]),
    ("FunctionCallingConfig", &[("mode", "CallingMode"), ("allowedFunctionNames", "text*")]),
    ("SafetySetting", &[("category", "HarmCategory"), ("threshold", "Threshold"), ("method", "HarmMethod@vertex")]),
    (
        "GenerationConfig",
        &[
            ("temperature", "float"),
            ("topP", "float"),
            ("topK", "int"),
            ("candidateCount", "int"),
            ("maxOutputTokens", "int"),
            ("stopSequences", "text*"),
            ("seed", "int"),
            ("presencePenalty", "float"),
            ("frequencyPenalty", "float"),
            ("responseMimeType", "AnswerType"),
            ("responseSchema", "Schema"),
            ("responseJsonSchema", "object"),
            ("responseModalities", "Modality*"),
            ("thinkingConfig", "ThinkingConfig"),
            ("imageConfig", "ImageConfig"),
            ("mediaResolution", "Resolution"),
            ("speechConfig", "SpeechConfig"),
            ("responseFormat", "ResponseFormat"),
            ("audioTimestamp", "bool@vertex"),
        ],
    ),
    ("ThinkingConfig", &[("includeThoughts", "bool"), ("thinkingBudget", "int"), ("thinkingLevel", "ThinkingLevel")]),
    ("ImageConfig", &[("aspectRatio", "Ratio"), ("imageSize", "ImageSize"), ("personGeneration", "Persons@vertex")]),
    ("ResponseFormat", &[("audio", "AudioFormat")]),
    ("AudioFormat", &[("mimeType", "AudioType"), ("sampleRate", "int"), ("bitRate", "int")]),
    (
        "SpeechConfig",
        &[("voiceConfig", "VoiceConfig"), ("multiSpeakerVoiceConfig", "MultiSpeaker"), ("languageCode", "text")],
    ),
    ("VoiceConfig", &[("prebuiltVoiceConfig", "PrebuiltVoice"), ("voice", "text")]),
    ("PrebuiltVoice", &[("voiceName", "text")]),
    ("MultiSpeaker", &[("speakerVoiceConfigs", "SpeakerVoice*")]),
    ("SpeakerVoice", &[("speaker", "text"), ("voiceConfig", "VoiceConfig")]),
];

/// Data fields of a part.
pub const DATA: &[&str] = &[
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

/// Fields of a message of which exactly one, or at most one, must be set.
const ONE_OF: &[(&str, usize, &[&str])] = &[
    ("Part", 1, DATA),
    ("FunctionResponsePart", 1, &["inlineData", "fileData"]),
    ("Tool", 1, &["functionDeclarations", "googleSearch", "googleMaps", "fileSearch", "urlContext", "codeExecution"]),
    ("FunctionDeclaration", 0, &["parameters", "parametersJsonSchema"]),
    ("GenerationConfig", 0, &["responseSchema", "responseJsonSchema"]),
    ("ThinkingConfig", 0, &["thinkingBudget", "thinkingLevel"]),
    ("SpeechConfig", 1, &["voiceConfig", "multiSpeakerVoiceConfig"]),
    ("VoiceConfig", 1, &["prebuiltVoiceConfig", "voice"]),
    ("CountRequest", 1, &["contents", "generateContentRequest"]),
];

const ENUMS: &[(&str, &[&str])] = &[
    ("Role", &["user", "model"]),
    ("Tier", &["flex", "standard", "priority"]),
    ("Language", &["PYTHON"]),
    ("Outcome", &["OUTCOME_OK", "OUTCOME_FAILED", "OUTCOME_DEADLINE_EXCEEDED"]),
    ("Type", &["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"]),
    ("CallingMode", &["AUTO", "ANY", "NONE", "VALIDATED"]),
    (
        "HarmCategory",
        &[
            "HARM_CATEGORY_HARASSMENT",
            "HARM_CATEGORY_HATE_SPEECH",
            "HARM_CATEGORY_SEXUALLY_EXPLICIT",
            "HARM_CATEGORY_DANGEROUS_CONTENT",
        ],
    ),
    ("Threshold", &["OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE"]),
    ("HarmMethod", &["SEVERITY", "PROBABILITY"]),
    ("AnswerType", &["text/plain", "application/json", "text/x.enum"]),
    ("Modality", &["TEXT", "IMAGE", "AUDIO"]),
    ("ThinkingLevel", &["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"]),
    ("Persons", &["ALLOW_ALL", "ALLOW_ADULT", "ALLOW_NONE"]),
    ("AudioType", &["AUDIO_MP3", "AUDIO_OGG_OPUS", "AUDIO_L16", "AUDIO_WAV", "AUDIO_ALAW", "AUDIO_MULAW"]),
    ("Resolution", &["MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH"]),
    (
        "PartLevel",
        &["MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH", "MEDIA_RESOLUTION_ULTRA_HIGH"],
    ),
    ("Ratio", &["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9", "1:4", "4:1", "1:8", "8:1"]),
    ("ImageSize", &["512", "1K", "2K", "4K"]),
    (
        "TaskType",
        &[
            "RETRIEVAL_QUERY",
            "RETRIEVAL_DOCUMENT",
            "SEMANTIC_SIMILARITY",
            "CLASSIFICATION",
            "CLUSTERING",
            "QUESTION_ANSWERING",
            "FACT_VERIFICATION",
            "CODE_RETRIEVAL_QUERY",
        ],
    ),
];

/// Parses a body and checks it against a message; errors are those of Google, abridged.
pub fn read(surface: Surface, message: &str, body: &[u8]) -> Result<Value, String> {
    let value = strict_json(body)?;
    typed(surface, message, &value, "request")?;
    Ok(value)
}

fn typed(surface: Surface, kind: &str, value: &Value, place: &str) -> Result<(), String> {
    if let Some(item) = kind.strip_suffix('*') {
        let items = value.as_array().ok_or_else(|| format!("{place} is no list"))?;
        return items
            .iter()
            .enumerate()
            .try_for_each(|(at, value)| typed(surface, item, value, &format!("{place}[{at}]")));
    }
    if let Some(item) = kind.strip_suffix("{}") {
        let map = value.as_object().ok_or_else(|| format!("{place} is no map"))?;
        return map.iter().try_for_each(|(key, value)| typed(surface, item, value, &format!("{place}.{key}")));
    }
    if let Some((_, names)) = ENUMS.iter().find(|(name, _)| *name == kind) {
        let known = value.as_str().is_some_and(|name| names.contains(&name));
        return if known { Ok(()) } else { Err(format!("Invalid value at '{place}' ({kind}), {value}")) };
    }
    match MESSAGES.iter().find(|(name, _)| *name == kind) {
        Some((_, fields)) => {
            let map = value.as_object().ok_or_else(|| format!("{place} is no {kind}"))?;
            self::fields(surface, kind, fields, map, place)
        }
        None if plain(kind, value) => Ok(()),
        None => Err(format!("Invalid value at '{place}' ({kind}), {value}")),
    }
}

fn fields(
    surface: Surface,
    message: &str,
    known: &[(&str, &str)],
    map: &Map<String, Value>,
    place: &str,
) -> Result<(), String> {
    for (key, value) in map {
        let found = known.iter().find(|(name, _)| name == key).map(|(_, kind)| *kind);
        let (kind, only) =
            found.and_then(|kind| kind.split_once('@')).map_or((found, None), |(kind, only)| (Some(kind), Some(only)));
        let there = match only {
            Some("developer") => surface == Surface::Developer,
            Some(_) => surface == Surface::Vertex,
            None => true,
        };
        match kind.filter(|_| there) {
            Some(kind) => typed(surface, kind, value, &format!("{place}.{key}"))?,
            None => {
                return Err(format!(
                    "Invalid JSON payload received. Unknown name \"{key}\" at '{place}': Cannot find field."
                ));
            }
        }
    }
    for (_, least, group) in ONE_OF.iter().filter(|(name, ..)| *name == message) {
        let count = group.iter().filter(|name| map.contains_key(**name)).count();
        if count > 1 || count < *least {
            return Err(format!("{count} of {group:?} at '{place}' ({message})"));
        }
    }
    Ok(())
}

/// Whether a value has a scalar type.
fn plain(kind: &str, value: &Value) -> bool {
    let text = value.as_str();
    match kind {
        "any" => !value.is_null(),
        "object" => value.is_object(),
        "text" => text.is_some(),
        "bool" => value.is_boolean(),
        "int" => value.is_i64() || value.is_u64(),
        "float" => value.is_number(),
        "duration" => text
            .and_then(|text| text.strip_suffix('s'))
            .is_some_and(|text| text.parse::<f64>().is_ok_and(|seconds| seconds >= 0.0)),
        "mime" => text.is_some_and(|text| {
            text.split_once('/')
                .is_some_and(|(family, name)| !family.is_empty() && !name.is_empty() && !text.contains([';', ' ']))
        }),
        "bytes" => text.is_some_and(is_base64),
        other => panic!("the table names no type `{other}`"),
    }
}

/// Whether a value is Base64. Servers also accept the bypass value for a signature, whose length is not that of Base64.
fn is_base64(text: &str) -> bool {
    text.trim_end_matches('=').bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte))
}

/// Parses UTF-8 JSON without duplicate keys. Nulls are rejected as fields of messages, but not within the user's own
/// objects.
fn strict_json(body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8".to_owned())?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut reader).map_err(|error| format!("Invalid JSON payload received. {error}"))?;
    reader.end().map_err(|error| format!("Invalid JSON payload received. {error}"))?;
    Ok(value)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Strict)?;
            if map.insert(key.clone(), value).is_some() {
                return Err(de::Error::custom(format!("Duplicate field: \"{key}\"")));
            }
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parser_rejects_what_google_rejects() {
        for (surface, body, expected) in [
            (Surface::Developer, r#"{"contents": [{"role": "user", "parts": [{"text": "a"}]}]}"#, ""),
            (Surface::Developer, r#"{"contents": [], "contents": []}"#, "Duplicate field: \"contents\""),
            (Surface::Developer, r#"{"zz": 1}"#, "Unknown name \"zz\""),
            (Surface::Developer, r#"{"labels": {"a": "b"}, "store": false}"#, ""),
            (Surface::Vertex, r#"{"labels": {"a": "b"}}"#, ""),
            (Surface::Vertex, r#"{"serviceTier": "flex"}"#, ""),
            (Surface::Vertex, r#"{"store": false}"#, "Unknown name \"store\""),
            (Surface::Vertex, r#"{"toolConfig": {"includeServerSideToolInvocations": true}}"#, "Unknown name"),
            (Surface::Developer, r#"{"contents": null}"#, "no list"),
            (Surface::Developer, r#"{"contents": [{"parts": [{}]}]}"#, "0 of"),
            (
                Surface::Developer,
                r#"{"contents": [{"parts": [{"text": "a", "inlineData": {"mimeType": "a/b", "data": ""}}]}]}"#,
                "2 of",
            ),
            (Surface::Developer, r#"{"contents": [{"role": "function", "parts": []}]}"#, "(Role)"),
            (Surface::Developer, r#"{"generationConfig": {"topK": 4.5}}"#, "(int)"),
            (
                Surface::Developer,
                r#"{"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}}"#,
                "(ThinkingLevel)",
            ),
            (Surface::Developer, r#"{"generationConfig": {"responseSchema": {"type": "string"}}}"#, "(Type)"),
            (Surface::Developer, r#"{"generationConfig": {"responseSchema": {"$ref": "x"}}}"#, "$ref"),
            (
                Surface::Developer,
                r#"{"contents": [{"parts": [{"inlineData": {"mimeType": "text/plain; a=b", "data": ""}}]}]}"#,
                "(mime)",
            ),
            (Surface::Developer, "{\"contents\": []} x", "trailing"),
        ] {
            let outcome = read(surface, "Request", body.as_bytes());
            match outcome {
                Ok(_) => assert!(expected.is_empty(), "{body} went through"),
                Err(why) => assert!(!expected.is_empty() && why.contains(expected), "{body}: {why}"),
            }
        }
        assert!(read(Surface::Developer, "Request", b"{\"contents\": [\"\xff\"]}").is_err());
    }
}
