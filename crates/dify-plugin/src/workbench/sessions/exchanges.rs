//! The exchanges of one session with upstreams, in the form of the page: those that go on, and those that have ended. A page that
//! reads again gets what has changed since, so that a long exchange costs its length and no more.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::opened;
use crate::upstream::recording::Step;

/// What an exchange takes beside its bodies and chunks, in bytes.
const HEAD_BYTES: usize = 4096;

/// What a chunk takes, in bytes.
const CHUNK_BYTES: usize = 64;

/// The exchanges, in the order in which they began.
#[derive(Default)]
pub(super) struct Exchanges {
    rows: Vec<Row>,
    /// The row of each exchange that goes on, by its number.
    open: HashMap<u32, usize>,
    /// Counts the changes.
    version: u64,
    bytes: usize,
    /// How many did not fit.
    dropped: usize,
}

struct Row {
    value: Value,
    bytes: usize,
    /// The change that it was replaced with.
    replaced: u64,
    /// The change that each of its chunks came with.
    grown: Vec<u64>,
}

impl Exchanges {
    /// Takes a step of an exchange that began `at` milliseconds after its session. `shown` removes what is secret, `room` is the most
    /// that all exchanges may take in bytes.
    pub(super) fn take(
        &mut self,
        number: u32,
        step: Step,
        at: f64,
        id: &str,
        room: usize,
        shown: impl Fn(Value) -> Value,
    ) {
        match step {
            Step::Begun(exchange) => {
                let id = format!("{id}-{}", self.rows.len() + self.dropped + 1);
                let mut value = opened::exchange(&shown(exchange), at, &id);
                value["open"] = true.into();
                if self.add(value, room) {
                    self.open.insert(number, self.rows.len() - 1);
                }
            }
            Step::Responded(head) => {
                let Some(row) = self.open_row(number) else { return };
                let mut value = row.value.take();
                opened::add_response(&mut value, &shown(head), at);
                self.replace(number, value, room);
            }
            Step::Chunk { at_ms, bytes } => self.grow(number, at + at_ms as f64, bytes, room),
            Step::Ended { exchange, length: (length, is_whole) } => {
                let Some(row) = self.open_row(number) else { return };
                let id = row.value["id"].as_str().unwrap_or_default().to_owned();
                let mut value = opened::exchange(&shown(exchange), at, &id);
                if let Some(response) = value.get_mut("response").filter(|response| response.is_object()) {
                    response["bytes"] = length.into();
                    response["truncated"] = (!is_whole).into();
                }
                self.replace(number, value, room);
                self.open.remove(&number);
            }
        }
    }

    /// Adds an exchange in the form of the page, if there is room.
    pub(super) fn add(&mut self, value: Value, room: usize) -> bool {
        let bytes = size(&value);
        if self.bytes + bytes > room {
            self.dropped += 1;
            return false;
        }
        self.bytes += bytes;
        self.version += 1;
        let grown = vec![self.version; chunks(&value).len()];
        self.rows.push(Row { value, bytes, replaced: self.version, grown });
        true
    }

    /// Size of what is kept, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many did not fit.
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    /// All of them.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.rows.iter().map(|row| &row.value)
    }

    /// Number of the last change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// What came after a change: exchanges that are new or were replaced, and the new chunks of the others.
    pub(super) fn since(&self, version: u64) -> (Vec<Value>, Vec<Value>) {
        let replaced = self.rows.iter().filter(|row| row.replaced > version).map(|row| row.value.clone()).collect();
        let grown = self.rows.iter().filter(|row| row.replaced <= version).filter_map(|row| {
            let known = row.grown.partition_point(|change| *change <= version);
            let new = chunks(&row.value).get(known..).filter(|new| !new.is_empty())?;
            Some(json!({"id": row.value["id"], "bytes": row.value["response"]["bytes"], "chunks": new}))
        });
        (replaced, grown.collect())
    }

    fn open_row(&mut self, number: u32) -> Option<&mut Row> {
        self.open.get(&number).map(|index| &mut self.rows[*index])
    }

    fn grow(&mut self, number: u32, at: f64, length: usize, room: usize) {
        let has_room = self.bytes + CHUNK_BYTES <= room;
        let version = self.version + 1;
        let Some(row) = self.open_row(number).filter(|_| has_room) else { return };
        let Some(response) = row.value.get_mut("response").filter(|response| response.is_object()) else { return };
        response["bytes"] = (response["bytes"].as_u64().unwrap_or_default() + length as u64).into();
        if let Some(Value::Array(chunks)) = response.get_mut("chunks") {
            chunks.push(json!([at, length]));
            row.grown.push(version);
            row.bytes += CHUNK_BYTES;
            self.bytes += CHUNK_BYTES;
            self.version = version;
        }
    }

    /// Replaces an exchange that goes on. Where there is no room for its bodies, its head is kept.
    fn replace(&mut self, number: u32, mut value: Value, room: usize) {
        let (others, version) = (self.bytes, self.version + 1);
        let Some(row) = self.open_row(number) else { return };
        let others = others - row.bytes;
        if others + size(&value) > room {
            for part in ["request", "response"] {
                if let Some(message) = value.get_mut(part).filter(|message| message.is_object()) {
                    (message["body"], message["truncated"]) = ("".into(), true.into());
                }
            }
            value["response"]
                .as_object_mut()
                .into_iter()
                .for_each(|response| drop(response.insert("chunks".to_owned(), json!([]))));
        }
        row.bytes = size(&value);
        row.grown = vec![version; chunks(&value).len()];
        (row.value, row.replaced) = (value, version);
        self.bytes = others + row.bytes;
        self.version = version;
    }
}

fn chunks(value: &Value) -> &[Value] {
    value["response"]["chunks"].as_array().map_or(&[], Vec::as_slice)
}

