//! How a plugin introduces itself to other servers.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use dify_plugin::upstream::{Upstream, UpstreamRequest};

/// Sends a request, and returns the user agent that the server got.
async fn user_agent(upstream: &Upstream) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        let agents =
            head.iter().filter_map(|line| line.to_ascii_lowercase().strip_prefix("user-agent: ").map(str::to_owned));
        agents.collect::<Vec<_>>().join("; ")
    });
    upstream.send(&UpstreamRequest::get(url.parse().unwrap())).await.unwrap();
    server.join().unwrap()
}

#[tokio::test]
async fn names_the_plugin() {
    let library = concat!("dify-plugin/", env!("CARGO_PKG_VERSION"));
    assert_eq!(user_agent(&Upstream::new()).await, library);
    for (given, sent) in [("weather/1.0.0 (x)", "weather/1.0.0 (x)"), ("we\r\nather\u{7f}é/1", "weather/1")] {
        assert_eq!(user_agent(&Upstream::new().with_user_agent(given)).await, sent);
    }
}
