//! Chat: builds the request and streams the response, with further requests if the response needs them.

mod recovery;

use std::sync::Arc;

use async_stream::try_stream;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use url::Url;

use super::caching::{CacheRequest, Used};
use super::media::{Delivery, Media, Prepared, json_length};
use super::{Chunks, Shared, agents, response_timeout, schema_from_resemblance};
use crate::dialect::driver::drive;
use crate::dialect::gemini::models::catalog::Catalog;
use crate::dialect::gemini::request::Conversation;
use crate::dialect::gemini::request::functions::NAMES;
use crate::dialect::gemini::request::parameters::{self, Parameters};
use crate::dialect::gemini::request::tools;
use crate::dialect::gemini::response::price::PriceList;
use crate::dialect::gemini::response::served::Served;
use crate::dialect::gemini::wire::GenerateContentRequest;
use crate::dialect::gemini::{
    GeminiResponse, GenerateMapper, ModelProfile, NextStep, ResponseOptions, SharedResponse, errors,
};
use crate::dialect::names::FunctionNames;
use crate::dialect::tokens;
use dify_plugin::declare::ModelFeature;
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{LlmDelta, LlmRequest, PromptMessage};
use dify_plugin::upstream::{RetryPolicy, UpstreamRequest, UpstreamResponse};
use dify_plugin_gemini::connection::Connection;
use dify_plugin_gemini::extras::Extras;

/// Bodies above this size are stored without contents and instructions, which are rebuilt for each attempt.
const REBUILT_BODY_BYTES: usize = 1024 * 1024;

/// Maximum number of stop sequences that the API supports.
const MAX_STOP_SEQUENCES: usize = 5;

/// Maximum bytes of an HTML page that are read to quote its title.
const MAX_PAGE_BYTES: usize = 64 * 1024;

pub(super) fn invoke(shared: Arc<Shared>, context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
    try_stream! {
        let mut call = Call::prepare(&shared, context, request).await?;
        loop {
            let response = call.send(&shared).await?;
            let mut deltas = drive(response, GenerateMapper::new(call.answer.clone()));
            let mut broken = None;
            while let Some(delta) = deltas.next().await {
                match delta {
                    Ok(delta) => yield delta,
                    Err(error) => broken = Some(error),
                }
            }
            // Dropped before the next request, so that this connection is closed.
            drop(deltas);
            if call.prepare_next(&shared, broken).await? {
                continue;
            }
            for delta in call.conclude(&shared) {
                yield delta;
            }
            return;
        }
    }
    .boxed()
}

/// A response in progress: the request, its retries, and the output so far.
struct Call {
    context: CallContext,
    request: Arc<LlmRequest>,
    prompt: Arc<Prepared>,
    /// How the media of the prompt are delivered.
    delivery: Delivery,
    profile: ModelProfile,
    connection: Connection,
    /// The request body; a long one without contents and instructions, which are rebuilt from the prompt for each
    /// attempt.
    body: GenerateContentRequest,
    extras: Extras,
    /// Function names as sent to the service.
    names: Arc<FunctionNames>,
    distrust_signatures: bool,
    uploaded_again: bool,
    /// Whether requests use the beta version of Vertex AI.
    uses_beta: bool,
    cache: Option<Used>,
    answer: SharedResponse,
    /// Number of retries.
    retries: u32,
}

