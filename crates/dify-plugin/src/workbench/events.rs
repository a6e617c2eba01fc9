//! The notices of a run, as a stream that the page reads for as long as it is open.

use std::convert::Infallible;
use std::sync::Arc;

use async_stream::stream;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::state::{Notice, Workbench};

/// `GET /api/events`.
pub(super) async fn stream(
    State(workbench): State<Arc<Workbench>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let first = Notice { event: "plugin", data: json!({ "revision": workbench.read().revision }) };
    let notices = notices(first, workbench.notices());
    let events = notices.map(|notice| Ok(Event::default().event(notice.event).data(notice.data.to_string())));
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// The first notice, and those that follow. A page that is too far behind misses some, and has to read everything again.
fn notices(first: Notice, mut following: Receiver<Notice>) -> impl Stream<Item = Notice> {
    stream! {
        yield first;
        loop {
            match following.recv().await {
                Ok(notice) => yield notice,
                Err(RecvError::Lagged(_)) => yield Notice { event: "behind", data: Value::Null },
                Err(RecvError::Closed) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::*;

    #[tokio::test]
    async fn a_page_that_does_not_read_misses_notices_and_reads_again() {
        let (sender, receiver) = broadcast::channel(2);
        let notice = |event: &'static str| Notice { event, data: Value::Null };
        let found = notices(notice("first"), receiver);
        for event in ["a", "b", "c", "d"] {
            sender.send(notice(event)).unwrap();
        }
        drop(sender);
        let found: Vec<&str> = found.map(|notice| notice.event).collect().await;
        assert_eq!(found, ["first", "behind", "c", "d"]);
    }
}
