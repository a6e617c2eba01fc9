//! Standard input and output, for a child process of the daemon. Only this module opens them for the protocol.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;

/// The standard output that the process was started with. It belongs to the protocol: nothing else can write to it.
pub struct Output(pub(super) File);

/// Standard input.
pub type Input = Box<dyn AsyncRead + Send + Unpin>;

/// The kept standard output.
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;

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

/// Returns standard input and output, for the current async runtime.
///
/// A pipe is opened once more, as one that never blocks: so it needs no thread of its own, and whoever else has the same
/// descriptor does not notice. Anything else, and a pipe that cannot be opened, is read and written on threads.
pub fn open(output: Output) -> (Input, Writer) {
    let input = pipe::OpenOptions::new().open_receiver(path(io::stdin()));
    let input = input.map_or_else(|_| Box::new(tokio::io::stdin()) as Input, |pipe| Box::new(pipe));
    let writer = pipe::OpenOptions::new().open_sender(path(&output.0));
    let writer = writer.map_or_else(|_| Box::new(tokio::fs::File::from_std(output.0)) as Writer, |pipe| Box::new(pipe));
    (input, writer)
}

/// The name of an open descriptor of this process.
fn path(descriptor: impl AsFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd())
}
