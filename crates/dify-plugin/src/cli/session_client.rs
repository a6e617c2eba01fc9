//! The daemon's side of one in-process session: sends a request through the complete runtime and reads its frames.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::program::Program;
use super::terminal::{print_raw, say};
use crate::config::operator::Operator;
use crate::declare;
use crate::runtime::{self, Registry, ServeOptions};
use crate::upstream::Upstream;

/// Session ID in frames and logs.
const SESSION: &str = "terminal";

/// Buffer size of the pipe between the two sides in bytes.
const PIPE_BYTES: usize = 256 * 1024;

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

#[derive(Deserialize)]
struct Outbound<'a> {
    event: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Message {
    r#type: String,
    #[serde(default)]
    data: Value,
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
    let (plugin, daemon) = tokio::io::duplex(PIPE_BYTES);
    let (plugin_in, plugin_out) = tokio::io::split(plugin);
    let (daemon_in, mut daemon_out) = tokio::io::split(daemon);
    let serving = tokio::spawn(runtime::serve_io(plugin_in, plugin_out, registry, ServeOptions::default()));
    let started = Instant::now();
    daemon_out.write_all(format!("{envelope}\n").as_bytes()).await?;

    let mut first = None;
    let mut lines = BufReader::new(daemon_in).lines();
    while let Some(line) = lines.next_line().await.context("the runtime closed its output")? {
        let Ok(frame) = serde_json::from_str::<Outbound<'_>>(&line) else { continue };
        if frame.event != "session" {
            continue;
        }
        first.get_or_insert_with(|| started.elapsed());
        if raw {
            print_raw(&line)?;
        }
        let message: Message = serde_json::from_str(frame.data.get())?;
        match message.r#type.as_str() {
            "stream" => take(Frame::Item(message.data))?,
            "error" => take(Frame::Failure {
                kind: message.data["error_type"].as_str().unwrap_or_default().to_owned(),
                message: message.data["message"].as_str().unwrap_or_default().to_owned(),
            })?,
            "end" => {
                drop(daemon_out);
                serving.abort();
                return Ok(first);
            }
            other => bail!("unexpected message type `{other}`"),
        }
    }
    bail!("the session ended without an end message")
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
