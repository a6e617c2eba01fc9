//! A native runtime for Dify model plugins.
//!
//! Data flows in one direction: bytes → frame → typed request → dispatcher → provider → upstream request → SSE event →
//! typed chunk → frame → bytes. The modules, from the ground up:
//!
//! 0. [`error`], [`protocol`]: the types of the plugin protocol, without I/O. [`steps`]: counters for tests.
//! 1. [`codec`], [`declare`]: byte streams and declaration files.
//! 2. [`upstream`], [`transport`]: the HTTP client, and the connections to the plugin daemon.
//! 3. [`dialect`]: the wire format of each API family, as state machines without I/O under one driver.
//! 4. [`providers`]: the dialect, URLs and credentials of each model provider. [`plugin`]: the API for plugin authors.
//! 5. [`runtime`]: sessions and dispatch, where transports and providers meet.
//! 6. [`cli`]: the command line; [`purge`]: returns unused memory of an idle process to the system.

pub mod cli;
pub mod codec;
pub mod config;
pub mod declare;
pub mod dialect;
pub mod error;
pub mod package;
pub mod plugin;
pub mod protocol;
pub mod providers;
pub mod purge;
pub mod runtime;
pub mod steps;
pub mod transport;
pub mod upstream;
