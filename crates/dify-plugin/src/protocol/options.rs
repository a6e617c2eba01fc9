//! The choices of a parameter of type `dynamic-select`, which Dify fetches when a user opens it.
//!
//! Source: `dify-plugin-daemon: pkg/entities/requests/dynamic_select.go`, `pkg/entities/dynamic_select_entities/`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::access::Access;
use super::flat::with_access;
use super::invocation::actions;

with_access! {
    /// `fetch_parameter_options`.
    pub struct FetchOptionsRequest {
        /// Name of a tool or an event, or `provider` for the parameters of a subscription.
        pub provider_action: String,
        /// Name of the parameter.
        pub parameter: String,
    }
}

/// Every action of dynamic options.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OptionsRequest {
    /// `fetch_parameter_options`
    Fetch(FetchOptionsRequest),
}

actions! { OptionsRequest: "fetch_parameter_options" => Fetch }

impl OptionsRequest {
    /// The fields, of which there is one kind only.
    pub fn fetch(&self) -> &FetchOptionsRequest {
        let Self::Fetch(request) = self;
        request
    }
}

/// One choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Choice {
    /// The value that the parameter gets.
    pub value: String,
    /// Text shown, by language; `en_US` is always there.
    pub label: BTreeMap<String, String>,
    /// URL of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}

impl Choice {
    /// A choice with an English label.
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        let value = value.into();
        let label = Some(label.into()).filter(|label| !label.is_empty()).unwrap_or_else(|| value.clone());
        Self { value, label: BTreeMap::from([("en_US".to_owned(), label)]), icon: None }
    }

    /// Adds the label in another language, such as `zh_Hans`.
    #[must_use]
    pub fn with_label(mut self, language: impl Into<String>, label: impl Into<String>) -> Self {
        self.label.insert(language.into(), label.into());
        self
    }

    /// Adds the URL of an image.
    #[must_use]
    pub fn with_icon(mut self, url: impl Into<String>) -> Self {
        self.icon = Some(url.into());
        self
    }
}

/// The result of `fetch_parameter_options`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choices {
    /// In the order shown.
    pub options: Vec<Choice>,
}
