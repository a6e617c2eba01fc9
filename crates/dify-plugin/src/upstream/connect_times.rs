//! When the connection of an observed request was begun, open and used: as much as the HTTP client shows of it.
//!
//! The client of a handle that is not observed has no [`ConnectLayer`], and no request of it has times, so that nothing is measured
//! there. This module does not decide what is shown.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::future::BoxFuture;
use tower_layer::Layer;
use tower_service::Service;

tokio::task_local! {
    /// The times of the request that this task is sending.
    static CURRENT: Arc<ConnectTimes>;
}

/// The moments of one request.
#[derive(Default)]
pub(super) struct ConnectTimes(Mutex<Moments>);

/// What was seen so far.
#[derive(Clone, Copy, Default)]
struct Moments {
    began: Option<Instant>,
    open: Option<Instant>,
    sent: Option<Instant>,
    has_response: bool,
}

/// The connection that a request was sent over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// A new one.
    New {
        /// When the client began to open it.
        began: Instant,
        /// When it was open: host name, TCP, proxy and TLS. Absent if it was not, or not yet.
        open: Option<Instant>,
    },
    /// One that was open before, or was opened by another request meanwhile.
    Reused {
        /// When it took the request's body; absent for a request without one.
        sent: Option<Instant>,
    },
}

impl ConnectTimes {
    /// Runs a request whose moments are these.
    pub(super) async fn observe<F: Future>(self: &Arc<Self>, request: F) -> F::Output {
        CURRENT.scope(self.clone(), request).await
    }

    /// The times of the request that the current task is sending, if it is observed.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// A connection took the body.
    pub(super) fn sent(&self) {
        self.change(|moments| moments.sent = Some(Instant::now()));
    }

    /// The head of a response arrived.
    pub(super) fn responded(&self) {
        self.change(|moments| moments.has_response = true);
    }

    /// The connection, as far as it is known.
    pub(super) fn connection(&self) -> Option<Connection> {
        let Moments { began, open, sent, has_response } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (began, open) {
            (Some(began), Some(_)) => Some(Connection::New { began, open }),
            // One that was begun for this request was not the first to be ready, or none was begun.
            _ if sent.is_some() || has_response => Some(Connection::Reused { sent }),
            (Some(began), None) => Some(Connection::New { began, open: None }),
            (None, _) => None,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Moments)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Notes when a client opens connections for observed requests.
#[derive(Clone, Copy)]
pub(super) struct ConnectLayer;

impl<S> Layer<S> for ConnectLayer {
    type Service = Connector<S>;

    fn layer(&self, inner: S) -> Connector<S> {
        Connector(inner)
    }
}

/// A connector that notes when it is used.
#[derive(Clone)]
pub(super) struct Connector<S>(S);

impl<S, Target> Service<Target> for Connector<S>
where
    S: Service<Target>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let connecting = self.0.call(target);
        let Some(times) = ConnectTimes::current() else { return Box::pin(connecting) };
        times.change(|moments| (moments.began, moments.open) = (Some(Instant::now()), None));
        Box::pin(async move {
            let outcome = connecting.await;
            // A connection that the request no longer waits for is opened by another task.
            let is_waited_for = ConnectTimes::current().is_some_and(|current| Arc::ptr_eq(&current, &times));
            if outcome.is_ok() && is_waited_for {
                times.change(|moments| moments.open = Some(Instant::now()));
            }
            outcome
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Upstream;
    use crate::upstream::recording::TrafficMode;
    use crate::upstream::stats::CallStats;

    #[test]
    fn a_connection_is_new_only_if_it_was_opened_for_the_request() {
        let now = Instant::now();
        let (began, open, sent) = (Some(now), Some(now), Some(now));
        // Began, open, sent, has a response, the connection.
        for (began, open, sent, has_response, expected) in [
            (None, None, None, false, None),
            (began, None, None, false, Some(Connection::New { began: now, open: None })),
            (began, open, None, false, Some(Connection::New { began: now, open })),
            (began, open, sent, true, Some(Connection::New { began: now, open })),
            (None, None, sent, false, Some(Connection::Reused { sent })),
            (None, None, None, true, Some(Connection::Reused { sent: None })),
            // Another connection was free before the one that was begun was open.
            (began, None, sent, true, Some(Connection::Reused { sent })),
        ] {
            let times = ConnectTimes(Mutex::new(Moments { began, open, sent, has_response }));
            assert_eq!(times.connection(), expected, "{began:?} {open:?} {sent:?} {has_response}");
        }
    }

    #[test]
    fn only_an_observed_handle_notes_connections() {
        let directory = tempfile::tempdir().unwrap();
        let mode = TrafficMode::Record { directory: directory.path().join("traffic"), shorten_files: false };
        for (upstream, expected) in [(Upstream::new(), false), (Upstream::recorded(&mode).unwrap(), true)] {
            let session = upstream.for_session(&"s".into(), CallStats::default());
            for handle in [session.clone(), session.with_user_agent("plugin/1"), upstream.for_no_session()] {
                assert_eq!(handle.pool.is_observed, expected);
            }
        }
        assert!(ConnectTimes::current().is_none());
    }

    /// A connector that opens when it is notified.
    #[derive(Clone)]
    struct Slow(Arc<tokio::sync::Notify>);

    impl Service<()> for Slow {
        type Response = ();
        type Error = ();
        type Future = BoxFuture<'static, Result<(), ()>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            let notified = self.0.clone();
            Box::pin(async move {
                notified.notified().await;
                Ok(())
            })
        }
    }

    #[tokio::test]
    async fn a_connection_that_is_not_waited_for_is_not_that_of_the_request() {
        let notified = Arc::new(tokio::sync::Notify::new());
        let mut connector = ConnectLayer.layer(Slow(notified.clone()));
        notified.notify_one();
        // A request that is not observed.
        assert_eq!(connector.call(()).await, Ok(()));
        for is_waited_for in [true, false] {
            let times = Arc::<ConnectTimes>::default();
            let connecting = CURRENT.sync_scope(times.clone(), || connector.call(()));
            notified.notify_one();
            let outcome =
                if is_waited_for { times.observe(connecting).await } else { tokio::spawn(connecting).await.unwrap() };
            assert_eq!(outcome, Ok(()));
            let is_open = matches!(times.connection(), Some(Connection::New { open: Some(_), .. }));
            assert_eq!(is_open, is_waited_for);
        }
    }
}
