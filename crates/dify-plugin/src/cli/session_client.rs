//! The daemon's side of one in-process session: sends a request through the complete runtime and reads its frames.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::program::Program;
use super::terminal::{print_raw, say};
use crate::config::operator::Operator;
use crate::daemon::{Link, LinkOptions, MAX_DAEMON_LINE_BYTES, Queue, SessionEvent, Watching};
use crate::declare;
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

/// Loads the declarations of a directory and the code that serves them.
pub fn registry(program: &Program, directory: &Path, upstream: Upstream) -> anyhow::Result<Arc<Registry>> {
    let declarations = declare::load(directory)?;
    let registry = program.registry(declarations, Operator::read().access)?;
    Ok(Arc::new(registry.with_upstream(upstream)))
}

/// Runs one request and passes every frame of its session to `take`. With `raw`, prints the lines unchanged. Returns
/// the time until the first item.
pub async fn session(
    registry: Arc<Registry>,
    mut data: Map<String, Value>,
    raw: bool,
    mut take: impl FnMut(Frame) -> anyhow::Result<()>,
) -> anyhow::Result<Option<Duration>> {
    data.entry("user_id").or_insert_with(|| "terminal".into());
    data.entry("type").or_insert_with(|| "model".into());
    let envelope = json!({"session_id": SESSION, "event": "request", "data": data});
    let started = Instant::now();
    let options = LinkOptions {
        max_line_bytes: MAX_DAEMON_LINE_BYTES,
        idle_timeout: None,
        answering: Box::new(|_, call, replies| {
            replies.error(&format!("no Dify is connected that could answer a call of type `{}`", call.invoke_type));
            replies.end();
        }),
        watching: raw.then(|| Box::new(|line: &str| print_raw(line).map_err(|error| error.to_string())) as Watching),
    };
    let link = Link::in_process(registry, ServeOptions::default(), options);
    let mut events = link.open(SESSION, &envelope, Queue::Unlimited);
    let mut first = None;
    loop {
        let event = events.next().await;
        first.get_or_insert_with(|| started.elapsed());
        match event {
            SessionEvent::Item(item) => take(Frame::Item(item))?,
            SessionEvent::Failed { kind, message } => {
                take(Frame::Failure { kind, message })?;
                return Ok(first);
            }
            SessionEvent::Ended => return Ok(first),
            SessionEvent::Closed(reason) => bail!(reason),
        }
    }
}

/// Runs one request and prints its result items with `print`, and a failure to standard error. With `raw`, prints the lines
/// unchanged instead of the items. The exit code is 1 if the request failed.
pub async fn print(
    registry: Arc<Registry>,
    data: Map<String, Value>,
    raw: bool,
    mut print: impl FnMut(&Value) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    session(registry, data, raw, |frame| match frame {
        Frame::Item(item) if !raw => print(&item),
        Frame::Item(_) => Ok(()),
        Frame::Failure { kind, message } => {
            say(&format!("{kind}: {message}"));
            code = ExitCode::FAILURE;
            Ok(())
        }
    })
    .await?;
    Ok(code)
}

/// Returns the members of a request.
pub fn object(request: Value) -> anyhow::Result<Map<String, Value>> {
    let Value::Object(request) = request else { bail!("the request is not a JSON object") };
    Ok(request)
}
