//! The library that a new crate depends on: the published one of this version, or a checkout.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

/// How `Cargo.toml` names the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Members of the dependency, such as `version = "0.1"`.
    pub source: String,
}

impl Library {
    /// The published library, compatible with this version.
    pub fn published() -> Self {
        let major_minor: Vec<&str> = env!("CARGO_PKG_VERSION").split('.').take(2).collect();
        Self { source: format!("version = \"{}\"", major_minor.join(".")) }
    }

    /// A checkout: the directory of the repository, or of the library in it.
    pub fn checkout(path: &Path) -> anyhow::Result<Self> {
        let candidates = [path.to_owned(), path.join("crates/dify-plugin")];
        let Some(found) = candidates.iter().find(|directory| is_library(directory)) else {
            bail!(
                "{} is not a checkout of the library: neither it nor crates/dify-plugin in it contains the Cargo.toml of \
                 dify-plugin",
                path.display()
            );
        };
        let found = fs::canonicalize(found).with_context(|| format!("cannot read {}", found.display()))?;
        let Some(text) = found.to_str() else { bail!("the path {} is not valid Unicode", found.display()) };
        Ok(Self { source: format!("path = {}", toml_string(text)) })
    }
}

/// Whether the directory contains the package `dify-plugin`.
fn is_library(directory: &Path) -> bool {
    let Ok(manifest) = fs::read_to_string(directory.join("Cargo.toml")) else { return false };
    let package = manifest.lines().skip_while(|line| line.trim() != "[package]").skip(1);
    let mut package = package.take_while(|line| !line.trim_start().starts_with('['));
    package.any(|line| line.split_whitespace().collect::<String>() == "name=\"dify-plugin\"")
}

/// A string of TOML.
fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => quoted.push_str(&format!("\\u{:04X}", character as u32)),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_checkout_by_the_repository_or_the_library() {
        let library = Path::new(env!("CARGO_MANIFEST_DIR"));
        let expected = format!("path = \"{}\"", fs::canonicalize(library).unwrap().display());
        for path in [library, &library.join("../..")] {
            assert_eq!(Library::checkout(path).unwrap().source, expected);
        }
        for path in [library.join("src"), library.join("missing"), library.join("../google-auth")] {
            let error = Library::checkout(&path).unwrap_err().to_string();
            assert!(error.contains("is not a checkout of the library"), "{error}");
        }
    }

    #[test]
    fn quotes_paths_for_toml() {
        assert_eq!(toml_string("C:\\a \"b\"\n"), "\"C:\\\\a \\\"b\\\"\\u000A\"");
    }
}