/// What an exchange takes, in bytes.
fn size(value: &Value) -> usize {
    let body = |part: &str| value[part]["body"].as_str().map_or(0, str::len);
    body("request") + body("response") + chunks(value).len() * CHUNK_BYTES + HEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 16 * 1024 * 1024;

    fn head() -> Value {
        json!({"connection": {"reused": false, "began_ms": 0.5, "open_ms": 1.5},
            "response": {"after_ms": 3, "status": 200, "headers": {}, "chunks": [], "end": "not_consumed"}})
    }

    fn begun(number: u32, exchanges: &mut Exchanges) {
        let request = json!({"request": {"method": "POST", "url": "http://h/", "headers": {}, "body": {"text": "hi"}}});
        exchanges.take(number, Step::Begun(request), 10.0, "s", ROOM, |value| value);
    }

    fn chunk(at_ms: u64) -> Step {
        Step::Chunk { at_ms, bytes: 7 }
    }

    fn ended(count: u64) -> Step {
        let mut exchange = head();
        let chunks: Vec<Value> = (0..count).map(|at| json!({"at_ms": at, "text": "1234567"})).collect();
        exchange["response"]["chunks"] = chunks.into();
        exchange["request"] = json!({"method": "POST", "url": "http://h/", "headers": {}, "body": {"text": "hi"}});
        Step::Ended { exchange, length: (count as usize * 7, true) }
    }

    #[test]
    fn an_exchange_grows_from_its_request_to_its_end() {
        let mut exchanges = Exchanges::default();
        let mut seen = 0;
        let mut next = |exchanges: &Exchanges| {
            let found = exchanges.since(seen);
            seen = exchanges.version();
            found
        };
        begun(1, &mut exchanges);
        let (replaced, _) = next(&exchanges);
        assert_eq!(
            (&replaced[0]["id"], &replaced[0]["open"], &replaced[0]["response"]),
            (&json!("s-1"), &json!(true), &Value::Null)
        );
        assert_eq!(replaced[0]["request"]["body"], "hi");
        exchanges.take(1, Step::Responded(head()), 10.0, "s", ROOM, |value| value);
        let (replaced, _) = next(&exchanges);
        assert_eq!((&replaced[0]["status"], &replaced[0]["open"]), (&json!(200), &json!(true)));
        assert_eq!(
            replaced[0]["phases"],
            json!({"queued": 10.5, "connected": 11.5, "first_byte": 13.0, "ended": null})
        );
        for at in [4, 5] {
            exchanges.take(1, chunk(at), 10.0, "s", ROOM, |value| value);
        }
        assert_eq!(
            next(&exchanges),
            (vec![], vec![json!({"id": "s-1", "bytes": 14, "chunks": [[14.0, 7], [15.0, 7]]})])
        );
        assert_eq!(next(&exchanges), (vec![], vec![]));
        exchanges.take(1, ended(2), 10.0, "s", ROOM, |value| value);
        let (replaced, grown) = next(&exchanges);
        assert_eq!((&replaced[0]["open"], &replaced[0]["response"]["body"]), (&Value::Null, &json!("12345671234567")));
        assert_eq!(grown, Vec::<Value>::new());
        // A step of an exchange that is over, or never began, changes nothing.
        for number in [1, 9] {
            exchanges.take(number, chunk(9), 10.0, "s", ROOM, |value| value);
        }
        assert_eq!(next(&exchanges), (vec![], vec![]));
    }

    #[test]
    fn reading_again_and_again_costs_the_length() {
        const CHUNKS: u64 = 10_000;
        let mut exchanges = Exchanges::default();
        begun(1, &mut exchanges);
        exchanges.take(1, Step::Responded(head()), 10.0, "s", ROOM, |value| value);
        let (mut seen, mut read, mut count) = (0, 0, 0);
        for at in 0..CHUNKS {
            exchanges.take(1, chunk(at), 10.0, "s", ROOM, |value| value);
            let (replaced, grown) = exchanges.since(seen);
            seen = exchanges.version();
            count += grown.iter().map(|one| one["chunks"].as_array().unwrap().len()).sum::<usize>();
            count += replaced.iter().map(|one| chunks(one).len()).sum::<usize>();
            read += json!([replaced, grown]).to_string().len();
        }
        assert_eq!(count as u64, CHUNKS, "each chunk is read once");
        let whole = json!(exchanges.values().collect::<Vec<_>>()).to_string().len();
        assert!(read < whole * 8, "{read} bytes for {whole}");
    }

    #[test]
    fn a_session_keeps_no_more_than_its_room() {
        let mut exchanges = Exchanges::default();
        let room = 2 * HEAD_BYTES + 10 * CHUNK_BYTES;
        let request = || Step::Begun(json!({"request": {"method": "GET", "url": "http://h/", "headers": {}}}));
        for number in 1..=3 {
            exchanges.take(number, request(), 0.0, "s", room, |value| value);
        }
        assert_eq!((exchanges.values().count(), exchanges.dropped()), (2, 1));
        exchanges.take(1, Step::Responded(head()), 0.0, "s", room, |value| value);
        for at in 0..100 {
            exchanges.take(1, chunk(at), 0.0, "s", room, |value| value);
        }
        assert!(exchanges.bytes() <= room);
        assert_eq!(chunks(&exchanges.rows[0].value).len(), 10);
        exchanges.take(1, ended(1000), 0.0, "s", room, |value| value);
        let response = &exchanges.rows[0].value["response"];
        assert_eq!(
            (&response["truncated"], &response["bytes"], &response["chunks"]),
            (&json!(true), &json!(7000), &json!([]))
        );
        assert!(exchanges.bytes() <= room);
    }
}
