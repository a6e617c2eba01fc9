//! The model that a credential form describes: the format of its requests, by model type.

use super::Gateway;
use super::connection::connect;
use super::llm::{self, GatewayHooks, Thinking};
use super::schema_from_form::{context_size, max_chunks};
use super::speech_from_form;
use crate::dialect::openai::embeddings::{EmbeddingForm, EncodingFormat, Prefix};
use crate::dialect::openai::form_values::TextOrFalse;
use crate::dialect::openai::rerank::{RerankForm, ReturnDocuments};
use crate::providers::compatible::embeddings::EmbeddingCall;
use crate::providers::compatible::form_fields::{count, file_url};
use crate::providers::compatible::model::{ChatForm, Form, Model};
use crate::providers::compatible::rerank::RerankCall;
use crate::providers::compatible::{Action, Endpoint};
use dify_plugin::error::InvokeError;
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{Credentials, ModelType, Target};

/// Path of DashScope's native rerank API.
const DASHSCOPE_PATH: &str = "api/v1/services/rerank/text-rerank/text-rerank";

/// DashScope model that accepts the flat body at that path.
const DASHSCOPE_FLAT_MODEL: &str = "qwen3-rerank";

/// Returns the model of a form.
pub(super) fn model(
    gateway: &Gateway,
    context: &CallContext,
    target: &Target,
    model_type: ModelType,
) -> Result<Model, InvokeError> {
    let credentials = &target.credentials;
    let (mut endpoint, name) = connect(target, &gateway.tokens)?;
    let form = match model_type {
        ModelType::Llm => Form::Chat(Box::new(ChatForm {
            profile: llm::profile(credentials),
            file_url: file_url(credentials)?.map(str::to_owned),
            ..ChatForm::default()
        })),
        ModelType::TextEmbedding => Form::Embedding(Box::new(embedding(credentials)?)),
        ModelType::Rerank => {
            let (path, form) = ranking(credentials, &name)?;
            endpoint = at(endpoint, path);
            Form::Rerank(Box::new(RerankCall { form, ..RerankCall::default() }))
        }
        ModelType::Tts => {
            Form::Speech(Box::new(speech_from_form::speech(credentials)?), speech_from_form::voices(credentials))
        }
        ModelType::Speech2text => Form::Transcription(Box::new(speech_from_form::transcription(credentials)?)),
        other => return Err(super::schema_from_form::unsupported(other)),
    };
    let hooks = GatewayHooks { thinking: Thinking::of(credentials), pricing: context.pricing().cloned() };
    Ok(Model::new(endpoint, name, form).with_hooks(std::sync::Arc::new(hooks)))
}

fn embedding(credentials: &Credentials) -> Result<EmbeddingCall, InvokeError> {
    let prefix = |field: &str| credentials.get(field).map(str::to_owned);
    let mut form = EmbeddingForm {
        format: EncodingFormat::Float,
        user: true,
        prefix: Prefix { query: prefix("query_prefix"), document: prefix("document_prefix") },
        ..EmbeddingForm::default()
    };
    if credentials.get("dimensions").is_some() {
        form.body.insert("dimensions".to_owned(), count(credentials, "dimensions", 1)?.into());
    }
    Ok(EmbeddingCall {
        form,
        max_chunks: usize::try_from(max_chunks(credentials)?).ok(),
        context_size: Some(context_size(credentials)?),
        ..EmbeddingCall::default()
    })
}

/// Returns the path of rankings and their format.
fn ranking(credentials: &Credentials, model: &str) -> Result<(&'static str, RerankForm), InvokeError> {
    let form = RerankForm { return_documents: ReturnDocuments(Some(false)), ..RerankForm::default() };
    Ok(match credentials.get("rerank_protocol").unwrap_or("reranks") {
        "reranks" => ("reranks", form),
        "rerank" => ("rerank", form),
        "dashscope" if model == DASHSCOPE_FLAT_MODEL => (DASHSCOPE_PATH, form),
        "dashscope" => (DASHSCOPE_PATH, nested(form)),
        other => {
            return Err(InvokeError::credentials(format!(
                "credential `rerank_protocol` must be reranks, rerank or dashscope, found `{other}`"
            )));
        }
    })
}

/// DashScope's native body: query and documents in `input`, the rest in `parameters`.
fn nested(form: RerankForm) -> RerankForm {
    RerankForm {
        query_field: Some("input.query".to_owned()),
        documents: Some("input.documents".to_owned()),
        top_n: Some(TextOrFalse::Text("parameters.top_n".to_owned())),
        return_documents_field: Some("parameters.return_documents".to_owned()),
        ..form
    }
}

/// Sends rankings to this path, unless the form has a path for every action.
fn at(mut endpoint: Endpoint, path: &str) -> Endpoint {
    let url = endpoint.base.action(path);
    endpoint.urls.entry(Action::Rerank).or_insert(url);
    endpoint
}
