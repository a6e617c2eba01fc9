//! Calls Dify for each route: the thin part between the translations that does I/O.

mod apps;
mod stream;

use dify_plugin::bytes::Bytes;
use dify_plugin::http::{HeaderValue, Response};
use dify_plugin::plugin::dify::Llm;
use dify_plugin::prelude::*;
use dify_plugin::protocol::ModelType;
use dify_plugin::protocol::backwards::ModelName;
use futures_util::{StreamExt, TryStreamExt};

use crate::answer::Head;
use crate::answer::text::TextCompletion;
use crate::audio::{self, SpeechRequest};
use crate::chat::{ChatRequest, Mode, ModelCall};
use crate::completions::CompletionRequest;
use crate::embeddings::EmbeddingRequest;
use crate::error::ApiError;
use crate::http_io;
use crate::moderations::{self, ModerationRequest};
use crate::rerank::{self, RerankRequest};
use crate::service::Caller;
use crate::settings::{Model, Target};

/// Calls of one request that run at the same time.
const MAX_PARALLEL_CALLS: usize = 8;

/// `POST /v1/chat/completions`.
pub async fn chat(caller: Caller) -> Result<Response<Body>, ApiError> {
    let request: ChatRequest = caller.body()?;
    let (name, target) = caller.catalog.find(request.model.as_deref(), ModelType::Llm)?;
    let (mode, head) = (request.mode(), head(&caller, "chatcmpl", name));
    let answer = match target {
        Target::Model(model) => stream::of_model(model_call(&caller, model, request.into_model_call()?)),
        Target::App(app) => apps::answer(&caller, app, request).await?,
    };
    match mode {
        Mode::Stream { include_usage } => stream::chat_chunks(answer, head, include_usage).await,
        Mode::Whole => Ok(http_io::json(&stream::chat_whole(answer, head).await?)),
    }
}

/// `POST /v1/completions`.
pub async fn completions(caller: Caller) -> Result<Response<Body>, ApiError> {
    let request: CompletionRequest = caller.body()?;
    let (name, target) = caller.catalog.find(request.model.as_deref(), ModelType::Llm)?;
    let Target::Model(model) = target else {
        let message = format!("`{name}` is an app, which answers at /v1/chat/completions.");
        return Err(ApiError::invalid(message).with_param("model"));
    };
    let (mode, head) = (request.mode(), head(&caller, "cmpl", name));
    let (call, echo) = request.into_call()?;
    let answer = stream::of_model(model_call(&caller, model, call));
    match mode {
        Mode::Stream { include_usage } => {
            stream::text_chunks(answer, TextCompletion::new(head, include_usage, echo)).await
        }
        Mode::Whole => {
            let body = stream::text_whole(answer, TextCompletion::new(head, false, echo)).await?;
            Ok(http_io::json(&body))
        }
    }
}

/// `POST /v1/embeddings`.
pub async fn embeddings(caller: Caller) -> Result<Response<Body>, ApiError> {
    let request: EmbeddingRequest = caller.body()?;
    let (name, model) = model(&caller, request.model.as_deref(), ModelType::TextEmbedding)?;
    let call = request.into_call()?;
    let format = call.format();
    let embedding = caller.call.dify.embedding(ModelName::from(&model.config)).input_type(call.input_type);
    let result = embedding.texts(call.texts).await?;
    Ok(http_io::json(&format.write(name, &result)?))
}

/// `POST /v1/rerank`.
pub async fn rerank(caller: Caller) -> Result<Response<Body>, ApiError> {
    let request: RerankRequest = caller.body()?;
    let (name, model) = model(&caller, request.model.as_deref(), ModelType::Rerank)?;
    let call = request.into_call()?;
    let mut rerank = caller.call.dify.rerank(ModelName::from(&model.config));
    if let Some(count) = call.top_n {
        rerank = rerank.top_n(count);
    }
    let result = rerank.texts(call.query, call.documents).await?;
    Ok(http_io::json(&rerank::write(&caller.id("rerank"), name, call.returns_documents, result)))
}

