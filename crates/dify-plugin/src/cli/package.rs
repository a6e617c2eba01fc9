//! `package`, `keygen`, `sign`, `verify`, `checksum`, `inspect`: builds and examines packages for Dify.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::Map;

use super::executables;
use super::program::Program;
use super::take_over::{self, FromArgs, Taken};
use super::terminal::{print_line, print_raw, say};
use crate::atomic_file;
use crate::declare::versions::DifyVersion;
use crate::declare::{self, code};
use crate::package::build::{self, Binary, COMFORTABLE, Package};
use crate::package::{Target, inspect, keys, older, signature};

/// The commands of this module.
#[derive(Debug, Subcommand)]
pub enum PackageCommand {
    Package(Box<PackageArgs>),
    Keygen(KeygenArgs),
    Sign(SignArgs),
    Verify(VerifyArgs),
    Checksum(ChecksumArgs),
    Inspect(InspectArgs),
}

impl PackageCommand {
    /// Runs the command.
    pub fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        match self {
            Self::Package(args) => args.run(program),
            Self::Keygen(args) => args.run(),
            Self::Sign(args) => args.run(),
            Self::Verify(args) => args.run(),
            Self::Checksum(args) => args.run(),
            Self::Inspect(args) => args.run(),
        }
    }
}

/// Write one .difypkg file per provider in the manifest
#[derive(Debug, Args)]
pub struct PackageArgs {
    /// Provider to package; all providers by default (repeatable)
    #[arg(long = "provider", value_name = "NAME")]
    providers: Vec<String>,
    /// Target platforms: linux-amd64, linux-arm64 [default: those that have an executable]
    #[arg(long = "target", value_delimiter = ',')]
    targets: Vec<Target>,
    /// Minimum Dify version of the packages, instead of each provider's own: unsupported features are omitted
    #[arg(long, value_name = "VERSION")]
    minimum_dify: Option<DifyVersion>,
    /// Output directory
    #[arg(long, default_value = "dist", value_name = "DIR")]
    out: PathBuf,
    /// Executable for a target, instead of the one that Cargo built (repeatable)
    #[arg(long = "binary", value_name = "TARGET=PATH")]
    binaries: Vec<String>,
    /// Also write each package's files to this directory, ready for `dify plugin package`
    #[arg(long, value_name = "DIR")]
    stage: Option<PathBuf>,
    /// Add the manifest fields that the Dify Marketplace requires, and list what was added
    #[arg(long)]
    marketplace: bool,
    /// URL of the source repository (with --marketplace)
    #[arg(long, value_name = "URL", requires = "marketplace")]
    repo: Option<String>,
    /// Email address of the maintainer (with --marketplace)
    #[arg(long, value_name = "MAIL", requires = "marketplace")]
    contact: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Directory that contains manifest.yaml
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    from: FromArgs,
    #[command(flatten)]
    identity: take_over::Identity,
}

