//! Chat: request built, answer streamed. A signature that the server calls corrupted is replaced once.

use std::sync::Arc;

use async_stream::stream;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connection::Connection;
use super::{Chunks, Shared};
use crate::dialect::driver::drive;
use crate::dialect::gemini::parameters::{self, Parameters};
use crate::dialect::gemini::price::PriceList;
use crate::dialect::gemini::request::{Conversation, OPAQUE_KEY};
use crate::dialect::gemini::wire::GenerateContentRequest;
use crate::dialect::gemini::{GenerateMapper, ModelProfile};
use crate::error::{ErrorKind, InvokeError};
use crate::protocol::{LlmDelta, LlmNumTokensRequest, LlmRequest};
use crate::providers::CallContext;
use crate::upstream::{UpstreamRequest, UpstreamResponse};

/// Stop sequences that the API takes.
const MOST_STOPS: usize = 5;

pub(super) fn invoke(shared: Arc<Shared>, context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
    stream! {
        match start(&shared, &context, &request).await {
            Err(error) => yield Err(error),
            Ok((response, mapper)) => {
                let mut deltas = drive(response, mapper);
                while let Some(delta) = deltas.next().await {
                    if let Ok(delta) = &delta {
                        remember(&shared, delta);
                    }
                    yield delta;
                }
            }
        }
    }
    .boxed()
}

/// Keeps signatures by call id, for hosts that hand a call back without its `opaque_body`.
fn remember(shared: &Shared, delta: &LlmDelta) {
    let signatures = delta.opaque_body.as_ref().and_then(|body| body[OPAQUE_KEY]["signatures"].as_object());
    for call in delta.tool_calls.iter().filter(|_| signatures.is_some()) {
        if let Some(signature) = signatures.and_then(|signatures| signatures.get(&call.id)).and_then(Value::as_str) {
            shared.remember(&call.id, signature);
        }
    }
}

async fn start(
    shared: &Shared,
    context: &CallContext,
    request: &LlmRequest,
) -> Result<(UpstreamResponse, GenerateMapper), InvokeError> {
    let profile = profile(context)?;
    if let Some(reason) = &profile.retired {
        return Err(InvokeError::bad_request(format!("model `{}` is gone: {reason}", request.target.model)));
    }
    let connection = shared.connect(&request.target.credentials, context)?;
    let prompt =
        super::media::prepare(context, &connection, &request.target.credentials, &request.prompt_messages).await?;
    let build = |distrust_signatures| {
        let conversation = Conversation {
            messages: &prompt,
            tools: &request.tools,
            choice: request.tool_choice.as_ref(),
            profile: &profile,
            surface: connection.surface,
            remembered: &|id| shared.remembered(id),
            distrust_signatures,
        };
        body(request, &profile, &connection, &conversation)
    };
    let body = build(false)?;
    let expects_json = body.generation_config.contains_key("responseMimeType");
    let tier = body.service_tier.clone();
    let answer = match context.upstream.send(&post(&connection, &request.target.model, &body)?).await {
        Err(error) if is_corrupted_signature(&error) => {
            tracing::warn!("the server refused a thought signature; sent once more without signatures");
            context.upstream.send(&post(&connection, &request.target.model, &build(true)?)?).await?
        }
        answer => answer?,
    };
    let served = answer.headers.get("x-gemini-service-tier").and_then(|tier| tier.to_str().ok()).map(str::to_owned);
    let prices =
        PriceList { pricing: context.pricing().cloned(), details: profile.price, service_tier: served.or(tier) };
    Ok((answer, GenerateMapper::new(prices, expects_json)))
}

fn profile(context: &CallContext) -> Result<ModelProfile, InvokeError> {
    let model = context.model.as_ref().ok_or_else(|| InvokeError::internal("the call has no model"))?;
    ModelProfile::of(model).map_err(|error| {
        InvokeError::internal(format!("the `gemini` data of model `{}` cannot be read: {error}", model.model))
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
    let floor = |name: &str| request.target.credentials.get(&format!("{name}_floor")).map(str::to_owned);
    body.safety_settings = parameters::safety(&parameters, floor)?;
    let stops: Vec<&String> = request.stop.iter().filter(|stop| !stop.is_empty()).collect();
    if stops.len() > MOST_STOPS {
        return Err(InvokeError::bad_request(format!(
            "{} stop sequences are given, at most {MOST_STOPS} are taken",
            stops.len()
        )));
    }
    if !stops.is_empty() {
        body.generation_config.insert("stopSequences".to_owned(), json!(stops));
    }
    conversation.fill(&mut body)?;
    Ok(body)
}

fn post(connection: &Connection, model: &str, body: &GenerateContentRequest) -> Result<UpstreamRequest, InvokeError> {
    let mut url = connection.model_url(model, "streamGenerateContent")?;
    url.set_query(Some("alt=sse"));
    connection.post(url, body)
}

fn is_corrupted_signature(error: &InvokeError) -> bool {
    error.kind == ErrorKind::BadRequest && error.message.to_ascii_lowercase().contains("signature")
}

/// `countTokens`: free of charge, and only when Dify asks for a count.
pub(super) async fn count_tokens(
    shared: &Shared,
    context: &CallContext,
    request: &LlmNumTokensRequest,
) -> Result<u64, InvokeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Counted {
        total_tokens: u64,
    }
    let profile = profile(context)?;
    let connection = shared.connect(&request.target.credentials, context)?;
    let conversation = Conversation {
        messages: &request.prompt_messages,
        tools: &request.tools,
        choice: None,
        profile: &profile,
        surface: connection.surface,
        remembered: &|id| shared.remembered(id),
        distrust_signatures: false,
    };
    let mut body = GenerateContentRequest::default();
    conversation.fill(&mut body)?;
    let url = connection.model_url(&request.target.model, "countTokens")?;
    let body = if connection.surface.is_vertex() {
        json!(body)
    } else {
        let mut inner = json!(body);
        inner["model"] = format!("models/{}", request.target.model.trim_start_matches("models/")).into();
        json!({"generateContentRequest": inner})
    };
    let answer = context.upstream.send(&connection.post(url, &body)?).await?;
    Ok(answer.json::<Counted>(64 * 1024).await?.total_tokens)
}
