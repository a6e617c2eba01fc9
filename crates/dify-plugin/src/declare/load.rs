//! Reads a plugin directory: manifest, provider files, model files, positions. Collects all problems before it fails.
//!
//! Blocks that files share are expanded first: rules, types and packages see the expanded form.

mod blocks;
mod kinds;
mod lines;
mod sidecars;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::codes::Code;
use super::manifest::Manifest;
use super::model::ModelSchema;
use super::problem::{Problem, Problems, Severity};
use super::provider::ProviderDeclaration;
use super::rules::Rules;
use super::shared::{Scope, Shared};
use super::source::Source;
use super::versions::{DifyVersion, Minimum};
use super::{KindDeclarations, LoadedProvider, Sidecar, files, glob, template, yaml};
use crate::protocol::ModelType;

pub(crate) use lines::fill as fill_lines;
#[cfg(feature = "commands")]
pub(crate) use lines::source_of;
#[cfg(feature = "commands")]
pub(crate) use sidecars::sidecar_file;
pub(crate) use sidecars::unowned;

/// Everything a plugin declares.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Declarations {
    /// The plugin directory.
    pub directory: PathBuf,
    /// The manifest.
    pub manifest: Manifest,
    /// The model providers in the manifest's order.
    pub providers: Vec<LoadedProvider>,
    /// Declarations of the other plugin types.
    pub kinds: KindDeclarations,
}

#[cfg(feature = "workbench")]
impl Declarations {
    /// Returns the files that they name as icons, of the manifest and of every provider, in any size, language and theme.
    pub(crate) fn icons(&self) -> std::collections::BTreeSet<&str> {
        let manifest = ["icon", "icon_dark"].map(|key| self.manifest.text(key));
        let providers = self.providers.iter().flat_map(|provider| provider.declaration.icons());
        let named = manifest.into_iter().chain(providers).chain(self.kinds.icons());
        named.filter(|icon| !icon.is_empty()).collect()
    }
}

/// Loads a plugin directory; warnings do not make it fail.
pub fn load(directory: &Path) -> Result<Declarations, Problems> {
    // Lines are for problems that are shown.
    let (declarations, Problems(mut problems)) = inspect_for(directory, DifyVersion::OLDEST);
    declarations.ok_or_else(|| {
        problems.retain(|problem| problem.severity == Severity::Error);
        lines::fill(directory, &mut problems);
        Problems(problems)
    })
}

/// Returns all problems of a plugin directory.
pub fn check(directory: &Path) -> Vec<Problem> {
    inspect(directory).1.0
}

/// Returns the declarations of a plugin directory, unless Dify would reject them, and all problems.
pub(crate) fn inspect(directory: &Path) -> (Option<Declarations>, Problems) {
    let (declarations, mut problems) = inspect_for(directory, DifyVersion::OLDEST);
    lines::fill(directory, &mut problems.0);
    (declarations, problems)
}

/// Loads declarations that others wrote, which may need a newer Dify than they name.
#[cfg(feature = "commands")]
pub(crate) fn inspect_published(directory: &Path) -> (Option<Declarations>, Problems) {
    let (declarations, mut problems) = inspect_for(directory, DifyVersion::NEWEST);
    lines::fill(directory, &mut problems.0);
    (declarations, problems)
}

fn inspect_for(directory: &Path, oldest: DifyVersion) -> (Option<Declarations>, Problems) {
    let mut loader = Loader {
        directory,
        oldest,
        minimum: Minimum::of_manifest(&Map::new()),
        problems: Vec::new(),
        shared: Shared::default(),
        expanded: BTreeMap::new(),
        traced: HashSet::new(),
    };
    let declarations = loader.load();
    let problems = Problems(loader.problems);
    (declarations.filter(|_| !problems.has_errors()), problems)
}

/// The models of a provider.
#[derive(Default)]
struct Models {
    models: Vec<ModelSchema>,
    /// The file of each model.
    sources: Vec<String>,
    /// All files, those with positions included.
    files: Vec<String>,
}

struct Loader<'a> {
    directory: &'a Path,
    /// A version that reads the declarations even if they name an older one.
    oldest: DifyVersion,
    /// The Dify version that must be able to read the package of the current files.
    minimum: Minimum,
    problems: Vec<Problem>,
    shared: Shared,
    /// Files of the current provider whose blocks were expanded.
    expanded: BTreeMap<String, Value>,
    /// Known problems of shared files, because many files use the same block.
    traced: HashSet<String>,
}

