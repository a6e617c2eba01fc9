//! `schema`: prints the JSON Schemas of a plugin's files, writes them to a directory, or has VS Code use them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::program::Program;
use super::terminal::{print_line, say};
use crate::atomic_file::write_whole;
use crate::declare::schema::{SCHEMAS, Schema, SchemaFile, files_of};
use crate::declare::sidecar_file;
use crate::model::Dialect;
use crate::names::did_you_mean;

/// Directory of a plugin in which `--install` writes the schemas. Packages leave out what begins with a dot.
pub(super) const DIRECTORY: &str = ".dify/schemas";

/// Where VS Code reads the settings of a directory.
const SETTINGS: &str = ".vscode/settings.json";

/// The setting of the YAML extension of VS Code: files by schema.
const ASSOCIATIONS: &str = "yaml.schemas";

/// Print the JSON Schema of a file of a plugin, so that an editor completes and checks it; without NAME, list all
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Name, such as `manifest` or `tool`
    name: Option<String>,
    /// Write all schemas to this directory
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    out: Option<PathBuf>,
    /// Write the schemas to .dify/schemas of a plugin, and have the YAML extension of VS Code use them
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = ".", conflicts_with_all = ["name", "out"])]
    install: Option<PathBuf>,
}

/// A schema of this executable: of a file that every plugin may have, or of facts for one of its dialects.
#[derive(Clone, Copy)]
enum Known<'p> {
    Declared(&'static Schema),
    Facts(&'p dyn Dialect),
}

impl Known<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Declared(schema) => schema.name,
            Self::Facts(dialect) => dialect.key(),
        }
    }

    /// The usual place of the files, and what they are.
    fn about(&self) -> (String, &'static str) {
        match self {
            Self::Declared(schema) => (schema.files.to_owned(), schema.about),
            Self::Facts(dialect) => {
                (sidecar_file("provider/*.yaml", dialect.key()), "facts about a model provider, beside its file")
            }
        }
    }

    fn text(&self, program: &Program) -> anyhow::Result<String> {
        match self {
            Self::Declared(schema) => text(program.dialects, schema),
            Self::Facts(dialect) => facts_text(*dialect),
        }
    }
}

/// All schemas, those of the facts last.
fn known(program: &Program) -> Vec<Known<'_>> {
    let facts = program.dialects.iter().map(|dialect| Known::Facts(*dialect));
    SCHEMAS.iter().map(Known::Declared).chain(facts).collect()
}

