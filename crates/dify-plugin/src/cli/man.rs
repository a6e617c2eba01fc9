//! `man`: the manual page of this executable and those of its commands.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap_mangen::Man;

/// Print the manual page, for example for `weather man | man -l -`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for the program and each of its commands to this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl ManArgs {
    /// Runs the command.
    pub fn run(self, mut command: clap::Command) -> anyhow::Result<ExitCode> {
        command.build();
        let Some(directory) = self.out else {
            let mut page = Vec::new();
            pages(&command, &mut |_, text| page.extend_from_slice(text))?;
            std::io::stdout().lock().write_all(&page)?;
            return Ok(ExitCode::SUCCESS);
        };
        let within = || format!("cannot write to {}", directory.display());
        std::fs::create_dir_all(&directory).with_context(within)?;
        let mut written = Ok(());
        pages(&command, &mut |name, text| {
            if written.is_ok() {
                written = std::fs::write(directory.join(format!("{name}.1")), text);
            }
        })?;
        written.with_context(within)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Makes the page of a command and those of its own commands.
fn pages(command: &clap::Command, take: &mut dyn FnMut(&str, &[u8])) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut text = Vec::new();
    Man::new(command.clone()).title(name.clone()).render(&mut text)?;
    take(&name, &text);
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        pages(inner, take)?;
    }
    Ok(())
}
