//! `dev`: the loop of an author. A saved source file is built, a saved declaration is checked, and the plugin registers again
//! under its debug ID. The last good build stays registered while the new one does not compile or does not pass `check`.
//!
//! This file decides; [`build`] runs Cargo, [`registered`] runs the plugin. A good build runs from a copy, so that the next
//! build cannot replace it.
//!
//! The daemon allows one connection per ID: a second one takes over the installation of the first, and is removed with it when
//! the first one ends. So the old build ends when the new one is ready, and the new one connects after the daemon's cleanup.

mod build;
mod registered;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch as channel;

use self::build::{Build, Cargo};
use self::registered::{Wanted, keep_registered};
use super::debug::RECONNECT_DELAY;
use super::debug_args::{DifyArgs, PluginArgs};
use super::terminal::say;
use super::watch::{self, Declarations, Files};

/// Build the plugin at every change, check it, and keep the last good build connected to a running Dify
///
/// Run it with Cargo: `cargo run -- dev`. Without a debugging key, the plugin is built and checked, but not connected.
#[derive(Debug, Args)]
pub struct DevArgs {
    #[command(flatten)]
    dify: DifyArgs,
    #[command(flatten)]
    plugin: PluginArgs,
    /// Further arguments for `cargo build`, such as --features
    #[arg(last = true, value_name = "CARGO ARGUMENTS")]
    cargo: Vec<OsString>,
}

impl DevArgs {
    /// Runs until Ctrl-C or SIGTERM.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cargo = Cargo::of_this_process(&self.plugin.dir, self.cargo.clone())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let delays = Delays { watch: watch::INTERVAL, reconnect: RECONNECT_DELAY, max_restart: MAX_RESTART_DELAY };
        let work = Supervisor::new(self, cargo, delays)?;
        tokio::select! {
            outcome = work.run() => outcome,
            // Dropping the work ends its child processes.
            () = stop => Ok(ExitCode::SUCCESS),
        }
    }

    /// The command that registers a build; `None` without a debugging key.
    fn debug(&self) -> Option<Debug> {
        let settings = self.dify.settings();
        let setting = |name: &str| settings.get(name).filter(|value| !value.is_empty()).cloned();
        let key = setting("REMOTE_INSTALL_KEY")?;
        let mut arguments: Vec<OsString> = ["debug", "--supervised", "--dir"].map(OsString::from).to_vec();
        arguments.push(self.plugin.dir.clone().into());
        arguments.extend(["--env-file".into(), self.dify.env_file.clone().into()]);
        for provider in &self.plugin.providers {
            arguments.extend(["--provider".into(), provider.into()]);
        }
        if self.plugin.real_ids {
            arguments.push("--real-ids".into());
        }
        if self.dify.clear_text {
            arguments.push("--clear-text".into());
        }
        // Other users of the machine can read arguments.
        let mut environment = vec![("REMOTE_INSTALL_KEY", key)];
        environment.extend(setting("REMOTE_INSTALL_URL").map(|url| ("REMOTE_INSTALL_URL", url)));
        Some(Debug { arguments, environment })
    }
}

/// Longest delay before a plugin that ended is started again.
const MAX_RESTART_DELAY: Duration = Duration::from_secs(60);

/// How the executable of a build is started to register.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Debug {
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
}

/// Waiting times.
#[derive(Clone, Copy, Debug)]
struct Delays {
    /// Between two checks for changed files; also how long files must stay unchanged before they are built.
    watch: Duration,
    /// Between the end of a registered plugin and the start of the next.
    reconnect: Duration,
    /// Limit of the delay after repeated failures.
    max_restart: Duration,
}

/// What can change.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    sources: Files,
    declarations: Files,
    settings: Files,
}

struct Supervisor {
    args: DevArgs,
    cargo: Cargo,
    delays: Delays,
    declarations: Declarations,
    /// Where good builds are kept.
    kept: KeptBuilds,
    /// The last build, if it has not passed `check` yet.
    unchecked: Option<PathBuf>,
    /// The last build that passed `check`.
    good: Option<PathBuf>,
    wanted: channel::Sender<Wanted>,
}

impl Supervisor {
    fn new(args: DevArgs, cargo: Cargo, delays: Delays) -> anyhow::Result<Self> {
        let declarations = Declarations::new(&args.plugin.dir);
        let kept = KeptBuilds::new(&cargo.target)?;
        let (wanted, _) = channel::channel(Wanted::default());
        Ok(Self { args, cargo, delays, declarations, kept, unchecked: None, good: None, wanted })
    }

