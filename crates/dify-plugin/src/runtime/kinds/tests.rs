//! A session in memory, whose lines are kept with the time at which they were written.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::Session;
use crate::declare::KindDeclarations;
use crate::plugin::dify::{Backwards, DifyFacts, Invoke, Responses};
use crate::plugin::{Dify, DifyError, Plugin};
use crate::protocol::envelope::Origin;
use crate::runtime::responder::Responder;
use crate::runtime::session_log::SessionLog;
use crate::transport::line_queue;

/// Lines in the order in which they were written, with the time since the start.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<(Duration, Value)>>>);

impl Written {
    pub(super) fn lines(&self) -> Vec<(Duration, Value)> {
        self.0.lock().unwrap().clone()
    }

    /// The result items and when they were written.
    pub(super) fn items(&self) -> Vec<(Duration, Value)> {
        let lines = self.lines().into_iter().filter(|(_, line)| line["data"]["type"] == "stream");
        lines.map(|(time, line)| (time, line["data"]["data"].clone())).collect()
    }

    /// When the end was written.
    pub(super) fn end(&self) -> Duration {
        self.lines().iter().find(|(_, line)| line["data"]["type"] == "end").unwrap().0
    }
}

struct NoCalls;

impl Backwards for NoCalls {
    fn call(&self, _invoke: Invoke) -> BoxFuture<'_, Result<Responses, DifyError>> {
        Box::pin(async { Err(DifyError::invalid("no Dify here")) })
    }
}

/// Runs something with a session whose lines are written immediately, or a while later; then the session ends.
pub(super) async fn with_session<T>(
    max_line_bytes: usize,
    write_delay: Duration,
    work: impl AsyncFnOnce(&mut Session<'_>) -> T,
) -> (T, Written) {
    let (sender, mut queue) = line_queue::queue(1000, 64 * 1024 * 1024);
    let written = Written::default();
    let (lines, started) = (written.clone(), Instant::now());
    let writer = tokio::spawn(async move {
        while let Some(batch) = queue.recv().await {
            tokio::time::sleep(write_delay).await;
            for line in std::str::from_utf8(&batch.lines).unwrap().lines() {
                assert!(line.len() < max_line_bytes, "a line of {} bytes", line.len());
                lines.0.lock().unwrap().push((started.elapsed(), serde_json::from_str(line).unwrap()));
            }
            let _ = batch.written.map(|written| written.send(()));
        }
    });
    let mut responder = Responder::new(sender.with_max_line_bytes(max_line_bytes), Arc::from("s"));
    let mut log = SessionLog::start(responder.ending().clone());
    let (plugin, declared, origin) = (Plugin::new(), KindDeclarations::default(), Origin::default());
    let max_item_bytes = max_line_bytes - responder.length_of(&0);
    let outcome = work(&mut Session {
        plugin: &plugin,
        declared: &declared,
        origin: &origin,
        dify: Dify::new(Arc::new(NoCalls), DifyFacts::default()),
        cancel: CancellationToken::new(),
        responder: &mut responder,
        log: &mut log,
        shows_items: true,
        max_item_bytes,
    })
    .await;
    // Both keep the queue open.
    drop(log);
    let _ = responder.end().await;
    let _ = writer.await;
    (outcome, written)
}
