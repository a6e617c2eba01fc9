//! A mock upstream on loopback: OpenAI-compatible event streams, with the number of chunks and the delay in the model's name,
//! and vectors.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Starts it on threads of its own and gives the base URL.
pub fn start() -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async move {
            // Thousands of connections arrive at once; one that is dropped would be repeated only after a second.
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let listener = socket.listen(65_535).unwrap();
            sender.send(format!("http://{}/v1", listener.local_addr().unwrap())).unwrap();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(socket));
            }
        });
    });
    receiver.recv().unwrap()
}

/// Answers requests on one connection until the peer closes it.
async fn serve(mut socket: TcpStream) {
    socket.set_nodelay(true).unwrap();
    let mut held = Vec::new();
    loop {
        let Some((body, length)) = request(&mut socket, &mut held).await else { return };
        let embeds = held.starts_with(b"POST /v1/embeddings");
        let asked = &held[body..body + length];
        let sent = if embeds {
            let texts = memchr::memmem::find_iter(asked, crate::driver::TEXT).count();
            vectors(&mut socket, texts).await
        } else {
            let (chunks, pause) = wanted(asked);
            answer(&mut socket, chunks, pause).await
        };
        if sent.is_err() {
            return;
        }
        held.drain(..body + length);
    }
}

/// Reads one request: where its body begins and how long it is.
async fn request(socket: &mut TcpStream, held: &mut Vec<u8>) -> Option<(usize, usize)> {
    loop {
        if let Some(end) = memchr::memmem::find(held, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
            if held.len() >= end + 4 + length {
                return Some((end + 4, length));
            }
            held.reserve(end + 4 + length - held.len());
        }
        if socket.read_buf(held).await.ok()? == 0 {
            return None;
        }
    }
}

/// `chunks-N-P` in the body: N chunks, P ms apart.
fn wanted(body: &[u8]) -> (usize, u64) {
    let at = memchr::memmem::find(body, b"chunks-").map_or(0, |at| at + 7);
    let text: String = body[at..].iter().take(20).map(|byte| *byte as char).collect();
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit()).map(str::parse::<u64>);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    (next() as usize, next())
}

const CHUNK: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"twenty characters !! \"},\"finish_reason\":null}]}\n\n";
const LAST: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\ndata: [DONE]\n\n";

async fn answer(socket: &mut TcpStream, chunks: usize, pause: u64) -> std::io::Result<()> {
    socket
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    let mut left = chunks;
    while left > 0 {
        let now = if pause == 0 { left.min(200) } else { 1 };
        piece(socket, &CHUNK.repeat(now)).await?;
        left -= now;
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
    piece(socket, LAST).await?;
    socket.write_all(b"0\r\n\r\n").await
}

/// Numbers of one vector.
const DIMENSIONS: usize = 256;

/// One vector per text.
async fn vectors(socket: &mut TcpStream, texts: usize) -> std::io::Result<()> {
    let vector = vec!["-0.012345678"; DIMENSIONS].join(",");
    let data: Vec<String> = (0..texts)
        .map(|index| format!("{{\"object\":\"embedding\",\"index\":{index},\"embedding\":[{vector}]}}"))
        .collect();
    let body = format!(
        "{{\"object\":\"list\",\"model\":\"m\",\"data\":[{}],\"usage\":{{\"prompt_tokens\":{texts},\"total_tokens\":{texts}}}}}",
        data.join(",")
    );
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body.as_bytes()).await
}

async fn piece(socket: &mut TcpStream, text: &str) -> std::io::Result<()> {
    socket.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await
}
