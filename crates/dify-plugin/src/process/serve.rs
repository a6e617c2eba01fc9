//! Serves the plugin in the current directory with the transport in `INSTALL_METHOD`, when there is no subcommand.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::program::Program;
use super::terminal::say;
use super::traffic;
use crate::config::operator::Operator;
use crate::config::{Config, InstallMethod};
use crate::declare::remote::Identity;
use crate::declare::versions::Minimum;
use crate::declare::{self, Declarations};
use crate::protocol::registration::Registration;
use crate::purge;
use crate::runtime::remote::{self, RemoteOptions, State};
use crate::runtime::{BackwardsOptions, Registry, ServeOptions, local, logs, serverless};
use crate::transport::line_queue;
use crate::transport::stdio::Output;
use crate::upstream::Upstream;

/// Number of threads that run sessions. Streams mostly wait.
const WORKERS: usize = 2;

/// Directory of the plugin.
const DIRECTORY: &str = ".";

/// Serves until the plugin daemon disconnects.
pub(crate) fn run(program: &Program) -> anyhow::Result<ExitCode> {
    let output = Output::claim()?;
    let config = Config::read(Path::new(DIRECTORY))?;
    let default =
        if config.install_method == InstallMethod::Local { logs::DEFAULT_FILTER } else { logs::DEFAULT_FILTER_INFO };
    logs::start(&config.log, default, &program.plugin.crates());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let outcome = runtime.block_on(serve(program, &config, output));
    // Standard input is read on a thread that cannot be interrupted; the process does not wait for it.
    runtime.shutdown_background();
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn serve(program: &Program, config: &Config, output: Output) -> anyhow::Result<()> {
    let upstream = traffic::upstream(config.traffic.as_ref())?;
    match config.install_method {
        InstallMethod::Local => {
            // Requests wait in the pipe until the declarations are read.
            let ready = local::Ready::report(output)?;
            let (registry, options) = load(program, config, declare::load(Path::new(DIRECTORY))?, upstream)?;
            Ok(ready.serve(registry, options).await?)
        }
        InstallMethod::Serverless => {
            let (registry, options) = load(program, config, declare::load(Path::new(DIRECTORY))?, upstream)?;
            Ok(serverless::serve(config, options, registry, output).await?)
        }
        InstallMethod::Remote => {
            let declarations = declare::load(Path::new(DIRECTORY))?;
            let registrations = registrations(&declarations, &[], config.real_ids)?;
            let (registry, options) = load(program, config, declarations, upstream)?;
            let key = config
                .remote_key
                .clone()
                .context("REMOTE_INSTALL_KEY is not set; copy the key from Plugins → Debug in Dify")?;
            let options = RemoteOptions::new(config.remote_host.clone(), config.remote_port, key, options);
            serve_remote(options, registrations, registry).await
        }
    }
}

/// Joins declarations with the code that serves them, and the settings with what the operator allows.
fn load(
    program: &Program,
    config: &Config,
    declarations: Declarations,
    upstream: Upstream,
) -> anyhow::Result<(Arc<Registry>, ServeOptions)> {
    let operator = Operator::read();
    operator.problems.iter().for_each(|problem| tracing::warn!(problem, "operator setting ignored"));
    let line_limit = operator.line_limit.or(config.line_limit);
    let registry = program.registry(declarations, operator.access)?.with_upstream(upstream);
    let options = ServeOptions {
        heartbeat: config.heartbeat_interval,
        max_sessions: config.max_worker,
        max_line_bytes: line_limit.map_or(line_queue::MAX_LINE_BYTES, line_queue::line_below),
        backwards: BackwardsOptions { timeout: config.invocation_timeout, ..BackwardsOptions::default() },
        ..ServeOptions::default()
    };
    tokio::spawn(purge::purge_loop(WORKERS));
    Ok((Arc::new(registry), options))
}

/// Returns the registrations for debugging and prints their IDs. Without names, it registers all providers that the
/// manifest's minimum Dify version can read: a provider that needs a newer Dify makes an older one reject its whole
/// list of providers.
pub(crate) fn registrations(
    declarations: &Declarations,
    names: &[String],
    real_ids: bool,
) -> anyhow::Result<Vec<Registration>> {
    let identity = if real_ids { Identity::Real } else { Identity::Own };
    let known: Vec<&str> = declarations.providers.iter().map(|loaded| loaded.declaration.provider.as_str()).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("unknown provider `{name}`; the manifest lists {}", known.join(", "));
    }
    let minimum = Minimum::of_manifest(&declarations.manifest.0).version;
    let (chosen, left): (Vec<_>, Vec<_>) = declarations.providers.iter().partition(|loaded| match names.is_empty() {
        true => loaded.minimum <= minimum,
        false => names.contains(&loaded.declaration.provider),
    });
    for loaded in left.iter().filter(|_| names.is_empty()) {
        let name = &loaded.declaration.provider;
        say(&format!(
            "{name}: not registered, because it needs Dify {}; an older version would reject its whole list of providers. \
             To register it, run `debug --provider {name}`",
            loaded.minimum
        ));
    }
    let registration = |provider| declare::remote::registration(declarations, provider, identity);
    let kinds = (!declarations.kinds.is_empty()).then(|| declare::remote::kinds_registration(declarations, identity));
    let registrations: Result<Vec<Registration>, _> = chosen.into_iter().map(registration).chain(kinds).collect();
    let registrations = registrations.context("cannot read an icon file")?;
    let ids: Vec<String> = registrations.iter().map(Registration::plugin_id).collect();
    let ids = ids.join(", ");
    match identity {
        Identity::Own => say(&format!("registering as {ids}; the installed plugins are not affected")),
        Identity::Real => say(&format!(
            "warning: registering as {ids}, the IDs of installed plugins; when debugging ends, Dify uninstalls these from \
             the workspace"
        )),
    }
    Ok(registrations)
}

/// Serves one connection per provider until SIGTERM. The first permanent failure ends all connections.
async fn serve_remote(
    options: RemoteOptions,
    registrations: Vec<Registration>,
    registry: Arc<Registry>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let mut connections = JoinSet::new();
    for registration in registrations {
        let (state, _) = watch::channel(State::Connecting);
        connections.spawn(remote::serve(options.clone(), registration, registry.clone(), state, stop.clone()));
    }
    if connections.is_empty() {
        bail!("the manifest lists no providers");
    }
    loop {
        tokio::select! {
            ended = connections.join_next() => match ended {
                Some(outcome) => outcome??,
                None => return Ok(()),
            },
            Some(()) = terminate.recv() => stop.cancel(),
        }
    }
}
