//! TCP connection to the daemon's debugging port.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// Timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout for sending the registration, which may contain megabytes of icons over a slow line.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// How long sent data may stay unacknowledged before the connection counts as lost.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(45);

/// Connects and sends `greeting`.
pub async fn connect(host: &str, port: u16, greeting: &[u8]) -> io::Result<TcpStream> {
    let late = |what: &str, limit: Duration| {
        io::Error::new(io::ErrorKind::TimedOut, format!("{what} within {} s", limit.as_secs()))
    };
    let connecting = timeout(CONNECT_TIMEOUT, tokio::net::TcpStream::connect((host, port)));
    let mut stream = connecting.await.map_err(|_| late("no response", CONNECT_TIMEOUT))??;
    stream.set_nodelay(true)?;
    detect_loss(&stream, UNACKNOWLEDGED_TIMEOUT)?;
    timeout(REGISTRATION_TIMEOUT, stream.write_all(greeting))
        .await
        .map_err(|_| late("cannot send the plugin's declaration", REGISTRATION_TIMEOUT))??;
    stream.into_std()
}

/// Splits a connection into both halves, for the current async runtime.
pub fn open(stream: TcpStream) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
    Ok(tokio::net::TcpStream::from_std(stream)?.into_split())
}

/// Detects a peer that vanished silently, both while receiving and when sent data stays unacknowledged.
pub(super) fn detect_loss(stream: &tokio::net::TcpStream, unacknowledged: Duration) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new()
        .with_time(UNACKNOWLEDGED_TIMEOUT / 3)
        .with_interval(UNACKNOWLEDGED_TIMEOUT / 9)
        .with_retries(6);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(unacknowledged))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn enables_keepalive_and_a_user_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect("127.0.0.1", listener.local_addr().unwrap().port(), b"hello").await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED_TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn times_out_when_the_peer_does_not_read_the_greeting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let greeting = vec![b'x'; 64 * 1024 * 1024];
        let error = connect("127.0.0.1", listener.local_addr().unwrap().port(), &greeting).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    }
}
