//! A native runtime for Dify model plugins.
//!
//! Data flows one way: bytes → frame → typed request → dispatcher → provider → upstream request → SSE event →
//! typed chunk → frame → bytes. The modules, from the ground up:
//!
//! 0. [`error`], [`protocol`]: words. No I/O. [`steps`]: what tests count.
//! 1. [`codec`], [`declare`]: bytes and files.
//! 2. [`upstream`], [`transport`]: HTTP out, and the host.
//! 3. [`dialect`]: an upstream's language, as pure state machines under one driver.
//! 4. [`providers`]: which dialect, which address, which credentials. [`plugin`]: what authors write against.
//! 5. [`runtime`]: sessions and dispatch, where transports and providers meet.
//! 6. [`cli`]: the terminal; [`purge`]: what an idle process gives back.

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
