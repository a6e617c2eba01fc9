//! The floor: reads request lines, opens a raw connection for each, and copies the text of each event into a line.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

pub fn run() {
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
            tokio::spawn(relay(std::mem::take(&mut line), sender.clone()));
        }
    });
}

fn after<'a>(line: &'a [u8], key: &str) -> &'a str {
    let at = memchr::memmem::find(line, key.as_bytes()).unwrap() + key.len();
    std::str::from_utf8(&line[at..at + memchr::memchr(b'"', &line[at..]).unwrap()]).unwrap()
}

async fn relay(line: Vec<u8>, sender: mpsc::Sender<Vec<u8>>) {
    let session = after(&line, "\"session_id\":\"").to_owned();
    let address = after(&line, "\"endpoint_url\":\"http://").trim_end_matches("/v1").to_owned();
    let mut socket = TcpStream::connect(&address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let head =
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n", line.len());
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&line).await.unwrap();
    drop(line);
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
                out.extend_from_slice(b"{\"event\":\"session\",\"session_id\":\"");
                out.extend_from_slice(session.as_bytes());
                out.extend_from_slice(b"\",\"data\":{\"type\":\"stream\",\"data\":{\"model\":\"m\",\"prompt_messages\":[],\"system_fingerprint\":null,\"delta\":{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
                out.extend_from_slice(text);
                out.extend_from_slice(
                    b"\",\"name\":null,\"tool_calls\":[]},\"usage\":null,\"finish_reason\":null}}}}\n",
                );
            }
        }
        held.drain(..used);
        if done {
            out.extend_from_slice(format!("{{\"event\":\"session\",\"session_id\":\"{session}\",\"data\":{{\"type\":\"end\",\"data\":{{}}}}}}\n").as_bytes());
        }
        if !out.is_empty() {
            let _ = sender.send(out).await;
        }
        if done {
            return;
        }
    }
}
