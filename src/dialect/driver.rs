//! The one driver of all stream mappers; it owns every policy.
//!
//! | what happens | what follows |
//! |---|---|
//! | silence before the first event; every byte counts as life, comments and blank lines too | connection error after the first-byte limit |
//! | silence after it, counted in events and in bytes of one that is on its way; comments do not count | connection error after the idle limit |
//! | silence after the last word (a finish reason) | the answer ends after a short grace |
//! | an event over the limit, an answer that keeps too much until its end, too much held for all sessions | server error |
//! | the connection breaks | deltas so far, then a connection error; after the last word, the answer ends |
//! | the mapper refuses an event | deltas so far, then its error |
//! | the mapper is done | the upstream call is closed |
//! | the stream ends | the mapper's `finish` decides whether the answer was complete |

use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::{Flow, StreamMapper};
use dify_plugin::codec::events::EventDecoder;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::UpstreamResponse;
use dify_plugin::upstream::share::Share;

/// Longest event: an inline image or sound of some twenty megabytes.
pub const MAX_EVENT_BYTES: usize = 48 * 1024 * 1024;

/// Most bytes of an answer that may be kept until its end, in whatever dialect and form, streamed or collected: far more
/// than a model writes, and room for a dozen pictures.
pub const MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;

/// How long counts may take that follow the last word.
const TRAILING_USAGE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long silence may last.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// Before the first event.
    pub first: Duration,
    /// After it.
    pub idle: Duration,
}

/// The error of an answer that is longer than what may be kept of it.
pub fn too_long() -> InvokeError {
    InvokeError::server_unavailable(format!(
        "the upstream's answer does not end: more than {} MiB of it would have to be kept",
        MAX_RESPONSE_BYTES >> 20
    ))
}

fn silence(waits: Waits, begun: bool) -> InvokeError {
    InvokeError::connection(match begun {
        true => format!("the upstream sent no event for {} s in the middle of its answer", waits.idle.as_secs_f64()),
        false => format!("the upstream accepted the request, but sent no event for {} s", waits.first.as_secs_f64()),
    })
}

/// Drives a mapper over an answer's body.
pub fn drive<M: StreamMapper>(
    response: UpstreamResponse,
    mapper: M,
) -> BoxStream<'static, Result<M::Item, InvokeError>> {
    let UpstreamResponse { first, idle, body, redactor, share, .. } = response;
    drive_bytes(body, Waits { first, idle }, share, mapper)
        .map(move |item| item.map_err(|error| redactor.redact_error(error)))
        .boxed()
}

