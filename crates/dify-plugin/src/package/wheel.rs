//! Builds a platform wheel with the executable. The installer chooses it by CPU and makes the file executable.
//!
//! Source: Python packaging specification "Binary distribution format".

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::archive::{self, Files};
use super::{PackageError, Target};

/// Name of the distribution, and of the executable that it installs.
/// The daemon searches for its SDK by name, so this name must not resemble it.
pub const DISTRIBUTION: &str = "native-model-runtime";

/// A built wheel.
pub struct Wheel {
    /// File name.
    pub name: String,
    /// Contents.
    pub bytes: Vec<u8>,
}

impl Wheel {
    /// Packs an executable.
    pub fn build(target: Target, version: &str, executable: &[u8]) -> Result<Self, PackageError> {
        let stem = format!("{}-{version}", DISTRIBUTION.replace('-', "_"));
        let script = format!("{stem}.data/scripts/{DISTRIBUTION}");
        let info = format!("{stem}.dist-info");
        let tags = target.platform_tags();
        let mut wheel = "Wheel-Version: 1.0\nGenerator: dify-plugin-runtime\nRoot-Is-Purelib: false\n".to_owned();
        for tag in &tags {
            wheel.push_str(&format!("Tag: py3-none-{tag}\n"));
        }
        let metadata = format!(
            "Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {version}\n\
             Summary: The native executable of this plugin\nLicense: Apache-2.0\n"
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
