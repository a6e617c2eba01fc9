//! What the daemon asks of a tool provider, and the results of its single-result actions. The messages of a running tool
//! are in [`crate::protocol::tool_message`].
//!
//! Source: `dify-plugin-daemon: pkg/entities/requests/tool.go`, `pkg/entities/tool_entities/`.

use serde::Serialize;
use serde_json::{Map, Value};

use super::access::Access;
use super::envelope::ErrorNames;
use super::flat::with_access;
use super::invocation::actions;
use super::lenient::null_default;

with_access! {
    /// `invoke_tool`.
    pub struct InvokeToolRequest {
        /// Name of the tool's declaration.
        pub tool: String,
        /// Values by parameter name; a parameter that was not filled in is absent.
        #[serde(default, deserialize_with = "null_default")]
        pub tool_parameters: Map<String, Value>,
    }
}

with_access! {
    /// `validate_tool_credentials`.
    pub struct ValidateToolCredentialsRequest {}
}

with_access! {
    /// `get_tool_runtime_parameters`.
    pub struct ToolRuntimeParametersRequest {
        /// Name of the tool's declaration.
        pub tool: String,
    }
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
