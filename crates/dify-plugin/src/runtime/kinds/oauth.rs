//! Authorization by OAuth for the one provider of the plugin that has it. Its results are secrets and never shown in logs.

use super::{Session, http_request, not_served, unknown};
use crate::plugin::{RefreshRequest, short_name};
use crate::protocol::oauth::{AuthorizationUrl, DATASOURCE_ERRORS, OAuthCredentials, OAuthRequest, TRIGGER_ERRORS};
use crate::runtime::dispatch::Stop;
use crate::upstream::Upstream;

pub(super) async fn run(session: &mut Session<'_>, request: OAuthRequest, upstream: &Upstream) -> Result<(), Stop> {
    session.shows_items = false;
    let plugin = session.plugin;
    if plugin.triggers().is_some() {
        session.responder.set_error_names(TRIGGER_ERRORS);
    } else if plugin.datasources().is_some() {
        session.responder.set_error_names(DATASOURCE_ERRORS);
    }
    let oauth = plugin.authorization().ok_or_else(|| not_served("OAuth"))?;
    let names: Vec<&str> = [
        plugin.tools().map(|provider| provider.name()),
        plugin.datasources().map(|provider| provider.name()),
        plugin.triggers().map(|provider| provider.name()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let name = short_name(&request.access().provider);
    if !names.contains(&name) {
        return Err(unknown("provider", name, &names).into());
    }
    let mut call = session.call(&request.access().user_id);
    match request {
        OAuthRequest::AuthorizationUrl(request) => {
            call.credentials = request.access.system_credentials;
            let authorization_url = oauth.authorization_url(call, request.access.redirect_uri).await?;
            session.push(&AuthorizationUrl { authorization_url })
        }
        OAuthRequest::Credentials(request) => {
            call.credentials = request.access.system_credentials;
            let callback = http_request(request.raw_http_request)?;
            let mut credentials = oauth.credentials(call, request.access.redirect_uri, callback).await?;
            credentials.metadata.get_or_insert_default();
            session.push(&credentials)
        }
        OAuthRequest::Refresh(request) => {
            upstream.redactor().register_credentials(&request.credentials);
            call.credentials = request.access.system_credentials;
            let refresh =
                RefreshRequest { redirect_uri: request.access.redirect_uri, credentials: request.credentials };
            let credentials = oauth.refresh(call, refresh).await?;
            session.push(&OAuthCredentials { metadata: None, ..credentials })
        }
    }
}
