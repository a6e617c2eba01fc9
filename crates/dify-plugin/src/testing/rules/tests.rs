//! Items that Dify accepts, and items that it rejects or drops, by kind of call.

use serde_json::json;

use super::*;

fn problem(kind: Kind, items: &[Value]) -> Option<String> {
    let mut rules = Rules::new(kind);
    items.iter().find_map(|item| rules.check(item).err()).or_else(|| rules.finish().err())
}

fn message(kind: &str, message: Value, meta: Value) -> Value {
    json!({"type": kind, "message": message, "meta": meta})
}

fn chunk(bytes: &[u8], total: u64, end: bool) -> Value {
    let content = json!({"id": "f", "sequence": 0, "total_length": total, "blob": STANDARD.encode(bytes), "end": end});
    message("blob_chunk", content, json!({"mime_type": "text/plain"}))
}

#[test]
fn accepts_what_dify_shows() {
    let log = |status: &str| message("log", json!({"id": "1", "label": "ROUND 1", "status": status}), json!(null));
    for (kind, items) in [
        (Kind::Tool, vec![]),
        (
            Kind::Tool,
            vec![message("text", json!({"text": ""}), json!(null)), json!({"type": "link", "message": {"text": "u"}})],
        ),
        (Kind::Tool, vec![message("json", json!({"json_object": []}), json!(null))]),
        (Kind::Tool, vec![message("variable", json!({"variable_name": "x", "variable_value": null}), json!(null))]),
        (Kind::Tool, vec![message("image_link", json!({"text": "/files/tools/1.png"}), json!({}))]),
        (Kind::Tool, vec![message("binary_link", json!({"text": "u"}), json!({"tool_file_id": "1"}))]),
        (
            Kind::Tool,
            vec![chunk(&[0; 8192], 10_000, false), chunk(&[0; 1808], 10_000, false), chunk(b"", 10_000, true)],
        ),
        (Kind::Agent, vec![log("start"), log("success"), message("retriever_resources", json!({}), json!(null))]),
        (Kind::Content, vec![message("blob", json!({"blob": "eA=="}), json!({"file_name": "x"}))]),
        (
            Kind::Endpoint,
            vec![json!({"status": 200, "headers": {"a": "b"}}), json!({"result": "00"}), json!({"result": ""})],
        ),
        (Kind::Endpoint, vec![json!({"status": 204})]),
        (Kind::Other, vec![json!(1)]),
    ] {
        assert_eq!(problem(kind, &items), None, "{items:?}");
    }
}

#[test]
fn names_what_becomes_of_everything_else() {
    use Kind::{Agent, Content, Endpoint, Tool};
    let variable = |name: &str, value: Value, stream: bool| {
        message("variable", json!({"variable_name": name, "variable_value": value, "stream": stream}), json!(null))
    };
    let changed = |name: &str, value: Value| {
        let mut chunk = chunk(b"x", 1, false);
        chunk["message"][name] = value;
        chunk
    };
    let large = 15 * 1024 * 1024 + 1;
    for (kind, items, expected) in [
        (Tool, vec![json!({"message": {}})], "unmarshal_error"),
        (Tool, vec![json!({"type": "text", "message": "x"})], "must be an object"),
        (Tool, vec![message("smell", json!({}), json!(null))], "unknown message type `smell`"),
        (Tool, vec![message("text", json!({"text": 1}), json!(null))], "needs the string `text`"),
        (Tool, vec![message("file", json!({}), json!(null))], "drops `file` messages"),
        (Tool, vec![message("json", json!({"json_object": "x"}), json!(null))], "object or an array"),
        (Tool, vec![message("image_link", json!({"text": "https://x"}), json!(null))], "tool_file_id"),
        (Tool, vec![message("log", json!({}), json!(null))], "drops `log` messages"),
        (Agent, vec![message("log", json!({"id": "1", "label": ""}), json!(null))], "`id` and `label`"),
        (Agent, vec![message("log", json!({"id": "1", "label": "l", "status": "done"}), json!(null))], "`start`"),
        (Tool, vec![variable("text", json!(1), false)], "replace an output"),
        (Tool, vec![variable("json", json!(1), false)], "replace an output"),
        (Tool, vec![variable("files", json!(1), false)], "replace an output"),
        (Tool, vec![variable("", json!(1), false)], "variable_name"),
        (Tool, vec![variable("x", json!(1), true)], "only strings"),
        (Tool, vec![message("variable", json!({"variable_name": "x"}), json!(null))], "no `variable_value`"),
        (Tool, vec![message("blob", json!({"blob": "§"}), json!(null))], "Base64"),
        (Content, vec![message("blob", json!({"blob": ""}), json!({"filename": "x"}))], "meta.file_name"),
        (Content, vec![chunk(b"x", 1, false)], "one `blob` message"),
        (Content, vec![message("json", json!({"json_object": {}}), json!(null))], "drops `json` messages"),
        (Content, vec![message("log", json!({}), json!(null))], "drops `log` messages"),
        (Tool, vec![chunk(&[0; 8193], 8193, false)], "a chunk of 8193 bytes is too large"),
        (Agent, vec![chunk(b"x", 1, true)], "must be empty"),
        (Agent, vec![chunk(b"x", 1, false), chunk(b"", 2, true)], "changes from 1 to 2"),
        (Agent, vec![chunk(b"xy", 1, false)], "`total_length` is 1"),
        (Agent, vec![chunk(b"x", 2, false), chunk(b"", 2, true)], "`total_length` is 2"),
        (Agent, vec![chunk(b"x", 1, false)], "no end chunk"),
        (Agent, vec![changed("total_length", json!("1"))], "drops others silently"),
        (Agent, vec![changed("id", json!(1))], "drops others silently"),
        (Agent, vec![changed("end", json!(0))], "drops others silently"),
        (Agent, vec![chunk(b"x", large, false)], "15728640"),
        (Tool, vec![chunk(b"x", 60 * 1024 * 1024, false)], "52428800"),
        (
            Tool,
            vec![
                chunk(b"x", 1, false),
                message(
                    "blob_chunk",
                    json!({"id": "f", "total_length": 1, "blob": "",
            "end": true}),
                    json!(null),
                ),
            ],
            "meta.mime_type",
        ),
        (Endpoint, vec![json!({"result": "00"})], "HTTP 100"),
        (Endpoint, vec![json!({"headers": {}})], "HTTP 100"),
        (Endpoint, vec![], "HTTP 100"),
        (Endpoint, vec![json!({"status": "200"})], "not an HTTP status"),
        (Endpoint, vec![json!({"status": 200, "headers": {"a": 1}})], "object of strings"),
        (Endpoint, vec![json!({"status": 200, "result": "0"})], "hexadecimal"),
        (Endpoint, vec![json!({"status": 200, "result": "00"}), json!({})], "ends the body"),
        (Endpoint, vec![json!("x")], "must be an object"),
    ] {
        let found = problem(kind, &items).unwrap_or_else(|| panic!("accepted: {items:?}"));
        assert!(found.contains(expected), "{items:?}: {found}");
    }
}
