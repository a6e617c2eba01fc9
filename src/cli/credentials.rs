//! Credentials at the terminal: a file, single fields, or the environment variables that people already have.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Map, Value};

use crate::declare::ProviderDeclaration;

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
const FROM_ENVIRONMENT: &[(&str, &str, &[&str])] =
    &[("google", "google_api_key", &["GEMINI_API_KEY", "GOOGLE_API_KEY"])];

impl CredentialArgs {
    /// The fields for a provider; empty when nothing was given.
    pub fn read(&self, provider: &str) -> anyhow::Result<Map<String, Value>> {
        let mut fields = match &self.credentials {
            Some(path) => read_object(path)?,
            None => Map::new(),
        };
        for field in &self.fields {
            let (name, value) = split_pair(field)?;
            fields.insert(name.to_owned(), value.into());
        }
        if fields.is_empty() {
            for (_, field, variables) in FROM_ENVIRONMENT.iter().filter(|(name, ..)| *name == provider) {
                let found =
                    variables.iter().find_map(|name| std::env::var(name).ok()).filter(|value| !value.is_empty());
                if let Some(value) = found {
                    fields.insert((*field).to_owned(), value.into());
                }
            }
        }
        Ok(fields)
    }
}

/// Reads a JSON or YAML object.
pub fn read_object(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?
    } else {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
    };
    match serde_yaml::from_str::<Value>(&text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => bail!("{} must hold an object of fields", path.display()),
        // The parser's message may quote the text, which may be a secret.
        Err(error) => match error.location() {
            Some(at) => {
                bail!("{} is neither JSON nor YAML: line {}, column {}", path.display(), at.line(), at.column())
            }
            None => bail!("{} is neither JSON nor YAML", path.display()),
        },
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
    declaration.credential_fields().any(|field| field.variable == name)
}
