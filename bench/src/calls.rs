//! Dify's side of a call back: a language model that streams [`CHUNKS`] chunks at once, whatever it is asked.

use std::fmt::Write;

use crate::driver::text_after;

/// Chunks of each response.
pub const CHUNKS: usize = 50;

/// The lines that answer an `invoke` line of a session; none for any other line.
pub fn answer(line: &[u8], session: &str) -> Option<Vec<u8>> {
    memchr::memmem::find(line, b"\"invoke\"")?;
    let call = text_after(line, b"\"backwards_request_id\":")?;
    let head = format!(
        "{{\"session_id\":\"{session}\",\"event\":\"backwards_response\",\"data\":{{\"backwards_request_id\":\"{call}\","
    );
    let mut lines = String::new();
    for index in 0..CHUNKS {
        let _ = writeln!(
            lines,
            "{head}\"event\":\"response\",\"message\":\"stream\",\"data\":{{\"model\":\"m\",\"prompt_messages\":[],\
             \"system_fingerprint\":\"\",\"delta\":{{\"index\":{index},\"message\":{{\"role\":\"assistant\",\"content\":\"word \",\
             \"name\":\"\",\"tool_calls\":[]}},\"usage\":null,\"finish_reason\":null}}}}}}}}"
        );
    }
    let _ = writeln!(lines, "{head}\"event\":\"end\",\"message\":\"\",\"data\":null}}}}");
    Some(lines.into_bytes())
}
