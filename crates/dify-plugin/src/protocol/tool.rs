//! What the daemon asks of a tool provider, and the results of its single-result actions. The messages of a running tool
//! are in [`crate::protocol::tool_message`].
//!
//! Source: `dify-plugin-daemon: pkg/entities/requests/tool.go`, `pkg/entities/tool_entities/`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::{Access, CredentialType};
use super::credentials::Credentials;
use super::envelope::ErrorNames;
use super::invocation::actions;
use super::lenient::{lenient, null_default};

/// `invoke_tool`.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "InvokeToolFields")]
#[non_exhaustive]
pub struct InvokeToolRequest {
    /// Provider, credentials and user.
    pub access: Access,
    /// Name of the tool's declaration.
    pub tool: String,
    /// Values by parameter name; a parameter that was not filled in is absent.
    pub tool_parameters: Map<String, Value>,
}

/// The same as it is on the wire. To flatten [`Access`] instead, all values would be read twice.
#[derive(Deserialize)]
struct InvokeToolFields {
    provider: String,
    #[serde(default, deserialize_with = "null_default")]
    credentials: Credentials,
    #[serde(default, deserialize_with = "lenient")]
    credential_type: Option<CredentialType>,
    #[serde(default, deserialize_with = "lenient")]
    user_id: String,
    tool: String,
    #[serde(default, deserialize_with = "null_default")]
    tool_parameters: Map<String, Value>,
}

impl From<InvokeToolFields> for InvokeToolRequest {
    fn from(fields: InvokeToolFields) -> Self {
        let InvokeToolFields { provider, credentials, credential_type, user_id, tool, tool_parameters } = fields;
        Self { access: Access { provider, credentials, credential_type, user_id }, tool, tool_parameters }
    }
}

/// `validate_tool_credentials`.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct ValidateToolCredentialsRequest {
    /// Provider, credentials and user.
    #[serde(flatten)]
    pub access: Access,
}

/// `get_tool_runtime_parameters`.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct ToolRuntimeParametersRequest {
    /// Provider, credentials and user.
    #[serde(flatten)]
    pub access: Access,
    /// Name of the tool's declaration.
    pub tool: String,
}

/// Every action of a tool provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ToolRequest {
    /// `invoke_tool`
    Invoke(InvokeToolRequest),
    /// `validate_tool_credentials`
    ValidateCredentials(ValidateToolCredentialsRequest),
    /// `get_tool_runtime_parameters`
    RuntimeParameters(ToolRuntimeParametersRequest),
}

actions! { ToolRequest:
    "invoke_tool" => Invoke,
    "validate_tool_credentials" => ValidateCredentials,
    "get_tool_runtime_parameters" => RuntimeParameters,
}

impl ToolRequest {
    /// Provider, credentials and user.
    pub fn access(&self) -> &Access {
        match self {
            Self::Invoke(request) => &request.access,
            Self::ValidateCredentials(request) => &request.access,
            Self::RuntimeParameters(request) => &request.access,
        }
    }

    /// The names of this action's errors.
    pub fn error_names(&self) -> ErrorNames {
        const CREDENTIALS: &str = "ToolProviderCredentialValidationError";
        match self {
            Self::ValidateCredentials(_) => ErrorNames::always(CREDENTIALS),
            _ => ErrorNames::with_credentials(CREDENTIALS),
        }
    }
}

/// The result of every `validate_…_credentials`. Credentials that are not valid are an error, which explains why; this
/// result alone would be shown without an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ValidationResult {
    /// Always true.
    pub result: bool,
}

impl ValidationResult {
    /// Valid credentials.
    pub const VALID: Self = Self { result: true };
}

/// The result of `get_tool_runtime_parameters`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuntimeParameters {
    /// Declarations of parameters, in the form of a tool's YAML.
    pub parameters: Vec<Value>,
}
