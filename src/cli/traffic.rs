//! `--record` and `--replay`: upstream traffic to a folder, or from it.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::terminal::say;
use crate::config::{Config, traffic_mode};
use crate::upstream::Upstream;
use crate::upstream::recording::TrafficMode;

/// Whether upstream traffic is recorded or replayed.
#[derive(Debug, Default, Args)]
pub struct TrafficArgs {
    /// Write upstream traffic to this folder, without secrets but with prompts and answers
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Record files (base64) by length and digest only
    #[arg(long, requires = "record")]
    shorten_files: bool,
    /// Answer from this recording; nothing goes to the network
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
    /// Replay with the pauses of the recording
    #[arg(long, requires = "replay")]
    timed: bool,
}

impl TrafficArgs {
    /// The way out that was asked for, here or by the environment. A `.env` belongs to whoever made the folder.
    pub fn upstream(&self) -> anyhow::Result<Upstream> {
        let asked = match (&self.record, &self.replay) {
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
                "{} holds files already: name a new folder, so that the recording is of this call",
                directory.display()
            );
        }
        upstream(asked.as_ref())
    }
}

/// The way out, and a word about what is kept.
pub fn upstream(traffic: Option<&TrafficMode>) -> anyhow::Result<Upstream> {
    let Some(traffic) = traffic else { return Ok(Upstream::new()) };
    let upstream = Upstream::recorded(traffic).context("the recording cannot be opened")?;
    match traffic {
        TrafficMode::Record { directory, .. } => {
            say(&format!("recording upstream traffic to {}: prompts and answers, no credentials", directory.display()));
        }
        TrafficMode::Replay { directory, .. } => {
            say(&format!("answering from the recording in {}", directory.display()))
        }
    }
    Ok(upstream)
}
