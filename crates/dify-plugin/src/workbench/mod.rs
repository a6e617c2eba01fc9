//! The workbench: a local page that shows a plugin as Dify shows it, calls it, and shows what happened. For authors; no package
//! contains it.
//!
//! It listens on loopback only. What it serves without the token is the page itself, which contains nothing of the plugin. The page
//! is in `workbench/` of this crate; what Dify draws is decided in [`declare`](crate::declare), and not here.

mod assets;
mod body;
mod credentials;
mod doctor;
mod error;
mod events;
mod filter;
mod group;
mod limits;
mod logs;
mod plugin;
mod router;
mod safety;
mod server;
mod sessions;
mod state;
mod target;
mod token;
mod watching;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use self::limits::Limits;
use self::safety::Safety;
use self::state::Workbench;
use self::token::Token;
use crate::process::program::Program;
use crate::process::terminal::{print_line, say};

/// By this text `package` finds an executable that contains the workbench, and refuses it. It is a header of every response, so that
/// no build leaves it out.
const MARKER: &str = "dify-plugin-workbench and what is in no package";

/// What is to be served, and where.
pub(crate) struct Options {
    /// Directory with `manifest.yaml`.
    pub directory: PathBuf,
    /// Address to listen on.
    pub address: IpAddr,
    /// Port; 0 is any that is free.
    pub port: u16,
    /// Whether a browser is opened.
    pub opens_browser: bool,
    /// The command of another plugin, which speaks the protocol over standard input and output. Empty is this program.
    pub command: Vec<String>,
    /// Credential fields that are given on the command line.
    pub given: Map<String, Value>,
    /// Provider that they are for. By default it is the first one that has a form for them.
    pub provider: Option<String>,
}

/// Serves the workbench until the process is interrupted.
pub(crate) async fn run(program: Program, options: Options) -> anyhow::Result<()> {
    if !options.address.is_loopback() {
        say(
            "warning: other machines can reach the workbench; with its link they can call the plugin with your credentials",
        );
    }
    let place = SocketAddr::new(options.address, options.port);
    let listener = TcpListener::bind(place).await.with_context(|| format!("cannot listen on {place}"))?;
    let address = listener.local_addr()?;
    let token = Token::generate();
    let link = format!("http://{address}/#token={}", token.reveal());
    let safety = Arc::new(Safety::new(address, token));
    let limits = Limits::default();
    let workbench = Arc::new(Workbench::new(program, options.directory, options.command, limits));
    if !options.given.is_empty() {
        credentials::keep_given(&workbench, options.provider.as_deref(), options.given)?;
    }
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let watching = tokio::spawn(watching::watch(workbench.clone()));
    print_line(&format!("workbench: {link}"))?;
    if options.opens_browser {
        open_browser(&link);
    }
    let served = tokio::select! {
        () = server::serve(listener, router::router(workbench.clone(), safety), limits) => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    };
    watching.abort();
    workbench.target.close();
    Ok(served?)
}

/// Opens the page, where there is a screen. The printed link is enough everywhere else.
fn open_browser(link: &str) {
    let has_screen =
        cfg!(target_os = "macos") || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if !has_screen {
        return;
    }
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    // The program may be missing; the link was printed.
    drop(tokio::process::Command::new(opener).arg(link).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn());
}
