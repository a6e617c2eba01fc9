//! How a provider expects embedding requests, and their bodies. As YAML: the block `embedding`.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::dialect::openai::multimodal;
use dify_plugin::protocol::EmbeddingInputType;

/// Number of texts per request of a model that declares none.
const DEFAULT_BATCH: usize = 16;

/// Number of concurrent requests.
const DEFAULT_PARALLEL: usize = 4;

/// How texts are sent to `POST /embeddings`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingForm {
    /// Maximum number of texts per request. Default: `max_chunks` of the model, else 16.
    pub batch: Option<NonZeroUsize>,
    /// Maximum number of concurrent requests. Default: 4.
    pub parallel: Option<NonZeroUsize>,
    /// `encoding_format`: `float`, `base64` or `none` (not sent). Both formats are understood in responses. Default:
    /// `none`.
    pub format: EncodingFormat,
    /// Whether the ID of the end user is sent as `user`. Default: false.
    pub user: bool,
    /// A member that distinguishes queries from documents. Default: none.
    pub input_type: Option<InputTypeMember>,
    /// Texts before each query and each document, separated from it by a blank. Default: none.
    pub prefix: Prefix,
    /// More members of the body. Default: none.
    pub body: Map<String, Value>,
    /// `list`: `input` is a list of texts; `objects`: a list of `{"text"}`; `single`: one text, with a request for each.
    /// Default: `list`.
    pub input: InputForm,
    /// Whether texts are truncated to `context_size` of the model. Default: true.
    pub cut: Option<bool>,
    /// How texts and images of a multimodal model are sent: `objects` (`{"text"}` and `{"image"}` in `input`) or
    /// `messages` (images in `messages`, one per request, as vLLM reads them). Default: images are rejected.
    pub multimodal: Option<MultimodalInput>,
}

/// Format of embeddings in responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EncodingFormat {
    /// Arrays of numbers.
    Float,
    /// Base64 of 32-bit floats.
    Base64,
    /// Not sent.
    #[default]
    #[serde(alias = "not_set")]
    None,
}

/// A member of the body that distinguishes queries from documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputTypeMember {
    /// Name of the member (`input_type`, `task`).
    pub field: String,
    /// Its value for queries.
    pub query: String,
    /// Its value for documents.
    pub document: String,
}

/// Texts before queries and documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Prefix {
    /// Text before each query. Default: none.
    pub query: Option<String>,
    /// Text before each document. Default: none.
    pub document: Option<String>,
}

/// Format of `input`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputForm {
    /// A list of texts.
    #[default]
    List,
    /// A list of `{"text"}`.
    Objects,
    /// One text.
    Single,
}

/// Format of the inputs of a multimodal model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MultimodalInput {
    /// `{"text"}` and `{"image"}` in `input`.
    Objects,
    /// Images in `messages`, one per request.
    Messages,
}

impl EmbeddingForm {
    /// Returns the maximum number of texts per request for a model that declares this `max_chunks`.
    pub fn batch_size(&self, max_chunks: Option<usize>) -> usize {
        match self.input {
            InputForm::Single => 1,
            InputForm::List | InputForm::Objects => {
                self.batch.map(NonZeroUsize::get).or(max_chunks).unwrap_or(DEFAULT_BATCH).max(1)
            }
        }
    }

    /// Returns the maximum number of concurrent requests.
    pub fn parallel_requests(&self) -> usize {
        self.parallel.map_or(DEFAULT_PARALLEL, NonZeroUsize::get)
    }

    /// Adds the prefix of queries or documents to a text.
    pub fn prefixed(&self, text: String, purpose: EmbeddingInputType) -> String {
        let prefix = match purpose {
            EmbeddingInputType::Query => &self.prefix.query,
            _ => &self.prefix.document,
        };
        match prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            Some(prefix) => format!("{prefix} {text}"),
            None => text,
        }
    }

    /// Returns texts as they are sent.
    pub fn inputs(&self, texts: Vec<String>) -> Vec<Value> {
        match self.input {
            InputForm::Objects => texts.into_iter().map(|text| json!({"text": text})).collect(),
            InputForm::List | InputForm::Single => texts.into_iter().map(Value::from).collect(),
        }
    }

    /// Returns the body of a request for these inputs.
    pub fn request(
        &self,
        model: &str,
        mut inputs: Vec<Value>,
        user: Option<&str>,
        purpose: EmbeddingInputType,
    ) -> Map<String, Value> {
        let input = match (self.input, inputs.len()) {
            (InputForm::Single, 1) => inputs.remove(0),
            _ => inputs.into(),
        };
        self.completed(model, ("input", input), user, purpose)
    }

    /// Returns the body of a request for one image, as vLLM reads it: a conversation that the model's template turns
    /// into
    /// its prompt.
    pub fn image_request(
        &self,
        model: &str,
        image: String,
        user: Option<&str>,
        purpose: EmbeddingInputType,
    ) -> Map<String, Value> {
        let text = |text: &str| json!({"type": "text", "text": text});
        let image = json!({"type": "image_url", "image_url": {"url": multimodal::image_url(image)}});
        let messages = json!([
            {"role": "system", "content": [text("Represent the user's input.")]},
            {"role": "user", "content": [image, text("")]},
            {"role": "assistant", "content": [text("")]},
        ]);
        let mut body = self.completed(model, ("messages", messages), user, purpose);
        body.entry("continue_final_message").or_insert(true.into());
        body.entry("add_special_tokens").or_insert(true.into());
        body
    }

    fn completed(
        &self,
        model: &str,
        (name, input): (&str, Value),
        user: Option<&str>,
        purpose: EmbeddingInputType,
    ) -> Map<String, Value> {
        let mut body = Map::from_iter([("model".to_owned(), model.into()), (name.to_owned(), input)]);
        let mut add = |name: &str, value: &str| _ = body.insert(name.to_owned(), value.into());
        match self.format {
            EncodingFormat::Float => add("encoding_format", "float"),
            EncodingFormat::Base64 => add("encoding_format", "base64"),
            EncodingFormat::None => {}
        }
        if let Some(user) = user.filter(|user| self.user && !user.is_empty()) {
            add("user", user);
        }
        if let Some(member) = &self.input_type {
            let value = match purpose {
                EmbeddingInputType::Query => &member.query,
                _ => &member.document,
            };
            add(&member.field, value);
        }
        body.extend(self.body.clone());
        body
    }
}