impl Call {
    async fn prepare(shared: &Shared, context: CallContext, request: LlmRequest) -> Result<Self, InvokeError> {
        let profile = profile(&context)?;
        if let Some(reason) = &profile.retired {
            return Err(InvokeError::bad_request(format!(
                "model `{}` has been retired: {reason}",
                request.target.model
            )));
        }
        if context.model.as_ref().is_some_and(|model| model.has(ModelFeature::Polling)) {
            agents::check_provider(&request.target.model, &context.declaration.provider)?;
            let message = format!("agent `{}` runs in the background and must be polled", request.target.model);
            return Err(InvokeError::bad_request(message)
                .with_hint("Use a Dify version that supports polling (1.15.0 or later)."));
        }
        let mut connection = shared.connect(&request.target.credentials, &context)?;
        let credentials = &request.target.credentials;
        let delivery = delivery(&request);
        let office_files = profile.office_files;
        let media = Media { shared, context: &context, connection: &connection, credentials, delivery, office_files };
        let prompt = media.prepare(&request.prompt_messages).await?.without_copy(&request.prompt_messages);
        let messages = prompt.messages(&request.prompt_messages);
        let names = Arc::new(FunctionNames::of(&request.tools, NAMES));
        let mut body = build(shared, &request, messages, &names, &profile, &connection, false)?;
        let extras = Extras::of(
            &shared.refusals,
            &connection,
            &request.target.credentials,
            &request.target.model,
            context.app_id.as_deref(),
        );
        extras.put(&mut body);
        if let Some(wait) = response_timeout::of(&body, &profile) {
            connection.extend_timeouts(wait);
        }
        let uses_beta = connection.has_beta() && (profile.long_decode || body.service_tier.is_some());
        let expects_json = body.generation_config.contains_key("responseMimeType");
        let mut prices = PriceList {
            pricing: context.pricing().cloned(),
            details: profile.price.clone(),
            service_tier: body.service_tier.clone(),
            day: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            fixed: schema_from_resemblance::has_prices(&context, credentials),
            ..PriceList::default()
        };
        let parameters = Parameters(&request.model_parameters);
        let cache_request = CacheRequest {
            connection: &connection,
            upstream: &context.upstream,
            owner: request.target.credentials.fingerprint(),
            model: &request.target.model,
            minimum: profile.cache_minimum,
            prices: &prices,
        };
        let (cache, stored) = shared.caches.apply(&cache_request, &parameters, &mut body).await;
        prices.stored = stored;
        let citations = tools::citations(&parameters, request.stream);
        let options = ResponseOptions {
            prices,
            served: Served::new(&request.target.model, Catalog::new(context.models.clone())),
            expects_json,
            citations,
            quotes: tools::requests_sources(&parameters),
            names: names.clone(),
            has_functions: !request.tools.is_empty(),
            may_be_empty: !request.stop.is_empty(),
        };
        let answer = SharedResponse::new(GeminiResponse::new(options));
        let (request, prompt) = (Arc::new(request), Arc::new(prompt));
        Ok(Self {
            context,
            request,
            prompt,
            delivery,
            profile,
            connection,
            body,
            extras,
            names,
            distrust_signatures: false,
            uploaded_again: false,
            uses_beta,
            cache,
            answer,
            retries: 0,
        })
    }

    /// Rebuilds the complete request, with the token that continues a response.
    fn rebuild(&mut self, shared: &Shared) -> Result<(), InvokeError> {
        let token = self.body.continuation_token.take();
        let messages = self.prompt.messages(&self.request.prompt_messages);
        let (names, distrusts) = (&self.names, self.distrust_signatures);
        self.body = build(shared, &self.request, messages, names, &self.profile, &self.connection, distrusts)?;
        self.extras.put(&mut self.body);
        self.body.continuation_token = token;
        self.cache = None;
        Ok(())
    }

    /// Prepares the media again.
    async fn prepare_media_again(&mut self, shared: &Shared) -> Result<(), InvokeError> {
        let credentials = &self.request.target.credentials;
        let (delivery, office_files) = (self.delivery, self.profile.office_files);
        let (context, connection) = (&self.context, &self.connection);
        let media = Media { shared, context, connection, credentials, delivery, office_files };
        let messages = &self.request.prompt_messages;
        self.prompt = Arc::new(media.prepare(messages).await?.without_copy(messages));
        self.rebuild(shared)
    }

    /// Owner of uploaded files and caches.
    fn owner(&self) -> u64 {
        self.request.target.credentials.fingerprint()
    }

