//! The plugin that is called: this program in process, or a child process that speaks the protocol over standard input and output.
//! It is connected when it is called first, and again after its files have changed or it has ended.

use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStderr, Command};

use super::group::Group;
use super::logs::{self, MAX_TEXT_BYTES};
use super::state::Workbench;
use crate::cli::session_client;
use crate::daemon::{Link, LinkOptions, MAX_DAEMON_LINE_BYTES, Queue, SessionEvents};
use crate::runtime::ServeOptions;
use crate::upstream::Upstream;

/// How long a child process may write nothing, as in the daemon.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// The connection to the plugin, if there is one.
#[derive(Default)]
pub(super) struct Target(Mutex<Last>);

/// What came of the last attempt to connect.
#[derive(Default)]
struct Last {
    connected: Option<Connected>,
    failure: Option<String>,
}

struct Connected {
    /// Of the files that it was started with.
    revision: u64,
    link: Arc<Link>,
    /// The last line of its standard error.
    last_error: Arc<Mutex<String>>,
    /// Killed when the connection is dropped.
    _group: Option<Group>,
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
        let mut last = self.last();
        if last.connected.as_ref().is_some_and(|known| known.revision != revision || known.link.observed().is_closed())
        {
            last.connected = None;
        }
        if last.connected.is_none() {
            let connected = connect(workbench, revision);
            last.failure = connected.as_ref().err().map(|error| format!("{error:#}"));
            last.connected = Some(connected?);
        }
        let Some(known) = &last.connected else { anyhow::bail!("the plugin is not connected") };
        let events = known.link.open(session_id, envelope, Queue::Bytes(workbench.limits.unread_bytes));
        Ok((known.link.clone(), events))
    }

    /// Why the plugin does not run, if it was started and does not.
    pub(super) fn failure(&self) -> Option<String> {
        let last = self.last();
        let ended =
            last.connected.as_ref().filter(|known| known.link.observed().is_closed()).map(|known| {
                match known.last_error.lock().unwrap_or_else(PoisonError::into_inner).as_str() {
                    "" => "it ended, and wrote nothing to its standard error".to_owned(),
                    line => format!("it ended; the last line of its standard error is: {line}"),
                }
            });
        ended.or_else(|| last.failure.clone())
    }

    /// Ends the plugin.
    pub(super) fn close(&self) {
        self.last().connected = None;
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(workbench: &Arc<Workbench>, revision: u64) -> anyhow::Result<Connected> {
    let [answering, watching, logging] = std::array::from_fn(|_| Arc::downgrade(workbench));
    let mut options = LinkOptions {
        max_line_bytes: MAX_DAEMON_LINE_BYTES,
        idle_timeout: (!workbench.command.is_empty()).then_some(IDLE_TIMEOUT),
        process_ended: None,
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
        logging: Some(Box::new(move |line| {
            if let Some(workbench) = logging.upgrade() {
                logs::take_line(&workbench, line);
            }
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
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| anyhow::anyhow!("cannot start `{program}`: {error}"))?;
        let streams = (child.stdout.take(), child.stdin.take());
        let (Some(output), Some(input)) = streams else { anyhow::bail!("`{program}` has no standard input or output") };
        let last_error = Arc::<Mutex<String>>::default();
        if let Some(errors) = child.stderr.take() {
            tokio::spawn(show_errors(Arc::downgrade(workbench), errors, last_error.clone()));
        }
        let group = Group(child);
        options.process_ended = group.ended()?;
        let link = Arc::new(Link::over(output, input, options));
        return Ok(Connected { revision, link, last_error, _group: Some(group) });
    }
    let observing = Arc::downgrade(workbench);
    let upstream = Upstream::observed(Box::new(move |observed| {
        if let Some(workbench) = observing.upgrade() {
            workbench.sessions.exchange(observed);
        }
    }));
    let registry = session_client::load(&workbench.program, &workbench.directory, upstream)?.registry;
    let link = Arc::new(Link::in_process(registry, ServeOptions::default(), options));
    Ok(Connected { revision, link, last_error: Arc::default(), _group: None })
}

/// Shows what a child writes to standard error, without the secrets that it was given. No more than the beginning of a line is kept.
async fn show_errors(workbench: Weak<Workbench>, errors: ChildStderr, last: Arc<Mutex<String>>) {
    let (mut errors, mut line) = (BufReader::new(errors), Vec::new());
    loop {
        let Ok(bytes) = errors.fill_buf().await else { return };
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        line.extend_from_slice(&part[..part.len().min(MAX_TEXT_BYTES - line.len())]);
        let (read, is_over) = (end.map_or(bytes.len(), |end| end + 1), bytes.is_empty());
        errors.consume(read);
        if (end.is_some() || is_over) && !line.is_empty() {
            let Some(workbench) = workbench.upgrade() else { return };
            let text = workbench.sessions.shown(&String::from_utf8_lossy(&line));
            line.clear();
            text.clone_into(&mut last.lock().unwrap_or_else(PoisonError::into_inner));
            logs::take_error(&workbench, &text);
        }
        if is_over {
            return;
        }
    }
}
