//! Faults of an upstream, the plugin daemon or the machine, with the built executable: only the affected session may
//! fail.
//!
//! `FAULTS_TABLE=1 cargo test --test faults` writes the results to the tables in `tests/faults/`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "support/authority.rs"]
mod authority;
#[path = "faults/body.rs"]
mod body;
#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/daemon.rs"]
mod daemon;
#[path = "faults/machine.rs"]
mod machine;
#[path = "faults/plugin.rs"]
mod plugin;
#[path = "support/scripted.rs"]
mod scripted;
#[path = "faults/table.rs"]
mod table;
#[path = "faults/tls.rs"]
mod tls;
#[path = "faults/upstream.rs"]
mod upstream;
