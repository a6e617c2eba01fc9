//! Finds declared models by name: the model that a response names, and the declared model that a custom model
//! resembles. Only names are compared here; the capabilities and prices of a model are in its YAML file.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::dialect::gemini::agents::interactions::is_agent;
use dify_plugin::declare::ModelSchema;
use dify_plugin::protocol::ModelType;

/// Words that start a version suffix of a declared model: `-preview-06-17`, `-exp`.
const VERSION_WORDS: [&str; 5] = ["preview", "exp", "experimental", "latest", "stable"];

/// Default model for names that do not identify one: it accepts what most models accept.
const fn stand_in(kind: ModelType) -> Option<&'static str> {
    match kind {
        ModelType::Llm => Some("gemini-2.5-flash-lite"),
        ModelType::TextEmbedding => Some("gemini-embedding-001"),
        _ => None,
    }
}

/// The models that a provider declares, in the order in which Dify lists them.
#[derive(Clone, Debug, Default)]
pub struct Catalog(Arc<[Arc<ModelSchema>]>);

/// The declared model that a custom model resembles.
#[derive(Clone, Debug)]
pub struct Resemblance {
    /// The declared model.
    pub model: Arc<ModelSchema>,
    /// Whether the name identifies this model; otherwise it is the nearest one.
    pub is_named: bool,
    /// Whether the name is one of Google's names; otherwise the price of the model is unknown.
    pub is_known: bool,
}

impl Catalog {
    /// Creates a catalog of the declared models of a provider.
    pub fn new(models: Arc<[Arc<ModelSchema>]>) -> Self {
        Self(models)
    }

    /// Returns the declared model for an ID: the model with this ID, or the one that the ID is a version of
    /// (`gemini-3.8-flash-002`, `models/gemini-3.8-flash`, `gemini-3.8-flash@001`), unless it is retired. A model with
    /// a price is preferred over one of the same ID without.
    pub fn find(&self, id: &str) -> Option<&Arc<ModelSchema>> {
        self.best(id, |model| !is_retired(model))
    }

    fn best(&self, id: &str, suits: impl Fn(&ModelSchema) -> bool) -> Option<&Arc<ModelSchema>> {
        let id = plain(id);
        let models = self.0.iter().filter(|model| suits(model) && is_version(&id, &model.model));
        models.min_by_key(|model| (Reverse(model.model.len()), model.pricing.is_none()))
    }

    /// Returns the declared model that a custom model resembles: the one named by `chosen`, or else by its own name, or
    /// else the nearest model of the same type. `None` if nothing similar is declared, or if `chosen` names an unknown
    /// model.
    pub fn like(&self, id: &str, kind: ModelType, chosen: Option<&str>) -> Option<Resemblance> {
        let suits = |model: &ModelSchema| model.model_type == kind && is_served(model);
        if let Some(model) = self.best(chosen.unwrap_or(id), suits) {
            return Some(Resemblance { model: model.clone(), is_named: true, is_known: true });
        }
        let own = Name::of(id);
        let name = match chosen.map(Name::of) {
            Some(chosen) if chosen.product == Product::Unknown => return None,
            // The chosen name decides; the ID may add the size.
            Some(chosen) => Name { words: chosen.words.iter().chain(&own.words).cloned().collect(), ..chosen },
            None => own,
        };
        let is_known = name.product != Product::Unknown;
        let nearest = match kind {
            ModelType::Llm if is_known => self.nearest(&name),
            ModelType::Llm => None,
            _ => self.nearest_of_type(&plain(id), kind),
        };
        let model = nearest.or_else(|| self.best(stand_in(kind)?, suits))?;
        Some(Resemblance { model: model.clone(), is_named: false, is_known })
    }

    /// Returns the nearest model that accepts prompts.
    fn nearest(&self, name: &Name) -> Option<&Arc<ModelSchema>> {
        let kind = if name.product == Product::Speech { ModelType::Tts } else { ModelType::Llm };
        let models = self.0.iter().filter(|model| model.model_type == kind && is_served(model));
        let models = models.map(|model| (Name::of(&model.model), model));
        let models: Vec<_> = models.filter(|(other, _)| other.product == name.product).collect();
        let newest = |alias: &Name| {
            let same = |other: &&Name| SIZES.iter().all(|size| alias.has(size) == other.has(size));
            models.iter().map(|(other, _)| other).filter(same).filter_map(|other| other.version).max()
        };
        let nearest = models.iter().min_by_key(|(other, model)| {
            // An alias counts as one version newer than the newest declared one of its size.
            let version = other.version.map_or_else(|| newest(other).map(|newest| newest + 1), Some);
            (name.distance(other, version), model.deprecated)
        });
        nearest.map(|(_, model)| *model)
    }

