//! Edits of texts in every style that declarations are written in: what is edited changes, and nothing else.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const BLOCK: &str = "\
# The tool.
identity:
  name: forecast # its name
parameters: # what a user fills in
  # First.
  - name: place
    type: string   # text
    required: true
    label:
      en_US: Place
      zh_Hans: '地点'
  # Second.
  -
    name: days
    type:
    note: |
      two
      lines

  - {name: unit, type: select, options: [{value: c}, {value: f}]}
empty: []
last: 1
";

#[test]
fn an_edit_changes_its_place_only() {
    let set = |path: &'static str, value: Value| (path, Some(value));
    for (edits, before, after) in [
        (vec![set("parameters[0].type", json!("number"))], "type: string   # text", "type: number   # text"),
        (vec![set("parameters[1].type", json!("number"))], "    type:\n", "    type: number\n"),
        (vec![set("parameters[2].type", json!("number"))], "type: select,", "type: number,"),
        (vec![set("identity.name", json!("a: b"))], "name: forecast #", "name: \"a: b\" #"),
        (vec![set("parameters[0].max", json!(7))], "    required: true\n", "    required: true\n    max: 7\n"),
        (vec![set("parameters[1].required", json!(true))], "    type:\n", "    type:\n    required: true\n"),
        (vec![set("parameters[2].required", json!(true))], "type: select, ", "type: select, required: true, "),
        (
            vec![set("parameters[1].extra", json!({"a": [1, 2]}))],
            "      lines\n\n",
            "      lines\n\n    extra:\n      a:\n        - 1\n        - 2\n",
        ),
        (vec![set("empty", json!(["a"]))], "empty: []\n", "empty:\n  - a\n"),
        (vec![set("new.block", json!({"on": true}))], "last: 1\n", "last: 1\nnew:\n  block:\n    \"on\": true\n"),
        (vec![("parameters[0].required", None)], "    required: true\n", ""),
        (vec![("parameters[0].name", None)], "  - name: place\n    type", "  - type"),
        (vec![("parameters[1].note", None)], "    note: |\n      two\n      lines\n\n", ""),
        (vec![("parameters[2].options[0]", None)], "[{value: c}, {value: f}]", "[{value: f}]"),
        (vec![("parameters[2].options[1]", None)], "[{value: c}, {value: f}]", "[{value: c}]"),
        (vec![("parameters[2].type", None)], "type: select, ", ""),
        (vec![("parameters[2].options", None)], ", options: [{value: c}, {value: f}]", ""),
        (
            vec![("parameters[2].options[1]", None), ("parameters[2].options[0]", None)],
            "[{value: c}, {value: f}]",
            "[]",
        ),
        (vec![("parameters[1]", None)], "  -\n    name: days\n    type:\n    note: |\n      two\n      lines\n\n", ""),
        (vec![("parameters[2]", None)], "  - {name: unit, type: select, options: [{value: c}, {value: f}]}\n", ""),
        (vec![("last", None)], "last: 1\n", ""),
    ] {
        let order = ["name", "type", "required", "min", "max"];
        let newlines = ["\n", "\r\n"];
        for newline in newlines {
            let [text, before, after] = [BLOCK, before, after].map(|text| text.replace('\n', newline));
            assert_eq!(text.matches(&before).count(), 1, "{before}");
            let mut document = Document::parse(format!("\u{feff}{text}")).unwrap();
            for (path, value) in &edits {
                match value {
                    Some(value) => document.set(path, value, &order).unwrap_or_else(|_| panic!("{path}")),
                    None => document.remove(path).unwrap_or_else(|_| panic!("{path}")),
                }
            }
            assert_eq!(document.text(), format!("\u{feff}{}", text.replacen(&before, &after, 1)), "{edits:?}");
        }
    }
}

