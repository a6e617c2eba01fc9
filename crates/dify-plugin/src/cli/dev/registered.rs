//! The plugin of `dev` as a child process: the check of a build, and the one registered plugin, which is replaced by the next
//! good build and started again when it ends by itself.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::{Debug, Delays};
use crate::cli::terminal::say;

/// What is to be registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Differs for each request.
    number: u64,
    plugin: Option<(PathBuf, Debug)>,
}

impl Wanted {
    /// The next request; without a debugging key, nothing is registered.
    pub fn next(&self, executable: PathBuf, debug: Option<Debug>) -> Self {
        Self { number: self.number + 1, plugin: debug.map(|debug| (executable, debug)) }
    }

    /// Whether a plugin is to be registered.
    pub fn is_registered(&self) -> bool {
        self.plugin.is_some()
    }
}

/// Runs `check` of a build. Its output goes to the terminal.
pub(super) async fn check(executable: &Path, plugin: &Path) -> anyhow::Result<bool> {
    let status = Command::new(executable).arg("check").arg(plugin).stdin(Stdio::null()).kill_on_drop(true).status();
    let status = status.await.with_context(|| format!("cannot run {}", executable.display()))?;
    Ok(status.success())
}

/// Keeps what is wanted running until the sender is dropped.
pub(super) async fn keep_registered(mut wanted: watch::Receiver<Wanted>, delays: Delays) {
    let mut restart = delays.reconnect;
    loop {
        let now = wanted.borrow_and_update().clone();
        let Some((executable, debug)) = &now.plugin else {
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        };
        let started = Instant::now();
        let ended = match start(executable, debug) {
            Ok(mut child) => tokio::select! {
                status = child.wait() => match status {
                    Ok(status) => format!("the plugin ended ({status})"),
                    Err(error) => format!("cannot wait for the plugin: {error}"),
                },
                changed = wanted.changed() => {
                    end(child).await;
                    if changed.is_err() {
                        return;
                    }
                    restart = delays.reconnect;
                    tokio::time::sleep(delays.reconnect).await;
                    continue;
                }
            },
            Err(error) => format!("{error:#}"),
        };
        // The delay starts over after a run that was long enough.
        restart = if started.elapsed() > delays.max_restart { delays.reconnect } else { restart };
        say(&format!("{ended}; starting it again in {:?}", restart));
        restart = if wait(&mut wanted, restart, delays.reconnect).await {
            delays.reconnect
        } else {
            (restart * 2).min(delays.max_restart)
        };
    }
}

/// Waits, but no longer than `least` once something else is wanted. Returns whether it is.
async fn wait(wanted: &mut watch::Receiver<Wanted>, delay: Duration, least: Duration) -> bool {
    tokio::time::sleep(least).await;
    tokio::select! {
        () = tokio::time::sleep(delay.saturating_sub(least)) => wanted.has_changed().unwrap_or(true),
        _ = wanted.changed() => true,
    }
}

fn start(executable: &Path, debug: &Debug) -> anyhow::Result<Child> {
    Command::new(executable)
        .args(&debug.arguments)
        .envs(debug.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", executable.display()))
}

async fn end(mut child: Child) {
    // It has ended already if this fails.
    let _ = child.kill().await;
}