    async fn run(mut self) -> anyhow::Result<ExitCode> {
        let registering = keep_registered(self.wanted.subscribe(), self.delays);
        let work = async {
            let mut seen = self.seen();
            self.build(&mut seen).await?;
            loop {
                let mut now = self.change(&seen).await;
                if now.sources != seen.sources {
                    self.build(&mut now).await?;
                } else if now.declarations != seen.declarations {
                    self.check_declarations().await?;
                } else {
                    self.register();
                }
                // What was saved in the meantime differs from this.
                seen = now;
            }
        };
        tokio::select! {
            outcome = work => outcome,
            () = registering => Ok(ExitCode::SUCCESS),
        }
    }

    fn seen(&mut self) -> Seen {
        let (mut sources, mut settings) = (Files::new(), Files::new());
        for directory in &self.cargo.directories {
            watch::sources(directory, &mut sources);
        }
        watch::add(&self.args.dify.env_file, &mut settings);
        Seen { sources, declarations: self.declarations.files(), settings }
    }

    /// Waits for a change, and then until nothing more changes: several saves are one change.
    async fn change(&mut self, seen: &Seen) -> Seen {
        let mut last = self.seen();
        loop {
            tokio::time::sleep(self.delays.watch).await;
            let now = self.seen();
            if now != *seen && now == last {
                return now;
            }
            last = now;
        }
    }

    /// Builds what was seen.
    async fn build(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        let known = self.cargo.directories.clone();
        let outcome = self.cargo.build().await?;
        // The path dependencies are known from now on.
        for directory in self.cargo.directories.difference(&known) {
            watch::sources(directory, &mut seen.sources);
        }
        match outcome {
            Build::Failed => {
                self.report_failure("the build failed");
            }
            Build::Same if self.good.is_some() && self.unchecked.is_none() => {}
            Build::Same | Build::New => {
                let executable = self.cargo.executable.clone().context("Cargo built no executable")?;
                let kept = self.kept.keep(&executable)?;
                if let Some(previous) = self.unchecked.replace(kept) {
                    KeptBuilds::remove(&previous);
                }
                self.check().await?;
            }
        }
        Ok(())
    }

    /// Checks the declarations with the build that is waiting for them, or else with the good one. A registered plugin checks
    /// and reloads its declarations itself.
    async fn check_declarations(&mut self) -> anyhow::Result<()> {
        match &self.good {
            _ if self.unchecked.is_some() => self.check().await,
            Some(good) if !self.wanted.borrow().is_registered() => {
                registered::check(good, &self.args.plugin.dir).await?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Checks the last build; if it passes, it is the good one.
    async fn check(&mut self) -> anyhow::Result<()> {
        let Some(build) = self.unchecked.clone() else { return Ok(()) };
        if !registered::check(&build, &self.args.plugin.dir).await? {
            self.report_failure("the check failed");
            return Ok(());
        }
        self.unchecked = None;
        let previous = self.good.replace(build);
        self.register();
        // A plugin that runs keeps its file.
        if let Some(previous) = previous {
            KeptBuilds::remove(&previous);
        }
        Ok(())
    }

    fn register(&mut self) {
        let Some(good) = self.good.clone() else { return };
        let debug = self.args.debug();
        let is_first = *self.wanted.borrow() == Wanted::default();
        if debug.is_none() && (is_first || self.wanted.borrow().is_registered()) {
            say("not connected to Dify: pass --key, or set REMOTE_INSTALL_KEY and REMOTE_INSTALL_URL in .env");
        }
        self.wanted.send_modify(|wanted| *wanted = wanted.next(good, debug));
    }

    fn report_failure(&self, what: &str) {
        let state = if self.wanted.borrow().is_registered() { "; the last good build stays registered" } else { "" };
        say(&format!("{what}{state}"));
    }
}

/// Copies of builds, in Cargo's directory. They are removed when the command ends.
struct KeptBuilds {
    directory: PathBuf,
    count: usize,
}

impl KeptBuilds {
    fn new(target: &Path) -> anyhow::Result<Self> {
        let directory = target.join(format!("dify-plugin-dev-{}", std::process::id()));
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(Self { directory, count: 0 })
    }

    /// Keeps an executable under its own name.
    fn keep(&mut self, executable: &Path) -> anyhow::Result<PathBuf> {
        self.count += 1;
        let directory = self.directory.join(self.count.to_string());
        let kept = directory.join(executable.file_name().context("Cargo built no executable")?);
        let copied = std::fs::create_dir_all(&directory).and_then(|()| {
            std::fs::hard_link(executable, &kept).or_else(|_| std::fs::copy(executable, &kept).map(drop))
        });
        copied.with_context(|| format!("cannot keep {}", executable.display()))?;
        Ok(kept)
    }

    fn remove(kept: &Path) {
        if let Some(directory) = kept.parent() {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

impl Drop for KeptBuilds {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
mod tests;
