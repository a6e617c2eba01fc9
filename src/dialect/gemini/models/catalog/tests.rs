//! Lookup of names in the declared models.

use std::path::Path;

use super::*;

/// The catalog as declared in the repository.
fn catalog() -> Catalog {
    let declared = dify_plugin::declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let google = declared.providers.into_iter().find(|provider| provider.declaration.provider == "google").unwrap();
    Catalog::new(google.models.into_iter().map(Arc::new).collect())
}

#[test]
fn finds_models_by_id_with_path_and_version() {
    let catalog = catalog();
    for (id, model) in [
        ("gemini-3.8-flash", Some("gemini-3.8-flash")),
        ("models/gemini-3.8-flash", Some("gemini-3.8-flash")),
        ("publishers/google/models/gemini-3.8-flash-002", Some("gemini-3.8-flash")),
        ("projects/p/locations/l/publishers/google/models/gemini-3.8-flash@001", Some("gemini-3.8-flash")),
        ("Gemini-3.8-Flash-Preview-09-2026", Some("gemini-3.8-flash")),
        ("gemini-3.5-flash-lite-001", Some("gemini-3.5-flash-lite")),
        ("gemini-4-argon-exp", Some("gemini-4-argon")),
        ("gemini-3.1-pro-preview-customtools", Some("gemini-3.1-pro-preview-customtools")),
        ("gemini-embedding-001", Some("gemini-embedding-001")),
        ("gemini-1.5-pro-002", None),
        ("gemini-3.8-flash-x", None),
        ("gemini-3.8-flash-", None),
        ("gemini-3.8", None),
        ("gpt-6", None),
        ("", None),
    ] {
        assert_eq!(catalog.find(id).map(|found| found.model.as_str()), model, "{id}");
    }
}

#[test]
fn custom_models_resemble_the_declared_model_in_their_name() {
    let catalog = catalog();
    let (llm, embedding, tts, speech) =
        (ModelType::Llm, ModelType::TextEmbedding, ModelType::Tts, ModelType::Speech2text);
    for (id, kind, chosen, model, is_named) in [
        // A version of a declared model is that model.
        ("gemini-3.8-flash-002", llm, None, "gemini-3.8-flash", true),
        ("models/gemini-2.5-pro", llm, None, "gemini-2.5-pro", true),
        ("gemini-2.5-flash-001", llm, None, "gemini-2.5-flash", true),
        // The nearest version of the same size.
        ("models/gemini-3.6-flash-x", llm, None, "gemini-3.6-flash", false),
        ("gemini-3.1-pro", llm, None, "gemini-3.1-pro-preview", false),
        ("gemini-3-pro-x", llm, None, "gemini-3.1-pro-preview", false),
        ("gemini-2.5-pro-x", llm, None, "gemini-2.5-pro", false),
        ("vertex-gemini-2.5-pro", llm, None, "gemini-2.5-pro", false),
        ("gemini-2.0-flash-lite-x", llm, None, "gemini-2.5-flash-lite", false),
        // Newer than all models of its size: the alias of that size.
        ("gemini-3.6-pro", llm, None, "gemini-pro-latest", false),
        ("gemini-flash-next", llm, None, "gemini-flash-latest", false),
        ("gemini-flash-lite-next", llm, None, "gemini-flash-lite-latest", false),
        // Other Google products.
        ("gemini-3-pro-image-x", llm, None, "gemini-3-pro-image", false),
        ("nano-banana-pro-preview", llm, None, "gemini-3-pro-image", false),
        ("gemma-3-27b-it", llm, None, "gemma-3-27b-it", true),
        ("models/gemma-4-12b-it", llm, None, "gemma-3-27b-it", false),
        ("gemini-3.8-flash-tts", llm, None, "gemini-3.8-flash-tts", false),
        // Names that identify no model.
        ("tunedModels/abc", llm, None, "gemini-2.5-flash-lite", false),
        ("projects/p/locations/l/endpoints/123", llm, None, "gemini-2.5-flash-lite", false),
        ("my-3.5-model", llm, None, "gemini-2.5-flash-lite", false),
        ("learnlm-3-image", llm, None, "gemini-2.5-flash-lite", false),
        // Choices of the form, current and former ones.
        ("endpoints/123", llm, Some("gemini-3.8-flash"), "gemini-3.8-flash", true),
        ("endpoints/123", llm, Some("models/gemini-3.1-pro-preview"), "gemini-3.1-pro-preview", true),
        ("endpoints/123", llm, Some("gemini-3.6"), "gemini-3.6-flash", false),
        ("endpoints/123", llm, Some("gemini-3"), "gemini-3-flash-preview", false),
        ("gemini-pro-tuned", llm, Some("gemini-3"), "gemini-3.1-pro-preview", false),
        ("endpoints/123", llm, Some("gemini-2.5-pro"), "gemini-2.5-pro", true),
        ("endpoints/123", llm, Some("gemini-2.5-flash"), "gemini-2.5-flash", true),
        ("endpoints/123", llm, Some("gemini-2"), "gemini-2.5-flash", false),
        ("endpoints/123", llm, Some("gemma"), "gemma-3-27b-it", false),
        ("endpoints/123", llm, Some("tts"), "gemini-3.8-flash-tts", false),
        // Other types.
        ("gemini-embedding-2-001", embedding, None, "gemini-embedding-2", true),
        ("models/gemini-embedding-3", embedding, None, "gemini-embedding-2", false),
        ("my-embedder", embedding, None, "gemini-embedding-001", false),
        ("gemini-3.9-flash-tts", tts, None, "gemini-3.8-flash-tts", false),
        ("gemini-4-transcribe", speech, None, "gemini-3.5-transcribe", false),
    ] {
        let like = catalog.like(id, kind, chosen).unwrap();
        assert_eq!((like.model.model.as_str(), like.is_named), (model, is_named), "{id} {chosen:?}");
        assert_eq!(like.model.model_type == ModelType::Tts, model.ends_with("tts"), "{id}");
    }
    for (id, chosen) in [("x", Some("gpt-6")), ("gemini-3.8-flash", Some("nonsense")), ("x", Some("deep-research-x"))] {
        assert!(catalog.like(id, llm, chosen).is_none(), "{id} {chosen:?}");
    }
}

#[test]
fn recognizes_image_models_and_gemini_4_by_name() {
    let catalog = catalog();
    let data = |id: &str| {
        let like = catalog.like(id, ModelType::Llm, None).unwrap();
        (like.model.clone(), crate::dialect::gemini::ModelProfile::of(&like.model).unwrap())
    };
    for id in ["gemini-nano-banana-2.1", "gemini-nano-banana-3", "nano-banana-x", "gemini-5-flash-image", "image"] {
        assert!(data(id).1.response_modalities.contains(&"IMAGE".to_owned()), "{id}");
    }
    for id in ["gemini-4-xenon", "gemini-4", "gemini-5-x", "gemini-4-pro-preview", "models/gemini-10.2-lite"] {
        let (model, profile) = data(id);
        assert!(!profile.sampling && profile.refuses_prefill && profile.cache_minimum.is_none(), "{id}");
        let absent = ["thinking_budget", "temperature", "top_k", "presence_penalty", "context_cache"];
        assert!(absent.iter().all(|name| model.rule(name).is_none()), "{id}");
        let levels = &model.rule("thinking_level").unwrap().options;
        assert!(!levels.iter().any(|level| level.eq_ignore_ascii_case("minimal")), "{id}: {levels:?}");
    }
}
