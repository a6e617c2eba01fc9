//! Holds the rules of the workbench's page over its source: what others wrote is unchanged, text never becomes markup, nothing is
//! stored beyond the token and two choices, and every file loads what exists. How the page behaves is in the browser's tests.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/dify-plugin/workbench")
}

fn files(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let name = path.strip_prefix(page()).unwrap().to_string_lossy().replace('\\', "/");
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The files that are ours, by name and text.
fn own(extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&page(), &mut found);
    found.retain(|(name, _)| name.ends_with(extension) && !name.starts_with("vendor/"));
    assert!(!found.is_empty(), "no files that end with {extension}");
    found
}

#[test]
fn vendored_files_are_those_of_the_list() {
    let vendor = page().join("vendor");
    let list: Value = serde_json::from_slice(&fs::read(vendor.join("VENDORED.json")).unwrap()).unwrap();
    let rows = list["files"].as_array().unwrap();
    for row in rows {
        let member = |key: &str| row[key].as_str().unwrap_or_else(|| panic!("{row}: no {key}"));
        let digest = Sha256::digest(fs::read(vendor.join(member("file"))).unwrap());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, member("sha256"), "{} was changed", member("file"));
        assert!(member("integrity").starts_with("sha512-"), "{row}");
        assert!(fs::read_to_string(vendor.join(member("licence_text"))).unwrap().len() > 500, "{row}");
        assert!(["MIT", "Apache-2.0"].contains(&member("licence")), "{row}");
    }
    for entry in fs::read_dir(&vendor).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let known =
            name == "VENDORED.json" || rows.iter().any(|row| row["file"] == *name || row["licence_text"] == *name);
        assert!(known, "vendor/{name} is not in the list");
    }
}

#[test]
fn text_never_becomes_markup_or_code() {
    let forbidden = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "dangerouslySetInnerHTML",
        "document.write",
        "DOMParser",
        "srcdoc",
        "createContextualFragment",
        "eval(",
        "new Function",
        "await import(",
        "= import(",
        "javascript:",
    ];
    for (name, text) in own(".js") {
        for word in forbidden {
            assert!(!text.contains(word), "{name} has `{word}`");
        }
    }
}

#[test]
fn nothing_is_stored_but_the_token_and_two_choices() {
    for (name, text) in own(".js") {
        for (word, only) in [
            ("sessionStorage", Some("app/token.js")),
            ("localStorage", Some("app/settings.js")),
            ("document.cookie", None),
            ("indexedDB", None),
            ("caches.", None),
            ("serviceWorker", None),
        ] {
            assert!(!text.contains(word) || only == Some(name.as_str()), "{name} has `{word}`");
        }
    }
    let settings = fs::read_to_string(page().join("app/settings.js")).unwrap();
    assert_eq!(settings.matches("write(\"workbench.").count(), 2, "theme and language only");
}

/// What a module imports, in the order of its text.
fn imports(text: &str) -> Vec<&str> {
    let named = text.split(" from \"").skip(1);
    let bare = text.split("\nimport \"").skip(1);
    named.chain(bare).filter_map(|rest| rest.split_once("\";")).map(|(path, _)| path).collect()
}

#[test]
fn modules_import_what_exists_by_relative_paths() {
    let mut count = 0;
    for (name, text) in own(".js") {
        for import in imports(&text) {
            count += 1;
            assert!(import.starts_with("./") || import.starts_with("../"), "{name} imports `{import}`");
            let path = page().join(&name).parent().unwrap().join(import);
            assert!(path.is_file(), "{name} imports `{import}`, which is not there");
            let vendored = import.contains("/vendor/");
            let may = ["app/dom.js", "parts/markdown.js"].contains(&name.as_str());
            assert!(!vendored || may, "{name} imports `{import}`: libraries are named in one place");
        }
    }
    assert!(count > 60, "only {count} imports were found");
}

#[test]
fn the_document_has_no_inline_script_and_loads_what_exists() {
    let index = fs::read_to_string(page().join("index.html")).unwrap();
    for word in ["<style", " style=", " onload=", " onclick=", " onerror=", "http://", "https://"] {
        assert!(!index.contains(word), "index.html has `{word}`");
    }
    assert_eq!(index.matches("<script").count(), index.matches("<script type=\"module\" src=\"").count());
    for path in
        index.split("src=\"").skip(1).chain(index.split("href=\"").skip(1)).map(|rest| rest.split('"').next().unwrap())
    {
        assert!(path == "data:," || page().join(path).is_file(), "index.html loads `{path}`");
    }
    for (name, text) in own(".css") {
        assert!(!text.contains("url(") && !text.contains("@import"), "{name} loads something");
        assert!(index.contains(&name), "{name} is not loaded");
    }
}

#[test]
fn files_are_short_and_begin_with_what_they_are_for() {
    for (name, text) in own(".js").into_iter().chain(own(".css")) {
        let opening = if name.ends_with(".js") { "// " } else { "/* " };
        assert!(text.starts_with(opening), "{name} does not begin with a comment");
        assert!(text.lines().count() <= 300, "{name} has {} lines", text.lines().count());
    }
}
