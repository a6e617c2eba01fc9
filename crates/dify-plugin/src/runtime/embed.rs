//! Serves a plugin over any byte streams: for tests, and for programs that contain a plugin. It has no command line, reads
//! no settings and no declarations, and leaves standard output alone.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::registry::Registry;
use super::serve::{ServeOptions, serve_io};
use crate::plugin::Plugin;

impl Plugin {
    /// Serves the plugin over a reader and a writer, with the protocol that [`run`](Self::run) speaks over standard input
    /// and output, until the reader ends and the open sessions are finished. Dropping the future drops the sessions.
    ///
    /// Parameters arrive as the other side sends them: what the declarations say of their types is not applied.
    ///
    /// ```
    /// use dify_plugin::prelude::*;
    /// use dify_plugin::serde_json::{Value, json};
    /// use schemars::JsonSchema;
    /// use serde::Deserialize;
    /// use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    ///
    /// struct Weather;
    ///
    /// impl ToolProvider for Weather {
    ///     const NAME: &'static str = "weather";
    ///
    ///     fn tools(&self) -> Tools {
    ///         Tools::new().tool(Forecast)
    ///     }
    /// }
    ///
    /// struct Forecast;
    ///
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Parameters {
    ///     place: String,
    /// }
    ///
    /// impl Tool for Forecast {
    ///     const NAME: &'static str = "forecast";
    ///     type Parameters = Parameters;
    ///
    ///     async fn invoke(&self, _: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
    ///         out.text(format!("Sunny in {}", parameters.place)).await
    ///     }
    /// }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> std::io::Result<()> {
    /// let (mut requests, reader) = tokio::io::duplex(64 * 1024);
    /// let (responses, writer) = tokio::io::duplex(64 * 1024);
    /// let plugin = tokio::spawn(Plugin::new().tool_provider(Weather).serve(reader, writer));
    ///
    /// let request = json!({"session_id": "1", "event": "request", "data": {
    ///     "type": "tool", "action": "invoke_tool", "user_id": "u", "provider": "weather", "tool": "forecast",
    ///     "credentials": {}, "tool_parameters": {"place": "Riga"},
    /// }});
    /// requests.write_all(format!("{request}\n").as_bytes()).await?;
    /// drop(requests);
    ///
    /// let (mut lines, mut texts) = (BufReader::new(responses).lines(), Vec::new());
    /// while let Some(line) = lines.next_line().await? {
    ///     let line: Value = serde_json::from_str(&line)?;
    ///     texts.extend(line["data"]["data"]["message"]["text"].as_str().map(str::to_owned));
    /// }
    /// assert_eq!(texts, ["Sunny in Riga"]);
    /// plugin.await?
    /// # }
    /// ```
    pub async fn serve<R, W>(self, reader: R, writer: W) -> io::Result<()>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        serve_io(reader, writer, Arc::new(Registry::default().with_plugin(self)), ServeOptions::default()).await
    }
}
