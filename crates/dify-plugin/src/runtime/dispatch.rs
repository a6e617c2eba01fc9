//! Parses requests, calls the provider and writes the result items, for every action. A blocking call collects its
//! stream.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use serde::Serialize;
use serde_json::json;
use tracing::debug;

use super::completed_forms::CompletedForm;
use super::first_token::FirstToken;
use super::fit;
use super::form::{self, Form};
use super::kinds;
use super::llm::LlmResponse;
use super::logs;
use super::registry::{Entry, Registry};
use super::responder::{Disconnected, Responder};
use super::session_log::SessionLog;
use crate::declare::{parameters, price};
use crate::error::{InvokeError, MAX_MESSAGE_BYTES, clip};
use crate::model::{CallContext, Chunks, Kept, Validated};
use crate::plugin::dify::Backwards;
use crate::protocol::{
    AudioChunk, Credentials, EmbeddingResult, Invocation, LlmDelta, LlmRequest, ModelRequest, ModelType,
    NumTokensResponse, Payload, PollingResponse, Request, RerankResult, ResultResponse, Target, ValidatedResponse,
    VoicesResponse,
};
use crate::upstream::Upstream;
use crate::upstream::recording::Case;

/// Maximum size of the audio in an item in bytes, before hexadecimal encoding.
const MAX_AUDIO_BYTES: usize = 512 * 1024;

/// Why a session stopped early.
pub(super) enum Stop {
    /// It failed with an error for the caller.
    Failed(InvokeError),
    /// The daemon disconnected.
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

/// Handles one request until its end.
pub(super) async fn respond(
    registry: Arc<Registry>,
    payload: Payload,
    arrived: Instant,
    mut responder: Responder,
    mut log: SessionLog,
    calls: Arc<dyn Backwards>,
) {
    let upstream = registry.upstream().for_session(responder.session_id(), log.stats.clone());
    let redactor = upstream.redactor().clone();
    redactor.register_urls(payload.json());
    let app_id = payload.origin().app_id.clone();
    log.set_app(app_id.clone());
    let outcome = match Invocation::parse(payload.json()) {
        Ok(Invocation::Model(request)) => {
            let data = payload.json();
            responder.set_provider(request.provider());
            log.set_request(&request);
            logs::raise(request.credentials());
            logs::request(data);
            let entry = registry.get(request.provider());
            let is_secret = |field: &str| entry.is_none_or(|entry| entry.declaration.is_secret(field));
            upstream.begin(&Case { session_id: responder.session_id(), data, is_secret: &is_secret });
            // Free the request text, so that a long prompt is in memory only once.
            drop(payload);
            let received = ReceivedRequest { arrived, app_id };
            // In a box, like each kind: what is spawned stays small, because spawning copies it many times.
            Box::pin(run(&registry, upstream, request, received, &mut responder, &mut log)).await
        }
        Ok(request) => {
            log.set_invocation(&request);
            logs::request(payload.json());
            let origin = payload.origin().clone();
            drop(payload);
            kinds::run(&registry, request, kinds::Source { origin, upstream, calls }, &mut responder, &mut log).await
        }
        Err(error) => Err(InvokeError::bad_request(error.to_string()).into()),
    };
    let outcome = outcome.map_err(|stop| match stop {
        Stop::Failed(error) => Stop::Failed(redactor.redact_error(error)),
        Stop::Disconnected => Stop::Disconnected,
    });
    match &outcome {
        Ok(()) => log.succeeded(),
        Err(Stop::Failed(error)) => log.failed(error),
        Err(Stop::Disconnected) => {}
    }
    drop(log);
    // A disconnected daemon needs no ending.
    let _ = match outcome {
        Ok(()) => responder.end().await,
        Err(Stop::Failed(error)) => responder.fail(&error).await,
        Err(Stop::Disconnected) => Err(Disconnected),
    };
}

/// Arrival time of a request, and its app.
struct ReceivedRequest {
    arrived: Instant,
    app_id: Option<Arc<str>>,
}

/// State that all actions need.
struct Call<'a> {
    entry: &'a Entry,
    context: CallContext,
    responder: &'a mut Responder,
    arrived: Instant,
    started: Instant,
    log: &'a mut SessionLog,
}

