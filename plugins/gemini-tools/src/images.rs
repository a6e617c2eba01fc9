//! What the two image tools share: size and aspect ratio, several requests at once, and the images as files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin::prelude::*;
use dify_plugin::serde_json::{Map, Value, json};
use dify_plugin_gemini::file_type::by_bytes;
use dify_plugin_gemini::wire::{GenerateContentRequest, UsageMetadata};
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::output::{send, usage};
use crate::service::{Account, Reply, explained};

/// Width to height. A model that does not support a ratio reports it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum AspectRatio {
    /// 1:1 (square)
    #[serde(rename = "1:1")]
    Square,
    /// 16:9
    #[serde(rename = "16:9")]
    R16x9,
    /// 9:16
    #[serde(rename = "9:16")]
    R9x16,
    /// 4:3
    #[serde(rename = "4:3")]
    R4x3,
    /// 3:4
    #[serde(rename = "3:4")]
    R3x4,
    /// 3:2
    #[serde(rename = "3:2")]
    R3x2,
    /// 2:3
    #[serde(rename = "2:3")]
    R2x3,
    /// 5:4
    #[serde(rename = "5:4")]
    R5x4,
    /// 4:5
    #[serde(rename = "4:5")]
    R4x5,
    /// 21:9
    #[serde(rename = "21:9")]
    R21x9,
    /// 4:1
    #[serde(rename = "4:1")]
    R4x1,
    /// 1:4
    #[serde(rename = "1:4")]
    R1x4,
    /// 8:1
    #[serde(rename = "8:1")]
    R8x1,
    /// 1:8
    #[serde(rename = "1:8")]
    R1x8,
}

/// Length of the longer side.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Size {
    /// 512 pixels
    #[serde(rename = "512")]
    Half,
    /// 1K
    #[serde(rename = "1K")]
    One,
    /// 2K
    #[serde(rename = "2K")]
    Two,
    /// 4K
    #[serde(rename = "4K")]
    Four,
}

/// What is requested in addition to the prompt.
pub struct Layout {
    pub aspect_ratio: Option<AspectRatio>,
    pub size: Option<Size>,
}

/// Models that reject a size or a ratio, by a part of their names. Source: the pages of the models, as of 26 November
/// 2026; for Nano Banana 2.1 also docs.laozhang.ai, which reports status 400 for 512.
const LIMITS: [(&str, &[Size], bool); 3] = [
    ("nano-banana-2", &[Size::One, Size::Two, Size::Four], true),
    ("gemini-3-pro-image", &[Size::One, Size::Two, Size::Four], false),
    ("gemini-2.5-flash-image", &[], false),
];

impl Layout {
    /// Adds the layout to a request. What a known model does not support is rejected before anything is billed.
    pub fn apply(&self, model: &str, request: &mut GenerateContentRequest) -> Result<(), PluginError> {
        let known = LIMITS.iter().find(|(part, ..)| model.contains(part));
        let mut image = Map::new();
        if let Some(ratio) = self.aspect_ratio {
            let is_long =
                matches!(ratio, AspectRatio::R4x1 | AspectRatio::R1x4 | AspectRatio::R8x1 | AspectRatio::R1x8);
            if is_long && known.is_some_and(|(.., long)| !long) {
                return Err(unsupported(model, "aspect_ratio", &json!(ratio)));
            }
            image.insert("aspectRatio".to_owned(), json!(ratio));
        }
        if let Some(size) = self.size {
            if known.is_some_and(|(_, sizes, _)| !sizes.contains(&size)) {
                return Err(unsupported(model, "size", &json!(size)));
            }
            image.insert("imageSize".to_owned(), json!(size));
        }
        let config = &mut request.generation_config;
        config.insert("responseModalities".to_owned(), json!(["TEXT", "IMAGE"]));
        if !image.is_empty() {
            config.insert("imageConfig".to_owned(), image.into());
        }
        Ok(())
    }
}

/// Maximum number of images of a call, each of which is a request.
const MAX_COUNT: u8 = 4;

/// Checks the number of images.
pub fn count(wanted: Option<u8>) -> Result<u8, PluginError> {
    match wanted.unwrap_or(1) {
        count @ 1..=MAX_COUNT => Ok(count),
        count => {
            Err(PluginError::bad_request(format!("parameter `count` must be from 1 to {MAX_COUNT}, found {count}")))
        }
    }
}

fn unsupported(model: &str, parameter: &str, value: &Value) -> PluginError {
    let value = value.as_str().unwrap_or_default();
    PluginError::bad_request(format!("model `{model}` does not support `{parameter}` {value}"))
        .with_hint("Choose another value or another model.")
}

/// An image that a model returned.
struct Image {
    mime_type: String,
    bytes: Vec<u8>,
}

