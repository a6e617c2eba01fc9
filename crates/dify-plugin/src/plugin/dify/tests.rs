//! Permissions, and what the handle does in addition to sending.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, stream};
use serde_json::json;

use super::*;
use crate::declare::permission::Permission;
use crate::declare::{Manifest, Severity};
use crate::protocol::backwards::{AppInfoInvocation, InvokeType, ModelConfig, ToolType};

/// Rejects every call with this text, and counts them.
struct Rejecting(&'static str, AtomicUsize);

impl Backwards for Rejecting {
    fn call(&self, _: Invoke) -> BoxFuture<'_, Result<Responses, DifyError>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let rejected = Err(DifyError::of_text(self.0));
        async move { Ok(stream::iter([rejected]).boxed()) }.boxed()
    }
}

fn rejecting(text: &'static str, granted: Option<Value>) -> (Arc<Rejecting>, Dify) {
    let permissions = granted.map(|granted| Arc::new(permissions(granted)));
    let engine = Arc::new(Rejecting(text, AtomicUsize::new(0)));
    let dify = Dify::new(engine.clone(), DifyFacts { permissions, ..DifyFacts::default() });
    (engine, dify)
}

fn permissions(granted: Value) -> Permissions {
    let manifest = json!({"resource": {"permission": granted}});
    Permissions::of_manifest(&Manifest(manifest.as_object().unwrap().clone()))
}

