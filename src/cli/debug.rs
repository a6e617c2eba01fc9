//! `debug`: the author's loop. Connects every provider to a running Dify, shows the state of each connection, and
//! registers anew when a YAML file changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Args;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::dify::DifyArgs;
use super::say;
use super::serve::registrations;
use super::taping::TapingArgs;
use crate::config::Config;
use crate::config::operator::Operator;
use crate::declare::{self, Declarations, Problems};
use crate::runtime::remote::{self, RemoteError, RemoteOptions, State};
use crate::runtime::{Registry, ServeOptions};
use crate::upstream::Upstream;

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The daemon cleans a lost connection up late: one that comes too soon would be removed with it.
const SETTLE: Duration = Duration::from_secs(5);

/// Connect to a running Dify and register anew when a YAML file changes
#[derive(Debug, Args)]
pub struct DebugArgs {
    #[command(flatten)]
    dify: DifyArgs,
    #[command(flatten)]
    taping: TapingArgs,
    /// Folder that holds manifest.yaml
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
}

impl DebugArgs {
    /// Runs until the key is refused or the user stops it.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let options = self.options()?;
        let upstream = self.taping.upstream()?;
        say(&format!("connecting to {}:{}; stop with Ctrl-C", options.host, options.port));
        loop {
            let seen = times(&self.dir);
            match load(&self.dir) {
                Ok(declarations) => {
                    let mut connections = connect(&options, &upstream, declarations)?;
                    tokio::select! {
                        ended = connections.join_next() => {
                            if let Some(outcome) = ended {
                                outcome??;
                            }
                            return Ok(ExitCode::SUCCESS);
                        }
                        () = change(&self.dir, &seen) => connections.abort_all(),
                    }
                    say(&format!("a file changed; registering again in {} s", SETTLE.as_secs()));
                    tokio::time::sleep(SETTLE).await;
                }
                Err(problems) => {
                    say(&format!("not registered, mend this first:\n{problems}"));
                    change(&self.dir, &seen).await;
                }
            }
        }
    }

    fn options(&self) -> anyhow::Result<RemoteOptions> {
        let config = Config::from_settings(&self.dify.settings())?;
        let key = config
            .remote_key
            .context("no debugging key: give --key, or REMOTE_INSTALL_KEY in the environment or in .env")?;
        let serve = ServeOptions { heartbeat: config.heartbeat_interval, ..ServeOptions::default() };
        Ok(RemoteOptions::new(config.remote_host, config.remote_port, key, serve))
    }
}

fn load(directory: &Path) -> Result<Declarations, Problems> {
    for problem in declare::check(directory) {
        if problem.severity == declare::Severity::Warning {
            say(&problem.to_string());
        }
    }
    declare::load(directory)
}

/// One task per provider, and a line whenever its state changes.
fn connect(
    options: &RemoteOptions,
    upstream: &Upstream,
    declarations: Declarations,
) -> anyhow::Result<JoinSet<Result<(), RemoteError>>> {
    let registrations = registrations(&declarations)?;
    let registry = Registry::new(declarations.providers, crate::providers::all(Operator::read().access))?;
    let registry = Arc::new(registry.with_upstream(upstream.clone()));
    let mut connections = JoinSet::new();
    for registration in registrations {
        let name = registration.provider["provider"].as_str().unwrap_or_default().to_owned();
        let (state, mut changes) = watch::channel(State::Connecting);
        connections.spawn(remote::serve(options.clone(), registration, registry.clone(), state));
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let state = changes.borrow_and_update().clone();
                say(&match state {
                    State::Connecting => format!("{name}: connecting"),
                    State::Serving => format!("{name}: registered, serving"),
                    State::Waiting(trouble) => format!("{name}: {trouble}; trying again"),
                });
            }
        });
    }
    Ok(connections)
}

/// Waits until a declaration differs from what was seen.
async fn change(directory: &Path, seen: &BTreeMap<PathBuf, SystemTime>) {
    while times(directory) == *seen {
        tokio::time::sleep(LOOK).await;
    }
}

/// When each declaration was last written.
fn times(directory: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    let mut walk = ignore::WalkBuilder::new(directory);
    walk.standard_filters(false).max_depth(Some(6)).filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() != 1 || entry.path().is_file() || matches!(&*name, "provider" | "models" | "_assets")
    });
    for entry in walk.build().flatten() {
        let yaml = entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "svg" || extension == "png");
        if let (true, Ok(Ok(time))) = (yaml, entry.metadata().map(|metadata| metadata.modified())) {
            found.insert(entry.into_path(), time);
        }
    }
    found
}
