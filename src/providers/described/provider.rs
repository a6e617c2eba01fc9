//! The source of a provider's models: facts and credentials. What it is not: the calls, which are the same for every source
//! ([`crate::providers::compatible`]).

use std::sync::Arc;

use futures_util::future::BoxFuture;
use url::Url;

use super::connection::{base_url, endpoint, wire_name};
use super::custom_schema::{self, mode, voices, yes};
use super::errors::ErrorTable;
use super::facts::{ErrorClass, Facts, ModelBlocks, ModelFacts};
use super::model_facts::ModelTable;
use super::validation;
use super::values::CallValues;
use crate::dialect::openai::options::chat::ToolsOption;
use crate::dialect::openai::profile::{Mode, ToolForm};
use crate::providers::compatible::audio::{SpeechCall, TranscriptionCall};
use crate::providers::compatible::embeddings::EmbeddingCall;
use crate::providers::compatible::form_fields::file_url;
use crate::providers::compatible::model::{ChatForm, Form, LanguageVoice, Model, Source};
use crate::providers::compatible::moderation::ModerationCall;
use crate::providers::compatible::provider::Compatible;
use crate::providers::compatible::rerank::RerankCall;
use dify_plugin::declare::{FetchFrom, ModelSchema};
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, ResultFuture, Validated};
use dify_plugin::protocol::{Credentials, ModelRequest, ModelType, Target, ValidateProviderRequest, Voice};

/// A provider that facts describe.
pub struct Described {
    name: String,
    pub(super) facts: Facts,
    models: ModelTable,
    errors: ErrorTable,
}

impl Described {
    /// Creates the source of a provider.
    pub fn new(name: impl Into<String>, mut facts: Facts, models: ModelTable) -> Self {
        // They are in the table.
        facts.models = ModelBlocks::default();
        let errors: Vec<(String, ErrorClass)> =
            facts.errors.iter().map(|(word, class)| (word.clone(), *class)).collect();
        Self { name: name.into(), facts, models, errors: ErrorTable::new(&errors) }
    }

    /// Returns the values of a call to a model, whose name in them is still Dify's.
    pub(super) fn values<'c>(
        &self,
        credentials: &'c Credentials,
        model: &'c str,
        is_custom: bool,
    ) -> Result<CallValues<'c>, InvokeError> {
        let mut values = CallValues::new(credentials, model, &self.facts.former_fields);
        if is_custom {
            let custom = self.facts.custom.resolve("custom", &values)?;
            values.add_custom(&custom);
        }
        for (field, refused) in &self.facts.refuse {
            if let Some(value) = values.credentials.get(field)
                && let Some(reason) = refused.get(value)
            {
                return Err(InvokeError::credentials(format!("credential `{field}` is `{value}`: {reason}")));
            }
        }
        Ok(values)
    }

    /// Returns the facts about a model.
    pub(super) fn facts_of(&self, model_type: ModelType, model: &str) -> Result<Arc<ModelFacts>, InvokeError> {
        self.models.of(model_type, model)
    }

    fn make(&self, context: &CallContext, target: &Target, model_type: ModelType) -> Result<Model, InvokeError> {
        let schema = context.model.as_deref();
        let is_custom = schema.is_none_or(|schema| schema.fetch_from == FetchFrom::CustomizableModel);
        let mut values = self.values(&target.credentials, &target.model, is_custom)?;
        let facts = self.facts_of(model_type, &target.model)?;
        let name = wire_name(&facts, &values)?;
        values.model = &name;
        let mut endpoint = endpoint(&facts, &values)?;
        let form = self.form(schema, model_type, &facts, &values, is_custom)?;
        if let Form::Chat(form) = &form
            && let Some(retries) = form.retries
        {
            endpoint.retry.max_retries = retries;
        }
        Ok(Model::new(endpoint, name.clone(), form).with_hooks(Arc::new(self.errors.clone())))
    }

    fn form(
        &self,
        schema: Option<&ModelSchema>,
        model_type: ModelType,
        facts: &ModelFacts,
        values: &CallValues<'_>,
        is_custom: bool,
    ) -> Result<Form, InvokeError> {
        let number = |key: &str| schema.and_then(|schema| schema.number_property(key));
        let count = |key: &str| number(key).and_then(|number| usize::try_from(number).ok());
        Ok(match model_type {
            ModelType::Llm => Form::Chat(Box::new(chat(schema, facts, values, is_custom)?)),
            ModelType::TextEmbedding => Form::Embedding(Box::new(EmbeddingCall {
                form: (*facts.embedding.resolve("embedding", values)?).clone(),
                max_chunks: count("max_chunks"),
                context_size: number("context_size"),
                ..EmbeddingCall::default()
            })),
            ModelType::Rerank => Form::Rerank(Box::new(RerankCall {
                form: (*facts.rerank.resolve("rerank", values)?).clone(),
                ..RerankCall::default()
            })),
            ModelType::Tts => {
                let call = SpeechCall {
                    form: (*facts.tts.resolve("tts", values)?).clone(),
                    audio_type: text(schema, "audio_type"),
                    word_limit: count("word_limit"),
                    ..SpeechCall::default()
                };
                Form::Speech(Box::new(call), voices_of(schema, values))
            }
            ModelType::Speech2text => Form::Transcription(Box::new(TranscriptionCall {
                form: (*facts.speech2text.resolve("speech2text", values)?).clone(),
                file_upload_limit: number("file_upload_limit"),
                ..TranscriptionCall::default()
            })),
            ModelType::Moderation => Form::Moderation(Box::new(ModerationCall {
                form: (*facts.moderation.resolve("moderation", values)?).clone(),
                max_characters: count("max_characters_per_chunk"),
                max_chunks: count("max_chunks"),
                ..ModerationCall::default()
            })),
            other => return Err(custom_schema::unsupported(other)),
        })
    }
}

