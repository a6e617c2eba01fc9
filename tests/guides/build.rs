//! Writes the code of guides and templates to the build directory, with a list of modules for each test of this package.

// The tests use the rest of it.
#[allow(dead_code)]
#[path = "src/blocks.rs"]
mod blocks;
#[path = "src/templates.rs"]
mod templates;

use std::env;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let (docs, directory) = (root.join("docs"), root.join("crates/dify-plugin/templates"));
    println!("cargo::rerun-if-changed={}", docs.display());
    println!("cargo::rerun-if-changed={}", directory.display());

    let mut plugins = String::new();
    let mut code = String::new();
    for (template, mut files) in templates::read(&directory)? {
        let (module, plugin) = (templates::module(&template), out.join("plugins").join(&template));
        for (path, text) in &mut files {
            if path.ends_with(".rs") {
                *text = in_module(text, path, &template, &plugin);
            }
        }
        templates::write(&plugin, &files)?;
        list(&mut plugins, &module, &plugin.join("src/lib.rs"))?;
        list(&mut code, &format!("{module}_tests"), &plugin.join("tests/plugin.rs"))?;
    }
    for block in blocks::read(&docs)? {
        if block.language != "rust" || block.file().is_some() {
            continue;
        }
        let place = block.function().map_or_else(|| block.line.to_string(), str::to_owned);
        let name = format!("{}_{place}", templates::module(&block.guide));
        let path = out.join(format!("{name}.rs"));
        // A test runs what is a function in a guide.
        let text = block.text.replace("\nasync fn ", "\npub async fn ").replace("\nfn ", "\npub fn ");
        fs::write(&path, format!("//! {}\n\n{text}", block.place()))?;
        list(&mut code, &name, &path)?;
    }
    code.push_str("/// What the guides link to.\nmod linked {\n");
    for (number, path) in blocks::links(&docs)?.iter().enumerate() {
        writeln!(code, "    #[allow(unused_imports)]\n    use dify_plugin::{path} as _item_{number};")?;
    }
    code.push_str("}\n");
    fs::write(out.join("plugins.rs"), plugins)?;
    fs::write(out.join("code.rs"), code)?;
    Ok(())
}

/// The code of a crate as that of a module.
fn in_module(text: &str, path: &str, template: &str, directory: &Path) -> String {
    let own = format!("crate::{}::", templates::module(template));
    let text = text.replace("env!(\"CARGO_MANIFEST_DIR\")", &format!("{directory:?}"));
    let root = if path.starts_with("src/") { "crate::".to_owned() } else { format!("{}::", templates::name(template)) };
    text.replace(&format!(" {root}"), &format!(" {own}"))
}

fn list(modules: &mut String, name: &str, path: &Path) -> Result<(), std::fmt::Error> {
    writeln!(modules, "#[path = {path:?}]\npub mod {name};")
}
