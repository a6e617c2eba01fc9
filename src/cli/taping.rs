//! `--record` and `--replay`: upstream traffic to a folder, or from it.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::terminal::say;
use crate::config::{Config, taping};
use crate::upstream::Upstream;
use crate::upstream::recording::Taping;

/// Whether upstream traffic is recorded or replayed.
#[derive(Debug, Default, Args)]
pub struct TapingArgs {
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

impl TapingArgs {
    /// The way out that was asked for, here or by the environment. A `.env` belongs to whoever made the folder.
    pub fn upstream(&self) -> anyhow::Result<Upstream> {
        let asked = match (&self.record, &self.replay) {
            (Some(folder), _) => Some(Taping::Record { folder: folder.clone(), shorten_files: self.shorten_files }),
            (None, Some(folder)) => Some(Taping::Replay { folder: folder.clone(), timed: self.timed }),
            (None, None) => taping(&Config::environment())?,
        };
        if let Some(folder) = &self.record
            && folder.read_dir().is_ok_and(|mut entries| entries.next().is_some())
        {
            bail!("{} holds files already: name a new folder, so that the recording is of this call", folder.display());
        }
        upstream(asked.as_ref())
    }
}

/// The way out, and a word about what is kept.
pub fn upstream(taping: Option<&Taping>) -> anyhow::Result<Upstream> {
    let Some(taping) = taping else { return Ok(Upstream::new()) };
    let upstream = Upstream::taped(taping).context("the recording cannot be opened")?;
    match taping {
        Taping::Record { folder, .. } => {
            say(&format!("recording upstream traffic to {}: prompts and answers, no credentials", folder.display()));
        }
        Taping::Replay { folder, .. } => say(&format!("answering from the recording in {}", folder.display())),
    }
    Ok(upstream)
}
