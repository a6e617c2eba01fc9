//! Requests to every kind of plugin but models: the author's code, and between it and the daemon what each kind needs so
//! that nothing is lost. One file per access type.

mod agent;
mod datasource;
mod drain;
mod endpoint;
mod endpoint_body;
mod oauth;
mod options;
mod tool;
mod trigger;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::dispatch::Stop;
use super::logs;
use super::registry::Registry;
use super::responder::Responder;
use super::session_log::SessionLog;
use crate::codec::http_message;
use crate::declare::KindDeclarations;
use crate::declare::parameter::{Parameter, ParameterKind};
use crate::plugin::dify::{Backwards, DifyFacts};
use crate::plugin::outgoing::{self, Inbox, Outbox};
use crate::plugin::{Call, Credentials, Dify, Plugin, PluginError, cast_parameters_leniently};
use crate::protocol::Invocation;
use crate::protocol::access::Access;
use crate::protocol::envelope::Origin;
use crate::upstream::Upstream;

/// Where a request comes from, and how its session reaches the network and Dify.
pub(super) struct Source {
    pub(super) origin: Origin,
    pub(super) upstream: Upstream,
    pub(super) calls: Arc<dyn Backwards>,
}

/// Runs a request to its last result item. The ending is the caller's.
pub(super) async fn run(
    registry: &Registry,
    request: Invocation,
    source: Source,
    responder: &mut Responder,
    log: &mut SessionLog,
) -> Result<(), Stop> {
    let Source { origin, upstream, calls } = source;
    responder.set_error_names(request.error_names().unwrap_or_default());
    logs::raise(request.credentials());
    if let Some(credentials) = request.credentials() {
        let values = credentials.names().filter_map(|name| Some((name, credentials.get(name)?)));
        let secrets = values.filter(|(name, value)| !registry.declared().is_offered(name, value));
        upstream.redactor().register_credentials(&Credentials::from_pairs(secrets));
    }
    let tool_credentials = origin
        .context
        .as_ref()
        .and_then(|context| context.get("credentials")?.get("tool_credentials")?.as_object().cloned());
    let facts = DifyFacts {
        permissions: registry.permissions().cloned(),
        app_id: origin.app_id.clone(),
        tool_credentials: tool_credentials.unwrap_or_default(),
        upstream: upstream.clone(),
    };
    let dify = Dify::new(calls, facts);
    let cancel = CancellationToken::new();
    let _done = cancel.clone().drop_guard();
    let (plugin, declared) = (registry.plugin(), registry.declared());
    let max_item_bytes = responder.max_line_bytes().saturating_sub(responder.length_of(&0));
    let shows_items = true;
    let mut session =
        Session { plugin, declared, origin: &origin, dify, cancel, responder, log, shows_items, max_item_bytes };
    match request {
        Invocation::Model(_) => Err(PluginError::internal("a request to a model came to another kind").into()),
        Invocation::Tool(request) => Box::pin(tool::run(&mut session, request)).await,
        Invocation::Endpoint(request) => Box::pin(endpoint::run(&mut session, request)).await,
        Invocation::Agent(request) => Box::pin(agent::run(&mut session, request)).await,
        Invocation::Datasource(request) => Box::pin(datasource::run(&mut session, request)).await,
        Invocation::Trigger(request) => Box::pin(trigger::run(&mut session, request)).await,
        Invocation::OAuth(request) => Box::pin(oauth::run(&mut session, request, &upstream)).await,
        Invocation::Options(request) => Box::pin(options::run(&mut session, request)).await,
    }
}

/// What every action is run with.
struct Session<'a> {
    plugin: &'a Plugin,
    declared: &'a KindDeclarations,
    origin: &'a Origin,
    dify: Dify,
    /// Cancelled when the session's work ends, however it ends.
    cancel: CancellationToken,
    responder: &'a mut Responder,
    log: &'a mut SessionLog,
    /// Whether result items may be shown in logs of content.
    shows_items: bool,
    /// Bytes of JSON that a line can carry.
    max_item_bytes: usize,
}

impl Session<'_> {
    /// What a hook gets about its call.
    fn call(&self, user_id: &str) -> Call {
        let session_id = self.responder.session_id().clone();
        let mut call = Call::of(session_id, self.origin, self.dify.clone(), self.cancel.clone());
        call.user_id = Some(user_id).filter(|id| !id.is_empty()).map(Arc::from);
        call
    }

    /// The same with credentials.
    fn call_with(&self, access: Access) -> Call {
        let mut call = self.call(&access.user_id);
        call.credentials = access.credentials;
        call.credential_type = access.credential_type;
        call
    }

    /// Casts the parameters of a kind that Dify does not check, as far as they are declared.
    fn cast(&self, declared: Option<&[Parameter]>, values: &mut Map<String, Value>) {
        if let Some(declared) = declared {
            cast_parameters_leniently(declared, values);
            self.register_secrets(declared, values);
        }
    }

    /// Keeps secrets among the parameters out of errors and logs.
    fn register_secrets(&self, declared: &[Parameter], values: &Map<String, Value>) {
        let secrets = declared.iter().filter(|parameter| parameter.kind == ParameterKind::SecretInput);
        let secrets = secrets.filter_map(|parameter| Some((&parameter.name, values.get(&parameter.name)?.as_str()?)));
        self.dify.upstream().redactor().register_credentials(&Credentials::from_pairs(secrets));
    }

    /// Collects one result item, and counts it.
    fn push<T: Serialize>(&mut self, item: &T) -> Result<(), Stop> {
        push(self.responder, self.log, item, self.shows_items)
    }

    /// A queue between a hook and the writer, for items that a line can carry.
    fn queue(&self) -> (Outbox, Inbox) {
        outgoing::queue(self.max_item_bytes)
    }
}

fn push<T: Serialize>(
    responder: &mut Responder,
    log: &mut SessionLog,
    item: &T,
    shows_items: bool,
) -> Result<(), Stop> {
    responder.push(item).map_err(PluginError::from)?;
    log.count_chunk();
    if shows_items {
        logs::item(item);
    }
    Ok(())
}

/// A request to a URL of Dify's.
fn http_request(bytes: Vec<u8>) -> Result<http::Request<Bytes>, PluginError> {
    http_message::parse_request(bytes)
        .map_err(|reason| PluginError::bad_request(format!("cannot read the HTTP request: {reason}")))
}

/// A kind that the plugin has no code for.
fn not_served(kind: &str) -> PluginError {
    PluginError::unsupported(format!("the plugin has no {kind}"))
}

/// A name that the plugin has no code for.
fn unknown(what: &str, name: &str, known: &[&str]) -> PluginError {
    PluginError::not_found(format!("unknown {what} `{name}`; this plugin has {}", known.join(", ")))
}

#[cfg(test)]
mod tests;
