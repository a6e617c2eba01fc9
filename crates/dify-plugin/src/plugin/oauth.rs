//! Authorization by OAuth 2.0: the URL for the user's browser, the exchange of the code, the refresh.

use bytes::Bytes;

use super::{Call, PluginError};
use crate::protocol::credentials::Credentials;
use crate::protocol::oauth::OAuthCredentials;

/// Authorizes users with another service. [`Call::credentials`] is what the administrator filled in.
///
/// ```
/// use dify_plugin::prelude::*;
/// use dify_plugin::{bytes::Bytes, http, serde_json::Map};
///
/// struct Login;
///
/// impl OAuth for Login {
///     async fn authorization_url(&self, call: Call, redirect_uri: String) -> Result<String, PluginError> {
///         let client = call.credentials.require("client_id")?;
///         Ok(format!("https://forge.example/authorize?client_id={client}&redirect_uri={redirect_uri}"))
///     }
///
///     async fn credentials(
///         &self,
///         _: Call,
///         _: String,
///         request: http::Request<Bytes>,
///     ) -> Result<OAuthCredentials, PluginError> {
///         let query = request.uri().query().unwrap_or_default();
///         let code = query.split('&').find_map(|pair| pair.strip_prefix("code="));
///         let code = code.ok_or_else(|| PluginError::bad_request("the callback has no code"))?;
///         // Here the code is exchanged at the service.
///         Ok(OAuthCredentials::new(Map::from_iter([("access_token".to_owned(), code.into())])))
///     }
///
///     async fn refresh(&self, _: Call, request: RefreshRequest) -> Result<OAuthCredentials, PluginError> {
///         let token = request.credentials.require("access_token")?;
///         Ok(OAuthCredentials::new(Map::from_iter([("access_token".to_owned(), token.into())])))
///     }
/// }
/// ```
pub trait OAuth: Send + Sync + 'static {
    /// The URL that the user's browser is sent to. `redirect_uri` has to be passed on unchanged; nothing is kept between
    /// this call and the next one, so that `state` is the plugin's own.
    fn authorization_url(
        &self,
        call: Call,
        redirect_uri: String,
    ) -> impl Future<Output = Result<String, PluginError>> + Send;

    /// Exchanges the code in the request to the callback URL.
    fn credentials(
        &self,
        call: Call,
        redirect_uri: String,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<OAuthCredentials, PluginError>> + Send;

    /// Renews credentials that expire. Dify may send several requests for the same ones, which is an error at services that
    /// accept a refresh token only once: later requests within a minute get the result of the first.
    fn refresh(
        &self,
        call: Call,
        request: RefreshRequest,
    ) -> impl Future<Output = Result<OAuthCredentials, PluginError>> + Send;
}

/// Credentials to be renewed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RefreshRequest {
    /// The callback URL.
    pub redirect_uri: String,
    /// What [`OAuth::credentials`] or the last refresh returned.
    pub credentials: Credentials,
}
