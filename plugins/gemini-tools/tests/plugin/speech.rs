//! Speech: one voice, two speakers, formats, long texts.

use dify_plugin::serde_json::json;
use dify_plugin_gemini::wav;

use crate::google::Google;
use crate::google_api::{spoken, spoken_as_mp3};
use crate::setup::{host, tool};

#[tokio::test]
async fn a_text_becomes_one_file() {
    let (google, host) = (Google::start().await, host());
    let outputs = tool(&host, &google, "speak", json!({"text": "Hello there."})).await.unwrap();
    let [file] = outputs.files() else { panic!("{:?}", outputs.files()) };
    assert_eq!((file.name.as_deref(), file.mime_type.as_str()), (Some("speech.mp3"), "audio/mpeg"));
    assert_eq!(file.bytes, spoken_as_mp3("Hello there."));
    assert_eq!(outputs.variable("mime_type"), Some(&json!("audio/mpeg")));
    let outputs =
        tool(&host, &google, "speak", json!({"text": "Hi.", "format": "wav", "voice": "puck"})).await.unwrap();
    assert_eq!(outputs.files()[0].bytes, wav::wav(&spoken("Hi."), 24_000));
    assert_eq!(outputs.json()[0]["voice"], "Puck");
    assert_eq!(outputs.variable("seconds"), Some(&json!(3.0 / 24_000.0)));
}

#[tokio::test]
async fn long_texts_are_read_in_parts_and_joined() {
    let google = Google::start().await;
    let text = "This is a sentence. ".repeat(250);
    let outputs = tool(&host(), &google, "speak", json!({"text": text, "format": "wav"})).await.unwrap();
    assert_eq!(outputs.files()[0].bytes, wav::wav(&spoken(text.trim()), 24_000));
    assert_eq!(outputs.json()[0]["segments"], 3);
}

#[tokio::test]
async fn a_dialogue_has_two_voices() {
    let (google, host) = (Google::start().await, host());
    let text = "Anna: Hi.\nBen: Yes.";
    for (parameters, speakers) in [
        (json!({"text": text, "second_voice": "Kore", "voice": "Puck"}), json!({"Anna": "Puck", "Ben": "Kore"})),
        (json!({"text": text, "speaker": "Ben", "second_speaker": "Anna"}), json!({"Ben": "Kore", "Anna": "Puck"})),
    ] {
        let outputs = tool(&host, &google, "speak", parameters).await.unwrap();
        assert_eq!(outputs.json()[0]["speakers"], speakers);
        let sent = google.seen(":generateContent").pop().unwrap().body;
        let config = &sent["generationConfig"]["speechConfig"]["multiSpeakerVoiceConfig"]["speakerVoiceConfigs"];
        assert_eq!(config.as_array().map(Vec::len), Some(2), "{sent}");
        assert_eq!(sent["contents"][0]["parts"][0]["speechMetadata"]["speaker"], "Anna");
    }
    for (parameters, words) in [
        (json!({"text": "Hello.", "second_voice": "Puck"}), "`speaker`"),
        (json!({"text": text, "speaker": "Carl", "second_speaker": "Dora"}), "`Carl:`"),
        (json!({"text": text, "speaker": "Anna", "second_speaker": "Anna"}), "both `Anna`"),
    ] {
        let failure = tool(&host, &google, "speak", parameters).await.unwrap_err();
        assert!(failure.message.contains(words), "{}", failure.message);
    }
}
