//! The tool `create_image`: images from a description.

use std::sync::Arc;

use dify_plugin::prelude::*;
use dify_plugin_gemini::wire::Part;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::images::{self, AspectRatio, Layout, Size};
use crate::models::{self, Use};
use crate::output::require;
use crate::service::{Service, question};

/// Serves `tools/create_image.yaml`.
pub struct CreateImage(pub Arc<Service>);

#[derive(Deserialize, JsonSchema)]
pub struct Parameters {
    /// What the image shows
    prompt: String,
    /// Width to height; the model decides if empty
    aspect_ratio: Option<AspectRatio>,
    /// Length of the longer side; the model's default if empty
    size: Option<Size>,
    /// Number of images
    #[schemars(range(min = 1, max = 4))]
    count: Option<u8>,
    /// Model that draws
    model: Option<DynamicSelect>,
}

impl Tool for CreateImage {
    const NAME: &'static str = "create_image";
    type Parameters = Parameters;

    async fn invoke(&self, call: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
        let prompt = require("prompt", &parameters.prompt)?;
        let count = images::count(parameters.count)?;
        let model = Use::Images.model(parameters.model);
        let account = self.0.account(&call)?;
        let mut request = question(vec![Part::text(prompt)]);
        Layout { aspect_ratio: parameters.aspect_ratio, size: parameters.size }.apply(&model, &mut request)?;
        images::generate(&account, &model, &request, count, out).await
    }

    async fn options(&self, call: Call, parameter: &str) -> Result<Vec<Choice>, PluginError> {
        models::choices(&self.0.account(&call)?, parameter, Use::Images).await
    }
}
