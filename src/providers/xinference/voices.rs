//! Voices of speech models: the user's own list, the speakers that the server reports, or the known ones of a family.
//!
//! Source: `xorbitsai/inference: xinference/model/audio/{kokoro,melotts,chattts,cosyvoice,qwen3_tts}.py`; models that
//! reject an unknown voice list their speakers in the error.

use serde_json::{Value, json};
use tracing::debug;

use super::model_info::ModelInfo;
use super::settings::Settings;
use crate::dialect::openai::speech_responses::SpeechForm;
use crate::providers::compatible::Action;
use crate::providers::compatible::model::LanguageVoice;
use dify_plugin::protocol::Voice;
use dify_plugin::upstream::{RetryPolicy, Upstream};

/// Menu entry for the model's default voice; no voice is sent.
pub(super) const DEFAULT: &str = "default";

/// Model families that stream audio while they generate it.
const STREAMING: [&str; 4] = ["cosyvoice", "chattts", "fishaudio", "voxcpm"];

fn speakers(names: &[&str], languages: &[&str]) -> Vec<LanguageVoice> {
    let speaker = |name: &&str| LanguageVoice {
        voice: Voice::new(*name, *name),
        languages: languages.iter().map(|language| (*language).to_owned()).collect(),
    };
    names.iter().map(speaker).collect()
}

/// Whether audio is requested as a stream.
pub(super) fn streams(description: &ModelInfo) -> bool {
    let family = description.family().to_ascii_lowercase();
    STREAMING.iter().any(|name| family.starts_with(name))
}

/// Returns the known voices, without querying the server.
pub(super) fn known(settings: &Settings, description: &ModelInfo) -> Vec<LanguageVoice> {
    if let Some(list) = &settings.voices {
        let own: Vec<&str> = list.split([',', '\n', '，']).map(str::trim).filter(|name| !name.is_empty()).collect();
        if !own.is_empty() {
            return speakers(&own, &[]);
        }
    }
    let family = description.family().to_ascii_lowercase();
    let name = description.model_name.as_deref().unwrap_or_default();
    match family.as_str() {
        "kokoro" | "kokoro-mlx" => [
            speakers(
                &["af_alloy", "af_bella", "af_heart", "af_nicole", "af_sarah", "af_sky", "am_adam", "am_michael"],
                &["en-US"],
            ),
            speakers(&["bf_emma", "bf_isabella", "bm_george", "bm_lewis"], &["en-US"]),
            speakers(&["zf_xiaobei", "zf_xiaoxiao", "zm_yunjian", "zm_yunxi"], &["zh-Hans"]),
            speakers(&["jf_alpha", "jm_kumo"], &["ja-JP"]),
        ]
        .concat(),
        "chattts" => speakers(&["alloy", "echo", "fable", "onyx", "nova", "shimmer"], &[]),
        "cosyvoice" if name.contains("SFT") || name.contains("Instruct") => [
            speakers(&["中文女", "中文男", "粤语女"], &["zh-Hans"]),
            speakers(&["英文女", "英文男"], &["en-US"]),
            speakers(&["日语男"], &["ja-JP"]),
            speakers(&["韩语女"], &["ko-KR"]),
        ]
        .concat(),
        _ => speakers(&[DEFAULT], &[]),
    }
}

/// Returns the voices, queried from the server if the model is known to report them.
pub(super) async fn of_server(upstream: &Upstream, settings: &Settings, description: &ModelInfo) -> Vec<LanguageVoice> {
    let family = description.family().to_ascii_lowercase();
    let name = description.model_name.as_deref().unwrap_or_default();
    let asks =
        settings.voices.is_none() && (family == "melotts" || (family == "qwen3_tts" && name.ends_with("CustomVoice")));
    if asks && let Some(named) = ask(upstream, settings).await {
        return named;
    }
    known(settings, description)
}

/// Requests a voice that does not exist; the error lists the available ones.
async fn ask(upstream: &Upstream, settings: &Settings) -> Option<Vec<LanguageVoice>> {
    let body = SpeechForm::default().request(&settings.uid, ".", Some("?"), "mp3", Some(false));
    let request = settings.api.post_json(Action::Speech, &body).ok()?.with_retry(RetryPolicy::never());
    let refusal = upstream.send(&request).await.err()?;
    debug!(reason = refusal.log_summary(), "queried the server for its speakers");
    let names = named(&refusal.message);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    (!names.is_empty()).then(|| speakers(&names, &[]))
}

/// Extracts the speakers from an error: `…, available speakers: {'EN-US': 0, …}` or `Supported speakers are: a, b`.
fn named(message: &str) -> Vec<String> {
    let Some((_, list)) = message.split_once("speakers") else { return Vec::new() };
    let Some((_, list)) = list.split_once(':') else { return Vec::new() };
    let quoted: Vec<&str> = list.split(['\'', '"']).skip(1).step_by(2).collect();
    let names: Vec<&str> = if quoted.is_empty() { list.split(',').collect() } else { quoted };
    let plain = |name: &str| name.trim().trim_end_matches('.').to_owned();
    names.into_iter().map(plain).filter(|name| !name.is_empty() && name.chars().count() <= 64).collect()
}

/// Returns the model properties of the schema.
pub(super) fn properties(settings: &Settings, description: &ModelInfo, audio_type: &str) -> Value {
    const LANGUAGES: [&str; 6] = ["en-US", "zh-Hans", "ja-JP", "ko-KR", "fr-FR", "es-ES"];
    let speakers = known(settings, description);
    let voices: Vec<Value> = speakers
        .iter()
        .map(|speaker| {
            let languages = match speaker.languages.as_slice() {
                [] => json!(LANGUAGES),
                own => json!(own),
            };
            json!({"mode": speaker.voice.value, "name": speaker.voice.name, "language": languages})
        })
        .collect();
    let first = speakers.first().map_or(DEFAULT, |speaker| &speaker.voice.value);
    json!({
        "default_voice": first,
        "voices": voices,
        "audio_type": audio_type,
        "word_limit": super::schema_from_server::WORD_LIMIT,
        "max_workers": super::models::MAX_CONCURRENT_SPEECH,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extracts_speakers_from_errors() {
        let cases = [
            ("HTTP 500: Invalid voice: ?, available speakers: {'EN-US': 0, 'EN-BR': 1}", vec!["EN-US", "EN-BR"]),
            ("voice '?' is not supported. Supported speakers are: aiden, vivian", vec!["aiden", "vivian"]),
            ("out of memory", vec![]),
        ];
        for (message, expected) in cases {
            assert_eq!(named(message), expected, "{message}");
        }
    }
}
