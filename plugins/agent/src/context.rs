//! The parameter `context`: results of a knowledge retrieval, which become citations.

use dify_plugin::serde_json::{Map, Value};

/// Members of a citation, and those of a result's `metadata` that they come from.
const MEMBERS: [(&str, &str); 15] = [
    ("position", "position"),
    ("dataset_id", "dataset_id"),
    ("dataset_name", "dataset_name"),
    ("document_id", "document_id"),
    ("document_name", "document_name"),
    ("data_source_type", "document_data_source_type"),
    ("segment_id", "segment_id"),
    ("retriever_from", "retriever_from"),
    ("score", "score"),
    ("hit_count", "segment_hit_count"),
    ("word_count", "segment_word_count"),
    ("segment_position", "segment_position"),
    ("index_node_hash", "segment_index_node_hash"),
    ("page", "page"),
    ("doc_metadata", "doc_metadata"),
];

/// The citations of a context. What is no result of a retrieval is left out.
pub(crate) fn citations(context: Option<&Value>) -> Vec<Map<String, Value>> {
    let results = match context {
        Some(Value::Array(results)) => results.as_slice(),
        Some(result @ Value::Object(_)) => std::slice::from_ref(result),
        _ => &[],
    };
    results.iter().filter_map(citation).collect()
}

fn citation(result: &Value) -> Option<Map<String, Value>> {
    let content = result.get("content")?.as_str()?;
    let mut citation = Map::new();
    citation.insert("content".to_owned(), content.into());
    for (name, source) in MEMBERS {
        let value = result.get("metadata").and_then(|metadata| metadata.get(source));
        if let Some(value) = value.filter(|value| !value.is_null()) {
            citation.insert(name.to_owned(), value.clone());
        }
    }
    Some(citation)
}

#[cfg(test)]
mod tests {
    use dify_plugin::serde_json::json;

    use super::*;

    #[test]
    fn results_of_a_retrieval_become_citations() {
        let metadata = json!({"position": 1, "document_data_source_type": "upload_file", "segment_hit_count": 2,
            "score": null, "_source": "knowledge"});
        let context = json!([{"content": "c", "title": "t", "metadata": metadata}, "text", {"title": "empty"}, null]);
        let expected = json!([{"content": "c", "position": 1, "data_source_type": "upload_file", "hit_count": 2}]);
        assert_eq!(json!(citations(Some(&context))), expected);
        assert_eq!(citations(Some(&context[0])).len(), 1);
        assert!(citations(Some(&json!("text"))).is_empty() && citations(None).is_empty());
    }
}
