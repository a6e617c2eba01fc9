//! `check`: prints all problems of a plugin's declarations.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::program::Program;
use super::take_over::FromArgs;
use super::terminal::print_line;

/// Check the plugin's declarations against the rules of the plugin daemon and the Dify API, and against its code
///
/// With --from, report what of a published plugin is served natively, and what is not. The exit code is 0 if that is the whole
/// plugin, or all but the models that are named.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Directory that contains manifest.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    from: FromArgs,
}

impl CheckArgs {
    /// Runs the command. The exit code is 1 if Dify would reject the declarations, or if the code does not match them.
    pub fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        if let Some(taken) = self.from.take(program)? {
            taken.report().iter().try_for_each(|line| print_line(line))?;
            return Ok(if taken.serves_every_provider() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if !self.dir.is_dir() {
            bail!("{} is not a directory", self.dir.display());
        }
        let (declarations, problems) = program.inspect(&self.dir);
        for problem in &problems.0 {
            print_line(&problem.to_string())?;
        }
        let Some(declarations) = declarations.filter(|_| !problems.has_errors()) else {
            return Ok(ExitCode::FAILURE);
        };
        let models: usize = declarations.providers.iter().map(|provider| provider.models.len()).sum();
        let kinds = &declarations.kinds;
        let parts = kinds.kinds().map(|kind| format!("{} {}", kinds.parts(kind), kind.parts_key().replace('_', " ")));
        let mut counted: Vec<String> = parts.collect();
        if counted.is_empty() || !declarations.providers.is_empty() {
            counted.insert(0, format!("{} providers, {models} models", declarations.providers.len()));
        }
        print_line(&format!("{}: no problems found", counted.join(", ")))?;
        Ok(ExitCode::SUCCESS)
    }
}
