//! `try` for triggers: subscriptions, and an HTTP request through the dispatcher to the events that it names.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::messages::{redacted, save_private};
use super::{Trial, find, http};
use crate::cli::credentials::{read_object, read_pairs};
use crate::cli::form_fields::Form;
use crate::cli::terminal::{print_json, say};
use crate::declare::KindDeclarations;
use crate::declare::trigger::TriggerProviderDeclaration;

/// Options of triggers.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Triggers")]
pub struct TriggerArgs {
    /// Create a subscription; --out keeps it for later calls
    #[arg(long)]
    subscribe: bool,
    /// Delete the subscription
    #[arg(long, requires = "subscription")]
    unsubscribe: bool,
    /// Extend the subscription; --out keeps it for later calls
    #[arg(long, requires = "subscription")]
    refresh: bool,
    /// URL of the subscription in Dify
    #[arg(long, value_name = "URL", default_value = "http://localhost/triggers/plugin/terminal")]
    endpoint: String,
    /// JSON file with a subscription, as written by --subscribe
    #[arg(long, value_name = "FILE")]
    subscription: Option<PathBuf>,
    /// Property of the subscription, such as the secret of a webhook (repeatable)
    #[arg(long = "property", value_name = "NAME=VALUE")]
    properties: Vec<String>,
}

impl TriggerArgs {
    /// Whether the subscription itself is meant.
    pub(super) fn is_given(&self) -> bool {
        self.subscribe || self.unsubscribe || self.refresh
    }
}

fn provider(declared: &KindDeclarations) -> anyhow::Result<&TriggerProviderDeclaration> {
    declared.trigger.as_ref().context("the manifest lists no triggers")
}

/// Creates, deletes or extends a subscription.
pub(super) async fn subscription(trial: &mut Trial<'_>, declared: &KindDeclarations) -> anyhow::Result<bool> {
    let (args, provider) = (&trial.kind.trigger, provider(declared)?);
    let (action, more) = if args.subscribe {
        let constructor = provider.subscription_constructor.as_ref();
        let parameters = trial.parameters.read(constructor.map_or(&[], |constructor| &constructor.parameters))?;
        ("subscribe_trigger", json!({"endpoint": args.endpoint, "parameters": parameters}))
    } else {
        let action = if args.unsubscribe { "unsubscribe_trigger" } else { "refresh_trigger" };
        (action, json!({"subscription": existing(trial, provider)?}))
    };
    let request = trial.request(declared, action, more)?;
    let (mut made, is_made, raw) = (Value::Null, !args.unsubscribe, trial.raw);
    let mut succeeded = trial
        .items(request, |item| {
            made = item["subscription"].clone();
            let is_secret =
                |name: &str| provider.subscription_schema.iter().any(|field| field.name == name && field.is_secret());
            let mut shown = made.clone();
            if let Some(properties) = shown.get_mut("properties") {
                *properties = redacted(properties, is_secret);
            }
            if raw { Ok(()) } else { print_json(&shown) }
        })
        .await?;
    match &trial.kind.out {
        Some(path) if is_made && !made.is_null() => save_private(path, &made)?,
        _ if !is_made => succeeded &= made["success"] == true,
        _ => {}
    }
    Ok(succeeded)
}

/// Passes an HTTP request to the dispatcher, and then to the events that it names, or to the one that the user named.
pub(super) async fn dispatch(
    trial: &mut Trial<'_>,
    provider: &TriggerProviderDeclaration,
    event: Option<&str>,
    request: &str,
) -> anyhow::Result<bool> {
    let registry = trial.registry.clone();
    let declared = registry.declared();
    if let Some(name) = event {
        find(declared, Some(name))?;
    }
    let raw_request = trial.kind.http.raw(request)?;
    let subscription = existing(trial, provider)?;
    let common = json!({"subscription": subscription, "raw_http_request": raw_request});
    let request = trial.request(declared, "dispatch_trigger_event", common.clone())?;
    let mut dispatched = Value::Null;
    let raw = trial.raw;
    let succeeded = trial
        .items(request, |item| {
            dispatched = item.clone();
            let bytes = item["response"].as_str().and_then(|text| hex::decode(text).ok()).unwrap_or_default();
            if raw { Ok(()) } else { http::print_response(&bytes) }
        })
        .await?;
    if !succeeded {
        return Ok(false);
    }
    let named = dispatched["events"].as_array().cloned().unwrap_or_default();
    let named: Vec<&str> = named.iter().filter_map(Value::as_str).collect();
    say(&format!("events: {}", if named.is_empty() { "none".to_owned() } else { named.join(", ") }));
    if let Some(event) = event.filter(|event| !named.contains(event)) {
        bail!("the request does not cause the event `{event}`");
    }
    let mut all_succeeded = true;
    for name in named.iter().filter(|name| event.is_none_or(|event| event == **name)) {
        let parameters = trial.parameters.read(find(declared, Some(name))?.parameters())?;
        let mut more = common.clone();
        more["event"] = (*name).into();
        more["parameters"] = parameters.into();
        more["payload"] = dispatched["payload"].clone();
        let request = trial.request(declared, "invoke_trigger_event", more)?;
        all_succeeded &= trial
            .call(request, |item| {
                if item["cancelled"] == true {
                    say(&format!("{name}: ignored; no workflow starts"));
                    return Ok(());
                }
                say(&format!("{name}: a workflow starts with"));
                print_json(&item["variables"])
            })
            .await?;
    }
    Ok(all_succeeded)
}

/// The subscription of a request: from a file, or made of properties.
fn existing(trial: &Trial<'_>, provider: &TriggerProviderDeclaration) -> anyhow::Result<Value> {
    let args = &trial.kind.trigger;
    let given = read_pairs(&args.properties)?;
    if let Some(path) = &args.subscription {
        let mut subscription = read_object(path)?;
        if let Some(properties) = subscription.entry("properties").or_insert_with(|| json!({})).as_object_mut() {
            properties.extend(given);
        }
        return Ok(subscription.into());
    }
    let fields = provider.subscription_schema.iter().collect();
    let form = Form { plugin: trial.plugin, fields, option: "--property" };
    let properties = form.values(given);
    form.report_missing(&properties);
    Ok(json!({"expires_at": -1, "endpoint": args.endpoint, "parameters": null, "properties": properties}))
}
