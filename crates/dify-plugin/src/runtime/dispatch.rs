//! Request → provider → result items, for every action. Blocking calls are the stream, collected.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use serde::Serialize;
use serde_json::json;
use tracing::debug;

use super::first_token::FirstToken;
use super::fit;
use super::form::{self, Form};
use super::kinds;
use super::llm::LlmResponse;
use super::logs;
use super::registry::{Entry, Registry};
use super::responder::{Disconnected, Responder};
use super::session_log::SessionLog;
use crate::declare::parameters;
use crate::error::{InvokeError, MAX_MESSAGE_BYTES, clip};
use crate::model::{CallContext, Chunks};
use crate::plugin::dify::Backwards;
use crate::protocol::{
    AudioChunk, Credentials, EmbeddingResult, Invocation, LlmDelta, LlmRequest, ModelRequest, ModelType,
    NumTokensResponse, Payload, PollingResponse, Request, RerankResult, ResultResponse, Target, VoicesResponse,
};
use crate::upstream::Upstream;
use crate::upstream::recording::Case;

/// Raw audio bytes of one item; hexadecimal doubles them.
const MAX_AUDIO_BYTES: usize = 512 * 1024;

/// Why a session stopped.
pub(super) enum Stop {
    /// With an error for the caller.
    Failed(InvokeError),
    /// The host went away.
    Disconnected,
}

impl From<InvokeError> for Stop {
    fn from(error: InvokeError) -> Self {
        Self::Failed(error)
    }
}

impl From<Disconnected> for Stop {
    fn from(_: Disconnected) -> Self {
        Self::Disconnected
    }
}

/// Answers one request, to its end.
pub(super) async fn answer(
    registry: Arc<Registry>,
    payload: Payload,
    arrived: Instant,
    mut reply: Responder,
    mut log: SessionLog,
    calls: Arc<dyn Backwards>,
) {
    let upstream = registry.upstream().for_session(reply.session_id(), log.stats.clone());
    let redactor = upstream.redactor().clone();
    redactor.keep_addresses(payload.json());
    let app_id = payload.origin().app_id.clone();
    log.of_app(app_id.clone());
    let outcome = match Invocation::parse(payload.json()) {
        Ok(Invocation::Model(request)) => {
            let data = payload.json();
            reply.set_provider(request.provider());
            log.asked(&request);
            logs::raise(request.credentials()).await;
            logs::request(data);
            let entry = registry.get(request.provider());
            let is_secret = |field: &str| entry.is_none_or(|entry| entry.declaration.is_secret(field));
            upstream.begin(&Case { session_id: reply.session_id(), data, is_secret: &is_secret });
            // A long prompt is kept once: what was read of it.
            drop(payload);
            let came = ReceivedRequest { arrived, app_id };
            run(&registry, upstream, request, came, &mut reply, &mut log).await
        }
        Ok(request) => {
            log.invoked(&request);
            logs::request(payload.json());
            let origin = payload.origin().clone();
            drop(payload);
            kinds::run(&registry, request, kinds::Source { origin, upstream, calls }, &mut reply, &mut log).await
        }
        Err(error) => Err(InvokeError::bad_request(error.to_string()).into()),
    };
    let outcome = outcome.map_err(|stop| match stop {
        Stop::Failed(error) => Stop::Failed(redactor.hide(error)),
        Stop::Disconnected => Stop::Disconnected,
    });
    match &outcome {
        Ok(()) => log.succeeded(),
        Err(Stop::Failed(error)) => log.failed(error),
        Err(Stop::Disconnected) => {}
    }
    drop(log);
    // A host that is gone needs no ending.
    let _ = match outcome {
        Ok(()) => reply.end().await,
        Err(Stop::Failed(error)) => reply.fail(&error).await,
        Err(Stop::Disconnected) => Err(Disconnected),
    };
}

/// When a request came, and from which app.
struct ReceivedRequest {
    arrived: Instant,
    app_id: Option<Arc<str>>,
}

/// What every action is run with.
struct Call<'a> {
    entry: &'a Entry,
    context: CallContext,
    reply: &'a mut Responder,
    arrived: Instant,
    started: Instant,
    log: &'a mut SessionLog,
}

