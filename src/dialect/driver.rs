//! The one driver of all stream mappers; it owns every policy.
//!
//! | what happens | what follows |
//! |---|---|
//! | silence, counted in events (keep-alive comments do not count) | connection error after the idle timeout |
//! | an event over the limit | server error |
//! | the connection breaks | deltas so far, then a connection error |
//! | the mapper refuses an event | deltas so far, then its error |
//! | the mapper is done | the upstream call is closed |
//! | the stream ends | the mapper's `finish` decides whether the answer was complete |

use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::{Flow, StreamMapper};
use crate::codec::events::EventDecoder;
use crate::error::InvokeError;
use crate::upstream::UpstreamResponse;

/// Longest event: an inline image or sound of some twenty megabytes.
pub const LONGEST_EVENT: usize = 48 * 1024 * 1024;

/// Drives a mapper over an answer's body.
pub fn drive<M: StreamMapper>(
    response: UpstreamResponse,
    mapper: M,
) -> BoxStream<'static, Result<M::Item, InvokeError>> {
    let UpstreamResponse { idle, body, proofs, .. } = response;
    drive_bytes(body, idle, mapper).map(move |item| item.map_err(|error| proofs.hide(error))).boxed()
}

/// Drives a mapper over any stream of bytes.
pub fn drive_bytes<M, S>(mut body: S, idle: Duration, mut mapper: M) -> impl Stream<Item = Result<M::Item, InvokeError>>
where
    M: StreamMapper,
    S: Stream<Item = Result<bytes::Bytes, InvokeError>> + Send + Unpin + 'static,
{
    async_stream::stream! {
        let mut decoder = EventDecoder::new(LONGEST_EVENT);
        let mut events = Vec::new();
        let mut out = Vec::new();
        let mut deadline = Instant::now() + idle;
        'answer: loop {
            let piece = match timeout_at(deadline, body.next()).await {
                Ok(piece) => piece,
                Err(_) => {
                    yield Err(InvokeError::connection(format!(
                        "the upstream sent no event for {} s in the middle of its answer", idle.as_secs_f64()
                    )));
                    return;
                }
            };
            let (ended, broken) = match piece {
                Some(Ok(bytes)) => (false, decoder.push(&bytes, &mut events).err().map(|error| {
                    InvokeError::server_unavailable(format!("the upstream's stream cannot be read: {error}"))
                })),
                Some(Err(error)) => (false, Some(error)),
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
            }
            // Counted from here: the time that a slow host took for the items is not the upstream's silence.
            if spoke {
                deadline = Instant::now() + idle;
            }
            if let Some(error) = broken {
                yield Err(error);
                return;
            }
            if ended {
                break;
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
    use crate::codec::events::Event;

    /// Hands on each event's text; done at `done`.
    struct Echo;

    impl StreamMapper for Echo {
        type Item = String;

        fn event(&mut self, event: &Event, out: &mut Vec<String>) -> Result<Flow, InvokeError> {
            out.push(event.data.clone());
            Ok(if event.data == "done" { Flow::Done } else { Flow::Continue })
        }

        fn finish(&mut self, _out: &mut Vec<String>) -> Result<(), InvokeError> {
            Ok(())
        }
    }

    /// Two events, and the third so much later; the host takes its time over each.
    async fn items(pause: Duration, host: Duration) -> Vec<Result<String, InvokeError>> {
        let body = Box::pin(async_stream::stream! {
            yield Ok(bytes::Bytes::from_static(b"data: a\n\ndata: b\n\n"));
            tokio::time::sleep(pause).await;
            yield Ok(bytes::Bytes::from_static(b"data: done\n\n"));
        });
        let mut stream = std::pin::pin!(drive_bytes(body, Duration::from_secs(10), Echo));
        let mut items = Vec::new();
        while let Some(item) = stream.next().await {
            items.push(item);
            tokio::time::sleep(host).await;
        }
        items
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_host_is_not_taken_for_the_upstreams_silence() {
        let seconds = Duration::from_secs;
        let slow_host = items(seconds(9), seconds(60)).await;
        assert_eq!(slow_host.into_iter().collect::<Result<Vec<_>, _>>().unwrap(), ["a", "b", "done"]);
        let silent = items(seconds(11), seconds(0)).await.pop().unwrap();
        assert!(silent.unwrap_err().message.contains("no event for 10 s"));
    }
}
