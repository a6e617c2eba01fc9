//! `declare`: writes the YAML files that the code of the plugin needs, or updates them. What changes is decided in
//! [`crate::declare::code`].

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::program::Program;
use super::terminal::print_line;
use crate::atomic_file::write_whole;
use crate::declare::code;

/// Write or update the plugin's YAML files from its code; texts, translations and comments stay
#[derive(Debug, Args)]
pub struct DeclareArgs {
    /// Directory that contains manifest.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Write nothing; exit with 1 if a file would change
    #[arg(long)]
    check: bool,
    /// Keep parameters and listed files that the code does not have
    #[arg(long)]
    keep: bool,
}

impl DeclareArgs {
    /// Runs the command.
    pub fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        if !self.dir.is_dir() {
            bail!("{} is not a directory", self.dir.display());
        }
        let code = program.plugin.code();
        if code.providers.is_empty() {
            bail!("the plugin has no tools, endpoints, agent strategies, datasources or triggers to declare");
        }
        let files = code::update(&self.dir, &code, self.keep)?;
        for file in &files {
            for change in &file.changes {
                print_line(&format!("{}: {change}", file.file))?;
            }
        }
        if files.is_empty() {
            print_line("the YAML files match the code")?;
        } else if self.check {
            print_line(&format!("files that would change: {}; run `declare`", files.len()))?;
            return Ok(ExitCode::FAILURE);
        }
        for file in &files {
            let path = self.dir.join(&file.file);
            write_whole(&path, file.text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
