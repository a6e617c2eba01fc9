//! `--record` and `--replay`: records upstream traffic to a directory, or replays it from there.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::config::{Config, traffic_mode};
use crate::process::traffic::upstream;
use crate::upstream::Upstream;
use crate::upstream::recording::TrafficMode;

/// Whether upstream traffic is recorded or replayed.
#[derive(Debug, Default, Args)]
pub struct TrafficArgs {
    /// Record upstream traffic to this directory: prompts and responses, without secrets
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Record only the length and SHA-256 digest of files (Base64)
    #[arg(long, requires = "record")]
    shorten_files: bool,
    /// Replay responses from this recording, without using the network
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
    /// Keep the original timing when replaying
    #[arg(long, requires = "replay")]
    timed: bool,
}

impl TrafficArgs {
    /// Returns the HTTP client selected by these arguments, or else by `DIFY_PLUGIN_RECORD` and `DIFY_PLUGIN_REPLAY` in
    /// the environment. A `.env` is not read, because it belongs to the author of the directory.
    pub fn upstream(&self) -> anyhow::Result<Upstream> {
        let mode = match (&self.record, &self.replay) {
            (Some(directory), _) => {
                Some(TrafficMode::Record { directory: directory.clone(), shorten_files: self.shorten_files })
            }
            (None, Some(directory)) => Some(TrafficMode::Replay { directory: directory.clone(), timed: self.timed }),
            (None, None) => traffic_mode(&Config::environment())?,
        };
        if let Some(directory) = &self.record
            && directory.read_dir().is_ok_and(|mut entries| entries.next().is_some())
        {
            bail!(
                "{} is not empty; choose a new directory, so that the recording contains only this run",
                directory.display()
            );
        }
        upstream(mode.as_ref())
    }
}
