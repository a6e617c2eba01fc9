//! `debug`: connects every provider to a running Dify, shows the state of each connection, and reconnects when a YAML
//! file changes and is valid. By default, plugins get IDs of their own, so that the installed ones are not replaced.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::sync;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::debug_args::{DifyArgs, PluginArgs};
use super::program::Program;
use super::serve::registrations;
use super::take_over::{FromManyArgs, Taken};
use super::terminal::say;
use super::traffic::TrafficArgs;
use super::watch;
use crate::config::operator::Operator;
use crate::config::{Config, InstallMethod};
use crate::declare::{Declarations, Problems, Severity};
use crate::protocol::registration::Registration;
use crate::runtime::remote::{self, RemoteError, RemoteOptions, State};
use crate::runtime::{Registry, ServeOptions, local};
use crate::transport::line_queue;
use crate::upstream::Upstream;

/// Delay before reconnecting. The daemon cleans up a lost connection late; a connection opened earlier would be removed
/// with it.
pub(super) const RECONNECT_DELAY: Duration = Duration::from_secs(5);

/// Connect to a running Dify for remote debugging and reconnect when a YAML file changes
#[derive(Debug, Args)]
pub struct DebugArgs {
    #[command(flatten)]
    dify: DifyArgs,
    #[command(flatten)]
    traffic: TrafficArgs,
    #[command(flatten)]
    plugin: PluginArgs,
    #[command(flatten)]
    from: FromManyArgs,
    /// End with the parent process, which is `dev`
    #[arg(long, hide = true)]
    supervised: bool,
}

impl DebugArgs {
    /// Runs until the key is rejected or the user stops the command.
    pub async fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        let (options, real_ids) = self.options()?;
        let upstream = self.traffic.upstream()?;
        say(&format!("connecting to {}:{} (press Ctrl-C to stop)", options.host, options.port));
        let mut connections: JoinSet<Result<(), RemoteError>> = JoinSet::new();
        let mut declarations = self.watched();
        let mut parent_exited = Box::pin(local::parent_exited());
        loop {
            let seen = files(&mut declarations);
            match self.prepare(program, &upstream, real_ids) {
                Ok((registrations, registry)) => {
                    if !connections.is_empty() {
                        // Close the old connections before opening new ones.
                        connections.shutdown().await;
                        say(&format!("file changed; reconnecting in {} s", RECONNECT_DELAY.as_secs()));
                        tokio::time::sleep(RECONNECT_DELAY).await;
                    }
                    connect(&mut connections, &options, registrations, &registry);
                }
                Err(problems) => {
                    let state = if connections.is_empty() {
                        "not registered; fix these problems first"
                    } else {
                        "the registered plugins stay unchanged until these problems are fixed"
                    };
                    say(&format!("{state}:\n{problems:#}"));
                }
            }
            tokio::select! {
                Some(ended) = connections.join_next() => {
                    ended??;
                    return Ok(ExitCode::SUCCESS);
                }
                () = change(&mut declarations, &seen) => {}
                () = &mut parent_exited, if self.supervised => return Ok(ExitCode::SUCCESS),
            }
        }
    }

    fn watched(&self) -> Vec<watch::Declarations> {
        match self.from.directories() {
            [] => vec![watch::Declarations::new(&self.plugin.dir)],
            many => many.iter().map(|directory| watch::Declarations::new(directory)).collect(),
        }
    }

    fn prepare(
        &self,
        program: &Program,
        upstream: &Upstream,
        real_ids: bool,
    ) -> anyhow::Result<(Vec<Registration>, Arc<Registry>)> {
        match self.from.directories() {
            [] => prepare(program, &self.plugin.dir, &self.plugin.providers, upstream, real_ids),
            _ => prepare_taken(program, self.from.take(program)?, &self.plugin.providers, upstream, real_ids),
        }
    }

    fn options(&self) -> anyhow::Result<(RemoteOptions, bool)> {
        let config = Config::for_method(&self.dify.settings(), InstallMethod::Remote)?;
        let key = config
            .remote_key
            .context("no debugging key: pass --key, or set REMOTE_INSTALL_KEY in the environment or in .env")?;
        let max_line_bytes = config.line_limit.map_or(line_queue::MAX_LINE_BYTES, line_queue::line_below);
        let serve = ServeOptions { heartbeat: config.heartbeat_interval, max_line_bytes, ..ServeOptions::default() };
        let options = RemoteOptions::new(config.remote_host, config.remote_port, key, serve);
        Ok((options, self.plugin.real_ids || config.real_ids))
    }
}