impl Loader<'_> {
    fn load(&mut self) -> Option<Declarations> {
        let manifest = self.object("manifest.yaml")?;
        self.minimum = Minimum::of_manifest(&manifest).at_least(self.oldest);
        self.rules("manifest.yaml", |rules| rules.manifest(&manifest));
        for key in ["icon", "icon_dark"] {
            if let Some(icon) = manifest.get(key).and_then(Value::as_str) {
                self.asset("manifest.yaml", key, icon);
            }
        }
        self.privacy("manifest.yaml", "privacy", manifest.get("privacy"));
        let manifest = Manifest(manifest);
        let mut providers: Vec<LoadedProvider> = Vec::new();
        let mut scopes = Vec::new();
        for (index, file) in manifest.provider_files().iter().enumerate() {
            let Some(loaded) = self.provider(file, &manifest, &mut scopes) else { continue };
            let name = &loaded.declaration.provider;
            if let Some(first) = providers.iter().find(|known| known.declaration.provider == *name) {
                let message = format!("{file} declares provider `{name}`, which {} declares already", first.file);
                self.problem(Code::RepeatedProvider, "manifest.yaml", &format!("plugins.models[{index}]"), message);
            } else {
                providers.push(loaded);
            }
        }
        let unused = self.shared.unused(&scopes);
        self.add_once(unused);
        self.minimum = Minimum::of_manifest(&manifest.0).at_least(self.oldest);
        let kinds = self.kinds(&manifest);
        Some(Declarations { directory: self.directory.to_owned(), manifest, providers, kinds })
    }

    fn provider(&mut self, file: &str, manifest: &Manifest, scopes: &mut Vec<Scope>) -> Option<LoadedProvider> {
        self.expanded.clear();
        let mut provider = self.object(file)?;
        let scope = self.scope(file, provider.shift_remove("shared"));
        scopes.push(scope.clone());
        let (mut provider, places) = self.expand(file, provider, &scope)?;
        self.minimum = Minimum::of_package(manifest, &provider, file).at_least(self.oldest);
        let start = self.problems.len();
        self.rules(file, |rules| rules.provider(&provider));
        for key in ["icon_small", "icon_large", "icon_small_dark", "icon_large_dark"] {
            for (language, icon) in provider.get(key).and_then(Value::as_object).into_iter().flatten() {
                if let Some(icon) = icon.as_str().filter(|icon| !icon.is_empty()) {
                    self.asset(file, &format!("{key}.{language}"), icon);
                }
            }
        }
        self.privacy(file, "package.privacy", provider.get("package").and_then(|package| package.get("privacy")));
        self.pages(file, &provider, manifest);
        let groups = provider.remove("models");
        fill_form_texts(&mut provider);
        let declaration = self.typed::<ProviderDeclaration>(file, Value::Object(provider));
        self.trace(start, file, &places);
        let sidecars = self.sidecars(file, manifest, &scope);
        let Models { models, sources, files: model_files } = self.models(file, groups.as_ref(), &scope, &sidecars);
        let declaration = declaration?;
        for model in &models {
            if !declaration.supported_model_types.contains(&model.model_type) {
                let message =
                    format!("does not list `{}`, but model `{}` has this type", model.model_type.as_str(), model.model);
                self.problem(Code::UnlistedType, file, "supported_model_types", message);
            }
        }
        let expanded = std::mem::take(&mut self.expanded);
        let minimum = self.minimum.version;
        let file = file.to_owned();
        Some(LoadedProvider { declaration, models, file, model_files, sources, sidecars, expanded, minimum })
    }

    fn models(&mut self, file: &str, groups: Option<&Value>, scope: &Scope, sidecars: &[Sidecar]) -> Models {
        let mut loaded = Models::default();
        let groups = match groups {
            None | Some(Value::Null) => return loaded,
            Some(Value::Object(groups)) => groups,
            Some(other) => {
                let found = crate::protocol::lenient::kind_of(other);
                self.problem(
                    Code::WrongType,
                    file,
                    "models",
                    format!("must be an object of model types, found {found}"),
                );
                return loaded;
            }
        };
        for (key, group) in groups {
            if !ModelType::ALL.iter().any(|kind| kind.yaml_key() == key) {
                let known: Vec<_> = ModelType::ALL.iter().map(|kind| kind.yaml_key()).collect();
                let message =
                    format!("is not a known model type and would be ignored; expected one of {}", known.join(", "));
                self.problem(Code::UnreadModels, file, &format!("models.{key}"), message);
                self.allow(known);
                continue;
            }
            let mut found = Vec::new();
            let globs = group.get("predefined").and_then(Value::as_array).into_iter().flatten();
            for (index, glob) in globs.enumerate() {
                let path = format!("models.{key}.predefined[{index}]");
                let Some(glob) = glob.as_str() else {
                    self.problem(Code::WrongType, file, &path, format!("must be a path, found {glob}"));
                    continue;
                };
                for model_file in self.glob(file, &path, glob, scope, sidecars) {
                    if let Some(model) = self.model(&model_file, scope) {
                        found.push((model_file, model));
                    }
                }
            }
            found.sort_by(|(left, _), (right, _)| left.cmp(right));
            found.dedup_by(|(left, _), (right, _)| left == right);
            let positions = self.positions(file, key, group, &found);
            found
                .sort_by_key(|(_, model)| positions.iter().position(|name| *name == model.model).unwrap_or(usize::MAX));
            loaded.files.extend(group.get("position").and_then(Value::as_str).map(str::to_owned));
            for (model_file, model) in found {
                loaded.files.push(model_file.clone());
                if loaded.models.iter().any(|known| known.model == model.model && known.model_type == model.model_type)
                {
                    self.problem(
                        Code::RepeatedName,
                        &model_file,
                        "model",
                        format!("`{}` is declared more than once", model.model),
                    );
                } else {
                    loaded.models.push(model);
                    loaded.sources.push(model_file);
                }
            }
        }
        loaded
    }

    fn positions(&mut self, file: &str, key: &str, group: &Value, found: &[(String, ModelSchema)]) -> Vec<String> {
        let Some(position) = group.get("position").and_then(Value::as_str) else { return Vec::new() };
        if let Err(why) = files::find(self.directory, position) {
            self.problem(Code::MissingFile, file, &format!("models.{key}.position"), format!("{position} {why}"));
            return Vec::new();
        }
        let names: Vec<String> = match self.yaml(position) {
            Some(Value::Array(names)) => {
                names.into_iter().map(|name| name.as_str().map_or(name.to_string(), str::to_owned)).collect()
            }
            Some(Value::Null) | None => Vec::new(),
            Some(_) => {
                self.problem(Code::WrongType, position, "", "must be a list of model IDs".to_owned());
                Vec::new()
            }
        };
        for (index, name) in names.iter().enumerate() {
            if !found.iter().any(|(_, model)| model.model == *name) {
                self.problem(
                    Code::NoSuchModel,
                    position,
                    &format!("[{index}]"),
                    format!("no model `{name}` is declared"),
                );
                self.allow(found.iter().map(|(_, model)| model.model.as_str()));
            }
        }
        names
    }

    fn model(&mut self, file: &str, scope: &Scope) -> Option<ModelSchema> {
        let model = self.object(file)?;
        let (mut model, places) = self.expand(file, model, scope)?;
        let start = self.problems.len();
        self.rules(file, |rules| rules.model(&model));
        if model.get("label").is_none_or(Value::is_null)
            && let Some(name) = model.get("model").cloned()
        {
            model.insert("label".to_owned(), serde_json::json!({"en_US": name}));
        }
        for rule in model.get_mut("parameter_rules").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(rule) = rule.as_object_mut() {
                template::fill(rule);
                if rule.get("label").is_none_or(Value::is_null)
                    && let Some(name) = rule.get("name").cloned()
                {
                    rule.insert("label".to_owned(), serde_json::json!({"en_US": name}));
                }
            }
        }
        let model = self.typed::<ModelSchema>(file, Value::Object(model));
        self.trace(start, file, &places);
        let mut model = model?;
        model.label = model.label.filled();
        for rule in &mut model.parameter_rules {
            rule.label = rule.label.clone().filled();
            rule.help = rule.help.take().map(super::I18n::filled);
        }
        Some(model)
    }

    fn glob(&mut self, file: &str, path: &str, glob: &str, scope: &Scope, sidecars: &[Sidecar]) -> Vec<String> {
        let mut files = match glob::model_files(self.directory, glob) {
            Ok(files) => files,
            Err(why) => {
                self.problem(Code::Pattern, file, path, why);
                return Vec::new();
            }
        };
        files.retain(|file| !scope.has_file(file) && !sidecars.iter().any(|sidecar| sidecar.file == *file));
        if files.is_empty() {
            self.problem(Code::NoModelFiles, file, path, format!("`{glob}` matches no model files"));
        }
        files
    }

    fn asset(&mut self, file: &str, path: &str, name: &str) {
        let asset = format!("_assets/{name}");
        if let Err(why) = files::find(self.directory, &asset) {
            self.problem(Code::MissingFile, file, path, format!("{asset} {why}"));
        }
    }

    /// A privacy policy may be a file of the package. It is required for packaging only.
    fn privacy(&mut self, file: &str, path: &str, privacy: Option<&Value>) {
        if let Some(privacy) = privacy.and_then(Value::as_str).and_then(privacy_file)
            && let Err(why) = files::find(self.directory, privacy)
        {
            let missing = files::is_plain(privacy) && !self.directory.join(privacy).exists();
            let code = if missing { Code::NeededForPackage } else { Code::MissingFile };
            self.problem(code, file, path, format!("{privacy} {why}"));
        }
    }

    /// The pages that Dify shows. They are required for packaging only.
    fn pages(&mut self, file: &str, provider: &Map<String, Value>, manifest: &Manifest) {
        let pages = provider.get("package").and_then(|package| package.get("readme")).and_then(Value::as_str);
        if let Some(pages) = pages.filter(|_| manifest.provider_files().len() > 1) {
            let page = format!("{pages}/README.md");
            if let Err(why) = files::find(self.directory, &page) {
                self.problem(Code::NeededForPackage, file, "package.readme", format!("{page} {why}"));
            }
        }
    }

    fn rules(&mut self, file: &str, check: impl FnOnce(&mut Rules<'_>)) {
        check(&mut Rules::new(file, &self.minimum, &mut self.problems));
    }

    fn object(&mut self, file: &str) -> Option<Map<String, Value>> {
        match self.yaml(file)? {
            Value::Object(map) => Some(map),
            other => {
                let found = crate::protocol::lenient::kind_of(&other);
                self.problem(Code::WrongType, file, "", format!("must be an object, found {found}"));
                None
            }
        }
    }

    /// Reads a file.
    fn yaml(&mut self, file: &str) -> Option<Value> {
        let read = files::read(self.directory, file, yaml::MAX_YAML_BYTES);
        let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned()));
        let text = match text {
            Ok(text) => text,
            Err(why) => {
                self.problem(Code::Unreadable, file, "", why);
                return None;
            }
        };
        match yaml::parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.not_parsed(file, &text, &error);
                None
            }
        }
    }

    /// A text that is not YAML, or that has keys twice: each of them is a problem.
    fn not_parsed(&mut self, file: &str, text: &str, error: &yaml::Error) {
        let code = error.code();
        if code != Code::RepeatedKey {
            return self.problem(code, file, "", error.to_string());
        }
        let source = Source::new(text);
        let mut paths: Vec<&str> = source.repeated_keys().iter().map(|key| key.path.as_str()).collect();
        paths.dedup();
        if paths.is_empty() {
            self.problem(code, file, "", error.to_string());
        }
        for path in paths {
            self.problem(code, file, path, "is here a second time; the daemon refuses the file".to_owned());
        }
    }

    /// Deserializes a file. Reports an error only if the rules found no error in it.
    fn typed<T: DeserializeOwned>(&mut self, file: &str, value: Value) -> Option<T> {
        match read(value) {
            Ok(typed) => Some(typed),
            Err((path, message)) => {
                if !self.problems.iter().any(|problem| problem.file == file && problem.severity == Severity::Error) {
                    // A dot is the complete file.
                    self.problem(Code::WrongType, file, path.trim_matches('.'), message);
                }
                None
            }
        }
    }

    /// Adds what is allowed to the last problem.
    fn allow<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        if let Some(problem) = self.problems.last_mut() {
            problem.allow(names);
        }
    }

    fn problem(&mut self, code: Code, file: &str, path: &str, message: String) {
        self.problems.push(Problem::new(code, file, path, message));
    }
}

