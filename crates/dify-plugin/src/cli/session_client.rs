//! The daemon's side of one in-process session: sends a request through the complete runtime and reads its frames.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::answers::Answers;
use super::program::Program;
use super::terminal::{print_raw, say};
use crate::config::operator::Operator;
use crate::daemon::{Link, LinkOptions, MAX_DAEMON_LINE_BYTES, Queue, SessionError, SessionEvent, Watching};
use crate::declare::{self, Declarations};
use crate::runtime::{Registry, ServeOptions};
use crate::upstream::Upstream;

/// Session ID in frames and logs.
const SESSION: &str = "terminal";

/// A frame that a session returns.
#[derive(Debug)]
pub enum Frame {
    /// A result item.
    Item(Value),
    /// An error.
    Failure {
        /// `error_type`.
        kind: String,
        /// Error message for the user.
        message: String,
    },
}

/// A plugin that is ready to be called.
pub struct Loaded {
    /// Its name in the manifest.
    pub name: String,
    /// Its declarations and the code that serves them.
    pub registry: Arc<Registry>,
}

/// Loads the declarations of a directory and the code that serves them.
pub fn load(program: &Program, directory: &Path, upstream: Upstream) -> anyhow::Result<Loaded> {
    load_declared(program, declare::load(directory)?, upstream)
}

/// Joins declarations with the code that serves them.
pub fn load_declared(program: &Program, declarations: Declarations, upstream: Upstream) -> anyhow::Result<Loaded> {
    let name = declarations.manifest.text("name").to_owned();
    let registry = program.registry(declarations, Operator::read().access)?;
    Ok(Loaded { name, registry: Arc::new(registry.with_upstream(upstream)) })
}

/// Runs one request that does not call Dify back; see [`answered`].
pub async fn session(
    registry: Arc<Registry>,
    data: Map<String, Value>,
    raw: bool,
    take: impl FnMut(Frame) -> anyhow::Result<()>,
) -> anyhow::Result<Option<Duration>> {
    answered(registry, data, raw, &mut Answers::default(), take).await
}

/// Runs one request, answers its calls back into Dify, and passes every other frame of its session to `take`. With `raw`,
/// prints the lines unchanged. Returns the time until the first item.
pub async fn answered(
    registry: Arc<Registry>,
    mut data: Map<String, Value>,
    raw: bool,
    answers: &mut Answers,
    mut take: impl FnMut(Frame) -> anyhow::Result<()>,
) -> anyhow::Result<Option<Duration>> {
    data.entry("user_id").or_insert_with(|| "terminal".into());
    data.entry("type").or_insert_with(|| "model".into());
    let envelope = json!({"session_id": SESSION, "event": "request", "data": data});
    let started = Instant::now();
    let (call_sender, mut calls) = mpsc::unbounded_channel();
    let options = LinkOptions {
        max_line_bytes: MAX_DAEMON_LINE_BYTES,
        idle_timeout: None,
        process_ended: None,
        // Answers are given in the order of the calls, and may have to be typed.
        answering: Box::new(move |_, call, replies| drop(call_sender.send((call, replies)))),
        watching: raw.then(|| Box::new(|line: &str| print_raw(line).map_err(|error| error.to_string())) as Watching),
        logging: None,
    };
    let link = Link::in_process(registry, ServeOptions::default(), options);
    let mut events = link.open(SESSION, &envelope, Queue::Unlimited);
    let mut first = None;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            Some((call, replies)) = calls.recv() => {
                answers.answer(&call, &replies);
                continue;
            }
        };
        first.get_or_insert_with(|| started.elapsed());
        match event {
            SessionEvent::Item(item) => take(Frame::Item(item))?,
            SessionEvent::Failed(SessionError { kind, message, .. }) => {
                take(Frame::Failure { kind, message })?;
                return Ok(first);
            }
            SessionEvent::Ended => return Ok(first),
            SessionEvent::Closed(reason) => bail!(reason),
        }
    }
}

/// Runs one request and passes its result items to `take`; a failure goes to standard error. With `raw`, prints the lines
/// unchanged, too. Returns whether the request succeeded.
pub async fn items(
    registry: Arc<Registry>,
    data: Map<String, Value>,
    raw: bool,
    answers: &mut Answers,
    mut take: impl FnMut(&Value) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let mut succeeded = true;
    let take = |frame| match frame {
        Frame::Item(item) => take(&item),
        Frame::Failure { kind, message } => {
            say(&format!("{kind}: {message}"));
            succeeded = false;
            Ok(())
        }
    };
    answered(registry, data, raw, answers, take).await?;
    if succeeded {
        answers.report_unanswered();
    }
    Ok(succeeded)
}

/// The exit code of a command.
pub fn exit_code(succeeded: bool) -> ExitCode {
    if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns the members of a request.
pub fn object(request: Value) -> anyhow::Result<Map<String, Value>> {
    let Value::Object(request) = request else { bail!("the request is not a JSON object") };
    Ok(request)
}
