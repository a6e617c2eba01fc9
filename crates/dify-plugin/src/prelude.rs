//! What the author of a tool, an endpoint, an agent strategy, a datasource or a trigger needs: `use dify_plugin::prelude::*;`.
//! Re-exports only. Model providers are written with [`crate::model`], and `serde` and `schemars` are the author's own choice.

pub use crate::declare::permission::Permission;
pub use crate::plugin::{
    AgentMessages, AgentStrategies, AgentStrategy, AgentUsage, BlobMeta, Body, Browse, Call, Choice, Crawl,
    CrawledPage, CredentialType, Credentials, DatasourceProvider, Datasources, Dify, DifyError, Dispatch, DocumentPage,
    Download, DriveFile, DriveFileKind, DriveFileRef, DriveListing, Endpoint, Event, EventOutcome, Events, Incoming,
    Message, Messages, OAuth, OAuthCredentials, OnlineDocument, OnlineDrive, PageContent, PageRef, Plugin, PluginError,
    RefreshRequest, Span, Subscription, Tool, ToolProvider, Tools, TriggerProvider, VariableWriter, WebsiteCrawl,
    Workspace,
};
pub use crate::protocol::backwards::{ModelConfig, ToolType};