#[tokio::test]
async fn a_missing_permission_is_named_with_its_lines_and_nothing_is_sent() {
    let model = ModelConfig::new("p", "m");
    let (engine, dify) =
        rejecting("", Some(json!({"model": {"enabled": true, "llm": false}, "app": {"enabled": false}})));
    let cases = [
        (
            dify.llm(&model).user("hi").whole().await.unwrap_err(),
            "`model.llm`",
            "    model:\n      enabled: true\n      llm: true",
        ),
        (
            dify.embedding(&model).texts(["a"]).await.unwrap_err(),
            "`model.text_embedding`",
            "      text_embedding: true",
        ),
        (dify.rerank(&model).texts("q", ["a"]).await.unwrap_err(), "`model.rerank`", "      rerank: true"),
        (dify.tts(&model, "v").whole("a").await.unwrap_err(), "`model.tts`", "      tts: true"),
        (dify.speech2text(&model, "a").await.unwrap_err(), "`model.speech2text`", "      speech2text: true"),
        (dify.moderation(&model, "a").await.unwrap_err(), "`model.moderation`", "      moderation: true"),
        (dify.tool(ToolType::Api, "p", "t").whole().await.unwrap_err(), "`tool`", "    tool:\n      enabled: true"),
        (dify.app("a").workflow().whole().await.unwrap_err(), "`app`", "    app:\n      enabled: true"),
        (dify.app_info("a").await.unwrap_err(), "`app`", "    app:\n      enabled: true"),
        (dify.parameter_extractor(&model, "q").run().await.unwrap_err(), "`node`", "    node:\n      enabled: true"),
        (dify.question_classifier(&model, "q").run().await.unwrap_err(), "`node`", "    node:\n      enabled: true"),
        (
            dify.storage().get("k").await.unwrap_err(),
            "`storage`",
            "    storage:\n      enabled: true\n      size: 1048576",
        ),
        (dify.summary(&"x".repeat(1024), "").await.unwrap_err(), "`model.llm`", "      llm: true"),
    ];
    for (error, name, lines) in cases {
        assert_eq!(error.kind, DifyErrorKind::PermissionDenied);
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(lines), "{text}");
    }
    assert_eq!(engine.1.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_daemon_decides_where_no_manifest_is_known() {
    let text = "permission denied, you need to enable app access in plugin manifest";
    let (engine, dify) = rejecting(text, None);
    let error = dify.app_info("a").await.unwrap_err();
    assert!(error.kind == DifyErrorKind::PermissionDenied && error.to_string().contains("    app:\n"), "{error}");
    assert_eq!(engine.1.load(Ordering::Relaxed), 1);
    // An upload needs none.
    let (engine, dify) = rejecting("upload file failed: x", Some(json!({})));
    assert_eq!(dify.files().upload("a", "text/plain", "a").await.unwrap_err().kind, DifyErrorKind::Failed);
    assert_eq!(engine.1.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_missing_key_is_none_by_exactly_that_text() {
    for (text, expected) in [
        ("load data failed, please check if the key is correct or you have not set it", Ok(None)),
        ("persistence not found", Err(DifyErrorKind::NotFound)),
        ("load data failed: no room", Err(DifyErrorKind::Failed)),
    ] {
        let read = rejecting(text, None).1.storage().get("k").await;
        assert_eq!(read.map_err(|error| error.kind), expected, "{text}");
    }
}

#[tokio::test]
async fn a_short_text_is_its_own_summary() {
    let (engine, dify) = rejecting("x", None);
    let text = "ä".repeat(1023);
    assert_eq!(dify.summary(&text, "").await.unwrap(), text);
    assert_eq!(engine.1.load(Ordering::Relaxed), 0);
    dify.summary(&"ä".repeat(1024), "").await.unwrap_err();
    assert_eq!(engine.1.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_call_without_a_result_is_an_error() {
    struct Silent;
    impl Backwards for Silent {
        fn call(&self, _: Invoke) -> BoxFuture<'_, Result<Responses, DifyError>> {
            async { Ok(stream::empty().boxed()) }.boxed()
        }
    }
    let dify = Dify::new(Arc::new(Silent), DifyFacts::default());
    let error = dify.call_once(AppInfoInvocation { app_id: "a".to_owned() }).await.unwrap_err();
    assert!(error.kind == DifyErrorKind::Malformed && error.message.contains("without a result"), "{error}");
    assert!(dify.tool(ToolType::Api, "p", "t").whole().await.unwrap().is_empty());
}

#[test]
fn needs_are_compared_with_the_manifest() {
    let found = |needs: &[Permission], granted: Value| {
        let problems = permission::compare(needs, &permissions(granted));
        problems.into_iter().map(|problem| (problem.severity, problem.path)).collect::<Vec<_>>()
    };
    let path = |path: &str| format!("resource.permission.{path}");
    let llm = json!({"model": {"enabled": true, "llm": true}, "endpoint": {"enabled": true}});
    assert_eq!(found(&[Permission::Llm], llm.clone()), []);
    assert_eq!(found(&[], llm.clone()), [], "a plugin that says nothing is not compared");
    assert_eq!(
        found(&[Permission::Tool, Permission::Rerank], llm),
        [
            (Severity::Error, path("tool.enabled")),
            (Severity::Error, path("model.rerank")),
            (Severity::Warning, path("model.llm"))
        ]
    );
    let switched_off = json!({"model": {"enabled": false, "llm": true}});
    assert_eq!(found(&[Permission::Llm], switched_off), [(Severity::Error, path("model.llm"))]);
    let problem = &permission::compare(&[Permission::Storage], &permissions(json!({})))[0];
    assert!(problem.message.contains("`storage: {enabled: true, size: 1048576}`"), "{}", problem.message);
}

#[test]
fn the_permission_of_each_call_is_the_daemons() {
    // `permissionMapping` in `backwards_invocation/task.go`.
    for (invoke_type, expected) in [
        ("llm", Some(Permission::Llm)),
        ("llm_structured_output", Some(Permission::Llm)),
        ("system_summary", Some(Permission::Llm)),
        ("text_embedding", Some(Permission::TextEmbedding)),
        ("multimodal_embedding", Some(Permission::TextEmbedding)),
        ("rerank", Some(Permission::Rerank)),
        ("multimodal_rerank", Some(Permission::Rerank)),
        ("tts", Some(Permission::Tts)),
        ("speech2text", Some(Permission::Speech2text)),
        ("moderation", Some(Permission::Moderation)),
        ("tool", Some(Permission::Tool)),
        ("app", Some(Permission::App)),
        ("fetch_app", Some(Permission::App)),
        ("node_parameter_extractor", Some(Permission::Node)),
        ("node_question_classifier", Some(Permission::Node)),
        ("storage", Some(Permission::Storage)),
        ("upload_file", None),
    ] {
        let call = InvokeType::of_name(invoke_type).unwrap();
        assert_eq!(permission::needed(call), expected, "{invoke_type}");
    }
}
