//! Uploads of files to Dify: the signed URL of a call, then the file itself, against a server that judges both.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Multipart, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::post;
use dify_plugin::error::InvokeError;
use dify_plugin::plugin::dify::{Backwards, Dify, DifyError, DifyFacts, Invoke, Responses};
use dify_plugin::protocol::Payload;
use dify_plugin::protocol::backwards::DifyErrorKind;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::json;

/// Answers every call with this URL.
struct Signing(String);

impl Backwards for Signing {
    fn call(&self, invoke: Invoke) -> BoxFuture<'_, Result<Responses, DifyError>> {
        assert_eq!(invoke.request.get(), r#"{"filename":"ä b.pdf","mimetype":"application/pdf"}"#);
        let line = json!({"url": self.0}).to_string().into_bytes();
        let length = line.len();
        let responses = stream::iter([Ok(Payload::new(line, 0..length))]).boxed();
        async move { Ok(responses) }.boxed()
    }
}

type Seen = Arc<Mutex<Vec<String>>>;

async fn take(
    State(seen): State<Seen>,
    Path(status): Path<u16>,
    RawQuery(query): RawQuery,
    mut form: Multipart,
) -> (StatusCode, String) {
    while let Some(field) = form.next_field().await.unwrap() {
        let (name, file, kind) = (field.name(), field.file_name(), field.content_type());
        let head = format!("{} {} {} {}", name.unwrap(), file.unwrap(), kind.unwrap(), query.as_deref().unwrap());
        let text = field.text().await.unwrap();
        seen.lock().unwrap().push(format!("{head}: {text}"));
    }
    let file = json!({"id": "file-1", "name": "ä b.pdf", "size": 5, "extension": "pdf", "mime_type": "application/pdf",
        "reference": "unknown to us", "preview_url": null, "source_url": 5});
    (StatusCode::from_u16(status).unwrap(), file.to_string())
}

async fn dify(path: &str) -> (Dify, Seen) {
    let seen = Seen::default();
    let router = Router::new().route("/files/{status}", post(take)).with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (Dify::new(Arc::new(Signing(url)), DifyFacts::default()), seen)
}

async fn upload(dify: &Dify) -> Result<dify_plugin::protocol::backwards::UploadedFile, DifyError> {
    dify.files().upload("ä b.pdf", "application/pdf", &b"bytes"[..]).await
}

#[tokio::test]
async fn a_file_is_sent_as_it_was_signed() {
    let (dify, seen) = dify("/files/201?timestamp=1&nonce=n&sign=s%3D").await;
    let file = upload(&dify).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["file ä b.pdf application/pdf timestamp=1&nonce=n&sign=s%3D: bytes"]);
    assert_eq!((file.id.as_str(), file.size, file.preview_url.as_deref()), ("file-1", 5, None));
    let input = json!({"tool_file_id": "file-1", "transfer_method": "tool_file", "type": "document"});
    assert_eq!(file.app_input(), input);
}

#[tokio::test]
async fn what_dify_rejects_is_named_and_not_repeated() {
    use DifyErrorKind::*;
    for (status, kind, hint) in
        [(403, Invalid, "signature"), (413, TooLarge, "larger"), (415, Invalid, "type"), (500, Failed, "")]
    {
        let (dify, seen) = dify(&format!("/files/{status}?sign=secret-signature")).await;
        let error = upload(&dify).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{error}");
        assert_eq!(seen.lock().unwrap().len(), 1);
        let error = InvokeError::from(error);
        assert!(!error.detail().contains("secret-signature"), "{error}");
    }
}

#[tokio::test]
async fn a_url_that_leads_nowhere_names_the_setting() {
    for url in ["", "/files/upload/for-plugin?sign=x", "ftp://dify/files", "http://127.0.0.1:1/files/201?sign=x"] {
        let dify = Dify::new(Arc::new(Signing(url.to_owned())), DifyFacts::default());
        let error = upload(&dify).await.unwrap_err();
        assert_eq!(error.kind, DifyErrorKind::Unreachable, "{url}");
        assert!(error.to_string().contains("FILES_URL") && !error.to_string().contains("sign=x"), "{error}");
    }
}
