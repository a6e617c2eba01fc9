//! The dialect `openai` as the library knows it: makes providers from facts, or names everything that is wrong with them.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::block::place_in;
use super::editor_schema::editor_schema;
use super::facts::{self, Facts, ModelBlocks};
use super::merge::matches;
use super::model_facts::ModelTable;
use super::official;
use super::problems::{Declared, block_problems, problems, type_of};
use super::provider::Described;
use super::unknown_keys::{take_unknown_keys, take_unknown_model_keys};
use crate::providers::compatible::provider::Compatible;
use dify_plugin::declare::{ModelSchema, Severity};
use dify_plugin::model::{DeclaredProvider, Dialect, FactProblem, KnownPlugin, LeftOut, Served};

/// Key of the facts, and of a model's own block.
const KEY: &str = "openai";

/// OpenAI's dialect.
pub struct OpenAi;

impl Dialect for OpenAi {
    fn key(&self) -> &'static str {
        KEY
    }

    fn provider(&self, declared: &DeclaredProvider<'_>) -> Result<Served, Vec<FactProblem>> {
        make(declared)
    }

    fn schema(&self) -> Value {
        facts::schema()
    }

    fn editor_schema(&self) -> Value {
        editor_schema()
    }

    fn known(&self) -> &'static [KnownPlugin] {
        official::known()
    }
}

fn make(declared: &DeclaredProvider<'_>) -> Result<Served, Vec<FactProblem>> {
    let mut value = declared.facts.clone();
    if value.is_null() {
        value = Value::Object(Map::new());
    }
    let unknown = take_unknown_keys(&mut value);
    let mut found: Vec<FactProblem> =
        unknown.into_iter().map(|key| FactProblem::error(key.path, key.message)).collect();
    let Value::Object(map) = value else {
        return Err(vec![FactProblem::error("", "must be a map of facts, as `base_url: https://api.example.com/v1`")]);
    };
    let read = read_facts(&map, &mut found);
    let blocks = read.as_ref().map(|facts| facts.models.clone()).unwrap_or_default();
    let models = model_table(&map, &blocks, declared, &mut found);
    if let Some(facts) = &read {
        let about = Declared { declaration: declared.declaration, models: declared.models };
        found.extend(problems(facts, about));
        for model in declared.models {
            if let Some(Value::Object(block)) = model.extra.get(KEY) {
                found.extend(block_problems(block, facts, about).into_iter().map(|problem| problem.of_model(model)));
            }
        }
    }
    let is_error = |problem: &FactProblem| problem.severity == Severity::Error;
    match (read, models) {
        (Some(facts), Some(models)) if !found.iter().any(is_error) => {
            let left_out = left_out(&facts, declared);
            let source = Described::new(&declared.declaration.provider, facts, models);
            Ok(Served::new(Arc::new(Compatible::new(source))).left_out(left_out).warnings(found))
        }
        _ => Err(found),
    }
}

/// Reads the facts; with errors, one for each key of the provider that has one.
fn read_facts(map: &Map<String, Value>, found: &mut Vec<FactProblem>) -> Option<Facts> {
    if let Ok(facts) = Facts::deserialize_value(map.clone()) {
        return Some(facts);
    }
    for (key, value) in map {
        let alone = Map::from_iter([(key.clone(), value.clone())]);
        if let Err((path, message)) = Facts::deserialize_value(alone) {
            found.push(FactProblem::error(path, message));
        }
    }
    None
}

impl Facts {
    fn deserialize_value(map: Map<String, Value>) -> Result<Self, (String, String)> {
        serde_path_to_error::deserialize(Value::Object(map)).map_err(|error| {
            let path = error.path().to_string();
            let message = error.inner().to_string();
            let (below, message) = place_in(&message);
            let path = if below.is_empty() { path } else { format!("{path}.{below}") };
            (path, message.to_owned())
        })
    }
}

/// Reads the facts about each model, of patterns and of the models' own files.
fn model_table(
    map: &Map<String, Value>,
    blocks: &ModelBlocks,
    declared: &DeclaredProvider<'_>,
    found: &mut Vec<FactProblem>,
) -> Option<ModelTable> {
    let start = found.len();
    for (pattern, block) in &blocks.0 {
        let mut alone = map.clone();
        alone.retain(|key, _| !facts::PROVIDER_KEYS.contains(&key.as_str()));
        super::merge::merge(&mut alone, block);
        if let Err((path, message)) = Facts::deserialize_value(alone) {
            found.push(FactProblem::error(format!("models.{pattern}.{path}"), message));
        }
    }
    let mut own: Vec<Option<Map<String, Value>>> = Vec::new();
    for model in declared.models {
        own.push(own_block(model, found));
    }
    if found.len() > start || found.iter().any(|problem| problem.severity == Severity::Error) {
        return None;
    }
    let with_own = declared.models.iter().zip(&own);
    let each = with_own.map(|(model, own)| (model.model_type, model.model.as_str(), own.as_ref()));
    match ModelTable::new(map, blocks.0.clone(), each) {
        Ok(table) => Some(table),
        Err(wrong) => {
            for (model_type, name, message) in wrong {
                let problem = FactProblem::error("", message);
                let model = declared.models.iter().find(|model| model.model_type == model_type && model.model == name);
                found.push(model.map_or(problem.clone(), |model| problem.of_model(model)));
            }
            None
        }
    }
}

/// Returns the block in a model's own file.
fn own_block(model: &ModelSchema, found: &mut Vec<FactProblem>) -> Option<Map<String, Value>> {
    let mut block = model.extra.get(KEY)?.clone();
    for key in take_unknown_model_keys(&mut block) {
        found.push(FactProblem::error(key.path, key.message).of_model(model));
    }
    match block {
        Value::Object(map) => Some(map),
        _ => {
            found.push(FactProblem::error("", "must be a map of facts about the model").of_model(model));
            None
        }
    }
}

/// Returns what the facts leave out.
fn left_out(facts: &Facts, declared: &DeclaredProvider<'_>) -> Vec<LeftOut> {
    let mut all = Vec::new();
    for (pattern, reason) in &facts.left_out.0 {
        let models = declared.models.iter().filter(|model| matches(pattern, &model.model));
        let models: Vec<LeftOut> =
            models.map(|model| LeftOut::of_model(model.model_type, &model.model, reason)).collect();
        match type_of(pattern) {
            Some(model_type) if models.is_empty() => all.push(LeftOut::of_type(model_type, reason)),
            _ => all.extend(models),
        }
    }
    all
}
