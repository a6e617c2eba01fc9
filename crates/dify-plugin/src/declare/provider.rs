//! A provider as Dify sees it: names, icons, credential forms, and the models it declares.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::i18n::I18n;
use crate::protocol::ModelType;

/// A provider's declaration, from `provider/*.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderDeclaration {
    /// Short name (`google`); the `provider` of every request.
    pub provider: String,
    /// Displayed name.
    pub label: I18n,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<I18n>,
    /// File names in `_assets`, by language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_small: Option<I18n>,
    /// File names in `_assets`, by language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_large: Option<I18n>,
    /// File names in `_assets`, by language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_small_dark: Option<I18n>,
    /// File names in `_assets`, by language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_large_dark: Option<I18n>,
    /// Background color.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
    /// Link to the page where credentials are created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<ProviderHelp>,
    /// Supported model types.
    pub supported_model_types: Vec<ModelType>,
    /// `predefined-model`, `customizable-model`.
    pub configurate_methods: Vec<ConfigurateMethod>,
    /// Credential form of the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_credential_schema: Option<CredentialForm>,
    /// Credential form of a customizable model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_credential_schema: Option<ModelCredentialForm>,
    /// Keys that Dify does not know, for the packager and the provider's code.
    #[serde(flatten, skip_serializing)]
    pub extra: Map<String, Value>,
}

impl ProviderDeclaration {
    /// Returns every icon file, in any size and language.
    pub fn icons(&self) -> impl Iterator<Item = &str> {
        [&self.icon_small, &self.icon_large, &self.icon_small_dark, &self.icon_large_dark]
            .into_iter()
            .flatten()
            .flat_map(I18n::texts)
    }

    /// Returns the fields of both forms.
    pub fn credential_fields(&self) -> impl Iterator<Item = &CredentialField> {
        let provider = self.provider_credential_schema.iter().flat_map(|form| &form.credential_form_schemas);
        let model = self.model_credential_schema.iter().flat_map(|form| &form.credential_form_schemas);
        provider.chain(model)
    }

    /// Whether the value of a credential field is secret: Dify hides it, its name is that of a key, or the provider's
    /// file does not list it.
    pub fn is_secret(&self, name: &str) -> bool {
        let mut fields = self.credential_fields().filter(|field| field.variable == name).peekable();
        (fields.peek().is_none() && !self.is_unlisted(name))
            || name.ends_with("_key")
            || fields.any(|field| field.kind == CredentialFieldType::SecretInput)
    }
}

/// How a provider is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ConfigurateMethod {
    /// Models declared in files.
    PredefinedModel,
    /// Models created by the user.
    CustomizableModel,
}

/// A link to the page where credentials are created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderHelp {
    /// Text of the link.
    pub title: I18n,
    /// Target of the link.
    pub url: I18n,
}

/// A form of credential fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CredentialForm {
    /// The fields in order.
    #[serde(default)]
    pub credential_form_schemas: Vec<CredentialField>,
}

/// The form of a customizable model: the model's name and the fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelCredentialForm {
    /// Form field of the model's name.
    pub model: ModelNameField,
    /// The fields in order.
    #[serde(default)]
    pub credential_form_schemas: Vec<CredentialField>,
}

/// Form field of the model's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelNameField {
    /// Label of the field.
    pub label: I18n,
    /// Placeholder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<I18n>,
}

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CredentialField {
    /// Name in the credentials.
    pub variable: String,
    /// Displayed label.
    pub label: I18n,
    /// Type of the field.
    #[serde(rename = "type")]
    pub kind: CredentialFieldType,
    /// Whether it is required when it is shown. The Python SDK's default is true, the daemon's false, so it is always
    /// written.
    #[serde(default = "yes")]
    pub required: bool,
    /// Default value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Options of a select or radio field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<CredentialOption>,
    /// Placeholder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<I18n>,
    /// Help text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<I18n>,
    /// Link of the help text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Maximum length; 0 is no limit.
    #[serde(default)]
    pub max_length: u64,
    /// Conditions under which the field is shown.
    #[serde(default)]
    pub show_on: Vec<ShowOn>,
}

fn yes() -> bool {
    true
}

/// Types of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CredentialFieldType {
    /// Text.
    TextInput,
    /// Text that is not displayed.
    SecretInput,
    /// Drop-down list.
    Select,
    /// Radio buttons.
    Radio,
    /// Boolean.
    Switch,
}

/// An option of a select or radio field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CredentialOption {
    /// Displayed label.
    pub label: I18n,
    /// Value.
    pub value: String,
    /// Conditions under which the option is shown.
    #[serde(default)]
    pub show_on: Vec<ShowOn>,
}

/// A condition on another field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShowOn {
    /// The other field.
    pub variable: String,
    /// The value it must have.
    pub value: String,
}
