//! `try` for every kind of plugin but models: finds what is meant by its name, calls it as Dify does, and prints what it
//! returns. One file per kind that has more than one action.
//!
//! What a request contains is the protocol's; here it is written from options.

mod datasource;
mod http;
mod messages;
mod oauth;
mod parameters;
mod parts;
mod trigger;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

pub use self::parameters::ParameterArgs;

use self::messages::Printer;
use self::parts::{Part, Provider, find};
use super::answers::Answers;
use super::credentials::CredentialArgs;
use super::form_fields::Form;
use super::session_client;
use super::terminal::{print_line, print_part, say};
use crate::declare::KindDeclarations;
use crate::runtime::Registry;

/// Options for every kind but models.
#[derive(Debug, Default, Args)]
pub struct KindArgs {
    /// Check the credentials
    #[arg(long)]
    validate: bool,
    /// List the options of a parameter of type `dynamic-select`; without NAME, of a parameter of the subscription
    #[arg(long, value_name = "PARAMETER")]
    options: Option<String>,
    /// How the credentials were obtained [default: api-key; unauthorized if there are none]
    #[arg(long, value_enum, value_name = "TYPE")]
    credential_type: Option<CredentialTypeArg>,
    /// File or directory to write to: files that the plugin returns, and credentials and subscriptions that it creates
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    #[command(flatten)]
    http: http::HttpArgs,
    #[command(flatten)]
    datasource: datasource::DatasourceArgs,
    #[command(flatten)]
    trigger: trigger::TriggerArgs,
    #[command(flatten)]
    oauth: oauth::OAuthArgs,
}

/// Options of which only one can be given.
pub const ACTIONS: [&str; 11] = [
    "request",
    "validate",
    "options",
    "page",
    "download",
    "subscribe",
    "unsubscribe",
    "refresh",
    "authorize",
    "callback",
    "refresh_credentials",
];

impl KindArgs {
    /// Whether an option names what to do.
    pub fn has_action(&self) -> bool {
        self.validate
            || self.options.is_some()
            || self.http.request.is_some()
            || self.datasource.is_given()
            || self.trigger.is_given()
            || self.oauth.is_given()
    }
}

/// How credentials were obtained, as Dify names it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CredentialTypeArg {
    ApiKey,
    #[value(name = "oauth2")]
    OAuth2,
    Unauthorized,
}

/// A call at the terminal.
pub(super) struct Trial<'a> {
    pub registry: Arc<Registry>,
    /// The plugin's name in its manifest.
    pub plugin: &'a str,
    pub parameters: &'a ParameterArgs,
    pub credentials: &'a CredentialArgs,
    pub kind: &'a KindArgs,
    pub answers: Answers,
    /// Whether the raw frames are printed.
    pub raw: bool,
}