impl PackageArgs {
    /// Runs the command.
    pub fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        let taken = self.from.take_as(program, &self.identity)?;
        if let Some(taken) = &taken {
            taken.report().iter().for_each(|line| self.progress(line));
            self.progress(&taken.consequences());
        }
        let directory = taken.as_ref().map_or(self.dir.as_path(), Taken::directory);
        let (declarations, problems) = declare::inspect(directory);
        let Some(declarations) = declarations else {
            bail!("the declarations contain errors; no package was written:\n{problems}");
        };
        let declared = (!declarations.kinds.is_empty()).then_some(&declarations.kinds);
        let mut differences = declared.map(|kinds| program.plugin.differences(kinds)).unwrap_or_default();
        if differences.is_empty() {
            let errors = code::check(directory, &program.plugin.code()).into_iter();
            let errors = errors.filter(|difference| difference.severity == declare::Severity::Error);
            differences.extend(errors.map(|difference| difference.to_string()));
        }
        let facts = program.described(&declarations).problems;
        if facts.has_errors() {
            bail!("the facts about the providers contain errors; no package was written:\n{facts}");
        }
        if !differences.is_empty() {
            bail!("the declarations do not match the code of the plugin:\n{}", differences.join("\n"));
        }
        let known: Vec<&str> =
            declarations.providers.iter().map(|loaded| loaded.declaration.provider.as_str()).collect();
        for name in &self.providers {
            if !known.contains(&name.as_str()) {
                bail!("unknown provider `{name}`; the manifest lists {}", known.join(", "));
            }
        }
        if let Some(version) = self.minimum_dify.filter(|version| *version < DifyVersion::OLDEST) {
            bail!("Dify {version} does not support plugins; the first version that does is {}", DifyVersion::OLDEST);
        }
        let binaries = self.binaries(program.name)?;
        let chosen = |name: &str| self.providers.is_empty() || self.providers.iter().any(|provider| provider == name);
        let mut additions = Map::new();
        for (key, value) in [("repo", &self.repo), ("contact", &self.contact)] {
            if let Some(value) = value {
                additions.insert(key.to_owned(), value.as_str().into());
            }
        }
        let additions = self.marketplace.then_some(&additions);
        let mut packages = Vec::new();
        for loaded in declarations.providers.iter().filter(|loaded| chosen(&loaded.declaration.provider)) {
            let name = &loaded.declaration.provider;
            let suited = self.minimum_dify.map(|version| older::suit(&declarations, loaded, version)).transpose();
            let loaded = match suited {
                Ok(suited) => &suited.unwrap_or_else(|| loaded.clone()),
                // This provider was not requested explicitly.
                Err(why) if self.providers.is_empty() => {
                    self.progress(&format!("{name} skipped: {why}"));
                    continue;
                }
                Err(why) => return Err(why.into()),
            };
            self.progress(&format!("packaging {name}"));
            packages.push(build::build(&declarations, loaded, &binaries, additions)?);
        }
        if declared.is_some() {
            self.progress(&format!("packaging {}", declarations.manifest.text("name")));
            packages.push(build::build_kinds(&declarations, &binaries, additions)?);
        }
        self.check_stage(&packages)?;
        let mut summaries = Vec::new();
        for package in &packages {
            let path = self.out.join(package.file_name());
            self.write(package, &path)?;
            for key in build::MARKETPLACE_KEYS.iter().filter(|_| self.marketplace) {
                if let Some(value) = package.manifest.0.get(*key) {
                    self.progress(&format!("added for the marketplace: {key}: {value}"));
                }
            }
            summaries.push(build::summary(package, &path));
        }
        if self.json {
            print_raw(&serde_json::to_string_pretty(&summaries)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Checks, before anything is written, that no stage directory exists.
    fn check_stage(&self, packages: &[Package]) -> anyhow::Result<()> {
        for stage in self.stage.iter() {
            let mut directories = packages.iter().map(|package| stage.join(package.manifest.text("name")));
            if let Some(directory) = directories.find(|directory| directory.exists()) {
                bail!("{} already exists; --stage writes to new directories only", directory.display());
            }
        }
        Ok(())
    }

    fn write(&self, package: &Package, path: &Path) -> anyhow::Result<()> {
        atomic_file::write_whole(path, &package.bytes)?;
        if let Some(stage) = &self.stage {
            let directory = stage.join(package.manifest.text("name"));
            for (name, bytes) in &package.files {
                atomic_file::write_whole(&directory.join(name), bytes)?;
            }
            self.progress(&format!("staged {}", directory.display()));
        }
        if package.bytes.len() > COMFORTABLE {
            say(&format!("warning: {} is larger than 15 MiB; some parts of Dify may reject it", path.display()));
        }
        if !self.json {
            print_line(&format!(
                "{}  {:.1} MB, {:.1} MB unpacked, {}",
                path.display(),
                package.bytes.len() as f64 / 1e6,
                package.unpacked() as f64 / 1e6,
                package.identifier()
            ))?;
        }
        Ok(())
    }

    fn progress(&self, text: &str) {
        if !self.json {
            say(text);
        }
    }

    fn binaries(&self, executable: &str) -> anyhow::Result<Vec<Binary>> {
        let given =
            self.binaries.iter().map(|pair| executables::parse_pair(pair)).collect::<anyhow::Result<Vec<_>>>()?;
        executables::read(&self.dir, executable, &self.targets, &given)
    }
}

/// Generate a key pair for signing packages
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// Prefix of the key files: PREFIX.private.pem and PREFIX.public.pem
    #[arg(long, value_name = "PREFIX")]
    out: PathBuf,
}

impl KeygenArgs {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let keys = keys::generate()?;
        let file = |name: &str| PathBuf::from(format!("{}.{name}.pem", self.out.display()));
        atomic_file::write_secret(&file("private"), keys.private.as_bytes())?;
        atomic_file::write_whole(&file("public"), keys.public.as_bytes())?;
        print_line(&file("private").display().to_string())?;
        print_line(&file("public").display().to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Sign a package
#[derive(Debug, Args)]
pub struct SignArgs {
    /// Package file
    file: PathBuf,
    /// Private key file (PEM)
    #[arg(long, value_name = "PRIVATE")]
    key: PathBuf,
    /// Output file for the signed package
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Signing authority: langgenius, partner or community
    #[arg(long, default_value = "community", value_parser = ["langgenius", "partner", "community"])]
    category: String,
}

impl SignArgs {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let key = read_key(&self.key)?;
        let bytes = signature::sign(&self.file, &key, &self.category)?;
        atomic_file::write_whole(&self.out, &bytes)?;
        print_line(&self.out.display().to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Verify the signature of a package
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Package file
    file: PathBuf,
    /// Public key file (PEM)
    #[arg(long, value_name = "PUBLIC")]
    key: PathBuf,
}

impl VerifyArgs {
    /// Runs the command. The exit code is 1 if the signature is not valid.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        signature::verify(&self.file, &read_key(&self.key)?)?;
        print_line(&format!("{}: signature is valid", self.file.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read_key(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read the key {}", path.display()))
}

/// Print the checksum and identifier of a package
#[derive(Debug, Args)]
pub struct ChecksumArgs {
    /// Package file
    file: PathBuf,
}

impl ChecksumArgs {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let contents = inspect::read(&self.file)?;
        let checksum = contents.checksum();
        print_line(&checksum)?;
        print_line(&build::identifier(&contents.manifest()?, &checksum))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Show the contents of a package
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Package file
    file: PathBuf,
}

impl InspectArgs {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let contents = inspect::read(&self.file)?;
        let manifest = contents.manifest().with_context(|| self.file.display().to_string())?;
        print_line(&format!("identifier {}", build::identifier(&manifest, &contents.checksum())))?;
        for file in manifest.provider_files() {
            print_line(&format!("provider   {file}"))?;
        }
        let models = contents.entries.iter().filter(|entry| {
            entry.path.starts_with("models/")
                && entry.path.ends_with(".yaml")
                && !entry.path.ends_with("_position.yaml")
        });
        print_line(&format!("models     {}", models.count()))?;
        for wheel in contents.entries.iter().filter(|entry| entry.path.ends_with(".whl")) {
            print_line(&format!("wheel      {} ({} bytes)", wheel.path, wheel.bytes.len()))?;
        }
        let signed = if contents.comment.is_some() { "yes (check it with `verify`)" } else { "no" };
        print_line(&format!("signed     {signed}"))?;
        print_line(&format!(
            "size       {} bytes, {} unpacked, {} files",
            contents.packed,
            contents.unpacked(),
            contents.entries.len()
        ))?;
        for warning in &contents.warnings {
            print_line(&format!("warning    {warning}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
