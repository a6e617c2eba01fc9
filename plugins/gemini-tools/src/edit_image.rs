//! The tool `edit_image`: changes images, or combines several into one.

use std::sync::Arc;

use dify_plugin::prelude::*;
use dify_plugin_gemini::wire::Part;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::files::{self, Readable};
use crate::images::{self, AspectRatio, Layout, Size};
use crate::models::{self, Use};
use crate::output::{given, require};
use crate::service::{Service, question};

/// Maximum number of images that a model reads. Source: Gemini API, "Image generation", as of 26 November 2026.
const MAX_IMAGES: usize = 14;

/// What can be edited.
const IMAGES: Readable = Readable { only_images: true, office_files: false };

/// Serves `tools/edit_image.yaml`.
pub struct EditImage(pub Arc<Service>);

#[derive(Deserialize, JsonSchema)]
pub struct Parameters {
    /// What to change
    prompt: String,
    /// Images to change or to combine
    #[serde(default)]
    images: Vec<File>,
    /// URLs of public images, separated by blanks or line breaks
    image_urls: Option<String>,
    /// Width to height; that of the image if empty
    aspect_ratio: Option<AspectRatio>,
    /// Length of the longer side; the model's default if empty
    size: Option<Size>,
    /// Number of images
    #[schemars(range(min = 1, max = 4))]
    count: Option<u8>,
    /// Model that draws
    model: Option<DynamicSelect>,
}

impl Tool for EditImage {
    const NAME: &'static str = "edit_image";
    type Parameters = Parameters;

    async fn invoke(&self, call: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
        let prompt = require("prompt", &parameters.prompt)?;
        let count = images::count(parameters.count)?;
        let urls: Vec<&str> =
            given(parameters.image_urls.as_deref()).into_iter().flat_map(str::split_whitespace).collect();
        let sources = parameters.images.len() + urls.len();
        if sources == 0 {
            return Err(PluginError::bad_request("there is no image: parameters `images` and `image_urls` are empty"));
        }
        if sources > MAX_IMAGES {
            return Err(PluginError::bad_request(format!(
                "there are {sources} images in `images` and `image_urls`; a model reads at most {MAX_IMAGES}"
            )));
        }
        let model = Use::Images.model(parameters.model);
        let layout = Layout { aspect_ratio: parameters.aspect_ratio, size: parameters.size };
        let account = self.0.account(&call)?;
        let mut request = question(Vec::new());
        layout.apply(&model, &mut request)?;
        let mut links = Vec::new();
        for url in urls {
            links.push(files::at(Some(files::mime_type_of_url("image_urls", url, true)?), url));
        }
        let downloaded = files::download(&call, "images", &parameters.images, IMAGES).await?;
        let mut is_first = true;
        loop {
            let mut uploaded = Vec::new();
            let mut parts = links.clone();
            parts.extend(files::parts(&account, &downloaded, &mut uploaded).await?);
            parts.push(Part::text(prompt));
            request.contents[0].parts = parts;
            match images::generate(&account, &model, &request, count, out).await {
                Err(error) if is_first && files::forget_missing(&account, &uploaded, &error) => is_first = false,
                outcome => return outcome,
            }
        }
    }

    async fn options(&self, call: Call, parameter: &str) -> Result<Vec<Choice>, PluginError> {
        models::choices(&self.0.account(&call)?, parameter, Use::Images).await
    }
}
