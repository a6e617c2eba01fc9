//! Builds the package of one provider: derived manifest, provider and model YAML, icons, documents, launcher and
//! wheels.

use std::collections::BTreeSet;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde_json::{Map, Value, json};

use super::archive::{self, Files};
use super::wheel::{DISTRIBUTION, Wheel};
use super::{PackageError, Target, elf, readme};
use crate::declare::load::privacy_file;
use crate::declare::rules::Rules;
use crate::declare::versions::Minimum;
use crate::declare::{Declarations, LoadedProvider, Manifest, Problems, files, yaml};

/// The launcher, which is the same for all packages.
pub const LAUNCHER: &str = include_str!("launcher.py");

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
    /// Short provider name.
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

/// Builds the package of one provider, and rejects everything that Dify would reject. `marketplace` contains fields for
/// the marketplace, which override the manifest's own `marketplace` object.
pub fn build(
    declarations: &Declarations,
    loaded: &LoadedProvider,
    binaries: &[Binary],
    marketplace: Option<&Map<String, Value>>,
) -> Result<Package, PackageError> {
    let directory = &declarations.directory;
    let mut manifest = declarations.manifest.derive(&loaded.declaration, &loaded.file);
    if loaded.minimum != Minimum::of_manifest(&manifest.0).version {
        manifest.0["meta"]["minimum_dify_version"] = loaded.minimum.to_string().into();
    }
    manifest.0["meta"]["arch"] = binaries.iter().map(|binary| binary.target.arch()).collect::<Vec<_>>().into();
    let additions = manifest.0.remove("marketplace");
    if let Some(given) = marketplace {
        add_marketplace(&mut manifest, additions.as_ref(), given)?;
    }
    check_manifest(&manifest)?;

    let mut files = Files::new();
    let ignored = ignore_rules(directory)?;
    for path in sources(&manifest, loaded) {
        if is_ignored(&ignored, &path) {
            return Err(PackageError::Wrong(format!("{path} is required, but .difyignore excludes it")));
        }
        let bytes = match loaded.expanded.get(&path) {
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
    let own_pages = own_text(loaded, "readme").filter(|_| declarations.manifest.provider_files().len() > 1);
    for (path, bytes) in readme::pages(directory, own_pages)? {
        if !is_ignored(&ignored, &path) {
            files.insert(path, bytes);
        }
    }
    let yaml = serde_yaml::to_string(&manifest.0)
        .map_err(|error| PackageError::Wrong(format!("cannot write the manifest: {error}")))?;
    files.insert("manifest.yaml".to_owned(), yaml.into_bytes());
    files.insert("main.py".to_owned(), LAUNCHER.as_bytes().to_vec());
    add_wheels(&mut files, &manifest, binaries)?;

    let bytes = archive::write(&files, None, |_| 0o644)?;
    let package = Package { provider: loaded.declaration.provider.clone(), manifest, files, bytes };
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

/// Returns the paths of the files that Dify reads.
fn sources(manifest: &Manifest, loaded: &LoadedProvider) -> BTreeSet<String> {
    let mut paths = BTreeSet::from([loaded.file.clone()]);
    paths.extend(loaded.model_files.iter().cloned());
    let own = ["icon", "icon_dark"].map(|key| manifest.text(key));
    let icons = loaded.declaration.icons().chain(own).filter(|icon| !icon.is_empty());
    paths.extend(icons.map(|icon| format!("_assets/{icon}")));
    paths.extend(privacy_file(manifest.text("privacy")).map(str::to_owned));
    paths
}

/// Returns the paths of further documents for users.
fn documents(directory: &Path) -> impl Iterator<Item = String> {
    ["LICENSE", "PRIVACY.md"].into_iter().filter(|path| directory.join(path).is_file()).map(str::to_owned)
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
fn add_wheels(files: &mut Files, manifest: &Manifest, binaries: &[Binary]) -> Result<(), PackageError> {
    let version = manifest.text("version").to_owned();
    let mut requirement = format!("--find-links wheels\n{DISTRIBUTION}=={version}");
    for binary in binaries {
        elf::check(&binary.path, &binary.bytes, binary.target)?;
        let wheel = Wheel::build(binary.target, &version, &binary.bytes)?;
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
