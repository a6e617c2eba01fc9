//! `--from`: takes over the directory of a published plugin as it is. Its declarations and icons are copied into a directory of
//! a native plugin, with facts about each provider beside its file; its Python is neither read nor copied. Every command then
//! works on that directory. What the facts mean is known to the dialects.

mod facts;
mod notice;
mod report;
mod rewrite;
mod scratch;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use self::facts::{Found, Source};
pub(super) use self::report::Report;
use self::scratch::Scratch;
use super::program::Program;
use crate::declare::{self, Declarations, LoadedProvider, Problem, Problems, Severity};
use crate::model::LeftOut;

/// The directory of a published plugin that a command takes instead of one of its own.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Published plugins")]
pub struct FromArgs {
    /// Serve the declarations of a published plugin's directory natively; its Python is not read
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    from: Option<PathBuf>,
    /// Facts about the plugin's provider, instead of those of this executable
    #[arg(long, value_name = "FILE", requires = "from")]
    facts: Option<PathBuf>,
}

impl FromArgs {
    /// The directory, if the option is given.
    pub fn directory(&self) -> Option<&Path> {
        self.from.as_deref()
    }

    /// Takes the plugin over, if the option is given.
    pub fn take(&self, program: &Program) -> anyhow::Result<Option<Taken>> {
        self.take_as(program, &Identity::default())
    }

    /// The same under another author or name.
    pub fn take_as(&self, program: &Program, identity: &Identity) -> anyhow::Result<Option<Taken>> {
        let Some(directory) = &self.from else { return Ok(None) };
        take(program, directory, self.facts.as_deref(), identity).map(Some)
    }
}

/// The directories of published plugins that one process serves.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Published plugins")]
pub struct FromManyArgs {
    /// Serve the declarations of a published plugin's directory natively; its Python is not read (repeatable)
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    from: Vec<PathBuf>,
    /// Facts about the plugin's provider, instead of those of this executable (with one --from)
    #[arg(long, value_name = "FILE", requires = "from")]
    facts: Option<PathBuf>,
}

impl FromManyArgs {
    /// The directories.
    pub fn directories(&self) -> &[PathBuf] {
        &self.from
    }

    /// Takes all of them over.
    pub fn take(&self, program: &Program) -> anyhow::Result<Vec<Taken>> {
        if self.from.len() > 1 && self.facts.is_some() {
            bail!("--facts is for one plugin; with several --from, put the facts beside the provider's file of each");
        }
        let take = |directory: &PathBuf| take(program, directory, self.facts.as_deref(), &Identity::default());
        self.from.iter().map(take).collect()
    }
}

/// The author and name that replace those of the manifest.
#[derive(Clone, Debug, Default, Args)]
pub struct Identity {
    /// Author of the package, instead of the published plugin's (with --from)
    #[arg(long, requires = "from")]
    pub author: Option<String>,
    /// Name of the package, instead of the published plugin's (with --from)
    #[arg(long, requires = "from")]
    pub name: Option<String>,
}

/// A plugin that was taken over. Its directory is removed with this value.
#[cfg_attr(not(feature = "package"), allow(dead_code, reason = "only packages need its directory and identity"))]
pub struct Taken {
    scratch: Scratch,
    /// The declarations in that directory.
    pub declarations: Declarations,
    /// What is served of each provider.
    pub providers: Vec<TakenProvider>,
    /// `author/name` as published.
    published: String,
    /// Number of warnings about the published declarations.
    warnings: usize,
}

/// A provider that was taken over.
pub struct TakenProvider {
    /// The provider as published.
    loaded: LoadedProvider,
    /// Where the facts are from.
    source: Source,
    /// What is not served.
    left_out: Vec<LeftOut>,
}

#[cfg_attr(not(feature = "package"), allow(dead_code, reason = "only packages need its directory and identity"))]
impl Taken {
    /// The directory of the native plugin.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// What follows from the identity of the package for the one that is published.
    pub fn consequences(&self) -> String {
        let manifest = &self.declarations.manifest;
        let own = format!("{}/{}", manifest.text("author"), manifest.text("name"));
        let signature = "It is not signed with Dify's key: the daemon must accept it (FORCE_VERIFYING_SIGNATURE=false, or sign \
                         it with a key of your own, see docs/packaging.md).";
        if own == self.published {
            format!(
                "the package has the ID of the published plugin, {own}: installing it replaces that plugin, and apps and stored \
                 credentials stay. {signature}"
            )
        } else {
            format!(
                "the package has the ID {own} instead of {}: both can be installed. Credentials are entered again, and apps \
                 select the models again. {signature}",
                self.published
            )
        }
    }
}

/// Takes a plugin over. Everything that contradicts is named before anything is written.
pub(super) fn take(
    program: &Program,
    directory: &Path,
    facts: Option<&Path>,
    identity: &Identity,
) -> anyhow::Result<Taken> {
    if !directory.join("manifest.yaml").is_file() {
        bail!("{} is not a plugin's directory: it has no manifest.yaml", directory.display());
    }
    let (declarations, problems) = declare::inspect_published(directory);
    let Some(declarations) = declarations else {
        bail!("the declarations of {} contain errors:\n{}", directory.display(), errors(problems));
    };
    if declarations.providers.is_empty() {
        bail!("{} has no model providers; only model plugins can be taken over", directory.display());
    }
    let warnings = problems.0.iter().filter(|problem| !problem.code.is_advice()).count();
    let found = facts::find(program, &declarations, facts)?;
    let mut providers = Vec::new();
    for (loaded, Found { key, value, text, source }) in declarations.providers.iter().zip(found) {
        let left_out = facts::check(program, loaded, &key, &value, &source)?;
        providers.push((TakenProvider { loaded: loaded.clone(), source, left_out }, key, text));
    }
    let manifest = &declarations.manifest;
    let published = format!("{}/{}", manifest.text("author"), manifest.text("name"));
    let scratch = Scratch::new()?;
    rewrite::write(&scratch, &declarations, &providers, identity)?;
    let (native, problems) = program.inspect(scratch.path());
    let Some(native) = native.filter(|_| !problems.has_errors()) else {
        bail!("{} cannot be taken over:\n{}", directory.display(), errors(problems));
    };
    let providers = providers.into_iter().map(|(provider, ..)| provider).collect();
    Ok(Taken { scratch, declarations: native, providers, published, warnings })
}

fn errors(problems: Problems) -> Problems {
    let is_error = |problem: &Problem| problem.severity == Severity::Error;
    Problems(problems.0.into_iter().filter(is_error).collect())
}
