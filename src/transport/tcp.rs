//! A connection to the daemon's debugging port.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Longest wait for the connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Connects, says `greeting`, and gives both halves.
pub async fn connect(host: &str, port: u16, greeting: &[u8]) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
    let connecting = TcpStream::connect((host, port));
    let stream = tokio::time::timeout(CONNECT, connecting)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", CONNECT.as_secs())))??;
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    writer.write_all(greeting).await?;
    Ok((reader, writer))
}