    async fn post(&mut self, shared: &Arc<Shared>) -> Result<UpstreamResponse, InvokeError> {
        let (model, method) = (&self.request.target.model, "streamGenerateContent");
        let mut url = match self.uses_beta {
            true => self.connection.beta_url(model, method),
            false => self.connection.model_url(model, method),
        }?;
        url.set_query(Some("alt=sse"));
        let request = if self.body.contents.is_empty() {
            self.rebuilding_request(shared, url, None)?
        } else {
            let json_length = self.connection.post(url.clone(), &self.body)?;
            if json_length.body.len() < REBUILT_BODY_BYTES {
                json_length
            } else {
                (self.body.contents, self.body.system_instruction) = (Vec::new(), None);
                self.rebuilding_request(shared, url, Some(json_length.body))?
            }
        };
        self.context.upstream.send(&request).await
    }

    /// Returns a request whose contents and instructions are rebuilt from the prompt for each attempt, so that they are
    /// not held in memory meanwhile; a cached prefix is cut off again.
    fn rebuilding_request(
        &self,
        shared: &Arc<Shared>,
        url: Url,
        first: Option<Bytes>,
    ) -> Result<UpstreamRequest, InvokeError> {
        let (shared, request, prompt) = (shared.clone(), self.request.clone(), self.prompt.clone());
        let names = self.names.clone();
        let (profile, connection, distrusts) =
            (self.profile.clone(), self.connection.clone(), self.distrust_signatures);
        let (frame, prefix) = (self.body.clone(), self.cache.as_ref().map(Used::prefix));
        let make = move || {
            let messages = prompt.messages(&request.prompt_messages);
            let mut made = build(&shared, &request, messages, &names, &profile, &connection, distrusts)?;
            if let (Some(prefix), Some(cache)) = (prefix, &frame.cached_content) {
                prefix.cut(&mut made, cache.clone());
            }
            let GenerateContentRequest { contents, system_instruction, .. } = made;
            UpstreamRequest::json(&GenerateContentRequest { contents, system_instruction, ..frame.clone() })
        };
        let first = first.map_or_else(&make, Ok)?;
        let request = self.connection.post(url, &Value::Null)?;
        // Building succeeded before, and the same input builds the same body.
        Ok(request.with_body(first, move || make().unwrap_or_default()))
    }

    async fn send(&mut self, shared: &Arc<Shared>) -> Result<UpstreamResponse, InvokeError> {
        let response = loop {
            match self.post(shared).await {
                // Terminates, because each reason changes a request only once.
                Err(error) if self.recover(shared, &error).await? => {}
                response => break response.map_err(|error| self.explain(error))?,
            }
        };
        if response.content_type() == "text/html" {
            let page = response.bytes(MAX_PAGE_BYTES).await.unwrap_or_default();
            return Err(errors::page(&String::from_utf8_lossy(&page)));
        }
        if let Some(tier) = response.headers.get("x-gemini-service-tier").and_then(|tier| tier.to_str().ok()) {
            self.answer.lock().set_service_tier(tier.to_owned());
        }
        Ok(response)
    }

    /// Prepares the next request, if any.
    async fn prepare_next(&mut self, shared: &Shared, broken: Option<InvokeError>) -> Result<bool, InvokeError> {
        let step = self.answer.lock().end_of_request(broken);
        match step {
            NextStep::Done => return Ok(false),
            NextStep::Fail(error) => return Err(error),
            NextStep::Continue(token) => self.body.continuation_token = Some(token),
            NextStep::Resume(token, error) => {
                // Resuming from a checkpoint is not limited by the form's number of retries, because nothing is billed
                // twice.
                let retry = self.connection.retry();
                self.wait(retry.with_max_retries(u32::MAX), error).await?;
                self.body.continuation_token = Some(token);
            }
            NextStep::Again(error) => {
                // Malformed model output is not a fault of the request.
                let kind = if error.kind == ErrorKind::BadRequest { ErrorKind::ServerUnavailable } else { error.kind };
                let passing = error.clone().with_kind(kind);
                self.wait(self.connection.retry(), passing).await.map_err(|_| error)?;
            }
            NextStep::ValidCalls => {
                tracing::warn!("malformed function call; retrying with validated calls");
                if self.cache.is_some() {
                    self.rebuild(shared)?;
                }
                crate::dialect::gemini::request::functions::require_valid_calls(&mut self.body);
            }
        }
        Ok(true)
    }

