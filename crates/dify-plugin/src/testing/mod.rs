//! Tests of plugins: a [`Host`] plays Dify in the process of the test.
//!
//! It serves the plugin as production does, frames and sessions included, behind a pipe in memory. Every call of Dify is one
//! method; calls back into Dify are answered by closures; and what Dify would reject or drop fails the call with a text that
//! says so.
//!
//! ```
//! use dify_plugin::plugin::{Call, Messages, Plugin, PluginError, Tool, ToolProvider, Tools};
//! use dify_plugin::protocol::backwards::ModelConfig;
//! use dify_plugin::testing::{Answer, Host};
//! # struct Weather;
//! # impl ToolProvider for Weather {
//! #     const NAME: &'static str = "weather";
//! #     fn tools(&self) -> Tools {
//! #         Tools::new().tool(Forecast)
//! #     }
//! # }
//! # struct Forecast;
//! # #[derive(serde::Deserialize, dify_plugin::schemars::JsonSchema)]
//! # #[schemars(crate = "dify_plugin::schemars")]
//! # struct Parameters {
//! #     place: String,
//! # }
//! # impl Tool for Forecast {
//! #     const NAME: &'static str = "forecast";
//! #     type Parameters = Parameters;
//! #     async fn invoke(&self, call: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
//! #         let model = ModelConfig::new("acme/models/acme", "acme-1");
//! #         let answer = call.dify.llm(&model).user(format!("The weather in {}?", parameters.place)).whole().await?;
//! #         out.text(answer.text()).await
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let host = Host::new(Plugin::new().tool_provider(Weather)).on_llm(|call| {
//!     assert_eq!(call.prompt(), "The weather in Riga?");
//!     Answer::text("Sunny")
//! });
//! let outputs = host.tool("forecast").parameter("place", "Riga").await.unwrap();
//! assert_eq!(outputs.text(), "Sunny");
//!
//! let failure = host.tool("forecast").await.unwrap_err();
//! assert_eq!(failure.kind, "ValueError");
//! # }
//! ```
//!
//! # Time
//!
//! On a runtime of one thread, the default of `#[tokio::test]`, the plugin runs on the runtime of the test. With
//! `#[tokio::test(start_paused = true)]` time is virtual: a plugin that waits for an hour has waited, the limit of 240 s for
//! calls back and the limit of 600 s for sessions are reached at once, and nothing in a test depends on the machine's speed.
//! A plugin that talks to real servers needs real time.
//!
//! # Faults
//!
//! A host has no faults of its own but Dify's limits. [`Host::slow_reader`], [`Host::endpoint_race`], [`Host::deny`],
//! [`Host::max_line_bytes`] and [`Host::disconnect`] switch on what goes wrong in production, and an [`Answer`] can be late,
//! incomplete, repeated or for another call.

use serde_json::{Map, Value, json};

mod answer;
mod backwards;
mod calls;
mod failure;
mod host;
mod invocation;
mod outputs;
mod own_tools;
mod results;
mod rules;
mod session;
mod storage;
mod uploads;
mod wire;

pub use answer::{Answer, CallBack};
pub use failure::Failure;
pub use host::Host;
pub use invocation::Invocation;
pub use outputs::{AgentOutputs, OutputFile, Outputs};
pub use results::{Crawled, Dispatched, ModelOutputs};
pub use session::Session;
pub use wire::Wire;

pub use crate::runtime::ServeOptions;

/// A request as the daemon writes it; `origin` are the members that say where it comes from.
fn envelope(session_id: &str, origin: &Map<String, Value>, data: Value) -> Value {
    let mut line = json!({"session_id": session_id, "conversation_id": null, "message_id": null, "app_id": null,
        "endpoint_id": null, "context": null, "event": "request", "data": data});
    for (name, value) in origin {
        line[name] = value.clone();
    }
    line
}
