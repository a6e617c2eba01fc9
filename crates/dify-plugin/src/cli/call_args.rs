//! The options that `try` and `invoke` have in common: where the plugin is, and how it is called.

use std::path::PathBuf;

use clap::Args;

use super::credentials::CredentialArgs;
use super::program::Program;
use super::session_client::{self, Loaded};
use super::take_over::FromArgs;
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
    #[command(flatten)]
    from: FromArgs,
}

impl CallArgs {
    /// Loads the plugin.
    pub fn load(&self, program: &Program) -> anyhow::Result<Loaded> {
        let upstream = self.traffic.upstream()?;
        match self.from.take(program)? {
            Some(taken) => session_client::load_declared(program, taken.declarations, upstream),
            None => session_client::load(program, &self.dir, upstream),
        }
    }
}
