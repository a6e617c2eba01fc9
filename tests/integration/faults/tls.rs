//! TLS with certificates of a private authority: trusted only if the authority is configured, otherwise rejected with
//! the reason.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::plugin::{EXECUTABLE, GEMINI, Plugin, healthy, llm};
use super::table::Table;
use crate::support::authority::Authority;
use crate::support::scripted::{Scripted, Step};

/// A healthy upstream with a certificate for a host, valid between two years; its address.
pub async fn serve(authority: &Authority, host: &str, years: (i32, i32)) -> String {
    let acceptor = authority.acceptor(&[host], years);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let mut buffer = vec![0; 65536];
                let _ = stream.read(&mut buffer).await;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(format!("{head}{}", GEMINI.hello).as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

/// Typical response of web servers to a request that is not HTTP.
const PAGE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";

/// Starts a server that responds to any input with these bytes, or closes the connection if there are none.
async fn raw_server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await;
            if answer.is_empty() {
                socket.set_zero_linger().unwrap();
            }
            let _ = socket.write_all(answer).await;
        }
    });
    address
}

/// Fault, address, credentials, a word of the report; an answer where there is none.
type Case = (&'static str, String, Value, &'static str);

async fn cases(ours: &Authority) -> Vec<Case> {
    let other = Authority::new();
    let always = (2020, 2100);
    let good = serve(ours, "127.0.0.1", always).await;
    let silent = Scripted::start(vec![vec![Step::Hang]]).await;
    let ca = |text: String| json!({ "tls_ca": text });
    let given = || ca(ours.pem());
    vec![
        ("a private CA that is not given", good.clone(), json!({}), "`tls_ca`"),
        ("a private CA in `tls_ca`", good.clone(), given(), ""),
        ("a private CA whose line breaks were lost", good.clone(), ca(ours.pem().replace('\n', " ")), ""),
        ("another CA in `tls_ca`", good.clone(), ca(other.pem()), "not trusted"),
        ("two CAs in `tls_ca`", good.clone(), ca(other.pem() + &ours.pem()), ""),
        ("`tls_ca` without a certificate", good.clone(), ca("trust me".to_owned()), "contains no certificate"),
        ("a certificate for another host", serve(ours, "models.example", always).await, given(), "different host"),
        ("a certificate that has expired", serve(ours, "127.0.0.1", (2000, 2001)).await, given(), "has expired"),
        ("a certificate that is not valid yet", serve(ours, "127.0.0.1", (2099, 2100)).await, given(), "not valid yet"),
        ("https:// where plain HTTP is spoken", raw_server(PAGE).await, json!({}), "does not speak TLS"),
        ("a reset in the TLS handshake", raw_server(b"").await, json!({}), "cannot connect"),
        ("http:// where TLS is spoken", good.replace("https:", "http:"), json!({}), "start with https://"),
        (
            "a TLS handshake that is never answered",
            silent.url.replace("http:", "https:"),
            GEMINI.waits(Duration::from_secs(1)),
            "within 1 s",
        ),
    ]
}

#[tokio::test]
async fn trusts_a_certificate_only_if_its_authority_is_trusted() {
    let ours = Authority::new();
    let mut table = Table::new("tls");
    play(&mut Plugin::start(""), cases(&ours).await, &mut table).await;

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, ours.pem()).unwrap();
    let mut command = Command::new(EXECUTABLE);
    command.env("SSL_CERT_FILE", &file);
    let (good, stranger) = (serve(&ours, "127.0.0.1", (2020, 2100)).await, Authority::new());
    let theirs = serve(&stranger, "127.0.0.1", (2020, 2100)).await;
    let both = json!({"tls_ca": stranger.pem()});
    let cases: Vec<Case> = vec![
        ("a private CA in SSL_CERT_FILE", good.clone(), json!({}), ""),
        ("another CA in SSL_CERT_FILE", theirs.clone(), json!({}), "not trusted"),
        ("one CA in SSL_CERT_FILE, the server's in `tls_ca`", theirs, both.clone(), ""),
        ("the server's CA in SSL_CERT_FILE, another in `tls_ca`", good, both, ""),
    ];
    play(&mut Plugin::spawn(command), cases, &mut table).await;

    let mut command = Command::new(EXECUTABLE);
    command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").env("REQUESTS_CA_BUNDLE", &file);
    let (good, theirs) =
        (serve(&ours, "127.0.0.1", (2020, 2100)).await, serve(&stranger, "127.0.0.1", (2020, 2100)).await);
    let cases: Vec<Case> = vec![
        ("a private CA in REQUESTS_CA_BUNDLE", good, json!({}), ""),
        ("another CA in REQUESTS_CA_BUNDLE", theirs.clone(), json!({}), "not trusted"),
        ("one CA in REQUESTS_CA_BUNDLE, the server's in `tls_ca`", theirs, json!({"tls_ca": stranger.pem()}), ""),
    ];
    play(&mut Plugin::spawn(command), cases, &mut table).await;
    table.write();
}

async fn play(plugin: &mut Plugin, cases: Vec<Case>, table: &mut Table) {
    let plain = healthy().await;
    let mut wrong = Vec::new();
    for (fault, address, credentials, word) in cases {
        plugin.forget_peak();
        plugin.send(&llm("tls", &address, &credentials)).await;
        plugin.send(&llm("neighbor", &plain.url, &json!({}))).await;
        let outcomes = plugin.outcomes(&["tls", "neighbor"]).await;
        assert_eq!((outcomes[1].text.as_str(), &outcomes[1].error), ("Hello", &None), "beside {fault}");
        let as_expected = match word {
            "" => outcomes[0].text == "Hello" && outcomes[0].error.is_none(),
            word => outcomes[0].error.is_some() && outcomes[0].message().contains(word),
        };
        if !as_expected {
            wrong.push(format!("{fault}: {:?}", outcomes[0]));
        }
        table.outcome(fault, &outcomes[0], plugin);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
