//! Names and addresses in facts: credentials that no form has, URLs that are none, headers that cannot be sent. What it is
//! not: rules about keys that exclude each other.

use serde_json::{Map, Value};

use super::super::facts::{BaseUrl, Facts, WireName};
use super::super::template::Template;
use super::{Found, not_a_url};

impl Found<'_> {
    /// Checks the block of some models.
    pub(super) fn block(&mut self, path: &str, block: &Map<String, Value>) {
        // What cannot be read has been named before.
        if let Ok(facts) = serde_json::from_value::<Facts>(Value::Object(block.clone())) {
            let path = if path.is_empty() { String::new() } else { format!("{path}.") };
            self.names(&path, &facts);
            self.chat(&path, &facts);
        }
    }

    /// Checks the names in facts; `prefix` is the beginning of their paths.
    pub(super) fn names(&mut self, prefix: &str, facts: &Facts) {
        match &facts.base_url {
            None => {}
            Some(BaseUrl::Template(template)) => self.url(&format!("{prefix}base_url"), template),
            Some(BaseUrl::Choice(choice)) => {
                self.field(&format!("{prefix}base_url.by"), &choice.by);
                for (value, template) in &choice.when {
                    self.url(&format!("{prefix}base_url.when.{value}"), template);
                }
                if let Some(other) = &choice.other {
                    self.url(&format!("{prefix}base_url.else"), other);
                }
                if choice.when.is_empty() {
                    self.error(format!("{prefix}base_url.when"), "has no value");
                }
            }
        }
        for (name, template) in &facts.headers {
            let path = format!("{prefix}headers.{name}");
            self.template(&path, template);
            if http::HeaderName::try_from(name.trim()).is_err() {
                self.error(&path, "is not a valid header name");
            }
            if template.as_text().is_some_and(|text| http::HeaderValue::from_str(text).is_err()) {
                self.error(&path, "contains characters that are not allowed in a header");
            }
        }
        for (name, template) in &facts.query {
            self.template(&format!("{prefix}query.{name}"), template);
        }
        for (key, template) in facts.paths.given() {
            let path = format!("{prefix}paths.{key}");
            self.template(&path, template);
            if template.as_text().is_some_and(|text| text.contains("://") && not_a_url(text).is_some()) {
                self.error(&path, "is not a valid URL");
            }
        }
        if let Some(WireName::Template(template)) = &facts.model {
            self.template(&format!("{prefix}model"), template);
        }
        let blocks = [
            ("chat", facts.chat.names()),
            ("embedding", facts.embedding.names()),
            ("rerank", facts.rerank.names()),
            ("tts", facts.tts.names()),
            ("speech2text", facts.speech2text.names()),
            ("moderation", facts.moderation.names()),
            ("auth", facts.auth.names()),
            ("custom", facts.custom.names()),
        ];
        for (block, names) in blocks {
            for (path, name) in names {
                self.field(&format!("{prefix}{block}.{path}"), name);
            }
        }
    }

    fn url(&mut self, path: &str, template: &Template) {
        self.template(path, template);
        // What a credential contains is checked when it is used.
        let filled = template.fill(&|_: &str| None);
        if let Ok(text) = filled
            && let Some(what) = not_a_url(&text)
        {
            self.error(path, format!("`{text}` {what}"));
        }
    }
}