#[test]
fn items_are_inserted_where_they_belong() {
    let item = json!({"name": "x", "label": {"en_US": "X, or y"}});
    let lines = "  - name: x\n    label:\n      en_US: X, or y\n";
    for (path, index, before, after) in [
        ("parameters", 0, "  - name: place\n", format!("{lines}  - name: place\n")),
        ("parameters", 1, "      zh_Hans: '地点'\n", format!("      zh_Hans: '地点'\n{lines}")),
        ("parameters", 2, "      lines\n\n", format!("      lines\n\n{lines}")),
        ("parameters", 9, "{value: f}]}\n", format!("{{value: f}}]}}\n{lines}")),
        ("parameters[2].options", 0, "[{value: c}", "[{name: x, label: {en_US: \"X, or y\"}}, {value: c}".to_owned()),
        ("parameters[2].options", 2, "{value: f}", "{value: f}, {name: x, label: {en_US: \"X, or y\"}}".to_owned()),
        ("empty", 0, "empty: []\n", format!("empty:\n{lines}")),
        (
            "identity.list",
            0,
            "# its name\n",
            format!("# its name\n  list:\n{}", lines.replace("  ", "    ").replace("        label", "      label")),
        ),
    ] {
        let mut document = Document::parse(BLOCK).unwrap();
        document.insert(path, index, &item, &[]).unwrap_or_else(|_| panic!("{path} {index}"));
        match path {
            "identity.list" => assert_eq!(document.get("identity.list[0]"), Some(&item), "{after}"),
            _ => assert_eq!(document.text(), BLOCK.replacen(before, &after, 1), "{path} {index}"),
        }
    }
}

#[test]
fn texts_without_a_last_line_break_and_lists_at_the_margin_are_edited_too() {
    for (text, path, value, expected) in [
        ("a: 1", "b", json!(2), "a: 1\nb: 2"),
        ("a: 1 # x", "b", json!([1]), "a: 1 # x\nb:\n  - 1"),
        ("a:\n- 1\n- 2", "a[1]", json!(3), "a:\n- 1\n- 3"),
        ("a:\n- x: 1\n  y: 2\nb: 3\n", "a[0].z", json!({"q": 1}), "a:\n- x: 1\n  y: 2\n  z:\n    q: 1\nb: 3\n"),
        ("a: {}\n", "a.b", json!("x"), "a:\n  b: x\n"),
        ("{a: {}}\n", "a.b", json!("x"), "{a: {b: x}}\n"),
        ("a: {b: 1,}\n", "a.c", json!("x"), "a: {b: 1, c: x,}\n"),
        ("a: # why\n", "a.b", json!("x"), "a: # why\n  b: x\n"),
        ("a: >-\n  long\n  text\nb: 1\n", "a", json!("short"), "a: short\nb: 1\n"),
        ("---\na: 1\n...\n", "b", json!(2), "---\na: 1\nb: 2\n...\n"),
    ] {
        let mut document = Document::parse(text).unwrap();
        document.set(path, &value, &[]).unwrap_or_else(|_| panic!("{text}"));
        assert_eq!(document.text(), expected, "{text}");
    }
    let mut document = Document::parse("a:\n- 1\n- 2\nb: 3").unwrap();
    document.remove("b").unwrap();
    document.remove("a[1]").unwrap();
    assert_eq!(document.text(), "a:\n- 1");
}

#[test]
fn what_cannot_be_edited_in_place_stays_as_it_is() {
    for (text, path) in [
        ("a: &x {b: 1}\nc: *x\n", "a.b"),
        ("a: &x\n  b: 1\nc: *x\n", "c.b"),
        ("? a\n: 1\n", "a"),
        ("a: 1\n", "a.b.c"),
        ("- a\n", "b"),
    ] {
        let mut document = Document::parse(text).unwrap();
        assert_eq!(document.set(path, &json!("new"), &[]), Err(NotEditable), "{text}");
        assert_eq!(document.text(), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_text_makes_an_edit_fail_loudly_or_change_something_else(
        text in "[-a-c:?#|>{}\\[\\],&*!'\" \n0-9]{0,40}", path in "[abc]{1}(\\.[abc]|\\[[0-2]\\]){0,2}", index in 0..3usize,
    ) {
        if let Ok(document) = Document::parse(text.as_str()) {
            for value in [json!("x"), json!([1, {"k": "v"}])] {
                let mut set = document.clone();
                if set.set(&path, &value, &["b", "a"]).is_ok() {
                    prop_assert_eq!(set.get(&path), Some(&value));
                    prop_assert_eq!(&parse(set.text()).unwrap(), set.value());
                } else {
                    prop_assert_eq!(set.text(), document.text());
                }
                let _ = document.clone().insert(&path, index, &value, &[]);
            }
            let _ = document.clone().remove(&path);
        }
    }
}
