//! The options that `try` and `invoke` have in common: where the plugin is, and how it is called.

use std::path::PathBuf;

use clap::Args;

use super::credentials::CredentialArgs;
use super::program::Program;
use super::session_client::{self, Loaded};
use super::traffic::TrafficArgs;

/// Options of a call at the terminal.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// Print the raw protocol frames
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub credentials: CredentialArgs,
    #[command(flatten)]
    traffic: TrafficArgs,
    /// Directory that contains manifest.yaml
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
}

impl CallArgs {
    /// Loads the plugin.
    pub fn load(&self, program: &Program) -> anyhow::Result<Loaded> {
        session_client::load(program, &self.dir, self.traffic.upstream()?)
    }
}
