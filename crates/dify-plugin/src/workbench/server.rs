//! The server of the workbench: each connection within limits, because any process of the machine can connect. What is served is
//! in `router`.

use axum::Router;
use axum::body::Body;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::limits::Limits;
use crate::transport::http_server;

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, router: Router, limits: Limits) {
    let router = router.layer(axum::Extension(limits));
    let respond = move |request: axum::http::Request<hyper::body::Incoming>| {
        // A router is always ready.
        let response = router.clone().call(request.map(Body::new));
        async move { response.await.unwrap_or_else(|never| match never {}) }
    };
    http_server::serve(listener, limits.http, CancellationToken::new(), respond).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use axum::routing::{get, post};
    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::transport::http_server::HttpLimits;
    use crate::workbench::body::Body as JsonBody;

    /// Starts a server, and returns where it listens.
    async fn started(router: Router, http: HttpLimits) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, router, Limits { http, ..Limits::default() }));
        address
    }

    /// What a client gets that sends this and waits for the end of the connection.
    async fn ask(address: std::net::SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(120), reading).await.expect("the connection stays open").unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn post_of(length: usize, body: &str) -> String {
        format!("POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
    }

    #[tokio::test]
    async fn slow_and_large_requests_are_refused() {
        let router = || Router::new().route("/", post(async |JsonBody(value): JsonBody<Value>| value.to_string()));
        let (short, usual) = (Duration::from_millis(20), HttpLimits::default());
        // What is limited, what a client sends, and how the answer begins.
        for (limits, request, expected) in [
            (usual, post_of(2, "[]"), "HTTP/1.1 200 "),
            (HttpLimits { header: short, ..usual }, "POST / HTTP/1.1\r\nhost".to_owned(), ""),
            (HttpLimits { header: short, ..usual }, String::new(), ""),
            (HttpLimits { body: short, ..usual }, post_of(9, "["), "HTTP/1.1 408 "),
            (HttpLimits { body_bytes: 3, ..usual }, post_of(4, "[[]]"), "HTTP/1.1 413 "),
        ] {
            let answer = ask(started(router(), limits).await, &request).await;
            assert!(answer.starts_with(expected) && answer.is_empty() == expected.is_empty(), "{request}: {answer}");
        }
    }

    #[tokio::test]
    async fn more_connections_than_allowed_wait_for_their_turn() {
        let (now, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (current, highest) = (now.clone(), most.clone());
        let handler = async move || {
            highest.fetch_max(current.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            current.fetch_sub(1, Ordering::SeqCst);
        };
        let limits = HttpLimits { connections: 2, ..HttpLimits::default() };
        let address = started(Router::new().route("/", get(handler)), limits).await;
        let ask = || ask(address, "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let answers = futures_util::future::join_all((0..8).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200 ")), "{answers:?}");
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }
}
