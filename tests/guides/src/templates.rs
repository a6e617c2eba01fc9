//! The templates of `new`, filled in for the plugins of the guides.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// The files of a plugin: their texts, by path.
pub type Files = BTreeMap<String, String>;

/// What the plugins of the guides are called. A template that is not listed has its own name.
const NAMES: &[(&str, &str)] = &[
    ("tool", "weather"),
    ("endpoint", "greeter"),
    ("agent-strategy", "solver"),
    ("datasource-website-crawl", "crawler"),
    ("datasource-online-document", "notes"),
    ("datasource-online-drive", "drive"),
    ("trigger", "forge"),
    ("model", "acme"),
];

/// Returns what the plugin of a template is called.
pub fn name(template: &str) -> &str {
    NAMES.iter().find(|(known, _)| *known == template).map_or(template, |(_, name)| *name)
}

/// Reads every template, filled in, by its name.
pub fn read(directory: &Path) -> io::Result<BTreeMap<String, Files>> {
    let mut common = Files::new();
    collect(&directory.join("common"), "", &mut common)?;
    let mut templates = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let template = entry?.file_name().to_string_lossy().into_owned();
        if template == "common" {
            continue;
        }
        let mut files = common.clone();
        collect(&directory.join(&template), "", &mut files)?;
        let files = files.into_iter().map(|(path, text)| (fill(&path, &template), fill(&text, &template))).collect();
        templates.insert(template, files);
    }
    Ok(templates)
}

/// Writes files below a directory.
pub fn write(directory: &Path, files: &Files) -> io::Result<()> {
    for (path, text) in files {
        let path = directory.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// Returns the name of a template as a module.
pub fn module(template: &str) -> String {
    template.replace('-', "_")
}

fn collect(directory: &Path, prefix: &str, files: &mut Files) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files)?;
        } else if let Some(name) = name.strip_suffix(".tmpl") {
            files.insert(format!("{prefix}{name}"), fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// Replaces the placeholders, as `new` does.
fn fill(text: &str, template: &str) -> String {
    let name = name(template);
    let title = name[..1].to_uppercase() + &name[1..];
    let values = [
        ("@@name@@", name),
        ("@@crate@@", &name.replace('-', "_")),
        ("@@title@@", &title),
        ("@@author@@", "your-name"),
        ("@@created_at@@", "2026-01-31T12:00:00Z"),
    ];
    values.iter().fold(text.to_owned(), |text, (placeholder, value)| text.replace(placeholder, value))
}