async fn run(
    registry: &Registry,
    upstream: Upstream,
    request: Request,
    came: ReceivedRequest,
    reply: &mut Responder,
    log: &mut SessionLog,
) -> Result<(), Stop> {
    let Some(entry) = registry.get(request.provider()) else {
        let known = registry.names().join(", ");
        return Err(InvokeError::bad_request(format!(
            "unknown provider `{}`; this plugin has: {known}",
            request.provider()
        ))
        .into());
    };
    let context = CallContext {
        session_id: reply.session_id().clone(),
        app_id: came.app_id,
        model: None,
        declaration: entry.declaration.clone(),
        models: entry.models.clone(),
        upstream,
    };
    let validates = matches!(request, Request::ValidateProvider(_) | Request::ValidateModel(_));
    let mut call = Call { entry, context, reply, arrived: came.arrived, started: Instant::now(), log };
    match call.run(request).await {
        Err(Stop::Failed(error)) => {
            let error = entry.declaration.label_fields(error);
            Err(if validates { error.into_credentials_failure() } else { error }.into())
        }
        outcome => outcome,
    }
}

impl Call<'_> {
    async fn run(&mut self, request: Request) -> Result<(), Stop> {
        let provider = self.entry.provider.clone();
        match request {
            Request::InvokeLlm(request) => {
                let first = FirstToken::of(&request, self.arrived);
                tokio::select! {
                    biased;
                    error = first.missed() => Err(error.into()),
                    outcome = self.invoke_llm(request, &first) => outcome,
                }
            }
            Request::LlmNumTokens(mut request) => {
                self.prepare(&mut request.target, ModelType::Llm).await?;
                let num_tokens = provider.llm_num_tokens(self.context.clone(), request).await?;
                self.item(&NumTokensResponse { num_tokens })
            }
            Request::TextEmbedding(mut request) => {
                self.prepare(&mut request.target, ModelType::TextEmbedding).await?;
                let model = request.target.model.clone();
                let result = provider.text_embedding(self.context.clone(), request).await?;
                self.embeddings(model, result)
            }
            Request::MultimodalEmbedding(mut request) => {
                self.prepare(&mut request.target, ModelType::TextEmbedding).await?;
                let model = request.target.model.clone();
                let result = provider.multimodal_embedding(self.context.clone(), request).await?;
                self.embeddings(model, result)
            }
            Request::TextEmbeddingNumTokens(mut request) => {
                self.prepare(&mut request.target, ModelType::TextEmbedding).await?;
                let num_tokens = provider.text_embedding_num_tokens(self.context.clone(), request).await?;
                self.item(&NumTokensResponse { num_tokens })
            }
            Request::Rerank(mut request) => {
                self.prepare(&mut request.target, ModelType::Rerank).await?;
                let model = request.target.model.clone();
                let result = provider.rerank(self.context.clone(), request).await?;
                self.ranking(model, result)
            }
            Request::MultimodalRerank(mut request) => {
                self.prepare(&mut request.target, ModelType::Rerank).await?;
                let model = request.target.model.clone();
                let result = provider.multimodal_rerank(self.context.clone(), request).await?;
                self.ranking(model, result)
            }
            Request::Tts(mut request) => {
                self.prepare(&mut request.target, ModelType::Tts).await?;
                let audio = provider.tts(self.context.clone(), request);
                self.stream_audio(audio).await
            }
            Request::TtsVoices(mut request) => {
                self.prepare(&mut request.target, ModelType::Tts).await?;
                let voices = provider.tts_voices(self.context.clone(), request).await?;
                self.item(&VoicesResponse { voices })
            }
            Request::Speech2Text(mut request) => {
                self.prepare(&mut request.target, ModelType::Speech2text).await?;
                let result = provider.speech2text(self.context.clone(), request).await?;
                self.item(&ResultResponse { result })
            }
            Request::Moderation(mut request) => {
                self.prepare(&mut request.target, ModelType::Moderation).await?;
                let result = provider.moderation(self.context.clone(), request).await?;
                self.item(&ResultResponse { result })
            }
            Request::ValidateProvider(mut request) => {
                form::complete(&self.entry.declaration, Form::Provider, &mut request.credentials)?;
                provider.validate_provider(self.context.clone(), request).await?;
                self.item(&ResultResponse { result: true })
            }
            Request::ValidateModel(mut request) => {
                self.complete_form(&mut request.target.credentials, request.model_type, &request.target.model)?;
                provider.validate_model(self.context.clone(), request).await?;
                self.item(&ResultResponse { result: true })
            }
            Request::ModelSchema(mut request) => {
                form::unfold(&self.entry.declaration, Form::Model, &mut request.target.credentials)?;
                let declared = self.entry.model(request.model_type, &request.target.model);
                let schema = match declared {
                    Some(schema) => schema,
                    None => {
                        let mut schema = provider.model_schema(self.context.clone(), request).await?;
                        // A Dify that does not know one of them could not use the model at all.
                        schema.features.retain(|feature| feature.since() <= self.entry.minimum);
                        Arc::new(schema)
                    }
                };
                self.item(&json!({ "model_schema": *schema }))
            }
            Request::StartPolling(mut request) => {
                self.prepare_llm(&mut request).await?;
                let model = request.target.model.clone();
                let answer = provider.start_polling(self.context.clone(), request).await?;
                self.polling(&model, answer)
            }
            Request::CheckPolling(mut request) => {
                self.prepare(&mut request.target, ModelType::Llm).await?;
                let model = request.target.model.clone();
                let answer = provider.check_polling(self.context.clone(), request).await?;
                self.polling(&model, answer)
            }
        }
    }

    async fn invoke_llm(&mut self, mut request: LlmRequest, first: &FirstToken) -> Result<(), Stop> {
        self.prepare_llm(&mut request).await?;
        let (model, stream) = (request.target.model.clone(), request.stream);
        let deltas = first.watch(self.entry.provider.invoke_llm(self.context.clone(), request));
        let answer = LlmResponse::new(self.reply, self.log, model, self.started);
        if stream { stream_llm(answer, deltas).await } else { collect_llm(answer, deltas).await }
    }

    fn item<T: Serialize>(&mut self, item: &T) -> Result<(), Stop> {
        Ok(self.push(item)?)
    }

    /// Collects one result item, and counts it.
    fn push<T: Serialize>(&mut self, item: &T) -> Result<(), InvokeError> {
        self.reply.push(item)?;
        self.log.chunk();
        logs::item(item);
        Ok(())
    }

    fn latency(&self) -> f64 {
        seconds_since(self.started)
    }

    /// Checks the form of the model's credentials.
    fn complete_form(
        &self,
        credentials: &mut Credentials,
        model_type: ModelType,
        model: &str,
    ) -> Result<(), InvokeError> {
        let form = if self.entry.model(model_type, model).is_some() { Form::Provider } else { Form::Model };
        form::complete(&self.entry.declaration, form, credentials)
    }

    /// Checks the form and finds the model: declared, or made by the provider.
    async fn prepare(&mut self, target: &mut Target, model_type: ModelType) -> Result<(), InvokeError> {
        self.complete_form(&mut target.credentials, model_type, &target.model)?;
        let schema = match self.entry.model(model_type, &target.model) {
            Some(schema) => schema,
            None => {
                let request = ModelRequest { target: target.clone(), model_type };
                Arc::new(self.entry.provider.call_schema(self.context.clone(), request).await?)
            }
        };
        self.context.model = Some(schema);
        Ok(())
    }

    async fn prepare_llm(&mut self, request: &mut LlmRequest) -> Result<(), InvokeError> {
        self.prepare(&mut request.target, ModelType::Llm).await?;
        let Some(schema) = &self.context.model else { return Ok(()) };
        let unknown = parameters::apply(&schema.parameter_rules, &mut request.model_parameters)?;
        for name in unknown {
            debug!(parameter = name, model = schema.model, "the model has no such parameter; it is not sent");
        }
        Ok(())
    }

    async fn stream_audio(&mut self, mut audio: Chunks<AudioChunk>) -> Result<(), Stop> {
        #[derive(Serialize)]
        struct Item<'a> {
            result: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            mime_type: Option<&'a str>,
        }
        // Two digits a byte, and as much again for what stands around them.
        let longest = (self.reply.max_line_bytes() / 4).clamp(1, MAX_AUDIO_BYTES);
        while let Some(chunk) = audio.next().await {
            let chunk = chunk?;
            for piece in chunk.bytes.chunks(longest) {
                let item = Item { result: hex::encode(piece), mime_type: chunk.mime_type.as_deref() };
                self.push(&item)?;
                self.reply.flush().await?;
            }
        }
        Ok(())
    }

    fn embeddings(&mut self, model: String, mut result: EmbeddingResult) -> Result<(), Stop> {
        if result.model.is_empty() {
            result.model = model;
        }
        if result.usage.latency == 0.0 {
            result.usage.latency = self.latency();
        }
        self.log.used(&result.usage);
        let count = result.embeddings.len();
        self.push(&result).map_err(|error| InvokeError {
            message: format!("{count} vectors do not fit: {}", error.message),
            hint: Some("Lower `max_chunks` of the model, so that Dify sends fewer texts at once.".to_owned()),
            ..error
        })?;
        Ok(())
    }

    fn ranking(&mut self, model: String, mut result: RerankResult) -> Result<(), Stop> {
        if result.model.is_empty() {
            result.model = model;
        }
        self.item(&result)
    }

    /// One item, which cannot be divided: private data gives way where it is what makes it too long.
    fn polling(&mut self, model: &str, answer: PollingResponse) -> Result<(), Stop> {
        let item = match answer {
            PollingResponse::Running {
                plugin_state,
                next_check_after_seconds,
                expires_after_seconds,
                max_attempts,
            } => {
                json!({
                    "status": "running", "plugin_state": plugin_state, "result": null, "error": null,
                    "next_check_after_seconds": next_check_after_seconds,
                    "expires_after_seconds": expires_after_seconds,
                    "max_attempts": max_attempts,
                })
            }
            PollingResponse::Succeeded(mut delta) => {
                let mut usage = delta.usage.take().unwrap_or_else(|| crate::declare::price::llm_usage(None, 0, 0));
                if usage.latency == 0.0 {
                    usage.latency = self.latency();
                }
                self.log.used(&usage);
                let item = |delta: &LlmDelta| {
                    json!({
                        "status": "succeeded", "plugin_state": null, "error": null,
                        "result": {
                            "model": model, "prompt_messages": [], "system_fingerprint": delta.system_fingerprint,
                            "message": crate::protocol::AssistantMessage::of(delta), "usage": usage,
                        },
                        "next_check_after_seconds": null, "expires_after_seconds": null, "max_attempts": null,
                    })
                };
                let whole = item(&delta);
                if self.reply.length_of(&whole) <= self.reply.max_line_bytes() {
                    whole
                } else {
                    fit::leave_private_out(&mut delta);
                    item(&delta)
                }
            }
            PollingResponse::Failed(mut error) => {
                self.context.upstream.redactor().redact(&mut error);
                let error = clip(&error, MAX_MESSAGE_BYTES);
                json!({
                    "status": "failed", "plugin_state": null, "result": null, "error": error,
                    "next_check_after_seconds": null, "expires_after_seconds": null, "max_attempts": null,
                })
            }
        };
        self.item(&item)
    }
}

/// Hands deltas on as they come: whatever is ready goes out in one write, and while the writer is behind, text deltas are
/// joined in place of queued.
async fn stream_llm(mut answer: LlmResponse<'_>, mut deltas: Chunks<LlmDelta>) -> Result<(), Stop> {
    loop {
        let waits = answer.waits();
        tokio::select! {
            biased;
            delta = deltas.next(), if !answer.reply.is_full() => match delta {
                None => break,
                Some(delta) => answer.stream(delta?)?,
            },
            room = answer.reply.room(), if waits => {
                room?;
                answer.release()?;
                answer.reply.flush().await?;
            }
        }
    }
    Ok(answer.finish()?)
}

/// The whole answer in one item where it can be one, as the reference sends a result that is not streamed.
async fn collect_llm(mut answer: LlmResponse<'_>, mut deltas: Chunks<LlmDelta>) -> Result<(), Stop> {
    while let Some(delta) = deltas.next().await {
        answer.collect(delta?)?;
        if answer.reply.is_full() {
            answer.reply.flush().await?;
        }
    }
    Ok(answer.finish()?)
}

/// Seconds with six digits.
pub(super) fn seconds_since(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1e6).round() / 1e6
}
