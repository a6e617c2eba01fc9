//! A provider as Dify sees it: names, icons, credential forms, and the models it declares.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::i18n::I18n;
use crate::protocol::ModelType;

/// A provider's declaration, from `provider/*.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderDeclaration {
    /// Short name (`google`); the `provider` of every request.
    pub provider: String,
    /// Name shown.
    pub label: I18n,
    /// One sentence.
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
    /// Background colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
    /// Where to get a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<ProviderHelp>,
    /// Kinds of model it offers.
    pub supported_model_types: Vec<ModelType>,
    /// `predefined-model`, `customizable-model`.
    pub configurate_methods: Vec<ConfigurateMethod>,
    /// Form of the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_credential_schema: Option<CredentialForm>,
    /// Form of a customizable model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_credential_schema: Option<ModelCredentialForm>,
    /// Keys that Dify does not know, kept for the packager and the provider's code.
    #[serde(flatten, skip_serializing)]
    pub extra: Map<String, Value>,
}

impl ProviderDeclaration {
    /// Every icon file it names, in any size and language.
    pub fn icons(&self) -> impl Iterator<Item = &str> {
        [&self.icon_small, &self.icon_large, &self.icon_small_dark, &self.icon_large_dark]
            .into_iter()
            .flatten()
            .flat_map(I18n::texts)
    }

    /// The fields of both forms.
    pub fn credential_fields(&self) -> impl Iterator<Item = &CredentialField> {
        let provider = self.provider_credential_schema.iter().flat_map(|form| &form.credential_form_schemas);
        let model = self.model_credential_schema.iter().flat_map(|form| &form.credential_form_schemas);
        provider.chain(model)
    }

    /// Whether the value of a credential field must not be shown: Dify hides it, it is a key by its name, or the provider's
    /// file does not name it.
    pub fn is_secret(&self, name: &str) -> bool {
        let mut fields = self.credential_fields().filter(|field| field.variable == name).peekable();
        (fields.peek().is_none() && !self.is_unlisted(name))
            || name.ends_with("_key")
            || fields.any(|field| field.kind == CredentialFieldType::SecretInput)
    }
}

/// How a provider is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigurateMethod {
    /// Models declared in files.
    PredefinedModel,
    /// Models made by the user.
    CustomizableModel,
}

/// A link to the page where credentials are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderHelp {
    /// Text of the link.
    pub title: I18n,
    /// Target of the link.
    pub url: I18n,
}

/// A form of credential fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CredentialForm {
    /// The fields in order.
    #[serde(default)]
    pub credential_form_schemas: Vec<CredentialField>,
}

/// The form of a customizable model: the model's name and the fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCredentialForm {
    /// How the model's name is asked for.
    pub model: ModelNameField,
    /// The fields in order.
    #[serde(default)]
    pub credential_form_schemas: Vec<CredentialField>,
}

/// See [`ModelCredentialForm`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelNameField {
    /// Label of the field.
    pub label: I18n,
    /// Example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<I18n>,
}

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CredentialField {
    /// Name in the credentials.
    pub variable: String,
    /// Label shown.
    pub label: I18n,
    /// Kind of field.
    #[serde(rename = "type")]
    pub kind: CredentialFieldType,
    /// Whether it must be filled in, when it is shown. The reference SDK's default is true, the daemon's false: always written.
    #[serde(default = "yes")]
    pub required: bool,
    /// Value when nothing is filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Values of a select or radio field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<CredentialOption>,
    /// Example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<I18n>,
    /// Explanation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<I18n>,
    /// Link of the explanation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Longest value; 0 is no limit.
    #[serde(default)]
    pub max_length: u64,
    /// Shown only when all of these hold.
    #[serde(default)]
    pub show_on: Vec<ShowOn>,
}

fn yes() -> bool {
    true
}

/// Kinds of field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialFieldType {
    /// Text.
    TextInput,
    /// Text that is not shown.
    SecretInput,
    /// One of a list.
    Select,
    /// One of a few.
    Radio,
    /// Yes or no.
    Switch,
}

/// A value of a select or radio field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CredentialOption {
    /// Label shown.
    pub label: I18n,
    /// The value.
    pub value: String,
    /// Offered only when all of these hold.
    #[serde(default)]
    pub show_on: Vec<ShowOn>,
}

/// A condition on another field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowOn {
    /// The other field.
    pub variable: String,
    /// The value it must have.
    pub value: String,
}
