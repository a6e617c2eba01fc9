//! Language models: the dialect profile of a credential form, and what the gateway changes about calls.

use super::moderated_stream::ModeratedStream;
use super::moderation;
use crate::dialect::StreamMapper;
use crate::dialect::openai::profile::{
    AudioForm, DocumentForm, ImageForm, MaxTokensName, Mode, StructuredForm, ThinkingForm, ToolForm, UserForm,
    VideoForm,
};
use crate::dialect::openai::{ChatMapper, Profile};
use crate::providers::compatible::model::Hooks;
use dify_plugin::declare::{Pricing, price};
use dify_plugin::error::InvokeError;
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
    /// Reads the form field, which stored forms have under its misspelled name.
    pub(super) fn of(credentials: &Credentials) -> Self {
        match credentials.get("agent_thought_support").or_else(|| credentials.get("agent_though_support")) {
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

/// What the gateway adds to calls: the thinking switch of the form, and blocks of its content moderation.
pub(super) struct GatewayHooks {
    pub(super) thinking: Thinking,
    pub(super) pricing: Option<Pricing>,
}

impl Hooks for GatewayHooks {
    fn prepare(&self, request: &mut LlmRequest) -> Result<(), InvokeError> {
        match self.thinking {
            Thinking::Always => _ = request.model_parameters.insert(THINKING.to_owned(), true.into()),
            Thinking::No => _ = request.model_parameters.remove(THINKING),
            Thinking::Switchable => {}
        }
        Ok(())
    }

    fn mapper(&self, _request: &LlmRequest, mapper: ChatMapper) -> Box<dyn StreamMapper<Item = LlmDelta>> {
        Box::new(ModeratedStream::new(mapper, self.pricing.clone()))
    }

    /// Converts a moderation block to a response, whatever its HTTP status is.
    fn answered(&self, error: InvokeError) -> Result<LlmDelta, InvokeError> {
        if error.code.as_deref() != Some(moderation::CODE) {
            return Err(error);
        }
        let end = LlmDelta::end(FinishReason::ContentFilter, price::llm_usage(self.pricing.as_ref(), 0, 0));
        Ok(end.with_content(error.message))
    }
}
