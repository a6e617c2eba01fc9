//! No subcommand: serve the plugin in the current directory, by the transport that `INSTALL_METHOD` names.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;

use crate::config::{Config, InstallMethod};
use crate::declare;
use crate::runtime::{Registry, ServeOptions, local, logs};

/// Threads that run sessions. Streams wait far more than they compute.
const WORKERS: usize = 2;

/// Serves until the host is gone.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    let directory = Path::new(".");
    let config = Config::read(directory)?;
    logs::start(config.log_filter.as_deref());
    let declarations = declare::load(directory)?;
    let registry = Arc::new(Registry::new(declarations.providers, crate::providers::all())?);
    let options = ServeOptions {
        heartbeat: config.heartbeat_interval,
        most_sessions: config.max_worker,
        ..ServeOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let outcome = runtime.block_on(async move {
        match config.install_method {
            InstallMethod::Local => Ok(local::serve(registry, options).await?),
            InstallMethod::Remote | InstallMethod::Serverless => bail!("this transport is not served yet"),
        }
    });
    // Standard input is read on a thread that cannot be interrupted; the process does not wait for it.
    runtime.shutdown_background();
    outcome.map(|()| ExitCode::SUCCESS)
}
