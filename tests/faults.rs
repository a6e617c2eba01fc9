//! The built executable while an upstream, the host or the machine misbehaves: only the session concerned may be lost.
//!
//! `FAULTS_TABLE=1 cargo test --test faults` writes what was seen to the tables in `tests/faults/`.
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
