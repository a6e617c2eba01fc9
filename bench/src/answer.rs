//! The floor of the kinds beside models: reads requests, parses nothing but the ID of the session, and answers each at once
//! with a text and an end, on one thread.

use std::io::{Read, Write};

use crate::driver::text_after;

pub fn run() {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    output.write_all(b"{\"event\":\"heartbeat\"}\n").unwrap();
    output.flush().unwrap();
    let (mut buffer, mut held, mut lines) = (vec![0; 64 * 1024], Vec::new(), Vec::new());
    loop {
        match input.read(&mut buffer).unwrap() {
            0 => return,
            count => held.extend_from_slice(&buffer[..count]),
        }
        let whole = memchr::memrchr(b'\n', &held).map_or(0, |end| end + 1);
        for line in held[..whole].split_inclusive(|byte| *byte == b'\n') {
            let session = text_after(line, b"\"session_id\":").unwrap();
            write!(lines, "{{\"event\":\"session\",\"session_id\":\"{session}\",\"data\":{{\"type\":\"stream\",\"data\":{{\"type\":\"text\",\"message\":{{\"text\":\"Hello, Ada\"}},\"meta\":null}}}}}}\n{{\"event\":\"session\",\"session_id\":\"{session}\",\"data\":{{\"type\":\"end\",\"data\":{{}}}}}}\n").unwrap();
        }
        held.drain(..whole);
        output.write_all(&lines).unwrap();
        output.flush().unwrap();
        lines.clear();
    }
}
