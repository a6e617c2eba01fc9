//! Calls back into Dify: what a plugin requests of Dify while it works on a session, and what comes back.
//!
//! Types and their JSON only. How a line gets to the daemon and how its responses find their call is the runtime's; the
//! handle that authors use is `plugin::dify`.
//! Source: `dify-plugin-daemon: internal/core/dify_invocation/types.go`, `internal/core/io_tunnel/backwards_invocation/`,
//! `dify-plugin-sdks: src/dify_plugin/invocations/`.

mod app;
mod collect;
mod error;
mod event;
mod file;
mod llm;
mod model;
mod node;
mod storage;
mod tool;

pub use app::{AppEvent, AppInfo, AppInfoInvocation, AppInvocation, ResponseMode};
pub use collect::{LlmCollector, LlmResult};
pub use error::{DifyError, DifyErrorKind};
pub use event::BackwardsEvent;
pub use file::{UploadInvocation, UploadUrl, UploadedFile};
pub use llm::{LlmChunk, LlmInvocation, ModelConfig, SummaryInvocation, SummaryResult};
pub use model::{
    EmbeddingInvocation, ModelName, ModerationInvocation, RerankInvocation, ResultOf, Speech2TextInvocation,
    SpeechChunk, TtsInvocation,
};
pub use node::{
    NodeModel, NodeResult, ParameterExtractorInvocation, ParameterType, QuestionClass, QuestionClassifierInvocation,
    RequestedParameter,
};
pub use storage::{StorageInvocation, StorageOperation, StorageResult};
pub use tool::{ToolInvocation, ToolType};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A call that a plugin can make, and what each of its responses is read as.
pub trait BackwardsRequest: Serialize + Send + Sync {
    /// One response; a streamed call has any number of them.
    type Response: DeserializeOwned + Send + 'static;

    /// The type of the call on the wire.
    fn invoke_type(&self) -> InvokeType;
}

/// Every type of call that the daemon accepts from a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum InvokeType {
    /// A language model.
    Llm,
    /// A language model whose response follows a JSON schema.
    LlmStructuredOutput,
    /// A summary by the workspace's system model.
    SystemSummary,
    /// Vectors of texts.
    TextEmbedding,
    /// Vectors of texts and images.
    MultimodalEmbedding,
    /// Texts in order of relevance.
    Rerank,
    /// Texts and images in order of relevance.
    MultimodalRerank,
    /// Text to speech.
    Tts,
    /// Speech to text.
    Speech2text,
    /// Moderation.
    Moderation,
    /// A tool: of a plugin, of a workflow, of an API or of an MCP server.
    Tool,
    /// An app: chat, completion or workflow.
    App,
    /// What an app expects and offers.
    FetchApp,
    /// The parameter extractor node.
    NodeParameterExtractor,
    /// The question classifier node.
    NodeQuestionClassifier,
    /// The plugin's own storage.
    Storage,
    /// A signed URL for an upload.
    UploadFile,
}

impl InvokeType {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Llm,
        Self::LlmStructuredOutput,
        Self::SystemSummary,
        Self::TextEmbedding,
        Self::MultimodalEmbedding,
        Self::Rerank,
        Self::MultimodalRerank,
        Self::Tts,
        Self::Speech2text,
        Self::Moderation,
        Self::Tool,
        Self::App,
        Self::FetchApp,
        Self::NodeParameterExtractor,
        Self::NodeQuestionClassifier,
        Self::Storage,
        Self::UploadFile,
    ];

    /// The type of this name; `None` if Dify has no such call.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::LlmStructuredOutput => "llm_structured_output",
            Self::SystemSummary => "system_summary",
            Self::TextEmbedding => "text_embedding",
            Self::MultimodalEmbedding => "multimodal_embedding",
            Self::Rerank => "rerank",
            Self::MultimodalRerank => "multimodal_rerank",
            Self::Tts => "tts",
            Self::Speech2text => "speech2text",
            Self::Moderation => "moderation",
            Self::Tool => "tool",
            Self::App => "app",
            Self::FetchApp => "fetch_app",
            Self::NodeParameterExtractor => "node_parameter_extractor",
            Self::NodeQuestionClassifier => "node_question_classifier",
            Self::Storage => "storage",
            Self::UploadFile => "upload_file",
        }
    }
}

#[cfg(test)]
mod tests;
