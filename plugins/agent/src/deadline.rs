//! The time that a run has. Dify ends a session after 600 s without an answer to the user; a run that comes near to it
//! stops calling tools and lets the model answer.

use std::time::Duration;

use dify_plugin::prelude::*;
use tokio::time::{Instant, timeout_at};

/// After this time no further tool is called.
const LAST_TOOL: Duration = Duration::from_secs(440);

/// When tools that still run are given up, so that the model can answer without them.
const END_OF_TOOLS: Duration = Duration::from_secs(500);

/// When the run is given up, before Dify does it.
const END: Duration = Duration::from_secs(580);

/// What ends a run.
pub(crate) const LIMIT: &str = "Dify ends a run after 600 s (PLUGIN_MAX_EXECUTION_TIMEOUT of the plugin daemon, \
                                PLUGIN_DAEMON_TIMEOUT of the Dify API)";

/// The time since the run began.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Whether the model has to answer now.
    pub(crate) fn is_near(self) -> bool {
        self.0.elapsed() >= LAST_TOOL
    }

    /// How long a tool that is called now may take.
    pub(crate) fn of_tools(self) -> Duration {
        END_OF_TOOLS.saturating_sub(self.0.elapsed())
    }

    /// Waits for the work, to the end of the run at most.
    pub(crate) async fn limit<T>(self, work: impl Future<Output = Result<T, PluginError>>) -> Result<T, PluginError> {
        timeout_at(self.0 + END, work).await.unwrap_or_else(|_| {
            let message = format!("the model did not answer within the {} s of a run", END.as_secs());
            Err(PluginError::connection(message)
                .with_hint(format!("{LIMIT}. Use fewer iterations, a faster model, or faster tools.")))
        })
    }
}
