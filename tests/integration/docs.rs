//! The documents: README is short, links lead somewhere, messages that are explained exist, and each package has pages that
//! the plugin daemon reads.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(directory: &str, ends: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(root().join(directory)).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            let inner = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            found.extend(files(&inner, ends));
        } else if path.to_str().unwrap().ends_with(ends) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The pages of the repository.
fn pages() -> Vec<PathBuf> {
    let own = ["README.md", "SECURITY.md", "ARCHITECTURE.md", "PRIVACY.md"].map(|name| root().join(name));
    own.into_iter().chain(files("docs", ".md")).collect()
}

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

fn anchors(text: &str) -> Vec<String> {
    prose(text).filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// The targets of the links of a page.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            found.push(rest[..rest.find(')').unwrap_or(rest.len())].to_owned());
        }
    }
    found
}

#[test]
fn the_readme_is_short_and_names_every_page() {
    let readme = read(&root().join("README.md"));
    assert!(readme.lines().count() <= 200, "{} lines", readme.lines().count());
    let links = links(&readme);
    for page in files("docs", ".md") {
        let name = page.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        assert!(links.contains(&name), "README.md has no link to {name}");
    }
    for page in ["gemini", "aigateway", "xinference", "operations", "packaging", "troubleshooting", "upgrading"] {
        assert!(root().join(format!("docs/{page}.md")).is_file(), "{page}");
    }
}

#[test]
fn guides_are_read_in_fifteen_minutes() {
    for page in pages() {
        let name = page.file_stem().unwrap().to_str().unwrap();
        if ["write-", "calls-back", "test-a-"].iter().any(|start| name.starts_with(start)) {
            let words = read(&page).split_whitespace().count();
            assert!((500..3_000).contains(&words), "{}: {words} words", page.display());
        }
    }
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut wrong = Vec::new();
    for page in pages() {
        for link in links(&read(&page)) {
            if link.starts_with("http") || link.starts_with("mailto:") {
                continue;
            }
            let (file, heading) = link.split_once('#').map_or((link.as_str(), None), |(file, at)| (file, Some(at)));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            if !target.exists() {
                wrong.push(format!("{}: {link} does not exist", page.display()));
            } else if let Some(heading) = heading
                && !anchors(&read(&target)).iter().any(|known| known == heading)
            {
                wrong.push(format!("{}: {link} has no such heading", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Messages of servers, and of Dify, which no source of ours contains.
const OF_OTHERS: &[&str] = &[
    "Failed to parse response from plugin daemon",
    "plugin verification has been enabled",
    "Could not validate credentials",
    "Jwt not yet valid",
    "The chat completion request failed",
];

#[test]
fn messages_that_are_explained_exist() {
    let files = [files("src", ".rs"), files("crates", ".rs")].concat();
    let sources: String = files.iter().map(|file| read(file)).collect();
    // Long texts stand in several lines.
    let sources = sources.replace("\\\n", "").split_whitespace().collect::<Vec<_>>().join(" ");
    let text = read(&root().join("docs/troubleshooting.md"));
    let mut wrong = Vec::new();
    let mut seen = 0;
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let cell = row[2..].split(" | ").next().unwrap();
        // Code is between every other pair of backticks.
        for message in cell.split('`').skip(1).step_by(2).filter(|message| message.contains(' ')) {
            seen += 1;
            if !OF_OTHERS.contains(&message) && !sources.contains(message) {
                wrong.push(message.to_owned());
            }
        }
    }
    assert!(wrong.is_empty() && seen > 40, "{seen} messages, not in the sources: {wrong:#?}");
}

#[test]
fn every_package_has_pages_in_two_languages() {
    let declarations = dify_plugin::declare::load(root()).unwrap();
    for loaded in &declarations.providers {
        let package = loaded.declaration.extra.get("package").unwrap();
        let directory = package["readme"].as_str().unwrap_or_else(|| panic!("{} names no pages", loaded.file));
        for name in ["README.md", "README_zh_Hans.md"] {
            let page = root().join(directory).join(name);
            let text = read(&page);
            let lines = text.lines().count();
            assert!((20..=90).contains(&lines) && text.len() < 8_000, "{}: {lines} lines", page.display());
            assert!(text.starts_with("# "), "{}", page.display());
            // Dify's page shows a package without its repository.
            let relative: Vec<String> = links(&text).into_iter().filter(|link| !link.starts_with("http")).collect();
            assert!(relative.is_empty(), "{}: {relative:?}", page.display());
            let minimum = loaded.minimum.to_string();
            assert!(text.contains(&minimum), "{} does not name Dify {minimum}", page.display());
            let is_chinese = |letter: char| ('\u{4e00}'..='\u{9fff}').contains(&letter);
            assert_eq!(prose(&text).any(|line| line.contains(is_chinese)), name != "README.md", "{}", page.display());
        }
    }
}