impl SchemaArgs {
    /// Runs the command.
    pub fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        let known = known(program);
        match (self.name, self.out, self.install) {
            (Some(name), ..) => {
                let Some(schema) = known.iter().find(|schema| schema.name() == name) else {
                    let names: Vec<&str> = known.iter().map(Known::name).collect();
                    let suggestion = did_you_mean(&name, names.iter().copied());
                    bail!("unknown schema `{name}`{suggestion}; expected one of {}", names.join(", "));
                };
                std::io::stdout().lock().write_all(schema.text(program)?.as_bytes())?;
            }
            (None, Some(directory), _) => {
                write_all(program, &directory)?;
                say(&format!("{} schemas written to {}", known.len(), directory.display()));
            }
            (None, None, Some(plugin)) => install(program, &plugin)?,
            (None, None, None) => {
                let width = known.iter().map(|schema| schema.name().len()).max().unwrap_or_default();
                for schema in known {
                    let (files, about) = schema.about();
                    print_line(&format!("{:width$}  {files:24}  {about}", schema.name()))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A schema as it is printed. That of a model provider includes the facts of each dialect.
pub(super) fn text(dialects: &[&dyn Dialect], schema: &Schema) -> anyhow::Result<String> {
    let mut built = schema.build();
    if schema.name == "model-provider" {
        for dialect in dialects {
            let (facts, definitions) = facts(*dialect);
            built["properties"][dialect.key()] = facts;
            add_definitions(&mut built, definitions);
        }
    }
    printed(&built)
}

/// The schema of a file of facts, the same as that of the block in a provider's file.
fn facts_text(dialect: &dyn Dialect) -> anyhow::Result<String> {
    let mut built = json!({"$schema": "http://json-schema.org/draft-07/schema#"});
    let (facts, definitions) = facts(dialect);
    if let (Value::Object(built), Value::Object(facts)) = (&mut built, facts) {
        built.extend(facts);
    }
    built["title"] = format!("Dify plugin: facts for the key `{}`", dialect.key()).into();
    add_definitions(&mut built, definitions);
    printed(&built)
}

/// The definitions of a schema by the names of their members. They are found from the root of a schema.
type Definitions = [(&'static str, Map<String, Value>); 2];

/// The schema of the facts of a dialect, and its definitions.
fn facts(dialect: &dyn Dialect) -> (Value, Definitions) {
    let mut facts = dialect.editor_schema();
    let definitions = ["$defs", "definitions"].map(|name| {
        let found = facts.as_object_mut().and_then(|facts| facts.remove(name));
        (name, found.and_then(|found| found.as_object().cloned()).unwrap_or_default())
    });
    facts.as_object_mut().map(|facts| facts.remove("$schema"));
    (facts, definitions)
}

fn add_definitions(built: &mut Value, definitions: Definitions) {
    for (name, found) in definitions.into_iter().filter(|(_, found)| !found.is_empty()) {
        let mut all = built[name].take().as_object().cloned().unwrap_or_default();
        all.extend(found);
        built[name] = all.into();
    }
}

fn printed(schema: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(schema)? + "\n")
}

/// Writes every schema as `NAME.json`.
fn write_all(program: &Program, directory: &Path) -> anyhow::Result<()> {
    let within = || format!("cannot write to {}", directory.display());
    std::fs::create_dir_all(directory).with_context(within)?;
    for schema in known(program) {
        std::fs::write(directory.join(schema.name()).with_extension("json"), schema.text(program)?)
            .with_context(within)?;
    }
    Ok(())
}

/// Writes the schemas into a plugin, and adds its files to the settings of VS Code. Other settings stay.
fn install(program: &Program, plugin: &Path) -> anyhow::Result<()> {
    let path = plugin.join(SETTINGS);
    let mut settings = match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str::<Map<String, Value>>(&text).with_context(|| {
            format!("{} is no plain JSON object, perhaps because of comments; it was not changed", path.display())
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    write_all(program, &plugin.join(DIRECTORY))?;
    let associations = settings.entry(ASSOCIATIONS).or_insert_with(|| json!({}));
    let Value::Object(associations) = associations else {
        bail!("`{ASSOCIATIONS}` in {} is no object; it was not changed", path.display());
    };
    let found = files_of(plugin);
    let mut count = 0;
    for schema in known(program) {
        let files = files_with(&schema, &found, plugin);
        count += files.iter().filter(|file| !file.starts_with('!')).count();
        let key = format!("./{DIRECTORY}/{}.json", schema.name());
        match files.is_empty() {
            true => drop(associations.remove(&key)),
            false => drop(associations.insert(key, json!(files))),
        }
    }
    let within = || format!("cannot write {}", path.display());
    path.parent().map(std::fs::create_dir_all).transpose().with_context(within)?;
    write_whole(&path, (serde_json::to_string_pretty(&settings)? + "\n").as_bytes()).with_context(within)?;
    say(&format!("{count} files of the plugin have a schema in {}", path.display()));
    Ok(())
}

/// The files and patterns of a plugin that a schema is for.
fn files_with(schema: &Known<'_>, found: &[SchemaFile], plugin: &Path) -> Vec<String> {
    let of = |name: &str| -> Vec<String> {
        found.iter().filter(|file| file.schema.name == name).map(|file| file.path.clone()).collect()
    };
    match schema {
        Known::Declared(schema) => {
            let mut files = of(schema.name);
            // A pattern of models also matches their order, which is no model.
            if schema.name == "model" && !files.is_empty() {
                files.push("!_position.yaml".to_owned());
            }
            files
        }
        Known::Facts(dialect) => {
            let files = of("model-provider").into_iter().map(|file| sidecar_file(&file, dialect.key()));
            files.filter(|file| plugin.join(file).is_file()).collect()
        }
    }
}
