//! Between the hook of a session and the daemon: runs the hook and writes what it sends, at the pace that the daemon can
//! take. It drops messages of agents beyond a queue of 128 without notice, and a tool that sends token by token holds up
//! the other sessions; so text is joined, and the lines of agents have a budget.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::Session;
use crate::plugin::PluginError;
use crate::plugin::outgoing::{Entry, Inbox, Outgoing, max_part_bytes};
use crate::protocol::tool_message::{Content, Message, Text, Variable};
use crate::runtime::dispatch::Stop;

/// Bytes of a joined text that are written without waiting for more.
const MAX_JOINED_BYTES: usize = 16 * 1024;

/// The pace of a kind of plugin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Time between two lines of text.
    join: Duration,
    /// Lines within a time; none is no limit.
    budget: Option<(usize, Duration)>,
}

impl Pace {
    /// The daemon's queue of a tool has 1,024 places and blocks.
    pub(super) const TOOL: Self = Self { join: Duration::from_millis(16), budget: None };

    /// The daemon's queue of an agent has 128 places and drops.
    pub(super) const AGENT: Self =
        Self { join: Duration::from_millis(50), budget: Some((64, Duration::from_millis(100))) };

    /// The daemon's queue of a datasource has one place and blocks.
    pub(super) const DATASOURCE: Self = Self { join: Duration::from_millis(50), budget: None };
}

/// Text that may be joined with more.
struct Pending {
    variable: Option<Arc<str>>,
    text: String,
}

/// Writes what a hook sends.
pub(super) struct Drain<'a, 's> {
    session: &'a mut Session<'s>,
    inbox: Inbox,
    pace: Pace,
    max_item_bytes: usize,
    pending: Option<Pending>,
    /// When the next line of text may be written.
    next_text: Instant,
    /// When the current budget began, and how many lines were written within it.
    window: (Instant, usize),
    /// The hook has returned.
    is_over: bool,
}

impl<'a, 's> Drain<'a, 's> {
    pub(super) fn new(session: &'a mut Session<'s>, inbox: Inbox, pace: Pace) -> Self {
        let max_item_bytes = session.max_item_bytes;
        let now = Instant::now();
        Self { session, inbox, pace, max_item_bytes, pending: None, next_text: now, window: (now, 0), is_over: false }
    }

    /// Runs a hook to its end, and writes all that it has sent: what it sent before it failed too.
    pub(super) async fn run<T>(&mut self, hook: impl Future<Output = Result<T, PluginError>>) -> Result<T, Stop> {
        tokio::pin!(hook);
        let outcome = loop {
            tokio::select! {
                biased;
                Some(entry) = self.inbox.recv() => {
                    if let Some(outcome) = beside(self.take(entry), hook.as_mut()).await? {
                        break outcome;
                    }
                }
                () = sleep_until(self.next_text), if self.pending.is_some() => {
                    if let Some(outcome) = beside(self.release(), hook.as_mut()).await? {
                        break outcome;
                    }
                }
                outcome = &mut hook => break outcome,
            }
        };
        // What is left goes out with the ending.
        self.is_over = true;
        while let Ok(entry) = self.inbox.try_recv() {
            self.take(entry).await?;
        }
        self.release().await?;
        Ok(outcome?)
    }

    /// Writes a last message once the daemon has had time for what came before.
    pub(super) async fn finish(&mut self, message: &Message) -> Result<(), Stop> {
        if let Some((lines, time)) = self.pace.budget
            && self.window.1 > lines / 4
        {
            self.session.responder.flush_written().await?;
            tokio::time::sleep(time).await;
        }
        self.session.push(message)
    }

    async fn take(&mut self, entry: Entry) -> Result<(), Stop> {
        match entry.outgoing {
            Outgoing::Part { variable, text } => self.join(variable, text).await?,
            Outgoing::Item(item) => {
                self.release().await?;
                self.write(&*item).await?;
            }
        }
        self.flush().await
    }

    /// Passes the lines to the writer when nothing more is there now, or many are.
    async fn flush(&mut self) -> Result<(), Stop> {
        if (self.inbox.is_empty() && !self.is_over) || self.session.responder.is_full() {
            self.session.responder.flush().await?;
        }
        Ok(())
    }

    async fn join(&mut self, variable: Option<Arc<str>>, text: String) -> Result<(), Stop> {
        let limit = max_part_bytes(self.max_item_bytes, variable.as_deref());
        match &mut self.pending {
            Some(pending) if pending.variable == variable && pending.text.len() + text.len() <= limit => {
                pending.text.push_str(&text);
            }
            _ => {
                self.release().await?;
                self.pending = Some(Pending { variable, text });
            }
        }
        let is_much = self.pending.as_ref().is_some_and(|pending| pending.text.len() >= MAX_JOINED_BYTES);
        if is_much || Instant::now() >= self.next_text { self.release().await } else { Ok(()) }
    }

    async fn release(&mut self) -> Result<(), Stop> {
        let Some(Pending { variable, text }) = self.pending.take() else { return Ok(()) };
        let content = match variable {
            None => Content::Text(Text { text }),
            Some(name) => Content::Variable(Variable {
                variable_name: name.to_string(),
                variable_value: Value::String(text),
                stream: true,
            }),
        };
        self.next_text = Instant::now() + self.pace.join;
        self.write(&Message::new(content)).await?;
        self.flush().await
    }

    /// Writes a line once the budget allows it.
    async fn write<T: serde::Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Stop> {
        if let Some((lines, time)) = self.pace.budget {
            let end = self.window.0 + time;
            if Instant::now() >= end {
                self.window = (Instant::now(), 0);
            } else if self.window.1 >= lines {
                self.session.responder.flush_written().await?;
                tokio::time::sleep(time).await;
                self.window = (Instant::now(), 0);
            }
            self.window.1 += 1;
        }
        self.session.push(&item)
    }
}

/// Does the work while the hook goes on, and returns how the hook ended, if it did. The pace of its messages does not hold up
/// what else it does, such as its calls back.
async fn beside<T>(
    work: impl Future<Output = Result<(), Stop>>,
    mut hook: Pin<&mut impl Future<Output = T>>,
) -> Result<Option<T>, Stop> {
    tokio::pin!(work);
    let mut ended = None;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done.map(|()| ended),
            outcome = &mut hook, if ended.is_none() => ended = Some(outcome),
        }
    }
}

#[cfg(test)]
mod tests;