/// Returns the registrations and the registry that serves them, or the problems of the declarations.
fn prepare(
    program: &Program,
    directory: &Path,
    providers: &[String],
    upstream: &Upstream,
    real_ids: bool,
) -> anyhow::Result<(Vec<Registration>, Arc<Registry>)> {
    let (declarations, problems) = program.plugin.inspect(directory);
    let Some(declarations) = declarations else {
        let (errors, warnings): (Vec<_>, _) =
            problems.0.into_iter().partition(|problem| problem.severity == Severity::Error);
        for warning in warnings {
            say(&warning.to_string());
        }
        return Err(Problems(errors).into());
    };
    let facts = program.described(&declarations).problems.0.into_iter();
    let warnings = facts.filter(|problem| problem.severity == Severity::Warning);
    for problem in problems.0.into_iter().chain(warnings).filter(|problem| !problem.code.is_advice()) {
        say(&problem.to_string());
    }
    let registrations = registrations(&declarations, providers, real_ids)?;
    let registry = program.registry(declarations, Operator::read().access)?;
    Ok((registrations, Arc::new(registry.with_upstream(upstream.clone()))))
}

/// The same for published plugins, which one registry serves.
fn prepare_taken(
    program: &Program,
    taken: Vec<Taken>,
    providers: &[String],
    upstream: &Upstream,
    real_ids: bool,
) -> anyhow::Result<(Vec<Registration>, Arc<Registry>)> {
    let mut all: Option<Declarations> = None;
    let mut registered = Vec::new();
    let is_of =
        |name: &String, of: &Declarations| of.providers.iter().any(|loaded| loaded.declaration.provider == *name);
    if let Some(name) = providers.iter().find(|name| !taken.iter().any(|taken| is_of(name, &taken.declarations))) {
        bail!("unknown provider `{name}`; none of the plugins has it");
    }
    for taken in taken {
        for line in taken.report() {
            say(&line);
        }
        let chosen: Vec<String> = providers.iter().filter(|name| is_of(name, &taken.declarations)).cloned().collect();
        if providers.is_empty() || !chosen.is_empty() {
            registered.extend(registrations(&taken.declarations, &chosen, real_ids)?);
        }
        let Some(all) = &mut all else {
            all = Some(taken.declarations);
            continue;
        };
        for loaded in taken.declarations.providers {
            if is_of(&loaded.declaration.provider, all) {
                bail!(
                    "two of the plugins have the provider `{}`; one process serves one of them",
                    loaded.declaration.provider
                );
            }
            all.providers.push(loaded);
        }
    }
    let registry = program.registry(all.context("no plugin was given")?, Operator::read().access)?;
    Ok((registered, Arc::new(registry.with_upstream(upstream.clone()))))
}

/// Starts one connection per provider, and prints a line when its state changes.
fn connect(
    connections: &mut JoinSet<Result<(), RemoteError>>,
    options: &RemoteOptions,
    registrations: Vec<Registration>,
    registry: &Arc<Registry>,
) {
    for registration in registrations {
        let name = registration.name().to_owned();
        let id = registration.plugin_id();
        let (state, mut changes) = sync::watch::channel(State::Connecting);
        let never = CancellationToken::new();
        connections.spawn(remote::serve(options.clone(), registration, registry.clone(), state, never));
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let state = changes.borrow_and_update().clone();
                say(&match state {
                    State::Connecting => format!("{name}: connecting"),
                    State::Serving => format!("{name}: registered as {id} and serving"),
                    State::Waiting(trouble) => format!("{name}: {trouble}; retrying"),
                });
            }
        });
    }
}

/// Waits until a declaration changes.
async fn change(declarations: &mut [watch::Declarations], seen: &watch::Files) {
    while files(declarations) == *seen {
        tokio::time::sleep(watch::INTERVAL).await;
    }
}

fn files(declarations: &mut [watch::Declarations]) -> watch::Files {
    declarations.iter_mut().flat_map(watch::Declarations::files).collect()
}
