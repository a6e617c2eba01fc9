//! The tool `read_pages`: Google reads public web pages, and the model answers from them.

use std::sync::Arc;

use dify_plugin::prelude::*;
use dify_plugin::serde_json::json;
use dify_plugin_gemini::wire::Part;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::models::{self, Use};
use crate::output::{given, require};
use crate::service::{Service, question};
use crate::sources::{READ, Sourced};

/// Maximum number of pages of a call. Source: Gemini API, "URL context".
const MAX_PAGES: usize = 20;

/// What is answered if nothing is asked.
const SUMMARIZE: &str = "Summarize each of these pages.";

/// A note after an answer for which Google reports no page.
const NOTHING_READ: &str = "\n\n[Google does not report that it read a page. The answer may not be based on one.]";

/// Serves `tools/read_pages.yaml`.
pub struct ReadPages(pub Arc<Service>);

#[derive(Deserialize, JsonSchema)]
pub struct Parameters {
    /// URLs of the pages, separated by blanks or line breaks
    urls: String,
    /// What to find out from the pages; a summary if empty
    question: Option<String>,
    /// Model that answers
    model: Option<DynamicSelect>,
}

impl Tool for ReadPages {
    const NAME: &'static str = "read_pages";
    type Parameters = Parameters;

    async fn invoke(&self, call: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
        let pages = pages(require("urls", &parameters.urls)?)?;
        let asked = given(parameters.question.as_deref()).unwrap_or(SUMMARIZE);
        let model = Use::Answers.model(parameters.model);
        let account = self.0.account(&call)?;
        let mut request = question(vec![Part::text(format!("{asked}\n\n{}", pages.join("\n")))]);
        request.tools.push(json!({"urlContext": {}}));
        let mut sourced = Sourced::ask(&account, &model, request).await?;
        check_read(&mut sourced)?;
        sourced.send(out, &["answer", "pages"]).await
    }

    async fn options(&self, call: Call, parameter: &str) -> Result<Vec<Choice>, PluginError> {
        models::choices(&self.0.account(&call)?, parameter, Use::Answers).await
    }
}

/// Reads the list of URLs. Google fetches the pages, so only public addresses lead to one.
fn pages(text: &str) -> Result<Vec<String>, PluginError> {
    // A comma may be part of a URL.
    let text = text.replace(",http", " http");
    let words = text.split(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '[' | ']' | '<' | '>'));
    let words = words.map(|word| word.trim_matches([',', ';'])).filter(|word| !word.is_empty());
    let mut pages = Vec::new();
    for word in words {
        let url = Url::parse(word).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| {
            PluginError::bad_request(format!("parameter `urls` contains `{word}`, which is not an http or https URL"))
        })?;
        if !pages.contains(&url.to_string()) {
            pages.push(url.into());
        }
    }
    match pages.len() {
        0 => Err(PluginError::bad_request("parameter `urls` contains no URL")),
        1..=MAX_PAGES => Ok(pages),
        count => Err(PluginError::bad_request(format!(
            "parameter `urls` contains {count} URLs; Google reads at most {MAX_PAGES} at once"
        ))),
    }
}

/// Fails if no page could be read: the answer would be made up. If Google does not report what it read, the text says so.
fn check_read(sourced: &mut Sourced) -> Result<(), PluginError> {
    let pages = sourced.everything["pages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let described =
        pages.iter().map(|page| [&page["uri"], &page["status"]].map(|text| text.as_str().unwrap_or_default()));
    let failed: Vec<String> =
        described.filter(|[_, state]| *state != READ).map(|[uri, state]| format!("{uri} ({state})")).collect();
    if pages.is_empty() {
        sourced.text.push_str(NOTHING_READ);
    }
    if failed.is_empty() || failed.len() < pages.len() {
        return Ok(());
    }
    Err(PluginError::bad_request(format!("Google could not read any of the pages: {}", failed.join(", "))).with_hint(
        "The pages must be public: no login, no payment, no private network. Google reads no YouTube and no \
         documents of Google Workspace.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_from_any_list() {
        for text in [
            "https://a.example/x https://b.example/",
            "https://a.example/x,\nhttps://b.example/",
            "https://a.example/x,https://b.example/",
            r#"["https://a.example/x", "https://b.example/", "https://a.example/x"]"#,
        ] {
            assert_eq!(pages(text).unwrap(), ["https://a.example/x", "https://b.example/"], "{text}");
        }
        let many: String = (0..21).map(|number| format!("https://a.example/{number} ")).collect();
        for (wrong, reason) in [
            (", ", "no URL"),
            ("example.com", "`example.com`"),
            ("file:///etc/passwd", "`file:"),
            (&many, "at most 20"),
        ] {
            assert!(pages(wrong).unwrap_err().message.contains(reason), "{wrong}");
        }
    }
}
