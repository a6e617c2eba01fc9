//! Write plugins for [Dify](https://dify.ai) in Rust: one static executable where Dify's plugin daemon would start a Python
//! process.
//!
//! This page goes from nothing to a packaged tool. Guides for every kind of plugin are in the directory `docs` of the
//! repository; `docs/write-a-plugin.md` is the first.
//!
//! # Start
//!
//! The quick start is a generated crate that builds, passes its tests and responds at the terminal:
//!
//! ```console
//! $ dify-plugin-runtime new weather --kind tool
//! $ cd weather
//! $ cargo run -- try forecast --param place=Riga
//! ```
//!
//! By hand, a plugin is a crate with this in its `Cargo.toml`:
//!
//! ```toml
//! [dependencies]
//! dify-plugin = "0.1"
//! schemars = "1"
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! # The code
//!
//! A tool is a type that implements [`Tool`](plugin::Tool). Its parameters are a struct: a field is a parameter, `Option` is an
//! optional one, an enum is a selection, and the comments are the descriptions that the model reads. The tools of a plugin
//! belong to a [`ToolProvider`](plugin::ToolProvider), and [`Plugin::run`](plugin::Plugin::run) owns the process from there on:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use dify_plugin::prelude::*;
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
//! [`Call`](plugin::Call) is who calls and with which credentials, [`Messages`](plugin::Messages) sends what the tool returns
//! (text, JSON, files, variables), and [`PluginError`](plugin::PluginError) is what the user reads when it fails. `call.dify`
//! calls Dify back: models, other tools, apps, storage ([`plugin::dify`]).
//!
//! # The declarations
//!
//! What Dify shows is in YAML files beside the code: `manifest.yaml`, `provider/weather.yaml`, `tools/forecast.yaml`. The code
//! decides the parameters, and the files keep the words and their translations:
//!
//! ```console
//! $ cargo run -- declare                                # writes or updates the YAML files from the code; texts stay
//! $ cargo run -- check                                  # problems that Dify would have with the files, by line
//! $ cargo run -- try forecast --param place=Riga        # calls the tool without Dify
//! $ cargo run -- debug --url HOST:PORT --key KEY        # connects it to a running Dify
//! $ cargo run -- package                                # builds the .difypkg that Dify installs
//! ```
//!
//! Which Rust type becomes which parameter is described with the [parameters](plugin#parameters). `package` needs executables
//! for Linux, see `docs/packaging.md`. Without arguments the executable serves the plugin of the current directory, by the
//! transport that `INSTALL_METHOD` names: standard input and output for the plugin daemon, TCP for remote debugging, HTTP for
//! serverless runtimes. What the plugin, its libraries or its child processes print while it is served goes to the log.
//!
//! # Tests
//!
//! With the feature `testing`, a `Host` plays Dify in the process of the test, and answers calls back from closures
//! (`docs/test-a-plugin.md`). [`Plugin::serve`](plugin::Plugin::serve) speaks the protocol over any reader and writer.
//!
//! # Other kinds
//!
//! | Kind | Traits |
//! |---|---|
//! | Tools | [`Tool`](plugin::Tool), [`ToolProvider`](plugin::ToolProvider) |
//! | HTTP endpoints | [`Endpoint`](plugin::Endpoint) |
//! | Agent strategies | [`AgentStrategy`](plugin::AgentStrategy) |
//! | Datasources | [`DatasourceProvider`](plugin::DatasourceProvider) with [`WebsiteCrawl`](plugin::WebsiteCrawl), [`OnlineDocument`](plugin::OnlineDocument) or [`OnlineDrive`](plugin::OnlineDrive) |
//! | Triggers | [`TriggerProvider`](plugin::TriggerProvider), [`Event`](plugin::Event) |
//! | OAuth of tools, datasources and triggers | [`OAuth`](plugin::OAuth) |
//! | Model providers | [`model::Provider`] |
//!
//! One endpoint that answers every request:
//!
//! ```
//! use dify_plugin::bytes::Bytes;
//! use dify_plugin::http::{Request, Response};
//! use dify_plugin::prelude::*;
//!
//! struct Hook;
//!
//! impl Endpoint for Hook {
//!     async fn handle(&self, _: Call, request: Request<Bytes>) -> Result<Response<Body>, PluginError> {
//!         Ok(Response::new(format!("{} bytes came", request.body().len()).into()))
//!     }
//! }
//!
//! let plugin = Plugin::new().endpoint(Hook);
//! ```
//!
//! # Features
//!
//! | Feature | Default | Adds |
//! |---|---|---|
//! | `client` | yes | the HTTP client [`upstream`], uploads and downloads of files; with `commands` the command `doctor` |
//! | `commands` | yes | the command line: `try`, `check`, `declare`, `debug`, `dev` and more; without it an executable only serves |
//! | `ring` | yes | the backend of TLS and signatures that builds fast and is small |
//! | `serverless` | yes | serving over HTTP; needs `client` |
//! | `package` | yes | the commands `package`, `keygen`, `sign`, `verify`, `checksum`, `inspect`; needs `commands` |
//! | `aws-lc` | no | the other backend, which then is the one in use |
//! | `http2` | yes | HTTP/2 for the client, where a server offers it. The crates that `new` writes leave it out, except model providers |
//! | `brotli` | no | responses that are compressed with Brotli; gzip is always accepted |
//! | `models` | no | prices of models in exact decimals, for model providers; needs `client` |
//! | `testing` | no | Dify in process, for tests |
//! | `new` | no | the command `new`; needs `commands` |
//! | `workbench` | no | the command `workbench`; needs `commands` and `client` |
//!
//! Minimum supported Rust version: 1.95. What a version number promises is in `VERSIONING.md` of the repository.
//!
//! # Modules
//!
//! Start with [`prelude`] and [`plugin`]. [`protocol`] has the values of the protocol, [`error`] the error type, [`declare`] the
//! declarations, [`config`] the settings and [`cli`] the command line. [`model`], [`upstream`] and [`codec`] are what model
//! providers are written with. Modules that are not listed in this documentation are internal, whether or not they can be named.

// The hidden modules are not covered by VERSIONING.md: the tests, the fuzz targets and the benchmark of the repository use them.

#[cfg_attr(not(feature = "package"), allow(dead_code, reason = "packages and keys use the rest"))]
mod atomic_file;
#[cfg(feature = "commands")]
pub mod cli;
pub mod codec;
pub mod config;
mod daemon;
pub mod declare;
mod entry;
pub mod error;
pub mod model;
#[cfg(feature = "commands")]
pub mod names;
#[cfg(feature = "package")]
#[doc(hidden)]
pub mod package;
pub mod plugin;
pub mod prelude;
mod process;
pub mod protocol;
#[doc(hidden)]
pub mod purge;
#[doc(hidden)]
pub mod runtime;
#[doc(hidden)]
pub mod steps;
#[cfg(feature = "testing")]
pub mod testing;
#[doc(hidden)]
pub mod transport;
#[cfg_attr(not(feature = "client"), path = "upstream/without_client.rs")]
pub mod upstream;
mod visible;
#[cfg(feature = "workbench")]
mod workbench;

// Types of these crates are in the public API: authors use the same versions.
pub use {bytes, http, schemars, serde_json};
