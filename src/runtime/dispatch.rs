//! Request → provider → result items, for every action. Blocking calls are the stream, collected.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use serde::Serialize;
use serde_json::json;
use tracing::debug;

use super::form::{self, Form};
use super::logs;
use super::registry::{Entry, Registry};
use super::reply::{Gone, Reply};
use super::session_log::SessionLog;
use crate::declare::parameters;
use crate::error::InvokeError;
use crate::protocol::{
    AudioChunk, Content, ContentPart, Credentials, EmbeddingResult, LlmChunk, LlmDelta, LlmRequest, ModelRequest,
    ModelType, NumTokensAnswer, PollingAnswer, Request, RerankResult, ResultAnswer, Target, VoicesAnswer,
};
use crate::providers::{CallContext, Chunks};
use crate::upstream::Upstream;
use crate::upstream::recording::Case;

/// Longest text of one chunk; longer deltas are cut at a character boundary.
const LONGEST_TEXT: usize = 1024 * 1024;

/// Text that is joined while the host does not read. After that the upstream waits too.
const LONGEST_JOINED: usize = 64 * 1024;

/// Raw audio bytes of one item; hexadecimal doubles them.
const LONGEST_AUDIO: usize = 512 * 1024;

/// Why a session stopped.
enum Stop {
    /// With an error for the caller.
    Failed(InvokeError),
    /// The host went away.
    Gone,
}

impl From<InvokeError> for Stop {
    fn from(error: InvokeError) -> Self {
        Self::Failed(error)
    }
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// Answers one request, to its end.
pub(super) async fn answer(registry: Arc<Registry>, data: &str, mut reply: Reply, mut log: SessionLog) {
    let upstream = registry.upstream().for_session(reply.session_id(), log.tally.clone());
    let proofs = upstream.proofs().clone();
    let outcome = match Request::parse(data) {
        Ok(request) => {
            reply.set_provider(request.provider());
            log.asked(&request);
            logs::raise(request.credentials()).await;
            logs::request(data);
            let entry = registry.get(request.provider());
            let is_secret = |field: &str| entry.is_none_or(|entry| entry.declaration.is_secret(field));
            upstream.begin(&Case { session_id: reply.session_id(), data, is_secret: &is_secret });
            run(&registry, upstream, request, &mut reply, &mut log).await
        }
        Err(error) => Err(InvokeError::bad_request(error.to_string()).into()),
    };
    let outcome = outcome.map_err(|stop| match stop {
        Stop::Failed(error) => {
            proofs.keep_addresses(data);
            Stop::Failed(proofs.hide(error))
        }
        Stop::Gone => Stop::Gone,
    });
    match &outcome {
        Ok(()) => log.succeeded(),
        Err(Stop::Failed(error)) => log.failed(error),
        Err(Stop::Gone) => {}
    }
    drop(log);
    // A host that is gone needs no ending.
    let _ = match outcome {
        Ok(()) => reply.end().await,
        Err(Stop::Failed(error)) => reply.fail(&error).await,
        Err(Stop::Gone) => Err(Gone),
    };
}

/// What every action is run with.
struct Call<'a> {
    entry: &'a Entry,
    context: CallContext,
    reply: &'a mut Reply,
    started: Instant,
    log: &'a mut SessionLog,
}

async fn run(
    registry: &Registry,
    upstream: Upstream,
    request: Request,
    reply: &mut Reply,
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
        model: None,
        declaration: entry.declaration.clone(),
        upstream,
    };
    let validates = matches!(request, Request::ValidateProvider(_) | Request::ValidateModel(_));
    let mut call = Call { entry, context, reply, started: Instant::now(), log };
    match call.run(request).await {
        Err(Stop::Failed(error)) if validates => Err(error.into_credentials_failure().into()),
        outcome => outcome,
    }
}

