//! The plugin that is called: this program in process, or a child process that speaks the protocol over standard input and output.
//! It is connected when it is called first, and again after its files have changed or it has ended.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use super::state::{Notice, Workbench};
use crate::cli::session_client;
use crate::daemon::{Link, LinkOptions, MAX_DAEMON_LINE_BYTES, Queue, SessionEvents};
use crate::runtime::ServeOptions;
use crate::upstream::Upstream;

/// How long a child process may write nothing, as in the daemon.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Longest line of a child's standard error that is shown, in bytes.
const MAX_LOG_BYTES: usize = 4096;

/// The connection to the plugin, if there is one.
#[derive(Default)]
pub(super) struct Target(Mutex<Option<Connected>>);

struct Connected {
    /// Of the files that it was started with.
    revision: u64,
    link: Arc<Link>,
    /// Killed when the connection is dropped.
    _child: Option<Child>,
}

impl Target {
    /// Opens a session.
    pub(super) fn open(
        &self,
        workbench: &Arc<Workbench>,
        session_id: &str,
        envelope: &Value,
    ) -> anyhow::Result<(Arc<Link>, SessionEvents)> {
        let revision = workbench.read().revision;
        let mut connected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if connected.as_ref().is_some_and(|known| known.revision != revision || known.link.observed().is_closed()) {
            *connected = None;
        }
        let known = match &mut *connected {
            Some(known) => known,
            none => none.insert(connect(workbench, revision)?),
        };
        let events = known.link.open(session_id, envelope, Queue::Unlimited);
        Ok((known.link.clone(), events))
    }
}

fn connect(workbench: &Arc<Workbench>, revision: u64) -> anyhow::Result<Connected> {
    let (answering, watching) = (Arc::downgrade(workbench), Arc::downgrade(workbench));
    let options = LinkOptions {
        max_line_bytes: MAX_DAEMON_LINE_BYTES,
        idle_timeout: (!workbench.command.is_empty()).then_some(IDLE_TIMEOUT),
        answering: Box::new(move |session_id, call, replies| {
            if let Some(workbench) = answering.upgrade() {
                workbench.sessions.call_back(session_id, call, replies);
            }
        }),
        watching: Some(Box::new(move |line| {
            if let Some(workbench) = watching.upgrade() {
                workbench.sessions.line_from_plugin(line);
            }
            Ok(())
        })),
    };
    if let Some((program, arguments)) = workbench.command.split_first() {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(&workbench.directory)
            .env("INSTALL_METHOD", "local")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| anyhow::anyhow!("cannot start `{program}`: {error}"))?;
        let streams = (child.stdout.take(), child.stdin.take());
        let (Some(output), Some(input)) = streams else { anyhow::bail!("`{program}` has no standard input or output") };
        if let Some(errors) = child.stderr.take() {
            tokio::spawn(show_errors(Arc::downgrade(workbench), errors));
        }
        let link = Arc::new(Link::over(output, input, options));
        return Ok(Connected { revision, link, _child: Some(child) });
    }
    let observing = Arc::downgrade(workbench);
    let upstream = Upstream::observed(Box::new(move |observed| {
        if let Some(workbench) = observing.upgrade() {
            workbench.sessions.exchange(observed);
        }
    }));
    let registry = session_client::load(&workbench.program, &workbench.directory, upstream)?.registry;
    let link = Arc::new(Link::in_process(registry, ServeOptions::default(), options));
    Ok(Connected { revision, link, _child: None })
}

/// Shows what a child writes to standard error.
async fn show_errors(workbench: std::sync::Weak<Workbench>, errors: ChildStderr) {
    let mut lines = BufReader::new(errors).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let Some(workbench) = workbench.upgrade() else { return };
        let text = String::from_utf8_lossy(&line[..line.len().min(MAX_LOG_BYTES)]).into_owned();
        workbench.notify(Notice { event: "log", data: json!({ "text": text }) });
    }
}
