//! `doctor`: checks everything that a model call needs, and suggests a fix for each problem.
//!
//! It changes nothing, registers nothing and prints no secrets. The checks, in this order: declarations, settings and
//! environment, certificates, proxies, and the machine's resources that credential forms may use; then, if requested, a
//! provider's endpoint and Dify's debugging port.

mod certificates;
mod debug_port;
mod endpoint;
mod environment;
mod finding;
mod operator;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
#[cfg(feature = "workbench")]
use serde_json::{Map, Value};

#[cfg(feature = "workbench")]
use self::finding::Finding;
use self::finding::Report;
use super::credentials::CredentialArgs;
#[cfg(feature = "workbench")]
use super::credentials::Given;
use super::debug_args::DifyArgs;
use super::program::Program;
use super::session_client;
use super::terminal::say;
#[cfg(feature = "workbench")]
use crate::config::Config;
use crate::declare::{self, Severity};
use crate::protocol::{Credentials, ModelType};
use crate::upstream::Upstream;

/// Diagnose why the plugin does not work: one line per check, with a suggested fix
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Provider whose endpoint and credentials to check
    #[arg(long)]
    provider: Option<String>,
    /// Model to validate, for providers with per-model credentials
    #[arg(long)]
    model: Option<String>,
    /// Type of that model
    #[arg(long, default_value = "llm", value_name = "TYPE", value_parser = model_type)]
    model_type: ModelType,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[command(flatten)]
    dify: DifyArgs,
    /// Directory that contains manifest.yaml
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Print one JSON object per finding
    #[arg(long)]
    json: bool,
}

fn model_type(text: &str) -> Result<ModelType, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

impl DoctorArgs {
    /// Runs the command. The exit code is 1 if there are errors.
    pub async fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        let mut report = Report::new(self.json);
        let mut unchecked = Vec::new();
        declarations(program, &self.dir, &mut report)?;
        let settings = self.dify.settings();
        environment::check(&mut report, &settings, &self.dify.env_file)?;
        let outcome = self.provider.as_deref().map(|name| self.credentials.read(program, name)).transpose();
        let problem = outcome.as_ref().err().map(|error| format!("{error:#}"));
        let given = outcome.ok().flatten().unwrap_or_default();
        let credentials: Credentials = serde_json::from_value(given.fields.clone().into())?;
        certificates::check(&mut report, &credentials)?;
        environment::proxies(&mut report, &settings)?;
        operator::check(&mut report, &settings, &self.dify.env_file)?;
        match (&self.provider, problem) {
            (Some(_), Some(why)) => {
                report.error("credentials", why, "Pass a file with a JSON or YAML object, or NAME=VALUE.")?;
            }
            (Some(provider), None) => {
                let target = endpoint::DoctorTarget {
                    provider,
                    model: self.model.as_deref(),
                    model_type: self.model_type,
                    given,
                };
                endpoint::check(program, &mut report, &self.dir, &target, &credentials).await?;
            }
            (None, _) => unchecked.push("provider endpoint (pass --provider and its credentials)"),
        }
        if debug_port::is_set(&settings) {
            debug_port::check(&mut report, &settings).await?;
        } else {
            unchecked.push("Dify's debugging port (pass --url and --key, or use a .env file)");
        }
        say(&report.summary());
        if !unchecked.is_empty() {
            say(&format!("not checked: {}", unchecked.join("; ")));
        }
        Ok(if report.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn declarations(program: &Program, directory: &Path, report: &mut Report) -> anyhow::Result<()> {
    const CHECK: &str = "declarations";
    if !directory.join("manifest.yaml").is_file() {
        let found = format!("no manifest.yaml in {}", directory.display());
        return report.error(CHECK, found, "Run the command in the plugin directory, or pass --dir.");
    }
    for problem in declare::check(directory) {
        let place = if problem.path.is_empty() { String::new() } else { format!(": {}", problem.path) };
        let found = format!("{}{place}: {}", problem.file, problem.message);
        match problem.severity {
            Severity::Warning => {
                report.warning(CHECK, found, "Dify accepts this, but does not treat it as intended.")?
            }
            Severity::Error => report.error(CHECK, found, "Dify would reject the plugin; fix this file.")?,
        }
    }
    if report.has_errors() {
        return Ok(());
    }
    match session_client::load(program, directory, Upstream::new()) {
        Ok(session_client::Loaded { registry, .. }) => {
            let names = registry.names();
            let models: usize = names.iter().map(|name| registry.models(name).len()).sum();
            report.ok(CHECK, format!("{} with {models} models", names.join(", ")))
        }
        Err(error) => report.error(CHECK, format!("{error:#}"), "Remove it from the manifest."),
    }
}

/// What the workbench shows: the checks of the machine and the declarations and, with the credentials of a provider, of its endpoint.
#[cfg(feature = "workbench")]
pub(crate) async fn findings(
    program: &Program,
    directory: &Path,
    provider: Option<&str>,
    fields: Map<String, Value>,
) -> anyhow::Result<Vec<Finding>> {
    let mut report = Report::kept();
    declarations(program, directory, &mut report)?;
    let file = Path::new(".env");
    let settings = Config::settings(file);
    environment::check(&mut report, &settings, file)?;
    let credentials: Credentials = serde_json::from_value(fields.clone().into())?;
    certificates::check(&mut report, &credentials)?;
    environment::proxies(&mut report, &settings)?;
    operator::check(&mut report, &settings, file)?;
    if let Some(provider) = provider {
        let given = Given::of(fields);
        let target = endpoint::DoctorTarget { provider, model: None, model_type: ModelType::Llm, given };
        endpoint::check(program, &mut report, directory, &target, &credentials).await?;
    }
    Ok(report.into_findings())
}
