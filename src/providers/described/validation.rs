//! Validation of credentials: of a provider as its facts say, of a model by the smallest call of its type. An error names the
//! part of the form that is probably wrong. What it is not: the calls.

use std::sync::Arc;

use http::Method;
use serde_json::Value;
use url::Url;

use super::connection::{address, endpoint};
use super::facts::{BaseUrl, ModelFacts, Validate, ValidateCall};
use super::provider::{Described, streams_validation};
use super::template::Template;
use super::values::CallValues;
use crate::providers::compatible::model::Source;
use crate::providers::compatible::provider::Compatible;
use crate::providers::compatible::smallest::{self, Smallest};
use crate::providers::compatible::{Action, Endpoint, document, refuse_page};
use dify_plugin::declare::{FetchFrom, ModelSchema};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::{CallContext, Validated};
use dify_plugin::protocol::{Credentials, ModelRequest, ModelType, Target, ValidateProviderRequest};
use dify_plugin::upstream::{Upstream, UpstreamRequest, UpstreamResponse};

/// Output limit of the chat request, in tokens.
const MAX_TOKENS: u64 = 5;

/// Output limit of a chat request that streams.
const MAX_STREAMED_TOKENS: u64 = 10;

/// Maximum size of a list of models in bytes.
const MAX_LIST_BYTES: usize = 16 * 1024 * 1024;

/// The credential that names another model for the validation of a provider. No form needs it.
const VALIDATE_MODEL: &str = "validate_model";

/// Validates the credentials of a model.
pub(super) async fn validate_model(
    provider: Compatible<Described>,
    source: Arc<Described>,
    mut context: CallContext,
    request: ModelRequest,
) -> Result<Validated, InvokeError> {
    if context.model.is_none() {
        context.model = Some(match declared(&context, request.model_type, &request.target.model) {
            Some(schema) => schema,
            None => Arc::new(source.clone().schema(context.clone(), request.clone()).await?),
        });
    }
    let how = smallest(&request.target.credentials, None, false)?;
    smallest::call(&provider, context, request.target, request.model_type, how).await.map_err(explained)?;
    Ok(Validated::unchanged())
}

fn smallest(credentials: &Credentials, max_tokens: Option<u64>, stream: bool) -> Result<Smallest, InvokeError> {
    const FIELD: &str = "validate_credentials_max_tokens";
    let stream = stream || streams_validation(credentials);
    let of_form = credentials.number(FIELD)?.filter(|number| *number >= 1.0).map(|number| number as u64);
    let usual = if stream { MAX_STREAMED_TOKENS } else { MAX_TOKENS };
    Ok(Smallest { max_tokens: of_form.or(max_tokens).unwrap_or(usual), stream })
}

/// Validates the credentials of a provider.
pub(super) async fn validate_provider(
    source: Arc<Described>,
    context: CallContext,
    request: ValidateProviderRequest,
) -> Result<Validated, InvokeError> {
    let credentials = &request.credentials;
    let facts = source.facts_of(ModelType::Llm, "")?;
    let values = source.values(credentials, "", false)?;
    let Some(field) = field_to_try(&source, &facts, &values) else {
        try_once(&source, &context, credentials).await.map_err(explained)?;
        return Ok(Validated::unchanged());
    };
    let mut first: Option<InvokeError> = None;
    for address in &source.facts.base_try {
        let mut tried = credentials.clone();
        tried.set(field.clone(), address.clone());
        match try_once(&source, &context, &tried).await {
            Ok(()) => return Ok(Validated::unchanged().with(field, address.clone())),
            Err(error) => _ = first.get_or_insert(error),
        }
    }
    let error = first.unwrap_or_else(|| InvokeError::credentials("the provider's facts have no address to try"));
    Err(explained(error))
}

/// Returns a declared model.
fn declared(context: &CallContext, model_type: ModelType, name: &str) -> Option<Arc<ModelSchema>> {
    context.models.iter().find(|model| model.model_type == model_type && model.model == name).cloned()
}

/// Returns the blank credential of the base URL, if addresses are tried for it.
fn field_to_try(source: &Described, facts: &ModelFacts, values: &CallValues<'_>) -> Option<String> {
    if source.facts.base_try.is_empty() {
        return None;
    }
    let Some(BaseUrl::Template(template)) = &facts.base_url else { return None };
    let field = template.names().first().copied()?;
    values.credentials.get(field).is_none().then(|| field.to_owned())
}

