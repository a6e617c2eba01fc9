//! Invalid input to Gemini, in complete sessions: each is one clear error, without a billed request.

use crate::support::{google, google_setup as setup};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin_runtime::dialect::wav;
use google::{API_KEY, Google};
use serde_json::{Value, json};
use setup::{key_file, plugin, request, vertex};

const INVOKE: &str = "InvokeBadRequestError";
const VALIDATE: &str = "CredentialsValidateFailedError";
const MIB: usize = 1024 * 1024;

/// An invalid request: its fault, its fields in addition to the usual ones, and words of the error.
struct Case {
    name: &'static str,
    fields: Value,
    credentials: Value,
    kind: &'static str,
    expected: &'static [&'static str],
}

fn case(name: &'static str, fields: Value, expected: &'static [&'static str]) -> Case {
    Case { name, fields, credentials: json!({"google_api_key": API_KEY}), kind: INVOKE, expected }
}

fn with_credentials(case: Case, credentials: Value) -> Case {
    Case { credentials, ..case }
}

fn with_more(mut case: Case, credentials: Value) -> Case {
    case.credentials.as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
    case
}

fn parameter(name: &str, value: Value) -> Value {
    json!({"model_parameters": {name: value}})
}

fn media(part: Value) -> Value {
    json!({"prompt_messages": [{"role": "user", "content": [part, {"type": "text", "data": "What is it?"}]}]})
}

/// Sends each case and checks that it fails as expected, without a request to a model.
async fn check(google: &Google, cases: Vec<Case>) {
    let plugin = plugin();
    let mut failures = Vec::new();
    for case in cases {
        let before = google.seen("").len();
        let mut fields = json!({"model_type": "llm", "prompt_messages": [{"role": "user", "content": "Hi"}]});
        fields.as_object_mut().unwrap().extend(case.fields.as_object().unwrap().clone());
        let take = |fields: &mut Value, key: &str, usual: &str| {
            fields
                .as_object_mut()
                .unwrap()
                .remove(key)
                .map_or(usual.to_owned(), |value| value.as_str().unwrap().to_owned())
        };
        let (action, model) =
            (take(&mut fields, "action", "invoke_llm"), take(&mut fields, "model", "gemini-3.8-flash"));
        let outcome = plugin.call(request(google, &action, &model, case.credentials, fields)).await;
        let error = outcome.error.clone().unwrap_or_default();
        let message = error["message"].as_str().unwrap_or_default();
        let missing = case.expected.iter().find(|word| !message.contains(**word));
        let wrong = match missing {
            _ if error.is_null() => Some("went through".to_owned()),
            _ if error["error_type"] != case.kind => Some(format!("is {}", error["error_type"])),
            Some(word) => Some(format!("does not contain `{word}`")),
            None if error.to_string().contains("CANARY") => Some("shows a secret".to_owned()),
            None if google.seen("").len() > before => Some(format!("called {}", google.seen("")[before].path)),
            None => None,
        };
        failures.extend(wrong.map(|wrong| format!("{} {wrong}: {message}", case.name)));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn rejects_parameters_by_name_and_range() {
    let google = Google::start().await;
    let tools = json!([{"name": "lookup", "description": "d", "parameters": {"type": "object", "properties": {}}}]);
    let cases = vec![
        case("below the range", parameter("max_output_tokens", json!(0)), &["max_output_tokens", "1"]),
        case("above the range", parameter("max_output_tokens", json!(70_000)), &["max_output_tokens", "65536"]),
        case("not a whole number", parameter("max_output_tokens", json!(1.5)), &["max_output_tokens"]),
        case("text for a number", parameter("max_output_tokens", json!("many")), &["max_output_tokens", "many"]),
        case("no such option", parameter("thinking_level", json!("Huge")), &["thinking_level", "Medium"]),
        case("no such threshold", parameter("safety_harassment", json!("SOME")), &["safety_harassment", "BLOCK_NONE"]),
        case(
            "temperature",
            json!({"model": "gemini-2.5-flash-lite", "model_parameters": {"temperature": 3}}),
            &["temperature", "2"],
        ),
        case(
            "budget",
            json!({"model": "gemini-2.5-flash-lite", "model_parameters": {"thinking_budget": 5}}),
            &["at least 512"],
        ),
        case("clip", json!({"model_parameters": {"video_start": 9, "video_end": 3}}), &["video_end", "greater"]),
        case("schema is not JSON", parameter("json_schema", json!("{")), &["json_schema", "JSON"]),
        case("schema is no object", parameter("json_schema", json!("[1]")), &["json_schema", "object"]),
        case(
            "schema with an unknown type",
            parameter("json_schema", json!(json!({"type": "objekt"}).to_string())),
            &["json_schema", "objekt"],
        ),
        case(
            "schema with an invalid property",
            parameter("json_schema", json!(json!({"type": "object", "properties": {"a": 5}}).to_string())),
            &["json_schema", "properties.a"],
        ),
        case("stops", json!({"stop": ["1", "2", "3", "4", "5", "6"]}), &["6 stop sequences", "5"]),
        case(
            "two tools with one name",
            json!({"tools": [{"name": "f", "description": "a"}, {"name": "f", "description": "b"}]}),
            &["two tools are named `f`", "Rename"],
        ),
        case("choice of a tool", json!({"tools": tools, "tool_choice": {"mode": "tool", "name": "zz"}}), &["zz"]),
        case("no messages", json!({"prompt_messages": []}), &["no messages"]),
        case(
            "ends with an assistant message",
            json!({"prompt_messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}),
            &["last message"],
        ),
        case("a retired model", json!({"model": "gemini-1.5-pro"}), &["`gemini-1.5-pro` has been retired"]),
        with_more(case("floor", json!({}), &["safety_harassment"]), json!({"safety_harassment_floor": "SOME"}))
            .of_credentials(),
        with_credentials(
            case("labels", parameter("labels", json!("{\"a\": 1}")), &["`labels`", "string values"]),
            vertex(&google),
        ),
    ];
    check(&google, cases).await;
}

#[tokio::test]
async fn rejects_files_by_type_size_and_url() {
    let google = Google::start().await;
    let host = file_host().await;
    let url = |path: &str| json!({"type": "image", "format": "png", "mime_type": "image/png", "url": format!("{host}{path}")});
    let own_host = || json!({"file_url": host});
    let inline = |kind: &str, mime_type: &str, format: &str| {
        media(
            json!({"type": kind, "mime_type": mime_type, "format": format, "base64_data": "AAAA", "filename": format!("my.{format}")}),
        )
    };
    let at = |address: &str| media(json!({"type": "image", "format": "png", "mime_type": "image/png", "url": address}));
    let large = json!({"type": "video", "format": "mp4", "mime_type": "video/mp4", "base64_data": STANDARD.encode(vec![7; 16 * MIB])});
    let no_base64 = json!({"type": "image", "format": "png", "mime_type": "image/png", "base64_data": "no base64!"});
    let cases = vec![
        case("office", inline("document", "", "docx"), &["`my.docx`", "PDF"]),
        case("archive", inline("document", "application/zip", "zip"), &["`my.zip`", "`application/zip`", "PDF"]),
        case("image type", inline("image", "image/svg+xml", "svg"), &["`my.svg`", "`image/svg+xml`", "PNG"]),
        case("a web page as an image", inline("image", "text/html", "png"), &["`my.png`", "`text/html`"]),
        case("an image as a video", inline("video", "image/png", "mp4"), &["`my.mp4`", "`image/png`", "MP4"]),
        case("without a type", media(json!({"type": "image", "base64_data": "AAAA"})), &["this image", "format"]),
        case("not base64", media(no_base64), &["image", "not valid Base64"]),
        case("neither data nor URL", media(json!({"type": "image", "format": "png"})), &["this image", "neither data"]),
        with_credentials(case("too large for Vertex", media(large), &["at most 15728640", "gs://"]), vertex(&google)),
        with_more(with_credentials(case("too large by its header", media(url("/large")), &["larger than 15728640"]), vertex(&google)), own_host()),
        with_more(with_credentials(case("endless", media(url("/endless")), &["larger than 15728640"]), vertex(&google)), own_host()),
        with_more(case("not there", media(url("/missing")), &["404", "/missing"]), own_host()),
        with_more(case("a login page", media(url("/login")), &["web page", "attach"]), own_host()),
        with_more(case("endless redirects", media(url("/loop")), &["redirects more than 3"]), own_host()),
        with_more(case("no listener", at("http://127.0.0.1:9/a.png?sign=CANARY"), &["cannot download a file from http://127.0.0.1:9/a.png", "onnection refused", "`file_url`"]), json!({"file_url": "http://127.0.0.1:9"})),
        case("no such host", at("https://files.invalid/a.png?sign=CANARY"), &["files.invalid", "cannot resolve the host"]),
        case("relative", at("/files/a.png"), &["relative", "`file_url`"]),
        case("of another scheme", at("file:///etc/passwd"), &["URL scheme: file"]),
        case("this machine", at(&format!("{host}/ok")), &["private address 127.0.0.1", "`file_url`"]),
        case("this machine over TLS", at("https://localhost/a.png"), &["private address"]),
        case("metadata server", at("http://169.254.169.254/latest/meta-data"), &["private address 169.254.169.254"]),
        case("inner network", at("https://10.0.0.1/a.png"), &["private address 10.0.0.1"]),
        case("inner network as IPv6", at("http://[::ffff:192.168.1.1]/a.png"), &["private address"]),
        with_more(case("metadata server through Dify's host", media(url("/to-metadata")), &["private address 169.254.169.254"]), own_host()),
        with_more(case("a file of the machine through Dify's host", media(url("/to-file")), &["redirects to an unsupported URL scheme: file"]), own_host()),
        case("not an audio file", json!({"action": "invoke_speech2text", "model": "gemini-3.5-transcribe", "model_type": "speech2text", "file": hex::encode("%PDF-1.7 no audio")}), &["unknown audio format"]),
        with_credentials(
            case("audio file too large for Vertex", json!({"action": "invoke_speech2text", "model": "gemini-3.5-transcribe", "model_type": "speech2text", "file": hex::encode(wav::wav(&vec![0; 16 * MIB], 16_000))}), &["at most 15 MiB", "Compress"]),
            vertex(&google),
        ),
        case("unsupported image to embed", json!({"action": "invoke_multimodal_embedding", "model": "gemini-embedding-2", "model_type": "text-embedding", "documents": [{"content": "R0lGODlhAQABAAAAACw=", "content_type": "image"}], "input_type": "document"}), &["must be PNG or JPEG"]),
        with_more(
            case("invalid vector length", json!({"action": "invoke_text_embedding", "model": "gemini-embedding-001", "model_type": "text-embedding", "texts": ["a"], "input_type": "document"}), &["`embedding_dimensions`", "3072"]),
            json!({"embedding_dimensions": "9000"}),
        ).of_credentials(),
    ];
    check(&google, cases).await;
    // The host itself is allowed: readable files are sent along.
    let fields = json!({"model_type": "llm", "prompt_messages": media(url("/ok"))["prompt_messages"]});
    let credentials = json!({"google_api_key": API_KEY, "file_url": host});
    let outcome = plugin().call(request(&google, "invoke_llm", "gemini-3.8-flash", credentials, fields)).await;
    assert_eq!(outcome.text(), "Hello");
    let sent = &google.seen(":streamGenerateContent")[0].body["contents"][0]["parts"][0];
    assert_eq!(sent["inlineData"], json!({"mimeType": "image/png", "data": STANDARD.encode("an image")}));
}

#[tokio::test]
async fn malformed_key_files_are_explained() {
    let google = Google::start().await;
    let changed = |name: &str, value: Value| {
        let mut file = key_file(&google);
        match value {
            Value::Null => drop(file.as_object_mut().unwrap().remove(name)),
            value => file[name] = value,
        }
        file.to_string()
    };
    let forms: Vec<(&'static str, String, &'static [&'static str])> = vec![
        ("not JSON", "{\"type\": \"service_account\", CANARY".to_owned(), &["not valid JSON", "line 1"]),
        ("Base64 of random bytes", STANDARD.encode(b"\x00\xff CANARY \xfe"), &["not valid JSON after Base64 decoding"]),
        ("Base64 of text", STANDARD.encode("CANARY is no key file"), &["JSON"]),
        ("neither", "CANARY no key file!".to_owned(), &["neither JSON nor Base64"]),
        ("no type", changed("type", Value::Null), &["has no `type`"]),
        ("no email address", changed("client_email", Value::Null), &["has no `client_email`", "whole key file"]),
        ("no key", changed("private_key", Value::Null), &["has no `private_key`", "whole key file"]),
        ("an invalid key", changed("private_key", json!("CANARY")), &["`private_key`"]),
        (
            "a key of another type",
            changed("private_key", json!("-----BEGIN EC PRIVATE KEY-----\nCANARY\n-----END EC PRIVATE KEY-----\n")),
            &["`private_key`"],
        ),
        ("another type", changed("type", json!("gdch_service_account")), &["gdch_service_account", "service_account"]),
        ("a user's file", changed("type", json!("authorized_user")), &["has no `client_secret`"]),
        (
            "a foreign endpoint",
            changed("token_uri", json!("https://evil.example/token")),
            &["`token_uri`", "googleapis.com"],
        ),
    ];
    let mut cases = Vec::new();
    for (name, text, expected) in forms {
        let credentials = json!({"auth_method": "service_account", "google_service_account_json": text});
        cases.push(Case { name, fields: json!({}), credentials, kind: VALIDATE, expected });
    }
    check(&google, cases).await;
    assert!(google.grants().is_empty(), "no token was requested");
}

impl Case {
    /// Marks the credentials as invalid.
    fn of_credentials(self) -> Self {
        Self { kind: VALIDATE, ..self }
    }
}

/// A file server with everything that can go wrong with a file.
async fn file_host() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let megabytes =
        || Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![0; MIB]))));
    let routes =
        Router::new()
            .route("/ok", get(|| async { ([(header::CONTENT_TYPE, "image/png")], "an image") }))
            .route(
                "/login",
                get(|| async { ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], "<html>Sign in</html>") }),
            )
            .route(
                "/large",
                get(move || async move {
                    ([(header::CONTENT_LENGTH, (17 * MIB).to_string())], megabytes()).into_response()
                }),
            )
            .route("/endless", get(move || async move { megabytes() }))
            .route("/loop", get(|| async { Redirect::temporary("/loop") }))
            .route("/to-metadata", get(|| async { Redirect::temporary("http://169.254.169.254/latest") }))
            .route("/to-file", get(|| async { Redirect::temporary("file:///etc/passwd") }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}