fn text(schema: Option<&ModelSchema>, key: &str) -> Option<String> {
    schema?.model_properties.get(key)?.as_str().map(str::to_owned)
}

/// Returns what a language model needs.
fn chat(
    schema: Option<&ModelSchema>,
    facts: &ModelFacts,
    values: &CallValues<'_>,
    is_custom: bool,
) -> Result<ChatForm, InvokeError> {
    let options = facts.chat.resolve("chat", values)?;
    let credentials = &*values.credentials;
    let assumed;
    let schema = match schema {
        Some(schema) => schema,
        None => {
            assumed = ModelSchema::customizable(values.model, ModelType::Llm);
            &assumed
        }
    };
    let mut profile = options.profile(schema);
    if is_custom && mode(credentials) == "completion" {
        profile.mode = Mode::Completion;
    }
    if is_custom && options.tools == ToolsOption::ByFeature {
        // The form decides about the format of tools, too, which features cannot express.
        profile.tools = match credentials.get("function_calling_type") {
            Some("function_call") => ToolForm::FunctionCall,
            Some("no_call") => ToolForm::None,
            _ => profile.tools,
        };
    }
    Ok(ChatForm { profile, file_url: file_url(credentials)?.map(str::to_owned), retries: options.retries })
}

/// Returns the declared voices of a model with their languages, the default one first; else those of the form.
fn voices_of(schema: Option<&ModelSchema>, values: &CallValues<'_>) -> Vec<LanguageVoice> {
    let properties = schema.map(|schema| &schema.model_properties);
    let listed = properties.and_then(|properties| properties.get("voices")?.as_array());
    let mut declared: Vec<LanguageVoice> = listed
        .into_iter()
        .flatten()
        .filter_map(|voice| {
            let value = voice.get("mode")?.as_str()?;
            let name = voice.get("name").and_then(|name| name.as_str()).unwrap_or(value);
            let languages = voice.get("language").and_then(|languages| languages.as_array());
            let languages = languages.into_iter().flatten().filter_map(|language| language.as_str().map(str::to_owned));
            Some(LanguageVoice { voice: Voice::new(name, value), languages: languages.collect() })
        })
        .collect();
    if declared.is_empty() {
        return voices(&values.credentials);
    }
    let default = properties.and_then(|properties| properties.get("default_voice")?.as_str());
    if let Some(at) = declared.iter().position(|voice| Some(voice.voice.value.as_str()) == default) {
        let voice = declared.remove(at);
        declared.insert(0, voice);
    }
    declared
}

impl Source for Described {
    fn name(&self) -> &str {
        &self.name
    }

    fn model<'a>(
        &'a self,
        context: &'a CallContext,
        target: &'a Target,
        model_type: ModelType,
    ) -> BoxFuture<'a, Result<Arc<Model>, InvokeError>> {
        let make = || self.make(context, target, model_type);
        Box::pin(std::future::ready(context.kept.get_or_make(target, model_type, make)))
    }

    fn schema(self: Arc<Self>, _context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        let made = || {
            let values = self.values(&request.target.credentials, &request.target.model, true)?;
            let custom = self.facts.custom.resolve("custom", &values)?;
            custom_schema::schema(&request.target.model, request.model_type, &custom, &values)
        };
        Box::pin(std::future::ready(made()))
    }

    fn validate_provider(
        self: Arc<Self>,
        context: CallContext,
        request: ValidateProviderRequest,
    ) -> ResultFuture<Validated> {
        Box::pin(validation::validate_provider(self, context, request))
    }

    fn validate_model(self: Arc<Self>, context: CallContext, request: ModelRequest) -> ResultFuture<Validated> {
        Box::pin(validation::validate_model(Compatible::of(self.clone()), self, context, request))
    }

    fn endpoints(&self, credentials: &Credentials) -> Result<Vec<Url>, InvokeError> {
        let values = self.values(credentials, "", true)?;
        Ok(vec![base_url(self.models.base(), &values, false)?.as_url().clone()])
    }
}

/// Whether validation streams and how many tokens it asks for, where a form selects it.
pub(super) fn streams_validation(credentials: &Credentials) -> bool {
    credentials.get("stream_mode_auth") == Some("use") || yes(credentials, "stream_mode_auth")
}
