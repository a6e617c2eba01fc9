//! Responses and requests of rerank models as tables.

use serde_json::{Map, Value, json};

use super::*;
use dify_plugin::protocol::MultimodalContent;

fn read(json: &str, form: ScoreForm, threshold: Option<f64>, top_n: Option<u64>) -> Result<Vec<(usize, f64)>, String> {
    read_by(&RerankForm { scores: form, ..RerankForm::default() }, json, threshold, top_n)
}

fn read_by(
    form: &RerankForm,
    json: &str,
    threshold: Option<f64>,
    top_n: Option<u64>,
) -> Result<Vec<(usize, f64)>, String> {
    let texts = ["zero", "one", "two"].map(str::to_owned);
    RerankResponse::read(json, form)
        .and_then(|response| response.into_documents(&texts, form, threshold, top_n))
        .map(|documents| documents.into_iter().map(|document| (document.index, document.score)).collect())
        .map_err(|error| error.message)
}

#[test]
fn returns_the_best_documents_first() {
    let three = r#"{"results":[{"index":2,"relevance_score":0.1,"document":null},{"index":0,"relevance_score":0.9,"document":"zero"},{"index":1,"relevance_score":0.5,"document":{"text":"one"}}]}"#;
    let cases = [
        (three, ScoreForm::Raw, None, None, vec![(0, 0.9), (1, 0.5), (2, 0.1)]),
        (three, ScoreForm::Raw, Some(0.5), None, vec![(0, 0.9), (1, 0.5)]),
        (three, ScoreForm::Raw, None, Some(1), vec![(0, 0.9)]),
        (r#"{"data":[{"index":1,"score":-2.0}]}"#, ScoreForm::Raw, None, None, vec![(1, -2.0)]),
        (
            r#"{"output":{"results":[{"index":1,"relevance_score":0.0}]}}"#,
            ScoreForm::Sigmoid,
            None,
            None,
            vec![(1, 0.5)],
        ),
        (
            r#"{"results":[{"index":1,"score":0.2,"relevance_score":0.2}],"data":null}"#,
            ScoreForm::Raw,
            None,
            None,
            vec![(1, 0.2)],
        ),
        (r#"{"results":[]}"#, ScoreForm::Raw, None, None, vec![]),
        (
            r#"[{"index":2,"score":0.9},{"index":"0","score":"0.5"}]"#,
            ScoreForm::Raw,
            None,
            None,
            vec![(2, 0.9), (0, 0.5)],
        ),
        (
            r#"{"results":[{"document":{"text":"two"},"relevance_score":0.9},{"document":"zero","score":0.5}]}"#,
            ScoreForm::Raw,
            None,
            None,
            vec![(2, 0.9), (0, 0.5)],
        ),
        (
            r#"{"results":[{"index":1,"relevance_score":null,"score":0.2,"x":NaN}],"data":"x","meta":{"a":1}}"#,
            ScoreForm::Raw,
            None,
            None,
            vec![(1, 0.2)],
        ),
    ];
    for (json, form, threshold, top_n, expected) in cases {
        assert_eq!(read(json, form, threshold, top_n).unwrap(), expected, "{json}");
    }
}

#[test]
fn rejects_invalid_responses() {
    for (json, words) in [
        (r#"{"results":[{"index":3,"score":1}]}"#, "document 3"),
        (r#"{"results":[{"index":-1,"score":1}]}"#, "document -1"),
        (r#"{"results":[{"score":1}]}"#, "without an index"),
        (r#"{"results":[{"document":"other","score":1}]}"#, "without an index"),
        (r#"{"results":[{"index":0,"relevance_score":null}]}"#, "no score for document 0"),
        (r#"{"results":[{"index":0,"relevance_score":NaN}]}"#, "no score for document 0"),
        (r#"{"results":[{"index":0,"relevance_score":[0.5]}]}"#, "no score for document 0"),
        (r#"{"results":[{"index":0,"relevance_score":"high"}]}"#, "no score for document 0"),
        (r#"{"results":[{"index":0}]}"#, "no score for document 0"),
        (r#"{"results":null}"#, "no `results`"),
        (r#"{"results":{"index":0,"score":1}}"#, "no `results`"),
        (r#"{"ok":true}"#, "no `results`"),
        ("<html>", "cannot read"),
    ] {
        let error = read(json, ScoreForm::Raw, None, None).unwrap_err();
        assert!(error.contains(words), "{json}: {error}");
    }
}

fn form(value: Value) -> RerankForm {
    serde_json::from_value(value).unwrap()
}

#[test]
fn reads_results_by_the_names_of_the_form() {
    for (names, json, expected) in [
        (
            json!({"results": "rankings", "score": "logit"}),
            r#"{"rankings":[{"index":0,"logit":-1.5}]}"#,
            vec![(0, -1.5)],
        ),
        (json!({"results": "."}), r#"[{"index":1,"score":0.2}]"#, vec![(1, 0.2)]),
        (json!({"results": "a.b"}), r#"{"a":{"b":[{"index":1,"score":0.2}]},"results":[]}"#, vec![(1, 0.2)]),
        (json!({"first_index": 1}), r#"[{"index":1,"score":0.2},{"index":3,"score":0.1}]"#, vec![(0, 0.2), (2, 0.1)]),
        // What the form names is not there, but what is usual.
        (json!({"results": "rankings", "score": "logit"}), r#"{"data":[{"index":0,"score":0.5}]}"#, vec![(0, 0.5)]),
        (json!({"results": "."}), r#"{"results":[{"index":0,"score":0.5}]}"#, vec![(0, 0.5)]),
        (
            json!({"results": "rankings"}),
            r#"{"rankings":null,"output":{"results":[{"index":0,"score":1}]}}"#,
            vec![(0, 1.0)],
        ),
        (json!({"score": "logit"}), r#"[{"index":0,"logit":null,"score":0.5,"relevance_score":0.7}]"#, vec![(0, 0.7)]),
        (json!({"scores": "sigmoid", "score": "logit"}), r#"[{"index":0,"logit":0,"score":0.9}]"#, vec![(0, 0.5)]),
    ] {
        assert_eq!(read_by(&form(names.clone()), json, None, None), Ok(expected), "{names} {json}");
    }
    for (names, json, words) in [
        (json!({"first_index": 1}), r#"[{"index":0,"score":0.2}]"#, "document 0, which was not sent"),
        (json!({"first_index": 1}), r#"[{"index":4,"score":0.2}]"#, "document 4"),
        (json!({"results": "rankings"}), r#"{"ok":true}"#, "no `rankings`"),
        (json!({"results": "."}), r#"{"ok":true}"#, "no `results`"),
        (json!({"results": "a.b.c.d.e.f.g.h.i.j"}), r#"{"a":1}"#, "no `a.b"),
    ] {
        let error = read_by(&form(names.clone()), json, None, None).unwrap_err();
        assert!(error.contains(words), "{names} {json}: {error}");
    }
}

/// An odd value of a member that is not the index or the score changes nothing; one of these costs the answer or the
/// document, and never another document.
#[test]
fn odd_members_affect_only_themselves() {
    const ODD: [&str; 10] =
        ["null", "true", "-1", "0.5", "1e300", "\"\"", "\"x\"", "[]", "{}", "{\"a\":[{\"b\":NaN}]}"];
    let response = json!({"id": "i", "meta": {"units": 1}, "results": [
        {"index": 1, "relevance_score": 0.5, "document": {"text": "one"}, "extra": 1},
        {"index": 0, "relevance_score": 0.25},
    ]});
    let good = vec![(1, 0.5), (0, 0.25)];
    for at in [
        "/id",
        "/meta",
        "/meta/units",
        "/results/0/document",
        "/results/0/document/text",
        "/results/0/extra",
        "/results/0/index",
        "/results/0/relevance_score",
        "/results/0",
        "/results",
    ] {
        for odd in ODD {
            let mut response = response.clone();
            *response.pointer_mut(at).unwrap() = json!("the place");
            let text = response.to_string().replace("\"the place\"", odd);
            let found = read(&text, ScoreForm::Raw, None, None);
            match at {
                "/results/0/index" | "/results/0/relevance_score" | "/results/0" | "/results" => {
                    let others =
                        |found: &Vec<(usize, f64)>| found.iter().any(|(index, score)| (*index, *score) == (0, 0.25));
                    assert!(
                        found.as_ref().map_or(true, |found| found.is_empty() || others(found)),
                        "{at} as {odd}: {found:?}"
                    );
                }
                _ => assert_eq!(found, Ok(good.clone()), "{at} as {odd}"),
            }
        }
    }
}

#[test]
fn requests_follow_the_form() {
    let bodies = [
        (json!({}), json!({"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 1})),
        (
            json!({"query_field": "query", "documents": "input", "top_n": "top_k", "return_documents": false, "return_documents_field": "return_input"}),
            json!({"model": "m", "query": "q", "input": ["a", "b"], "top_k": 1, "return_input": false}),
        ),
        (
            json!({"query": "object", "documents": "passages", "objects": true, "top_n": false}),
            json!({"model": "m", "query": {"text": "q"}, "passages": [{"text": "a"}, {"text": "b"}]}),
        ),
        (
            json!({"query_field": "input.query", "documents": "input.documents", "top_n": "parameters.top_n", "return_documents": true,
                "return_documents_field": "parameters.return_documents"}),
            json!({"model": "m", "input": {"query": "q", "documents": ["a", "b"]}, "parameters": {"top_n": 1, "return_documents": true}}),
        ),
        (
            json!({"documents": "texts", "return_documents": "omit", "body": {"truncate": true}}),
            json!({"model": "m", "query": "q", "texts": ["a", "b"], "top_n": 1, "truncate": true}),
        ),
    ];
    for (names, expected) in bodies {
        let form = form(names.clone());
        let (query, documents) = form.texts("q".to_owned(), vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(Value::Object(form.request("m", query, documents, Some(1))), expected, "{names}");
    }
    let (query, documents) = RerankForm::default().texts("q".to_owned(), Vec::new());
    let expected = json!({"model": "m", "query": "q", "documents": []});
    assert_eq!(Value::Object(RerankForm::default().request("m", query, documents, None)), expected);
}

#[test]
fn multimodal_requests_follow_the_form() {
    let text = || MultimodalContent::text("t");
    let image = || MultimodalContent::image("https://example.com/a.png");
    let contents =
        |form_of: Value, query, documents| form(form_of).contents(query, documents).map_err(|error| error.message);
    let url = "https://example.com/a.png";
    assert_eq!(
        contents(json!({"multimodal": "objects"}), image(), vec![text(), image()]),
        Ok((json!({"image": url}), vec![json!({"text": "t"}), json!({"image": url})]))
    );
    let part = json!({"content": [{"type": "image_url", "image_url": {"url": url}}]});
    assert_eq!(
        contents(json!({"multimodal": "parts"}), text(), vec![image(), text()]),
        Ok((json!("t"), vec![part, json!({"content": [{"type": "text", "text": "t"}]})]))
    );
    assert_eq!(contents(json!({"objects": true}), text(), vec![text()]), Ok((json!("t"), vec![json!({"text": "t"})])));
    let error = contents(json!({"multimodal": "parts"}), image(), vec![text()]).unwrap_err();
    assert!(error.contains("the query must be a text"), "{error}");
    let error = contents(json!({}), text(), vec![image()]).unwrap_err();
    assert!(error.contains("texts only"), "{error}");
}

#[test]
fn invalid_forms_are_named() {
    for (odd, words) in [
        (json!({"topn": "x"}), "unknown field `topn`"),
        (json!({"top_n": true}), "a text or false"),
        (json!({"return_documents": "no"}), "unknown variant `no`, expected one of `true`, `false`, `omit`"),
        (json!({"scores": "softmax"}), "unknown variant `softmax`"),
        (json!({"batch": 0}), "nonzero"),
        (json!({"first_index": -1}), "u32"),
    ] {
        let error = serde_json::from_value::<RerankForm>(odd).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let defaults = RerankForm { body: Map::new(), ..form(json!({})) };
    assert_eq!(defaults, RerankForm::default());
}
