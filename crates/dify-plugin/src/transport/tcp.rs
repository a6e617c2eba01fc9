//! A connection to the daemon's debugging port.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// Longest wait for the connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest time for the greeting: icons of some megabytes over a slow line.
const GREET: Duration = Duration::from_secs(30);

/// How long a daemon may be silent about what was sent before the connection counts as lost.
const UNHEARD: Duration = Duration::from_secs(45);

/// Connects and says `greeting`.
pub async fn connect(host: &str, port: u16, greeting: &[u8]) -> io::Result<TcpStream> {
    let late = |what: &str, limit: Duration| {
        io::Error::new(io::ErrorKind::TimedOut, format!("{what} within {} s", limit.as_secs()))
    };
    let connecting = timeout(CONNECT, tokio::net::TcpStream::connect((host, port)));
    let mut stream = connecting.await.map_err(|_| late("no answer", CONNECT))??;
    stream.set_nodelay(true)?;
    notice_loss(&stream, UNHEARD)?;
    timeout(GREET, stream.write_all(greeting))
        .await
        .map_err(|_| late("the plugin's declaration was not taken", GREET))??;
    stream.into_std()
}

/// Both halves of a connection, for the runtime that this is called on.
pub fn open(stream: TcpStream) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
    Ok(tokio::net::TcpStream::from_std(stream)?.into_split())
}

/// A peer that vanished without a word is noticed, whether we listen or what we said has been unheard for so long.
pub(super) fn notice_loss(stream: &tokio::net::TcpStream, unheard: Duration) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(UNHEARD / 3).with_interval(UNHEARD / 9).with_retries(6);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(unheard))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_peer_that_vanishes_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect("127.0.0.1", listener.local_addr().unwrap().port(), b"hello").await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNHEARD));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_does_not_hold_the_greeting_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let greeting = vec![b'x'; 64 * 1024 * 1024];
        let error = connect("127.0.0.1", listener.local_addr().unwrap().port(), &greeting).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    }
}
