//! The files that a plugin uploads: a server on loopback that accepts them at the signed URL, as Dify does. It reads what the
//! HTTP client of this library writes, and is no general server. It needs real time.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::OutputFile;
use super::answer::{Answer, CallBack};
use super::backwards::Backwards;

/// Answers a request for a URL, and starts the server if there is none.
pub(super) fn answer(backwards: &Backwards, call: &CallBack) -> Answer {
    let known = backwards.state().upload_url.clone();
    let url = match known.map_or_else(|| start(backwards.clone()), Ok) {
        Ok(url) => url,
        Err(error) => return Answer::error(format!("upload file failed: {error}")),
    };
    backwards.state().upload_url = Some(url.clone());
    // Dify signs the name and the type; they come again with the file.
    let (name, mime) = (call.text("filename"), call.text("mimetype"));
    Answer::data(json!({"url": format!("{url}?sign={}", hex::encode(format!("{name}\n{mime}")))}))
}

fn start(backwards: Backwards) -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}/files/upload/for-plugin", listener.local_addr()?);
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let backwards = backwards.clone();
            tokio::spawn(async move {
                // A client that goes away has uploaded nothing.
                let _ = serve(connection, &backwards).await;
            });
        }
    });
    Ok(url)
}

async fn serve(mut connection: TcpStream, backwards: &Backwards) -> io::Result<()> {
    let mut received = Vec::new();
    let body = loop {
        if let Some(end) = memchr::memmem::find(&received, b"\r\n\r\n") {
            break end + 4;
        }
        if connection.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&received[..body]).into_owned();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    while received.len() < body + length {
        if connection.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
    let boundary =
        header("content-type").and_then(|kind| kind.split_once("boundary=").map(|(_, after)| after.to_owned()));
    let file = boundary.and_then(|boundary| file_of(&received[body..], boundary.trim_matches('"')));
    let signed = head.split_whitespace().nth(1).and_then(|target| target.split_once("sign=")).map(|(_, sign)| sign);
    let (status, text) = match file {
        Some(file)
            if signed == Some(&hex::encode(format!("{}\n{}", file.name.as_deref().unwrap_or(""), file.mime_type))) =>
        {
            let state = &mut *backwards.state();
            state.uploads.push(file.clone());
            let name = file.name.unwrap_or_default();
            let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
            let file = json!({"id": format!("file-{}", state.uploads.len()), "name": name, "size": file.bytes.len(),
                "extension": extension, "mime_type": file.mime_type, "preview_url": null});
            ("201 Created", file.to_string())
        }
        _ => ("403 Forbidden", json!({"message": "the signature is not of this file"}).to_string()),
    };
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    connection.write_all(response.as_bytes()).await
}

/// The field `file` of a form.
fn file_of(form: &[u8], boundary: &str) -> Option<OutputFile> {
    let start = memchr::memmem::find(form, b"\r\n\r\n")? + 4;
    let end = memchr::memmem::rfind(form, format!("\r\n--{boundary}--").as_bytes())?;
    let head = std::str::from_utf8(form.get(..start)?).ok()?;
    let quoted = |name: &str| head.split_once(&format!("{name}=\"")).and_then(|(_, after)| after.split_once('"'));
    quoted(" name").filter(|(name, _)| *name == "file")?;
    let mime = head.lines().filter_map(|line| line.split_once(": "));
    let mime = mime.filter(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, mime)| mime.trim()).next();
    Some(OutputFile {
        name: quoted("filename").map(|(name, _)| name.to_owned()),
        mime_type: mime.unwrap_or_default().to_owned(),
        bytes: Bytes::copy_from_slice(form.get(start..end)?),
        url: None,
    })
}