    /// Returns the model of a type that shares the most words with `name`; among equals, the one with the nearest
    /// number.
    fn nearest_of_type(&self, name: &str, kind: ModelType) -> Option<&Arc<ModelSchema>> {
        let number = |id: &str| id.rsplit('-').find_map(|word| word.parse::<i64>().ok());
        let shared = |id: &str| name.split('-').filter(|word| id.split('-').any(|other| other == *word)).count();
        let models = self.0.iter().filter(|model| model.model_type == kind && is_served(model));
        let models = models.filter(|model| stand_in(kind).is_none() || shared(&model.model) > 0);
        models.min_by_key(|model| {
            let distance = number(name).zip(number(&model.model)).map_or(0, |(own, other)| own.abs_diff(other));
            (Reverse(shared(&model.model)), distance, model.deprecated)
        })
    }
}

/// Removes the path before an ID and the version after `@`.
fn plain(id: &str) -> String {
    let name = id.rsplit('/').next().unwrap_or(id);
    name.split('@').next().unwrap_or(name).to_ascii_lowercase()
}

/// Whether `id` is the declared ID or a version of it.
fn is_version(id: &str, declared: &str) -> bool {
    let Some(rest) = id.strip_prefix(declared) else { return false };
    let Some(suffix) = rest.strip_prefix('-') else { return rest.is_empty() };
    let word = suffix.split('-').next().unwrap_or(suffix);
    VERSION_WORDS.contains(&word) || (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a model can be called in a conversation; agents cannot, they are polled.
fn is_served(model: &ModelSchema) -> bool {
    !is_retired(model) && !is_agent(&model.model)
}

fn is_retired(model: &ModelSchema) -> bool {
    model.extra.get("gemini").is_some_and(|data| data.get("retired").is_some())
}

/// Words for model sizes.
const SIZES: [&str; 3] = ["pro", "flash", "lite"];

/// The parts of a model name.
#[derive(Clone, Debug)]
struct Name {
    product: Product,
    /// Version number, if any: 3.8 is 30,080, so that versions in between have a number too.
    version: Option<u32>,
    words: Vec<String>,
}

/// Product lines whose models accept the same input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Product {
    /// Gemini models with text output.
    Gemini,
    /// Image generation models.
    Image,
    /// Text-to-speech models.
    Speech,
    /// Open models with their own version numbers.
    Gemma,
    /// The name contains none of these words.
    Unknown,
}

/// Distance between two models, most significant difference first: major version, sizes, product, version.
type Distance = (u32, bool, bool, bool, u32);

impl Name {
    fn of(id: &str) -> Self {
        let words: Vec<String> = plain(id).split('-').map(str::to_owned).collect();
        let has = |word: &str| words.iter().any(|own| own == word);
        // In addition to full IDs, the model form used to offer type names: `image`, `tts`.
        let is_googles = has("gemini") || words.len() == 1;
        let product = if has("banana") || (has("image") && is_googles) {
            Product::Image
        } else if has("tts") && is_googles {
            Product::Speech
        } else if words.iter().any(|word| word.starts_with("gemma")) {
            Product::Gemma
        } else if has("gemini") {
            Product::Gemini
        } else {
            Product::Unknown
        };
        let named = |word: &String| matches!(word.as_str(), "gemini" | "nano" | "banana");
        let version = words.iter().skip_while(|word| !named(word)).find(|word| !named(word));
        let version = version.and_then(|word| version_of(word));
        Self { product, version, words }
    }

    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }

    fn distance(&self, other: &Self, version: Option<u32>) -> Distance {
        let differs = |word: &str| self.has(word) != other.has(word);
        let (major, minor) = match (self.version, version) {
            (Some(own), Some(theirs)) => ((own / MAJOR).abs_diff(theirs / MAJOR), own.abs_diff(theirs)),
            (None, _) if other.version.is_none() => (0, 0),
            _ => (0, 1),
        };
        // Image models share version numbers with two products.
        let major = if self.product == Product::Image { 0 } else { major };
        (major, differs("pro"), differs("lite"), differs("banana"), minor)
    }
}

/// Value of one major version in a version number.
const MAJOR: u32 = 10_000;

fn version_of(word: &str) -> Option<u32> {
    let (major, minor) = word.split_once('.').unwrap_or((word, "0"));
    let (major, minor) = (major.parse::<u16>().ok()?, minor.parse::<u8>().ok()?);
    Some(u32::from(major) * MAJOR + u32::from(minor) * 10)
}

#[cfg(test)]
#[path = "catalog/tests.rs"]
mod tests;
