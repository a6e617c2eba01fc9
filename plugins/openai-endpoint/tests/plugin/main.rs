//! Calls the plugin as Dify does: every route, bad input, settings, failures, faults and clients that disconnect.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

mod apps;
mod chat;
mod failures;
mod routes;
mod settings;
mod streams;
