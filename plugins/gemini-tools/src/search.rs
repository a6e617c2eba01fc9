//! The tool `search`: an answer from Google Search with its sources.

use std::sync::Arc;

use dify_plugin::prelude::*;
use dify_plugin::serde_json::json;
use dify_plugin_gemini::wire::Part;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::models::{self, Use};
use crate::output::require;
use crate::service::{Service, question};
use crate::sources::Sourced;

/// Serves `tools/search.yaml`.
pub struct Search(pub Arc<Service>);

#[derive(Deserialize, JsonSchema)]
pub struct Parameters {
    /// Question to answer
    query: String,
    /// Model that answers
    model: Option<DynamicSelect>,
}

impl Tool for Search {
    const NAME: &'static str = "search";
    type Parameters = Parameters;

    async fn invoke(&self, call: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
        let query = require("query", &parameters.query)?;
        let model = Use::Answers.model(parameters.model);
        let account = self.0.account(&call)?;
        let mut request = question(vec![Part::text(query)]);
        request.tools.push(json!({"googleSearch": {}}));
        let sourced = Sourced::ask(&account, &model, request).await?;
        sourced.send(out, &["answer", "sources", "queries", "search_suggestions"]).await
    }

    async fn options(&self, call: Call, parameter: &str) -> Result<Vec<Choice>, PluginError> {
        models::choices(&self.0.account(&call)?, parameter, Use::Answers).await
    }
}
