//! The notices of a run, as a stream that the page reads for as long as it is open.

use std::convert::Infallible;
use std::sync::Arc;

use async_stream::stream;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::state::Workbench;

/// `GET /api/events`. A page that is too far behind is sent to read the plugin again.
pub(super) async fn stream(
    State(workbench): State<Arc<Workbench>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut notices = workbench.notices();
    let events = stream! {
        yield Ok(plugin_event(&workbench));
        loop {
            match notices.recv().await {
                Ok(notice) => yield Ok(Event::default().event(notice.event).data(notice.data.to_string())),
                Err(RecvError::Lagged(_)) => yield Ok(plugin_event(&workbench)),
                Err(RecvError::Closed) => return,
            }
        }
    };
    Sse::new(events).keep_alive(KeepAlive::default())
}

fn plugin_event(workbench: &Workbench) -> Event {
    Event::default().event("plugin").data(json!({ "revision": workbench.read().revision }).to_string())
}
