//! The service that answers: shared state of all calls, and the account of one call, which sends its requests.
//!
//! A request is one `generateContent`. What its answer means to a tool is the tool's own matter.

use std::time::Duration;

use dify_plugin::config::machine::MachineAccess;
use dify_plugin::error::ErrorKind;
use dify_plugin::prelude::*;
use dify_plugin::serde_json::Value;
use dify_plugin_gemini::answer::Answer;
use dify_plugin_gemini::connection::{Connection, TokenSources};
use dify_plugin_gemini::extras::Rejections;
use dify_plugin_gemini::files::Files;
use dify_plugin_gemini::finish;
use dify_plugin_gemini::generate::{GENERATE, Generation};
use dify_plugin_gemini::safety::{SAFETY, THRESHOLDS};
use dify_plugin_gemini::validate;
use dify_plugin_gemini::wire::{Content, GenerateContentRequest, Part, SafetySetting};

/// How long a request may wait for its response, unless the form sets a timeout: a complete response arrives at once,
/// after all thinking. Dify ends a session after 600 s.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(580);

/// Maximum bytes of a response: several 4K images in Base64, or ten minutes of audio.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// The credential that sets the filters of all adjustable harm categories.
const SAFETY_FILTER: &str = "safety_filter";

/// State shared by all calls: tokens, uploaded files and rejected fields, each by credentials.
#[derive(Default)]
pub struct Service {
    tokens: TokenSources,
    rejections: Rejections,
    pub files: Files,
}

impl Service {
    /// Creates the state. `machine` is what the credential form may use of this machine.
    pub fn new(machine: MachineAccess) -> Self {
        Self { tokens: TokenSources::new(machine), ..Self::default() }
    }

    /// Reads the credentials of a call.
    pub fn account<'a>(&'a self, call: &'a Call) -> Result<Account<'a>, PluginError> {
        let mut connection = Connection::new(&call.credentials, call.upstream(), &self.tokens)?;
        connection.extend_timeouts(RESPONSE_TIMEOUT);
        Ok(Account { service: self, call, connection, safety: safety(&call.credentials)? })
    }
}

/// The account that a call uses.
pub struct Account<'a> {
    pub service: &'a Service,
    pub call: &'a Call,
    pub connection: Connection,
    safety: Vec<SafetySetting>,
}

/// An answer, and the members of its grounding metadata that only tools use.
pub struct Reply {
    pub answer: Answer,
    pub grounding: Value,
}

impl Account<'_> {
    /// Sends a request and reads the answer. An answer that ends normally without content is requested once more,
    /// because the second one mostly has content.
    pub async fn ask(&self, model: &str, mut request: GenerateContentRequest) -> Result<Reply, PluginError> {
        request.safety_settings.clone_from(&self.safety);
        let first = self.send(model, &mut request).await?;
        match first.answer.parts.is_empty() && finish::retryable_by_class(&first.answer.ended.reason) {
            true => self.send(model, &mut request).await,
            false => Ok(first),
        }
    }

    /// Sends a request once.
    pub async fn send(&self, model: &str, request: &mut GenerateContentRequest) -> Result<Reply, PluginError> {
        let url = self.connection.model_url(model, GENERATE)?;
        let sent = self.generation(model).send(&url, request, MAX_RESPONSE_BYTES).await;
        let mut response = sent.map_err(|error| naming(error, model))?;
        let answer = Answer::read(&response).map_err(explained)?;
        let grounding = response.pointer_mut("/candidates/0/groundingMetadata").map(Value::take);
        Ok(Reply { answer, grounding: grounding.unwrap_or_default() })
    }

    /// What the requests of a call have in common.
    pub fn generation<'b>(&'b self, model: &'b str) -> Generation<'b> {
        Generation {
            upstream: self.call.upstream(),
            connection: &self.connection,
            rejections: &self.service.rejections,
            credentials: &self.call.credentials,
            model,
            app_id: self.call.app_id.as_deref(),
        }
    }

    /// Validates the credentials with a request that costs nothing.
    pub async fn validate(&self) -> Result<(), PluginError> {
        validate::provider(self.call.upstream(), &self.connection).await
    }
}

/// Returns a request with one turn of the user.
pub fn question(parts: Vec<Part>) -> GenerateContentRequest {
    let content = Content { role: Some("user".to_owned()), parts };
    GenerateContentRequest { contents: vec![content], ..GenerateContentRequest::default() }
}

/// Names the model in the error for a request that it does not support, or if it does not exist, and says what to do
/// where Google does not.
pub fn naming(error: PluginError, model: &str) -> PluginError {
    let is_of_model = matches!(error.status, Some(400 | 404)) && error.kind == ErrorKind::BadRequest;
    let error = match is_of_model && !error.message.contains(model) {
        true => {
            let message = format!("model `{model}`: {}", error.message);
            error.with_message(message)
        }
        false => error,
    };
    match (&error.hint, error.kind) {
        (None, ErrorKind::BadRequest) if is_of_model => {
            error.with_hint("The model may not support this. Choose another model, or leave parameters empty.")
        }
        (None, ErrorKind::RateLimit) => {
            error.with_hint("The quota of the key or the project is used up for now. Try again later, or raise it.")
        }
        _ => error,
    }
}

/// Replaces hints that name parameters of models with what the user of a tool can do.
pub fn explained(error: PluginError) -> PluginError {
    let hint = match error.code.as_deref() {
        Some("SAFETY" | "IMAGE_SAFETY") => {
            "Rephrase the request. The credential `safety_filter` of this plugin sets how strict Google's filters are."
        }
        Some("MAX_TOKENS") => "The answer exceeds the model's output limit. Ask for less, or choose another model.",
        Some("IMAGE_PROHIBITED_CONTENT" | "IMAGE_RECITATION" | "IMAGE_OTHER" | "NO_IMAGE") => {
            "Rephrase the request, and describe what the image is to show."
        }
        _ => return error,
    };
    error.with_hint(hint)
}

/// Reads the safety filter of the credentials; without one, Google's default applies.
fn safety(credentials: &Credentials) -> Result<Vec<SafetySetting>, PluginError> {
    let Some(wanted) = credentials.get(SAFETY_FILTER).filter(|wanted| *wanted != "default") else {
        return Ok(Vec::new());
    };
    let threshold = THRESHOLDS.into_iter().find(|known| known.eq_ignore_ascii_case(wanted)).ok_or_else(|| {
        let known = THRESHOLDS.join(", ");
        PluginError::credentials(format!("credential `{SAFETY_FILTER}` must be one of {known}, found `{wanted}`"))
    })?;
    Ok(SAFETY.map(|(_, category)| SafetySetting { category, threshold }).to_vec())
}
