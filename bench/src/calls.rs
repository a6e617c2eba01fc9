//! Dify's side of calls back: a language model that streams chunks at once or at a pace, whatever it is asked.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::driver::text_after;

/// Chunks of each response, unless a row says otherwise.
pub const CHUNKS: usize = 50;

/// The text of each chunk.
pub const WORD: &str = "word ";

/// How the model responds.
#[derive(Clone, Copy)]
pub struct Model {
    pub chunks: usize,
    /// Time between two chunks. The first one comes at once.
    pub pause: Duration,
}

impl Default for Model {
    fn default() -> Self {
        Self { chunks: CHUNKS, pause: Duration::ZERO }
    }
}

/// The responses that are not complete yet.
pub struct Responses {
    model: Model,
    due: BinaryHeap<Reverse<(Instant, String, usize)>>,
}

impl Responses {
    pub fn new(model: Model) -> Self {
        Self { model, due: BinaryHeap::new() }
    }

    /// Takes an `invoke` line of a session; whether it was one.
    pub fn begin(&mut self, line: &[u8], session: &str) -> bool {
        if memchr::memmem::find(line, b"\"invoke\"").is_none() {
            return false;
        }
        let Some(call) = text_after(line, b"\"backwards_request_id\":") else { return false };
        let head = format!(
            "{{\"session_id\":\"{session}\",\"event\":\"backwards_response\",\"data\":{{\"backwards_request_id\":\"{call}\","
        );
        self.due.push(Reverse((Instant::now(), head, 0)));
        true
    }

    /// How long until there is something to write.
    pub fn wait(&self) -> Option<Duration> {
        self.due.peek().map(|Reverse((at, ..))| at.saturating_duration_since(Instant::now()))
    }

    /// The lines that are due.
    pub fn lines(&mut self) -> String {
        let (now, mut lines) = (Instant::now(), String::new());
        while self.due.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((at, head, mut index))) = self.due.pop() else { break };
            loop {
                if index == self.model.chunks {
                    let _ = writeln!(lines, "{head}\"event\":\"end\",\"message\":\"\",\"data\":null}}}}");
                    break;
                }
                let _ = writeln!(
                    lines,
                    "{head}\"event\":\"response\",\"message\":\"stream\",\"data\":{{\"model\":\"m\",\"prompt_messages\":[],\
                     \"system_fingerprint\":\"\",\"delta\":{{\"index\":{index},\"message\":{{\"role\":\"assistant\",\"content\":\"{WORD}\",\
                     \"name\":\"\",\"tool_calls\":[]}},\"usage\":null,\"finish_reason\":null}}}}}}}}"
                );
                index += 1;
                if !self.model.pause.is_zero() {
                    self.due.push(Reverse((at + self.model.pause, head, index)));
                    break;
                }
            }
        }
        lines
    }
}
