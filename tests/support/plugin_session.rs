//! A plugin of any kind in this process, over a connection in memory, and sessions with it: a request, and every line of
//! its response.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::Duration;

use dify_plugin::plugin::Plugin;
use dify_plugin::runtime::{Connection, Registry, ServeOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(120);

/// The response of a session.
#[derive(Debug, Default)]
pub struct Session {
    /// Result items.
    pub items: Vec<Value>,
    /// The error, with `error_type` and `message`.
    pub error: Option<Value>,
    /// Whether the end came, after everything else.
    pub ended: bool,
}

impl Session {
    /// The one item of a session that went well.
    pub fn one(self) -> Value {
        assert!(self.error.is_none() && self.items.len() == 1, "{self:?}");
        self.items.into_iter().next().unwrap()
    }

    /// Type and text of the error.
    pub fn failure(&self) -> (&str, &str) {
        let error = self.error.as_ref().unwrap_or_else(|| panic!("no error: {self:?}"));
        (error["error_type"].as_str().unwrap(), error["message"].as_str().unwrap())
    }
}

/// A connection to a plugin.
pub struct PluginSession {
    _connection: Connection,
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
    next: usize,
}

impl PluginSession {
    pub fn connect(plugin: Plugin) -> Self {
        Self::connect_with(plugin, ServeOptions::default())
    }

    pub fn connect_with(plugin: Plugin, options: ServeOptions) -> Self {
        Self::connect_to(Registry::new(Vec::new(), Vec::new()).unwrap().with_plugin(plugin), options)
    }

    pub fn connect_to(registry: Registry, options: ServeOptions) -> Self {
        let (ours, daemon) = tokio::io::duplex(64 * 1024);
        let opened =
            Connection::open(move || Ok(tokio::io::split(ours)), Arc::new(registry), options, Box::new(|_| ()));
        let (reader, writer) = tokio::io::split(daemon);
        Self { _connection: opened.unwrap(), lines: BufReader::new(reader).lines(), writer, next: 0 }
    }

    /// Sends a request and reads its response.
    pub async fn request(&mut self, access_type: &str, action: &str, fields: Value) -> Session {
        self.request_from(access_type, action, fields, json!({})).await
    }

    /// The same with fields of the envelope.
    pub async fn request_from(&mut self, access_type: &str, action: &str, fields: Value, origin: Value) -> Session {
        self.next += 1;
        let session_id = format!("session-{}", self.next);
        let mut data = json!({"user_id": "user", "type": access_type, "action": action});
        data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let mut line = json!({"session_id": session_id, "event": "request", "data": data});
        line.as_object_mut().unwrap().extend(origin.as_object().unwrap().clone());
        self.writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let mut session = Session::default();
        while !session.ended {
            let line = timeout(TIMEOUT, self.lines.next_line()).await.expect("no line in time").unwrap().unwrap();
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["event"] == "heartbeat" {
                continue;
            }
            assert_eq!((&line["event"], &line["session_id"]), (&json!("session"), &json!(session_id)));
            let data = line["data"]["data"].clone();
            match line["data"]["type"].as_str().unwrap() {
                "stream" => session.items.push(data),
                "error" => session.error = Some(data),
                "end" => session.ended = true,
                other => panic!("unexpected message {other}"),
            }
        }
        session
    }
}