async fn run(
    registry: &Registry,
    upstream: Upstream,
    request: Request,
    received: ReceivedRequest,
    responder: &mut Responder,
    log: &mut SessionLog,
) -> Result<(), Stop> {
    let Some(entry) = registry.get(request.provider()) else {
        let known = registry.names().join(", ");
        return Err(InvokeError::bad_request(format!(
            "unknown provider `{}`; this plugin provides: {known}",
            request.provider()
        ))
        .into());
    };
    let context = CallContext {
        session_id: responder.session_id().clone(),
        app_id: received.app_id,
        model: None,
        declaration: entry.declaration.clone(),
        models: entry.models.clone(),
        upstream,
        kept: Kept::default(),
    };
    let validates = matches!(request, Request::ValidateProvider(_) | Request::ValidateModel(_));
    let mut call = Call { entry, context, responder, arrived: received.arrived, started: Instant::now(), log };
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
                    error = first.expired() => Err(error.into()),
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
                form::complete(&self.entry.declaration, Form::Provider, None, &mut request.credentials)?;
                let validated = provider.validate_provider(self.context.clone(), request).await?;
                self.validated(&validated)
            }
            Request::ValidateModel(mut request) => {
                self.complete_form(&mut request.target.credentials, request.model_type, &request.target.model)?;
                let validated = provider.validate_model(self.context.clone(), request).await?;
                self.validated(&validated)
            }
            Request::ModelSchema(mut request) => {
                form::unfold(&self.entry.declaration, Form::Model, &mut request.target.credentials)?;
                let declared = self.entry.model(request.model_type, &request.target.model);
                let schema = match declared {
                    Some(schema) => schema,
                    None => {
                        let mut schema = provider.model_schema(self.context.clone(), request).await?;
                        // An older Dify rejects the whole model if it does not know a feature.
                        schema.features.retain(|feature| feature.since() <= self.entry.minimum);
                        Arc::new(schema)
                    }
                };
                self.item(&json!({ "model_schema": *schema }))
            }
            Request::StartPolling(mut request) => {
                self.prepare_llm(&mut request).await?;
                let model = request.target.model.clone();
                let response = provider.start_polling(self.context.clone(), request).await?;
                self.polling(&model, response)
            }
            Request::CheckPolling(mut request) => {
                self.prepare(&mut request.target, ModelType::Llm).await?;
                let model = request.target.model.clone();
                let response = provider.check_polling(self.context.clone(), request).await?;
                self.polling(&model, response)
            }
        }
    }

    async fn invoke_llm(&mut self, mut request: LlmRequest, first: &FirstToken) -> Result<(), Stop> {
        self.prepare_llm(&mut request).await?;
        let (model, stream) = (request.target.model.clone(), request.stream);
        let deltas = first.watch(self.entry.provider.invoke_llm(self.context.clone(), request));
        let response = LlmResponse::new(self.responder, self.log, model, self.started);
        if stream { stream_llm(response, deltas).await } else { collect_llm(response, deltas).await }
    }

    fn item<T: Serialize>(&mut self, item: &T) -> Result<(), Stop> {
        Ok(self.push(item)?)
    }

    /// Writes and counts a result item.
    fn push<T: Serialize>(&mut self, item: &T) -> Result<(), InvokeError> {
        self.responder.push(item)?;
        self.log.count_chunk();
        logs::item(item);
        Ok(())
    }

    fn latency(&self) -> f64 {
        seconds_since(self.started)
    }

    /// Checks the credential form of a model.
    fn complete_form(
        &self,
        credentials: &mut Credentials,
        model_type: ModelType,
        model: &str,
    ) -> Result<(), InvokeError> {
        let form = if self.entry.model(model_type, model).is_some() { Form::Provider } else { Form::Model };
        form::complete(&self.entry.declaration, form, Some(model_type), credentials)
    }

    /// Checks the form and finds the model's schema, declared or from the provider; or uses what an earlier call with the
    /// same credentials has found.
    async fn prepare(&mut self, target: &mut Target, model_type: ModelType) -> Result<(), InvokeError> {
        let known = self.entry.forms.find(target, model_type);
        let given = known.is_none().then(|| target.clone());
        let declared = match known {
            Some(CompletedForm { credentials, schema, kept }) => {
                (target.credentials, self.context.kept) = (credentials, kept);
                schema
            }
            None => {
                self.complete_form(&mut target.credentials, model_type, &target.model)?;
                self.context.kept = Kept::of(target, model_type);
                self.entry.model(model_type, &target.model)
            }
        };
        let is_declared = declared.is_some();
        let schema = match declared {
            Some(schema) => schema,
            None => {
                let request = ModelRequest { target: target.clone(), model_type };
                Arc::new(self.entry.provider.call_schema(self.context.clone(), request).await?)
            }
        };
        if let Some(given) = given {
            let is_fixed = is_declared || self.entry.provider.schemas_follow_from_credentials();
            let schema = is_fixed.then(|| schema.clone());
            let (credentials, kept) = (target.credentials.clone(), self.context.kept.clone());
            self.entry.forms.keep(&given, model_type, CompletedForm { credentials, schema, kept });
        }
        self.context.model = Some(schema);
        Ok(())
    }

    async fn prepare_llm(&mut self, request: &mut LlmRequest) -> Result<(), InvokeError> {
        self.prepare(&mut request.target, ModelType::Llm).await?;
        let Some(schema) = &self.context.model else { return Ok(()) };
        let unknown = parameters::apply(&schema.parameter_rules, &mut request.model_parameters)?;
        for name in unknown {
            debug!(parameter = name, model = schema.model, "parameter not supported by the model; not sent");
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
        // Two digits per byte, and the same amount again for the rest of the line.
        let max_bytes = (self.responder.max_line_bytes() / 4).clamp(1, MAX_AUDIO_BYTES);
        while let Some(chunk) = audio.next().await {
            let chunk = chunk?;
            for part in chunk.bytes.chunks(max_bytes) {
                let item = Item { result: hex::encode(part), mime_type: chunk.mime_type.as_deref() };
                self.push(&item)?;
                self.responder.flush().await?;
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
        self.log.set_usage(&result.usage);
        let count = result.embeddings.len();
        self.push(&result).map_err(|error| InvokeError {
            message: format!("{count} embeddings do not fit into one message: {}", error.message),
            hint: Some("Lower `max_chunks` of the model, so that Dify sends fewer texts per request.".to_owned()),
            ..error
        })?;
        Ok(())
    }

    /// Dify replaces the fields that `credentials` contains before it stores what it sent; the SDK returns all of them.
    fn validated(&mut self, validated: &Validated) -> Result<(), Stop> {
        if validated.corrected.names().next().is_none() {
            return self.item(&ResultResponse { result: true });
        }
        // Not logged as other items are: a field may be secret.
        let item = ValidatedResponse { result: true, credentials: &validated.corrected };
        self.responder.push(&item).map_err(InvokeError::from)?;
        self.log.count_chunk();
        Ok(())
    }

    fn ranking(&mut self, model: String, mut result: RerankResult) -> Result<(), Stop> {
        if result.model.is_empty() {
            result.model = model;
        }
        self.item(&result)
    }

    /// Writes a polling item, which cannot be split. If it is too long, private data is dropped.
    fn polling(&mut self, model: &str, response: PollingResponse) -> Result<(), Stop> {
        let item = match response {
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
                let mut usage = delta.usage.take().unwrap_or_else(|| price::llm_usage(None, 0, 0).into());
                if usage.latency == 0.0 {
                    usage.latency = self.latency();
                }
                self.log.set_usage(&*usage);
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
                if self.responder.length_of(&whole) <= self.responder.max_line_bytes() {
                    whole
                } else {
                    fit::drop_private_data(&mut delta);
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

/// Writes deltas as they arrive. All lines that are ready are written at once, and while the writer lags behind, text
/// deltas are joined instead of queued.
async fn stream_llm(mut response: LlmResponse<'_>, mut deltas: Chunks<LlmDelta>) -> Result<(), Stop> {
    loop {
        let has_pending = response.has_pending();
        tokio::select! {
            biased;
            delta = deltas.next(), if !response.responder.is_full() => match delta {
                None => break,
                Some(delta) => response.stream(delta?)?,
            },
            room = response.responder.room(), if has_pending => {
                room?;
                response.release()?;
                response.responder.flush().await?;
            }
        }
    }
    Ok(response.finish()?)
}

/// Writes the whole response as one item if possible, as the Python SDK does for blocking calls.
async fn collect_llm(mut response: LlmResponse<'_>, mut deltas: Chunks<LlmDelta>) -> Result<(), Stop> {
    while let Some(delta) = deltas.next().await {
        response.collect(delta?)?;
        if response.responder.is_full() {
            response.responder.flush().await?;
        }
    }
    Ok(response.finish()?)
}

/// Returns the elapsed seconds with six decimal places.
pub(super) fn seconds_since(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1e6).round() / 1e6
}