impl Call<'_> {
    async fn run(&mut self, request: Request) -> Result<(), Stop> {
        let provider = self.entry.provider.clone();
        match request {
            Request::InvokeLlm(mut request) => {
                self.prepare_llm(&mut request).await?;
                let (model, stream) = (request.target.model.clone(), request.stream);
                let deltas = provider.invoke_llm(self.context.clone(), request);
                if stream { self.stream_llm(&model, deltas).await } else { self.collect_llm(&model, deltas).await }
            }
            Request::LlmNumTokens(mut request) => {
                self.prepare(&mut request.target, ModelType::Llm).await?;
                let num_tokens = provider.llm_num_tokens(self.context.clone(), request).await?;
                self.item(&NumTokensAnswer { num_tokens })
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
                self.item(&NumTokensAnswer { num_tokens })
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
                self.item(&VoicesAnswer { voices })
            }
            Request::Speech2Text(mut request) => {
                self.prepare(&mut request.target, ModelType::Speech2text).await?;
                let result = provider.speech2text(self.context.clone(), request).await?;
                self.item(&ResultAnswer { result })
            }
            Request::Moderation(mut request) => {
                self.prepare(&mut request.target, ModelType::Moderation).await?;
                let result = provider.moderation(self.context.clone(), request).await?;
                self.item(&ResultAnswer { result })
            }
            Request::ValidateProvider(mut request) => {
                form::complete(&self.entry.declaration, Form::Provider, &mut request.credentials)?;
                provider.validate_provider(self.context.clone(), request).await?;
                self.item(&ResultAnswer { result: true })
            }
            Request::ValidateModel(mut request) => {
                self.complete_form(&mut request.target.credentials, request.model_type, &request.target.model)?;
                provider.validate_model(self.context.clone(), request).await?;
                self.item(&ResultAnswer { result: true })
            }
            Request::ModelSchema(request) => {
                let declared = self.entry.model(request.model_type, &request.target.model);
                let schema = match declared {
                    Some(schema) => schema,
                    None => Arc::new(provider.model_schema(self.context.clone(), request).await?),
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
        (self.started.elapsed().as_secs_f64() * 1e6).round() / 1e6
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
                Arc::new(self.entry.provider.model_schema(self.context.clone(), request).await?)
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
            self.entry.provider.check_unknown_parameter(schema, &name)?;
            debug!(parameter = name, model = schema.model, "the model has no such parameter; it is not sent");
        }
        Ok(())
    }

    /// Hands deltas on as they come: whatever is ready goes out in one write, and while the writer is behind,
    /// text deltas are joined in place of queued.
    async fn stream_llm(&mut self, model: &str, mut deltas: Chunks<LlmDelta>) -> Result<(), Stop> {
        let mut index = 0;
        let mut held: Option<LlmDelta> = None;
        loop {
            let waiting = held.is_some() || self.reply.has_lines();
            tokio::select! {
                biased;
                delta = deltas.next(), if !self.reply.is_full() => match delta {
                    None => break,
                    Some(delta) => {
                        let delta = match (held.take(), delta?) {
                            (None, delta) => delta,
                            (Some(mut first), next) if joins(&first, &next) => {
                                append_text(&mut first, next);
                                first
                            }
                            (Some(first), next) => {
                                self.chunk(model, &mut index, first)?;
                                next
                            }
                        };
                        if self.reply.is_lagging() && is_plain_text(&delta) {
                            held = Some(delta);
                        } else {
                            self.chunk(model, &mut index, delta)?;
                        }
                    }
                },
                room = self.reply.room(), if waiting => {
                    room?;
                    if let Some(delta) = held.take() {
                        self.chunk(model, &mut index, delta)?;
                    }
                    self.reply.flush().await?;
                }
            }
        }
        if let Some(delta) = held {
            self.chunk(model, &mut index, delta)?;
        }
        Ok(())
    }

    /// The whole answer in one chunk, as the reference sends a result that is not streamed.
    async fn collect_llm(&mut self, model: &str, mut deltas: Chunks<LlmDelta>) -> Result<(), Stop> {
        let mut whole = LlmDelta::default();
        while let Some(delta) = deltas.next().await {
            merge(&mut whole, delta?);
        }
        Ok(self.chunk(model, &mut 0, whole)?)
    }

    fn chunk(&mut self, model: &str, index: &mut u64, mut delta: LlmDelta) -> Result<(), InvokeError> {
        if let Some(usage) = &mut delta.usage
            && usage.latency == 0.0
        {
            usage.latency = self.latency();
        }
        if let Some(usage) = &delta.usage {
            self.log.used(usage);
        }
        while let Content::Text(text) = &mut delta.content
            && text.len() > LONGEST_TEXT
        {
            let rest = text.split_off(text.floor_char_boundary(LONGEST_TEXT));
            let first = LlmDelta::text(std::mem::replace(text, rest));
            self.push(&LlmChunk::of(model, *index, &first))?;
            *index += 1;
        }
        self.push(&LlmChunk::of(model, *index, &delta))?;
        *index += 1;
        Ok(())
    }

    async fn stream_audio(&mut self, mut audio: Chunks<AudioChunk>) -> Result<(), Stop> {
        #[derive(Serialize)]
        struct Item<'a> {
            result: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            mime_type: Option<&'a str>,
        }
        while let Some(chunk) = audio.next().await {
            let chunk = chunk?;
            for piece in chunk.bytes.chunks(LONGEST_AUDIO) {
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
        self.push(&result).map_err(|error| {
            InvokeError::bad_request(format!("{count} vectors do not fit: {}", error.message))
                .with_hint("Lower `max_chunks` of the model, so that Dify sends fewer texts at once.")
        })?;
        Ok(())
    }

    fn ranking(&mut self, model: String, mut result: RerankResult) -> Result<(), Stop> {
        if result.model.is_empty() {
            result.model = model;
        }
        self.item(&result)
    }

    fn polling(&mut self, model: &str, answer: PollingAnswer) -> Result<(), Stop> {
        let item = match answer {
            PollingAnswer::Running { plugin_state, next_check_after_seconds, expires_after_seconds, max_attempts } => {
                json!({
                    "status": "running", "plugin_state": plugin_state, "result": null, "error": null,
                    "next_check_after_seconds": next_check_after_seconds,
                    "expires_after_seconds": expires_after_seconds,
                    "max_attempts": max_attempts,
                })
            }
            PollingAnswer::Succeeded(mut delta) => {
                let mut usage = delta.usage.take().unwrap_or_else(|| crate::declare::price::llm_usage(None, 0, 0));
                if usage.latency == 0.0 {
                    usage.latency = self.latency();
                }
                self.log.used(&usage);
                json!({
                    "status": "succeeded", "plugin_state": null, "error": null,
                    "result": {
                        "model": model, "prompt_messages": [], "system_fingerprint": delta.system_fingerprint,
                        "message": crate::protocol::AssistantMessage::of(&delta), "usage": usage,
                    },
                    "next_check_after_seconds": null, "expires_after_seconds": null, "max_attempts": null,
                })
            }
            PollingAnswer::Failed(mut error) => {
                self.context.upstream.proofs().hide_in(&mut error);
                json!({
                    "status": "failed", "plugin_state": null, "result": null, "error": error,
                    "next_check_after_seconds": null, "expires_after_seconds": null, "max_attempts": null,
                })
            }
        };
        self.item(&item)
    }
}

fn is_plain_text(delta: &LlmDelta) -> bool {
    matches!(delta.content, Content::Text(_))
        && delta.tool_calls.is_empty()
        && delta.opaque_body.is_none()
        && delta.finish_reason.is_none()
        && delta.usage.is_none()
}

/// Whether two deltas say the same as one, and are not too much to wait for a host that does not read.
fn joins(first: &LlmDelta, next: &LlmDelta) -> bool {
    matches!(&first.content, Content::Text(text) if text.len() < LONGEST_JOINED)
        && is_plain_text(next)
        && first.system_fingerprint == next.system_fingerprint
}

fn append_text(first: &mut LlmDelta, next: LlmDelta) {
    if let (Content::Text(text), Content::Text(more)) = (&mut first.content, next.content) {
        text.push_str(&more);
    }
}

/// Adds a delta to the whole answer: text joined, parts appended, fragments of a call joined by id.
fn merge(whole: &mut LlmDelta, delta: LlmDelta) {
    whole.content = match (std::mem::take(&mut whole.content), delta.content) {
        (Content::Text(text), Content::Text(more)) => Content::Text(text + &more),
        (first, next) => Content::Parts(into_parts(first).into_iter().chain(into_parts(next)).collect()),
    };
    for call in delta.tool_calls {
        match whole.tool_calls.iter_mut().find(|known| !call.id.is_empty() && known.id == call.id) {
            Some(known) => {
                known.function.arguments.push_str(&call.function.arguments);
                if known.function.name.is_empty() {
                    known.function.name = call.function.name;
                }
            }
            None => whole.tool_calls.push(call),
        }
    }
    whole.opaque_body = delta.opaque_body.or(whole.opaque_body.take());
    whole.finish_reason = delta.finish_reason.or(whole.finish_reason.take());
    whole.usage = delta.usage.or(whole.usage.take());
    whole.system_fingerprint = delta.system_fingerprint.or(whole.system_fingerprint.take());
}

fn into_parts(content: Content) -> Vec<ContentPart> {
    match content {
        Content::Text(text) if text.is_empty() => Vec::new(),
        Content::Text(text) => vec![ContentPart::text(text)],
        Content::Parts(parts) => parts,
    }
}
