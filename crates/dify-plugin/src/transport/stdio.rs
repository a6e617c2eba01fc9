//! Standard input and output, for a child process of the daemon. Only this module opens them for the protocol.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;

use crate::protocol::envelope::write_heartbeat;

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

    /// Writes a heartbeat at once, while the process is still starting: the first one tells the daemon that the plugin is ready.
    /// Source: `dify-plugin-daemon: internal/core/local_runtime/`.
    pub fn write_heartbeat(&mut self) {
        let mut line = Vec::new();
        write_heartbeat(&mut line);
        // A daemon that is gone is found when the connection is served.
        let _ = self.0.write_all(&line);
    }
}

/// Returns standard input and output, for the current async runtime.
///
/// A pipe is opened once more, as one that never blocks: so it needs no thread of its own, and the descriptor that other
/// processes may share stays as it is. Anything else, and a pipe that cannot be opened, is read and written on threads.
pub fn open(output: Output) -> (Input, Writer) {
    let input = pipe::OpenOptions::new().open_receiver(path(&io::stdin()));
    let input = input.map_or_else(|_| Box::new(tokio::io::stdin()) as Input, |pipe| Box::new(pipe));
    let writer = pipe::OpenOptions::new().open_sender(path(&output.0));
    let writer = writer.map_or_else(|_| Box::new(tokio::fs::File::from_std(output.0)) as Writer, |pipe| Box::new(pipe));
    (input, writer)
}

/// The name of an open descriptor of this process.
fn path(descriptor: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Whether reading and writing a descriptor blocks.
    fn blocks(descriptor: &impl AsFd) -> bool {
        const O_NONBLOCK: u32 = 0o4000;
        let info = std::fs::read_to_string(path(descriptor).replace("/fd/", "/fdinfo/")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        u32::from_str_radix(flags.trim(), 8).unwrap() & O_NONBLOCK == 0
    }

    #[tokio::test]
    async fn a_pipe_is_written_without_threads_and_stays_as_it_is_for_others() {
        let (reader, shared) = io::pipe().unwrap();
        let output = Output(File::from(std::os::fd::OwnedFd::from(shared.try_clone().unwrap())));
        let (_, mut writer) = open(output);
        writer.write_all(b"line\n").await.unwrap();
        assert!(blocks(&shared) && blocks(&reader));
        let mut receiver = pipe::OpenOptions::new().open_receiver(path(&reader)).unwrap();
        let mut line = [0; 5];
        receiver.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"line\n");
        drop((writer, shared));
        assert_eq!(receiver.read(&mut line).await.unwrap(), 0, "no other writer is left");
    }

    #[tokio::test]
    async fn a_file_is_written_too() {
        let mut file = tempfile::tempfile().unwrap();
        let (_, mut writer) = open(Output(file.try_clone().unwrap()));
        writer.write_all(b"line\n").await.unwrap();
        writer.flush().await.unwrap();
        io::Seek::rewind(&mut file).unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), "line\n");
    }
}
