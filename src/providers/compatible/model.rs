//! A model behind an OpenAI-compatible API that is ready to be called, and where such models come from. What it is not: the
//! calls, which [`super::provider`] makes for every source alike.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use url::Url;

use super::Endpoint;
use super::audio::{SpeechCall, TranscriptionCall};
use super::embeddings::EmbeddingCall;
use super::moderation::ModerationCall;
use super::rerank::RerankCall;
use crate::dialect::StreamMapper;
use crate::dialect::openai::{ChatMapper, MapperOptions, Profile};
use dify_plugin::declare::ModelSchema;
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, ResultFuture, Validated, Variables};
use dify_plugin::protocol::{
    Credentials, EmbeddingInputType, LlmDelta, LlmRequest, ModelRequest, ModelType, Target, ValidateProviderRequest,
    Voice,
};

/// A model that is ready to be called.
#[derive(Clone)]
pub struct Model {
    /// URL and credential.
    pub endpoint: Arc<Endpoint>,
    /// Name of the model in requests.
    pub name: String,
    /// What calls of its type need.
    pub form: Form,
    /// What the source changes about calls.
    pub hooks: Arc<dyn Hooks>,
}

/// What calls of a model type need.
#[derive(Clone)]
pub enum Form {
    /// A language model.
    Chat(Box<ChatForm>),
    /// An embedding model.
    Embedding(Box<EmbeddingCall>),
    /// A rerank model.
    Rerank(Box<RerankCall>),
    /// A text-to-speech model.
    Speech(Box<SpeechCall>, Vec<LanguageVoice>),
    /// A speech-to-text model.
    Transcription(Box<TranscriptionCall>),
    /// A moderation model.
    Moderation(Box<ModerationCall>),
}

/// What calls of a language model need.
#[derive(Clone, Debug, Default)]
pub struct ChatForm {
    /// Variant of the dialect.
    pub profile: Profile,
    /// URL of Dify's files, which are downloaded and sent with the request.
    pub file_url: Option<String>,
    /// Maximum number of retries, if it is not the connection's.
    pub retries: Option<u32>,
}

/// A voice, and the languages that it speaks; none is all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanguageVoice {
    /// The voice.
    pub voice: Voice,
    /// Its languages.
    pub languages: Vec<String>,
}

/// What a source changes about calls. By default nothing.
pub trait Hooks: Send + Sync {
    /// Changes a request to a language model before it is sent, or rejects it.
    fn prepare(&self, _request: &mut LlmRequest) -> Result<(), InvokeError> {
        Ok(())
    }

    /// Changes how a response is read.
    fn options(&self, _request: &LlmRequest, _options: &mut MapperOptions) {}

    /// Wraps the mapper of a response.
    fn mapper(&self, _request: &LlmRequest, mapper: ChatMapper) -> Box<dyn StreamMapper<Item = LlmDelta>> {
        Box::new(mapper)
    }

    /// Changes the voice of a text-to-speech request; `None` is the server's choice.
    fn voice(&self, voice: Option<String>) -> Option<String> {
        voice
    }

    /// Explains an error of any call.
    fn failed(&self, error: InvokeError) -> InvokeError {
        error
    }

    /// Explains an error of a language model, or makes a response of it.
    fn answered(&self, error: InvokeError) -> Result<LlmDelta, InvokeError> {
        Err(self.failed(error))
    }

    /// Returns the tokens of an embedding request; `is_whole` is whether it was one request.
    fn embedding_tokens(&self, counted: Option<u64>, estimate: u64, _is_whole: bool) -> u64 {
        counted.unwrap_or(estimate)
    }
}

/// No changes.
pub struct NoHooks;

impl Hooks for NoHooks {}

