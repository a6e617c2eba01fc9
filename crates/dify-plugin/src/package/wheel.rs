//! Builds a platform wheel with the executable. The installer chooses it by CPU and makes the file executable.
//!
//! Source: Python packaging specification "Binary distribution format".

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::archive::{self, Files};
use super::{PackageError, Target};

/// Maximum length of a distribution's name in characters. A file name, with version and platforms, has at most 255 bytes.
const MAX_DISTRIBUTION_CHARACTERS: usize = 100;

/// Returns the name of the distribution, and of the executable that it installs. All plugins share the installer's cache, so
/// each has a name of its own. The daemon takes a distribution whose name ends like that of its SDK for the SDK; no name here
/// does.
pub fn distribution(author: &str, plugin: &str) -> String {
    let mut name = String::new();
    for character in format!("{author}-{plugin}").chars() {
        match character.to_ascii_lowercase() {
            character if character.is_ascii_alphanumeric() => name.push(character),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.truncate(MAX_DISTRIBUTION_CHARACTERS);
    format!("{}-native", name.trim_end_matches('-')).trim_start_matches('-').to_owned()
}

/// A built wheel.
pub struct Wheel {
    /// File name.
    pub name: String,
    /// Contents.
    pub bytes: Vec<u8>,
}

impl Wheel {
    /// Packs an executable, which the distribution installs by its own name.
    pub fn build(target: Target, distribution: &str, version: &str, executable: &[u8]) -> Result<Self, PackageError> {
        let stem = format!("{}-{version}", distribution.replace('-', "_"));
        let script = format!("{stem}.data/scripts/{distribution}");
        let info = format!("{stem}.dist-info");
        let tags = target.platform_tags();
        let mut wheel = "Wheel-Version: 1.0\nGenerator: dify-plugin\nRoot-Is-Purelib: false\n".to_owned();
        for tag in &tags {
            wheel.push_str(&format!("Tag: py3-none-{tag}\n"));
        }
        let metadata = format!(
            "Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n\
             Summary: The native executable of this plugin\n"
        );
        let mut files = Files::new();
        files.insert(script.clone(), executable.to_vec());
        files.insert(format!("{info}/METADATA"), metadata.into_bytes());
        files.insert(format!("{info}/WHEEL"), wheel.into_bytes());
        let mut record = String::new();
        for (path, bytes) in &files {
            let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(bytes));
            record.push_str(&format!("{path},sha256={hash},{}\n", bytes.len()));
        }
        record.push_str(&format!("{info}/RECORD,,\n"));
        files.insert(format!("{info}/RECORD"), record.into_bytes());
        let bytes = archive::write(&files, None, |path| if path == script { 0o755 } else { 0o644 })?;
        Ok(Self { name: format!("{stem}-py3-none-{}.whl", tags.join(".")), bytes })
    }

    /// Returns the SHA-256 hash of the wheel, for `requirements.txt`.
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_plugin_has_a_distribution_of_its_own() {
        let long = "a".repeat(128);
        for (author, plugin, name) in [
            ("acme", "weather", "acme-weather-native"),
            ("Acme_Inc", "my--weather_2", "acme-inc-my-weather-2-native"),
            ("_", "dify-plugin", "dify-plugin-native"),
            ("_", "-", "native"),
            ("acme", &long, &format!("acme-{}-native", "a".repeat(95))),
        ] {
            assert_eq!(distribution(author, plugin), name);
        }
    }
}
