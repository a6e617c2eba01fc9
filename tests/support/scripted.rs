//! A scripted upstream on loopback that responds with raw bytes to each connection, so that it can misbehave
//! arbitrarily.
//!
//! It records the requests it was sent. It is not an HTTP server: the script writes status line, headers and body
//! itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// One step of an answer.
#[derive(Clone, Debug)]
pub enum Step {
    /// Write these bytes.
    Send(Vec<u8>),
    /// Wait.
    Pause(Duration),
    /// Write these bytes so many times.
    Times(Vec<u8>, usize),
    /// Repeat these bytes with a pause until the peer goes away.
    Repeat(Vec<u8>, Duration),
    /// Keep the connection open and say nothing until the peer goes away.
    Hang,
    /// Close the connection hard.
    Reset,
}

/// A running upstream; dropped with the test's runtime.
pub struct Scripted {
    /// `http://127.0.0.1:port`
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
    open: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
}

impl Scripted {
    /// Answers the n-th connection with the n-th script; the last script serves all further ones.
    pub async fn start(scripts: Vec<Vec<Step>>) -> Self {
        Self::serve(scripts, false).await
    }

    /// Answers every request with this script, any number of them on one connection.
    pub async fn keep_alive(script: Vec<Step>) -> Self {
        Self::serve(vec![script], true).await
    }

    async fn serve(scripts: Vec<Vec<Step>>, keep_alive: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let open = Arc::new(AtomicUsize::new(0));
        let (seen, count) = (requests.clone(), open.clone());
        let accepted = Arc::new(AtomicUsize::new(0));
        let all = accepted.clone();
        tokio::spawn(async move {
            let mut number = 0;
            loop {
                let Ok((mut socket, _)) = listener.accept().await else { return };
                socket.set_nodelay(true).unwrap();
                let script = scripts[number.min(scripts.len() - 1)].clone();
                number += 1;
                all.fetch_add(1, Ordering::SeqCst);
                let (seen, count) = (seen.clone(), count.clone());
                tokio::spawn(async move {
                    count.fetch_add(1, Ordering::SeqCst);
                    while let Some(request) = read_request(&mut socket).await {
                        seen.lock().unwrap().push(request);
                        run(&mut socket, script.clone()).await;
                        if !keep_alive {
                            break;
                        }
                    }
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, requests, open, accepted }
    }

    /// The requests so far, head and body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Connections so far.
    pub fn accepted_connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

async fn read_request(socket: &mut tokio::net::TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16384];
    loop {
        let count = socket.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some(head_end) = text.find("\r\n\r\n") else { continue };
        let length = text[..head_end]
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(|value| value.trim().to_owned())
            })
            .map_or(0, |value| value.parse().unwrap());
        if bytes.len() >= head_end + 4 + length {
            return Some(text.into_owned());
        }
    }
}

async fn run(socket: &mut tokio::net::TcpStream, script: Vec<Step>) {
    for step in script {
        match step {
            Step::Send(bytes) => {
                if socket.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Step::Pause(wait) => tokio::time::sleep(wait).await,
            Step::Times(bytes, times) => {
                for _ in 0..times {
                    if socket.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            }
            Step::Repeat(bytes, wait) => {
                while socket.write_all(&bytes).await.is_ok() {
                    tokio::time::sleep(wait).await;
                }
            }
            Step::Hang => {
                let mut buffer = [0; 64];
                while socket.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
            }
            Step::Reset => {
                socket.set_zero_linger().unwrap();
                return;
            }
        }
    }
}

/// A whole answer with a length.
pub fn answer(status: &str, headers: &str, body: &str) -> Vec<Step> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    vec![Step::Send(format!("{head}{body}").into_bytes())]
}

/// The head of an event stream without a length; what follows is the body.
pub fn event_stream() -> Step {
    Step::Send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_vec())
}
