//! Every call that Dify makes of a plugin, one method each: the request as the daemon sends it, and the type of its result.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::results::{self, Crawled, Dispatched, ModelOutputs};
use super::{AgentOutputs, Host, Invocation, Outputs};
use crate::daemon::Queue;
use crate::plugin::{Choice, EventOutcome, OAuthCredentials, Subscription, Workspace};
use crate::protocol::datasource::DriveListing;

/// What kind of items a session sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Messages of a tool.
    Tool,
    /// Messages of an agent strategy.
    Agent,
    /// Messages of a datasource.
    Content,
    /// An HTTP response.
    Endpoint,
    /// Anything else.
    Other,
}

/// The queue that the daemon has for the items of an action.
///
/// Source: `dify-plugin-daemon: internal/core/io_tunnel/`.
pub(super) fn queue_of(action: &str) -> Queue {
    match action {
        "invoke_tool" => Queue::Blocking(1024),
        "invoke_agent_strategy" | "invoke_endpoint" => Queue::Dropping(128),
        "invoke_trigger_event" | "dispatch_trigger_event" | "invoke_llm" => Queue::Blocking(512),
        _ => Queue::Blocking(1),
    }
}

/// The kind of items of a request.
pub(super) fn kind_of(action: &str) -> Kind {
    match action {
        "invoke_tool" => Kind::Tool,
        "invoke_agent_strategy" => Kind::Agent,
        "invoke_online_document_datasource_get_page_content" | "invoke_online_drive_download_file" => Kind::Content,
        "invoke_endpoint" => Kind::Endpoint,
        _ => Kind::Other,
    }
}

