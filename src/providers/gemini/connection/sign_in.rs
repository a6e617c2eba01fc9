//! Credentials → who asks Google for tokens, and how far they may go.

use secrecy::SecretString;
use url::Url;

use crate::error::InvokeError;
use crate::protocol::Credentials;
use crate::upstream::google::{Identity, MachineAccess, Reach};

/// Who asks for tokens, how far they may go, and the project that the key file names.
pub(super) struct SignIn {
    pub(super) identity: Identity,
    pub(super) reach: Reach,
    pub(super) project: Option<String>,
}

impl SignIn {
    /// Of what was typed into the form.
    fn typed(identity: Identity, project: Option<String>) -> Self {
        Self { reach: identity.reach(), identity, project }
    }
}

pub(super) fn sign_in(method: &str, credentials: &Credentials, machine: &MachineAccess) -> Result<SignIn, InvokeError> {
    const KEY_FILE: &str = "google_service_account_json";
    match method {
        "service_account" => {
            let text = credentials.require(KEY_FILE)?;
            let identity = Identity::from_key_file(text, KEY_FILE, machine)?;
            if !matches!(identity, Identity::ServiceAccount { .. }) {
                return Err(InvokeError::credentials(format!(
                    "credential `{KEY_FILE}` is not a service account's key file"
                ))
                .with_hint("For other key files choose `application_default`."));
            }
            Ok(SignIn::typed(identity, Identity::project_of_key_file(text)))
        }
        "oauth_refresh_token" => {
            let required = |name| credentials.require(name).map(str::to_owned);
            let identity = Identity::RefreshToken {
                client_id: required("google_oauth_client_id")?,
                client_secret: SecretString::from(required("google_oauth_client_secret")?),
                refresh_token: SecretString::from(required("google_oauth_refresh_token")?),
                token_uri: token_uri(credentials)?,
            };
            Ok(SignIn::typed(identity, None))
        }
        "application_default" => match credentials.get(KEY_FILE) {
            Some(text) => {
                let identity = Identity::from_key_file(text, KEY_FILE, machine)?;
                Ok(SignIn::typed(identity, Identity::project_of_key_file(text)))
            }
            None => {
                let (identity, project) = machine.identity()?;
                Ok(SignIn { identity, reach: Reach::Google, project })
            }
        },
        other => Err(InvokeError::credentials(format!(
            "credential `auth_method` must be api_key, service_account, oauth_refresh_token, application_default or \
             vertex_express, found `{other}`"
        ))),
    }
}

/// Google's own endpoint, or one on this machine for a local stand-in.
fn token_uri(credentials: &Credentials) -> Result<Url, InvokeError> {
    let text = credentials.get("google_token_uri").unwrap_or(crate::upstream::google::TOKEN_ENDPOINT);
    crate::upstream::google::google_url(text)
        .ok_or_else(|| InvokeError::credentials("credential `google_token_uri` is not an address of Google's"))
}
