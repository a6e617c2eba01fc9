//! What Dify sends to a call back into it: the event, and its data as every response that there is.
#![no_main]

use dify_plugin::error::InvokeError;
use dify_plugin::protocol::backwards::{
    AppEvent, AppInfo, BackwardsEvent, DifyError, LlmChunk, LlmCollector, NodeResult, ResultOf, SpeechChunk,
    StorageResult, SummaryResult, UploadUrl, UploadedFile,
};
use dify_plugin::protocol::tool_message::Message;
use dify_plugin::protocol::{EmbeddingResult, Inbound, RerankResult, lenient};
use libfuzzer_sys::fuzz_target;

// One line each; the envelope may be left out.
fuzz_target!(|data: &[u8]| {
    let mut whole = LlmCollector::default();
    for line in data.split(|byte| *byte == b'\n') {
        let _ = Inbound::salvage_event(line);
        let Ok(text) = std::str::from_utf8(line) else { continue };
        let enveloped = Inbound::parse(line).ok().and_then(|inbound| inbound.data);
        let Ok((id, event)) = BackwardsEvent::parse(enveloped.map_or(text, |data| data.get())) else { continue };
        assert!(id.len() <= line.len());
        match event {
            BackwardsEvent::Response(data) => read(data.get(), &mut whole),
            BackwardsEvent::Error(text) => assert!(InvokeError::from(DifyError::of_text(&text)).detail().len() < 8192),
            _ => {}
        }
    }
    let result = whole.finish();
    assert_eq!(result.message().content, result.content);
});

fn read(data: &str, whole: &mut LlmCollector) {
    if let Ok(chunk) = lenient::read::<LlmChunk>(data) {
        whole.push(chunk);
    }
    if let Ok(message) = lenient::read::<Message>(data) {
        let again: Message = serde_json::from_str(&serde_json::to_string(&message).unwrap()).unwrap();
        assert_eq!(again, message, "a message that is handed on is another one");
    }
    if let Ok(result) = lenient::read::<StorageResult>(data) {
        let _ = (result.bytes(), result.exists(), result.done());
    }
    if let Ok(event) = lenient::read::<AppEvent>(data) {
        let _ =
            (event.event().len(), event.answer().len(), event.conversation_id().is_some(), event.outputs().is_some());
    }
    if let Ok(file) = lenient::read::<UploadedFile>(data) {
        assert_eq!(file.app_input()["tool_file_id"], file.id);
    }
    let _ = (lenient::read::<AppInfo>(data), lenient::read::<NodeResult>(data), lenient::read::<SpeechChunk>(data));
    let _ = (lenient::read::<EmbeddingResult>(data), lenient::read::<RerankResult>(data));
    let _ = (lenient::read::<ResultOf<String>>(data), lenient::read::<ResultOf<bool>>(data));
    let _ = (lenient::read::<SummaryResult>(data), lenient::read::<UploadUrl>(data));
}
