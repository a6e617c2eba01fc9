//! Drives every stream mapper and enforces all stream policies in one place.
//!
//! | event | result |
//! |---|---|
//! | no data before the first event; every byte counts as data, also comments and blank lines | connection error after the first-byte timeout |
//! | no data after it: neither an event nor bytes of an incomplete one; comments do not count | connection error after the idle timeout |
//! | no data after a finish reason | the response ends after a short timeout |
//! | an event over the limit, a response that buffers too much until its end, too much buffered for all sessions | server error |
//! | the connection breaks | deltas so far, then a connection error; after a finish reason, the response ends |
//! | the mapper rejects an event | deltas so far, then its error |
//! | the mapper is done | the rest of the body is read for a moment, so that the connection is used again; then the call is closed |
//! | the stream ends | the mapper's `finish` decides whether the answer was complete |

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Flow, StreamMapper};
use dify_plugin::codec::events::EventDecoder;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::share::Share;
use dify_plugin::upstream::{UpstreamResponse, read_rest};

/// Maximum size of an event in bytes. Inline images and audio take up to about 20 MB.
pub const MAX_EVENT_BYTES: usize = 48 * 1024 * 1024;

/// Maximum number of bytes of a response that are buffered until its end, in any dialect, streamed or not. This is far
/// more text than a model generates, and enough for a dozen images.
pub const MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;

/// How long to wait for usage that follows the finish reason.
const TRAILING_USAGE_TIMEOUT: Duration = Duration::from_secs(3);

/// Stream timeouts.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// Before the first event.
    pub first: Duration,
    /// After it.
    pub idle: Duration,
}

/// Returns the error for a response that exceeds the buffer limit.
pub fn too_long() -> InvokeError {
    InvokeError::server_unavailable(format!(
        "the response is too long: more than {} MiB would have to be buffered",
        MAX_RESPONSE_BYTES >> 20
    ))
}

fn timeout_error(waits: Waits, begun: bool) -> InvokeError {
    InvokeError::connection(match begun {
        true => format!("the server sent no event for {} s before the response was complete", waits.idle.as_secs_f64()),
        false => format!("the server accepted the request, but sent no event for {} s", waits.first.as_secs_f64()),
    })
}

/// The time that a stream has for its next piece. It has one timer, which is set again only when it fires or would fire too
/// late: to set one for each piece costs more than to read most pieces.
struct Deadline {
    at: Instant,
    timer: Pin<Box<Sleep>>,
}

/// There was no piece in time.
struct Late;

impl Deadline {
    fn after(wait: Duration) -> Self {
        let at = Instant::now() + wait;
        Self { at, timer: Box::pin(sleep_until(at)) }
    }

    fn set_after(&mut self, wait: Duration) {
        self.at = Instant::now() + wait;
        if self.at < self.timer.deadline() {
            self.timer.as_mut().reset(self.at);
        }
    }

    /// Returns the next piece of a stream.
    async fn next<S: Stream + Unpin>(&mut self, stream: &mut S) -> Result<Option<S::Item>, Late> {
        poll_fn(|context| {
            if let Poll::Ready(piece) = stream.poll_next_unpin(context) {
                return Poll::Ready(Ok(piece));
            }
            while self.timer.as_mut().poll(context).is_ready() {
                if self.timer.deadline() >= self.at {
                    return Poll::Ready(Err(Late));
                }
                self.timer.as_mut().reset(self.at);
            }
            Poll::Pending
        })
        .await
    }
}

/// Drives a mapper over a response body.
pub fn drive<M: StreamMapper>(
    response: UpstreamResponse,
    mapper: M,
) -> BoxStream<'static, Result<M::Item, InvokeError>> {
    let UpstreamResponse { first, idle, body, redactor, share, .. } = response;
    drive_bytes(body, Waits { first, idle }, share, mapper)
        .map(move |item| item.map_err(|error| redactor.redact_error(error)))
        .boxed()
}