/// Deserializes a value; an error has its path.
#[cfg(feature = "commands")]
fn read<T: DeserializeOwned>(value: Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|error| (error.path().to_string(), error.inner().to_string()))
}

/// The same without paths, which are much code: what is served without a command line was checked with one.
#[cfg(not(feature = "commands"))]
fn read<T: DeserializeOwned>(value: Value) -> Result<T, (String, String)> {
    serde_json::from_value(value).map_err(|error| (String::new(), error.to_string()))
}

/// Converts bare scalars in form fields (`default: 60`) to strings, as the protocol requires.
fn fill_form_texts(provider: &mut Map<String, Value>) {
    fn as_text(value: &mut Value) {
        if matches!(value, Value::Bool(_) | Value::Number(_)) {
            *value = value.to_string().into();
        }
    }
    for form in ["provider_credential_schema", "model_credential_schema"] {
        let fields = provider.get_mut(form).and_then(|form| form.get_mut("credential_form_schemas"));
        for field in fields.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(default) = field.get_mut("default") {
                as_text(default);
            }
            if field.get("required").is_some_and(|required| required == "yes" || required == "no") {
                field["required"] = (field["required"] == "yes").into();
            }
            for key in ["help", "placeholder"] {
                if field.get(key).is_some_and(|text| text.get("en_US").is_none_or(|text| !text.is_string())) {
                    field[key] = Value::Null;
                }
            }
            for key in ["options", "show_on"] {
                for item in field.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(value) = item.get_mut("value") {
                        as_text(value);
                    }
                }
            }
        }
    }
}

/// Returns the file of a `privacy` that is not a URL.
pub fn privacy_file(privacy: &str) -> Option<&str> {
    let is_file = !privacy.is_empty() && !privacy.contains("://");
    is_file.then(|| privacy.trim_start_matches("./"))
}
