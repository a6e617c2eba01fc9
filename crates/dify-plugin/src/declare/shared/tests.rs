//! Expansion of blocks: what is written out, what is refused, what it may cost.

use serde_json::json;

use super::*;

/// Expands a file of a provider that lists one shared file.
fn expand(blocks: Value, file: Value) -> (Value, Vec<String>) {
    let mut shared = Shared::default();
    let mut problems = shared.insert("s", blocks.as_object().unwrap().clone());
    let (scope, more) = shared.scope(&["s".to_owned()]);
    problems.extend(more);
    let mut expanded = shared.expand("f", &file, &scope);
    problems.append(&mut expanded.problems);
    (expanded.value, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn blocks_stand_where_they_are_named() {
    let blocks = json!({
        "a": {"name": "a", "max": 1, "label": {"en_US": "A", "zh_Hans": "甲"}, "options": ["x", "y"]},
        "b": {"use": "a", "name": "b"},
        "pair": [{"use": "a"}, {"use": "b", "max": 2}],
        "all": [{"use": "pair"}, {"name": "c"}],
        "words": ["x", "y"],
    });
    let a = &blocks["a"];
    let with = |changes: Value| {
        let mut changed = a.clone();
        changed.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        changed
    };
    let (b, b2) = (with(json!({"name": "b"})), with(json!({"name": "b", "max": 2})));
    let cases = [
        (json!({"use": "a"}), a.clone()),
        (json!([{"use": "a"}, {"n": 1}, {"use": "b"}]), json!([a, {"n": 1}, b])),
        (json!([{"use": "pair"}, {"use": "a"}]), json!([a, b2, a])),
        (json!({"rules": {"use": "all"}}), json!({"rules": [a, b2, {"name": "c"}]})),
        (json!({"options": [{"use": "words"}, "z"]}), json!({"options": ["x", "y", "z"]})),
        (json!({"use": "a", "max": 5, "new": {"k": [1]}}), with(json!({"max": 5, "new": {"k": [1]}}))),
        (json!({"use": "a", "options": ["z"]}), with(json!({"options": ["z"]}))),
        (json!({"use": "a", "label": {"en_US": "B"}}), with(json!({"label": {"en_US": "B", "zh_Hans": "甲"}}))),
        (json!({"use": "a", "label": null, "options": null}), json!({"name": "a", "max": 1})),
        (json!({"use": "a", "inner": {"use": "b"}}), with(json!({"inner": b}))),
        (json!({"use_template": "temperature", "user": "use"}), json!({"use_template": "temperature", "user": "use"})),
    ];
    for (file, expected) in cases {
        assert_eq!(expand(blocks.clone(), file.clone()), (expected, Vec::new()), "{file}");
    }
    let (ordered, _) = expand(blocks, json!({"z": 0, "use": "a", "y": 0, "max": 7}));
    assert_eq!(ordered.as_object().unwrap().keys().collect::<Vec<_>>(), ["z", "name", "max", "label", "options", "y"]);
}

#[test]
fn what_is_wrong_with_a_reference_is_named_with_its_place() {
    let blocks = json!({
        "a": {"max": 1, "label": {"en_US": "A"}},
        "list": [1],
        "circle": {"x": [{"use": "back"}]},
        "back": [{"use": "circle"}],
        "self": {"use": "self"},
        "gap": {"deep": [0, {"use": "nothing"}]},
        "same": {"use": "a", "max": 1},
        "number": 1,
    });
    let number = "s: number: must be an object or a list, found a number";
    let cases = [
        (json!({"r": [0, {"use": "b"}]}), "f: r[1].use: shared block `b` is unknown: there is none in s"),
        (json!({"use": 1}), "f: use: must be the name of a shared block, found a number"),
        (json!({"use": "number"}), "f: use: shared block `number` is unknown: there is none in s"),
        (json!({"use": "list", "a": 1}), "f: use: shared block `list` is a list: nothing can be changed in it here"),
        (json!({"use": "self"}), "s: self.use: blocks refer to each other in a circle: self → self"),
        (json!([{"use": "circle"}]), "s: back[0].use: blocks refer to each other in a circle: circle → back → circle"),
        (json!([{"use": "gap"}]), "s: gap.deep[1].use: shared block `nothing` is unknown: there is none in s"),
        (json!({"use": "a", "max": 1}), "warning: f: max: changes nothing: shared block `a` has the same value"),
        (
            json!({"r": [{"use": "a", "label": {"en_US": "A"}}]}),
            "warning: f: r[0].label.en_US: changes nothing: shared block `a` has the same value",
        ),
        (json!({"use": "a", "min": null}), "warning: f: min: changes nothing: shared block `a` has no such member"),
        (json!({"use": "same"}), "warning: s: same.max: changes nothing: shared block `a` has the same value"),
    ];
    for (file, expected) in cases {
        assert_eq!(expand(blocks.clone(), file.clone()).1, [number, expected], "{file}");
    }
    let mut shared = Shared::default();
    assert_eq!(shared.insert("s", Map::from_iter([("a".to_owned(), json!({}))])), []);
    assert_eq!(shared.insert("t", Map::from_iter([("a".to_owned(), json!([]))])), []);
    let (scope, problems) = shared.scope(&["s".to_owned(), "t".to_owned(), "s".to_owned()]);
    let expected: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(expected, ["t: a: block `a` is defined in s already"]);
    assert!(scope.has_file("t"));
    let none = Shared::default().expand("f", &json!({"use": "a"}), &Scope::default()).problems;
    assert!(none[0].message.ends_with("this provider names no shared files (`shared:` in its file)"), "{}", none[0]);
}

#[test]
fn blocks_that_nothing_uses_are_named() {
    let mut shared = Shared::default();
    let blocks = json!({"a": {"use": "b"}, "b": {}, "c": {"use": "d"}, "d": {"use": "c"}, "e": {"use": "b"}, "f": [{"use": "g"}]});
    shared.insert("s", blocks.as_object().unwrap().clone());
    let (scope, _) = shared.scope(&["s".to_owned()]);
    assert!(shared.expand("f", &json!([{"use": "a"}]), &scope).problems.is_empty());
    let expected: Vec<String> = shared.unused(&[scope]).iter().map(ToString::to_string).collect();
    assert_eq!(
        expected,
        [
            "warning: s: c: is used nowhere",
            "s: d.use: blocks refer to each other in a circle: c → d → c",
            "warning: s: d: is used nowhere",
            "s: c.use: blocks refer to each other in a circle: d → c → d",
            "warning: s: e: is used nowhere",
            "warning: s: f: is used nowhere",
            "s: f[0].use: shared block `g` is unknown: there is none in s",
        ]
    );
}

#[test]
fn no_reference_costs_more_than_its_limit() {
    // Each block is ten of the next one; a chain; one long block many times; one that nests deeply.
    let bomb: Map<String, Value> = (0..30)
        .map(|number| (format!("b{number}"), json!(vec![json!({"use": format!("b{}", number + 1)}); 10])))
        .collect();
    let wide: Map<String, Value> = (0..6)
        .map(|number| (format!("w{number}"), json!(vec![json!({"use": format!("w{}", number + 1)}); 10])))
        .chain([("w6".to_owned(), json!([{"use": "nothing"}]))])
        .collect();
    let chain: Map<String, Value> =
        (0..40).map(|number| (format!("c{number}"), json!({"use": format!("c{}", number + 1)}))).collect();
    let long = json!({"text": "x".repeat(10_000)});
    let deep = (0..50).fold(json!(1), |inner, _| json!([inner]));
    let nests = json!({"use_it": {"deep": deep, "again": (0..40).fold(json!({"use": "end"}), |inner, _| json!([inner]))}, "end": deep});
    let cases = [
        (Value::Object(bomb), json!({"use": "b0"}), "puts more than 16 blocks inside one another"),
        (Value::Object(wide), json!({"use": "w0"}), "adds more than 262144 bytes to this file"),
        (Value::Object(chain), json!({"use": "c0"}), "puts more than 16 blocks inside one another"),
        (
            json!({"long": long}),
            json!(vec![json!({"use": "long"}); 50_000]),
            "adds more than 262144 bytes to this file",
        ),
        (nests, json!({"use": "use_it"}), "nests deeper than 64 levels when its blocks are written out"),
    ];
    for (blocks, file, expected) in cases {
        let (_, problems) = expand(blocks, file);
        assert!(problems.last().unwrap().contains(expected), "{problems:?}");
        assert!(problems.len() <= 2, "{} problems", problems.len());
    }
    // All files together.
    let mut shared = Shared::default();
    shared.insert("s", Map::from_iter([("long".to_owned(), json!({"text": "x".repeat(200_000)}))]));
    let (scope, _) = shared.scope(&["s".to_owned()]);
    let refused = (0..100).find(|_| !shared.expand("f", &json!({"use": "long"}), &scope).problems.is_empty());
    assert_eq!(refused, Some(MAX_TOTAL_GROWTH / 200_000));
}

#[test]
fn a_problem_is_traced_to_what_was_written() {
    let blocks =
        json!({"a": {"name": "a"}, "list": [{"name": "b"}, {"name": "c", "options": [1, 2]}], "model": {"m": {}}});
    let mut shared = Shared::default();
    shared.insert("s", blocks.as_object().unwrap().clone());
    let (scope, _) = shared.scope(&["s".to_owned()]);
    let file = json!({"use": "model", "rules": [{"n": 1}, {"use": "list"}, {"n": 2}, {"use": "a", "max": 2}], "plain": [{"n": 1}]});
    let places = shared.expand("f", &file, &scope).places;
    for (path, expected) in [
        ("rules[0].n", "f: rules[0].n: x"),
        ("rules[1].name", "f: rules[1].name: x (shared block `list` of s)"),
        ("rules[2].options[1]", "f: rules[1].options[1]: x (shared block `list` of s)"),
        ("rules[3].n", "f: rules[2].n: x"),
        ("rules[4].name", "f: rules[3].name: x (shared block `a` of s)"),
        ("rules[4].max", "f: rules[3].max: x"),
        ("rules[9].name", "f: rules[9].name: x"),
        ("rules", "f: rules: x"),
        ("m.k", "f: m.k: x (shared block `model` of s)"),
        ("m", "f: m: x (shared block `model` of s)"),
        ("", "f: x (shared block `model` of s)"),
        ("[", "f: [: x (shared block `model` of s)"),
    ] {
        let mut problem = problem(Code::BlockForm, "f", path, "x".to_owned());
        places.trace(&mut problem);
        assert_eq!(problem.to_string(), expected);
    }
}
