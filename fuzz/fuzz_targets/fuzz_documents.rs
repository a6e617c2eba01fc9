//! Complete responses, not streams: agent tasks, audio, transcripts, vectors, rankings, verdicts, errors of every upstream.
#![no_main]

use dify_plugin::declare::price;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::envelope::ErrorPayload;
use dify_plugin::upstream::response::ErrorResponse;
use dify_plugin::upstream::status;
use dify_plugin_runtime::dialect::gemini::agents::interactions::Interaction;
use dify_plugin_runtime::dialect::gemini::{embedding, errors as gemini_errors, speech};
use dify_plugin_runtime::dialect::openai::embeddings::EmbeddingResponse;
use dify_plugin_runtime::dialect::openai::errors as openai_errors;
use dify_plugin_runtime::dialect::openai::moderation::{Flag, ModerationForm};
use dify_plugin_runtime::dialect::openai::rerank::{RerankForm, RerankResponse, ScoreForm};
use dify_plugin_runtime::dialect::wav;
use dify_plugin_runtime_fuzz::pricing;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn check_message(error: &InvokeError) {
    assert!(!error.message.is_empty(), "an error without words");
    serde_json::to_vec(&ErrorPayload::of("provider", error)).expect("an error is JSON");
}

fn vectors(count: usize, found: Result<(Vec<Vec<f32>>, Option<u64>), InvokeError>) {
    match found {
        Err(error) => check_message(&error),
        Ok((mut vectors, tokens)) => {
            assert_eq!(vectors.len(), count);
            vectors.iter_mut().for_each(|vector| embedding::normalize(vector));
            price::embedding_usage(Some(&pricing()), tokens.unwrap_or_default());
        }
    }
}

fn refusal(code: u8, body: &[u8]) {
    let status = http::StatusCode::from_u16(400 + u16::from(code)).expect("a status");
    let url = url::Url::parse("https://example.com/v1/chat/completions").expect("a URL");
    let answer = ErrorResponse { status, headers: http::HeaderMap::new(), body: body.to_vec().into(), url };
    check_message(&status::error_of(&answer));
    check_message(&openai_errors::error_of(&answer));
    assert!(status::excerpt(body).len() < 4096, "an excerpt is short");
    if let Ok(value) = serde_json::from_slice(body) {
        check_message(&gemini_errors::from_value(&value, Some(status.as_u16())));
        check_message(&openai_errors::error_in(&value));
    }
}

// First byte: what the document is; second: the number of requested items; the rest: the document.
fuzz_target!(|data: &[u8]| {
    let [kind, number, body @ ..] = data else { return };
    let count = usize::from(number % 4);
    match kind % 8 {
        0 => {
            let Ok(task) = serde_json::from_slice::<Interaction>(body) else { return };
            task.state();
            price::llm_usage(Some(&pricing()), task.usage.prompt(), task.usage.completion());
        }
        1 => {
            let Ok(answer) = serde_json::from_slice::<Value>(body) else { return };
            let _ = speech::parse_speech(&answer).map_err(|error| check_message(&error));
            let _ = speech::transcript(&answer).map_err(|error| check_message(&error));
        }
        2 => {
            let Ok(answer) = serde_json::from_slice::<embedding::EmbeddingResponse>(body) else { return };
            vectors(count, answer.into_vectors(count));
        }
        3 => {
            let Ok(answer) = EmbeddingResponse::read(&String::from_utf8_lossy(body)) else { return };
            vectors(count, answer.into_vectors(count));
        }
        4 => {
            let mut form = RerankForm::default();
            if number & 8 != 0 {
                form.scores = ScoreForm::Sigmoid;
            }
            if number & 16 != 0 {
                (form.results, form.score) = (Some("a.b".to_owned()), Some("logit".to_owned()));
                form.first_index = 1;
            }
            let Ok(answer) = RerankResponse::read(&String::from_utf8_lossy(body), &form) else { return };
            let texts = ["a", "b", "c", "d"].map(str::to_owned);
            match answer.into_documents(&texts, &form, Some(0.1), Some(count as u64)) {
                Ok(documents) => assert!(documents.len() <= count && documents.is_sorted_by(|a, b| a.score >= b.score)),
                Err(error) => check_message(&error),
            }
        }
        5 => {
            let _ = wav::samples(body);
        }
        6 => refusal(*number, body),
        _ => {
            let flag = if number & 8 == 0 { Flag::Flagged } else { Flag::Categories };
            let form = ModerationForm { flag, ..ModerationForm::default() };
            let _ = form.read(&String::from_utf8_lossy(body), count).map_err(|error| check_message(&error));
        }
    }
});
