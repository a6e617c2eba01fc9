//! Standard input and output, for a child process of the daemon. Only this module opens them for the protocol.

use tokio::io::{Stdin, Stdout};

/// Returns standard input and output.
pub fn open() -> (Stdin, Stdout) {
    (tokio::io::stdin(), tokio::io::stdout())
}
