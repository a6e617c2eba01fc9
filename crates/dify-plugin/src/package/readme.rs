//! README pages of a plugin: `README.md`, and one page per translation in `readme/`. A repository with several packages
//! has a directory of pages for each (`package.readme` in the provider's file).
//!
//! Source: `dify-plugin-daemon: pkg/plugin_packager/decoder/helper.go` (names), `internal/types/models/readme.go`
//! (sizes).

use std::path::Path;

use super::PackageError;
use super::archive::Files;
use crate::declare::files;

/// The English page, which is required.
const ENGLISH: &str = "README.md";

/// Maximum size of a page in bytes. On MySQL, the daemon stores pages in a column of this size.
pub const MAX_BYTES: u64 = 65_535;

/// Maximum length of a language name in characters.
const MAX_LANGUAGE: usize = 10;

/// Returns the pages of a package by their paths in it. `own` is the directory of the package's own pages.
pub fn pages(directory: &Path, own: Option<&str>) -> Result<Files, PackageError> {
    let mut pages = Files::new();
    let (root, translations) = match own {
        Some(own) => (format!("{own}/"), own.to_owned()),
        None => (String::new(), "readme".to_owned()),
    };
    let english = format!("{root}{ENGLISH}");
    if !directory.join(&english).is_file() {
        return Err(PackageError::Wrong(format!("{english} is missing; Dify shows it on the plugin page")));
    }
    pages.insert(ENGLISH.to_owned(), read(directory, &english)?);
    let entries = std::fs::read_dir(directory.join(&translations)).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.path().is_file()) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{translations}/{name}");
        if own.is_some() && name == ENGLISH {
            continue;
        }
        if !is_translation(&name) {
            let text =
                format!("{path} is not read by Dify; pages have names such as README_zh_Hans.md or README_ja_JP.md");
            return Err(PackageError::Wrong(text));
        }
        pages.insert(format!("readme/{name}"), read(directory, &path)?);
    }
    Ok(pages)
}

/// Whether a name has the form `README_zh_Hans.md`: two lowercase letters, `_`, at least two letters.
fn is_translation(name: &str) -> bool {
    let language = name.strip_prefix("README_").and_then(|rest| rest.strip_suffix(".md")).unwrap_or_default();
    language.split_once('_').is_some_and(|(language, region)| {
        language.len() == 2
            && language.bytes().all(|byte| byte.is_ascii_lowercase())
            && region.len() >= 2
            && region.bytes().all(|byte| byte.is_ascii_alphabetic())
    }) && language.len() <= MAX_LANGUAGE
}

fn read(directory: &Path, path: &str) -> Result<Vec<u8>, PackageError> {
    let bytes = files::read(directory, path, MAX_BYTES)
        .map_err(|why| PackageError::Wrong(format!("{} {why}", directory.join(path).display())))?;
    match std::str::from_utf8(&bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(PackageError::Wrong(format!("{path} is not valid UTF-8"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_the_page_names_of_the_daemon() {
        for (name, expected) in [
            ("README_zh_Hans.md", true),
            ("README_ja_JP.md", true),
            ("README_pt_BR.md", true),
            ("README_zh.md", false),
            ("README_zh_H.md", false),
            ("README_ZH_Hans.md", false),
            ("README_zh-Hans.md", false),
            ("README_zh_Hans.txt", false),
            ("README_zh_Hanstraditional.md", false),
            ("readme_zh_Hans.md", false),
            ("README.md", false),
        ] {
            assert_eq!(is_translation(name), expected, "{name}");
        }
    }

    #[test]
    fn reads_the_pages_of_the_package_within_the_size_limit() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let file = directory.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        let found = |own: Option<&str>| pages(directory.path(), own).map_err(|why| why.to_string());
        assert!(found(None).unwrap_err().contains("README.md is missing"));
        write("README.md", b"root");
        write("readme/README_ja_JP.md", b"ja");
        write("readme/a/README.md", b"a");
        write("readme/a/README_zh_Hans.md", b"zh");
        let text = |own| {
            let pages = found(own).unwrap().into_iter();
            pages.map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect::<Vec<_>>()
        };
        let pair = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        assert_eq!(text(None), [pair("README.md", "root"), pair("readme/README_ja_JP.md", "ja")]);
        assert_eq!(text(Some("readme/a")), [pair("README.md", "a"), pair("readme/README_zh_Hans.md", "zh")]);
        assert!(found(Some("readme/b")).unwrap_err().contains("readme/b/README.md is missing"));
        write("readme/a/notes.md", b"");
        assert!(found(Some("readme/a")).unwrap_err().contains("readme/a/notes.md is not read by Dify"));
        write("readme/README_ja_JP.md", &[b'x'; MAX_BYTES as usize + 1]);
        assert!(found(None).unwrap_err().contains("larger than 65535 bytes"));
        write("readme/README_ja_JP.md", b"\xff");
        assert!(found(None).unwrap_err().contains("is not valid UTF-8"));
    }
}
