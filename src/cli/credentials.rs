//! Credentials at the terminal: a file, single fields, or the environment variables that people already have.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Map, Value};
use url::Url;

use crate::declare::{ProviderDeclaration, yaml};
use crate::protocol::Credentials;
use crate::providers::gemini::Gemini;
use crate::runtime::form::{self, Form};
use crate::runtime::registry::Entry;

/// Where credentials come from.
#[derive(Debug, Default, clap::Args)]
pub struct CredentialArgs {
    /// File of credential fields: a JSON or YAML object
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// One credential field; repeat for more
    #[arg(long = "credential", value_name = "NAME=VALUE")]
    fields: Vec<String>,
}

/// Environment variables that stand for a field of a provider, first found wins.
const FROM_ENVIRONMENT: &[(&str, &str, &[&str])] = &[
    (Gemini::MODELS, "google_api_key", &["GEMINI_API_KEY", "GOOGLE_API_KEY"]),
    (Gemini::AGENTS, "google_api_key", &["GEMINI_API_KEY", "GOOGLE_API_KEY"]),
];

/// Credential fields, and whether anybody gave them for this folder.
#[derive(Debug, Default)]
pub struct Given {
    /// The fields; empty when nothing was given.
    pub fields: Map<String, Value>,
    /// The variable of the environment that one was taken from, because none was given.
    variable: Option<&'static str>,
}

impl CredentialArgs {
    /// The fields for a provider.
    pub fn read(&self, provider: &str) -> anyhow::Result<Given> {
        let mut fields = match &self.credentials {
            Some(path) => read_object(path)?,
            None => Map::new(),
        };
        for field in &self.fields {
            let (name, value) = split_pair(field)?;
            fields.insert(name.to_owned(), value.into());
        }
        let mut given = Given { fields, variable: None };
        if given.fields.is_empty() {
            for (_, field, variables) in FROM_ENVIRONMENT.iter().filter(|(name, ..)| *name == provider) {
                let set =
                    |name: &&'static str| Some((*name, std::env::var(name).ok().filter(|value| !value.is_empty())?));
                if let Some((variable, value)) = variables.iter().find_map(set) {
                    given.fields.insert((*field).to_owned(), value.into());
                    given.variable = Some(variable);
                }
            }
        }
        Ok(given)
    }
}

impl Given {
    /// A key that stands in the environment goes where it goes without this folder, which may be anybody's: its forms may
    /// fill in an address, a proxy or a certificate. `fields` are all that the person gave.
    pub fn keep_from_directory(&self, entry: &Entry, fields: &Map<String, Value>) -> anyhow::Result<()> {
        let Some(variable) = self.variable else { return Ok(()) };
        let own: Credentials = serde_json::from_value(fields.clone().into())?;
        let mut filled = own.clone();
        // What is missing is told by the call itself.
        let _ = form::complete(&entry.declaration, Form::Provider, &mut filled);
        let way = |credentials: &Credentials| {
            let endpoints = entry.provider.endpoints(credentials).unwrap_or_default();
            let network = ["proxy_url", "tls_ca"].map(|field| credentials.get(field).map(str::to_owned));
            (endpoints, network)
        };
        let (by_itself, by_directory) = (way(&own), way(&filled));
        if by_itself == by_directory {
            return Ok(());
        }
        let origins = |(endpoints, _): (Vec<Url>, _)| {
            let origins: Vec<String> = endpoints.iter().map(|url| url.origin().ascii_serialization()).collect();
            origins.join(", ")
        };
        bail!(
            "{variable} is not sent: this directory's form leads it another way (to {}) than it goes by itself (to {}). If it may \
             go there, give it with --credential",
            origins(by_directory),
            origins(by_itself)
        )
    }
}

/// Reads a JSON or YAML object.
pub fn read_object(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?
    } else {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
    };
    // A request with pictures is longer than YAML may be.
    match serde_json::from_str(&text).or_else(|_| yaml::parse(&text)) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => bail!("{} must hold an object of fields", path.display()),
        // The parser's message may quote the text, which may be a secret.
        Err(yaml::Error::Syntax(error)) => match error.location() {
            Some(at) => {
                bail!("{} is neither JSON nor YAML: line {}, column {}", path.display(), at.line(), at.column())
            }
            None => bail!("{} is neither JSON nor YAML", path.display()),
        },
        Err(error) => bail!("{} {error}", path.display()),
    }
}

/// Splits `name=value`.
pub fn split_pair(text: &str) -> anyhow::Result<(&str, &str)> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim(), value)),
        // What stands alone may be the value.
        Some(_) => bail!("expected NAME=VALUE, found nothing before `=`"),
        None => bail!("expected NAME=VALUE, found no `=`"),
    }
}

/// Whether a provider's forms have a field of this name.
pub fn is_field(declaration: &ProviderDeclaration, name: &str) -> bool {
    declaration.takes(name)
}
