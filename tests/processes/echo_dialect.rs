//! A dialect whose providers are configuration, without a network: it answers with what its facts say. The facts are
//! `url`, `provider`, `answer`, `only` (models by glob) and `left_out`.

use std::sync::Arc;

use dify_plugin::declare::{ModelSchema, price};
use dify_plugin::error::InvokeError;
use dify_plugin::model::{
    CallContext, Chunks, DeclaredProvider, Dialect, FactProblem, KnownPlugin, LeftOut, Provider, ResultFuture, Served,
    Validated,
};
use dify_plugin::protocol::{FinishReason, LlmDelta, LlmRequest, ModelRequest, ModelType, ValidateProviderRequest};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

pub struct Echo;

const KEYS: &[&str] = &["url", "provider", "answer", "only", "left_out"];

impl Dialect for Echo {
    fn key(&self) -> &'static str {
        "echo"
    }

    fn provider(&self, declared: &DeclaredProvider<'_>) -> Result<Served, Vec<FactProblem>> {
        let facts = declared.facts.as_object().ok_or_else(|| vec![FactProblem::error("", "must be an object")])?;
        let name = &declared.declaration.provider;
        let mut problems: Vec<FactProblem> = Vec::new();
        for key in facts.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            problems.push(FactProblem::error(key, "is not known"));
        }
        if let Some(other) = facts.get("provider").filter(|other| *other != name) {
            problems.push(FactProblem::error("provider", format!("is {other}, but the provider is `{name}`")));
        }
        let url = facts.get("url").and_then(Value::as_str).unwrap_or_default();
        if !url.starts_with("http") {
            problems.push(FactProblem::error("url", format!("must be a URL, found `{url}`")));
        }
        if url.ends_with('/') {
            problems.push(FactProblem::warning("url", "ends with a slash"));
        }
        for (index, pattern) in facts.get("only").and_then(Value::as_array).into_iter().flatten().enumerate() {
            if !declared.models.iter().any(|model| pattern == model.model.as_str()) {
                problems.push(FactProblem::error(format!("only[{index}]"), "matches no model"));
            }
        }
        for model in declared.models {
            if model.extra.get("echo").is_some_and(|block| block.get("pitch").is_some()) {
                problems.push(FactProblem::error("pitch", "is not known").of_model(model));
            }
        }
        let mut left_out = Vec::new();
        for (what, reason) in facts.get("left_out").and_then(Value::as_object).into_iter().flatten() {
            let reason = reason.as_str().unwrap_or_default();
            if let Some(kind) = ModelType::ALL.into_iter().find(|kind| kind.as_str() == what) {
                left_out.push(LeftOut::of_type(kind, reason));
            }
            let models = declared.models.iter().filter(|model| model.model == *what);
            left_out.extend(models.map(|model| LeftOut::of_model(model.model_type, what, reason)));
        }
        let has_errors = problems.iter().any(|problem| problem.severity == dify_plugin::declare::Severity::Error);
        if has_errors {
            return Err(problems);
        }
        let answer = facts.get("answer").and_then(Value::as_str).unwrap_or("nothing").to_owned();
        let provider = Arc::new(Answering { name: name.clone(), answer, url: url.to_owned() });
        Ok(Served::new(provider).left_out(left_out).warnings(problems))
    }

    fn schema(&self) -> Value {
        json!({"description": "How the echo answers.", "properties": {"url": {"type": "string", "description": "Where."}}})
    }

    fn known(&self) -> &'static [KnownPlugin] {
        const KNOWN: &[KnownPlugin] = &[
            KnownPlugin::served("published", "acme", PUBLISHED),
            KnownPlugin::unserved("odd", "odd", "it has an API of its own"),
        ];
        KNOWN
    }
}

const PUBLISHED: &str = "# What the echo needs.
provider: acme
url: https://api.acme.test/v1
answer: from the table
left_out:
  acme-draw: it draws
  tts: it speaks another protocol
";

struct Answering {
    name: String,
    answer: String,
    url: String,
}

impl Provider for Answering {
    fn name(&self) -> &str {
        &self.name
    }

    fn invoke_llm(&self, context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
        let usage = price::llm_usage(context.pricing(), 1, 1);
        let text = LlmDelta::text(format!("{}: {}", request.target.model, self.answer));
        stream::iter([Ok(text), Ok(LlmDelta::end(FinishReason::Stop, usage))]).boxed()
    }

    fn validate_provider(&self, _: CallContext, request: ValidateProviderRequest) -> ResultFuture<Validated> {
        let key = request.credentials.get("api_key").map(str::to_owned);
        let url = self.url.clone();
        Box::pin(async move {
            match key.as_deref() {
                Some("moved") => Ok(Validated::unchanged().with("endpoint_url", url)),
                Some("good") => Ok(Validated::unchanged()),
                _ => Err(InvokeError::authorization("wrong key")),
            }
        })
    }

    fn model_schema(&self, _: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        Box::pin(async move { Ok(ModelSchema::customizable(request.target.model, request.model_type)) })
    }
}
