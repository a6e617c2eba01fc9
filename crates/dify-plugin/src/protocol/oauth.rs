//! Authorization by OAuth 2.0, the same for tool, datasource and trigger providers.
//!
//! Source: `dify-plugin-daemon: pkg/entities/requests/oauth.go`, `pkg/entities/oauth_entities/oauth.go`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::credentials::Credentials;
use super::envelope::ErrorNames;
use super::flat::with_oauth_access;
use super::invocation::actions;
use super::lenient::{hex_bytes, null_default};

/// What all actions have in common.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OAuthAccess {
    /// Short name of the provider's declaration.
    pub provider: String,
    /// The callback URL, to be passed on unchanged.
    pub redirect_uri: String,
    /// What the administrator filled in: the client's ID and secret.
    pub system_credentials: Credentials,
    /// An account of the workspace; may be empty.
    pub user_id: String,
}

with_oauth_access! {
    /// `get_authorization_url`.
    pub struct AuthorizationUrlRequest {}
}

with_oauth_access! {
    /// `get_credentials`.
    pub struct OAuthCredentialsRequest {
        /// The request to the callback URL, with `code` and `state`; hexadecimal on the wire, bytes here.
        #[serde(deserialize_with = "hex_bytes")]
        pub raw_http_request: Vec<u8>,
    }
}

with_oauth_access! {
    /// `refresh_credentials`.
    pub struct RefreshCredentialsRequest {
        /// What `get_credentials` or the last refresh returned.
        #[serde(default, deserialize_with = "null_default")]
        pub credentials: Credentials,
    }
}

/// Every action of OAuth.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OAuthRequest {
    /// `get_authorization_url`
    AuthorizationUrl(AuthorizationUrlRequest),
    /// `get_credentials`
    Credentials(OAuthCredentialsRequest),
    /// `refresh_credentials`
    Refresh(RefreshCredentialsRequest),
}

actions! { OAuthRequest:
    "get_authorization_url" => AuthorizationUrl,
    "get_credentials" => Credentials,
    "refresh_credentials" => Refresh,
}

impl OAuthRequest {
    /// What all actions have in common.
    pub fn access(&self) -> &OAuthAccess {
        match self {
            Self::AuthorizationUrl(request) => &request.access,
            Self::Credentials(request) => &request.access,
            Self::Refresh(request) => &request.access,
        }
    }

    /// The names of this action's errors, for a tool provider; see [`DATASOURCE_ERRORS`] and [`TRIGGER_ERRORS`].
    pub fn error_names(&self) -> ErrorNames {
        ErrorNames::always("ToolProviderOAuthError")
    }
}

/// The names of errors for a datasource provider.
pub const DATASOURCE_ERRORS: ErrorNames = ErrorNames::always("DatasourceOAuthError");

/// The names of errors for a trigger provider.
pub const TRIGGER_ERRORS: ErrorNames = ErrorNames::always("TriggerProviderOAuthError");

/// The result of `get_authorization_url`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuthorizationUrl {
    /// Where the user's browser is sent.
    pub authorization_url: String,
}

/// The result of `get_credentials`; a refresh returns the same without `metadata`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OAuthCredentials {
    /// `name` and `avatar_url` of a datasource's account; of no use elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// The fields of `oauth_schema.credentials_schema`.
    pub credentials: Map<String, Value>,
    /// When they expire, in seconds since the Unix epoch; -1 is never.
    pub expires_at: i64,
}

impl OAuthCredentials {
    /// Credentials that do not expire.
    pub fn new(credentials: Map<String, Value>) -> Self {
        Self { metadata: None, credentials, expires_at: -1 }
    }

    /// Sets when they expire, in seconds since the Unix epoch.
    #[must_use]
    pub fn with_expiry(mut self, unix_seconds: i64) -> Self {
        self.expires_at = unix_seconds;
        self
    }

    /// Sets `name` and `avatar_url` of a datasource's account.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.metadata = Some(metadata);
        self
    }
}

impl std::fmt::Debug for OAuthCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.credentials.keys().collect();
        formatter.debug_struct("OAuthCredentials").field("credentials", &names).finish_non_exhaustive()
    }
}
