//! `doctor`: looks at everything between this executable and an answer, and says what to do about what is wrong.
//!
//! It changes nothing, registers nothing and shows no secret. Looked at, in this order: declarations, settings and
//! environment, certificates, proxies, what forms may use of this machine; then what was asked for: a provider's endpoint,
//! Dify's debugging port.

mod certificates;
mod debug_port;
mod endpoint;
mod environment;
mod finding;
mod operator;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use self::finding::Report;
use super::credentials::CredentialArgs;
use super::debug_args::DifyArgs;
use super::session_client;
use super::terminal::say;
use crate::declare::{self, Severity};
use crate::protocol::{Credentials, ModelType};
use crate::upstream::Upstream;

/// Look for what keeps the plugin from working: one line per finding, with what to do about it
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Provider whose endpoint is to be reached and whose credentials are to be validated
    #[arg(long)]
    provider: Option<String>,
    /// Model to validate, for providers whose credentials belong to a model
    #[arg(long)]
    model: Option<String>,
    /// Type of that model
    #[arg(long, default_value = "llm", value_name = "TYPE", value_parser = model_type)]
    model_type: ModelType,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[command(flatten)]
    dify: DifyArgs,
    /// Folder that holds manifest.yaml
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Print each finding as a JSON object on its line
    #[arg(long)]
    json: bool,
}

fn model_type(text: &str) -> Result<ModelType, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

impl DoctorArgs {
    /// Runs the command; exit code 1 when anything does not work.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let mut report = Report::new(self.json);
        let mut unchecked = Vec::new();
        self.declarations(&mut report)?;
        let settings = self.dify.settings();
        environment::check(&mut report, &settings, &self.dify.env_file)?;
        let read = self.provider.as_deref().map(|name| self.credentials.read(name)).transpose();
        let unreadable = read.as_ref().err().map(|error| format!("{error:#}"));
        let given = read.ok().flatten().unwrap_or_default();
        let credentials: Credentials = serde_json::from_value(given.fields.clone().into())?;
        certificates::check(&mut report, &credentials)?;
        environment::proxies(&mut report, &settings)?;
        operator::check(&mut report, &settings, &self.dify.env_file)?;
        match (&self.provider, unreadable) {
            (Some(_), Some(why)) => {
                report.error("credentials", why, "Give a file with a JSON or YAML object, or NAME=VALUE.")?;
            }
            (Some(provider), None) => {
                let asked = endpoint::DoctorTarget {
                    provider,
                    model: self.model.as_deref(),
                    model_type: self.model_type,
                    given,
                };
                endpoint::check(&mut report, &self.dir, &asked, &credentials).await?;
            }
            (None, _) => unchecked.push("a provider's endpoint (give --provider and its credentials)"),
        }
        if debug_port::is_set(&settings) {
            debug_port::check(&mut report, &settings).await?;
        } else {
            unchecked.push("Dify's debugging port (give --url and --key, or a .env)");
        }
        say(&report.summary());
        if !unchecked.is_empty() {
            say(&format!("not looked at: {}", unchecked.join("; ")));
        }
        Ok(if report.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn declarations(&self, report: &mut Report) -> anyhow::Result<()> {
        const CHECK: &str = "declarations";
        if !self.dir.join("manifest.yaml").is_file() {
            let found = format!("{} holds no manifest.yaml", self.dir.display());
            return report.error(CHECK, found, "Run in the plugin's folder, or name it with --dir.");
        }
        for problem in declare::check(&self.dir) {
            let place = if problem.path.is_empty() { String::new() } else { format!(": {}", problem.path) };
            let found = format!("{}{place}: {}", problem.file, problem.message);
            match problem.severity {
                Severity::Warning => report.warning(CHECK, found, "Dify takes it, but not as it was meant.")?,
                Severity::Error => report.error(CHECK, found, "Dify would refuse the plugin: mend this file.")?,
            }
        }
        if report.has_errors() {
            return Ok(());
        }
        match session_client::registry(&self.dir, Upstream::new()) {
            Ok(registry) => {
                let names = registry.names();
                let models: usize = names.iter().map(|name| registry.models(name).len()).sum();
                report.ok(CHECK, format!("{} with {models} models", names.join(", ")))
            }
            Err(error) => report.error(CHECK, format!("{error:#}"), "Remove it from the manifest."),
        }
    }
}
