//! A daemon's line → envelope → typed request of every action → forms, rules and upstream bodies: nothing panics, a content
//! that was accepted is written as it was read, and what is sent upstream is JSON.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use dify_plugin::declare::{self, LoadedProvider, parameters};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Content, Inbound, Invocation, LlmRequest, ModelType, PromptMessage, Request, ToolCall};
use dify_plugin::runtime::form::{self, Form};
use dify_plugin_runtime::dialect::gemini::models::catalog::Catalog;
use dify_plugin_runtime::dialect::gemini::request::functions::NAMES;
use dify_plugin_runtime::dialect::gemini::agents::interactions;
use dify_plugin_runtime::dialect::gemini::request::parameters::{self as gemini_parameters, Parameters};
use dify_plugin_runtime::dialect::gemini::models::profile::{ModelProfile, Surface};
use dify_plugin_runtime::dialect::gemini::request::Conversation;
use dify_plugin_runtime::dialect::gemini::wire::GenerateContentRequest;
use dify_plugin_runtime::dialect::names::FunctionNames;
use dify_plugin_runtime::dialect::openai::profile::{
    AudioForm, DocumentForm, History, Mode, ReasoningBack, StructuredForm, SystemForm, ThinkingForm, ToolForm, UserForm,
    VideoForm,
};
use dify_plugin_runtime::dialect::openai::{Profile, chat_request};
use dify_plugin_runtime::dialect::tokens::estimate_prompt;
use libfuzzer_sys::fuzz_target;

static PROVIDERS: LazyLock<Vec<LoadedProvider>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    declare::load(&root).expect("the declarations of this plugin").providers
});

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let google = PROVIDERS.iter().find(|provider| provider.declaration.provider == "google").expect("Gemini");
    Catalog::new(google.models.iter().cloned().map(Arc::new).collect())
});

static PROFILES: LazyLock<[Profile; 3]> = LazyLock::new(|| {
    let full = Profile {
        video: VideoForm::VideoUrl,
        audio: AudioForm::InputAudio,
        document: DocumentForm::File,
        tools: ToolForm::ToolCall,
        thinking: ThinkingForm { template_kwargs: true, top_level: true, object: true },
        prefer_inline: true,
        history: History { merge: Some("\n\n".to_owned()), drops_empty: true, system: SystemForm::First },
        reasoning_back: ReasoningBack::Always,
        include_usage: true,
        user: Some(UserForm::default()),
        ..Profile::default()
    };
    let older = Profile { tools: ToolForm::FunctionCall, structured: StructuredForm::NativeAndPrompt, ..full.clone() };
    [full, older, Profile { mode: Mode::Completion, structured: StructuredForm::Prompt, ..Profile::default() }]
});

/// What is written is read as the same again.
fn round_trip(messages: &[PromptMessage]) {
    for message in messages {
        let content = serde_json::to_string(&message.content).expect("a content is JSON");
        assert_eq!(serde_json::from_str::<Content>(&content).expect("our own content"), message.content);
        let calls = serde_json::to_string(&message.tool_calls).expect("calls are JSON");
        assert_eq!(serde_json::from_str::<Vec<ToolCall>>(&calls).expect("our own calls"), message.tool_calls);
    }
}

fn gemini_body(request: &LlmRequest, profile: &ModelProfile, surface: Surface) -> Result<(), InvokeError> {
    let given = Parameters(&request.model_parameters);
    let mut body = GenerateContentRequest::default();
    gemini_parameters::apply(&mut body, &given, profile, surface, request.json_schema.as_ref())?;
    body.safety_settings = gemini_parameters::safety(&given, |_| None)?;
    Conversation {
        messages: &request.prompt_messages,
        tools: &request.tools,
        names: &FunctionNames::of(&request.tools, NAMES),
        choice: request.tool_choice.as_ref(),
        mode: given.text("tool_choice"),
        clip: gemini_parameters::clip(&given)?,
        profile,
        surface,
        remembered: &|_| None,
        distrust_signatures: false,
    }
    .fill(&mut body)?;
    serde_json::to_vec(&body).expect("a request is JSON");
    Ok(())
}

fn language_model(request: &mut LlmRequest) {
    round_trip(&request.prompt_messages);
    estimate_prompt(&request.prompt_messages, &request.tools);
    let _ = interactions::start(&request.target.model, &request.prompt_messages);
    let names = FunctionNames::of(&request.tools, chat_request::NAMES);
    for profile in PROFILES.iter() {
        if let Ok(body) = chat_request(&request.target.model, request, profile, &names) {
            serde_json::from_slice::<serde_json::Value>(&body).expect("a request is JSON");
        }
    }
    let like = CATALOG.like(&request.target.model, ModelType::Llm, None);
    let profile =
        like.map(|like| ModelProfile::of(&like.model).expect("declared data can be read")).unwrap_or_default();
    for surface in [Surface::Developer, Surface::Vertex] {
        // Every rejection has a message.
        let _ = gemini_body(request, &profile, surface);
    }
    let models = PROVIDERS.iter().flat_map(|provider| &provider.models);
    for model in models.filter(|model| !model.parameter_rules.is_empty()).take(2) {
        let _ = parameters::apply(&model.parameter_rules, &mut request.model_parameters.clone());
    }
}

fuzz_target!(|line: &[u8]| {
    let Ok(inbound) = Inbound::parse(line) else {
        Inbound::salvage_session_id(line);
        return;
    };
    let Some(data) = inbound.data else { return };
    let _ = inbound.origin();
    let mut request = match Invocation::parse(data.get()) {
        Ok(Invocation::Model(request)) => request,
        Ok(other) => {
            assert!(other.error_names().is_some() && !other.action().is_empty());
            return;
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(Request::ACTIONS.contains(&request.action()));
    for provider in PROVIDERS.iter() {
        for form in [Form::Provider, Form::Model] {
            if let Some(credentials) = request.credentials() {
                let _ = form::complete(&provider.declaration, form, Some(ModelType::Llm), &mut credentials.clone());
            }
        }
    }
    match &mut request {
        Request::InvokeLlm(request) | Request::StartPolling(request) => language_model(request),
        Request::LlmNumTokens(request) => round_trip(&request.prompt_messages),
        _ => {}
    }
});