/// Sends the request `count` times at once, and the images of all answers as files. Fails if no answer has an image;
/// what failed beside others that have one is reported with them.
pub async fn generate(
    account: &Account<'_>,
    model: &str,
    request: &GenerateContentRequest,
    count: u8,
    out: &mut Messages,
) -> Result<(), PluginError> {
    let replies = join_all((0..count.max(1)).map(|_| one(account, model, request.clone()))).await;
    let (mut images, mut texts, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    let (mut total, mut answered) = (UsageMetadata::default(), None);
    for reply in replies {
        match reply {
            Ok((found, reply)) => {
                images.extend(found);
                let text = reply.answer.text().trim().to_owned();
                if !text.is_empty() && !texts.contains(&text) {
                    texts.push(text);
                }
                add(&mut total, &reply.answer.usage);
                answered = answered.or(reply.answer.model);
            }
            Err(error) => failures.push(error),
        }
    }
    if images.is_empty() {
        return Err(failures.into_iter().next().unwrap_or_else(|| PluginError::internal("no request was sent")));
    }
    let mut described = Vec::new();
    for (index, image) in images.iter().enumerate() {
        let extension = match image.mime_type.as_str() {
            "image/jpeg" => "jpg",
            other => other.split_once('/').map_or("png", |(_, name)| name),
        };
        let name = format!("image-{}.{extension}", index + 1);
        out.blob(&image.bytes, BlobMeta::new(&image.mime_type).with_filename(&name)).await?;
        described.push(json!({"file_name": name, "mime_type": image.mime_type, "bytes": image.bytes.len()}));
    }
    let failures: Vec<String> = failures.iter().map(PluginError::detail).collect();
    let mut text = match images.len() {
        1 => "1 image was generated.".to_owned(),
        many => format!("{many} images were generated."),
    };
    if !failures.is_empty() {
        text.push_str(&format!(" {} of {count} requests failed: {}", failures.len(), failures[0]));
    }
    for description in &texts {
        text.push_str("\n\n");
        text.push_str(description);
    }
    let members = [
        ("model", json!(answered.as_deref().unwrap_or(model))),
        ("image_count", json!(images.len())),
        ("images", json!(described)),
        ("description", json!(texts.join("\n\n"))),
        ("failures", json!(failures)),
        ("usage", usage(&total)),
    ];
    let everything = members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    send(out, &text, everything, &["image_count", "images", "description"]).await
}

/// Sends one request and decodes the images of its answer; no image is an error that says why.
async fn one(
    account: &Account<'_>,
    model: &str,
    request: GenerateContentRequest,
) -> Result<(Vec<Image>, Reply), PluginError> {
    let mut reply = account.ask(model, request).await?;
    let mut images = Vec::new();
    // Thoughts contain drafts.
    for part in reply.answer.parts.iter_mut().filter(|part| part.thought != Some(true)) {
        let Some(blob) = part.inline_data.take() else { continue };
        // Google labels some of its images with the wrong type.
        let mime_type = by_bytes(&blob.data).map_or(blob.mime_type, str::to_owned);
        let bytes = STANDARD
            .decode(&blob.data)
            .map_err(|_| PluginError::server_unavailable("the image data is not valid Base64"))?;
        if mime_type.starts_with("image/") && !bytes.is_empty() {
            images.push(Image { mime_type, bytes });
        }
    }
    match images.is_empty() {
        false => Ok((images, reply)),
        true => Err(no_image(model, reply)),
    }
}

fn no_image(model: &str, reply: Reply) -> PluginError {
    let text = reply.answer.text();
    match (reply.answer.ended.is_whole(), text.trim()) {
        (true, "") => explained(reply.answer.ended.no_output()),
        (true, text) => {
            PluginError::bad_request(format!("model `{model}` answered without an image: {}", shortened(text)))
                .with_hint("Describe what the image is to show, or choose a model for images.")
        }
        (false, _) => explained(reply.answer.ended.no_output()),
    }
}

/// The beginning of a text, for an error.
fn shortened(text: &str) -> String {
    const MAX_CHARACTERS: usize = 300;
    let mut short: String = text.chars().take(MAX_CHARACTERS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn add(total: &mut UsageMetadata, usage: &UsageMetadata) {
    let sum = |one: Option<u64>, other: Option<u64>| Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0)));
    total.prompt_token_count = sum(total.prompt_token_count, usage.prompt_token_count);
    total.candidates_token_count = sum(total.candidates_token_count, usage.candidates_token_count);
    total.thoughts_token_count = sum(total.thoughts_token_count, usage.thoughts_token_count);
    total.tool_use_prompt_token_count = sum(total.tool_use_prompt_token_count, usage.tool_use_prompt_token_count);
    total.total_token_count = sum(total.total_token_count, usage.total_token_count);
}
