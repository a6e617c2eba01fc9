//! Builds a package: manifest, declarations, icons, documents, launcher and wheels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde_json::{Map, Value, json};

use super::archive::{self, Files};
use super::wheel::{Wheel, distribution};
use super::{PackageError, Target, elf, readme};
use crate::declare::load::privacy_file;
use crate::declare::rules::Rules;
use crate::declare::versions::Minimum;
use crate::declare::{Declarations, LoadedProvider, Manifest, Problems, files, yaml};

/// The launcher, which is the same for all packages but for the name of the executable.
const LAUNCHER: &str = include_str!("launcher.py");

/// The name of the executable in [`LAUNCHER`].
const LAUNCHER_NAME: &str = "native-model-runtime";

/// Maximum size of a package in bytes, packed and unpacked, with the daemon's default settings.
pub const MAX_PACKAGE_BYTES: usize = 52_428_800;

/// Size in bytes above which other parts of Dify may reject a package.
pub const COMFORTABLE: usize = 15 * 1024 * 1024;

/// An executable for a target platform.
pub struct Binary {
    /// Target platform.
    pub target: Target,
    /// Path of the file.
    pub path: String,
    /// Contents of the file.
    pub bytes: Vec<u8>,
}

/// A package that is ready to be written.
pub struct Package {
    /// Short provider name; the plugin's name for kinds other than models.
    pub provider: String,
    /// Derived manifest.
    pub manifest: Manifest,
    /// Files by path.
    pub files: Files,
    /// Contents of the `.difypkg` file.
    pub bytes: Vec<u8>,
}

impl Package {
    /// Returns `name-version.difypkg`.
    pub fn file_name(&self) -> String {
        format!("{}-{}.difypkg", self.manifest.text("name"), self.manifest.text("version"))
    }

    /// Returns the daemon's identifier: `author/name:version@checksum`.
    pub fn identifier(&self) -> String {
        let files = self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        identifier(&self.manifest, &archive::checksum(files))
    }

    /// Returns the total size of all unpacked files in bytes.
    pub fn unpacked(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }
}

/// Returns `author/name:version@checksum`.
pub fn identifier(manifest: &Manifest, checksum: &str) -> String {
    format!("{}/{}:{}@{checksum}", manifest.text("author"), manifest.text("name"), manifest.text("version"))
}

/// Manifest fields that the marketplace requires in addition; set in `marketplace` of the root manifest.
pub const MARKETPLACE_KEYS: [&str; 3] = ["repo", "contact", "network"];

/// Builds the package of one model provider, and rejects everything that Dify would reject. `marketplace` contains fields
/// for the marketplace, which override the manifest's own `marketplace` object.
pub fn build(
    declarations: &Declarations,
    loaded: &LoadedProvider,
    binaries: &[Binary],
    marketplace: Option<&Map<String, Value>>,
) -> Result<Package, PackageError> {
    let mut manifest = declarations.manifest.derive(&loaded.declaration, &loaded.file);
    if loaded.minimum != Minimum::of_manifest(&manifest.0).version {
        manifest.0["meta"]["minimum_dify_version"] = loaded.minimum.to_string().into();
    }
    let mut paths = BTreeSet::from([loaded.file.clone()]);
    paths.extend(loaded.model_files.iter().cloned());
    paths.extend(loaded.sidecars.iter().map(|sidecar| sidecar.file.clone()));
    paths.extend(loaded.declaration.icons().map(asset));
    let own_pages = own_text(loaded, "readme").filter(|_| declarations.manifest.provider_files().len() > 1);
    let source = Source { provider: &loaded.declaration.provider, paths, expanded: Some(&loaded.expanded), own_pages };
    assemble(declarations, manifest, source, binaries, marketplace)
}

