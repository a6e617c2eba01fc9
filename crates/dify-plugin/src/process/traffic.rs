//! The HTTP client that the settings select: one that records its traffic, one that replays it, or an ordinary one.

use anyhow::Context;

use super::terminal::say;
use crate::upstream::Upstream;
use crate::upstream::recording::TrafficMode;

/// Builds the HTTP client, and tells the user if traffic is recorded or replayed.
pub(crate) fn upstream(traffic: Option<&TrafficMode>) -> anyhow::Result<Upstream> {
    let Some(traffic) = traffic else { return Ok(Upstream::new()) };
    let upstream = Upstream::recorded(traffic).context("cannot open the recording")?;
    match traffic {
        TrafficMode::Record { directory, .. } => {
            say(&format!(
                "recording upstream traffic to {} (prompts and responses included, credentials removed)",
                directory.display()
            ));
        }
        TrafficMode::Replay { directory, .. } => say(&format!("replaying responses from {}", directory.display())),
    }
    Ok(upstream)
}
