//! What each call needs of the manifest, and what a plugin says that it needs.

use crate::declare::permission::{Permission, Permissions};
use crate::declare::{Code, Problem};
use crate::protocol::backwards::{DifyError, DifyErrorKind, InvokeType};

/// What the manifest must grant for a call; an upload needs nothing.
pub fn needed(call: InvokeType) -> Option<Permission> {
    Some(match call {
        InvokeType::Llm | InvokeType::LlmStructuredOutput | InvokeType::SystemSummary => Permission::Llm,
        InvokeType::TextEmbedding | InvokeType::MultimodalEmbedding => Permission::TextEmbedding,
        InvokeType::Rerank | InvokeType::MultimodalRerank => Permission::Rerank,
        InvokeType::Tts => Permission::Tts,
        InvokeType::Speech2text => Permission::Speech2text,
        InvokeType::Moderation => Permission::Moderation,
        InvokeType::Tool => Permission::Tool,
        InvokeType::App | InvokeType::FetchApp => Permission::App,
        InvokeType::NodeParameterExtractor | InvokeType::NodeQuestionClassifier => Permission::Node,
        InvokeType::Storage => Permission::Storage,
        InvokeType::UploadFile => return None,
    })
}

/// The failure of a call whose permission the manifest does not grant.
pub(super) fn denied(permission: Permission) -> DifyError {
    let (block, key) = permission.keys();
    let name = key.map_or_else(|| block.to_owned(), |key| format!("{block}.{key}"));
    DifyError::new(
        DifyErrorKind::PermissionDenied,
        format!("the call needs the permission `{name}`, which the plugin's manifest.yaml does not request"),
    )
    .with_hint(format!("Add these lines to manifest.yaml and install the plugin again:\n{}", permission.yaml()))
}

/// Compares what a plugin says that it needs with its manifest: what is missing is an error, and what is requested without
/// need is a warning, because users see it before they install the plugin. A plugin that says nothing is not compared.
pub fn compare(needs: &[Permission], granted: &Permissions) -> Vec<Problem> {
    let problem = |code, permission: Permission, message| {
        let (block, key) = permission.keys();
        let path = format!("resource.permission.{block}.{}", key.unwrap_or("enabled"));
        Problem::new(code, "manifest.yaml", &path, message)
    };
    let missing = |permission: &Permission| needs.contains(permission) && !granted.has(*permission);
    // Endpoints are declared, not called.
    let spare = |permission: &Permission| {
        !needs.is_empty()
            && granted.has(*permission)
            && !needs.contains(permission)
            && *permission != Permission::Endpoint
    };
    let missing = Permission::ALL.into_iter().filter(missing).map(|permission| {
        // A problem is one line.
        let (block, _) = permission.keys();
        let message = format!(
            "the plugin needs this permission, and the manifest does not request it; write `{block}: {{{}}}` below \
             `resource.permission`",
            permission.members().join(", ")
        );
        problem(Code::NeededPermission, permission, message)
    });
    let spare = Permission::ALL.into_iter().filter(spare).map(|permission| {
        problem(Code::SparePermission, permission, "the plugin does not say that it needs this permission".to_owned())
    });
    missing.chain(spare).collect()
}