/// Drives a mapper over any stream of bytes. Buffered bytes count toward the shared limit.
pub fn drive_bytes<M, S>(
    mut body: S,
    waits: Waits,
    mut share: Share,
    mut mapper: M,
) -> impl Stream<Item = Result<M::Item, InvokeError>>
where
    M: StreamMapper,
    S: Stream<Item = Result<bytes::Bytes, InvokeError>> + Send + Unpin + 'static,
{
    async_stream::stream! {
        let mut decoder = EventDecoder::new(MAX_EVENT_BYTES);
        let mut events = Vec::new();
        let mut out = Vec::new();
        let (mut begun, mut over, mut has_ended, mut taken) = (false, false, false, 0);
        let mut deadline = Deadline::after(waits.first);
        'response: loop {
            let chunk = match deadline.next(&mut body).await {
                Ok(chunk) => chunk,
                Err(Late) if over => break,
                Err(Late) => {
                    yield Err(timeout_error(waits, begun));
                    return;
                }
            };
            let (ended, broken) = match chunk {
                Some(Ok(bytes)) => {
                    let read = decoder.push(&bytes, &mut events).map_err(|error| {
                        InvokeError::server_unavailable(format!("cannot read the response stream: {error}"))
                    });
                    (false, read.and_then(|()| share.set(decoder.held())).err())
                }
                Some(Err(error)) => (over, Some(error).filter(|_| !over)),
                None => {
                    decoder.finish(&mut events);
                    (true, None)
                }
            };
            let has_events = !events.is_empty();
            for event in events.drain(..) {
                let flow = mapper.event(&event, &mut out);
                for item in out.drain(..) {
                    yield Ok(item);
                }
                match flow {
                    Ok(Flow::Continue) => {}
                    Ok(Flow::Done) => break 'response,
                    Err(error) => {
                        yield Err(error);
                        return;
                    }
                }
                if mapper.held() > MAX_RESPONSE_BYTES {
                    yield Err(too_long());
                    return;
                }
            }
            if let Some(error) = broken {
                yield Err(error);
                return;
            }
            if ended {
                has_ended = true;
                break;
            }
            let grew = decoder.taken() != std::mem::replace(&mut taken, decoder.taken());
            begun |= has_events;
            over |= has_events && mapper.is_over();
            // Counted from here, so that the time a slow daemon takes for the items does not count as the server's
            // silence.
            if over && has_events {
                deadline.set_after(TRAILING_USAGE_TIMEOUT);
            } else if !begun {
                deadline.set_after(waits.first);
            } else if !over && (has_events || grew) {
                deadline.set_after(waits.idle);
            }
        }
        let finished = mapper.finish(&mut out);
        for item in out.drain(..) {
            yield Ok(item);
        }
        if let Err(error) = finished {
            yield Err(error);
        } else if !has_ended {
            read_rest(body).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dify_plugin::codec::events::Event;

    /// Emits the text of each event. Done at `done`, over at `last`, buffers events that start with `keep`.
    #[derive(Default)]
    struct Echo {
        over: bool,
        held: usize,
    }

    impl StreamMapper for Echo {
        type Item = String;

        fn event(&mut self, event: &Event, out: &mut Vec<String>) -> Result<Flow, InvokeError> {
            if event.data.starts_with("keep") {
                self.held += event.data.len();
                return Ok(Flow::Continue);
            }
            out.push(event.data.clone());
            self.over |= event.data == "last";
            Ok(if event.data == "done" { Flow::Done } else { Flow::Continue })
        }

        fn finish(&mut self, out: &mut Vec<String>) -> Result<(), InvokeError> {
            out.push("end".to_owned());
            Ok(())
        }

        fn is_over(&self) -> bool {
            self.over
        }

        fn held(&self) -> usize {
            self.held
        }
    }

    /// The upstream waits the given seconds before each chunk and sends nothing after the last one. `BREAK` instead of
    /// a chunk breaks the connection. The consumer pauses for `consumer` seconds after each item.
    async fn items(script: &[(u64, &'static str)], consumer: u64) -> (Vec<String>, Option<String>, u64) {
        let script = script.to_vec();
        let body = Box::pin(async_stream::stream! {
            for (pause, chunk) in script {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                match chunk {
                    "BREAK" => yield Err(InvokeError::connection("broken")),
                    _ => yield Ok(bytes::Bytes::from_static(chunk.as_bytes())),
                }
            }
            std::future::pending::<()>().await;
        });
        let started = Instant::now();
        let waits = Waits { first: Duration::from_secs(30), idle: Duration::from_secs(10) };
        let mut stream = std::pin::pin!(drive_bytes(body, waits, Share::default(), Echo::default()));
        let (mut items, mut error) = (Vec::new(), None);
        while let Some(item) = stream.next().await {
            match item {
                Ok(item) => items.push(item),
                Err(failure) => error = Some(failure.message),
            }
            tokio::time::sleep(Duration::from_secs(consumer)).await;
        }
        (items, error, started.elapsed().as_secs())
    }

    type Case = (&'static str, &'static [(u64, &'static str)], &'static [&'static str], Option<&'static str>, u64);

    /// Name, script, expected items, expected error, expected seconds.
    const CASES: &[Case] = &[
        ("the first event has the longer timeout", &[(25, "data: done\n\n")], &["done", "end"], None, 25),
        ("the first event has a timeout", &[], &[], Some("but sent no event for 30 s"), 30),
        (
            "comments count before the first event",
            &[(25, ": ping\n\n"), (25, ":"), (25, "\n\n"), (25, "data: done\n\n")],
            &["done", "end"],
            None,
            100,
        ),
        (
            "blank lines count before a complete response",
            &[(25, "\n\n"), (25, "\n"), (25, "{}\n"), (0, "data: done\n\n")],
            &["{}", "done", "end"],
            None,
            75,
        ),
        (
            "comments do not count between events",
            &[(0, "data: a\n\n"), (4, ": ping\n\n"), (4, ": pi"), (4, "ng\n\n")],
            &["a"],
            Some("no event for 10 s before the response was complete"),
            10,
        ),
        (
            "an incomplete event that grows counts",
            &[(0, "data: a\n\n"), (9, "data"), (9, ": b"), (9, "c\n"), (9, "\n"), (1, "data: done\n\n")],
            &["a", "bc", "done", "end"],
            None,
            37,
        ),
        ("a finish reason ends the response", &[(0, "data: last\n\n")], &["last", "end"], None, 3),
        (
            "events within the trailing timeout are read",
            &[(0, "data: last\n\n"), (2, ": ping\n\ndata: usage\n\n"), (2, ": ping\n\n"), (2, "data: late\n\n")],
            &["last", "usage", "end"],
            None,
            5,
        ),
        (
            "a break after a finish reason is no error",
            &[(0, "data: last\n\n"), (1, "BREAK")],
            &["last", "end"],
            None,
            1,
        ),
        ("a break before it is an error", &[(0, "data: a\n\n"), (1, "BREAK")], &["a"], Some("broken"), 1),
    ];

    #[tokio::test(start_paused = true)]
    async fn enforces_the_timeouts() {
        for (name, script, expected, failure, seconds) in CASES {
            let (seen, error, took) = items(script, 0).await;
            assert_eq!(
                (seen.as_slice(), took),
                (expected.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>().as_slice(), *seconds),
                "{name}: {error:?}"
            );
            assert_eq!(error.is_some(), failure.is_some(), "{name}: {error:?}");
            assert!(failure.is_none_or(|words| error.is_some_and(|error| error.contains(words))), "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn does_not_count_a_slow_consumer_as_upstream_silence() {
        let script = [(0, "data: a\n\ndata: b\n\n"), (9, "data: done\n\n")];
        let (seen, error, _) = items(&script, 60).await;
        assert_eq!((seen.as_slice(), error), (["a", "b", "done", "end"].map(str::to_owned).as_slice(), None));
    }

    #[tokio::test]
    async fn limits_the_buffered_bytes_of_a_response() {
        let chunk = bytes::Bytes::from(format!("data: keep{}\n\n", " ".repeat(1 << 20)));
        let body = futures_util::stream::repeat_with(move || Ok(chunk.clone())).take(40);
        let waits = Waits { first: Duration::from_secs(5), idle: Duration::from_secs(5) };
        let items: Vec<_> = drive_bytes(body, waits, Share::default(), Echo::default()).collect().await;
        assert!(items.last().unwrap().as_ref().unwrap_err().message.contains("more than 32 MiB"), "{items:?}");
    }
}