/// Builds the package of the plugin kinds other than models, which one manifest declares together. Otherwise as [`build`].
pub fn build_kinds(
    declarations: &Declarations,
    binaries: &[Binary],
    marketplace: Option<&Map<String, Value>>,
) -> Result<Package, PackageError> {
    let mut paths: BTreeSet<String> = declarations.kinds.files.iter().cloned().collect();
    paths.extend(declarations.kinds.icons().into_iter().map(asset));
    let source = Source { provider: declarations.manifest.text("name"), paths, expanded: None, own_pages: None };
    assemble(declarations, declarations.manifest.clone(), source, binaries, marketplace)
}

/// The part of a package that its declarations determine.
struct Source<'a> {
    provider: &'a str,
    paths: BTreeSet<String>,
    expanded: Option<&'a BTreeMap<String, Value>>,
    own_pages: Option<&'a str>,
}

fn asset(icon: &str) -> String {
    format!("_assets/{icon}")
}

fn assemble(
    declarations: &Declarations,
    mut manifest: Manifest,
    source: Source<'_>,
    binaries: &[Binary],
    marketplace: Option<&Map<String, Value>>,
) -> Result<Package, PackageError> {
    let directory = &declarations.directory;
    manifest.0["meta"]["arch"] = binaries.iter().map(|binary| binary.target.arch()).collect::<Vec<_>>().into();
    let additions = manifest.0.remove("marketplace");
    if let Some(given) = marketplace {
        add_marketplace(&mut manifest, additions.as_ref(), given)?;
    }
    check_manifest(&manifest)?;

    let mut files = Files::new();
    let ignored = ignore_rules(directory)?;
    let mut paths = source.paths;
    let icons = ["icon", "icon_dark"].map(|key| manifest.text(key));
    paths.extend(icons.into_iter().filter(|icon| !icon.is_empty()).map(asset));
    paths.extend(privacy_file(manifest.text("privacy")).map(str::to_owned));
    for path in paths {
        if is_ignored(&ignored, &path) {
            return Err(PackageError::Wrong(format!("{path} is required, but .difyignore excludes it")));
        }
        let bytes = match source.expanded.and_then(|expanded| expanded.get(&path)) {
            Some(value) => yaml::write(value).into_bytes(),
            None => read(directory, &path)?,
        };
        files.insert(path, bytes);
    }
    for path in documents(directory) {
        if !is_ignored(&ignored, &path) {
            files.insert(path.clone(), read(directory, &path)?);
        }
    }
    for (path, bytes) in readme::pages(directory, source.own_pages)? {
        if !is_ignored(&ignored, &path) {
            files.insert(path, bytes);
        }
    }
    let yaml = serde_yaml::to_string(&manifest.0)
        .map_err(|error| PackageError::Wrong(format!("cannot write the manifest: {error}")))?;
    files.insert("manifest.yaml".to_owned(), yaml.into_bytes());
    let distribution = distribution(manifest.text("author"), manifest.text("name"));
    files.insert("main.py".to_owned(), LAUNCHER.replacen(LAUNCHER_NAME, &distribution, 1).into_bytes());
    add_wheels(&mut files, &distribution, manifest.text("version"), binaries)?;

    let bytes = archive::write(&files, None, |_| 0o644)?;
    let package = Package { provider: source.provider.to_owned(), manifest, files, bytes };
    check_size(&package)?;
    Ok(package)
}

/// Returns a text of the object `package` in a provider's file.
fn own_text<'a>(loaded: &'a LoadedProvider, key: &str) -> Option<&'a str> {
    loaded.declaration.extra.get("package")?.get(key)?.as_str()
}

fn check_manifest(manifest: &Manifest) -> Result<(), PackageError> {
    let mut problems = Vec::new();
    Rules::new("manifest.yaml", &Minimum::of_manifest(&manifest.0), &mut problems).manifest(&manifest.0);
    let problems = Problems(problems);
    if problems.has_errors() {
        Err(PackageError::Wrong(format!("the package manifest is not valid:\n{problems}")))
    } else {
        Ok(())
    }
}

