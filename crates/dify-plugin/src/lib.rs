//! Write plugins for [Dify](https://dify.ai) in Rust: one static executable where Dify's plugin daemon would start a Python
//! process.
//!
//! # A plugin
//!
//! A plugin is a directory with YAML declarations (what Dify shows) and an executable (what it does). The `main` function of
//! the executable hands its code to [`Plugin::run`](plugin::Plugin::run), which owns the process from there on:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use dify_plugin::plugin::{Call, Messages, Plugin, PluginError, Tool, ToolProvider, Tools};
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! /// Serves `provider/weather.yaml`.
//! struct Weather;
//!
//! impl ToolProvider for Weather {
//!     const NAME: &'static str = "weather";
//!
//!     fn tools(&self) -> Tools {
//!         Tools::new().tool(Forecast)
//!     }
//!
//!     async fn validate(&self, _: Call) -> Result<(), PluginError> {
//!         Ok(())
//!     }
//! }
//!
//! /// Serves `tools/forecast.yaml`.
//! struct Forecast;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Parameters {
//!     /// The place whose weather is shown.
//!     place: String,
//! }
//!
//! impl Tool for Forecast {
//!     const NAME: &'static str = "forecast";
//!     type Parameters = Parameters;
//!
//!     async fn invoke(&self, _: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
//!         out.text(format!("Sunny in {}", parameters.place)).await
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     Plugin::new().tool_provider(Weather).run()
//! }
//! ```
//!
//! `declare` writes the declarations that the code needs and keeps the texts of existing ones ([how](plugin#parameters)), `check`
//! finds their problems, `try forecast --param place=Riga` calls the tool without Dify, `debug` connects it to a running Dify,
//! and `package` builds what Dify installs. A model provider implements [`model::Provider`] instead.
//! A guide for each kind of plugin is in the directory `docs` of the repository; `docs/write-a-plugin.md` is the first.
//!
//! Without arguments the executable serves the plugin of the current directory, by the transport that `INSTALL_METHOD` names:
//! standard input and output for the plugin daemon, TCP for remote debugging, HTTP for serverless runtimes. With arguments it
//! is the author's tool: `declare`, `check`, `try`, `invoke`, `debug`, `doctor`, `package`, `keygen`, `sign`, `verify`,
//! `inspect`.
//!
//! Standard output belongs to the protocol while the plugin is served. What the plugin, its libraries or its child processes
//! print goes to standard error and so into the log ([`transport::stdio::Output`]).
//!
//! # Modules
//!
//! Data flows in one direction: bytes → frame → typed request → dispatcher → code of the plugin → typed chunk → frame → bytes.
//! From the ground up:
//!
//! 0. [`error`], [`protocol`]: the types of the plugin protocol, without I/O. [`steps`]: counters for tests.
//! 1. [`codec`], [`declare`]: byte streams and declaration files.
//! 2. [`upstream`], [`transport`]: the HTTP client, and the connections to the plugin daemon. [`config`]: settings.
//! 3. [`model`]: what a model provider implements. [`plugin`]: the API for plugin authors.
//! 4. [`runtime`]: sessions and dispatch, where transports and providers meet. [`package`]: what Dify installs.
//! 5. [`cli`]: the command line; [`purge`]: returns unused memory of an idle process to the system. With the feature `testing`,
//!    `testing`: Dify in process, for tests of a plugin.

#[cfg_attr(not(feature = "package"), allow(dead_code, reason = "packages use the rest"))]
mod atomic_file;
pub mod cli;
pub mod codec;
pub mod config;
mod daemon;
pub mod declare;
pub mod error;
pub mod model;
#[cfg(feature = "package")]
pub mod package;
pub mod plugin;
pub mod prelude;
pub mod protocol;
pub mod purge;
pub mod runtime;
pub mod steps;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;
#[cfg_attr(not(feature = "client"), path = "upstream/without_client.rs")]
pub mod upstream;

// Types of these crates are in the public API: authors use the same versions.
pub use {bytes, http, schemars, serde_json};
