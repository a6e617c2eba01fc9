//! Text in up to four languages; missing languages fall back to English.

use serde::{Deserialize, Serialize};

/// Text by language. `en_US` is required; the others fall back to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct I18n {
    /// English.
    #[serde(rename = "en_US")]
    pub en_us: String,
    /// Simplified Chinese.
    #[serde(rename = "zh_Hans", default, skip_serializing_if = "Option::is_none")]
    pub zh_hans: Option<String>,
    /// Brazilian Portuguese.
    #[serde(rename = "pt_BR", default, skip_serializing_if = "Option::is_none")]
    pub pt_br: Option<String>,
    /// Japanese.
    #[serde(rename = "ja_JP", default, skip_serializing_if = "Option::is_none")]
    pub ja_jp: Option<String>,
}

impl I18n {
    /// Creates a text that is the same in every language.
    pub fn same(text: impl Into<String>) -> Self {
        Self { en_us: text.into(), ..Self::default() }.filled()
    }

    /// Creates a text in English and Chinese.
    pub fn new(en_us: impl Into<String>, zh_hans: impl Into<String>) -> Self {
        Self { en_us: en_us.into(), zh_hans: Some(zh_hans.into()), ..Self::default() }.filled()
    }

    /// Returns the text with missing languages filled from English, as the Python SDK does before it sends it.
    #[must_use]
    pub fn filled(mut self) -> Self {
        for language in [&mut self.zh_hans, &mut self.pt_br, &mut self.ja_jp] {
            if language.as_deref().is_none_or(str::is_empty) {
                *language = Some(self.en_us.clone());
            }
        }
        self
    }

    /// Returns all texts, English first.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.en_us.as_str())
            .chain([&self.zh_hans, &self.pt_br, &self.ja_jp].into_iter().filter_map(Option::as_deref))
    }
}