/// Where models come from: facts, a credential form, a server.
pub trait Source: Send + Sync + 'static {
    /// The `provider` of the declaration.
    fn name(&self) -> &str;

    /// Reads the credentials of a target and returns the model that they name. Where it follows from them alone, it is kept in
    /// [`CallContext::kept`].
    fn model<'a>(
        &'a self,
        context: &'a CallContext,
        target: &'a Target,
        model_type: ModelType,
    ) -> BoxFuture<'a, Result<Arc<Model>, InvokeError>>;

    /// Returns the schema of a model that no file declares.
    fn schema(self: Arc<Self>, context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema>;

    /// Returns the schema against which a call is checked.
    fn call_schema(self: Arc<Self>, context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        self.schema(context, request)
    }

    /// Whether the schemas of calls follow from the credentials alone, and not from a server.
    fn schemas_follow_from_credentials(&self) -> bool {
        true
    }

    /// Returns the voices of a model, where the server has to be asked; `None` are those of its form.
    fn voices<'a>(
        &'a self,
        _context: &'a CallContext,
        _target: &'a Target,
    ) -> BoxFuture<'a, Result<Option<Vec<LanguageVoice>>, InvokeError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Validates the credentials of a provider.
    fn validate_provider(
        self: Arc<Self>,
        context: CallContext,
        _request: ValidateProviderRequest,
    ) -> ResultFuture<Validated> {
        let message = format!("provider `{}` has no provider credentials", context.declaration.provider);
        Box::pin(std::future::ready(Err(InvokeError::bad_request(message))))
    }

    /// Validates the credentials of a model. Usually the smallest call: [`super::smallest::call`].
    fn validate_model(self: Arc<Self>, context: CallContext, request: ModelRequest) -> ResultFuture<Validated>;

    /// Returns where requests with these credentials go.
    fn endpoints(&self, credentials: &Credentials) -> Result<Vec<Url>, InvokeError>;

    /// Whether models may read images for embedding and rerank. Otherwise such calls are rejected, even with texts only.
    fn is_multimodal(&self) -> bool {
        true
    }

    /// Returns the environment variables that supply credential fields.
    fn variables(&self) -> Variables {
        &[]
    }
}

impl Model {
    /// Makes a model without hooks.
    pub fn new(endpoint: Endpoint, name: impl Into<String>, form: Form) -> Self {
        Self { endpoint: Arc::new(endpoint), name: name.into(), form, hooks: Arc::new(NoHooks) }
    }

    /// Sets the hooks.
    #[must_use]
    pub fn with_hooks(mut self, hooks: Arc<dyn Hooks>) -> Self {
        self.hooks = hooks;
        self
    }

    fn mismatch(&self, wanted: &str) -> InvokeError {
        InvokeError::bad_request(format!("model `{}` is not {wanted} model", self.name))
    }

    pub(super) fn chat(&self) -> Result<&ChatForm, InvokeError> {
        if let Form::Chat(form) = &self.form { Ok(form) } else { Err(self.mismatch("a language")) }
    }

    pub(super) fn embedding(&self, user: &str, input_type: EmbeddingInputType) -> Result<EmbeddingCall, InvokeError> {
        let Form::Embedding(call) = &self.form else { return Err(self.mismatch("an embedding")) };
        let user = Some(user.to_owned()).filter(|user| !user.is_empty());
        Ok(EmbeddingCall { model: self.name.clone(), user, input_type, ..(**call).clone() })
    }

    pub(super) fn rerank(&self, threshold: Option<f64>, top_n: Option<u64>) -> Result<RerankCall, InvokeError> {
        let Form::Rerank(call) = &self.form else { return Err(self.mismatch("a rerank")) };
        Ok(RerankCall { model: self.name.clone(), threshold, top_n, ..(**call).clone() })
    }

    pub(super) fn speech(&self) -> Result<(SpeechCall, &[LanguageVoice]), InvokeError> {
        let Form::Speech(call, voices) = &self.form else { return Err(self.mismatch("a text-to-speech")) };
        Ok((SpeechCall { model: self.name.clone(), ..(**call).clone() }, voices))
    }

    pub(super) fn transcription(&self) -> Result<TranscriptionCall, InvokeError> {
        let Form::Transcription(call) = &self.form else { return Err(self.mismatch("a speech-to-text")) };
        Ok(TranscriptionCall { model: self.name.clone(), ..(**call).clone() })
    }

    pub(super) fn moderation(&self) -> Result<ModerationCall, InvokeError> {
        let Form::Moderation(call) = &self.form else { return Err(self.mismatch("a moderation")) };
        Ok(ModerationCall { model: self.name.clone(), ..(**call).clone() })
    }
}
