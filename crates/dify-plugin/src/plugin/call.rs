//! What every hook of a plugin gets: who calls, from where in Dify, with which credentials.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::Dify;
use crate::protocol::access::CredentialType;
use crate::protocol::credentials::Credentials;
use crate::protocol::envelope::Origin;
use crate::upstream::Upstream;

/// One call of a plugin. Cloning is cheap but for the credentials.
#[derive(Clone)]
#[non_exhaustive]
pub struct Call {
    /// Names the session in logs.
    pub session_id: Arc<str>,
    /// An account or an end user of an app, by its ID in Dify. Endpoints and dispatched triggers have none.
    pub user_id: Option<Arc<str>>,
    /// The app, if one calls.
    pub app_id: Option<Arc<str>>,
    /// The conversation of a chat app.
    pub conversation_id: Option<Arc<str>>,
    /// The message of a conversation; mostly absent.
    pub message_id: Option<Arc<str>>,
    /// The endpoint whose URL was called.
    pub endpoint_id: Option<Arc<str>>,
    /// What the user filled in; the client's ID and secret in hooks of OAuth.
    pub credentials: Credentials,
    /// How the credentials were obtained, where Dify names it.
    pub credential_type: Option<CredentialType>,
    /// What the user filled in for an endpoint.
    pub settings: Credentials,
    /// What else Dify sent about the call.
    pub context: Arc<Map<String, Value>>,
    /// Calls back into Dify.
    pub dify: Dify,
    /// Cancelled once nothing of the call is waited for: for tasks that a hook has spawned. The hook itself is dropped.
    pub cancel: CancellationToken,
}

impl Call {
    /// A call with nothing but an ID; for tests of a plugin's own code.
    pub fn new(session_id: impl Into<Arc<str>>, dify: Dify) -> Self {
        Self::of(session_id.into(), &Origin::default(), dify, CancellationToken::new())
    }

    /// A call from this part of Dify.
    pub(crate) fn of(session_id: Arc<str>, origin: &Origin, dify: Dify, cancel: CancellationToken) -> Self {
        Self {
            session_id,
            user_id: None,
            app_id: origin.app_id.clone(),
            conversation_id: origin.conversation_id.clone(),
            message_id: origin.message_id.clone(),
            endpoint_id: origin.endpoint_id.clone(),
            credentials: Credentials::default(),
            credential_type: None,
            settings: Credentials::default(),
            context: origin.context.clone().unwrap_or_default(),
            dify,
            cancel,
        }
    }

    /// The HTTP client for requests to other services: it keeps connections, retries what is safe to retry, and its errors
    /// contain no secrets. `--record` and `--replay` of the command line apply to it. It sends with the feature `client`.
    pub fn upstream(&self) -> &Upstream {
        self.dify.upstream()
    }

    /// The ID of the credentials that an agent is to use for tools of a provider.
    pub fn tool_credential(&self, provider: &str) -> Option<&str> {
        self.context.get("credentials")?.get("tool_credentials")?.get(provider)?.as_str()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Call")
            .field("session_id", &self.session_id)
            .field("user_id", &self.user_id)
            .field("app_id", &self.app_id)
            .field("credentials", &self.credentials)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
