//! Language models: the dialect profile of a credential form, and a request.

use async_stream::try_stream;
use futures_util::StreamExt;

use super::AiGateway;
use super::connection::{connect, file_url};
use super::moderated_stream::ModeratedStream;
use super::moderation;
use crate::dialect::openai::profile::{
    AudioForm, DocumentForm, ImageForm, MaxTokensName, Mode, StructuredForm, ThinkingForm, ToolForm, UserForm,
    VideoForm,
};
use crate::dialect::openai::{ChatMapper, MapperOptions, Profile};
use crate::providers::compatible::{chat, files};
use dify_plugin::declare::{Pricing, price};
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, Chunks};
use dify_plugin::protocol::{Credentials, FinishReason, LlmDelta, LlmRequest};

const THINKING: &str = "enable_thinking";

/// Thinking support of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// The model does not think.
    No,
    /// Thinking can be switched on and off.
    Switchable,
    /// The model always thinks.
    Always,
}

impl Thinking {
    /// Reads the form field; its misspelled name stays because stored forms use it. The correct one is that of other forms.
    pub(super) fn of(credentials: &Credentials) -> Self {
        match credentials.get("agent_though_support").or_else(|| credentials.get("agent_thought_support")) {
            Some("supported") => Self::Switchable,
            Some("only_thinking_supported") => Self::Always,
            _ => Self::No,
        }
    }
}

/// Returns the dialect variant of the model behind the route.
pub(super) fn profile(credentials: &Credentials) -> Profile {
    let chosen = |field: &str| credentials.get(field).unwrap_or_default();
    let supports = |field: &str| matches!(chosen(field), "support" | "supported");
    Profile {
        mode: if chosen("mode") == "completion" { Mode::Completion } else { Mode::Chat },
        image: if supports("vision_support") { ImageForm::ImageUrl } else { ImageForm::Unsupported },
        video: if supports("video_support") { VideoForm::VideoUrl } else { VideoForm::Unsupported },
        audio: if supports("audio_support") { AudioForm::InputAudio } else { AudioForm::Unsupported },
        document: if supports("document_support") { DocumentForm::File } else { DocumentForm::Unsupported },
        tools: match chosen("function_calling_type") {
            "tool_call" | "stream_tool_call" => ToolForm::ToolCall,
            "function_call" => ToolForm::FunctionCall,
            _ => ToolForm::None,
        },
        structured: match chosen("structured_output_support") {
            "supported" => StructuredForm::Native,
            "json_object" => StructuredForm::JsonObject,
            "both" => StructuredForm::NativeAndPrompt,
            _ => StructuredForm::Prompt,
        },
        thinking: match (Thinking::of(credentials), chosen("thinking_parameter")) {
            (Thinking::No, _) | (_, "none") => ThinkingForm::default(),
            (_, "chat_template_kwargs") => ThinkingForm { template_kwargs: true, ..ThinkingForm::default() },
            (_, "both") => ThinkingForm { template_kwargs: true, top_level: true, object: false },
            _ => ThinkingForm { top_level: true, ..ThinkingForm::default() },
        },
        max_tokens: MaxTokensName::Auto,
        include_usage: true,
        user: Some(UserForm::default()),
        ..Profile::default()
    }
}

/// `invoke_llm`.
pub(super) fn invoke(gateway: &AiGateway, context: CallContext, mut request: LlmRequest) -> Chunks<LlmDelta> {
    let tokens = gateway.tokens.clone();
    try_stream! {
        let (endpoint, model) = connect(&request.target, &tokens)?;
        let profile = profile(&request.target.credentials);
        let file_url = file_url(&request.target.credentials)?.map(str::to_owned);
        let (network, messages) = (&endpoint.network, &mut request.prompt_messages);
        files::gather(&context.upstream, network, file_url.as_deref(), &profile, messages).await?;
        match Thinking::of(&request.target.credentials) {
            Thinking::Always => {
                request.model_parameters.insert(THINKING.to_owned(), true.into());
            }
            Thinking::No => {
                request.model_parameters.remove(THINKING);
            }
            Thinking::Switchable => {}
        }
        let pricing = context.pricing().cloned();
        let options = MapperOptions::of(&request, &profile, pricing.as_ref());
        let names = options.names.clone();
        let mapper = ModeratedStream::new(ChatMapper::new(options), pricing.clone());
        let mut deltas = chat::invoke_mapped(context.upstream, endpoint, model, profile, names, mapper, request);
        while let Some(delta) = deltas.next().await {
            yield delta.or_else(|error| as_response(error, pricing.as_ref()))?;
        }
    }
    .boxed()
}

/// Converts a moderation block to a response, whatever its HTTP status is.
fn as_response(error: InvokeError, pricing: Option<&Pricing>) -> Result<LlmDelta, InvokeError> {
    if error.code.as_deref() != Some(moderation::CODE) {
        return Err(error);
    }
    let end = LlmDelta::end(FinishReason::ContentFilter, price::llm_usage(pricing, 0, 0));
    Ok(end.with_content(error.message))
}
