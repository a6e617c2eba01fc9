//! The floor: reads request lines, opens a raw connection for each, and copies the text of each event into a line; an
//! answer of vectors is copied whole. Without calling, the same lines are made up: the limit of the driver.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

pub fn run(calls: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (sender, mut lines) = mpsc::channel::<Vec<u8>>(256);
        tokio::spawn(async move {
            let mut out = tokio::io::stdout();
            out.write_all(b"{\"event\":\"heartbeat\"}\n").await.unwrap();
            out.flush().await.unwrap();
            while let Some(mut batch) = lines.recv().await {
                while let Ok(more) = lines.try_recv() {
                    batch.extend(more);
                }
                out.write_all(&batch).await.unwrap();
                out.flush().await.unwrap();
            }
        });
        let mut input = BufReader::new(tokio::io::stdin());
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line).await.unwrap() > 0 {
            let (line, sender) = (std::mem::take(&mut line), sender.clone());
            if calls {
                tokio::spawn(relay(line, sender));
            } else {
                tokio::spawn(echo(line, sender));
            }
        }
    });
}

fn after<'a>(line: &'a [u8], key: &str) -> &'a str {
    let at = memchr::memmem::find(line, key.as_bytes()).unwrap() + key.len();
    std::str::from_utf8(&line[at..at + memchr::memchr(b'"', &line[at..]).unwrap()]).unwrap()
}

/// A line with a chunk of text.
fn chunk(session: &str, text: &[u8]) -> Vec<u8> {
    let mut line = format!("{{\"event\":\"session\",\"session_id\":\"{session}\",\"data\":{{\"type\":\"stream\",\"data\":{{\"model\":\"m\",\"prompt_messages\":[],\"system_fingerprint\":null,\"delta\":{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"").into_bytes();
    line.extend_from_slice(text);
    line.extend_from_slice(b"\",\"name\":null,\"tool_calls\":[]},\"usage\":null,\"finish_reason\":null}}}}\n");
    line
}

/// A line with any result.
fn item(session: &str, data: &[u8]) -> Vec<u8> {
    let head = format!("{{\"event\":\"session\",\"session_id\":\"{session}\",\"data\":{{\"type\":\"stream\",\"data\":");
    [head.as_bytes(), data, b"}}\n"].concat()
}

fn end(session: &str) -> Vec<u8> {
    format!("{{\"event\":\"session\",\"session_id\":\"{session}\",\"data\":{{\"type\":\"end\",\"data\":{{}}}}}}\n")
        .into_bytes()
}

/// Responds itself with the upstream's response.
async fn echo(line: Vec<u8>, sender: mpsc::Sender<Vec<u8>>) {
    let session = after(&line, "\"session_id\":\"").to_owned();
    let mut numbers = after(&line, "\"model\":\"chunks-").split('-').map(|number| number.parse::<usize>().unwrap());
    let (mut left, pause) = (numbers.next().unwrap(), numbers.next().unwrap());
    drop(line);
    while left > 0 {
        let now = if pause == 0 { left.min(200) } else { 1 };
        let _ = sender.send(chunk(&session, b"twenty characters !! ").repeat(now)).await;
        left -= now;
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause as u64)).await;
        }
    }
    let _ = sender.send(end(&session)).await;
}

async fn relay(line: Vec<u8>, sender: mpsc::Sender<Vec<u8>>) {
    let session = after(&line, "\"session_id\":\"").to_owned();
    let address = after(&line, "\"endpoint_url\":\"http://").trim_end_matches("/v1").to_owned();
    let embeds = memchr::memmem::find(&line, b"\"invoke_text_embedding\"").is_some();
    let mut socket = TcpStream::connect(&address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let path = if embeds { "embeddings" } else { "chat/completions" };
    let head = format!("POST /v1/{path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n", line.len());
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&line).await.unwrap();
    drop(line);
    if embeds {
        let body = document(&mut socket).await;
        let _ = sender.send([item(&session, &body), end(&session)].concat()).await;
        return;
    }
    let (mut held, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let count = socket.read(&mut buffer).await.unwrap();
        held.extend_from_slice(&buffer[..count]);
        let (mut out, mut used, mut done) = (Vec::new(), 0, count == 0);
        while let Some(end) = memchr::memchr(b'\n', &held[used..]) {
            let event = &held[used..used + end];
            used += end + 1;
            done |= event.starts_with(b"data: [DONE]");
            if let Some(at) = memchr::memmem::find(event, b"\"content\":\"") {
                let text = &event[at + 11..];
                let text = &text[..memchr::memchr(b'"', text).unwrap()];
                out.extend_from_slice(&chunk(&session, text));
            }
        }
        held.drain(..used);
        if done {
            out.extend_from_slice(&end(&session));
        }
        if !out.is_empty() {
            let _ = sender.send(out).await;
        }
        if done {
            return;
        }
    }
}

/// The body of an answer with a length.
async fn document(socket: &mut TcpStream) -> Vec<u8> {
    let mut held = Vec::new();
    loop {
        socket.read_buf(&mut held).await.unwrap();
        let Some(head) = memchr::memmem::find(&held, b"\r\n\r\n") else { continue };
        let head_text = String::from_utf8_lossy(&held[..head]).into_owned();
        let length: usize =
            head_text.rsplit("content-length: ").next().unwrap().lines().next().unwrap().parse().unwrap();
        if held.len() >= head + 4 + length {
            return held.split_off(head + 4);
        }
    }
}
