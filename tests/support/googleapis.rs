//! A local stand-in for the hosts below googleapis.com: a proxy that terminates their TLS with certificates of its own
//! authority and forwards the requests to a mock. Set in the environment it represents the operator's network, set in a
//! form it represents an attack.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::authority::Authority;

const HOSTS: &[&str] = &["*.googleapis.com", "*.us.rep.googleapis.com", "*.eu.rep.googleapis.com"];

pub struct Googleapis {
    /// URL of the proxy.
    pub url: String,
    authority: Authority,
    directory: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Googleapis {
    /// Starts a proxy that forwards everything to a mock at this host and port.
    pub async fn before(fake: &str) -> Self {
        let authority = Authority::new();
        let acceptor = authority.acceptor(HOSTS, (2020, 2100));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (fake, seen) = (fake.to_owned(), asked.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, acceptor.clone(), fake.clone(), seen.clone()));
            }
        });
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        Self { url, authority, directory, asked }
    }

    /// Returns the certificate of the authority.
    pub fn pem(&self) -> String {
        self.authority.pem()
    }

    /// Returns the environment of a process whose operator uses this network.
    pub fn environment(&self) -> Vec<(String, String)> {
        let ca = self.directory.path().join("ca.pem").display().to_string();
        let set = [("HTTPS_PROXY", self.url.clone()), ("SSL_CERT_FILE", ca)];
        set.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// Returns the request line of each request to the proxy.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut socket: TcpStream, acceptor: TlsAcceptor, fake: String, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    asked.lock().unwrap().push(line.clone());
    if !line.starts_with("CONNECT ") || !line.contains("googleapis.com:443 ") {
        let _ = socket.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
        return;
    }
    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let (Ok(mut within), Ok(mut fake)) = (acceptor.accept(socket).await, TcpStream::connect(fake).await) else {
        return;
    };
    let _ = tokio::io::copy_bidirectional(&mut within, &mut fake).await;
}
