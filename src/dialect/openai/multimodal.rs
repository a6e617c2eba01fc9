//! Texts and images of multimodal embedding and rerank models: the formats that servers read. Which images a server may
//! load is not checked here.

use serde_json::{Value, json};

use dify_plugin::protocol::{MultimodalContent, MultimodalContentType};

/// Returns `{"text"}` or `{"image"}`, as Xinference and Jina read them.
pub fn object(content: MultimodalContent) -> Value {
    match content.content_type {
        MultimodalContentType::Image => json!({"image": image_url(content.content)}),
        _ => json!({"text": content.content}),
    }
}

/// Returns `{"content": [part]}`, as vLLM reads the documents of a ranking.
pub fn parts(content: MultimodalContent) -> Value {
    let part = match content.content_type {
        MultimodalContentType::Image => {
            json!({"type": "image_url", "image_url": {"url": image_url(content.content)}})
        }
        _ => json!({"type": "text", "text": content.content}),
    };
    json!({"content": [part]})
}

/// Converts Base64 without a prefix to a data URL.
pub fn image_url(content: String) -> String {
    if content.contains("://") || content.starts_with("data:") {
        return content;
    }
    let mime_type = match content.get(..4) {
        Some("/9j/") => "image/jpeg",
        Some("R0lG") => "image/gif",
        Some("UklG") => "image/webp",
        _ => "image/png",
    };
    format!("data:{mime_type};base64,{content}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_texts_and_images() {
        for (content, url) in [
            ("/9j/4AAQ", "data:image/jpeg;base64,/9j/4AAQ"),
            ("R0lGODlh", "data:image/gif;base64,R0lGODlh"),
            ("UklGRg==", "data:image/webp;base64,UklGRg=="),
            ("iVBORw0K", "data:image/png;base64,iVBORw0K"),
            ("é", "data:image/png;base64,é"),
            ("data:image/png;base64,AA==", "data:image/png;base64,AA=="),
            ("https://example.com/a.png", "https://example.com/a.png"),
        ] {
            assert_eq!(object(MultimodalContent::image(content)), json!({"image": url}));
            let part = json!({"type": "image_url", "image_url": {"url": url}});
            assert_eq!(parts(MultimodalContent::image(content)), json!({"content": [part]}));
        }
        assert_eq!(object(MultimodalContent::text("a://b")), json!({"text": "a://b"}));
        assert_eq!(parts(MultimodalContent::text("a")), json!({"content": [{"type": "text", "text": "a"}]}));
    }
}
