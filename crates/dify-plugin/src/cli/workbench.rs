//! `workbench`: serves the workbench's page for a plugin's directory.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::credentials::CredentialArgs;
use super::program::Program;
use crate::workbench::{self, Options};

/// Open a local page that shows the plugin as Dify shows it, calls it, and shows what happened
///
/// The page follows the files. Credentials that are typed into it, or given here, stay in the memory of this process. With a command after --, the
/// page calls that plugin instead of this one: any program that speaks the plugin protocol over standard input and output.
#[derive(Debug, Args)]
pub struct WorkbenchArgs {
    /// Directory that contains manifest.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Port on loopback; 0 is any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Do not open a browser
    #[arg(long)]
    no_open: bool,
    /// Address to listen on, where loopback of this machine is not enough, as in a container
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), hide_default_value = true)]
    address: IpAddr,
    #[command(flatten)]
    credentials: CredentialArgs,
    /// Provider that the given credentials are for [default: the first one that has a form for them]
    #[arg(long)]
    provider: Option<String>,
    /// Command of another plugin, such as `python -m main`; it runs in DIR
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl WorkbenchArgs {
    /// Serves until it is interrupted.
    pub async fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        if !self.dir.is_dir() {
            bail!("{} is not a directory", self.dir.display());
        }
        let given = self.credentials.given()?;
        let Self { dir: directory, port, no_open, address, provider, command, .. } = self;
        let options = Options { directory, address, port, opens_browser: !no_open, command, given, provider };
        workbench::run(program.clone(), options).await?;
        Ok(ExitCode::SUCCESS)
    }
}
