//! Every template with every form of name: complete, valid by the library's own rules, and without a rest of a placeholder.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::declare::{self, Problems};

const NAMES: &[&str] = &["weather", "my-weather", "my_weather-2", "tool", "event", "a"];

fn all() -> impl Iterator<Item = Template> {
    (0..TEMPLATES.len()).map(Template)
}

fn files(template: Template, name: &str, author: &str) -> Vec<(String, String)> {
    template.files(&PluginName::parse(name).unwrap(), author, &Library::published())
}

fn tree(directory: &Path, below: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tree(&path, below, found);
        } else {
            found.insert(path.strip_prefix(below).unwrap().to_str().unwrap().to_owned());
        }
    }
}

#[test]
fn lists_every_file_of_the_directory() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut found = BTreeSet::new();
    tree(&root, &root, &mut found);
    let entries = TEMPLATES.iter().map(|entry| (entry.directory, entry.files)).chain([("common", COMMON)]);
    let listed: BTreeSet<String> = entries
        .flat_map(|(directory, files)| files.iter().map(move |(path, _)| format!("{directory}/{path}.tmpl")))
        .collect();
    assert_eq!(found, listed);
}

#[test]
fn every_kind_and_type_has_a_template() {
    for kind in Kind::value_variants() {
        assert!(Template::of(*kind, None).is_ok(), "{kind:?}");
        for datasource_type in DatasourceType::value_variants() {
            assert_eq!(Template::of(*kind, Some(*datasource_type)).is_ok(), *kind == Kind::Datasource, "{kind:?}");
        }
    }
    let of_datasource = |datasource_type| Template::of(Kind::Datasource, datasource_type).unwrap();
    assert_eq!(of_datasource(None), of_datasource(Some(DatasourceType::OnlineDocument)));
}

#[test]
fn every_placeholder_is_filled_in() {
    for template in all() {
        for name in NAMES {
            for (path, text) in files(template, name, "acme") {
                assert!(!path.contains("@@") && !text.contains("@@"), "{name}: {path}: {text}");
                assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{path}: {text:?}");
            }
        }
    }
}

#[test]
fn values_are_not_filled_in_again() {
    let values = [("a", "@@b@@".to_owned()), ("b", "c".to_owned())];
    for (text, filled) in [
        ("@@a@@ @@b@@", "@@b@@ c"),
        ("@@unknown@@", "@@unknown@@"),
        ("@@", "@@"),
        ("@@@a@@", "@@@a@@"),
        ("x@@a", "x@@a"),
        ("${{ a }} {{b}} @a@", "${{ a }} {{b}} @a@"),
    ] {
        assert_eq!(fill(text, &values), filled);
    }
}

#[test]
fn declarations_pass_the_rules_of_dify() {
    for template in all() {
        for (name, author) in NAMES.iter().zip(["acme", "7", "no", "1e5", "_", "your-name"]) {
            let directory = tempfile::tempdir().unwrap();
            for (path, text) in files(template, name, author) {
                super::super::write(&directory.path().join(path), &text).unwrap();
            }
            let problems = Problems(declare::check(directory.path()));
            assert!(problems.0.is_empty(), "{}, {name} by {author}:\n{problems}", template.title());
            let declarations = declare::load(directory.path()).unwrap();
            assert_eq!(declarations.manifest.text("name"), *name);
            assert_eq!(declarations.manifest.text("author"), author);
        }
    }
}

#[test]
fn cargo_reads_the_manifest() {
    let library = Library { source: "path = \"/x\"".to_owned() };
    for template in all() {
        let files = template.files(&PluginName::parse("my-weather").unwrap(), "acme", &library);
        let text = |wanted: &str| files.iter().find(|(path, _)| path == wanted).map(|(_, text)| text.as_str()).unwrap();
        let manifest = text("Cargo.toml");
        assert!(manifest.contains("name = \"my-weather\"\n") && manifest.contains("dify-plugin = { path = \"/x\""));
        assert!(text("src/main.rs").contains("    my_weather::plugin().run()\n"));
        // Every file of the crate is declared as a module, and every dependency is used.
        let code: String =
            files.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(_, text)| text.as_str()).collect();
        for (path, _) in files.iter().filter(|(path, _)| path.starts_with("src/")) {
            let module = path.trim_start_matches("src/").trim_end_matches(".rs");
            assert!(["lib", "main"].contains(&module) || code.contains(&format!("mod {module};")), "{path}");
        }
        for line in template.entry().dependencies {
            let dependency = line.split(' ').next().unwrap().replace('-', "_");
            assert!(code.contains(&format!("{dependency}::")), "{}: {dependency}", template.title());
        }
    }
}
