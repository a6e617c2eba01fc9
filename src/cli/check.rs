//! `check`: prints every problem of a plugin's declarations at once.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::terminal::print_line;
use crate::declare::{self, Problems};

/// Check the declarations of a plugin by the rules of the daemon and of the Dify API
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Folder that holds manifest.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
}

impl CheckArgs {
    /// Runs the command; exit code 1 when anything would be refused.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if !self.dir.is_dir() {
            bail!("{} is not a folder", self.dir.display());
        }
        let problems = Problems(declare::check(&self.dir));
        for problem in &problems.0 {
            print_line(&problem.to_string())?;
        }
        if problems.has_errors() {
            return Ok(ExitCode::FAILURE);
        }
        let declarations = declare::load(&self.dir)?;
        let models: usize = declarations.providers.iter().map(|provider| provider.models.len()).sum();
        let kinds = &declarations.kinds;
        let parts = kinds.kinds().map(|kind| format!("{} {}", kinds.parts(kind), kind.parts_key().replace('_', " ")));
        let mut counted: Vec<String> = parts.collect();
        if counted.is_empty() || !declarations.providers.is_empty() {
            counted.insert(0, format!("{} providers, {models} models", declarations.providers.len()));
        }
        print_line(&format!("{}: fine", counted.join(", ")))?;
        Ok(ExitCode::SUCCESS)
    }
}
