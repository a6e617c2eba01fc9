//! Verdicts of moderation responses as tables, and of responses with one odd member.

use serde_json::json;

use super::*;

fn form(value: Value) -> ModerationForm {
    serde_json::from_value(value).unwrap()
}

fn read(flag: &str, text: &str, texts: usize) -> Result<bool, String> {
    form(json!({"flag": flag})).read(text, texts).map_err(|error| error.message)
}

#[test]
fn reads_verdicts() {
    for (flag, json, texts, expected) in [
        ("flagged", r#"{"results":[{"flagged":false,"categories":{"hate":true}}]}"#, 1, false),
        ("flagged", r#"{"results":[{"flagged":true,"categories":{"hate":false}}]}"#, 1, true),
        ("categories", r#"{"results":[{"flagged":false,"categories":{"hate":true}}]}"#, 1, true),
        ("categories", r#"{"results":[{"flagged":true,"categories":{"hate":false}}]}"#, 1, false),
        ("categories", r#"{"results":[{"categories":{"hate":false,"law":true,"pii":false}}]}"#, 1, true),
        // Only the other member is there.
        ("categories", r#"{"results":[{"flagged":true}]}"#, 1, true),
        ("flagged", r#"{"results":[{"categories":{"hate":false}}]}"#, 1, false),
        ("flagged", r#"{"results":[{"flagged":null,"categories":{"hate":true}}]}"#, 1, true),
        // One unsafe text is enough, whatever the others have.
        ("flagged", r#"{"results":[{"flagged":false},{"flagged":true}]}"#, 2, true),
        ("flagged", r#"{"results":[{"x":1},{"flagged":true}]}"#, 3, true),
        ("flagged", r#"{"results":{"flagged":"False"}}"#, 1, false),
        ("flagged", r#"{"results":[{"flagged":1}]}"#, 1, true),
        ("flagged", r#"{"id":7,"model":null,"results":[{"flagged":0,"category_scores":{"hate":"x"}}]}"#, 1, false),
    ] {
        assert_eq!(read(flag, json, texts), Ok(expected), "{flag}: {json}");
    }
}

#[test]
fn rejects_responses_without_a_verdict() {
    for (json, texts, words) in [
        (r#"{"results":[]}"#, 1, "0 results for 1 texts"),
        (r#"{"results":[{"flagged":false}]}"#, 2, "1 results for 2 texts"),
        (r#"{"results":[{"flagged":false},{"flagged":false}]}"#, 1, "2 results for 1 texts"),
        (r#"{"results":[{"flagged":false},{"categories":[]}]}"#, 2, "for text 1"),
        (r#"{"results":[{"flagged":"perhaps"}]}"#, 1, "for text 0"),
        (r#"{"results":[{"flagged":2}]}"#, 1, "for text 0"),
        (r#"{"results":[{"categories":{}}]}"#, 1, "for text 0"),
        (r#"{"results":[{"categories":{"hate":0.9}}]}"#, 1, "for text 0"),
        (r#"{"results":null}"#, 1, "no `results`"),
        (r#"{"results":"none"}"#, 1, "0 results"),
        (r#"{"flagged":false}"#, 1, "no `results`"),
        ("[]", 1, "no `results`"),
        ("<html>", 1, "cannot read"),
        (r#"{"results":[{"flagged":false}"#, 1, "cannot read"),
    ] {
        let error = read("flagged", json, texts).unwrap_err();
        assert!(error.contains(words), "{json}: {error}");
    }
}

/// Whatever a member is replaced with: an unsafe text does not become safe, and a safe one not unsafe, unless that
/// member is the verdict.
#[test]
fn odd_members_affect_only_themselves() {
    const ODD: [&str; 10] = ["null", "false", "-1", "0.5", "1e300", "\"\"", "\"x\"", "[]", "{}", "{\"a\":[{\"b\":1}]}"];
    let mut tried = 0;
    for flagged in [true, false] {
        let response = json!({"id": "i", "model": "m", "results": [
            {"flagged": flagged, "categories": {"hate": flagged}, "category_scores": {"hate": 0.1}, "category_applied_input_types": {"hate": ["text"]}},
        ]});
        for at in [
            "/id",
            "/model",
            "/results",
            "/results/0",
            "/results/0/flagged",
            "/results/0/categories",
            "/results/0/categories/hate",
            "/results/0/category_scores",
            "/results/0/category_scores/hate",
            "/results/0/category_applied_input_types",
            "/results/0/category_applied_input_types/hate/0",
        ] {
            for odd in ODD {
                let mut response = response.clone();
                *response.pointer_mut(at).unwrap() = json!("the place");
                let text = response.to_string().replace("\"the place\"", odd);
                for flag in ["flagged", "categories"] {
                    tried += 1;
                    let found = read(flag, &text, 1);
                    let is_verdict = matches!(at, "/results" | "/results/0")
                        || (at.ends_with("flagged") && flag == "flagged")
                        || (at.contains("/categories") && flag == "categories");
                    match found {
                        Ok(verdict) if verdict == flagged => {}
                        Ok(_) | Err(_) if is_verdict => {}
                        other => panic!("{flag} {at} as {odd}: {other:?}"),
                    }
                }
            }
        }
    }
    assert_eq!(tried, 440);
}

#[test]
fn forms_have_defaults_of_the_model_and_their_own() {
    let plain = form(json!({}));
    assert_eq!((plain.characters(None), plain.characters(Some(10)), plain.characters(Some(0))), (2000, 10, 1));
    assert_eq!((plain.batch_size(None), plain.batch_size(Some(32)), plain.batch_size(Some(0))), (1, 32, 1));
    let own = form(json!({"longest": 5, "batch": 2, "flag": "categories"}));
    assert_eq!((own.characters(Some(10)), own.batch_size(Some(32)), own.flag), (5, 2, Flag::Categories));
    let body = plain.request("m", &["a", "b"]);
    assert_eq!(Value::Object(body), json!({"model": "m", "input": ["a", "b"]}));
    for (odd, words) in [
        (json!({"longst": 1}), "unknown field `longst`"),
        (json!({"longest": 0}), "nonzero"),
        (json!({"flag": "any"}), "unknown variant `any`"),
    ] {
        let error = serde_json::from_value::<ModerationForm>(odd).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
