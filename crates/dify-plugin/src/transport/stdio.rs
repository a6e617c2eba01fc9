//! Standard input and output of the daemon's child process. The only place that opens them for the protocol.

use tokio::io::{Stdin, Stdout};

/// The two ends of the pipe.
pub fn open() -> (Stdin, Stdout) {
    (tokio::io::stdin(), tokio::io::stdout())
}
