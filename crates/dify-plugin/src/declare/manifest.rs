//! The manifest: the root one of this repository, and the one of each package derived from it.
//!
//! A Dify package holds exactly one model provider, while a repository may hold several. What differs between the packages
//! (name, label, description, icon, tags, privacy) comes from the provider's own file, so nothing is written twice.
//! A provider file may override values in a `package` object: `name`, `tags`, `privacy`, `description`,
//! `minimum_dify_version`, and `readme`, the directory of the package's own pages (`README.md`, `README_zh_Hans.md` …).

use serde_json::{Map, Value, json};

use super::kind::PluginKind;
use super::provider::ProviderDeclaration;

/// The root manifest as written, members in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest(pub Map<String, Value>);

impl Manifest {
    /// Returns a text field; empty if it is absent.
    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the files of model providers that it lists.
    pub fn provider_files(&self) -> Vec<String> {
        self.files_of(PluginKind::Model)
    }

    /// Returns the files of a plugin type that it lists.
    pub fn files_of(&self, kind: PluginKind) -> Vec<String> {
        let files =
            self.0.get("plugins").and_then(|plugins| plugins.get(kind.manifest_key())).and_then(Value::as_array);
        files.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Returns the manifest of one provider's package; with a single provider, the manifest is unchanged.
    pub fn derive(&self, provider: &ProviderDeclaration, file: &str) -> Self {
        if self.provider_files().len() == 1 {
            return self.clone();
        }
        let mut manifest = self.0.clone();
        let package = provider.extra.get("package").and_then(Value::as_object);
        let own = |key: &str| package.and_then(|package| package.get(key)).cloned();
        let name = own("name").unwrap_or_else(|| format!("{}-{}", self.text("name"), provider.provider).into());
        manifest.insert("name".to_owned(), name);
        manifest.insert("label".to_owned(), json!(provider.label));
        let description = own("description").or_else(|| provider.description.as_ref().map(|text| json!(text)));
        for (key, value) in [
            ("description", description),
            ("icon", provider.icon_small.as_ref().map(|icon| icon.en_us.clone().into())),
            ("icon_dark", provider.icon_small_dark.as_ref().map(|icon| icon.en_us.clone().into())),
            ("tags", own("tags")),
            ("privacy", own("privacy")),
        ] {
            if let Some(value) = value {
                manifest.insert(key.to_owned(), value);
            }
        }
        let meta = manifest.get_mut("meta").and_then(Value::as_object_mut);
        if let (Some(version), Some(meta)) = (own("minimum_dify_version"), meta) {
            meta.insert("minimum_dify_version".to_owned(), version);
        }
        manifest.insert("plugins".to_owned(), json!({"models": [file]}));
        Self(manifest)
    }
}
