//! The facts about every model: declared ones are read when the provider is made, others when they are called. What it is
//! not: a cache of anything that depends on credentials.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::facts::{ModelFacts, PROVIDER_KEYS};
use super::merge::{applying, merge};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::ModelType;

/// The facts about the models of a provider.
pub struct ModelTable {
    base: Map<String, Value>,
    read: Arc<ModelFacts>,
    blocks: Vec<(String, Map<String, Value>)>,
    declared: HashMap<(ModelType, String), Arc<ModelFacts>>,
}

/// What is wrong with a model's own block: the model, and the message.
pub type WrongBlock = (ModelType, String, String);

impl ModelTable {
    /// Reads the facts about the declared models, each of which may have a block of its own. The facts of the provider are free of
    /// unknown keys.
    pub fn new<'m>(
        facts: &Map<String, Value>,
        blocks: Vec<(String, Map<String, Value>)>,
        declared: impl Iterator<Item = (ModelType, &'m str, Option<&'m Map<String, Value>>)>,
    ) -> Result<Self, Vec<WrongBlock>> {
        let mut base = facts.clone();
        base.retain(|key, _| !PROVIDER_KEYS.contains(&key.as_str()));
        let read = read(base.clone()).map_err(|what| vec![(ModelType::Llm, String::new(), what)])?;
        let mut table = Self { base, read, blocks, declared: HashMap::new() };
        let mut shared: HashMap<Vec<usize>, Arc<ModelFacts>> = HashMap::new();
        let mut wrong = Vec::new();
        for (model_type, model, own) in declared {
            let places = table.applying(model);
            if places.is_empty() && own.is_none() {
                continue;
            }
            let facts = match (shared.get(&places), own) {
                (Some(facts), None) => Ok(facts.clone()),
                (_, own) => table.merged(&places, own),
            };
            match facts {
                Ok(facts) => {
                    if own.is_none() {
                        shared.insert(places, facts.clone());
                    }
                    table.declared.insert((model_type, model.to_owned()), facts);
                }
                Err(what) => wrong.push((model_type, model.to_owned(), what)),
            }
        }
        // Only blocks of patterns are merged later.
        if table.blocks.is_empty() {
            table.base = Map::new();
        }
        if wrong.is_empty() { Ok(table) } else { Err(wrong) }
    }

    fn applying(&self, model: &str) -> Vec<usize> {
        applying(self.blocks.iter().map(|(pattern, _)| pattern.as_str()), model)
    }

    fn merged(&self, places: &[usize], own: Option<&Map<String, Value>>) -> Result<Arc<ModelFacts>, String> {
        let mut merged = self.base.clone();
        for (_, block) in places.iter().filter_map(|place| self.blocks.get(*place)) {
            merge(&mut merged, block);
        }
        if let Some(own) = own {
            merge(&mut merged, own);
        }
        read(merged)
    }

    /// Returns the facts that apply to models without a block.
    pub fn base(&self) -> &ModelFacts {
        &self.read
    }

    /// Returns the facts about a model.
    pub fn of(&self, model_type: ModelType, model: &str) -> Result<Arc<ModelFacts>, InvokeError> {
        if let Some(facts) = self.declared.get(&(model_type, model.to_owned())) {
            return Ok(facts.clone());
        }
        match self.applying(model) {
            places if places.is_empty() => Ok(self.read.clone()),
            places => self.merged(&places, None).map_err(InvokeError::internal),
        }
    }
}

fn read(facts: Map<String, Value>) -> Result<Arc<ModelFacts>, String> {
    serde_path_to_error::deserialize(Value::Object(facts))
        .map(Arc::new)
        .map_err(|error| format!("`{}`: {}", error.path(), error.inner()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::template::Template;
    use super::*;

    #[test]
    fn later_and_exact_blocks_win() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let facts = map(json!({"base_url": "b", "headers": {"a": "1"}, "custom": {}}));
        let blocks = vec![
            ("m-1".to_owned(), map(json!({"headers": {"a": "exact"}}))),
            ("m-*".to_owned(), map(json!({"headers": {"a": "2", "b": "2"}}))),
            ("m-?".to_owned(), map(json!({"headers": {"b": "3"}}))),
        ];
        let own = map(json!({"headers": {"c": "own"}}));
        let declared =
            [(ModelType::Llm, "m-1", Some(&own)), (ModelType::Llm, "m-2", None), (ModelType::Llm, "n", None)];
        let table = ModelTable::new(&facts, blocks, declared.into_iter()).unwrap();
        for (model, expected) in [
            ("m-1", vec![("a", "exact"), ("b", "3"), ("c", "own")]),
            ("m-2", vec![("a", "2"), ("b", "3")]),
            ("m-22", vec![("a", "2"), ("b", "2")]),
            ("n", vec![("a", "1")]),
        ] {
            let found = table.of(ModelType::Llm, model).unwrap();
            let headers: Vec<(&str, String)> = found
                .headers
                .iter()
                .map(|(name, value): (&String, &Template)| (name.as_str(), value.to_string()))
                .collect();
            let expected: Vec<(&str, String)> =
                expected.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
            assert_eq!(headers, expected, "{model}");
        }
        let bad = map(json!({"headers": 1}));
        let wrong = ModelTable::new(&facts, Vec::new(), [(ModelType::Llm, "x", Some(&bad))].into_iter()).err().unwrap();
        assert!(wrong[0].2.contains("headers"), "{wrong:?}");
    }
}