/// Drives a mapper over any stream of bytes; what is held of them counts in the share.
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
        let (mut begun, mut over, mut taken) = (false, false, 0);
        let mut deadline = Instant::now() + waits.first;
        'answer: loop {
            let piece = match timeout_at(deadline, body.next()).await {
                Ok(piece) => piece,
                Err(_) if over => break,
                Err(_) => {
                    yield Err(silence(waits, begun));
                    return;
                }
            };
            let (ended, broken) = match piece {
                Some(Ok(bytes)) => {
                    let read = decoder.push(&bytes, &mut events).map_err(|error| {
                        InvokeError::server_unavailable(format!("the upstream's stream cannot be read: {error}"))
                    });
                    (false, read.and_then(|()| share.set(decoder.held())).err())
                }
                Some(Err(error)) => (over, Some(error).filter(|_| !over)),
                None => {
                    decoder.finish(&mut events);
                    (true, None)
                }
            };
            let spoke = !events.is_empty();
            for event in events.drain(..) {
                let flow = mapper.event(&event, &mut out);
                for item in out.drain(..) {
                    yield Ok(item);
                }
                match flow {
                    Ok(Flow::Continue) => {}
                    Ok(Flow::Done) => break 'answer,
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
                break;
            }
            let grew = decoder.taken() != std::mem::replace(&mut taken, decoder.taken());
            begun |= spoke;
            over |= spoke && mapper.is_over();
            // Counted from here: the time that a slow host took for the items is not the upstream's silence.
            if over && spoke {
                deadline = Instant::now() + TRAILING_USAGE_TIMEOUT;
            } else if !begun {
                deadline = Instant::now() + waits.first;
            } else if !over && (spoke || grew) {
                deadline = Instant::now() + waits.idle;
            }
        }
        let finished = mapper.finish(&mut out);
        for item in out.drain(..) {
            yield Ok(item);
        }
        if let Err(error) = finished {
            yield Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dify_plugin::codec::events::Event;

    /// Hands on each event's text; done at `done`, over at `last`, keeps what begins with `keep`.
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

    /// The upstream waits so many seconds and then sends a piece; behind the last one it sends nothing and stays. `BREAK`
    /// in place of a piece breaks the connection. The host takes its time over each item.
    async fn items(script: &[(u64, &'static str)], host: u64) -> (Vec<String>, Option<String>, u64) {
        let script = script.to_vec();
        let body = Box::pin(async_stream::stream! {
            for (pause, piece) in script {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                match piece {
                    "BREAK" => yield Err(InvokeError::connection("broken")),
                    _ => yield Ok(bytes::Bytes::from_static(piece.as_bytes())),
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
            tokio::time::sleep(Duration::from_secs(host)).await;
        }
        (items, error, started.elapsed().as_secs())
    }

    type Case = (&'static str, &'static [(u64, &'static str)], &'static [&'static str], Option<&'static str>, u64);

    /// Each case: what comes when, what is handed on, how it ends, after how many seconds.
    const CASES: &[Case] = &[
        ("the first event has the longer wait", &[(25, "data: done\n\n")], &["done", "end"], None, 25),
        ("but not for ever", &[], &[], Some("but sent no event for 30 s"), 30),
        (
            "comments are life before the first event",
            &[(25, ": ping\n\n"), (25, ":"), (25, "\n\n"), (25, "data: done\n\n")],
            &["done", "end"],
            None,
            100,
        ),
        (
            "so are blank lines before a whole answer",
            &[(25, "\n\n"), (25, "\n"), (25, "{}\n"), (0, "data: done\n\n")],
            &["{}", "done", "end"],
            None,
            75,
        ),
        (
            "between events only events count",
            &[(0, "data: a\n\n"), (4, ": ping\n\n"), (4, ": pi"), (4, "ng\n\n")],
            &["a"],
            Some("no event for 10 s in the middle of its answer"),
            10,
        ),
        (
            "or one that grows",
            &[(0, "data: a\n\n"), (9, "data"), (9, ": b"), (9, "c\n"), (9, "\n"), (1, "data: done\n\n")],
            &["a", "bc", "done", "end"],
            None,
            37,
        ),
        ("a last word ends the answer", &[(0, "data: last\n\n")], &["last", "end"], None, 3),
        (
            "what follows it within the grace is read",
            &[(0, "data: last\n\n"), (2, ": ping\n\ndata: usage\n\n"), (2, ": ping\n\n"), (2, "data: late\n\n")],
            &["last", "usage", "end"],
            None,
            5,
        ),
        ("a break behind it harms nothing", &[(0, "data: last\n\n"), (1, "BREAK")], &["last", "end"], None, 1),
        ("a break before it does", &[(0, "data: a\n\n"), (1, "BREAK")], &["a"], Some("broken"), 1),
    ];

    #[tokio::test(start_paused = true)]
    async fn waits_are_those_of_the_table() {
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
    async fn a_slow_host_is_not_taken_for_the_upstreams_silence() {
        let script = [(0, "data: a\n\ndata: b\n\n"), (9, "data: done\n\n")];
        let (seen, error, _) = items(&script, 60).await;
        assert_eq!((seen.as_slice(), error), (["a", "b", "done", "end"].map(str::to_owned).as_slice(), None));
    }

    #[tokio::test]
    async fn an_answer_that_is_kept_has_an_end() {
        let piece = bytes::Bytes::from(format!("data: keep{}\n\n", " ".repeat(1 << 20)));
        let body = futures_util::stream::repeat_with(move || Ok(piece.clone())).take(40);
        let waits = Waits { first: Duration::from_secs(5), idle: Duration::from_secs(5) };
        let items: Vec<_> = drive_bytes(body, waits, Share::default(), Echo::default()).collect().await;
        assert!(items.last().unwrap().as_ref().unwrap_err().message.contains("more than 32 MiB"), "{items:?}");
    }
}
