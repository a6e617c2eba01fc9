//! `try` for models: sends a prompt to a model through the complete runtime and streams the response to the terminal.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Map, Value, json};

use super::credentials::{CredentialArgs, is_field, split_pair};
use super::program::Program;
use super::session_client::{self, Frame};
use super::terminal::{print_line, print_part, say};
use crate::declare::{ModelSchema, ProviderDeclaration};
use crate::protocol::ModelType;
use crate::runtime::Registry;

/// Options for models.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Models")]
pub struct ModelArgs {
    /// Provider name, as in the manifest [default: the plugin's main provider]
    #[arg(long)]
    provider: Option<String>,
    /// Model ID [default: the provider's first model]
    #[arg(long)]
    model: Option<String>,
    /// Image file to attach (repeatable)
    #[arg(long = "image", value_name = "FILE")]
    images: Vec<PathBuf>,
    /// System message
    #[arg(long)]
    system: Option<String>,
}

/// A prompt for a model.
pub(super) struct Prompt<'a> {
    pub text: &'a str,
    pub params: &'a [String],
    pub credentials: &'a CredentialArgs,
    pub model: &'a ModelArgs,
    /// Whether the raw frames are printed.
    pub raw: bool,
}

impl Prompt<'_> {
    /// Sends the prompt. The exit code is 1 if the model call failed.
    pub async fn run(&self, program: &Program, registry: Arc<Registry>) -> anyhow::Result<ExitCode> {
        let named = self.model.provider.clone().or_else(|| program.main_provider(&registry));
        let provider = named.context("the manifest lists no provider")?;
        let entry = registry.get(&provider).with_context(|| {
            format!("unknown provider `{provider}`; the manifest lists {}", registry.names().join(", "))
        })?;
        let given = self.credentials.read(program, &provider)?;
        let mut credentials = given.fields.clone();
        let parameters = self.parameters(&entry.declaration, &mut credentials)?;
        given.keep_from_directory(entry, &credentials)?;
        if credentials.is_empty()
            && let Some(mock) = entry.provider.mock_server().await?
        {
            let variables = entry.provider.variables().iter().find_map(|(_, names)| names.first());
            let variable = variables.map_or_else(String::new, |name| format!("no {name} and "));
            say(&format!("{variable}no --credentials: using the built-in mock server, not a real model"));
            credentials = mock;
        }
        let model = self.model(&registry, &provider, &credentials)?;
        for name in unknown(&registry, &provider, &model, &parameters) {
            say(&format!("warning: `{model}` has no parameter `{name}`; it is not sent"));
        }
        let request = json!({
            "action": "invoke_llm",
            "provider": provider,
            "model": model,
            "model_type": "llm",
            "credentials": credentials,
            "model_parameters": parameters,
            "prompt_messages": self.messages()?,
            "tools": [],
            "stop": [],
            "stream": true,
        });
        let started = Instant::now();
        let mut response = Response::new(self.raw);
        let first =
            session_client::session(registry, session_client::object(request)?, self.raw, |frame| response.take(frame))
                .await?;
        response.finish(&model, first, started.elapsed())
    }

    /// Splits `--param` into model parameters and credential fields, according to the provider's form.
    fn parameters(
        &self,
        declaration: &ProviderDeclaration,
        credentials: &mut Map<String, Value>,
    ) -> anyhow::Result<Map<String, Value>> {
        let mut parameters = Map::new();
        for pair in self.params {
            let (name, value) = split_pair(pair)?;
            if is_field(declaration, name) {
                credentials.insert(name.to_owned(), value.into());
            } else {
                parameters.insert(name.to_owned(), scalar(value));
            }
        }
        Ok(parameters)
    }

    fn model(&self, registry: &Registry, provider: &str, credentials: &Map<String, Value>) -> anyhow::Result<String> {
        if let Some(model) = &self.model.model {
            return Ok(model.clone());
        }
        let usable = |model: &&Arc<ModelSchema>| model.model_type == ModelType::Llm && !model.deprecated;
        if let Some(model) = registry.models(provider).iter().find(usable) {
            return Ok(model.model.clone());
        }
        match credentials.get("model_uid").or_else(|| credentials.get("endpoint_model_name")).and_then(Value::as_str) {
            Some(uid) => Ok(uid.to_owned()),
            None => bail!("provider `{provider}` declares no models: name one with --model"),
        }
    }

    fn messages(&self) -> anyhow::Result<Vec<Value>> {
        let mut messages = Vec::new();
        if let Some(system) = &self.model.system {
            messages.push(json!({"role": "system", "content": system}));
        }
        let mut content = json!(self.text);
        if !self.model.images.is_empty() {
            let mut parts = vec![json!({"type": "text", "data": self.text})];
            for path in &self.model.images {
                parts.push(image_part(path)?);
            }
            content = parts.into();
        }
        messages.push(json!({"role": "user", "content": content}));
        Ok(messages)
    }
}