    async fn wait(&mut self, retry: RetryPolicy, error: InvokeError) -> Result<(), InvokeError> {
        self.context.upstream.wait_to_retry(&retry, error, self.retries).await?;
        self.retries += 1;
        Ok(())
    }

    /// Returns the last deltas, and stores signatures for Dify versions that return a call or an image without its
    /// `opaque_body`.
    fn conclude(&self, shared: &Shared) -> Vec<LlmDelta> {
        let mut answer = self.answer.lock();
        if let (searches @ 1.., Some(price)) = answer.searches() {
            tracing::info!(searches, list_price_usd = %price.normalize(), "Google Search used; its fee and the free quota are not part of the price");
        }
        let last = answer.conclude(|| tokens::estimate_prompt(&self.request.prompt_messages, &self.request.tools));
        for (key, signature) in answer.signed() {
            shared.signatures.keep(key, signature);
        }
        last
    }
}

fn build(
    shared: &Shared,
    request: &LlmRequest,
    prompt: &[PromptMessage],
    names: &FunctionNames,
    profile: &ModelProfile,
    connection: &Connection,
    distrust_signatures: bool,
) -> Result<GenerateContentRequest, InvokeError> {
    let parameters = Parameters(&request.model_parameters);
    let conversation = Conversation {
        messages: prompt,
        tools: &request.tools,
        names,
        choice: request.tool_choice.as_ref(),
        mode: parameters.text("tool_choice"),
        clip: parameters::clip(&parameters)?,
        profile,
        surface: connection.surface,
        remembered: &|call| shared.remembered(call),
        distrust_signatures,
    };
    body(request, profile, connection, &conversation)
}

pub(super) fn profile(context: &CallContext) -> Result<ModelProfile, InvokeError> {
    let model = context.model.as_ref().ok_or_else(|| InvokeError::internal("the request names no model"))?;
    ModelProfile::of(model).map_err(|error| {
        InvokeError::internal(format!("cannot parse the `gemini` section of model `{}`: {error}", model.model))
    })
}

fn body(
    request: &LlmRequest,
    profile: &ModelProfile,
    connection: &Connection,
    conversation: &Conversation<'_>,
) -> Result<GenerateContentRequest, InvokeError> {
    let mut body = GenerateContentRequest::default();
    let parameters = Parameters(&request.model_parameters);
    parameters::apply(&mut body, &parameters, profile, connection.surface, request.json_schema.as_ref())?;
    let credentials = &request.target.credentials;
    body.safety_settings = parameters::safety(&parameters, |name| super::safety_floor(credentials, name))?;
    let stops: Vec<&String> = request.stop.iter().filter(|stop| !stop.is_empty()).collect();
    if stops.len() > MAX_STOP_SEQUENCES {
        return Err(InvokeError::bad_request(format!(
            "the request has {} stop sequences; at most {MAX_STOP_SEQUENCES} are supported",
            stops.len()
        )));
    }
    if !stops.is_empty() {
        body.generation_config.insert("stopSequences".to_owned(), json!(stops));
    }
    conversation.fill(&mut body)?;
    Ok(body)
}

/// Determines how the files of a request are delivered.
fn delivery(request: &LlmRequest) -> Delivery {
    let tools = request.tools.iter();
    let tools = tools
        .map(|tool| tool.name.len() + json_length(&tool.description) + json_length(&tool.parameters))
        .sum::<usize>();
    let delivery = Delivery {
        beside: tools + json_length(&request.model_parameters) + json_length(&request.json_schema),
        ..Delivery::default()
    };
    match Parameters(&request.model_parameters).flag("use_inline_file") {
        Some(true) => delivery.inline(),
        _ => delivery,
    }
}
