//! Determines the Google credential that tokens are requested with, and its restrictions.

use secrecy::SecretString;
use url::Url;

use dify_plugin::config::machine::MachineAccess;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::Credentials;
use dify_plugin_google_auth::{GoogleCredential, Reach, machine_identity};

/// Credential that tokens are requested with, its restrictions, and the project in the key file.
pub(super) struct SignIn {
    pub(super) identity: GoogleCredential,
    pub(super) reach: Reach,
    pub(super) project: Option<String>,
}

impl SignIn {
    /// Creates the result for a credential that was entered in the form.
    fn typed(identity: GoogleCredential, project: Option<String>) -> Self {
        Self { reach: identity.reach(), identity, project }
    }
}

/// Fields of an OAuth client.
const OAUTH_FIELDS: [&str; 3] = ["google_oauth_client_id", "google_oauth_client_secret", "google_oauth_refresh_token"];

/// Returns the credential of an authentication method.
pub(super) fn sign_in(method: &str, credentials: &Credentials, machine: &MachineAccess) -> Result<SignIn, InvokeError> {
    const KEY_FILE: &str = "google_service_account_json";
    match method {
        // Everything that Google Cloud accepts: any type of credentials file, an OAuth client, or the machine's
        // identity.
        "service_account" => match credentials.get(KEY_FILE) {
            Some(_) => sign_in("application_default", credentials, machine),
            None if OAUTH_FIELDS.iter().any(|field| credentials.get(field).is_some()) => {
                sign_in("oauth_refresh_token", credentials, machine)
            }
            None if machine.allows_identity() => sign_in("application_default", credentials, machine),
            None => Err(InvokeError::credentials(format!("credential `{KEY_FILE}` is required but missing"))
                .with_hint("Paste a service account key or an ADC file, or enter an OAuth client.")),
        },
        "oauth_refresh_token" => {
            let [client_id, client_secret, refresh_token] = OAUTH_FIELDS.map(|name| credentials.require(name));
            let identity = GoogleCredential::RefreshToken {
                client_id: client_id?.to_owned(),
                client_secret: SecretString::from(client_secret?.to_owned()),
                refresh_token: SecretString::from(refresh_token?.to_owned()),
                token_uri: token_uri(credentials)?,
            };
            Ok(SignIn::typed(identity, None))
        }
        "application_default" => match credentials.get(KEY_FILE) {
            Some(text) => {
                let identity = GoogleCredential::from_key_file(text, KEY_FILE, machine)?;
                Ok(SignIn::typed(identity, GoogleCredential::project_of_key_file(text)))
            }
            None => {
                let (identity, project) = machine_identity(machine)?;
                Ok(SignIn { identity, reach: Reach::Google, project })
            }
        },
        other => Err(InvokeError::credentials(format!(
            "credential `auth_method` must be api_key, service_account, oauth_refresh_token, application_default or \
             vertex_express, found `{other}`"
        ))),
    }
}

/// Returns Google's token endpoint, or one on this machine for tests.
fn token_uri(credentials: &Credentials) -> Result<Url, InvokeError> {
    let text = credentials.get("google_token_uri").unwrap_or(dify_plugin_google_auth::TOKEN_ENDPOINT);
    dify_plugin_google_auth::google_url(text)
        .ok_or_else(|| InvokeError::credentials("credential `google_token_uri` is not a Google URL"))
}