/// Returns the parameters that a declared model has no rule for, such as misspelled ones.
fn unknown<'a>(
    registry: &Registry,
    provider: &str,
    model: &str,
    parameters: &'a Map<String, Value>,
) -> impl Iterator<Item = &'a String> {
    let declared = registry.models(provider).iter().find(|declared| declared.model == model).cloned();
    let is_known = move |name: &String| {
        declared.as_ref().is_none_or(|model| model.parameter_rules.iter().any(|rule| rule.name == *name))
    };
    parameters.keys().filter(move |name| !is_known(name))
}

/// Parses numbers and booleans; everything else is a string.
fn scalar(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => text.into(),
    }
}

fn image_part(path: &Path) -> anyhow::Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let extension =
        path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let format = if extension == "jpg" { "jpeg" } else { extension.as_str() };
    if !matches!(format, "png" | "jpeg" | "webp" | "gif" | "heic" | "heif" | "bmp") {
        bail!("{} is not a supported image (png, jpg, webp, gif, heic, heif, bmp)", path.display());
    }
    Ok(json!({
        "type": "image",
        "format": format,
        "mime_type": format!("image/{format}"),
        "base64_data": STANDARD.encode(bytes),
        "detail": "high",
    }))
}

/// Prints a response while it arrives, and its usage at the end.
struct Response {
    quiet: bool,
    usage: Value,
    finish_reason: Option<String>,
    failure: Option<String>,
}

impl Response {
    fn new(quiet: bool) -> Self {
        Self { quiet, usage: Value::Null, finish_reason: None, failure: None }
    }

    fn take(&mut self, frame: Frame) -> anyhow::Result<()> {
        let item = match frame {
            Frame::Item(item) => item,
            Frame::Failure { kind, message } => {
                self.failure = Some(format!("{kind}: {message}"));
                return Ok(());
            }
        };
        let delta = &item["delta"];
        if !delta["usage"].is_null() {
            self.usage = delta["usage"].clone();
        }
        if let Some(reason) = delta["finish_reason"].as_str() {
            self.finish_reason = Some(reason.to_owned());
        }
        if self.quiet {
            return Ok(());
        }
        match &delta["message"]["content"] {
            Value::String(text) => print_part(text)?,
            Value::Array(parts) => {
                for part in parts {
                    let text = |key: &str| part[key].as_str().unwrap_or_default();
                    match part["type"].as_str() {
                        Some("text") => print_part(text("data"))?,
                        Some(kind) => print_part(&format!("\n[{kind} {}]\n", text("mime_type")))?,
                        None => {}
                    }
                }
            }
            _ => {}
        }
        for call in delta["message"]["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            let text = |key: &str| function[key].as_str().unwrap_or_default().to_owned();
            print_part(&format!("\n[tool call {}({})]\n", text("name"), text("arguments")))?;
        }
        Ok(())
    }

    fn finish(self, model: &str, first: Option<Duration>, total: Duration) -> anyhow::Result<ExitCode> {
        if !self.quiet {
            print_line("")?;
        }
        if let Some(failure) = self.failure {
            say(&failure);
            return Ok(ExitCode::FAILURE);
        }
        let number = |key: &str| self.usage[key].as_u64().unwrap_or_default();
        say(&format!(
            "{model}: first token after {} ms, total {} ms, {} prompt + {} completion tokens, price {} {}, finish reason {}",
            first.unwrap_or_default().as_millis(),
            total.as_millis(),
            number("prompt_tokens"),
            number("completion_tokens"),
            self.usage["total_price"].as_str().unwrap_or("0"),
            self.usage["currency"].as_str().unwrap_or("USD"),
            self.finish_reason.as_deref().unwrap_or("none"),
        ));
        Ok(ExitCode::SUCCESS)
    }
}
