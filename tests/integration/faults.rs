//! Faults of an upstream, the plugin daemon or the machine, with the built executable: only the affected session may
//! fail.
//!
//! `FAULTS_TABLE=1 cargo test --test integration faults` writes the results to the tables in `tests/integration/faults/`.

mod body;
mod clock;
mod daemon;
mod machine;
mod plugin;
mod table;
mod tls;
mod upstream;
