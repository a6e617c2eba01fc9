//! The responses of one call, between the reader that must never wait and the code that reads them when it can. What is
//! held is limited in bytes, per call and of all calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::BackwardsOptions;
use crate::plugin::dify::Responses;
use crate::protocol::Payload;
use crate::protocol::backwards::{DifyError, DifyErrorKind};
use crate::runtime::places::Lendable;

/// Bytes that the calls of a connection hold; clones are the same count.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<AtomicUsize>);

/// The reader's side.
pub(super) struct Sender {
    events: mpsc::UnboundedSender<Event>,
    call: Held,
    all: Held,
    options: BackwardsOptions,
}

enum Event {
    Response(Payload, Bytes),
    Failed(DifyError),
    End,
}

/// Bytes of one response, in both counts until it is read or dropped.
struct Bytes {
    count: usize,
    counts: [Held; 2],
}

impl Drop for Bytes {
    fn drop(&mut self) {
        for Held(held) in &self.counts {
            held.fetch_sub(self.count, Ordering::Relaxed);
        }
    }
}

/// The calling code's side. Dropping it with `guard` ends the call here; Dify goes on with it.
struct Receiver<G> {
    events: mpsc::UnboundedReceiver<Event>,
    deadline: Instant,
    timeout: Duration,
    has_begun: bool,
    place: Lendable,
    _guard: G,
}

impl Sender {
    /// Hands over a response of so many bytes. Whether more may come.
    pub(super) fn response(&self, payload: Payload, bytes: usize) -> bool {
        let counts = [self.call.clone(), self.all.clone()];
        let held = counts.each_ref().map(|Held(held)| held.fetch_add(bytes, Ordering::Relaxed) + bytes);
        let bytes = Bytes { count: bytes, counts };
        if held[0] > self.options.max_call_bytes || held[1] > self.options.max_held_bytes {
            drop(bytes);
            let limit = if held[0] > self.options.max_call_bytes {
                format!("of this call (limit {} bytes)", self.options.max_call_bytes)
            } else {
                format!("of all calls (limit {} bytes)", self.options.max_held_bytes)
            };
            self.fail(
                DifyError::new(DifyErrorKind::TooLarge, format!("too many responses {limit} are unread"))
                    .with_hint("Read the responses of a call as they come."),
            );
            return false;
        }
        self.events.send(Event::Response(payload, bytes)).is_ok()
    }

    /// Ends the call with an error.
    pub(super) fn fail(&self, error: DifyError) {
        // A call that was dropped meanwhile needs no error.
        let _ = self.events.send(Event::Failed(error));
    }

    /// Ends the call.
    pub(super) fn end(&self) {
        let _ = self.events.send(Event::End);
    }
}

/// The two sides of a call that begins now.
pub(super) fn queue<G: Send + 'static>(
    all: &Held,
    options: BackwardsOptions,
    place: Lendable,
) -> (Sender, impl FnOnce(G, Duration) -> Responses + use<G>) {
    let (sender, events) = mpsc::unbounded_channel();
    let sender = Sender { events: sender, call: Held::default(), all: all.clone(), options };
    let responses = move |guard, timeout| {
        let deadline = Instant::now() + timeout;
        let mut receiver = Receiver { events, deadline, timeout, has_begun: false, place, _guard: guard };
        let stream = async_stream::stream! {
            while let Some(event) = receiver.next().await {
                match event {
                    Event::Response(payload, bytes) => {
                        drop(bytes);
                        yield Ok(payload);
                    }
                    Event::Failed(error) => {
                        drop(receiver);
                        yield Err(error);
                        return;
                    }
                    Event::End => return,
                }
            }
            yield Err(DifyError::session_ended());
        };
        Box::pin(stream) as Responses
    };
    (sender, responses)
}

impl<G> Receiver<G> {
    /// The next event; `None` when there is no sender any more.
    async fn next(&mut self) -> Option<Event> {
        let event = match self.events.try_recv() {
            Ok(event) => Some(event),
            Err(mpsc::error::TryRecvError::Disconnected) => None,
            Err(mpsc::error::TryRecvError::Empty) => {
                let _waits = self.place.lend();
                tokio::select! {
                    biased;
                    event = self.events.recv() => event,
                    () = tokio::time::sleep_until(self.deadline) => {
                        Some(Event::Failed(DifyError::timed_out(self.timeout.as_secs_f64())))
                    }
                }
            }
        };
        if !std::mem::replace(&mut self.has_begun, true) {
            self.deadline = Instant::now() + self.timeout;
        }
        event
    }
}