impl Trial<'_> {
    /// Calls what the options name. The exit code is 1 if the call failed.
    pub async fn run(mut self, name: Option<&str>) -> anyhow::Result<ExitCode> {
        let registry = self.registry.clone();
        let declared = registry.declared();
        let kind = self.kind;
        let succeeded = if kind.validate {
            self.validate(declared).await?
        } else if let Some(parameter) = &kind.options {
            self.options(declared, name, parameter).await?
        } else if kind.oauth.is_given() {
            oauth::run(&mut self, declared).await?
        } else if kind.trigger.is_given() {
            trigger::subscription(&mut self, declared).await?
        } else if let Some(request) = &kind.http.request {
            match &declared.trigger {
                Some(provider) => trigger::dispatch(&mut self, provider, name, request).await?,
                None => self.endpoint(declared, name, request).await?,
            }
        } else {
            match find(declared, name)? {
                Part::Tool(tool) => self.tool(declared, &tool.identity.name).await?,
                Part::Strategy(strategy) => self.strategy(declared, &strategy.identity.name).await?,
                Part::Datasource(datasource) => datasource::run(&mut self, declared, datasource).await?,
                Part::Event(event) => bail!(
                    "an event needs the HTTP request that causes it: `try {} --request \"POST /\" --body TEXT`",
                    event.identity.name
                ),
            }
        };
        Ok(session_client::exit_code(succeeded))
    }

    /// Runs a request; `print` is given each result item, unless the raw frames are printed. Returns whether it succeeded.
    async fn call(
        &mut self,
        request: Value,
        mut print: impl FnMut(&Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        let raw = self.raw;
        self.items(request, |item| if raw { Ok(()) } else { print(item) }).await
    }

    /// Runs a request; `take` is given each result item.
    async fn items(&mut self, request: Value, take: impl FnMut(&Value) -> anyhow::Result<()>) -> anyhow::Result<bool> {
        let request = session_client::object(request)?;
        session_client::items(self.registry.clone(), request, self.raw, &mut self.answers, take).await
    }

    /// The same for messages of tools.
    async fn call_messages(&mut self, request: Value) -> anyhow::Result<bool> {
        let mut printer = Printer::new(self.kind.out.as_deref());
        let succeeded = self.call(request, |item| printer.print(item)).await?;
        printer.finish()?;
        Ok(succeeded)
    }

    /// A request with the provider, its credentials and their type, and further members.
    fn request(&self, declared: &KindDeclarations, action: &str, more: Value) -> anyhow::Result<Value> {
        let provider = Provider::of(declared).context("the plugin has no provider with credentials")?;
        let form = Form { plugin: self.plugin, fields: provider.fields(), option: "--credential" };
        let credentials = form.values(self.credentials.given()?);
        let has_oauth = provider.oauth.is_some_and(|oauth| {
            oauth.credentials_schema.iter().any(|field| field.is_secret() && credentials.contains_key(&field.name))
        });
        if !has_oauth {
            Form { fields: provider.credentials.iter().collect(), ..form }.report_missing(&credentials);
        }
        let credential_type = match self.kind.credential_type {
            Some(CredentialTypeArg::ApiKey) => "api-key",
            Some(CredentialTypeArg::OAuth2) => "oauth2",
            Some(CredentialTypeArg::Unauthorized) => "unauthorized",
            None if credentials.is_empty() => "unauthorized",
            None => "api-key",
        };
        let mut request = session_client::object(json!({
            "type": provider.access,
            "action": action,
            "provider": provider.name,
            "credentials": credentials,
            "credential_type": credential_type,
        }))?;
        request.extend(session_client::object(more)?);
        Ok(request.into())
    }

    async fn tool(&mut self, declared: &KindDeclarations, name: &str) -> anyhow::Result<bool> {
        let parameters = self.parameters.read(find(declared, Some(name))?.parameters())?;
        let request = self.request(declared, "invoke_tool", json!({"tool": name, "tool_parameters": parameters}))?;
        self.call_messages(request).await
    }

    async fn strategy(&mut self, declared: &KindDeclarations, name: &str) -> anyhow::Result<bool> {
        let provider = declared.agent_strategy.as_ref().context("the manifest lists no agent strategies")?;
        let parameters = self.parameters.read_scripted(find(declared, Some(name))?.parameters())?;
        self.call_messages(json!({
            "type": "agent_strategy",
            "action": "invoke_agent_strategy",
            "agent_strategy_provider": provider.identity.name,
            "agent_strategy": name,
            "agent_strategy_params": parameters,
        }))
        .await
    }

    async fn validate(&mut self, declared: &KindDeclarations) -> anyhow::Result<bool> {
        let provider = Provider::of(declared).context("the plugin has no provider with credentials")?;
        let action = match provider.access {
            "tool" => "validate_tool_credentials",
            "datasource" => "validate_datasource_credentials",
            _ => "validate_trigger_credentials",
        };
        let request = self.request(declared, action, json!({}))?;
        let mut is_valid = true;
        let succeeded = self
            .call(request, |item| {
                is_valid = item["result"] == true;
                print_line(if is_valid { "the credentials are valid" } else { "the credentials are not valid" })
            })
            .await?;
        Ok(succeeded && is_valid)
    }

    async fn options(
        &mut self,
        declared: &KindDeclarations,
        name: Option<&str>,
        parameter: &str,
    ) -> anyhow::Result<bool> {
        let action = match name {
            None if declared.trigger.is_some() => "provider",
            name => find(declared, name)?.name(),
        };
        let more = json!({"type": "dynamic_parameter", "provider_action": action, "parameter": parameter});
        let request = self.request(declared, "fetch_parameter_options", more)?;
        self.call(request, |item| {
            for option in item["options"].as_array().into_iter().flatten() {
                let value = option["value"].as_str().unwrap_or_default();
                let label = option["label"]["en_US"].as_str().unwrap_or_default();
                print_line(&if label == value { value.to_owned() } else { format!("{value}  {label}") })?;
            }
            Ok(())
        })
        .await
    }

    /// Sends an HTTP request to the endpoints, and prints the body of the response. Status and headers go to standard error.
    async fn endpoint(
        &mut self,
        declared: &KindDeclarations,
        name: Option<&str>,
        request: &str,
    ) -> anyhow::Result<bool> {
        let Some(group) = &declared.endpoint else { bail!("the manifest lists neither endpoints nor triggers") };
        if let Some(name) = name {
            bail!("endpoints have no names; leave out `{name}`");
        }
        let form = Form { plugin: self.plugin, fields: group.settings.iter().collect(), option: "--credential" };
        let settings = form.values(self.credentials.given()?);
        form.report_missing(&settings);
        let request = json!({
            "type": "endpoint",
            "action": "invoke_endpoint",
            "raw_http_request": self.kind.http.raw(request)?,
            "settings": settings,
        });
        self.call(request, |item| {
            if let Some(status) = item["status"].as_u64() {
                say(&format!("HTTP {status}"));
            }
            for (name, value) in item["headers"].as_object().into_iter().flatten() {
                say(&format!("{name}: {}", value.as_str().unwrap_or_default()));
            }
            match item["result"].as_str().map(hex::decode) {
                Some(bytes) => {
                    print_part(&String::from_utf8_lossy(&bytes.context("the body is not valid hexadecimal")?))
                }
                None => Ok(()),
            }
        })
        .await
    }
}
