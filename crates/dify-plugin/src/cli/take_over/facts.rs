//! The facts about the providers of a published plugin: from `--facts`, from the directory itself, or from the table of a
//! dialect. They are checked against the declarations before anything is written.

use std::fmt;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::atomic_file;
use crate::cli::program::Program;
use crate::declare::{Declarations, LoadedProvider, Problems, Severity, Sidecar, yaml};
use crate::model::{Dialect, KnownPlugin, LeftOut};
use crate::runtime::described;

/// The member of facts that names their provider.
const PROVIDER: &str = "provider";

/// Facts about one provider.
pub(super) struct Found {
    /// Key of the dialect.
    pub key: String,
    /// The facts.
    pub value: Value,
    /// The same as YAML.
    pub text: String,
    /// Where they are from.
    pub source: Source,
}

/// Where facts are from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The file of the option.
    File(String),
    /// A file of the directory.
    Own(String),
    /// The table of this executable.
    Table(&'static str),
}

impl Source {
    /// Whether the declarations are those of a plugin that the executable knows.
    pub fn is_table(&self) -> bool {
        matches!(self, Self::Table(_))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) | Self::Own(file) => formatter.write_str(file),
            Self::Table(plugin) => write!(formatter, "the table of this executable (`facts {plugin}` prints them)"),
        }
    }
}

/// Finds the facts about each provider, in their order.
pub(super) fn find(program: &Program, declarations: &Declarations, file: Option<&Path>) -> anyhow::Result<Vec<Found>> {
    let mut given = file.map(|file| read(program, file)).transpose()?;
    if given.as_ref().is_some_and(|given| given.value.get(PROVIDER).is_none()) && declarations.providers.len() > 1 {
        bail!(
            "the plugin has {} providers; name in the facts which one they are about: `{PROVIDER}: NAME`",
            declarations.providers.len()
        );
    }
    let mut found = Vec::new();
    for loaded in &declarations.providers {
        let name = loaded.declaration.provider.as_str();
        let is_alone = declarations.providers.len() == 1;
        // Facts about another provider are an error of the dialect.
        let is_given = |given: &Found| is_alone || given.value.get(PROVIDER).and_then(Value::as_str) == Some(name);
        if let Some(given) = given.take_if(|given| is_given(given)) {
            found.push(given);
            continue;
        }
        found.push(match own(program.dialects, loaded)? {
            Some(own) => own,
            None => known(program.dialects, declarations, name)?,
        });
    }
    if let Some(Found { value, .. }) = given {
        let named = value.get(PROVIDER).cloned().unwrap_or_default();
        bail!("the facts are about provider {named}, which the plugin does not have");
    }
    Ok(found)
}

/// Reads the file of the option. It contains the facts, or a block of them under the key of the dialect.
fn read(program: &Program, file: &Path) -> anyhow::Result<Found> {
    let bytes = atomic_file::read_limited(file, yaml::MAX_YAML_BYTES)?;
    let text = String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", file.display()))?;
    let mut value = yaml::parse(&text).map_err(|error| anyhow::anyhow!("{} {error}", file.display()))?;
    let Some(first) = program.dialects.first() else { bail!("this executable has no dialects that take facts") };
    let mut key = first.key();
    let mut text = text;
    for dialect in program.dialects {
        if let Some(block) = value.get_mut(dialect.key()).filter(|block| block.is_object()) {
            (key, value) = (dialect.key(), block.take());
            text = yaml::write(&value);
            break;
        }
    }
    Ok(Found { key: key.to_owned(), value, text, source: Source::File(file.display().to_string()) })
}

/// The facts that the directory already has.
fn own(dialects: &[&'static dyn Dialect], loaded: &LoadedProvider) -> anyhow::Result<Option<Found>> {
    for dialect in dialects {
        let key = dialect.key();
        let (value, file) = match loaded.sidecars.iter().find(|sidecar| sidecar.key == key) {
            Some(sidecar) => (&sidecar.facts, &sidecar.file),
            None => match loaded.declaration.extra.get(key) {
                Some(block) => (block, &loaded.file),
                None => continue,
            },
        };
        let (value, source) = (value.clone(), Source::Own(file.clone()));
        return Ok(Some(Found { key: key.to_owned(), text: yaml::write(&value), value, source }));
    }
    Ok(None)
}

/// Looks the provider up in the tables of the dialects.
fn known(dialects: &[&'static dyn Dialect], declarations: &Declarations, name: &str) -> anyhow::Result<Found> {
    let plugin = declarations.manifest.text("name");
    let all = || dialects.iter().flat_map(|dialect| dialect.known().iter().map(|known| (dialect.key(), known)));
    let of_provider = |(_, known): &(&str, &KnownPlugin)| known.provider == name;
    let both = all().find(|found| of_provider(found) && found.1.plugin == plugin);
    let Some((key, known)) = both.or_else(|| all().find(of_provider)) else {
        bail!(
            "this executable has no facts about provider `{name}` ({}/{plugin}); pass --facts FILE (docs/provider-file.md \
             describes the keys, and `facts` lists the plugins that it knows)",
            declarations.manifest.text("author")
        );
    };
    match known.facts {
        Ok(text) => {
            let value = yaml::parse(text).map_err(|error| anyhow::anyhow!("the facts about `{name}`: {error}"))?;
            Ok(Found { key: key.to_owned(), value, text: text.to_owned(), source: Source::Table(known.plugin) })
        }
        Err(reason) => bail!("`{}` is not served natively: {reason}", known.plugin),
    }
}

/// Lets the dialect compare the facts with the declaration, and returns what they leave out.
pub(super) fn check(
    program: &Program,
    loaded: &LoadedProvider,
    key: &str,
    facts: &Value,
    source: &Source,
) -> anyhow::Result<Vec<LeftOut>> {
    let name = &loaded.declaration.provider;
    if program.has_code(name) {
        bail!("provider `{name}` has code in this executable, which is not for the published declarations");
    }
    let mut sidecar = Sidecar::new(key, facts.clone());
    sidecar.file = match source {
        Source::File(file) | Source::Own(file) => file.clone(),
        Source::Table(plugin) => format!("facts of `{plugin}`"),
    };
    let label = sidecar.file.clone();
    let mut declared = LoadedProvider { sidecars: vec![sidecar], ..loaded.clone() };
    declared.declaration.extra.shift_remove(key);
    let (described, Problems(mut problems)) = described::provider(&declared, program.dialects);
    problems.retain(|problem| problem.severity == Severity::Error);
    if let Some(text) = match source {
        Source::File(file) => std::fs::read_to_string(file).ok(),
        Source::Table(_) | Source::Own(_) => None,
    } {
        let own = problems.iter_mut().filter(|problem| problem.file == label && !problem.path.is_empty());
        let source = crate::declare::source::Source::new(&text);
        own.for_each(|problem| problem.line = source.line_of(&problem.path));
    }
    match described {
        Some(described) if problems.is_empty() => Ok(described.left_out),
        _ => bail!("the facts do not fit the declarations of provider `{name}`:\n{}", Problems(problems)),
    }
}
