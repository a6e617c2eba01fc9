//! What the author of a tool, an endpoint, an agent strategy, a datasource or a trigger needs: `use dify_plugin::prelude::*;`.
//! Re-exports only. Model providers are written with [`crate::model`], and `serde` and `schemars` are the author's own choice.

pub use crate::declare::permission::Permission;
pub use crate::plugin::{
    AgentMessages, AgentStrategies, AgentStrategy, AgentUsage, AppSelector, BlobMeta, Body, Browse, Call, Choice,
    Crawl, CrawledPage, CredentialType, Credentials, DatasourceProvider, Datasources, Date, DateRange, Dify, DifyError,
    Dispatch, DocumentPage, Download, DriveFile, DriveFileKind, DriveFileRef, DriveListing, DynamicSelect, Endpoint,
    Event, EventOutcome, Events, File, FileKind, Incoming, Message, Messages, ModelSelector, OAuth, OAuthCredentials,
    OnlineDocument, OnlineDrive, PageContent, PageRef, Plugin, PluginError, RefreshRequest, Secret, SelectedTool, Span,
    Subscription, Tool, ToolProvider, Tools, TriggerProvider, VariableWriter, WebsiteCrawl, Workspace,
};
pub use crate::protocol::backwards::{ModelConfig, ToolType};