/// `POST /v1/audio/speech`.
pub async fn speech(caller: Caller) -> Result<Response<Body>, ApiError> {
    let request: SpeechRequest = caller.body()?;
    let (_, model) = model(&caller, request.model.as_deref(), ModelType::Tts)?;
    let (text, voice) = request.into_call(model.voice.as_deref())?;
    let mut chunks = caller.call.dify.tts(ModelName::from(&model.config), voice).stream(text).await?;
    // The first chunk decides the status and the type.
    let mut first = Bytes::new();
    let mut media_type = None;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if !chunk.bytes.is_empty() {
            (first, media_type) = (chunk.bytes, chunk.mime_type);
            break;
        }
    }
    if first.is_empty() {
        return Err(ApiError::upstream("The model returned no audio."));
    }
    let content_type = HeaderValue::from_str(&audio::media_type(media_type.as_deref(), &first));
    let rest = chunks.map_ok(|chunk| chunk.bytes).map_err(PluginError::from);
    let body = futures_util::stream::once(std::future::ready(Ok(first))).chain(rest);
    let fallback = HeaderValue::from_static("application/octet-stream");
    Ok(http_io::with_type(Body::stream(body), content_type.unwrap_or(fallback)))
}

/// `POST /v1/audio/transcriptions`.
pub async fn transcriptions(caller: Caller) -> Result<Response<Body>, ApiError> {
    let body = caller.request.body().clone();
    let form = http_io::transcription_form(caller.header("content-type"), body).await?;
    let (_, model) = model(&caller, form.model.as_deref(), ModelType::Speech2text)?;
    let (file, format) = form.into_call()?;
    let text = caller.call.dify.speech2text(ModelName::from(&model.config), file).await?;
    Ok(match format.write(text) {
        Ok(body) => http_io::json(&body),
        Err(text) => http_io::with_type(text, HeaderValue::from_static("text/plain; charset=utf-8")),
    })
}

/// `POST /v1/moderations`.
pub async fn moderations(caller: Caller) -> Result<Response<Body>, ApiError> {
    let request: ModerationRequest = caller.body()?;
    let (name, model) = model(&caller, request.model.as_deref(), ModelType::Moderation)?;
    let (dify, texts) = (&caller.call.dify, request.into_texts()?);
    let calls = texts.into_iter().map(|text| dify.moderation(ModelName::from(&model.config), text));
    let flagged: Vec<bool> = futures_util::stream::iter(calls).buffered(MAX_PARALLEL_CALLS).try_collect().await?;
    Ok(http_io::json(&moderations::write(&caller.id("modr"), name, &flagged)))
}

/// A model of a type, not an app.
fn model<'a>(caller: &'a Caller, name: Option<&str>, wanted: ModelType) -> Result<(&'a str, &'a Model), ApiError> {
    match caller.catalog.find(name, wanted)? {
        (name, Target::Model(model)) => Ok((name, model)),
        (name, Target::App(_)) => Err(ApiError::invalid(format!("`{name}` is an app.")).with_param("model")),
    }
}

/// The call of a language model: the operator's parameters, replaced by those of the request.
fn model_call(caller: &Caller, model: &Model, call: ModelCall) -> (Llm, bool) {
    let ModelCall { messages, tools, tool_choice, stop, parameters, schema } = call;
    let mut llm = caller.call.dify.llm(&model.config).messages(messages).tools(tools);
    for (name, value) in parameters.0 {
        llm = llm.parameter(name, value);
    }
    for text in stop {
        llm = llm.stop(text);
    }
    if let Some(choice) = tool_choice {
        llm = llm.tool_choice(choice);
    }
    let is_structured = schema.is_some();
    if let Some(schema) = schema {
        llm = llm.structured(schema);
    }
    (llm, is_structured)
}

fn head(caller: &Caller, prefix: &str, model: &str) -> Head {
    let created = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Head { id: caller.id(prefix), created: created.map_or(0, |time| time.as_secs()), model: model.to_owned() }
}
