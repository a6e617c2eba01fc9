//! Standard input and output, for a child process of the daemon. Only this module opens them for the protocol.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use tokio::io::Stdin;

/// The standard output that the process was started with. It belongs to the protocol: nothing else can write to it.
pub struct Output(pub(super) File);

impl Output {
    /// Keeps standard output for the protocol and redirects file descriptor 1 to standard error, so that whatever the
    /// plugin's own code, its libraries and its child processes print becomes a line of the log. Call it before any of that
    /// runs.
    pub fn claim() -> io::Result<Self> {
        io::stdout().flush()?;
        // Closed in child processes, unlike descriptor 1.
        let protocol = io::stdout().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdout(io::stderr())?;
        Ok(Self(File::from(protocol)))
    }
}

/// Returns standard input and output.
pub fn open(output: Output) -> (Stdin, tokio::fs::File) {
    (tokio::io::stdin(), tokio::fs::File::from_std(output.0))
}
