//! What the requests of tools, datasources, triggers and dynamic options have in common: whose provider is asked, with
//! which credentials, for which user.

use serde::{Deserialize, Deserializer};

use super::credentials::Credentials;

/// Provider, credentials and user of a request.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Access {
    /// Short name of the provider's declaration.
    pub provider: String,
    /// What the user filled in, decrypted; empty for a provider without credentials.
    pub credentials: Credentials,
    /// How the credentials were obtained; some actions do not name it.
    pub credential_type: Option<CredentialType>,
    /// An account or an end user of an app, or `system`; may be empty.
    pub user_id: String,
}

/// How credentials were obtained.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialType {
    /// The user typed them.
    ApiKey,
    /// An authorization by OAuth.
    OAuth2,
    /// There are none.
    Unauthorized,
    /// Anything newer.
    Other(String),
}

impl<'de> Deserialize<'de> for CredentialType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(match name.as_str() {
            "" => return Err(serde::de::Error::custom("no credential type")),
            "api-key" => Self::ApiKey,
            "oauth2" => Self::OAuth2,
            "unauthorized" => Self::Unauthorized,
            _ => Self::Other(name),
        })
    }
}
