//! Credentials on the command line: a file, single fields, or the environment variables that many users have set.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Map, Value};
use url::Url;

use super::program::Program;
use crate::declare::{ProviderDeclaration, yaml};
use crate::protocol::Credentials;
use crate::runtime::form::{self, Form};
use crate::runtime::registry::Entry;

/// Sources of credentials.
#[derive(Debug, Default, clap::Args)]
pub struct CredentialArgs {
    /// JSON or YAML file with an object of credential fields
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// A single credential field (repeatable)
    #[arg(long = "credential", value_name = "NAME=VALUE")]
    fields: Vec<String>,
}

/// Credential fields, and whether the user passed them for this directory.
#[derive(Debug, Default)]
pub struct Given {
    /// Credential fields; empty if none were given.
    pub fields: Map<String, Value>,
    /// Environment variable that was used because no field was given.
    variable: Option<&'static str>,
}

impl CredentialArgs {
    /// Reads the fields that are given as options.
    pub fn given(&self) -> anyhow::Result<Map<String, Value>> {
        let mut fields = match &self.credentials {
            Some(path) => read_object(path)?,
            None => Map::new(),
        };
        fields.extend(read_pairs(&self.fields)?);
        Ok(fields)
    }

    /// Reads the credential fields for a model provider.
    pub fn read(&self, program: &Program, provider: &str) -> anyhow::Result<Given> {
        let mut given = Given { fields: self.given()?, variable: None };
        if given.fields.is_empty() {
            for (field, variables) in program.variables(provider) {
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
    /// Fields that the user gave.
    #[cfg(feature = "workbench")]
    pub fn of(fields: Map<String, Value>) -> Self {
        Self { fields, variable: None }
    }

    /// Rejects a key from the environment if the directory's forms would send it elsewhere. The directory may be
    /// untrusted, and its form defaults may set a URL, a proxy or a certificate. `fields` are all fields that the user
    /// gave.
    pub fn keep_from_directory(&self, entry: &Entry, fields: &Map<String, Value>) -> anyhow::Result<()> {
        let Some(variable) = self.variable else { return Ok(()) };
        let own: Credentials = serde_json::from_value(fields.clone().into())?;
        let mut filled = own.clone();
        // Missing fields are reported by the call itself.
        let _ = form::complete(&entry.declaration, Form::Provider, None, &mut filled);
        let destination = |credentials: &Credentials| {
            let endpoints = entry.provider.endpoints(credentials).unwrap_or_default();
            let network = ["proxy_url", "tls_ca"].map(|field| credentials.get(field).map(str::to_owned));
            (endpoints, network)
        };
        let (usual, with_directory) = (destination(&own), destination(&filled));
        if usual == with_directory {
            return Ok(());
        }
        let origins = |(endpoints, _): (Vec<Url>, _)| {
            let origins: Vec<String> = endpoints.iter().map(|url| url.origin().ascii_serialization()).collect();
            origins.join(", ")
        };
        bail!(
            "{variable} is not sent: the defaults in this directory's credential form would change where it is sent (to {} \
             instead of {}) or the network settings. To allow this, pass the key with --credential",
            origins(with_directory),
            origins(usual)
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
    // A request with images may exceed the size limit of YAML.
    match serde_json::from_str(&text).or_else(|_| yaml::parse(&text)) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => bail!("{} must contain an object of credential fields", path.display()),
        // The parser's message may quote the text, which may be a secret.
        Err(yaml::Error::Syntax(error)) => match error.location() {
            Some(at) => {
                bail!("{} is not valid JSON or YAML: line {}, column {}", path.display(), at.line(), at.column())
            }
            None => bail!("{} is not valid JSON or YAML", path.display()),
        },
        Err(error) => bail!("{} {error}", path.display()),
    }
}

/// Reads `name=value` options as the members of an object; the last one of a name wins.
pub fn read_pairs(pairs: &[String]) -> anyhow::Result<Map<String, Value>> {
    pairs.iter().map(|pair| split_pair(pair).map(|(name, value)| (name.to_owned(), value.into()))).collect()
}

/// Splits `name=value`.
pub fn split_pair(text: &str) -> anyhow::Result<(&str, &str)> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim(), value)),
        // The text is not quoted, because it may be the value.
        Some(_) => bail!("expected NAME=VALUE, but the name is empty"),
        None => bail!("expected NAME=VALUE, but there is no `=`"),
    }
}

/// Whether a provider's forms have a field of this name.
pub fn is_field(declaration: &ProviderDeclaration, name: &str) -> bool {
    declaration.takes(name)
}
