//! Plugins for Dify in Rust: the protocol, the transports, the runtime and the command line of a plugin.
//!
//! Data flows in one direction: bytes → frame → typed request → dispatcher → code of the plugin → typed chunk → frame →
//! bytes. The modules, from the ground up:
//!
//! 0. [`error`], [`protocol`]: words. No I/O. [`steps`]: what tests count.
//! 1. [`codec`], [`declare`]: bytes and files.
//! 2. [`upstream`], [`transport`]: HTTP out, and the daemon. [`config`]: settings.
//! 3. [`model`]: what a model provider implements. [`plugin`]: what authors write against.
//! 4. [`runtime`]: sessions and dispatch, where transports and providers meet. [`package`]: what Dify installs.
//! 5. [`cli`]: the terminal; [`purge`]: what an idle process gives back.

pub mod cli;
pub mod codec;
pub mod config;
pub mod declare;
pub mod error;
pub mod model;
pub mod package;
pub mod plugin;
pub mod protocol;
pub mod purge;
pub mod runtime;
pub mod steps;
pub mod transport;
pub mod upstream;
