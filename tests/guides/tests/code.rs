//! The code of the guides compiles, and its tests pass; so do those of the templates. What a guide shows of a template is in the
//! template, and what it adds to a declaration passes `check`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(missing_docs, dead_code, private_interfaces, unreachable_pub)]

mod running;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dify_plugin::declare;
use dify_plugin::declare::permission::{Permission, Permissions};
use dify_plugin_guides::blocks::{self, Block};
use dify_plugin_guides::templates::{self, Files};
use serde_json::Value;
use tempfile::TempDir;

include!(concat!(env!("OUT_DIR"), "/plugins.rs"));
include!(concat!(env!("OUT_DIR"), "/code.rs"));

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn guide_blocks() -> Vec<Block> {
    blocks::read(&root().join("docs")).unwrap()
}

fn plugins() -> BTreeMap<String, Files> {
    templates::read(&root().join("crates/dify-plugin/templates")).unwrap()
}

#[test]
fn every_block_is_checked() {
    let mut wrong = Vec::new();
    let blocks = guide_blocks();
    for block in &blocks {
        let is_checked = match &*block.language {
            // Compiled by this package, as a part of a template or alone.
            "rust" => block.info.is_empty() || block.file().is_some(),
            "yaml" => block.file().is_some() || block.addition().is_some(),
            "toml" => block.file().is_some(),
            // Run by the test `terminal`.
            "console" => true,
            _ => false,
        };
        if !is_checked {
            wrong.push(format!("{}: ```{} {}", block.place(), block.language, block.info));
        }
    }
    assert!(wrong.is_empty(), "no test checks these blocks:\n{}", wrong.join("\n"));
    for (guide, _) in blocks::GUIDES {
        assert!(blocks.iter().any(|block| block.guide == *guide), "{guide} has no blocks");
    }
}

#[test]
fn excerpts_are_what_templates_contain() {
    let plugins = plugins();
    let mut wrong = Vec::new();
    for block in guide_blocks() {
        let Some((template, file)) = block.file().filter(|_| block.language != "console") else { continue };
        match plugins.get(template).and_then(|files| files.get(file)) {
            None => wrong.push(format!("{}: template {template} has no file {file}", block.place())),
            Some(text) if !contains_lines(text, &block.text) => {
                wrong.push(format!("{}: not in {file} of template {template}", block.place()));
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the lines of an excerpt follow one another in a text, at whatever indentation. A line that consists of an ellipsis
/// replaces any number of lines.
fn contains_lines(text: &str, excerpt: &str) -> bool {
    let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    let (text, excerpt) = (lines(text), lines(excerpt));
    let mut rest = &text[..];
    for part in excerpt.split(|line| ["…", "// …", "# …"].contains(&&**line)) {
        let Some(at) = rest.windows(part.len().max(1)).position(|window| part.is_empty() || window == part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

#[test]
fn files_that_are_explained_exist() {
    let files = &plugins()["tool"];
    let text = std::fs::read_to_string(root().join("docs/write-a-plugin.md")).unwrap();
    let (_, table) = text.split_once("| File | Content |").unwrap();
    let cells = table.lines().skip(2).map_while(|row| row.strip_prefix("| ")?.split(" | ").next());
    let named: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let missing: Vec<&&str> = named.iter().filter(|file| !files.contains_key(**file)).collect();
    assert!(missing.is_empty() && named.len() > 8, "{} files, not in the template: {missing:?}", named.len());
}

#[test]
fn additions_pass_check() {
    let plugins = plugins();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for block in guide_blocks() {
        let Some((template, file)) = block.addition() else { continue };
        seen += 1;
        let directory = with_addition(&plugins[template], file, &block.text);
        wrong.extend(declare::check(directory.path()).iter().map(|problem| format!("{}: {problem}", block.place())));
    }
    assert!(wrong.is_empty() && seen > 2, "{seen} additions:\n{}", wrong.join("\n"));
}

/// Writes a plugin, one of whose YAML files has more members.
fn with_addition(files: &Files, file: &str, addition: &str) -> TempDir {
    let mut files = files.clone();
    let text = files.get(file).map(String::as_str).unwrap_or("{}");
    let mut value: Value = serde_yaml::from_str(text).unwrap();
    merge(&mut value, serde_yaml::from_str(addition).unwrap());
    files.insert(file.to_owned(), serde_yaml::to_string(&value).unwrap());
    let directory = tempfile::tempdir().unwrap();
    templates::write(directory.path(), &files).unwrap();
    directory
}

#[test]
fn lines_of_the_manifest_grant_their_permission() {
    let text = std::fs::read_to_string(root().join("docs/calls-back.md")).unwrap();
    let plugin = &plugins()["tool"];
    // An endpoint is no call.
    for permission in Permission::ALL.into_iter().filter(|permission| *permission != Permission::Endpoint) {
        let cell = format!("| `Permission::{permission:?}` | `");
        let (_, row) = text.split_once(&cell).unwrap_or_else(|| panic!("no row of {permission:?}"));
        let lines = format!("resource: {{permission: {{{}}}}}", row.split('`').next().unwrap());
        let directory = with_addition(plugin, "manifest.yaml", &lines);
        let manifest = declare::load(directory.path()).unwrap().manifest;
        let granted = Permissions::of_manifest(&manifest);
        let all: Vec<Permission> = Permission::ALL.into_iter().filter(|other| granted.has(*other)).collect();
        assert_eq!(all, [permission]);
    }
}

/// Adds the members of an object to those of another, and the elements of an array.
fn merge(value: &mut Value, addition: Value) {
    match (value, addition) {
        (Value::Object(members), Value::Object(additions)) => {
            for (name, addition) in additions {
                merge(members.entry(name).or_insert(Value::Null), addition);
            }
        }
        (Value::Array(elements), Value::Array(additions)) => elements.extend(additions),
        (value, addition) => *value = addition,
    }
}

#[test]
fn templates_pass_check() {
    for (template, files) in plugins() {
        let directory = tempfile::tempdir().unwrap();
        templates::write(directory.path(), &files).unwrap();
        let problems: Vec<String> = declare::check(directory.path()).iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{template}:\n{}", problems.join("\n"));
    }
}