impl Host {
    /// Calls a tool.
    pub fn tool(&self, name: &str) -> Invocation<'_, Outputs> {
        let fields = json!({"tool": name, "tool_parameters": {}});
        self.call(("tool", "invoke_tool"), fields, Outputs::of).parameters_in("tool_parameters")
    }

    /// Fetches the parameters of a tool that declares `has_runtime_parameters`.
    pub fn runtime_parameters(&self, tool: &str) -> Invocation<'_, Vec<Value>> {
        self.call(("tool", "get_tool_runtime_parameters"), json!({"tool": tool}), results::runtime_parameters)
    }

    /// Runs an agent strategy.
    pub fn agent(&self, strategy: &str) -> Invocation<'_, AgentOutputs> {
        let fields = json!({"agent_strategy": strategy, "agent_strategy_params": {}});
        let call = self.call(("agent_strategy", "invoke_agent_strategy"), fields, AgentOutputs::of);
        call.parameters_in("agent_strategy_params")
    }

    /// Checks the credentials of the provider.
    pub fn validate(&self) -> Invocation<'_, ()> {
        let call = if self.names.datasource.is_some() {
            ("datasource", "validate_datasource_credentials")
        } else if self.names.trigger.is_some() {
            ("trigger", "validate_trigger_credentials")
        } else {
            ("tool", "validate_tool_credentials")
        };
        self.call(call, json!({}), results::validated)
    }

    /// Sends an HTTP request to the endpoints, as a client of Dify does.
    pub fn endpoint<B: Into<Bytes>>(&self, request: http::Request<B>) -> Invocation<'_, http::Response<Bytes>> {
        let fields = json!({"raw_http_request": raw_request(request), "settings": {}, "user_id": ""});
        self.call(("endpoint", "invoke_endpoint"), fields, results::response)
    }

    /// Crawls a website.
    pub fn crawl(&self, datasource: &str) -> Invocation<'_, Crawled> {
        self.source("invoke_website_datasource_get_crawl", datasource, json!({}), results::crawled)
    }

    /// Lists the pages of online documents.
    pub fn pages(&self, datasource: &str) -> Invocation<'_, Vec<Workspace>> {
        self.source("invoke_online_document_datasource_get_pages", datasource, json!({}), results::workspaces)
    }

    /// Fetches a page of online documents.
    pub fn page_content(
        &self,
        datasource: &str,
        workspace_id: &str,
        page_id: &str,
        page_type: &str,
    ) -> Invocation<'_, Outputs> {
        let fields = json!({"page": {"workspace_id": workspace_id, "page_id": page_id, "type": page_type}});
        self.source("invoke_online_document_datasource_get_page_content", datasource, fields, Outputs::of)
    }

    /// Lists a directory of an online drive; the whole request is `bucket`, `prefix`, `max_keys` and `next_page_parameters`,
    /// which [`Invocation::parameter`] sets.
    pub fn browse(&self, datasource: &str, prefix: &str) -> Invocation<'_, Vec<DriveListing>> {
        let fields = json!({"request": {"prefix": prefix, "max_keys": 20}});
        self.source("invoke_online_drive_browse_files", datasource, fields, results::listings).parameters_in("request")
    }

    /// Downloads a file of an online drive; [`Invocation::parameter`] sets its `bucket`.
    pub fn download(&self, datasource: &str, id: &str) -> Invocation<'_, Outputs> {
        let fields = json!({"request": {"id": id}});
        self.source("invoke_online_drive_download_file", datasource, fields, Outputs::of).parameters_in("request")
    }

    /// Sends an HTTP request to the URL of a subscription.
    pub fn dispatch<B: Into<Bytes>>(
        &self,
        subscription: Subscription,
        request: http::Request<B>,
    ) -> Invocation<'_, Dispatched> {
        let fields = json!({"subscription": subscription, "raw_http_request": raw_request(request)});
        self.call(("trigger", "dispatch_trigger_event"), fields, results::dispatched)
    }

    /// Asks whether an event of a dispatched request starts a workflow.
    pub fn event<B: Into<Bytes>>(
        &self,
        name: &str,
        subscription: Subscription,
        request: http::Request<B>,
    ) -> Invocation<'_, EventOutcome> {
        let request = raw_request(request);
        let fields = json!({"event": name, "subscription": subscription, "raw_http_request": request, "payload": {}});
        self.call(("trigger", "invoke_trigger_event"), fields, results::event)
    }

    /// Subscribes with the other service, which is to call this URL.
    pub fn subscribe(&self, url: &str) -> Invocation<'_, Subscription> {
        self.call(("trigger", "subscribe_trigger"), json!({"endpoint": url}), results::subscription)
    }

    /// Extends a subscription.
    pub fn refresh_subscription(&self, subscription: Subscription) -> Invocation<'_, Subscription> {
        let fields = json!({"subscription": subscription, "user_id": "system"});
        self.call(("trigger", "refresh_trigger"), fields, results::subscription)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, subscription: Subscription) -> Invocation<'_, ()> {
        self.call(("trigger", "unsubscribe_trigger"), json!({"subscription": subscription}), results::unsubscribed)
    }

    /// Begins an authorization by OAuth.
    pub fn authorization_url(&self, redirect_uri: &str) -> Invocation<'_, String> {
        self.oauth("get_authorization_url", redirect_uri, json!({}), results::authorization_url)
    }

    /// Completes an authorization by OAuth with the request to the callback URL.
    pub fn exchange_code<B: Into<Bytes>>(
        &self,
        redirect_uri: &str,
        request: http::Request<B>,
    ) -> Invocation<'_, OAuthCredentials> {
        let fields = json!({"raw_http_request": raw_request(request)});
        self.oauth("get_credentials", redirect_uri, fields, results::oauth_credentials)
    }

    /// Refreshes the credentials of an authorization by OAuth.
    pub fn refresh_credentials(&self, redirect_uri: &str) -> Invocation<'_, OAuthCredentials> {
        self.oauth("refresh_credentials", redirect_uri, json!({}), results::oauth_credentials)
    }

    /// Fetches the choices of a parameter of a tool or an event; of a subscription if the name is `provider`.
    pub fn options(&self, name: &str, parameter: &str) -> Invocation<'_, Vec<Choice>> {
        let fields = json!({"provider_action": name, "parameter": parameter});
        self.call(("dynamic_parameter", "fetch_parameter_options"), fields, results::choices)
    }

    /// Calls a model, such as `("invoke_llm", "provider", "model")`; [`Invocation::field`] sets what else the action needs.
    pub fn model(&self, action: &str, provider: &str, model: &str) -> Invocation<'_, ModelOutputs> {
        let model_type = match action {
            "invoke_text_embedding" | "get_text_embedding_num_tokens" => "text-embedding",
            "invoke_rerank" => "rerank",
            "invoke_tts" | "get_tts_model_voices" => "tts",
            "invoke_speech2text" => "speech2text",
            "invoke_moderation" => "moderation",
            _ => "llm",
        };
        let fields = json!({"provider": provider, "model": model, "model_type": model_type, "model_parameters": {},
            "stream": true});
        self.call(("model", action), fields, results::model).parameters_in("model_parameters")
    }

    /// Makes any request; the members are those of `data` on the wire, `type` and `action` among them. Returns the items.
    pub fn request(&self, data: Value) -> Invocation<'_, Vec<Value>> {
        let access_type = data["type"].as_str().unwrap_or_default().to_owned();
        let action = data["action"].as_str().unwrap_or_default().to_owned();
        let mut call = self.call((access_type.as_str(), action.as_str()), json!({}), results::raw);
        call.data.extend(members(data));
        call
    }

    fn source<T>(
        &self,
        action: &str,
        datasource: &str,
        fields: Value,
        read: fn(Vec<Value>) -> Result<T, super::Failure>,
    ) -> Invocation<'_, T> {
        let mut call = self.call(("datasource", action), fields, read).parameters_in("datasource_parameters");
        call.data.insert("datasource".to_owned(), datasource.into());
        call.data.entry("datasource_parameters").or_insert_with(|| json!({}));
        call
    }

    fn oauth<T>(
        &self,
        action: &str,
        redirect_uri: &str,
        fields: Value,
        read: fn(Vec<Value>) -> Result<T, super::Failure>,
    ) -> Invocation<'_, T> {
        let mut call = self.call(("oauth", action), fields, read);
        call.data.insert("redirect_uri".to_owned(), redirect_uri.into());
        call.data.insert("system_credentials".to_owned(), json!({}));
        call
    }

    fn call<T>(
        &self,
        (access_type, action): (&str, &str),
        fields: Value,
        read: fn(Vec<Value>) -> Result<T, super::Failure>,
    ) -> Invocation<'_, T> {
        let mut data = members(json!({"type": access_type, "action": action, "user_id": "user-1"}));
        if let Some(provider) = self.names.provider(access_type) {
            let member = if access_type == "agent_strategy" { "agent_strategy_provider" } else { "provider" };
            data.insert(member.to_owned(), provider.into());
        }
        if !matches!(access_type, "endpoint" | "oauth" | "agent_strategy") {
            data.insert("credentials".to_owned(), json!({}));
        }
        data.extend(members(fields));
        let kind = kind_of(action);
        Invocation { host: self, kind, data, parameters: "parameters", origin: Map::new(), read }
    }
}

impl<T> Invocation<'_, T> {
    fn parameters_in(mut self, member: &'static str) -> Self {
        self.parameters = member;
        self
    }
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// A request as the daemon passes it on: HTTP/1.1 in hexadecimal.
fn raw_request<B: Into<Bytes>>(request: http::Request<B>) -> String {
    let (head, body) = request.into_parts();
    let body: Bytes = body.into();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut bytes = format!("{} {target} HTTP/1.1\r\n", head.method).into_bytes();
    if !head.headers.contains_key(http::header::HOST) {
        bytes.extend_from_slice(b"Host: localhost\r\n");
    }
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    if !head.headers.contains_key(http::header::CONTENT_LENGTH) {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    hex::encode(bytes)
}