/// Validates with these credentials as they are.
async fn try_once(
    source: &Arc<Described>,
    context: &CallContext,
    credentials: &Credentials,
) -> Result<(), InvokeError> {
    match &source.facts.validate {
        Validate::None => Ok(()),
        Validate::Models => list_models(&context.upstream, &of_provider(source, credentials)?).await,
        Validate::Call(call) => match &call.get {
            Some(path) => {
                let endpoint = of_provider(source, credentials)?;
                let values = source.values(credentials, "", false)?;
                let url = address(&endpoint.base, path, &values)?;
                get(&context.upstream, &endpoint, url).await?.bytes(MAX_LIST_BYTES).await.map(drop)
            }
            None => by_model(source, context, credentials, call).await,
        },
    }
}

/// Returns the endpoint for requests that concern no model.
fn of_provider(source: &Described, credentials: &Credentials) -> Result<Endpoint, InvokeError> {
    let facts = source.facts_of(ModelType::Llm, "")?;
    let values = source.values(credentials, "", false)?;
    endpoint(&facts, &values)
}

async fn get(upstream: &Upstream, endpoint: &Endpoint, url: Url) -> Result<UpstreamResponse, InvokeError> {
    let request = endpoint.prepared(UpstreamRequest::new(Method::GET, url));
    refuse_page(upstream.send(&request).await?, &request.url).await
}

/// Requests the list of models, which must be one: a server that answers any path with success proves nothing.
async fn list_models(upstream: &Upstream, endpoint: &Endpoint) -> Result<(), InvokeError> {
    let response = get(upstream, endpoint, endpoint.url(Action::Models)).await?;
    document(response, MAX_LIST_BYTES, |text| {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            InvokeError::server_unavailable(format!("the list of models is not valid JSON: {error}"))
        })?;
        let is_list =
            value.is_array() || ["data", "models"].iter().any(|name| value.get(*name).is_some_and(Value::is_array));
        if is_list { Ok(()) } else { Err(InvokeError::server_unavailable("the response is no list of models")) }
    })
    .await
}

/// Calls the named model once.
async fn by_model(
    source: &Arc<Described>,
    context: &CallContext,
    credentials: &Credentials,
    call: &ValidateCall,
) -> Result<(), InvokeError> {
    let kinds: [(ModelType, &Option<Template>); 6] = [
        (ModelType::Llm, &call.llm),
        (ModelType::TextEmbedding, &call.text_embedding),
        (ModelType::Rerank, &call.rerank),
        (ModelType::Tts, &call.tts),
        (ModelType::Speech2text, &call.speech2text),
        (ModelType::Moderation, &call.moderation),
    ];
    let Some((model_type, template)) = kinds.into_iter().find_map(|(kind, name)| Some((kind, name.as_ref()?))) else {
        return Err(InvokeError::internal("the facts name no model to validate with"));
    };
    let values = source.values(credentials, "", false)?;
    let named = values.credentials.get(VALIDATE_MODEL).map(str::to_owned);
    let model = match named {
        Some(model) => model,
        None => template
            .fill(&values)
            .map_err(|field| InvokeError::credentials(format!("credential `{field}` is required")))?,
    };
    let mut context = context.clone();
    // A model that no file declares is called without rules and features.
    context.model = Some(match declared(&context, model_type, &model) {
        Some(declared) => declared,
        None => {
            let mut schema = ModelSchema::customizable(&model, model_type);
            schema.fetch_from = FetchFrom::PredefinedModel;
            Arc::new(schema)
        }
    });
    let target = Target::new(source.name(), model, credentials.clone());
    let how = smallest(credentials, call.max_tokens, call.stream)?;
    smallest::call(&Compatible::of(source.clone()), context, target, model_type, how).await
}

/// Adds the part of the form that is probably wrong to an error.
fn explained(mut error: InvokeError) -> InvokeError {
    let text = error.message.to_ascii_lowercase();
    let part = match (error.kind, error.status) {
        // The plugin's own errors already name the field.
        (ErrorKind::CredentialsValidateFailed, _) | (ErrorKind::BadRequest, None) => return error,
        (ErrorKind::Connection, _) | (_, Some(300..=399)) => "the server is unreachable",
        (ErrorKind::Authorization, _) => "the credential was rejected",
        (ErrorKind::RateLimit, _) => "the credential is valid, but its quota or rate limit is exhausted",
        (_, Some(400..=499)) if text.contains("model") => "the model was rejected",
        (_, Some(404 | 405)) => "the path is wrong",
        (_, Some(400..=499)) => "the server rejected the request",
        _ => "the server failed",
    };
    error.message = format!("{part}: {}", error.message);
    error
}
