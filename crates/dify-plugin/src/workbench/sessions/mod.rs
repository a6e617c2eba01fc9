//! The sessions of a run: those that are open, and what is remembered of all, within a limit of memory.

mod answers;
mod calls;
mod copy;
mod exchanges;
mod opened;
mod record;
mod routes;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use self::answers::Script;
use self::record::Record;
pub(super) use self::routes::routes;
use crate::daemon::{Invoke, Replies};
use crate::upstream::recording::Observed;

/// Maximum number of sessions that are remembered.
const MAX_RECORDS: usize = 500;

/// Maximum size of all that is remembered, in bytes.
const MAX_BYTES: usize = 128 * 1024 * 1024;

/// Number of sessions whose secrets are looked for in what a command writes to its standard error.
const MAX_SECRETS: usize = 64;

/// Maximum time from the end of a session to a line of its plugin that belongs to it, in milliseconds.
const MAX_DELAY_MILLISECONDS: f64 = 300.0;

/// The sessions.
#[derive(Default)]
pub(super) struct Sessions {
    next: AtomicU64,
    live: Mutex<HashMap<String, Live>>,
    /// The newest last.
    records: Mutex<VecDeque<Arc<Mutex<Record>>>>,
    /// Answers of the script, and what plugins have stored.
    script: Mutex<Script>,
}

/// A session that is open.
struct Live {
    record: Arc<Mutex<Record>>,
    calls: mpsc::Sender<(Invoke, Replies)>,
    /// Calls that wait for an answer by hand.
    waiting: HashMap<String, Replies>,
}

impl Sessions {
    /// A call back of a session.
    pub(super) fn call_back(&self, session_id: &str, call: Invoke, replies: Replies) {
        match self.live().get(session_id) {
            Some(live) => {
                if let Err(TrySendError::Full((_, replies))) = live.calls.try_send((call, replies)) {
                    refuse(&replies, "too many calls back of this session wait for the page");
                }
            }
            None => refuse(&replies, "the session is over"),
        }
    }

    /// A line of a session, before it is read.
    pub(super) fn line_from_plugin(&self, line: &str) {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow)]
            session_id: Option<std::borrow::Cow<'a, str>>,
        }
        let Ok(Head { session_id: Some(session_id) }) = serde_json::from_str(line) else { return };
        let record = self.live().get(&*session_id).map(|live| live.record.clone());
        if let Some(record) = record {
            locked(&record).line_from_plugin(line);
        }
    }

    /// A step of an exchange with an upstream, also when its session has ended.
    pub(super) fn exchange(&self, observed: Observed<'_>) {
        let Some(session_id) = observed.session_id else { return };
        let live = self.live().get(session_id).map(|live| live.record.clone());
        if let Some(record) = live.or_else(|| self.record(session_id)) {
            locked(&record).exchange(observed);
        }
    }

    /// A text of the plugin that belongs to no session, without the secrets of the newest sessions.
    pub(super) fn shown(&self, text: &str) -> String {
        let newest = self.all().into_iter().take(MAX_SECRETS);
        newest.fold(text.to_owned(), |text, record| locked(&record).shown(&text))
    }

    /// The sessions that run, and those that have ended so shortly ago that a line of the plugin may still be on its path.
    pub(super) fn present(&self) -> Vec<String> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let present = records.iter().map(|record| locked(record)).filter(|record| {
            let is_over = |ended: f64| record.state == "opened" || record.now() - ended > MAX_DELAY_MILLISECONDS;
            !record.milliseconds.is_some_and(is_over)
        });
        present.map(|record| record.id.clone()).collect()
    }

    fn new_id(&self) -> String {
        format!("workbench-{}", self.next.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Remembers a session, and forgets the oldest where there are too many.
    fn remember(&self, record: Record) -> Arc<Mutex<Record>> {
        let record = Arc::new(Mutex::new(record));
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.push_back(record.clone());
        let mut bytes: usize = records.iter().map(|record| locked(record).bytes()).sum();
        while records.len() > MAX_RECORDS || (bytes > MAX_BYTES && records.len() > 1) {
            let Some(oldest) = records.pop_front() else { break };
            bytes -= locked(&oldest).bytes();
        }
        record
    }

    fn record(&self, id: &str) -> Option<Arc<Mutex<Record>>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().rev().find(|record| locked(record).id == id).cloned()
    }

    fn all(&self) -> Vec<Arc<Mutex<Record>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    fn live(&self) -> MutexGuard<'_, HashMap<String, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(replies: &Replies, reason: &str) {
    replies.error(reason);
    replies.end();
}

fn locked(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;
    use crate::daemon::{Link, LinkOptions, Queue};

    #[tokio::test]
    async fn calls_back_that_are_not_read_fail() {
        let sessions = Arc::new(Sessions::default());
        let (calls, mut unread) = mpsc::channel(2);
        let record = sessions.remember(Record::new("s".to_owned(), json!({}), None));
        sessions.live().insert("s".to_owned(), Live { record, calls, waiting: HashMap::new() });
        let (plugin, daemon) = tokio::io::duplex(1 << 16);
        let (reader, writer) = tokio::io::split(daemon);
        let answering = sessions.clone();
        let options = LinkOptions {
            max_line_bytes: 1 << 16,
            idle_timeout: None,
            process_ended: None,
            answering: Box::new(move |session, call, replies| answering.call_back(session, call, replies)),
            watching: None,
            logging: None,
        };
        let link = Link::over(reader, writer, options);
        let _events = link.open("s", &json!({}), Queue::Unlimited);
        let (reader, mut writer) = tokio::io::split(plugin);
        for number in 1..=3 {
            let call = json!({"type": "llm", "backwards_request_id": format!("c{number}"), "request": {}});
            let call = json!({"event": "session", "session_id": "s", "data": {"type": "invoke", "data": call}});
            writer.write_all(format!("{call}\n").as_bytes()).await.unwrap();
        }
        let mut lines = BufReader::new(reader).lines();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "{}", "the request");
        let refused = lines.next_line().await.unwrap().unwrap();
        assert!(refused.contains("c3") && refused.contains("too many calls back"), "{refused}");
        assert_eq!(unread.recv().await.unwrap().0.request_id, "c1");
    }
}