fn add_marketplace(
    manifest: &mut Manifest,
    own: Option<&Value>,
    given: &Map<String, Value>,
) -> Result<(), PackageError> {
    for key in MARKETPLACE_KEYS {
        let own = own.and_then(|own| own.get(key)).filter(|value| !value.is_null());
        match given.get(key).or(own) {
            Some(value) => drop(manifest.0.insert(key.to_owned(), value.clone())),
            None if key == "network" => {}
            None => {
                return Err(PackageError::Wrong(format!(
                    "the marketplace requires `{key}`: pass --{key}, or set it under `marketplace:` in manifest.yaml"
                )));
            }
        }
    }
    Ok(())
}

/// Returns the paths of further documents for users.
fn documents(directory: &Path) -> impl Iterator<Item = String> {
    ["LICENSE", "NOTICE", "NOTICE.md", "PRIVACY.md"]
        .into_iter()
        .filter(|path| directory.join(path).is_file())
        .map(str::to_owned)
}

fn read(directory: &Path, path: &str) -> Result<Vec<u8>, PackageError> {
    let file = || directory.join(path).display().to_string();
    files::read(directory, path, MAX_PACKAGE_BYTES as u64)
        .map_err(|why| PackageError::Wrong(format!("{} {why}", file())))
}

fn ignore_rules(directory: &Path) -> Result<Gitignore, PackageError> {
    let mut builder = GitignoreBuilder::new(directory);
    let file = directory.join(".difyignore");
    if file.is_file()
        && let Some(error) = builder.add(&file)
    {
        return Err(PackageError::Wrong(format!("cannot read .difyignore: {error}")));
    }
    builder.build().map_err(|error| PackageError::Wrong(format!("cannot read .difyignore: {error}")))
}

fn is_ignored(rules: &Gitignore, path: &str) -> bool {
    rules.matched_path_or_any_parents(path, false).is_ignore()
}

/// Adds the wheels, and the files that let the installer find them offline.
fn add_wheels(files: &mut Files, distribution: &str, version: &str, binaries: &[Binary]) -> Result<(), PackageError> {
    let mut requirement = format!("--find-links wheels\n{distribution}=={version}");
    for binary in binaries {
        elf::check(&binary.path, &binary.bytes, binary.target)?;
        let wheel = Wheel::build(binary.target, distribution, version, &binary.bytes)?;
        requirement.push_str(&format!(" --hash=sha256:{}", wheel.sha256()));
        files.insert(format!("wheels/{}", wheel.name), wheel.bytes);
    }
    requirement.push('\n');
    files.insert("requirements.txt".to_owned(), requirement.into_bytes());
    files.insert("uv.toml".to_owned(), b"no-index = true\nfind-links = [\"./wheels\"]\n".to_vec());
    Ok(())
}

fn check_size(package: &Package) -> Result<(), PackageError> {
    for (what, size) in [("packed", package.bytes.len()), ("unpacked", package.unpacked())] {
        if size > MAX_PACKAGE_BYTES {
            let mut by_size: Vec<_> = package.files.iter().map(|(path, bytes)| (bytes.len(), path)).collect();
            by_size.sort_unstable_by(|left, right| right.cmp(left));
            let largest: Vec<String> =
                by_size.iter().take(5).map(|(size, path)| format!("{path} ({size} bytes)")).collect();
            return Err(PackageError::Wrong(format!(
                "the package of `{}` has {size} bytes {what}, but Dify accepts at most {MAX_PACKAGE_BYTES}; the largest files \
                 are {}",
                package.provider,
                largest.join(", ")
            )));
        }
    }
    Ok(())
}

/// Returns a summary of a package for scripts.
pub fn summary(package: &Package, path: &Path) -> Value {
    json!({
        "provider": package.provider,
        "file": path.display().to_string(),
        "identifier": package.identifier(),
        "bytes": package.bytes.len(),
        "unpacked_bytes": package.unpacked(),
        "files": package.files.len(),
    })
}
